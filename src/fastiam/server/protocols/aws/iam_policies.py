"""IAM operations on managed policies and their versions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastiam.directory.account_records import ManagedPolicy
from fastiam.directory.aws_policies import aws_policy, listed_aws_policies
from fastiam.directory.naming_rules import is_version
from fastiam.model.key_registry import fold
from fastiam.server.protocols.aws import permissions as p
from fastiam.server.protocols.aws.aws_errors import ApiError
from fastiam.server.protocols.aws.calls import Call, Result
from fastiam.server.protocols.aws.documents import UNKNOWN_DATE, managed_document, tag_list, without_nones
from fastiam.server.protocols.aws.operations import NOTHING, Operation
from fastiam.server.protocols.aws.pages import page, same, tag_key
from fastiam.sts.signed_calls import Permission, everything, given

_OF_AWS = "aws"  # the account field of AWS managed policies
_MAX_VERSION = 10**18


def create_policy(call: Call) -> Result:
    """CreatePolicy. Names are unique in an account, whatever the path."""
    given, text = call.parameters, managed_document(call)
    name = given["PolicyName"]
    if any(fold(arn.rpartition("/")[2]) == fold(name) for arn in call.directory.policies(call.account)):
        raise ApiError("EntityAlreadyExists", f"A policy called {name} already exists. Duplicate names are not allowed.")
    arn = call.new_arn("policy", name, given.get("Path"))
    call.directory.add_managed_policy(arn, text, tags=p.tags_of(call), created=call.now, description=given.get("Description", ""))
    return {"Policy": without_nones(policy_of(call, call.tables.managed[arn]) | {"Tags": tag_list(p.tags_of(call)) or None})}


def get_policy(call: Call) -> Result:
    """GetPolicy."""
    return {"Policy": policy_of(call, _policy(call), is_complete=True)}


def delete_policy(call: Call) -> Result:
    """DeletePolicy; refused while it is attached or has other versions than the default."""
    call.directory.delete_policy(_policy(call).arn)
    return NOTHING


def list_policies(call: Call) -> Result:
    """ListPolicies of the account, of AWS, or of both."""
    given, scope = call.parameters, call.parameters.get("Scope", "All")
    prefix, usage = given.get("PathPrefix", "/"), given.get("PolicyUsageFilter")
    owners = {"AWS": (_OF_AWS,), "Local": (call.account,)}.get(scope, (call.account, _OF_AWS))

    def is_listed(policy: ManagedPolicy) -> bool:
        if not _path(policy.arn).startswith(prefix):
            return False
        attached, boundaries = _counts(call, policy.arn) if usage or given.get("OnlyAttached") else (0, 0)
        if usage == "PermissionsBoundary":
            return boundaries > 0
        if usage == "PermissionsPolicy":
            return attached > 0
        return attached + boundaries > 0 or not given.get("OnlyAttached")

    managed = call.tables.managed
    policies = [managed[arn] for owner in owners for arn in call.directory.policies(owner)]
    if _OF_AWS in owners:
        policies += (policy for arn, policy in listed_aws_policies().items() if arn not in managed)
    return page(call, "Policies", filter(is_listed, policies), _order, lambda policy: policy_of(call, policy))


def list_entities_for_policy(call: Call) -> Result:
    """ListEntitiesForPolicy: users, groups and roles of the caller's account."""
    policy, given = _policy(call), call.parameters
    prefix, only = given.get("PathPrefix", "/"), given.get("EntityFilter")
    found = page(
        call,
        "Entities",
        (
            (type_, name, id_)
            for type_, path, name, id_ in _entities(call, policy.arn, given.get("PolicyUsageFilter"))
            if path.startswith(prefix) and only in (None, type_)
        ),
        lambda entity: f"{entity[0]}/{entity[1]}",
        same,
    )
    entities = found.pop("Entities")
    for type_ in ("Group", "User", "Role"):
        members = [without_nones({f"{type_}Name": name, f"{type_}Id": id_}) for kind, name, id_ in entities if kind == type_]
        found[f"Policy{type_}s"] = members
    return found


def tag_policy(call: Call) -> Result:
    """TagPolicy."""
    call.directory.tag(_policy(call).arn, p.tags_of(call))
    return NOTHING


def untag_policy(call: Call) -> Result:
    """UntagPolicy."""
    call.directory.untag(_policy(call).arn, call.parameters["TagKeys"])
    return NOTHING


def list_policy_tags(call: Call) -> Result:
    """ListPolicyTags."""
    return page(call, "Tags", tag_list(_policy(call).tags), tag_key, same)


# -- versions -------------------------------------------------------------------------------------------------------------


def create_policy_version(call: Call) -> Result:
    """CreatePolicyVersion."""
    arn, is_default = _policy(call).arn, call.parameters.get("SetAsDefault", False)
    version = call.directory.create_policy_version(arn, managed_document(call), set_as_default=is_default, created=call.now)
    return {"PolicyVersion": version_of(call.tables.managed[arn], version)}


def get_policy_version(call: Call) -> Result:
    """GetPolicyVersion, with its document."""
    policy, version = _policy(call), _version(call)
    members = {"Document": policy.versions[version].text} | version_of(policy, version)
    return {"PolicyVersion": members}


def delete_policy_version(call: Call) -> Result:
    """DeletePolicyVersion, of a version that is not the default."""
    call.directory.delete_policy_version(_policy(call).arn, _version(call))
    return NOTHING


