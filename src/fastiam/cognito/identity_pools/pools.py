"""The IAM-authorised calls about pools: create, update, list, delete, tags, roles and principal tags."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from fastiam.aws_data.service_models import service, snake
from fastiam.cognito.cognito_errors import CognitoError
from fastiam.cognito.identity_pools import parameters
from fastiam.cognito.identity_pools.call_parts import Calls, page_token, read_page_token
from fastiam.cognito.identity_pools.results import IdentityPoolPage, IdentityPoolRoles, PrincipalTagAttributeMap
from fastiam.cognito.identity_pools.tags import claims_of
from fastiam.cognito.identity_pools.user_writable import warnings_for
from fastiam.directory.identity_pool_records import CognitoIdentityProvider, IdentityPool, PrincipalTagMap, RoleMapping
from fastiam.federation.audit import Entry
from fastiam.model.request import shorten

Struct = Mapping[str, Any]
MAX_POOLS = 1_000  # of an account and region


class PoolCalls(Calls):
    """What administrators call about pools. Each write is one transaction and one audit event."""

    def create_identity_pool(
        self,
        identity_pool_name: str,
        allow_unauthenticated_identities: bool,
        *,
        account: str,
        region: str,
        allow_classic_flow: bool = False,
        supported_login_providers: Mapping[str, str] = {},
        developer_provider_name: str | None = None,
        open_id_connect_provider_arns: Sequence[str] = (),
        cognito_identity_providers: Sequence[CognitoIdentityProvider | Struct] = (),
        saml_provider_arns: Sequence[str] = (),
        identity_pool_tags: Mapping[str, str] = {},
    ) -> IdentityPool:
        """CreateIdentityPool in an account and region.

        Parameters
        ----------
        supported_login_providers
            `accounts.google.com`, `appleid.apple.com`, `graph.facebook.com` or `www.amazon.com` to the ids of the application,
            separated by `;`.
        developer_provider_name
            the backend's own name; fixed once it is set.
        cognito_identity_providers
            user pools with an app client. Structures are mappings with the names of the API.

        Raises
        ------
        CognitoError
            `InvalidParameterException` or `LimitExceededException`.
        """
        given, now = _settings(locals()), self._state.now()
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
                if len(self._of_region(account, region)) >= MAX_POOLS:
                    message = f"an account has at most {MAX_POOLS:,} identity pools in a region"
                    raise CognitoError(message, rule="ID10", code="LimitExceededException")
                self._state.directory.add_identity_pool(pool)
        return pool

    def describe_identity_pool(self, identity_pool_id: str) -> IdentityPool:
        """DescribeIdentityPool."""
        return self._pool(identity_pool_id)

    def update_identity_pool(
        self,
        identity_pool_id: str,
        identity_pool_name: str,
        allow_unauthenticated_identities: bool,
        *,
        allow_classic_flow: bool = False,
        supported_login_providers: Mapping[str, str] = {},
        developer_provider_name: str | None = None,
        open_id_connect_provider_arns: Sequence[str] = (),
        cognito_identity_providers: Sequence[CognitoIdentityProvider | Struct] = (),
        saml_provider_arns: Sequence[str] = (),
        identity_pool_tags: Mapping[str, str] = {},
    ) -> IdentityPool:
        """UpdateIdentityPool. A parameter that is not given is reset to its default, except the developer provider.

        Raises
        ------
        CognitoError
            `InvalidParameterException` or `ResourceNotFoundException`.
        """
        given = _settings(locals())
        with self._call("UpdateIdentityPool", identity_pool_id), self._state.directory.transaction():
            pool = self._pool(identity_pool_id)
            fixed, name = pool.developer_provider_name, given["developer_provider_name"]
            if fixed and name not in (None, fixed):
                parameters.wrong("the name of the developer provider cannot be changed", "ID10")
            return self._put(_configured(pool, {**given, "developer_provider_name": fixed or name}))

    def delete_identity_pool(self, identity_pool_id: str) -> None:
        """DeleteIdentityPool, with all of its identities. Sessions that exist go on."""
        with self._call("DeleteIdentityPool", identity_pool_id), self._state.directory.transaction():
            self._state.directory.delete_identity_pool(self._pool(identity_pool_id).identity_pool_id)

    def _of_region(self, account: str, region: str) -> list[IdentityPool]:
        """The pools of an account in a region, by creation."""
        pools = self._state.tables.identity_pools.values()
        found = [pool for pool in pools if pool.account == account and pool.region == region]
        return sorted(found, key=lambda pool: (pool.created, pool.identity_pool_id))

    def list_identity_pools(
        self, max_results: int = 60, *, account: str, region: str, next_token: str | None = None
    ) -> IdentityPoolPage:
        """ListIdentityPools of an account in a region, in order of creation."""
        parameters.read_scope(account, region)
        parameters.read_number(max_results, "max_results", 1, parameters.MAX_PAGE)
        seen = read_page_token(next_token)
        pools = [pool for pool in self._of_region(account, region) if seen is None or _place(pool) > tuple(seen)]
        more = len(pools) > max_results
        page = tuple(pools[:max_results])
        return IdentityPoolPage(page, page_token(*_place(page[-1])) if more else None)

    # -- tags of pools --------------------------------------------------------------------------------------------------------

    def _by_arn(self, resource_arn: str) -> IdentityPool:
        """The pool with an ARN."""
        found = self._state.tables.identity_pools.get(str(resource_arn).rpartition(":identitypool/")[2])
        if found is None or found.arn != resource_arn:
            raise CognitoError("identity pool not found", rule="ID66", code="ResourceNotFoundException")
        return found

    def tag_resource(self, resource_arn: str, tags: Mapping[str, str]) -> None:
        """TagResource."""
        with self._call("TagResource", resource_arn), self._state.directory.transaction():
            pool = self._by_arn(resource_arn)
            new = {**pool.identity_pool_tags, **parameters.read_tags(tags, "tags")}
            self._put(replace(pool, identity_pool_tags=parameters.read_tags(new, "tags")))

    def untag_resource(self, resource_arn: str, tag_keys: Sequence[str]) -> None:
        """UntagResource. Keys that are not there are left out."""
        with self._call("UntagResource", resource_arn), self._state.directory.transaction():
            pool = self._by_arn(resource_arn)
            keys = parameters.read_list(tag_keys, "tag_keys")
            left = {key: value for key, value in pool.identity_pool_tags.items() if key not in keys}
            self._put(replace(pool, identity_pool_tags=left))

    def list_tags_for_resource(self, resource_arn: str) -> dict[str, str]:
        """ListTagsForResource."""
        return dict(self._by_arn(resource_arn).identity_pool_tags)

    # -- roles and principal tags ---------------------------------------------------------------------------------------------

    def set_identity_pool_roles(
        self,
        identity_pool_id: str,
        roles: Mapping[str, str],
        role_mappings: Mapping[str, RoleMapping | Struct] | None = None,
    ) -> IdentityPoolRoles:
        """SetIdentityPoolRoles: replaces roles and role mappings. Warns about claims that users can set themselves.

        Parameters
        ----------
        roles
            `authenticated` and `unauthenticated` to the ARN of a role.
        role_mappings
            provider to mapping: `<user pool>:<client id>`, the ARN of an OIDC or SAML provider, or another name.
        """
        with self._call("SetIdentityPoolRoles", identity_pool_id) as entry, self._state.directory.transaction():
            pool = self._pool(identity_pool_id)
            read = parameters.read_mappings({} if role_mappings is None else role_mappings, pool.cognito_identity_providers)
            for provider, mapping in read.items():
                for number, rule in enumerate(mapping.rules, 1):
                    where = f"rule {number} of `{provider}`"
                    for warning in warnings_for(pool, provider, rule.claim, where, self._user_pools, rule.match_type):
                        entry.warn(warning)
            self._put(replace(pool, roles=parameters.read_roles(roles), role_mappings=read))
        return replace(self.get_identity_pool_roles(identity_pool_id), warnings=tuple(entry.warnings))

    def get_identity_pool_roles(self, identity_pool_id: str) -> IdentityPoolRoles:
        """GetIdentityPoolRoles."""
        pool = self._pool(identity_pool_id)
        return IdentityPoolRoles(pool.identity_pool_id, dict(pool.roles), dict(pool.role_mappings))

    def set_principal_tag_attribute_map(
        self,
        identity_pool_id: str,
        identity_provider_name: str,
        *,
        use_defaults: bool = False,
        principal_tags: Mapping[str, str] | None = None,
    ) -> PrincipalTagAttributeMap:
        """SetPrincipalTagAttributeMap: the claims of a provider's logins that become session tags. Without any there are none.

        Parameters
        ----------
        identity_provider_name
            `cognito-idp.<region>.amazonaws.com/<pool id>`, the ARN of an OIDC or SAML provider, or a name.
        use_defaults
            `username` from `sub` and `client` from `aud`.
        principal_tags
            tag key to claim.
        """
        with self._call("SetPrincipalTagAttributeMap", identity_pool_id) as entry, self._state.directory.transaction():
            pool = self._pool(identity_pool_id)
            provider = parameters.read_text(identity_provider_name, "name of a provider", 128)
            map_ = parameters.read_tag_map(use_defaults, {} if principal_tags is None else principal_tags)
            for key, claim in claims_of(map_, provider).items():
                for warning in warnings_for(pool, provider, claim, f"tag `{key}` of `{provider}`", self._user_pools):
                    entry.warn(warning)
            maps = {**pool.tag_maps, provider: map_}
            self._put(replace(pool, tag_maps={name: each for name, each in maps.items() if each != PrincipalTagMap()}))
        return replace(self.get_principal_tag_attribute_map(identity_pool_id, provider), warnings=tuple(entry.warnings))

    def get_principal_tag_attribute_map(self, identity_pool_id: str, identity_provider_name: str) -> PrincipalTagAttributeMap:
        """GetPrincipalTagAttributeMap."""
        pool = self._pool(identity_pool_id)
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


def _settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """The members of CreateIdentityPool among the parameters of a method."""
    shape = service("cognito-identity").operations["CreateIdentityPool"].input
    assert shape is not None
    return {snake(member): given[snake(member)] for member in shape.members}


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


def _place(pool: IdentityPool) -> tuple[str, str]:
    return pool.created.isoformat(), pool.identity_pool_id
