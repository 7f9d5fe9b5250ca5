"""What a call asks the engine: an action on a resource, with condition keys.

Resources and keys are named here once, so that an operation is described by data: `Permission(user, (boundary,))`. A function for
keys gets the resource of its permission.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastiam.model.key_registry import fold
from fastiam.server.protocols.aws.calls import Call
from fastiam.server.protocols.aws.documents import boundary_arn
from fastiam.server.protocols.aws.errors import ApiError

Resource = Callable[[Call], str]
Resources = Callable[[Call], str | Sequence[str]]
Keys = Callable[[Call, str], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Permission:
    """One permission of an operation.

    Attributes
    ----------
    resource
        the ARN, or `*`; or several ARNs, each of them decided.
    keys
        condition keys in addition to those of every call.
    action
        by default that of the operation.
    only_with
        a parameter without which it is not required, such as `Tags`.
    shown
        what a denial names in place of the resource. By default what the call names by its name has the path `/` there: the path
        of a stored ARN would show that it exists.
    is_own
        decided as a resource of the caller's account, whatever account the ARN names. The operation checks who may reach it.
    """

    resource: Resources
    keys: tuple[Keys, ...] = ()
    action: str = ""
    only_with: str = ""
    shown: Resource | None = None
    is_own: bool = False


# -- resources ------------------------------------------------------------------------------------------------------------


def everything(_: Call) -> str:
    """`*`: calls on the whole account."""
    return "*"


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


def given(parameter: str) -> Resource:
    """The ARN that a parameter holds."""
    return lambda call: str(call.parameters[parameter])


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


def passed_to(service: str) -> Keys:
    """`iam:PassedToService`: the service that gets the role."""
    return lambda _call, _resource: {"iam:PassedToService": service}


def request_tags(call: Call, _: str) -> Mapping[str, Any]:
    """`aws:RequestTag/...` and `aws:TagKeys` of the tags, or of the keys of tags, that the call sends."""
    tags = tags_of(call)
    keys = [*tags, *call.parameters.get("TagKeys", ())]
    return {f"aws:RequestTag/{key}": value for key, value in tags.items()} | ({"aws:TagKeys": keys} if keys else {})


def stored_tags(call: Call, resource: str) -> Mapping[str, Any]:
    """`aws:ResourceTag/...` of a policy, instance profile or provider; the engine itself knows those of users and roles.

    `iam:ResourceTag/...` is a key of users and roles alone (spec 5.5).
    """
    tables = call.tables
    for table in (tables.managed, tables.instance_profiles, tables.saml_providers, tables.oidc_providers):
        record = table.get(resource)
        if record is not None:
            return {f"aws:ResourceTag/{key}": value for key, value in record.tags.items()}
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
