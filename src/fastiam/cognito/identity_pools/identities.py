"""Identities: which one a call means, and how logins are linked, merged and unlinked (5.3, 5.4).

Methods that write run in a transaction of the caller. Logins are verified before; nothing here reads a token.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NoReturn

from fastiam.cognito.cognito_errors import CognitoError, NotAuthorizedError
from fastiam.cognito.identity_records import Identity, IdentityPoolStore, Login
from fastiam.directory.identity_pool_records import IdentityPool

MAX_LINKED = 20
_REMOVED = 100  # guests that may go are removed at a time: the transaction holds up others
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestLimits:
    """How many guests a pool keeps, and for how long (ID23). A client makes guests without a signature.

    Attributes
    ----------
    per_pool
        identities of a pool that never had a login. More are refused with `LimitExceededException`.
    unused
        how long a guest is kept that never got a session or token.
    used
        how long a guest is kept since its last session or token, to a day.
    """

    per_pool: int = 100_000
    unused: timedelta = timedelta(hours=1)
    used: timedelta = timedelta(days=90)


class Identities:
    """The identities of a store."""

    def __init__(self, store: IdentityPoolStore, limits: GuestLimits) -> None:
        self._store, self._limits = store, limits

    def get(self, id_: str) -> Identity:
        """The identity with an id, which may be disabled.

        Raises
        ------
        CognitoError
            `ResourceNotFoundException`.
        """
        identity = self._store.tables.identities.get(id_)
        if identity is None:
            raise CognitoError(f"identity not found: `{id_}`", rule="ID22", code="ResourceNotFoundException")
        return identity

    def usable(self, id_: str) -> Identity:
        """The identity with an id, if it is not disabled.

        Raises
        ------
        CognitoError
            `ResourceNotFoundException`.
        NotAuthorizedError
            it was merged into another one.
        """
        identity = self.get(id_)
        if identity.merged_into:
            raise NotAuthorizedError(f"the identity `{id_}` is disabled", reason="disabled", rule="ID22")
        return identity

    def is_secret(self, id_: str) -> bool:
        """Whether an id may be all that is needed to act as an identity: that of a guest, and one without a record (ID21)."""
        identity = self._store.tables.identities.get(id_)
        return identity is None or not identity.is_authenticated

    # -- calls of clients -----------------------------------------------------------------------------------------------------

    def guest(self, pool: IdentityPool, now: datetime) -> Identity:
        """A new unauthenticated identity. Each has its own random id, which is a bearer secret (ID21).

        Raises
        ------
        NotAuthorizedError
            the pool has no guests.
        CognitoError
            `LimitExceededException`: it has as many as it may have, and none is old enough to go (ID23).
        """
        check_guests(pool)
        id_, limits, number = pool.identity_pool_id, self._limits, 0
        for were_used, age in ((False, limits.unused), (True, limits.used)):
            listed = self._store.guests_of(id_, were_used=were_used)
            old = [identity for at, identity in listed[:_REMOVED] if now - at > age]
            self.delete(old)
            number += len(self._store.guests_of(id_, were_used=were_used))
        if number >= limits.per_pool:
            raise CognitoError(f"the identity pool has {number} guests", rule="ID23", code="LimitExceededException")
        return self._new(pool, (), now)

    def use(self, guest: Identity, now: datetime) -> Identity:
        """Record that a guest is in use, for as long as which it is kept."""
        return self._put(replace(guest, modified=max(now, guest.created + timedelta(milliseconds=1))))

    def is_use_new(self, guest: Identity, now: datetime) -> bool:
        """Whether its use is to be recorded: the first one, and one a day."""
        return not guest.was_used or now - guest.modified >= _DAY

    def find(self, pool: IdentityPool, logins: Sequence[Login]) -> Identity | None:
        """The one identity that has all of the logins already."""
        owners = {None if owner is None else owner.id for owner in self._owners(pool, logins)}
        (id_,) = owners if len(owners) == 1 else (None,)
        return None if id_ is None else self._store.tables.identities[id_]

    def of_logins(self, pool: IdentityPool, logins: Sequence[Login], now: datetime) -> Identity:
        """The identity of verified logins: the one that has them, a new one, or the oldest of several, which are merged."""
        owners = _distinct(self._owners(pool, logins))
        if not owners:
            return self._new(pool, logins, now)
        return self._link(self._merge(owners, now), logins, now)

    def of_call(
        self, pool: IdentityPool, identity: Identity, logins: Sequence[Login], now: datetime, *, proven: Collection[Login] = ()
    ) -> Identity:
        """The identity of a call that names one and gives verified logins; see the table of 5.4.

        `proven` logins may be linked without another login as proof: the backend vouches for them (ID42).

        Raises
        ------
        CognitoError
            `ResourceConflictException`.
        NotAuthorizedError
            no login is linked to the identity (ID20).
        """
        owners = _distinct(self._owners(pool, logins))
        if identity.is_authenticated and not identity.logins:
            raise NotAuthorizedError("all logins of the identity were removed", reason="login", rule="ID11")
        if not identity.is_authenticated:
            return self._of_guest(identity, owners, logins, now)
        for login in logins:
            _check_conflict(identity.logins, login)
        if identity not in owners and not any(login in proven for login in logins):
            raise NotAuthorizedError(
                "logins don't match: include at least one valid login for this identity", reason="login", rule="ID20"
            )
        return self._link(self._merge(_distinct((identity, *owners)), now), logins, now)

    def _of_guest(self, guest: Identity, owners: Sequence[Identity], logins: Sequence[Login], now: datetime) -> Identity:
        """A guest signs in: new logins are linked to it; the identity of known ones takes its place."""
        if not owners:
            return self._link(guest, logins, now)
        parent = self._link(self._merge(owners, now), logins, now)
        self._disable(guest, parent, now)
        return parent

    # -- writes ---------------------------------------------------------------------------------------------------------------

    def _new(self, pool: IdentityPool, logins: Sequence[Login], now: datetime) -> Identity:
        identity = Identity(f"{pool.region}:{uuid.uuid4()}", pool.identity_pool_id, now, now)
        return self._link(identity, logins, now) if logins else self._put(identity)

    def _link(self, identity: Identity, logins: Sequence[Login], now: datetime) -> Identity:
        """Link those of the logins that are not linked to the identity yet."""
        new = [login for login in logins if login not in identity.logins]
        if not new:
            return identity
        linked = identity.logins
        for login in new:
            _check_conflict(linked, login)
            linked = (*linked, login)
        _check_number(linked)
        return self._put(replace(identity, logins=linked, is_authenticated=True, modified=now))

    def _merge(self, owners: Sequence[Identity], now: datetime) -> Identity:
        """One identity of several: the oldest takes over all logins."""
        parent, *others = sorted(owners, key=lambda identity: (identity.created, identity.id))
        return self.merge(others, parent, now) if others else parent

    def merge(self, sources: Sequence[Identity], parent: Identity, now: datetime) -> Identity:
        """Move the logins of some identities to another one, and disable them."""
        linked = parent.logins
        for source in sources:
            for login in source.logins:
                _check_conflict(linked, login)
                linked = (*linked, login)
        _check_number(linked)
        for source in sources:
            self._disable(source, parent, now)
        return self._put(replace(parent, logins=linked, is_authenticated=True, modified=now))

    def _disable(self, identity: Identity, parent: Identity, now: datetime) -> None:
        self._put(replace(identity, logins=(), merged_into=parent.id, modified=now))

    def unlink(self, identity: Identity, logins: Collection[Login], now: datetime) -> Identity:
        """Remove some of its logins. Without any the identity is inaccessible for good (ID11)."""
        left = tuple(login for login in identity.logins if login not in logins)
        return self._put(replace(identity, logins=left, modified=now))

    def delete(self, ids: Iterable[str]) -> None:
        """Delete identities; those that do not exist are left out."""
        for id_ in ids:
            self._store.put("identities", id_, None)

    def _put(self, identity: Identity) -> Identity:
        self._store.put("identities", identity.id, identity)
        return identity

    def _owners(self, pool: IdentityPool, logins: Sequence[Login]) -> list[Identity | None]:
        return [self._store.owner(pool.identity_pool_id, login) for login in logins]


def check_guests(pool: IdentityPool) -> None:
    """Check that the pool allows unauthenticated identities now (ID21).

    Raises
    ------
    NotAuthorizedError
        it does not.
    """
    if not pool.allow_unauthenticated_identities:
        raise NotAuthorizedError(
            "unauthenticated access is not supported for this identity pool", reason="unauthenticated", rule="5.3"
        )


def _distinct(identities: Iterable[Identity | None]) -> list[Identity]:
    return list({identity.id: identity for identity in identities if identity is not None}.values())


def _check_conflict(linked: Sequence[Login], login: Login) -> None:
    """An identity has one subject of each public provider; a developer provider may have several users of it."""
    if not login.is_developer and any(other.provider == login.provider and other.subject != login.subject for other in linked):
        _conflict(f"the identity has another login of `{login.name}`")


def _check_number(linked: Sequence[Login]) -> None:
    if len(linked) > MAX_LINKED:
        _conflict(f"an identity has at most {MAX_LINKED} logins")


def _conflict(message: str) -> NoReturn:
    raise CognitoError(message, rule="5.4", code="ResourceConflictException")
