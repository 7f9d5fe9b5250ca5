"""Warnings about claims that a user can set himself, in rules and principal tags (ID55). The decision stays AWS's."""

from __future__ import annotations

from collections.abc import Iterator

from fastiam.cognito.identity_pools.parameters import is_user_pool
from fastiam.cognito.identity_pools.user_pool_tokens import DirectoryUserPools
from fastiam.directory.identity_pool_records import IdentityPool

CODE = "user_writable_claim"
_UNVERIFIED = frozenset({"email", "phone_number"})  # in the token also while they are not verified
_LISTS = frozenset({"cognito:groups", "cognito:roles"})  # `Contains` compares whole elements of them


def warnings_for(
    pool: IdentityPool, provider: str, claim: str, where: str, user_pools: DirectoryUserPools, match_type: str = ""
) -> Iterator[str]:
    """The warnings about one use of a claim. `provider` is a key of role mappings or of principal tags."""
    if match_type == "Contains" and claim not in _LISTS:
        yield f"{where}: `Contains` also matches longer values of `{claim}` [{CODE}]"
    name, _, client = provider.partition(":")
    if not is_user_pool(name):
        return
    configured = [each.client_id for each in pool.cognito_identity_providers if each.provider_name == name]
    writable = user_pools.writable_attributes(name.partition("/")[2], [client] if client else configured)
    if claim in _UNVERIFIED or claim in writable:
        yield f"{where}: users can set the claim `{claim}` themselves [{CODE}]"
