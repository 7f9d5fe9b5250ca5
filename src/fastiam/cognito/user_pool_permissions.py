"""What a call that is not public needs: actions, resources and condition keys (UP1). A server decides by the same table."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from fastiam.aws_data.service_models import service
from fastiam.cognito.cognito_errors import CognitoError
from fastiam.directory.user_pool_records import Pool
from fastiam.directory.user_pool_store import UserPoolStore
from fastiam.sts.signed_calls import Permission, SignedCall, everything, given, passed_to, sent_tag_keys, stored_tag_keys

DECIDED_ON = {"UserPoolId", "ResourceArn", "Domain", "RoleArn", "UserPoolTags", "Tags", "TagKeys"}
"""The parameters that a decision is about."""
_TAGS = ("UserPoolTags", "Tags")


def named_pool(call: SignedCall) -> Pool | None:
    """The pool that a call names, of any account."""
    tables = call.directory.join(UserPoolStore()).tables
    id_ = call.parameters.get("UserPoolId") or call.parameters.get("ResourceArn", "").rpartition("userpool/")[2]
    domain = tables.domains.get(call.parameters.get("Domain", ""))
    pool: Pool | None = tables.pools.get(id_ or (domain.pool if domain is not None else ""))
    return pool


def check_own(call: SignedCall, region: str | None = None) -> None:
    """Check that a call names no pool of another account, or of another Region if one is given: they do not exist for it.

    Raises
    ------
    CognitoError
        ResourceNotFoundException.
    """
    pool = named_pool(call)
    if pool is not None and (pool.account != call.account or region not in (None, pool.region)):
        raise CognitoError(f"User pool {pool.id} does not exist.", code="ResourceNotFoundException", rule="UP1")


def _own(call: SignedCall) -> Pool | None:
    """The same, if it is of the caller's account: of others a denial shows neither ARN nor tags."""
    pool = named_pool(call)
    return pool if pool is not None and pool.account == call.account else None


def _resource(call: SignedCall) -> str:
    """The ARN of the pool that a call names; of one that the account does not have, the ARN that it would have."""
    if "ResourceArn" in call.parameters:
        return str(call.parameters["ResourceArn"])
    id_, pool = call.parameters.get("UserPoolId", ""), _own(call)
    if pool is not None:
        return pool.arn
    return f"arn:{call.partition}:cognito-idp:{id_.partition('_')[0]}:{call.account}:userpool/{id_}"


def _new_arn(call: SignedCall) -> str:
    """The ARN of a new pool, whose id is not known yet."""
    return f"arn:{call.partition}:cognito-idp:{call.region}:{call.account}:userpool/{call.region}_*"


def _stored_tags(call: SignedCall, _: str) -> Mapping[str, Any]:
    pool = _own(call)
    return {} if pool is None else stored_tag_keys(pool.tags)


def _sent_tags(call: SignedCall, _: str) -> Mapping[str, Any]:
    tags: Mapping[str, str] = next((call.parameters[name] for name in _TAGS if name in call.parameters), {})
    return sent_tag_keys(tags, call.parameters.get("TagKeys", ()))


_PASS = Permission(given("RoleArn"), (passed_to("cognito-idp.amazonaws.com"),), action="iam:PassRole", only_with="RoleArn")
_TAG_NEW = Permission(_new_arn, (_sent_tags,), action="cognito-idp:TagResource", only_with="UserPoolTags")
_TAG = Permission(_resource, (_stored_tags, _sent_tags), action="cognito-idp:TagResource", only_with="UserPoolTags")


@cache
def permissions(operation: str) -> tuple[Permission, ...]:
    """The permissions of a call that is not public: its own, and those of what its parameters do beside it."""
    shape = service("cognito-idp").operations[operation].input
    members = () if shape is None else shape.members
    names_pool = not {"UserPoolId", "ResourceArn"}.isdisjoint(members)
    needed = [Permission(_resource if names_pool else everything, (_stored_tags, _sent_tags))]
    if "RoleArn" in members:  # the role of a group, which its users may get
        needed.append(_PASS)
    if "UserPoolTags" in members:
        needed.append(_TAG if names_pool else _TAG_NEW)
    return tuple(needed)
