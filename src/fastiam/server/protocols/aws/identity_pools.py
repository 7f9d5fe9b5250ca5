"""Cognito identity pools: the pools and their roles, and the public calls that give identities and credentials."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fastiam.directory.identity_pool_records import IdentityPool
from fastiam.server.protocols.aws.aws_errors import ApiError
from fastiam.server.protocols.aws.calls import Call, Result
from fastiam.server.protocols.aws.model_calls import run
from fastiam.server.protocols.aws.operations import Operation
from fastiam.sts import signed_calls as p
from fastiam.sts.signed_calls import Permission

if TYPE_CHECKING:
    from fastiam.cognito.identity_pools import IdentityPools

_KEPT = ("IdentityPools", "Roles")  # members of answers that are there though they are empty


# -- what a call names ------------------------------------------------------------------------------------------------------


def _pools(call: Call) -> IdentityPools:
    return call.services.identity_pools


def _pool_arn(call: Call) -> str:
    """The ARN of the pool of `IdentityPoolId`; of one that the account does not have, the ARN that it would have."""
    id_: str = call.parameters["IdentityPoolId"]
    pool = _own(call)
    if pool is not None:
        return pool.arn
    return f"arn:{call.partition}:cognito-identity:{id_.partition(':')[0]}:{call.account}:identitypool/{id_}"


def _new_arn(call: Call) -> str:
    """The ARN of a new pool, whose id is not known yet."""
    return f"arn:{call.partition}:cognito-identity:{call.region}:{call.account}:identitypool/{call.region}:*"


def _own(call: Call) -> IdentityPool | None:
    """The pool of `IdentityPoolId`, if it is of the caller's account: of others a denial shows neither ARN nor tags."""
    pool = call.tables.identity_pools.get(call.parameters["IdentityPoolId"])
    return pool if pool is not None and pool.account == call.account else None


def _pool(call: Call) -> IdentityPool:
    """The pool of `IdentityPoolId`; those of other accounts and Regions do not exist for the caller."""
    id_: str = call.parameters["IdentityPoolId"]
    pool = call.tables.identity_pools.get(id_)
    if pool is None or (pool.account, pool.region) != (call.account, call.region):
        raise ApiError("ResourceNotFoundException", f"IdentityPool '{id_}' not found.")
    return pool


# -- condition keys ---------------------------------------------------------------------------------------------------------


def _stored_tags(call: Call, _: str) -> Mapping[str, Any]:
    pool = _own(call)
    return {} if pool is None else p.stored_tag_keys(pool.identity_pool_tags)


def _request_tags(call: Call, _: str) -> Mapping[str, Any]:
    return p.sent_tag_keys(call.parameters.get("IdentityPoolTags", {}))


# -- calls ------------------------------------------------------------------------------------------------------------------


def in_account(call: Call) -> Result:
    """A call that creates or lists pools."""
    return run(call, _pools(call), keep=_KEPT, account=call.account, region=call.region)


def of_pool(call: Call) -> Result:
    """A call on one pool. UpdateIdentityPool resets what is not given, but tags stay: they decide who may do what."""
    pool, is_update = _pool(call), call.operation.name == "UpdateIdentityPool"
    tags = {"identity_pool_tags": pool.identity_pool_tags} if is_update and "IdentityPoolTags" not in call.parameters else {}
    return run(call, _pools(call), keep=_KEPT, **tags)


def public(call: Call) -> Result:
    """A call of a client, which proves the right to it by its logins."""
    return run(call, _pools(call), source=str(call.context.get("aws:SourceIp", "")))


# -- the table --------------------------------------------------------------------------------------------------------------


def _passed(call: Call) -> tuple[str, ...]:
    """The roles that a pool gets: the caller must be allowed to pass each of them to the service."""
    mappings = call.parameters.get("RoleMappings", {}).values()
    rules = [rule for each in mappings for rule in each.get("RulesConfiguration", {}).get("Rules", ())]
    return tuple(dict.fromkeys([*call.parameters["Roles"].values(), *(rule["RoleARN"] for rule in rules)]))


_POOL = Permission(_pool_arn, (_stored_tags,))
_PASS = Permission(_passed, (p.passed_to("cognito-identity.amazonaws.com"),), action="iam:PassRole")
_TAG = Permission(_pool_arn, (_stored_tags, _request_tags), action="cognito-identity:TagResource", only_with="IdentityPoolTags")

_TAG_NEW = Permission(_new_arn, (_request_tags,), action="cognito-identity:TagResource", only_with="IdentityPoolTags")

OPERATIONS = {
    "CreateIdentityPool": Operation(in_account, (Permission(p.everything, (_request_tags,)), _TAG_NEW), writes=True),
    "DescribeIdentityPool": Operation(of_pool, (_POOL,)),
    "UpdateIdentityPool": Operation(of_pool, (_POOL, _TAG), writes=True),
    "DeleteIdentityPool": Operation(of_pool, (_POOL,), writes=True),
    "ListIdentityPools": Operation(in_account, (Permission(p.everything),)),
    "SetIdentityPoolRoles": Operation(of_pool, (_POOL, _PASS), writes=True),
    "GetIdentityPoolRoles": Operation(of_pool, (_POOL,)),
    "GetId": Operation(public, library_decides=True, may_fetch=True),
    "GetCredentialsForIdentity": Operation(public, library_decides=True, may_fetch=True),
    "GetOpenIdToken": Operation(public, library_decides=True, may_fetch=True),
}
