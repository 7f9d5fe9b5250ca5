"""IAM operations on instance profiles."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fastiam.directory.account_records import InstanceProfile
from fastiam.server.protocols.aws import permissions as p
from fastiam.server.protocols.aws.aws_errors import ApiError
from fastiam.server.protocols.aws.calls import Call, Result
from fastiam.server.protocols.aws.documents import UNKNOWN_DATE, tag_list, without_nones
from fastiam.server.protocols.aws.iam_roles import role_of
from fastiam.server.protocols.aws.operations import NOTHING, Operation
from fastiam.server.protocols.aws.pages import page, same, tag_key
from fastiam.sts.signed_calls import Permission, passed_to

_TYPE, _NAME = "instance-profile", "InstanceProfileName"


def create_instance_profile(call: Call) -> Result:
    """CreateInstanceProfile, without a role."""
    name = call.parameters[_NAME]
    if call.directory.find(_TYPE, name, call.account, call.partition, ignore_case=True) is not None:
        raise ApiError("EntityAlreadyExists", f"Instance Profile {name} already exists.")
    arn = call.new_arn(_TYPE, name, call.parameters.get("Path"))
    call.directory.create_instance_profile(arn, tags=p.tags_of(call), created=call.now)
    return {"InstanceProfile": instance_profile_of(call, call.tables.instance_profiles[arn], with_tags=True)}


def get_instance_profile(call: Call) -> Result:
    """GetInstanceProfile, with its role."""
    return {"InstanceProfile": instance_profile_of(call, call.instance_profile(), with_tags=True)}


def delete_instance_profile(call: Call) -> Result:
    """DeleteInstanceProfile; refused while it has a role."""
    call.directory.delete_instance_profile(call.instance_profile().arn)
    return NOTHING


def list_instance_profiles(call: Call) -> Result:
    """ListInstanceProfiles."""
    prefix = call.parameters.get("PathPrefix", "/")
    return _page(call, (profile for profile in instance_profiles_of(call) if profile.path.startswith(prefix)))


def list_instance_profiles_for_role(call: Call) -> Result:
    """ListInstanceProfilesForRole."""
    role = call.role().arn
    return _page(call, (profile for profile in instance_profiles_of(call) if profile.role == role))


def add_role_to_instance_profile(call: Call) -> Result:
    """AddRoleToInstanceProfile; it has one role at most."""
    profile = call.instance_profile()
    call.directory.add_role_to_instance_profile(profile.arn, call.own_role().arn)
    return NOTHING


def remove_role_from_instance_profile(call: Call) -> Result:
    """RemoveRoleFromInstanceProfile."""
    profile, role = call.instance_profile(), call.role()
    if profile.role != role.arn:
        raise ApiError("NoSuchEntity", f"The role {role.name} is not in the instance profile {profile.name}.")
    call.directory.remove_role_from_instance_profile(profile.arn)
    return NOTHING


def tag_instance_profile(call: Call) -> Result:
    """TagInstanceProfile."""
    call.directory.tag(call.instance_profile().arn, p.tags_of(call))
    return NOTHING


def untag_instance_profile(call: Call) -> Result:
    """UntagInstanceProfile."""
    call.directory.untag(call.instance_profile().arn, call.parameters["TagKeys"])
    return NOTHING


def list_instance_profile_tags(call: Call) -> Result:
    """ListInstanceProfileTags."""
    return page(call, "Tags", tag_list(call.instance_profile().tags), tag_key, same)


def instance_profiles_of(call: Call) -> Iterable[InstanceProfile]:
    """The instance profiles of the caller's account."""
    profiles = call.tables.instance_profiles.values()
    return (profile for profile in profiles if profile.account == call.account)


def _page(call: Call, profiles: Iterable[InstanceProfile]) -> Result:
    return page(
        call, "InstanceProfiles", profiles, lambda profile: profile.name, lambda profile: instance_profile_of(call, profile)
    )


def instance_profile_of(call: Call, profile: InstanceProfile, *, with_tags: bool = False) -> dict[str, Any]:
    """An instance profile as the output shape. Listings leave tags out, as AWS does."""
    role = None if profile.role is None else call.tables.entities.get(profile.role)
    return without_nones(
        {
            "Path": profile.path,
            "InstanceProfileName": profile.name,
            "InstanceProfileId": profile.unique_id,
            "Arn": profile.arn,
            "CreateDate": profile.created or UNKNOWN_DATE,
            "Roles": [] if role is None else [role_of(role)],
            "Tags": (tag_list(profile.tags) or None) if with_tags else None,
        }
    )


_NEW = p.created(_TYPE, _NAME)
_PROFILE = (Permission(p.instance_profile, (p.stored_tags,)),)
_TAG = (Permission(p.instance_profile, (p.stored_tags, p.request_tags)),)
_PASS_ROLE = Permission(p.role, (passed_to("ec2.amazonaws.com"),), "iam:PassRole", shown=p.role)

OPERATIONS = {
    "CreateInstanceProfile": Operation(
        create_instance_profile,
        (
            Permission(_NEW, (p.request_tags,)),
            Permission(_NEW, (p.request_tags,), "iam:TagInstanceProfile", only_with="Tags"),
        ),
        writes=True,
    ),
    "GetInstanceProfile": Operation(get_instance_profile, _PROFILE, is_short=True),
    "DeleteInstanceProfile": Operation(delete_instance_profile, _PROFILE, writes=True),
    "ListInstanceProfiles": Operation(list_instance_profiles, (Permission(p.listed(_TYPE)),)),
    "ListInstanceProfilesForRole": Operation(list_instance_profiles_for_role, (Permission(p.role),)),
    "AddRoleToInstanceProfile": Operation(add_role_to_instance_profile, (*_PROFILE, _PASS_ROLE), writes=True),
    "RemoveRoleFromInstanceProfile": Operation(remove_role_from_instance_profile, _PROFILE, writes=True),
    "TagInstanceProfile": Operation(tag_instance_profile, _TAG, writes=True),
    "UntagInstanceProfile": Operation(untag_instance_profile, _TAG, writes=True),
    "ListInstanceProfileTags": Operation(list_instance_profile_tags, _PROFILE, is_short=True),
}
