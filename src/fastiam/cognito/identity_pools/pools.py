"""The IAM-authorised calls about pools: create, update, list, delete, tags, roles and principal tags."""

from __future__ import annotations

import base64
import binascii
import uuid
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from fastiam.cognito.errors import CognitoError
from fastiam.cognito.identity_pools import parameters
from fastiam.cognito.identity_pools.results import IdentityPoolPage, IdentityPoolRoles, PrincipalTagAttributeMap
from fastiam.cognito.identity_pools.tags import claims_of
from fastiam.cognito.identity_pools.user_pools import DirectoryUserPools
from fastiam.cognito.identity_pools.user_writable import warnings_for
from fastiam.directory.identity_pool_records import IdentityPool, PrincipalTagMap
from fastiam.federation.audit import Entry
from fastiam.federation.state import FederationState
from fastiam.model.request import shorten

MAX_POOLS = 1_000  # of an account and region


class Pools:
    """The identity pools of a directory. Each write is one transaction and one audit event."""

    def __init__(self, state: FederationState, user_pools: DirectoryUserPools) -> None:
        self._state, self._user_pools = state, user_pools

    def get(self, identity_pool_id: str) -> IdentityPool:
        """The pool with an id.

        Raises
        ------
        CognitoError
            `InvalidParameterException` or `ResourceNotFoundException`.
        """
        pool = self._state.tables.identity_pools.get(parameters.read_id(identity_pool_id))
        if pool is None:
            message = f"identity pool not found: `{identity_pool_id}`"
            raise CognitoError(message, rule="ID66", code="ResourceNotFoundException")
        return pool

    def create(self, account: str, region: str, given: Mapping[str, Any]) -> IdentityPool:
        """CreateIdentityPool."""
        now = self._state.now()
        with self._state.auditor.call("CreateIdentityPool", now, account=str(account), region=str(region)) as entry:
            parameters.read_scope(account, region)
            pool = _configured(
                IdentityPool(
                    identity_pool_id=f"{region}:{uuid.uuid4()}",
                    account=account,
                    identity_pool_name="",
                    allow_unauthenticated_identities=False,
                    created=now,
                ),
                given,
            )
            entry.add(pool=pool.identity_pool_id, name=pool.identity_pool_name)
            with self._state.directory.transaction():
                if len(self.of_region(account, region)) >= MAX_POOLS:
                    message = f"an account has at most {MAX_POOLS:,} identity pools in a region"
                    raise CognitoError(message, rule="ID10", code="LimitExceededException")
                self._state.directory.add_identity_pool(pool)
        return pool

    def update(self, identity_pool_id: str, given: Mapping[str, Any]) -> IdentityPool:
        """UpdateIdentityPool: all parameters that are not given have their defaults afterwards."""
        with self._call("UpdateIdentityPool", identity_pool_id), self._state.directory.transaction():
            pool = self.get(identity_pool_id)
            fixed, name = pool.developer_provider_name, given["developer_provider_name"]
            if fixed and name not in (None, fixed):
                parameters.wrong("the name of the developer provider cannot be changed", "ID10")
            return self._put(_configured(pool, {**given, "developer_provider_name": fixed or name}))

    def delete(self, identity_pool_id: str) -> None:
        """DeleteIdentityPool: its identities go with it."""
        with self._call("DeleteIdentityPool", identity_pool_id), self._state.directory.transaction():
            self._state.directory.delete_identity_pool(self.get(identity_pool_id).identity_pool_id)

    def of_region(self, account: str, region: str) -> list[IdentityPool]:
        """The pools of an account in a region, by creation."""
        pools = self._state.tables.identity_pools.values()
        found = [pool for pool in pools if pool.account == account and pool.region == region]
        return sorted(found, key=lambda pool: (pool.created, pool.identity_pool_id))

    def list(self, account: str, region: str, max_results: int, next_token: str | None) -> IdentityPoolPage:
        """ListIdentityPools."""
        parameters.read_scope(account, region)
        parameters.read_number(max_results, "max_results", 1, parameters.MAX_PAGE)
        seen = read_page_token(next_token)
        pools = [pool for pool in self.of_region(account, region) if seen is None or _place(pool) > tuple(seen)]
        more = len(pools) > max_results
        page = tuple(pools[:max_results])
        return IdentityPoolPage(page, page_token(*_place(page[-1])) if more else None)

    # -- tags of pools --------------------------------------------------------------------------------------------------------

    def by_arn(self, resource_arn: str) -> IdentityPool:
        """The pool with an ARN."""
        found = self._state.tables.identity_pools.get(str(resource_arn).rpartition(":identitypool/")[2])
        if found is None or found.arn != resource_arn:
            raise CognitoError("identity pool not found", rule="ID66", code="ResourceNotFoundException")
        return found

    def tag(self, resource_arn: str, tags: Mapping[str, str]) -> None:
        """TagResource."""
        with self._call("TagResource", resource_arn), self._state.directory.transaction():
            pool = self.by_arn(resource_arn)
            new = {**pool.identity_pool_tags, **parameters.read_tags(tags, "tags")}
            self._put(replace(pool, identity_pool_tags=parameters.read_tags(new, "tags")))

    def untag(self, resource_arn: str, tag_keys: Sequence[str]) -> None:
        """UntagResource. Keys that are not there are left out."""
        with self._call("UntagResource", resource_arn), self._state.directory.transaction():
            pool = self.by_arn(resource_arn)
            keys = parameters.read_list(tag_keys, "tag_keys")
            left = {key: value for key, value in pool.identity_pool_tags.items() if key not in keys}
            self._put(replace(pool, identity_pool_tags=left))

    # -- roles and principal tags ---------------------------------------------------------------------------------------------

    def set_roles(self, identity_pool_id: str, roles: Mapping[str, str], role_mappings: Mapping[str, Any]) -> IdentityPoolRoles:
        """SetIdentityPoolRoles: replaces all."""
        with self._call("SetIdentityPoolRoles", identity_pool_id) as entry, self._state.directory.transaction():
            pool = self.get(identity_pool_id)
            read = parameters.read_mappings(role_mappings, pool.cognito_identity_providers)
            for provider, mapping in read.items():
                for number, rule in enumerate(mapping.rules, 1):
                    where = f"rule {number} of `{provider}`"
                    for warning in warnings_for(pool, provider, rule.claim, where, self._user_pools, rule.match_type):
                        entry.warn(warning)
            self._put(replace(pool, roles=parameters.read_roles(roles), role_mappings=read))
        return replace(self.roles(identity_pool_id), warnings=tuple(entry.warnings))

    def roles(self, identity_pool_id: str) -> IdentityPoolRoles:
        """GetIdentityPoolRoles."""
        pool = self.get(identity_pool_id)
        return IdentityPoolRoles(pool.identity_pool_id, dict(pool.roles), dict(pool.role_mappings))

    def set_tag_map(
        self, identity_pool_id: str, identity_provider_name: str, use_defaults: bool, principal_tags: Mapping[str, str]
    ) -> PrincipalTagAttributeMap:
        """SetPrincipalTagAttributeMap."""
        with self._call("SetPrincipalTagAttributeMap", identity_pool_id) as entry, self._state.directory.transaction():
            pool = self.get(identity_pool_id)
            provider = parameters.read_text(identity_provider_name, "name of a provider", 128)
            map_ = parameters.read_tag_map(use_defaults, principal_tags)
            for key, claim in claims_of(map_, provider).items():
                for warning in warnings_for(pool, provider, claim, f"tag `{key}` of `{provider}`", self._user_pools):
                    entry.warn(warning)
            maps = {**pool.tag_maps, provider: map_}
            self._put(replace(pool, tag_maps={name: each for name, each in maps.items() if each != PrincipalTagMap()}))
        return replace(self.tag_map(identity_pool_id, provider), warnings=tuple(entry.warnings))

    def tag_map(self, identity_pool_id: str, identity_provider_name: str) -> PrincipalTagAttributeMap:
        """GetPrincipalTagAttributeMap. Without a map there are no tags."""
        pool = self.get(identity_pool_id)
        provider = parameters.read_text(identity_provider_name, "name of a provider", 128)
        map_ = pool.tag_maps.get(provider, PrincipalTagMap())
        return PrincipalTagAttributeMap(pool.identity_pool_id, provider, map_.use_defaults, dict(claims_of(map_, provider)))

    # -- parts ----------------------------------------------------------------------------------------------------------------

    def _call(self, kind: str, of: str) -> AbstractContextManager[Entry]:
        id_ = str(of).rpartition("/")[2]
        known = self._state.tables.identity_pools.get(id_)
        account, region = ("", "") if known is None else (known.account, known.region)
        return self._state.auditor.call(kind, self._state.now(), account=account, region=region, pool=shorten(id_))

    def _put(self, pool: IdentityPool) -> IdentityPool:
        self._state.directory.replace_identity_pool(pool)
        return pool


