"""Records of identity pools, kept with the directory in the same transactions (9.1). Private keys are sealed."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any

from fastiam.directory.transactions import Change, RecordStore

AUTHENTICATED, UNAUTHENTICATED = "authenticated", "unauthenticated"


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


@dataclass(frozen=True, slots=True)
class Login:
    """A login that is linked to an identity.

    `provider` identifies the provider, `name` is its key in `Logins`; they differ for OIDC providers, which are identified by
    their ARN. `subject` identifies the user there. Users of a developer provider are vouched for by the backend.
    """

    provider: str
    name: str
    subject: str
    is_developer: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """Provider and subject, which belong to at most one identity of a pool (ID12)."""
        return self.provider, self.subject


@dataclass(frozen=True, slots=True)
class Identity:
    """An identity of a pool.

    Attributes
    ----------
    is_authenticated : a login was linked once. Without logins it is inaccessible then (ID11).
    merged_into : the identity that took its logins over; such an identity is disabled.
    """

    id: str
    pool: str
    created: datetime
    modified: datetime
    is_authenticated: bool = False
    logins: tuple[Login, ...] = ()
    merged_into: str = ""


@dataclass(frozen=True, slots=True)
class TokenKey:
    """An RSA key that signs the tokens of a region (ID40). `public` is its JWK; `retired` is when another key replaced it."""

    id: str
    region: str
    public: str
    sealed: bytes = field(repr=False)
    created: datetime
    retired: datetime | None = None


@dataclass(slots=True)
class IdentityPoolTables:
    """Pools and identities by id, token keys by key id."""

    pools: dict[str, IdentityPool] = field(default_factory=dict)
    identities: dict[str, Identity] = field(default_factory=dict)
    token_keys: dict[str, TokenKey] = field(default_factory=dict)


class IdentityPoolStore(RecordStore[IdentityPoolTables]):
    """The identity pools of a directory. A pool that is deleted takes its identities with it."""

    name = "identity_pools"

    def __init__(self) -> None:
        super().__init__(IdentityPoolTables())
        self._by_login: dict[tuple[str, str, str], str] = {}
        self._of_pool: dict[str, list[tuple[datetime, str]]] = {}

    def owner(self, pool: str, login: Login) -> Identity | None:
        """The identity that a login is linked to."""
        id_ = self._by_login.get((pool, *login.key))
        return None if id_ is None else self.tables.identities[id_]

    def identities_of(self, pool: str, after: tuple[datetime, str] | None = None) -> Iterator[Identity]:
        """The identities of a pool in order of creation; `after` is creation and id of the last one that was seen."""
        listed = self._of_pool.get(pool, [])
        start = 0 if after is None else bisect_left(listed, (after[0], after[1] + "\0"))
        return (self.tables.identities[id_] for _, id_ in listed[start:])

    def changed(self, table: str, key: str, old: Any, new: Any) -> None:
        if table != "identities":
            return
        if old is not None:
            for login in old.logins:
                if self._by_login.get((old.pool, *login.key)) == old.id:  # a merge may have given it to another one before
                    del self._by_login[old.pool, *login.key]
            if new is None:
                listed = self._of_pool[old.pool]
                del listed[bisect_left(listed, (old.created, old.id))]
                if not listed:
                    del self._of_pool[old.pool]
        if new is not None:
            for login in new.logins:
                self._by_login[new.pool, *login.key] = new.id
            if old is None:
                insort(self._of_pool.setdefault(new.pool, []), (new.created, new.id))

    def before_commit(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if change.record_store is self and change.table == "pools" and change.new is None:
                for _, id_ in list(self._of_pool.get(change.key, ())):
                    self.put("identities", id_, None)

    def __getstate__(self) -> Mapping[str, Any]:
        raise TypeError("sealed keys are not pickled; open the store where they are needed")


def token_key_purpose(key: str) -> bytes:
    """The purpose for which a private key is sealed: it opens in no other record (ST10)."""
    return b"identity-pool-token-key\0" + key.encode()
