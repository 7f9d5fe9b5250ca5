"""IAM operations on groups and their members."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fastiam.directory.account_records import Group
from fastiam.server.protocols.aws import permissions as p
from fastiam.server.protocols.aws.aws_errors import ApiError
from fastiam.server.protocols.aws.calls import Call, Result
from fastiam.server.protocols.aws.documents import UNKNOWN_DATE, without_nones
from fastiam.server.protocols.aws.iam_users import user_of
from fastiam.server.protocols.aws.identity_policies import policy_operations
from fastiam.server.protocols.aws.operations import NOTHING, Operation
from fastiam.server.protocols.aws.pages import page
from fastiam.sts.signed_calls import Permission


def create_group(call: Call) -> Result:
    """CreateGroup."""
    name = call.parameters["GroupName"]
    _refuse_taken(call, name)
    arn = call.new_arn("group", name, call.parameters.get("Path"))
    call.directory.add_group(arn, created=call.now)
    return {"Group": group_of(call.tables.groups[arn])}


def get_group(call: Call) -> Result:
    """GetGroup: the group, and its users in pages."""
    group, entities = call.group(), call.tables.entities
    users = (entities[arn] for arn in call.directory.members(group.arn))
    return {"Group": group_of(group)} | page(call, "Users", users, lambda user: user.name, lambda user: user_of(call, user))


def update_group(call: Call) -> Result:
    """UpdateGroup: another name, another path, or both."""
    group = call.group()
    name = call.parameters.get("NewGroupName", group.name)
    _refuse_taken(call, name, own=group.arn)
    call.directory.rename(group.arn, name, path=call.parameters.get("NewPath"))
    return NOTHING


def delete_group(call: Call) -> Result:
    """DeleteGroup; refused while it has users or policies."""
    call.directory.delete_group(call.group().arn)
    return NOTHING


def list_groups(call: Call) -> Result:
    """ListGroups."""
    prefix = call.parameters.get("PathPrefix", "/")
    groups = (call.tables.groups[arn] for arn in call.directory.groups(call.account))
    return _page(call, (group for group in groups if group.path.startswith(prefix)))


def list_groups_for_user(call: Call) -> Result:
    """ListGroupsForUser."""
    groups = call.tables.groups  # a lenient load keeps the name of a group that is absent
    return _page(call, (groups[arn] for arn in call.user().groups if arn in groups))


def add_user_to_group(call: Call) -> Result:
    """AddUserToGroup; a user that is in it stays."""
    group = call.group()
    call.directory.add_user_to_group(call.user().arn, group.arn)
    return NOTHING


def remove_user_from_group(call: Call) -> Result:
    """RemoveUserFromGroup."""
    group, user = call.group(), call.user()
    if group.arn not in user.groups:
        raise ApiError("NoSuchEntity", f"User {user.name} is not in group {group.name}.")
    call.directory.remove_user_from_group(user.arn, group.arn)
    return NOTHING


def _refuse_taken(call: Call, name: str, own: str | None = None) -> None:
    """Refuse the name of another group; the case does not count."""
    if call.directory.find("group", name, call.account, call.partition, ignore_case=True) not in (None, own):
        raise ApiError("EntityAlreadyExists", f"Group with name {name} already exists.")


def _page(call: Call, groups: Iterable[Group]) -> dict[str, Any]:
    return page(call, "Groups", groups, lambda group: group.name, group_of)


def group_of(group: Group) -> dict[str, Any]:
    """A group as the output shape."""
    return without_nones(
        {
            "Path": group.path,
            "GroupName": group.name,
            "GroupId": group.unique_id,
            "Arn": group.arn,
            "CreateDate": group.created or UNKNOWN_DATE,
        }
    )


_GROUP = (Permission(p.group),)

OPERATIONS = {
    "CreateGroup": Operation(create_group, (Permission(p.created("group", "GroupName")),), writes=True),
    "GetGroup": Operation(get_group, _GROUP),
    "UpdateGroup": Operation(
        update_group, (Permission(p.group), Permission(p.renamed("group", "GroupName", "NewGroupName"))), writes=True
    ),
    "DeleteGroup": Operation(delete_group, _GROUP, writes=True),
    "ListGroups": Operation(list_groups, (Permission(p.listed("group")),)),
    "ListGroupsForUser": Operation(list_groups_for_user, (Permission(p.user),), is_short=True),
    "AddUserToGroup": Operation(add_user_to_group, _GROUP, writes=True),
    "RemoveUserFromGroup": Operation(remove_user_from_group, _GROUP, writes=True),
    **policy_operations("Group", Call.group, p.group, ()),
}
