"""Long-term access keys of users and roots (spec 1.7, 7.3)."""

from __future__ import annotations

import hmac
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import lru_cache, partial

from fastiam.credentials.credential_records import AccessKey, Status
from fastiam.credentials.ids import LONG_TERM, new_key_id, new_secret
from fastiam.credentials.keyring import Keyring
from fastiam.credentials.results import Credentials
from fastiam.credentials.secret import Secret, shown, takes_secrets
from fastiam.credentials.sts_errors import AuthenticationError, ValidationError
from fastiam.credentials.sts_state import State, access_key_purpose
from fastiam.errors import StoreError
from fastiam.model.request import shorten

MOST = 2  # inactive ones count
_USED_EVERY = timedelta(minutes=1)  # so that a busy key does not write at each call
_OPENED = 1_024  # secrets that are kept, as those of session tokens are
_UNKNOWN_ID = "AKIA" + "A" * 16


class AccessKeys:
    """Create, list, disable and delete access keys. Secrets are shown once, by `create`."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._decoy = state.keyring.seal(access_key_purpose(_UNKNOWN_ID), new_secret().encode())
        self._opened = lru_cache(maxsize=_OPENED)(partial(_open, state.keyring))
        self._uses: dict[str, datetime] = {}  # of keys by their ids, not written yet

    def create(self, principal: str) -> Credentials:
        """A new active key of a user or root; its secret is shown this once.

        Raises
        ------
        ValidationError
            the principal cannot have keys, or has two already.
        """
        state = self._state
        with state.directory.transaction():
            ref, unique_id = state.find_owner(principal)
            if len(self.list(principal)) >= MOST:
                raise ValidationError(
                    f"`{principal}` has {MOST} access keys already", rule="1.7", hint="delete one first", code="LimitExceeded"
                )
            id_ = new_key_id(LONG_TERM, ref.account or "")
            while id_ in state.credential_store.tables.access_keys:
                id_ = new_key_id(LONG_TERM, ref.account or "")
            secret = new_secret()
            sealed = state.keyring.seal(access_key_purpose(id_), secret.encode())
            state.credential_store.put("access_keys", id_, AccessKey(id_, principal, sealed, state.now(), unique_id=unique_id))
            state.record(principal, "access key created", id_)
        return Credentials(id_, secret)

    def list(self, principal: str) -> list[AccessKey]:
        """The keys of a user or root, without their secrets."""
        return self._state.credential_store.of("access_keys", principal)

    @takes_secrets(identifiers=("id_",))
    def find(self, id_: str) -> AccessKey | None:
        """One key, or None if there is none of this id."""
        return self._state.credential_store.tables.access_keys.get(id_)

    @takes_secrets(identifiers=("id_",))
    def get(self, id_: str) -> AccessKey:
        """One key.

        Raises
        ------
        ValidationError
            there is none of this id.
        """
        key = self.find(id_)
        if key is None:
            raise ValidationError(f"access key not found: {shown(id_)}", code="NoSuchEntity")
        return key

    @takes_secrets(identifiers=("id_",))
    def set_status(self, id_: str, status: Status | str) -> None:
        """Let a key sign, or no longer. What it issued while active goes with it: S82."""
        state = self._state
        with state.directory.transaction():
            key = self.get(id_)
            state.credential_store.put("access_keys", id_, replace(key, status=Status(status)))
            state.record(key.principal, f"access key made {Status(status).lower()}", id_)

    @takes_secrets(identifiers=("id_",))
    def delete(self, id_: str) -> None:
        """Take a key away for good, and what it issued with it."""
        state = self._state
        with state.directory.transaction():
            key = self.get(id_)
            state.credential_store.put("access_keys", id_, None)
            state.record(key.principal, "access key deleted", id_)

    # -- verifying ----------------------------------------------------------------------------------------------------

    @takes_secrets("secret", identifiers=("id_",))
    def verify(self, id_: str, secret: str) -> AccessKey:
        """The key that id and secret are of. An unknown id costs what a wrong secret costs.

        Raises
        ------
        AuthenticationError
            no such key, another secret, inactive, or its user is gone.
        """
        self._state.catch_up()
        key = self._state.credential_store.tables.access_keys.get(id_)
        is_right = hmac.compare_digest(self._open(key).encode(), secret.encode("utf-8", "surrogatepass"))
        if key is None:
            raise AuthenticationError(f"access key not found: {shown(id_)}", reason="unknown_key")
        if not is_right:
            raise AuthenticationError(f"that is not the secret of `{id_}`", reason="wrong_secret", code="SignatureDoesNotMatch")
        self.require_active(key)
        return self._used(key)

    @takes_secrets(identifiers=("id_",))
    def secret_of(self, id_: str) -> tuple[AccessKey, Secret]:
        """An active key and its secret, for a server that checks signatures made with it, and calls `record_use` for right ones.

        Raises
        ------
        AuthenticationError
            no such key, inactive, or its user is gone.
        """
        self._state.catch_up()
        key = self._state.credential_store.tables.access_keys.get(id_)
        secret = self._open(key)
        if key is None:
            raise AuthenticationError(f"access key not found: {shown(id_)}", reason="unknown_key")
        self.require_active(key)
        return key, secret

    @takes_secrets(identifiers=("id_",))
    def record_use(self, id_: str, *, may_write: bool = True) -> bool:
        """Record that a key was used now, by a request whose signature is right. A read-only store prevents nothing.

        Returns
        -------
        bool
            False if the use has to be written, and `may_write` is false.

        Raises
        ------
        AuthenticationError
            the key was made inactive or deleted meanwhile.
        """
        key = self._state.credential_store.tables.access_keys.get(id_)
        self.require_active(key)
        assert key is not None
        if not may_write and _is_due(key.last_used, self._state.now()):
            return False
        if may_write:
            self._used(key)
        return True

    def require_active(self, key: AccessKey | None, principal: str | None = None) -> None:
        """Check that a key is active and its user exists; with `principal`, also that the key belongs to it.

        Raises
        ------
        AuthenticationError
            deleted, inactive, of another principal, or its user was deleted.
        """
        if key is None or key.status is not Status.ACTIVE:
            state = "deleted" if key is None else "inactive"
            raise AuthenticationError(f"the access key is {state}", reason="inactive_key")
        if principal is not None and key.principal != principal:  # renamed, or another one's
            raise AuthenticationError(f"the access key is not of `{shorten(principal)}`", reason="unknown_principal")
        self._state.require(key.principal, key.unique_id)

    def _open(self, key: AccessKey | None) -> Secret:
        return self._opened(_UNKNOWN_ID, self._decoy) if key is None else self._opened(key.id, key.sealed)

    def write_uses(self, *, waits: bool = True) -> None:
        """Write the uses of keys that were not written yet, since another process was writing when the keys were used.

        A store that cannot be written prevents nothing.

        Parameters
        ----------
        waits
            for a write of another process. Else the uses stay here, and the next use of a key writes them.
        """
        store = self._state.credential_store
        with suppress(StoreError):
            with self._state.directory.transaction_manager.transaction([], waits=waits):
                uses = dict(self._uses)
                for id_, instant in uses.items():
                    key = store.tables.access_keys.get(id_)  # as other processes have written it
                    if key is not None and key.status is Status.ACTIVE and _is_due(key.last_used, instant):
                        store.put("access_keys", id_, replace(key, last_used=instant))
            for id_, instant in uses.items():
                if self._uses.get(id_) == instant:
                    self._uses.pop(id_, None)

    def _used(self, key: AccessKey) -> AccessKey:
        """Record the use of a key, without waiting for another process."""
        now = self._state.now()
        if _is_due(key.last_used, now):
            self._uses[key.id] = now
            self.write_uses(waits=False)
            self.require_active(self._state.credential_store.tables.access_keys.get(key.id))
        return key


def _open(keyring: Keyring, id_: str, sealed: bytes) -> Secret:
    """The secret of an access key."""
    return keyring.open(access_key_purpose(id_), sealed).decode()


def _is_due(last_used: datetime | None, now: datetime) -> bool:
    return last_used is None or now - last_used >= _USED_EVERY or now < last_used
