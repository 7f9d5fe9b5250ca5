"""Records of Cognito identity pools: their configuration, which is a part of the directory, its store and its format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType


def _freeze(record: object, names: Iterable[str]) -> None:
    """Make mappings of a record read-only: a caller that gets the record cannot change the store."""
    for name in names:
        object.__setattr__(record, name, MappingProxyType(dict(getattr(record, name))))


@dataclass(frozen=True, slots=True)
class CognitoIdentityProvider:
    """An app client of a user pool whose ID tokens are logins. `provider_name` is `cognito-idp.<region>.amazonaws.com/<pool>`."""

    provider_name: str
    client_id: str
    server_side_token_check: bool = False


@dataclass(frozen=True, slots=True)
class MappingRule:
    """Give `role_arn` to logins whose claim matches a value."""

    claim: str
    match_type: str
    value: str
    role_arn: str


@dataclass(frozen=True, slots=True)
class RoleMapping:
    """How the logins of one provider choose a role: `Token` by claims of a user pool, `Rules` by the first rule that matches."""

    type: str
    ambiguous_role_resolution: str
    rules: tuple[MappingRule, ...] = ()


@dataclass(frozen=True, slots=True)
class PrincipalTagMap:
    """Session tags of the logins of one provider: tag key to claim name, or the defaults of 5.7."""

    use_defaults: bool = False
    principal_tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _freeze(self, ("principal_tags",))


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityPool:
    """An identity pool with its role and tag mappings. Attributes are named as the parameters of CreateIdentityPool."""

    identity_pool_id: str
    account: str
    identity_pool_name: str
    allow_unauthenticated_identities: bool
    created: datetime
    allow_classic_flow: bool = False
    supported_login_providers: Mapping[str, str] = field(default_factory=dict)
    developer_provider_name: str = ""
    open_id_connect_provider_arns: tuple[str, ...] = ()
    cognito_identity_providers: tuple[CognitoIdentityProvider, ...] = ()
    saml_provider_arns: tuple[str, ...] = ()
    identity_pool_tags: Mapping[str, str] = field(default_factory=dict)
    roles: Mapping[str, str] = field(default_factory=dict)
    role_mappings: Mapping[str, RoleMapping] = field(default_factory=dict)
    tag_maps: Mapping[str, PrincipalTagMap] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = ("supported_login_providers", "identity_pool_tags", "roles", "role_mappings", "tag_maps")
        _freeze(self, names)

    @property
    def region(self) -> str:
        """The region, as the id has it."""
        return self.identity_pool_id.partition(":")[0]

    @property
    def arn(self) -> str:
        """The resource of IAM-authorised calls."""
        return f"arn:aws:cognito-identity:{self.region}:{self.account}:identitypool/{self.identity_pool_id}"