def _configured(pool: IdentityPool, given: Mapping[str, Any]) -> IdentityPool:
    """A pool with other parameters."""
    developer, account = given["developer_provider_name"], pool.account
    oidc = given["open_id_connect_provider_arns"]
    new = replace(
        pool,
        identity_pool_name=parameters.read_pool_name(given["identity_pool_name"]),
        allow_unauthenticated_identities=parameters.read_flag(
            given["allow_unauthenticated_identities"], "allow_unauthenticated_identities"
        ),
        allow_classic_flow=parameters.read_flag(given["allow_classic_flow"], "allow_classic_flow"),
        supported_login_providers=parameters.read_login_providers(given["supported_login_providers"]),
        developer_provider_name=parameters.read_developer_name(developer) if developer else "",
        open_id_connect_provider_arns=parameters.read_providers(oidc, "open_id_connect_provider_arns", "oidc-provider", account),
        cognito_identity_providers=parameters.read_user_pools(given["cognito_identity_providers"]),
        saml_provider_arns=parameters.read_providers(given["saml_provider_arns"], "saml_provider_arns", "saml-provider", account),
        identity_pool_tags=parameters.read_tags(given["identity_pool_tags"], "identity_pool_tags"),
    )
    if any(arn.endswith(f":oidc-provider/{developer}") for arn in new.open_id_connect_provider_arns):
        parameters.wrong("the developer provider and an OIDC provider have one name", "ID10")
    return new


# -- pages --------------------------------------------------------------------------------------------------------------------


def _place(pool: IdentityPool) -> tuple[str, str]:
    return pool.created.isoformat(), pool.identity_pool_id


def page_token(*place: str) -> str:
    """The `NextToken` after an entry. It is a place in a list, not a secret."""
    return base64.urlsafe_b64encode("\n".join(place).encode()).decode()


def read_page_token(token: object) -> list[str] | None:
    """The place of a `NextToken`; None for the first page.

    Raises
    ------
    CognitoError
        it is not one.
    """
    if token is None:
        return None
    try:
        place = base64.b64decode(str(token).encode(), altchars=b"-_", validate=True).decode().split("\n")
    except (ValueError, binascii.Error):
        place = []
    if len(place) != 2 or not isinstance(token, str):
        parameters.wrong("`next_token` is not one of this list")
    return place
