"""IAM operations on users."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fastiam.directory.account_records import Entity
from fastiam.model.profile import PrincipalKind
from fastiam.server.protocols.aws import permissions as p
from fastiam.server.protocols.aws.aws_errors import ApiError
from fastiam.server.protocols.aws.calls import Call, Result
from fastiam.server.protocols.aws.documents import (
    UNKNOWN_DATE,
    boundary_of,
    require_policy,
    tag_list,
    without_nones,
)
from fastiam.server.protocols.aws.identity_policies import policy_operations
from fastiam.server.protocols.aws.operations import NOTHING, Operation
from fastiam.server.protocols.aws.pages import page, same, tag_key
from fastiam.sts.signed_calls import Permission


def create_user(call: Call) -> Result:
    """CreateUser."""
    name, path = call.parameters["UserName"], call.parameters.get("Path", "/")
    arn = call.new_arn("user", name, path)
    if call.directory.find("user", name, call.account, call.partition, ignore_case=True) is not None:
        raise ApiError("EntityAlreadyExists", f"User with name {name} already exists.")
    boundary = call.parameters.get("PermissionsBoundary")
    if boundary is not None:
        require_policy(call, boundary)
    call.directory.add_principal(arn, permissions_boundary=boundary, tags=p.tags_of(call), created=call.now)
    return {"User": user_of(call, call.tables.entities[arn], with_tags=True)}


def get_user(call: Call) -> Result:
    """GetUser; of the caller without a name."""
    if "UserName" not in call.parameters and call.kind is PrincipalKind.ROOT:
        return {"User": {"UserId": call.account, "Arn": call.principal_arn, "CreateDate": UNKNOWN_DATE}}
    return {"User": user_of(call, call.user(), with_tags=True)}


def update_user(call: Call) -> Result:
    """UpdateUser: another name, another path, or both."""
    user = call.user()
    name = call.parameters.get("NewUserName", user.name)
    taken = call.directory.find("user", name, call.account, call.partition, ignore_case=True)
    if taken not in (None, user.arn):
        raise ApiError("EntityAlreadyExists", f"User with name {name} already exists.")
    call.directory.rename(user.arn, name, path=call.parameters.get("NewPath"))
    return NOTHING


def delete_user(call: Call) -> Result:
    """DeleteUser; refused while it has policies, groups or credentials."""
    user = call.user()
    sts = call.sts
    for what, found in (
        ("access keys", sts.keys.list(user.arn)),
        ("login profile", sts.passwords.get(user.arn)),
        ("MFA devices", [device for device in sts.mfa.list(user.arn) if device.enabled is not None]),
    ):
        if found:
            raise ApiError("DeleteConflict", f"Cannot delete entity, must delete {what} first.")
    for device in sts.mfa.list(user.arn):
        sts.mfa.delete(device.serial)
    call.directory.delete_principal(user.arn)
    return NOTHING


def list_users(call: Call) -> Result:
    """ListUsers."""
    prefix = call.parameters.get("PathPrefix", "/")
    users = (user for user in users_of(call) if user.path.startswith(prefix))
    return page(call, "Users", users, _name, lambda user: user_of(call, user))


def tag_user(call: Call) -> Result:
    """TagUser."""
    call.directory.tag(call.user().arn, p.tags_of(call))
    return NOTHING


def untag_user(call: Call) -> Result:
    """UntagUser."""
    call.directory.untag(call.user().arn, call.parameters["TagKeys"])
    return NOTHING


def list_user_tags(call: Call) -> Result:
    """ListUserTags."""
    return page(call, "Tags", tag_list(call.user().tags), tag_key, same)


def put_user_permissions_boundary(call: Call) -> Result:
    """PutUserPermissionsBoundary."""
    user, boundary = call.user(), call.parameters["PermissionsBoundary"]
    require_policy(call, boundary)
    call.directory.set_permissions_boundary(user.arn, boundary)
    return NOTHING


def delete_user_permissions_boundary(call: Call) -> Result:
    """DeleteUserPermissionsBoundary."""
    user = call.user()
    if user.boundary is None:
        raise ApiError("NoSuchEntity", f"The user with name {user.name} does not have a permissions boundary.")
    call.directory.delete_permissions_boundary(user.arn)
    return NOTHING


# -- records as members ---------------------------------------------------------------------------------------------------


def users_of(call: Call) -> Iterable[Entity]:
    """The users of the caller's account."""
    entities = call.tables.entities
    arns = call.directory.principals(call.account)
    return (entities[arn] for arn in arns if entities[arn].kind is PrincipalKind.USER)


def user_of(call: Call, user: Entity, *, with_tags: bool = False) -> dict[str, Any]:
    """A user as the output shape. Listings leave tags and boundary out, as AWS does."""
    return without_nones(
        {
            "Path": user.path or "/",
            "UserName": user.name,
            "UserId": user.unique_id,
            "Arn": user.arn,
            "CreateDate": user.created or UNKNOWN_DATE,
            "PermissionsBoundary": boundary_of(user.boundary) if with_tags else None,
            "Tags": (tag_list(user.tags) or None) if with_tags else None,
        }
    )


def _name(user: Entity) -> str:
    return user.name


_ONE, _BOUNDED = (Permission(p.user),), (Permission(p.user, (p.boundary,)),)
_TAG = (Permission(p.user, (p.request_tags,)),)

OPERATIONS = {
    "CreateUser": Operation(
        create_user,
        (
            Permission(p.created("user", "UserName"), (p.new_boundary, p.request_tags)),
            Permission(p.created("user", "UserName"), (p.new_boundary, p.request_tags), "iam:TagUser", only_with="Tags"),
        ),
        writes=True,
    ),
    "GetUser": Operation(get_user, _ONE, is_short=True),
    "UpdateUser": Operation(
        update_user,
        (Permission(p.user), Permission(p.renamed("user", "UserName", "NewUserName"))),
        writes=True,
    ),
    "DeleteUser": Operation(delete_user, _ONE, writes=True),
    "ListUsers": Operation(list_users, (Permission(p.listed("user")),)),
    "TagUser": Operation(tag_user, _TAG, writes=True),
    "UntagUser": Operation(untag_user, _TAG, writes=True),
    "ListUserTags": Operation(list_user_tags, _ONE, is_short=True),
    "PutUserPermissionsBoundary": Operation(put_user_permissions_boundary, (Permission(p.user, (p.new_boundary,)),), writes=True),
    "DeleteUserPermissionsBoundary": Operation(delete_user_permissions_boundary, _BOUNDED, writes=True),
    **policy_operations("User", Call.user, p.user, (p.boundary,)),
}
