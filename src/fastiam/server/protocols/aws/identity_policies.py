"""Inline and managed policies of users, groups and roles: seven operations for each of the three, from one description."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fastiam.directory.account_records import Entity, Group
from fastiam.directory.stored_policies import StoredPolicy
from fastiam.server.protocols.aws import permissions as p
from fastiam.server.protocols.aws.aws_errors import ApiError
from fastiam.server.protocols.aws.calls import Call, Result
from fastiam.server.protocols.aws.documents import document, require_policy
from fastiam.server.protocols.aws.operations import NOTHING, Operation
from fastiam.server.protocols.aws.pages import page, same
from fastiam.sts.signed_calls import Keys, Permission, Resource

Find = Callable[[Call], Entity | Group]


def policy_operations(
    type_: str, find: Find, resource: Resource, keys: tuple[Keys, ...], *, changeable: Find | None = None
) -> Mapping[str, Operation]:
    """The operations on the policies of a type of identity.

    Parameters
    ----------
    type_
        `User`, `Group` or `Role`, as in the names of the operations.
    find
        the record that a call names.
    changeable
        the same for writes, where some records may not be changed.
    resource, keys
        of the permission for writes; a read needs no keys.
    """

    to_change = changeable or find

    def put(call: Call) -> Result:
        call.directory.put_inline_policy(to_change(call).arn, call.parameters["PolicyName"], document(call))
        return NOTHING

    def get(call: Call) -> Result:
        record, name = find(call), call.parameters["PolicyName"]
        return {f"{type_}Name": record.name, "PolicyName": name, "PolicyDocument": _inline(record, name).text}

    def delete(call: Call) -> Result:
        record, name = to_change(call), call.parameters["PolicyName"]
        _inline(record, name)
        call.directory.delete_inline_policy(record.arn, name)
        return NOTHING

    def list_inline(call: Call) -> Result:
        return page(call, "PolicyNames", (stored.name for stored in find(call).inline), same, same)

    def attach(call: Call) -> Result:
        record, policy = to_change(call), call.parameters["PolicyArn"]
        require_policy(call, policy)
        if policy not in record.attached:
            call.directory.attach_policy(record.arn, policy)
        return NOTHING

    def detach(call: Call) -> Result:
        record, policy = to_change(call), call.parameters["PolicyArn"]
        if policy not in record.attached:
            raise ApiError("NoSuchEntity", f"Policy {policy} was not found.")
        call.directory.detach_policy(record.arn, policy)
        return NOTHING

    def list_attached(call: Call) -> Result:
        return page(call, "AttachedPolicies", _attached(call, find(call)), lambda each: each["PolicyArn"], same)

    write, read = (Permission(resource, keys),), (Permission(resource),)
    link = (Permission(resource, (*keys, p.policy_arn)),)
    return {
        f"Put{type_}Policy": Operation(put, write, writes=True),
        f"Get{type_}Policy": Operation(get, read, is_short=True),
        f"Delete{type_}Policy": Operation(delete, write, writes=True),
        f"List{type_}Policies": Operation(list_inline, read, is_short=True),
        f"Attach{type_}Policy": Operation(attach, link, writes=True),
        f"Detach{type_}Policy": Operation(detach, link, writes=True),
        f"ListAttached{type_}Policies": Operation(list_attached, read, is_short=True),
    }


def _inline(record: Entity | Group, name: str) -> StoredPolicy:
    """The inline policy of that name.

    Raises
    ------
    ApiError
        `NoSuchEntity`.
    """
    for stored in record.inline:
        if stored.name == name:
            return stored
    raise ApiError("NoSuchEntity", f"The policy with name {name} cannot be found.")


def _attached(call: Call, record: Entity | Group) -> list[dict[str, str]]:
    """Attached policies whose path begins with `PathPrefix`, as name and ARN."""
    prefix = call.parameters.get("PathPrefix", "/")
    return [
        {"PolicyName": arn.rpartition("/")[2], "PolicyArn": arn}
        for arn in record.attached
        if arn.partition(":policy")[2].startswith(prefix)
    ]
