"""Shared state of the calls: directory and records, keyring, clock, sender, triggers and audit; and the lookups that all use."""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from fastiam.cognito.cognito_errors import CognitoError, NotAuthorizedError
from fastiam.cognito.rates import Admit, admit_all
from fastiam.credentials.keyring import KeyringError
from fastiam.credentials.secret import Secret, SecretBytes, hidden
from fastiam.credentials.sts_state import State
from fastiam.directory.user_pool_records import (
    Client,
    Horizon,
    Pool,
    PoolSecret,
    Provider,
    Spent,
    User,
    UserPoolTables,
    purpose_of,
)
from fastiam.directory.user_pool_store import UserPoolStore
from fastiam.federation.audit import Auditor, Entry
from fastiam.federation.fetch import Fetch
from fastiam.federation.issuer_keys import IssuerKeys

Json = dict[str, Any]
Trigger = Callable[[Json], Json]
Random = Callable[[int], bytes]
INVALID_SESSION = "Invalid session for the user."
_HIDDEN = {"seed", "private", "r", "b"}  # secrets in opaque strings: of TOTP, custom challenge, request at a page, SRP
_SWEEP = timedelta(minutes=5)  # between two sweeps


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of `UserPools`, with the defaults of the specification.

    Attributes
    ----------
    trigger_seconds, trigger_tries
        the time that a trigger may take, and how often it is tried (UP71).
    unknown_names
        how many unknown user names of a pool are counted (4.17).
    unconfirmed_users, unconfirmed_age
        how many users that have signed up and never confirmed a pool has, and the age from which one of them makes room for
        another (UP27).
    hash_personal_data
        audit events contain a hash in place of data of a person (ST30).
    metadata_hosts
        host names of outside providers whose addresses may be private (WI41).
    """

    trigger_seconds: float = 5.0
    trigger_tries: int = 3
    unknown_names: int = 100_000
    unconfirmed_users: int = 100_000
    unconfirmed_age: timedelta = timedelta(days=7)
    hash_personal_data: bool = False
    metadata_hosts: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class CallContext:
    """The call that is running: its instant, and its audit event."""

    now: datetime
    entry: Entry


_call: ContextVar[CallContext | None] = ContextVar("fastiam_cognito_call", default=None)


class PoolState:
    """What each group of calls gets."""

    def __init__(
        self,
        base: State,
        *,
        sender: Callable[[Any], None] | None,
        triggers: Mapping[str, Trigger],
        fetch: Fetch,
        auditor: Auditor,
        settings: Settings,
        random: Random = os.urandom,
        admit: Admit = admit_all,
    ) -> None:
        self.base, self.sender, self.triggers, self.fetch = base, sender, triggers, fetch
        self.auditor, self.settings, self.random, self.admit = auditor, settings, random, admit
        self.store: UserPoolStore = base.directory.join(UserPoolStore())
        self.issuer_keys: dict[tuple[str, str], IssuerKeys] = {}  # by unique id of an outside provider, and address
        self.signers: dict[str, Any] = {}  # private keys by kid, read from their records

    @property
    def tables(self) -> UserPoolTables:
        """The records as they are now."""
        return self.store.tables

    def put(self, table: str, key: str, record: Any) -> None:
        """Write a record, inside a transaction; None deletes it."""
        self.store.put(table, key, record)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All writes inside are one."""
        with self.base.directory.transaction():
            yield

    # -- one call ---------------------------------------------------------------------------------------------------------

    @contextmanager
    def event(self, kind: str) -> Iterator[None]:
        """Run a call: read the clock once (FD6), take in what other processes wrote, and record one event."""
        if _call.get() is not None:
            yield  # a part of another call
            return
        now = self.base.clock().astimezone(UTC)
        with self.auditor.call(kind, now) as entry:
            token = _call.set(CallContext(now, entry))
            try:
                self.base.directory.refresh()
                yield
            finally:
                _call.reset(token)

    def note(self, **details: str | None) -> None:
        """Add details to the event of the call."""
        call = _call.get()
        if call is not None:
            pool = self.tables.pools.get(details.get("pool") or "")
            call.entry.add(**details, account=None if pool is None else pool.account)

    def warn(self, message: str) -> None:
        """Add a warning to the event of the call."""
        call = _call.get()
        if call is not None:
            call.entry.warn(message)

    def now(self) -> datetime:
        """The instant of the call."""
        call = _call.get()
        return self.base.clock().astimezone(UTC) if call is None else call.now

    def millis(self) -> int:
        """The instant of the call in milliseconds."""
        return millis_of(self.now())

    # -- lookups ----------------------------------------------------------------------------------------------------------

    def pool(self, pool_id: str) -> Pool:
        """A user pool.

        Raises
        ------
        CognitoError
            ResourceNotFoundException.
        """
        found = self.tables.pools.get(pool_id)
        if found is None:
            raise CognitoError(f"User pool {pool_id} does not exist.", code="ResourceNotFoundException")
        return found

    def client(self, client_id: str, pool: Pool | None = None) -> Client:
        """An app client, of a given pool if there is one (UP12, UP40).

        Raises
        ------
        CognitoError
            ResourceNotFoundException.
        """
        found = self.tables.clients.get(client_id)
        if found is None or (pool is not None and found.pool != pool.id):
            raise CognitoError(f"User pool client {client_id} does not exist.", code="ResourceNotFoundException", rule="UP12")
        return found

    def user(self, pool: Pool, name: str) -> User:
        """A user of an admin call, by user name, `sub` or active alias.

        Raises
        ------
        CognitoError
            UserNotFoundException.
        """
        found = self.store.user(pool.id, name)
        if found is None:
            raise CognitoError("User does not exist.", code="UserNotFoundException", rule="4.17")
        self.note(pool=pool.id, sub=found.sub)
        return found

    def current(self, user: User) -> User:
        """The user as it is now, inside a transaction (UP72).

        Raises
        ------
        NotAuthorizedError
            it was deleted meanwhile.
        """
        found = self.tables.users.get(user.key)
        if found is None:
            raise NotAuthorizedError("User does not exist.", reason="unknown_principal", rule="UP72")
        return found

    def put_user(self, user: User, *, taken: str = "AliasExistsException") -> None:
        """Write a user. Each of its names must be free (UP23).

        Raises
        ------
        CognitoError
            `taken`, or UsernameExistsException for the user name.
        """
        owners = self.store.owners(user)
        if "username" in owners or "sub" in owners:
            raise CognitoError("User already exists", code="UsernameExistsException", rule="UP20")
        if owners:
            kind = next(iter(owners))
            raise CognitoError(f"An account with the given {kind} already exists.", code=taken, rule="UP22")
        self.put("users", user.key, replace(user, modified=self.now()))

    def provider(self, pool: Pool, name: str) -> Provider:
        """An outside provider.

        Raises
        ------
        CognitoError
            ResourceNotFoundException.
        """
        found = self.tables.providers.get(f"{pool.id}/{name}")
        if found is None:
            raise CognitoError(f"Identity provider {name} does not exist.", code="ResourceNotFoundException")
        return found

    # -- secrets ----------------------------------------------------------------------------------------------------------

    def sealed(self, table: str, key: str, plain: bytes) -> bytes:
        """A secret sealed for one record."""
        return self.base.keyring.seal(purpose_of(table, key), plain)

    def opened(self, table: str, key: str, sealed: bytes) -> SecretBytes:
        """The secret of a record.

        Raises
        ------
        CognitoError
            InternalErrorException: it was sealed for another record or under a key that is not in the keyring.
        """
        try:
            return self.base.keyring.open(purpose_of(table, key), sealed)
        except KeyringError as error:
            self.warn(f"a secret in `{table}` does not open: {error}")
        raise CognitoError("a stored secret cannot be read", code="InternalErrorException", rule="ST10")

    def keyed_hash(self, pool: Pool, *parts: str) -> bytes:
        """An HMAC-SHA256 under the random key of the pool."""
        record = self.tables.pool_secrets.get(pool.id) or self.new_pool_secret(pool)
        framed = b"".join(len(raw).to_bytes(4) + raw for raw in (part.encode("utf-8", "surrogatepass") for part in parts))
        return hmac.digest(self.opened("pool_secrets", pool.id, record.sealed), framed, "sha256")

    def new_pool_secret(self, pool: Pool) -> PoolSecret:
        """Make the random key of a pool that has none: it is new, or was imported."""
        with self.transaction():
            self.pool(pool.id)
            if pool.id not in self.tables.pool_secrets:
                self.put("pool_secrets", pool.id, PoolSecret(self.sealed("pool_secrets", pool.id, self.random(32))))
            return self.tables.pool_secrets[pool.id]

    def new_id(self) -> str:
        """A random UUID."""
        return str(uuid.UUID(bytes=self.random(16), version=4))

    # -- opaque strings ---------------------------------------------------------------------------------------------------

    def seal(self, purpose: str, content: Json, seconds: float) -> Secret:
        """An opaque string that opens for its purpose alone, until it ends (ST11)."""
        content = {"id": self.new_id(), **content, "exp": self.millis() + int(seconds * 1000)}
        raw = self.base.keyring.seal(b"cognito-string\0" + purpose.encode(), orjson.dumps(content))
        return Secret(base64.urlsafe_b64encode(raw).decode().rstrip("="))

    def open(self, purpose: str, text: str) -> Json | None:
        """The content of an opaque string; None if it was altered or made for something else. `exp` is not checked."""
        try:
            raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            content: Json = orjson.loads(bytes(self.base.keyring.open(b"cognito-string\0" + purpose.encode(), raw)))
        except (KeyringError, binascii.Error, ValueError):
            return None
        return {name: hidden_texts(value) if name in _HIDDEN else value for name, value in content.items()}

    def is_over(self, content: Json) -> bool:
        """Whether an opaque string has ended. What was swept stays over if the clock is set back (ST20)."""
        horizon = self.tables.horizon
        return bool(content["exp"] <= self.millis() or (horizon is not None and content["exp"] <= millis_of(horizon.at)))

    def is_spent(self, content: Json) -> bool:
        """Whether an opaque string was used."""
        return content["id"] in self.tables.spent

    def spend(self, content: Json, sign_in: str = "") -> None:
        """Use up an opaque string, inside a transaction.

        Raises
        ------
        NotAuthorizedError
            it was used or has ended.
        """
        if self.is_spent(content):
            raise NotAuthorizedError(INVALID_SESSION, reason="replayed", rule="UP41")
        if self.is_over(content):
            raise NotAuthorizedError("Invalid session for the user, session is expired.", reason="expired", rule="UP41")
        self.sweep()
        until = datetime.fromtimestamp(content["exp"] / 1000, UTC)
        self.put("spent", content["id"], Spent(until, sign_in))

    def sweep(self) -> None:
        """Remove what has ended, inside a transaction, at most every five minutes."""
        tables, now = self.tables, self.now()
        if tables.horizon is not None and now < tables.horizon.at + _SWEEP:
            return
        for table in ("spent", "sign_ins", "codes"):
            stored = getattr(tables, table)
            for key in [key for key, record in stored.items() if record.until <= now]:
                self.put(table, key, None)
        limit = millis_of(now) - 3_600_000
        for key in [k for k, a in tables.attempts.items() if "/~" in k and max(a.last, a.until, a.requested) < limit]:
            self.put("attempts", key, None)
        self.put("horizon", "", Horizon(now))


def hidden_texts(value: Any) -> Any:
    """A text, or the texts of an object, as `Secret`."""
    if isinstance(value, Mapping):
        return {name: hidden_texts(each) for name, each in value.items()}
    return hidden(value) if isinstance(value, str) else value


def millis_of(at: datetime) -> int:
    """Milliseconds since 1970."""
    return int(at.timestamp() * 1000)
