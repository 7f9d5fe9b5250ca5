"""Resources and condition keys of the permissions of IAM, each named once: `Permission(user, (boundary,))`.

A function for keys gets the resource of its permission.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastiam.model.key_registry import fold
from fastiam.server.protocols.aws.aws_errors import ApiError
from fastiam.server.protocols.aws.calls import Call
from fastiam.server.protocols.aws.documents import boundary_arn
from fastiam.sts.signed_calls import Resource, sent_tag_keys, stored_tag_keys

# -- resources ------------------------------------------------------------------------------------------------------------


def user(call: Call) -> str:
    """The user of `UserName`, or the caller."""
    return call.user_arn()


def group(call: Call) -> str:
    """The group of `GroupName`."""
    return call.arn("group", call.parameters["GroupName"])


def role(call: Call) -> str:
    """The role of `RoleName`."""
    return call.arn("role", call.parameters["RoleName"])


def instance_profile(call: Call) -> str:
    """The instance profile of `InstanceProfileName`."""
    return call.arn("instance-profile", call.parameters["InstanceProfileName"])


def created(type_: str, parameter: str) -> Resource:
    """What a call creates: the name in `parameter`, with the path in `Path`."""
    return lambda call: call.new_arn(type_, call.parameters[parameter], call.parameters.get("Path"))


def renamed(type_: str, parameter: str, new_name: str) -> Resource:
    """What a call renames, by its new name and path."""

    def resource(call: Call) -> str:
        old = call.arn(type_, call.parameters[parameter])
        path, _, name = old.partition(f":{type_}")[2].rpartition("/")
        return call.new_arn(type_, call.parameters.get(new_name, name), call.parameters.get("NewPath", f"{path}/"))

    return resource


def listed(type_: str) -> Resource:
    """What a call lists: the type and the path prefix, without a star (G142)."""
    return lambda call: f"arn:{call.partition}:iam::{call.account}:{type_}{call.parameters.get('PathPrefix', '/')}"


# -- condition keys -------------------------------------------------------------------------------------------------------


def policy_arn(call: Call, _: str) -> Mapping[str, Any]:
    """`iam:PolicyARN`: the policy to attach or detach."""
    return {"iam:PolicyARN": call.parameters["PolicyArn"]}


def new_boundary(call: Call, _: str) -> Mapping[str, Any]:
    """`iam:PermissionsBoundary`: the one that the call sets."""
    arn = call.parameters.get("PermissionsBoundary")
    return {} if arn is None else {"iam:PermissionsBoundary": arn}


def boundary(call: Call, resource: str) -> Mapping[str, Any]:
    """`iam:PermissionsBoundary`: that of the user or role."""
    entity = call.tables.entities.get(resource)
    arn = None if entity is None else boundary_arn(entity.boundary)
    return {} if arn is None else {"iam:PermissionsBoundary": arn}


def request_tags(call: Call, _: str) -> Mapping[str, Any]:
    """`aws:RequestTag/...` and `aws:TagKeys` of the tags, or of the keys of tags, that the call sends."""
    return sent_tag_keys(tags_of(call), call.parameters.get("TagKeys", ()))


def stored_tags(call: Call, resource: str) -> Mapping[str, Any]:
    """`aws:ResourceTag/...` of a policy, instance profile or provider; the engine itself knows those of users and roles.

    `iam:ResourceTag/...` is a key of users and roles alone (spec 5.5).
    """
    tables = call.tables
    for table in (tables.managed, tables.instance_profiles, tables.saml_providers, tables.oidc_providers):
        record = table.get(resource)
        if record is not None:
            return stored_tag_keys(record.tags)
    return {}


def tags_of(call: Call) -> dict[str, str]:
    """The tags that a call sends.

    Raises
    ------
    ApiError
        `InvalidInput`, of STS `InvalidParameterValue`: a key is given twice, ignoring case.
    """
    sent = call.parameters.get("Tags", ())
    tags = {tag["Key"]: tag["Value"] for tag in sent}
    if len({fold(key) for key in tags}) < len(sent):
        code = "InvalidParameterValue" if call.service.name == "sts" else "InvalidInput"
        raise ApiError(code, "Duplicate tag keys found. Please note that Tag keys are case insensitive.")
    return tags
