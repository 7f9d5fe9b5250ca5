"""Replay protection: how often a SAML assertion yields a session (SA80).

A call checks before it decides, and writes after the session was made, in the same transaction: a refused call does not spend an
assertion, and two processes cannot both redeem it (SA2).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from fastiam.credentials.federation_records import FederationStore, Horizon, Redemption
from fastiam.directory.transactions import SINGLE
from fastiam.federation.federation_errors import IdentityTokenError

_SWEEP = timedelta(minutes=5)  # between two sweeps


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """One use of an assertion.

    Attributes
    ----------
    provider
        unique id of the provider that was named.
    entity_id, account
        issuer of the assertion, and account of the provider.
    assertion
        its `ID`.
    role
        ARN of the role, or another purpose.
    until
        when the assertion cannot be redeemed any more, by its own times and the skew.
    once
        no other use of the assertion is allowed, neither before nor after (`strict`).
    """

    provider: str
    entity_id: str
    account: str
    assertion: str
    role: str
    until: datetime
    once: bool

    @property
    def keys(self) -> tuple[str, str]:
        """Keys of the use: for this provider and role, and for all providers and uses of the account."""
        return (
            _key("role", self.provider, self.assertion, self.role),
            _key("once", self.account, self.entity_id, self.assertion),
        )


def _key(*parts: str) -> str:
    framed = b"".join(len(part.encode()).to_bytes(4) + part.encode() for part in parts)
    return hashlib.sha256(framed).hexdigest()


class Replays:
    """The assertions that were redeemed."""

    def __init__(self, store: FederationStore) -> None:
        self._store = store
        self._swept: datetime | None = None

    def check(self, use: Use) -> None:
        """Check that the use is left. Call it inside the transaction that issues the session.

        Raises
        ------
        IdentityTokenError
            the assertion was redeemed.
        """
        tables = self._store.tables
        by_role, by_entity = use.keys
        earlier = tables.redemptions.get(by_entity)
        is_spent = by_role in tables.redemptions or (earlier is not None and (use.once or earlier.once))
        if is_spent or (tables.horizon is not None and use.until <= tables.horizon.at):
            raise IdentityTokenError("the assertion was redeemed already", reason="replayed", rule="SA80")

    def write(self, use: Use, now: datetime) -> None:
        """Record the use, and remove entries that have expired."""
        self._sweep(now)
        by_role, by_entity = use.keys
        self._store.put("redemptions", by_role, Redemption(use.until))
        earlier = self._store.tables.redemptions.get(by_entity)
        until = use.until if earlier is None else max(use.until, earlier.until)
        self._store.put("redemptions", by_entity, Redemption(until, use.once or (earlier is not None and earlier.once)))

    def spend(self, kind: str, id_: str, until: datetime, now: datetime) -> None:
        """Record the one use of something with an id, inside a transaction.

        Raises
        ------
        IdentityTokenError
            it was used.
        """
        key, horizon = _key(kind, id_), self._store.tables.horizon
        if key in self._store.tables.redemptions or (horizon is not None and until <= horizon.at):
            raise IdentityTokenError("it was used already", reason="replayed", rule="ST20")
        self._sweep(now)
        self._store.put("redemptions", key, Redemption(until))

    def _sweep(self, now: datetime) -> None:
        """Remove what has expired. The horizon is the latest of the removed, so that a clock that was ahead shuts out little."""
        if self._swept is not None and self._swept <= now < self._swept + _SWEEP:
            return
        self._swept, tables = now, self._store.tables
        ended = {key: entry.until for key, entry in tables.redemptions.items() if entry.until <= now}
        for key in ended:
            self._store.put("redemptions", key, None)
        latest = max(ended.values(), default=None)
        if latest is not None and (tables.horizon is None or tables.horizon.at < latest):
            self._store.put("horizon", SINGLE, Horizon(latest))