def list_policy_versions(call: Call) -> Result:
    """ListPolicyVersions, the latest first."""
    policy = _policy(call)
    return page(call, "Versions", policy.versions, _latest_first, lambda version: version_of(policy, version))


def set_default_policy_version(call: Call) -> Result:
    """SetDefaultPolicyVersion."""
    call.directory.set_default_policy_version(_policy(call).arn, _version(call), updated=call.now)
    return NOTHING


def _version(call: Call) -> str:
    policy, version = _policy(call), call.parameters["VersionId"]
    if version not in policy.versions:
        raise ApiError("NoSuchEntity", f"Policy {policy.arn} version {version} does not exist or is not attachable.")
    return str(version)


def version_of(policy: ManagedPolicy, version: str) -> dict[str, Any]:
    created = policy.version_dates.get(version) or policy.created or UNKNOWN_DATE
    return {"VersionId": version, "IsDefaultVersion": version == policy.default, "CreateDate": created}


def _latest_first(version: str) -> str:
    number = int(version[1:]) if is_version(version) else 0
    return f"{_MAX_VERSION - number:019d}{version}"


# -- records --------------------------------------------------------------------------------------------------------------


def _policy(call: Call) -> ManagedPolicy:
    """The policy of `PolicyArn`."""
    arn = call.parameters["PolicyArn"]
    policy = call.tables.managed.get(arn) or aws_policy(arn)
    if policy is None:
        raise ApiError("NoSuchEntity", f"Policy {arn} was not found.")
    return policy


def policy_of(call: Call, policy: ManagedPolicy, *, is_complete: bool = False) -> dict[str, Any]:
    """A managed policy as the output shape. Listings leave description and tags out, as AWS does."""
    attached, boundaries = _counts(call, policy.arn)
    return without_nones(
        {
            "PolicyName": policy.arn.rpartition("/")[2],
            "PolicyId": policy.unique_id,
            "Arn": policy.arn,
            "Path": _path(policy.arn),
            "DefaultVersionId": policy.default,
            "AttachmentCount": attached,
            "PermissionsBoundaryUsageCount": boundaries,
            "IsAttachable": True,
            "Description": (policy.description or None) if is_complete else None,
            "CreateDate": policy.created or UNKNOWN_DATE,
            "UpdateDate": policy.updated or policy.created or UNKNOWN_DATE,
            "Tags": tag_list(policy.tags) if is_complete else None,
        }
    )


def _counts(call: Call, arn: str) -> tuple[int, int]:
    """How many users, groups and roles of the caller's account have a policy, and how many have it as a boundary."""
    found = call.directory.attachments(arn)
    return _count(call, found.attached_to), _count(call, found.boundary_of)


def _count(call: Call, arns: tuple[str, ...]) -> int:
    return sum(arn.split(":")[4] == call.account for arn in arns)


def _entities(call: Call, arn: str, usage: str | None) -> Iterator[tuple[str, str, str, str | None]]:
    """Type, path, name and id of what has a policy."""
    found = call.directory.attachments(arn)
    arns = {
        "PermissionsPolicy": found.attached_to,
        "PermissionsBoundary": found.boundary_of,
    }.get(usage or "", tuple(dict.fromkeys((*found.attached_to, *found.boundary_of))))
    for each in arns:
        if each.split(":")[4] != call.account:
            continue
        group, entity = call.tables.groups.get(each), call.tables.entities.get(each)
        if group is not None:
            yield "Group", group.path, group.name, group.unique_id
        elif entity is not None:
            type_ = "User" if ":user/" in each else "Role"
            yield type_, entity.path, entity.name, entity.unique_id


def _path(arn: str) -> str:
    return arn.partition(":policy")[2].rpartition("/")[0] + "/"


def _order(policy: ManagedPolicy) -> str:
    """Name, then scope: the account and AWS may have a policy of one name."""
    return f"{policy.arn.rpartition('/')[2]}\0{policy.arn.split(':')[4]}"


def _listed_path(call: Call) -> str:
    return f"policy path {call.parameters.get('PathPrefix', '/')}"


_ARN = given("PolicyArn")
_NEW = p.created("policy", "PolicyName")
_ONE = (Permission(_ARN, (p.stored_tags,)),)
_TAG = (Permission(_ARN, (p.stored_tags, p.request_tags)),)

OPERATIONS = {
    "CreatePolicy": Operation(
        create_policy,
        (Permission(_NEW, (p.request_tags,)), Permission(_NEW, (p.request_tags,), "iam:TagPolicy", only_with="Tags")),
        writes=True,
    ),
    "GetPolicy": Operation(get_policy, _ONE),
    "DeletePolicy": Operation(delete_policy, _ONE, writes=True),
    "ListPolicies": Operation(list_policies, (Permission(everything, shown=_listed_path),)),
    "ListEntitiesForPolicy": Operation(list_entities_for_policy, _ONE),
    "TagPolicy": Operation(tag_policy, _TAG, writes=True),
    "UntagPolicy": Operation(untag_policy, _TAG, writes=True),
    "ListPolicyTags": Operation(list_policy_tags, _ONE, is_short=True),
    "CreatePolicyVersion": Operation(create_policy_version, _ONE, writes=True),
    "GetPolicyVersion": Operation(get_policy_version, _ONE, is_short=True),
    "DeletePolicyVersion": Operation(delete_policy_version, _ONE, writes=True),
    "ListPolicyVersions": Operation(list_policy_versions, _ONE, is_short=True),
    "SetDefaultPolicyVersion": Operation(set_default_policy_version, _ONE, writes=True),
}
