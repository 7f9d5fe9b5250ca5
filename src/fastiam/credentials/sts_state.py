"""What the parts of STS share: the directory with its credentials, the engine of the moment, the keyring and the clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn

from fastiam.credentials.credential_records import CredentialStore, Event
from fastiam.credentials.keyring import Keyring
from fastiam.credentials.secret import Secret, shown
from fastiam.credentials.sts_errors import AuthenticationError, ValidationError
from fastiam.directory.account_records import Entity, Tables
from fastiam.directory.principal_refs import PrincipalRef, parse_principal
from fastiam.directory.transactions import RecordStore
from fastiam.errors import RequestValueError
from fastiam.model.profile import WITH_LONG_TERM_KEYS, PrincipalKind
from fastiam.runtime import forking

if TYPE_CHECKING:  # the classes that join several branches
    from fastiam.api.directory import Directory
    from fastiam.api.engine import Engine
    from fastiam.live import LiveEngine

Purpose = Callable[[str], bytes]
Clock = Callable[[], datetime]
LAG = 0.05  # seconds after which credentials are verified against what other processes have written meanwhile


def utc_clock() -> datetime:
    """The clock of the machine."""
    return datetime.now(UTC)


class State:
    """One directory, its credentials, and who decides over it."""

    def __init__(self, directory: Directory, keyring: Keyring, live: LiveEngine | None, clock: Clock) -> None:
        if live is not None and live.directory is None:
            raise ValidationError(
                "a saved engine cannot follow the directory: STS decides over the current policies",
                hint="pass `live=LiveEngine(directory)`",
            )
        self.directory, self.keyring, self.clock = directory, keyring, clock
        self.credential_store: CredentialStore = directory.join(CredentialStore())
        self._live, self._lock = live, forking.new_lock(forking.STS)
        self._engine: Engine | None = None if live is None else live.engine  # the options of a live engine stay in its updates
        self._caught_up = 0.0
        self.seals(self.credential_store, "access_keys", access_key_purpose)
        self.seals(self.credential_store, "mfa_devices", mfa_purpose)

    def seals(self, store: RecordStore[Any], table: str, purpose: Purpose) -> None:
        """Register a table whose records have a field `sealed`: `reseal` seals it with the current key (ST10).

        `purpose` maps the key of a record to the purpose for which its secret is sealed. The store keeps it, so that `reseal`
        of any object over the directory covers it.
        """
        store.sealed_tables[table] = purpose

    def __reduce__(self) -> NoReturn:
        raise TypeError("what holds a keyring is not pickled; make it where it is needed")

    def now(self) -> datetime:
        """The instant of a call, to whole seconds (K5)."""
        return self.clock().astimezone(UTC).replace(microsecond=0)

    def catch_up(self) -> None:
        """Take in what other processes have written, up to a moment ago: what costs more than verifying a token."""
        now = time.monotonic()
        if now - self._caught_up >= LAG:
            self._caught_up = now
            self.directory.refresh()

    def engine(self) -> Engine:
        """An engine over the current state of the directory, so that a changed policy counts with the next call (S4).

        Refreshes a live engine over this directory if the directory has changed. Of a live engine over another source, a copy
        updated to this directory is used.
        """
        self.directory.refresh()
        engine = self.compiled_engine()
        if engine is None:
            with self._lock:
                engine = self.compiled_engine() or self._renewed()
        return engine

    def compiled_engine(self) -> Engine | None:
        """The existing engine if it is over the current state of the directory."""
        engine = self._live.engine if self._live is not None and self._is_followed(self._live) else self._engine
        return engine if engine is not None and engine.snapshot is self.directory.snapshot() else None

    def _renewed(self) -> Engine:
        if self._live is not None and self._is_followed(self._live):
            self._live.refresh()
            return self._live.engine
        engine = self._engine
        self._engine = self.directory.compile() if engine is None else engine.updated(self.directory)
        return self._engine

    def follow(self) -> None:
        """Refresh a live engine over this directory, so that it uses the last write."""
        if self._live is not None and self._is_followed(self._live):
            self.engine()

    def _is_followed(self, live: LiveEngine) -> bool:
        return live.directory is self.directory

    @property
    def tables(self) -> Tables:
        """The records of the directory as they are now."""
        return self.directory.tables

    # -- who there is -------------------------------------------------------------------------------------------------

    def entity(self, arn: str) -> Entity | None:
        """The record of a user or role."""
        return self.tables.entities.get(arn)

    def find_owner(self, arn: str) -> tuple[PrincipalRef, str | None]:
        """A user or root that can have long-term credentials, and its unique id.

        Raises
        ------
        ValidationError
            a role, a session, or an absent principal.
        """
        try:
            ref = None if isinstance(arn, Secret) else parse_principal(arn)
        except RequestValueError:
            ref = None
        if ref is None or ref.kind not in WITH_LONG_TERM_KEYS:
            raise ValidationError(
                f"{shown(arn)} is not a user or root",
                hint="write `arn:aws:iam::111111111111:user/ana`",
                code="InvalidInput",
            )
        if not self.has_entity(ref):
            raise ValidationError(f"there is no `{arn}`", code="NoSuchEntity")
        return ref, self.unique_id(ref)

    def has_entity(self, ref: PrincipalRef) -> bool:
        """Whether there is such a user, or such an account."""
        if ref.kind is PrincipalKind.ROOT:
            return ref.account in self.tables.accounts
        return ref.text in self.tables.entities

    def unique_id(self, ref: PrincipalRef) -> str | None:
        """The unique id of a user or role, where it has one."""
        entity = self.entity(ref.text)
        return None if entity is None or ref.kind is PrincipalKind.ROOT else entity.unique_id

    def require(self, arn: str, unique_id: str | None) -> None:
        """That the user, role or root is still there, and still the same one (spec 6.7).

        Raises
        ------
        AuthenticationError
            it was deleted, or another one has its name, or its account is closed.
        """
        account = self.tables.accounts.get(arn.split(":")[4])
        if account is not None and account.closed is not None:
            raise AuthenticationError(f"account `{account.id}` is closed", reason="unknown_principal")
        entity = self.tables.entities.get(arn)
        if entity is not None:
            if entity.unique_id == unique_id:
                return
        elif unique_id is None and arn.endswith(":root") and self.has_entity(parse_principal(arn)):
            return
        raise AuthenticationError(f"`{arn}` is not there any more", reason="unknown_principal")

    # -- what was done ------------------------------------------------------------------------------------------------

    def record(self, principal: str, what: str, detail: str = "", *, by: str = "") -> Event:
        """Note an event, in the transaction that is open."""
        number = len(self.credential_store.tables.events) + 1
        event = Event(number, self.now(), principal, what, detail, by)
        self.credential_store.put("events", str(number), event)
        return event

    def reseal(self) -> int:
        """Seal all secrets anew where the sealing key did not; how many there were. After it, older keys can go."""
        count = 0
        with self.directory.transaction():
            stores = self.directory.transaction_manager.record_stores.values()
            for store, table, purpose in [(each, *item) for each in stores for item in each.sealed_tables.items()]:
                for key, record in list(getattr(store.tables, table).items()):
                    if not self.keyring.is_current(record.sealed):
                        plain = self.keyring.open(purpose(key), record.sealed)
                        store.put(table, key, replace(record, sealed=self.keyring.seal(purpose(key), plain)))
                        count += 1
        return count


def access_key_purpose(key_id: str) -> bytes:
    """What the secret of an access key is sealed for: it opens in no other record."""
    return b"access-key\0" + key_id.encode()


def mfa_purpose(serial: str) -> bytes:
    """What the seed of a device is sealed for."""
    return b"mfa\0" + serial.encode()
