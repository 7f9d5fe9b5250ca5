"""The records of credentials, immutable and without a secret in the clear (spec 7.3).

Secrets of access keys and seeds of MFA devices are sealed under the keyring, passwords are hashed. A record belongs to the
principal with its ARN and unique id. A new user with the name of a deleted one has no credentials.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from fastiam.directory.transactions import Change, RecordStore


class Status(StrEnum):
    """The status of an access key: only an active key authenticates."""

    ACTIVE = "Active"
    INACTIVE = "Inactive"


@dataclass(frozen=True, slots=True)
class AccessKey:
    """A long-term access key of a user or root. `last_used` is exact to the minute."""

    id: str
    principal: str
    sealed: bytes = field(repr=False)
    created: datetime
    status: Status = Status.ACTIVE
    unique_id: str | None = None
    last_used: datetime | None = None


@dataclass(frozen=True, slots=True)
class Password:
    """The hash of the password of a user or root.

    `earlier` : the hashes of earlier passwords, the latest first. `created` : when the first one was set, None if it is unknown.
    """

    principal: str
    hash: str = field(repr=False)
    changed: datetime
    must_change: bool = False
    unique_id: str | None = None
    earlier: tuple[str, ...] = field(default=(), repr=False)
    created: datetime | None = None


@dataclass(frozen=True, slots=True)
class PasswordPolicy:
    """The password policy of an account. The defaults are those of IAM for an account without a policy.

    Attributes
    ----------
    minimum_length
        6 to 128.
    kinds
        how many of the four kinds upper case, lower case, digits and others a password must have.
    upper, lower, digit, symbol
        whether a password must have this kind.
    users_may_change
        whether users may change their passwords.
    max_age_days
        0 for passwords that do not expire, else 1 to 1,095.
    remembered
        how many earlier passwords cannot be reused, 0 to 24.
    hard_expiry
        whether users cannot change a password that has expired.
    """

    account: str
    minimum_length: int = 8
    kinds: int = 3
    upper: bool = False
    lower: bool = False
    digit: bool = False
    symbol: bool = False
    users_may_change: bool = True
    max_age_days: int = 0
    remembered: int = 0
    hard_expiry: bool = False


@dataclass(frozen=True, slots=True)
class MfaDevice:
    """A virtual MFA device (TOTP).

    Attributes
    ----------
    principal
        its owner; "" while it is assigned to none.
    last_step
        the time step of the last accepted code: later codes must be of later steps.
    drift
        how many steps the clock of the device is ahead.
    """

    serial: str
    principal: str
    sealed: bytes = field(repr=False)
    created: datetime
    enabled: datetime | None = None
    unique_id: str | None = None
    last_step: int = -1
    failures: int = 0
    blocked_until: datetime | None = None
    drift: int = 0
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RootContact:
    """The e-mail address and telephone number that an account is registered with."""

    account: str
    email: str
    phone: str


@dataclass(frozen=True, slots=True)
class Event:
    """An audit event of credentials, immutable. `by` is who did it, as the program that calls fastiam states it."""

    number: int
    at: datetime
    principal: str
    what: str
    detail: str = ""
    by: str = ""


@dataclass(slots=True)
class CredentialTables:
    """Records by access key id, principal ARN, account id or serial number; events by their number as text."""

    access_keys: dict[str, AccessKey] = field(default_factory=dict)
    passwords: dict[str, Password] = field(default_factory=dict)
    password_policies: dict[str, PasswordPolicy] = field(default_factory=dict)
    mfa_devices: dict[str, MfaDevice] = field(default_factory=dict)
    contacts: dict[str, RootContact] = field(default_factory=dict)
    proofs: dict[str, Event] = field(default_factory=dict)
    events: dict[str, Event] = field(default_factory=dict)


class CredentialStore(RecordStore[CredentialTables]):
    """The credentials of a directory. They are removed with their user, and follow one that is renamed (N34)."""

    name = "credentials"
    owner_tables = frozenset(("entities",))

    def __init__(self) -> None:
        super().__init__(CredentialTables())
        self._of: dict[str, dict[str, set[str]]] = {"access_keys": {}, "mfa_devices": {}}

    def of(self, table: str, principal: str) -> list[Any]:
        """The access keys or MFA devices of a principal, in the order of their creation."""
        records = getattr(self.tables, table)
        keys = sorted(self._of[table].get(principal, ()), key=lambda key: (records[key].created, key))
        return [records[key] for key in keys]

    def changed(self, table: str, key: str, old: Any, new: Any) -> None:
        index = self._of.get(table)
        if index is None:
            return
        if old is not None:
            index[old.principal].discard(key)
        if new is not None:
            index.setdefault(new.principal, set()).add(key)

    def before_commit(self, changes: Sequence[Change]) -> None:
        """Move the credentials of renamed users (N34), and remove those of users that are deleted or replaced."""
        entities = [change for change in changes if change.record_store.name != self.name and change.table == "entities"]
        came = {c.new.unique_id: c.key for c in entities if c.old is None and c.new is not None and c.new.unique_id is not None}
        for change in entities:
            old, new = change.old, change.new
            if old is None or (new is not None and new.unique_id == old.unique_id):
                continue
            if new is not None and old.unique_id is None:
                self._move(change.key, change.key, new.unique_id)  # the unique id became known
            else:
                self._move(change.key, came.get(old.unique_id), old.unique_id)

    def _move(self, principal: str, name: str | None, unique_id: str | None) -> None:
        """Assign all credentials of a principal to a name and unique id; None removes them."""
        owned = [(table, key) for table, index in self._of.items() for key in index.get(principal, ())]
        for table, key in owned:
            record = getattr(self.tables, table)[key]
            self.put(table, key, None if name is None else replace(record, principal=name, unique_id=unique_id))
        password = self.tables.passwords.get(principal)
        if password is not None:
            self.put("passwords", principal, None)
            if name is not None:
                self.put("passwords", name, replace(password, principal=name, unique_id=unique_id))

    def __getstate__(self) -> Mapping[str, Any]:
        raise TypeError("credentials are not pickled; open the store where they are needed")
