"""Answers of the calls of identity pools. Attributes are named as the members of the API, in snake case."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from fastiam.cognito.identity_records import Identity
from fastiam.credentials.results import AssumedRole
from fastiam.credentials.secret import Secret
from fastiam.directory.identity_pool_records import IdentityPool, RoleMapping


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityCredentials(AssumedRole):
    """The answer of GetCredentialsForIdentity. `identity_id` can differ from the one of the call (5.4)."""

    identity_id: str


@dataclass(frozen=True, slots=True)
class OpenIdToken:
    """A token for an identity. `identity_id` can differ from the one of the call (5.4)."""

    identity_id: str
    token: Secret


@dataclass(frozen=True, slots=True)
class IdentityDescription:
    """An identity. `logins` are the names of its providers; `is_disabled` if it was merged into another one."""

    identity_id: str
    logins: tuple[str, ...]
    creation_date: datetime
    last_modified_date: datetime
    is_disabled: bool = False


@dataclass(frozen=True, slots=True)
class IdentityPage:
    """A page of ListIdentities. `next_token` is None on the last one."""

    identity_pool_id: str
    identities: tuple[IdentityDescription, ...]
    next_token: str | None = None


@dataclass(frozen=True, slots=True)
class IdentityPoolPage:
    """A page of ListIdentityPools. `next_token` is None on the last one."""

    identity_pools: tuple[IdentityPool, ...]
    next_token: str | None = None


@dataclass(frozen=True, slots=True)
class IdentityPoolRoles:
    """The roles of a pool. `warnings` are those of the call that set them (ID55)."""

    identity_pool_id: str
    roles: Mapping[str, str]
    role_mappings: Mapping[str, RoleMapping]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PrincipalTagAttributeMap:
    """The principal tags of the logins of one provider. `warnings` are those of the call that set them (ID55)."""

    identity_pool_id: str
    identity_provider_name: str
    use_defaults: bool
    principal_tags: Mapping[str, str]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DeveloperUsers:
    """The users of a developer provider that are linked to an identity. `next_token` is None on the last page."""

    identity_id: str
    developer_user_identifier_list: tuple[str, ...]
    next_token: str | None = None


def describe(identity: Identity) -> IdentityDescription:
    """An identity as DescribeIdentity answers it."""
    names = tuple(dict.fromkeys(login.name for login in identity.logins))
    return IdentityDescription(identity.id, names, identity.created, identity.modified, bool(identity.merged_into))
