"""Cognito user pools: the library runs each call; this module decides the signed ones on the pool that they name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastiam.aws_data.service_models import service
from fastiam.directory.user_pool_records import Pool
from fastiam.directory.user_pool_store import UserPoolStore
from fastiam.server.protocols.aws import permissions as p
from fastiam.server.protocols.aws.calls import Call, Result
from fastiam.server.protocols.aws.errors import ApiError
from fastiam.server.protocols.aws.operations import Operation
from fastiam.server.protocols.aws.permissions import Permission

# Operations on outside providers are absent: nothing here would use what they set.
_SIGNED = """
    CreateUserPool DescribeUserPool UpdateUserPool DeleteUserPool ListUserPools AddCustomAttributes
    GetUserPoolMfaConfig SetUserPoolMfaConfig TagResource UntagResource ListTagsForResource
    CreateUserPoolClient DescribeUserPoolClient UpdateUserPoolClient DeleteUserPoolClient ListUserPoolClients
    AddUserPoolClientSecret DeleteUserPoolClientSecret ListUserPoolClientSecrets
    AdminCreateUser AdminGetUser AdminDeleteUser AdminEnableUser AdminDisableUser ListUsers
    AdminSetUserPassword AdminResetUserPassword AdminConfirmSignUp AdminUserGlobalSignOut
    AdminUpdateUserAttributes AdminDeleteUserAttributes AdminSetUserMFAPreference AdminDeleteSoftwareToken
    AdminInitiateAuth AdminRespondToAuthChallenge
    CreateUserPoolDomain DescribeUserPoolDomain DeleteUserPoolDomain
    CreateResourceServer DescribeResourceServer UpdateResourceServer DeleteResourceServer ListResourceServers
    CreateGroup GetGroup UpdateGroup DeleteGroup ListGroups
    AdminAddUserToGroup AdminRemoveUserFromGroup AdminListGroupsForUser ListUsersInGroup
""".split()
_PUBLIC = """
    InitiateAuth RespondToAuthChallenge GetTokensFromRefreshToken RevokeToken GlobalSignOut
    SignUp ConfirmSignUp ResendConfirmationCode ForgotPassword ConfirmForgotPassword
    GetUser UpdateUserAttributes DeleteUserAttributes DeleteUser ChangePassword
    GetUserAttributeVerificationCode VerifyUserAttribute
    AssociateSoftwareToken VerifySoftwareToken SetUserMFAPreference
""".split()
_TAGS = ("UserPoolTags", "Tags")


# -- what a call names ------------------------------------------------------------------------------------------------------


def _stored(call: Call) -> Pool | None:
    """The pool that a call names, of any account."""
    tables = call.directory.join(UserPoolStore()).tables
    id_ = call.parameters.get("UserPoolId") or call.parameters.get("ResourceArn", "").rpartition("userpool/")[2]
    domain = tables.domains.get(call.parameters.get("Domain", ""))
    pool: Pool | None = tables.pools.get(id_ or (domain.pool if domain is not None else ""))
    return pool


def _own(call: Call) -> Pool | None:
    """The same, if it is of the caller's account: of others a denial shows neither ARN nor tags."""
    pool = _stored(call)
    return pool if pool is not None and pool.account == call.account else None


def _resource(call: Call) -> str:
    """The ARN of the pool that a call names; of one that the account does not have, the ARN that it would have."""
    if "ResourceArn" in call.parameters:
        return str(call.parameters["ResourceArn"])
    id_, pool = call.parameters["UserPoolId"], _own(call)
    if pool is not None:
        return pool.arn
    return f"arn:{call.partition}:cognito-idp:{id_.partition('_')[0]}:{call.account}:userpool/{id_}"


def _new_arn(call: Call) -> str:
    """The ARN of a new pool, whose id is not known yet."""
    return f"arn:{call.partition}:cognito-idp:{call.region}:{call.account}:userpool/{call.region}_*"


def _stored_tags(call: Call, _: str) -> Mapping[str, Any]:
    pool = _own(call)
    return {} if pool is None else {f"aws:ResourceTag/{key}": value for key, value in pool.tags.items()}


def _request_tags(call: Call, _: str) -> Mapping[str, Any]:
    tags: Mapping[str, str] = next((call.parameters[name] for name in _TAGS if name in call.parameters), {})
    keys = [*tags, *call.parameters.get("TagKeys", ())]
    return {f"aws:RequestTag/{key}": value for key, value in tags.items()} | ({"aws:TagKeys": keys} if keys else {})


# -- calls ------------------------------------------------------------------------------------------------------------------


def signed(call: Call) -> Result:
    """A call on the caller's account: pools of other accounts and Regions do not exist for it."""
    pool = _stored(call)
    if pool is not None and (pool.account, pool.region) != (call.account, call.region):
        raise ApiError("ResourceNotFoundException", f"User pool {pool.id} does not exist.")
    return call.services.user_pools.run(call.operation.name, call.parameters, account=call.account, region=call.region)


def public(call: Call) -> Result:
    """A call of a user, who proves the right to it by what the call contains."""
    return call.services.user_pools.call(call.operation.name, call.parameters)


# -- the table --------------------------------------------------------------------------------------------------------------

_PASS = Permission(p.given("RoleArn"), (p.passed_to("cognito-idp.amazonaws.com"),), action="iam:PassRole", only_with="RoleArn")
_TAG_NEW = Permission(_new_arn, (_request_tags,), action="cognito-idp:TagResource", only_with="UserPoolTags")
_TAG = Permission(_resource, (_stored_tags, _request_tags), action="cognito-idp:TagResource", only_with="UserPoolTags")


def _signed(name: str) -> Operation:
    shape = service("cognito-idp").operations[name].input
    assert shape is not None
    names_pool = not {"UserPoolId", "ResourceArn"}.isdisjoint(shape.members)
    permissions = [Permission(_resource if names_pool else p.everything, (_stored_tags, _request_tags))]
    if "RoleArn" in shape.members:  # the role of a group, which its users may get
        permissions.append(_PASS)
    if "UserPoolTags" in shape.members:
        permissions.append(_TAG if names_pool else _TAG_NEW)
    return Operation(signed, tuple(permissions), own_transactions=True)


OPERATIONS = {name: _signed(name) for name in _SIGNED} | {
    name: Operation(public, library_decides=True, own_transactions=True) for name in _PUBLIC
}
