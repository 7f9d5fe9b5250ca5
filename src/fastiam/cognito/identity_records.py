"""Identities of Cognito identity pools and the keys of their tokens, kept with the directory in the same transactions (9.1)."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from fastiam.directory.identity_pool_records import IdentityPool
from fastiam.directory.transactions import Change, RecordStore


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
    is_authenticated
        a login was linked once. Without logins it is inaccessible then (ID11).
    merged_into
        the identity that took its logins over; such an identity is disabled.
    """

    id: str
    pool: str
    created: datetime
    modified: datetime
    is_authenticated: bool = False
    logins: tuple[Login, ...] = ()
    merged_into: str = ""

    @property
    def was_used(self) -> bool:
        """Whether it was changed after it was made; the first session of a guest is a change."""
        return self.modified > self.created


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
    """Identities by id, token keys by key id. The pools are records of the directory."""

    identities: dict[str, Identity] = field(default_factory=dict)
    token_keys: dict[str, TokenKey] = field(default_factory=dict)


class IdentityPoolStore(RecordStore[IdentityPoolTables]):
    """The identity pools of a directory. A pool that is deleted takes its identities with it."""

    name = "identity_pools"
    owner_tables = frozenset(("identity_pools",))

    def __init__(self) -> None:
        super().__init__(IdentityPoolTables())
        self._by_login: dict[tuple[str, str, str], str] = {}
        self._of_pool: dict[str, list[tuple[datetime, str]]] = {}
        self._guests: dict[tuple[str, bool], list[tuple[datetime, str]]] = {}

    def owner(self, pool: str, login: Login) -> Identity | None:
        """The identity that a login is linked to."""
        id_ = self._by_login.get((pool, *login.key))
        return None if id_ is None else self.tables.identities[id_]

    def identities_of(self, pool: str, after: tuple[datetime, str] | None = None) -> Iterator[Identity]:
        """The identities of a pool in order of creation; `after` is creation and id of the last one that was seen."""
        listed = self._of_pool.get(pool, [])
        start = 0 if after is None else bisect_left(listed, (after[0], after[1] + "\0"))
        return (self.tables.identities[id_] for _, id_ in listed[start:])

    def guests_of(self, pool: str, *, were_used: bool) -> Sequence[tuple[datetime, str]]:
        """Time of the last change, and id, of the identities of a pool that never had a login, in order of that time.

        Parameters
        ----------
        were_used
            of those that were changed after they were made, or of the others.
        """
        return self._guests.get((pool, were_used), ())

    def changed(self, table: str, key: str, old: Any, new: Any) -> None:
        if table != "identities":
            return
        if old is not None and not old.is_authenticated:
            listed = self._guests[old.pool, old.was_used]
            del listed[bisect_left(listed, (old.modified, old.id))]
        if new is not None and not new.is_authenticated:
            insort(self._guests.setdefault((new.pool, new.was_used), []), (new.modified, new.id))
        if old is not None:
            for login in old.logins:
                if self._by_login.get((old.pool, *login.key)) == old.id:  # a merge may have given it to another one before
                    del self._by_login[old.pool, *login.key]
            if new is None:
                listed = self._of_pool[old.pool]
                del listed[bisect_left(listed, (old.created, old.id))]
                if not listed:
                    del self._of_pool[old.pool]
                    self._guests.pop((old.pool, False), None)
                    self._guests.pop((old.pool, True), None)
        if new is not None:
            for login in new.logins:
                self._by_login[new.pool, *login.key] = new.id
            if old is None:
                insort(self._of_pool.setdefault(new.pool, []), (new.created, new.id))

    def before_commit(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if isinstance(change.old, IdentityPool) and change.new is None:
                for _, id_ in list(self._of_pool.get(change.key, ())):
                    self.put("identities", id_, None)

    def __getstate__(self) -> Mapping[str, Any]:
        raise TypeError("sealed keys are not pickled; open the store where they are needed")


def token_key_purpose(key: str) -> bytes:
    """The purpose for which a private key is sealed: it opens in no other record (ST10)."""
    return b"identity-pool-token-key\0" + key.encode()
