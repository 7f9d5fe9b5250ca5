"""IAM operations on roles."""

from __future__ import annotations

from typing import Any

from fastiam.directory.account_records import Entity
from fastiam.directory.principal_refs import parse_principal
from fastiam.model.profile import ROLES, PrincipalKind
from fastiam.server.protocols.aws import permissions as p
from fastiam.server.protocols.aws.aws_errors import ApiError
from fastiam.server.protocols.aws.calls import Call, Result
from fastiam.server.protocols.aws.documents import (
    UNKNOWN_DATE,
    boundary_of,
    document,
    require_policy,
    tag_list,
    without_nones,
)
from fastiam.server.protocols.aws.identity_policies import policy_operations
from fastiam.server.protocols.aws.operations import NOTHING, Operation
from fastiam.server.protocols.aws.pages import page, same, tag_key
from fastiam.sts.signed_calls import Permission


def create_role(call: Call) -> Result:
    """CreateRole."""
    given = call.parameters
    name = given["RoleName"]
    _refuse_signin_duration(call)
    if call.directory.find("role", name, call.account, call.partition, ignore_case=True) is not None:
        raise ApiError("EntityAlreadyExists", f"Role with name {name} already exists.")
    boundary = given.get("PermissionsBoundary")
    if boundary is not None:
        require_policy(call, boundary)
    arn = call.new_arn("role", name, given.get("Path"))
    if parse_principal(arn).kind is PrincipalKind.SLR:  # SCPs and RCPs do not apply to it (D11, D14)
        raise ApiError("InvalidInput", f"The path {given['Path']} is reserved for service-linked roles.")
    call.directory.add_principal(
        arn,
        trust_policy=document(call, "AssumeRolePolicyDocument"),
        permissions_boundary=boundary,
        tags=p.tags_of(call),
        created=call.now,
        description=given.get("Description", ""),
        **({"max_session_duration": given["MaxSessionDuration"]} if "MaxSessionDuration" in given else {}),
    )
    made = role_of(call.tables.entities[arn], is_complete=True)
    del made["MaxSessionDuration"]  # AWS leaves it out of this answer
    return {"Role": made}


def get_role(call: Call) -> Result:
    """GetRole. When a role was used is not recorded."""
    return {"Role": role_of(call.role(), is_complete=True) | {"RoleLastUsed": {}}}


def update_role(call: Call) -> Result:
    """UpdateRole: description, also of a service-linked role, and maximum session duration."""
    role, given = call.own_role() if "MaxSessionDuration" in call.parameters else call.role(), call.parameters
    _refuse_signin_duration(call)
    if "Description" in given:
        call.directory.set_description(role.arn, given["Description"])
    if "MaxSessionDuration" in given:
        call.directory.set_max_session_duration(role.arn, given["MaxSessionDuration"])
    return NOTHING


def update_role_description(call: Call) -> Result:
    """UpdateRoleDescription."""
    arn = call.role().arn
    call.directory.set_description(arn, call.parameters["Description"])
    return {"Role": role_of(call.tables.entities[arn], is_complete=True)}


def delete_role(call: Call) -> Result:
    """DeleteRole."""
    call.directory.delete_principal(call.own_role().arn)
    return NOTHING


def list_roles(call: Call) -> Result:
    """ListRoles."""
    prefix, entities = call.parameters.get("PathPrefix", "/"), call.tables.entities
    known = (entities[arn] for arn in call.directory.principals(call.account))
    roles = (role for role in known if role.kind in ROLES and role.path.startswith(prefix))
    return page(call, "Roles", roles, lambda role: role.name, role_of)


def update_assume_role_policy(call: Call) -> Result:
    """UpdateAssumeRolePolicy."""
    call.directory.set_trust_policy(call.own_role().arn, document(call))
    return NOTHING


def tag_role(call: Call) -> Result:
    """TagRole."""
    call.directory.tag(call.role().arn, p.tags_of(call))
    return NOTHING


def untag_role(call: Call) -> Result:
    """UntagRole."""
    call.directory.untag(call.role().arn, call.parameters["TagKeys"])
    return NOTHING


def list_role_tags(call: Call) -> Result:
    """ListRoleTags."""
    return page(call, "Tags", tag_list(call.role().tags), tag_key, same)


def put_role_permissions_boundary(call: Call) -> Result:
    """PutRolePermissionsBoundary."""
    role, boundary = call.own_role(), call.parameters["PermissionsBoundary"]
    require_policy(call, boundary)
    call.directory.set_permissions_boundary(role.arn, boundary)
    return NOTHING


def delete_role_permissions_boundary(call: Call) -> Result:
    """DeleteRolePermissionsBoundary."""
    role = call.own_role()
    if role.boundary is None:
        raise ApiError("NoSuchEntity", f"The role with name {role.name} does not have a permissions boundary.")
    call.directory.delete_permissions_boundary(role.arn)
    return NOTHING


def _refuse_signin_duration(call: Call) -> None:
    if "MaxSigninSessionDuration" in call.parameters or call.parameters.get("ResetMaxSigninSessionDuration"):
        raise ApiError("InvalidInput", "Durations of sign-in sessions are not supported.")


def role_of(role: Entity, *, is_complete: bool = False) -> dict[str, Any]:
    """A role as the output shape. Listings leave tags and boundary out, as AWS does."""
    return without_nones(
        {
            "Path": role.path or "/",
            "RoleName": role.name,
            "RoleId": role.unique_id,
            "Arn": role.arn,
            "CreateDate": role.created or UNKNOWN_DATE,
            "AssumeRolePolicyDocument": None if role.trust is None else role.trust.text,
            "Description": role.description or None,
            "MaxSessionDuration": role.max_session_duration,
            "PermissionsBoundary": boundary_of(role.boundary) if is_complete else None,
            "Tags": (tag_list(role.tags) or None) if is_complete else None,
        }
    )


_NEW = p.created("role", "RoleName")
_BOUNDED = (Permission(p.role, (p.boundary,)),)
_READ = (Permission(p.role),)
_TAG = (Permission(p.role, (p.request_tags,)),)

OPERATIONS = {
    "CreateRole": Operation(
        create_role,
        (
            Permission(_NEW, (p.new_boundary, p.request_tags)),
            Permission(_NEW, (p.new_boundary, p.request_tags), "iam:TagRole", only_with="Tags"),
        ),
        writes=True,
    ),
    "GetRole": Operation(get_role, _BOUNDED, is_short=True),
    "UpdateRole": Operation(update_role, _BOUNDED, writes=True),
    "UpdateRoleDescription": Operation(update_role_description, _BOUNDED, writes=True),
    "DeleteRole": Operation(delete_role, _BOUNDED, writes=True),
    "ListRoles": Operation(list_roles, (Permission(p.listed("role")),)),
    "UpdateAssumeRolePolicy": Operation(update_assume_role_policy, _BOUNDED, writes=True),
    "TagRole": Operation(tag_role, _TAG, writes=True),
    "UntagRole": Operation(untag_role, _TAG, writes=True),
    "ListRoleTags": Operation(list_role_tags, _READ, is_short=True),
    "PutRolePermissionsBoundary": Operation(put_role_permissions_boundary, (Permission(p.role, (p.new_boundary,)),), writes=True),
    "DeleteRolePermissionsBoundary": Operation(delete_role_permissions_boundary, _BOUNDED, writes=True),
    **policy_operations("Role", Call.role, p.role, (p.boundary,), changeable=Call.own_role),
}
