"""Audit events: one for each issued and each refused session, handed to a callable (9.4).

Events contain no secret, and of an assertion or token only 16 hexadecimal digits of its SHA-256 (9.2).
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from fastiam.credentials.keyring import Keyring
from fastiam.credentials.sts_errors import AuthenticationError, StsError
from fastiam.errors import FastiamError

_logger = logging.getLogger("fastiam.federation")
_SALT = bytes(16)
PERSONAL = frozenset({"subject", "user_name", "principal_id", "email"})  # details that identify a person (ST30)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """One call.

    Attributes
    ----------
    number
        counts the events of one `Federation`, from 1.
    kind
        CloudTrail's `eventName`, such as `AssumeRoleWithSAML`.
    account
        account of the role or provider, "" if the call names none.
    source
        source address, "" if the caller of the library gave none.
    outcome
        `success` or `refused`; `code`, `rule` and `reason` are those of the error, "" on success.
    details
        provider, role, session name and other values by name; `warnings` are values that were ignored.
    """

    number: int
    at: datetime
    kind: str
    account: str
    source: str
    outcome: str
    code: str = ""
    rule: str = ""
    reason: str = ""
    details: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


Audit = Callable[[AuditEvent], None]


def log_event(event: AuditEvent) -> None:
    """Write an event to the logger `fastiam.federation`: level INFO for an issued session, WARNING for a refused one."""
    level = logging.INFO if event.outcome == "success" else logging.WARNING
    values = " ".join(f"{name}={value!r}" for name, value in event.details.items() if value)
    _logger.log(level, "%s %s %s %s %s", event.kind, event.outcome, event.code, event.rule, values, extra={"event": event})


def digest_of(text: str | bytes) -> str:
    """The 16 hexadecimal digits that represent an assertion or token in events (9.2)."""
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    return hashlib.sha256(raw).hexdigest()[:16]


def secret_hash(keyring: Keyring, text: str) -> str:
    """In place of an id that is a bearer secret, for events and logs: an HMAC, the same as long as the sealing key is (ID21)."""
    key = keyring.derive(bytes((1,)) + bytes.fromhex(keyring.ids[0]) + _SALT, b"identity-pool-guest")
    return "hmac:" + hmac.digest(key, text.encode(), "sha256").hex()[:16]


class Entry:
    """An event that is being written. A verifier adds the details that it has verified.

    `account` is set by a call that finds it out after its beginning.
    """

    def __init__(self, account: str = "") -> None:
        self.account = account
        self.details: dict[str, str] = {}
        self.warnings: list[str] = []

    def add(self, **details: str | None) -> None:
        """Add details; None and "" are left out."""
        self.details |= {name: value for name, value in details.items() if value}

    def warn(self, message: str) -> None:
        """Add a warning: a value that is ignored."""
        self.warnings.append(message)


class Auditor:
    """Hands one event per call to `audit`, whatever the outcome."""

    def __init__(self, audit: Audit, *, hash_personal_data: bool = False) -> None:
        self._audit, self._is_hashing = audit, hash_personal_data
        self._numbers = itertools.count(1)

    @contextmanager
    def call(self, kind: str, at: datetime, *, account: str = "", source: str = "", **details: str) -> Iterator[Entry]:
        """Record the call inside of the `with` block. An error is recorded and goes on."""
        entry = Entry(account)
        entry.add(**details)
        try:
            yield entry
        except Exception as error:
            self._hand_over(entry, kind, at, source, error)
            raise
        self._hand_over(entry, kind, at, source, None)

    def _hand_over(self, entry: Entry, kind: str, at: datetime, source: str, error: Exception | None) -> None:
        code, rule, reason = ("", "", "") if error is None else _read_error(error)
        shown = entry.details
        if self._is_hashing:
            shown = {name: digest_of(value) if name in PERSONAL else value for name, value in shown.items()}
        event = AuditEvent(
            number=next(self._numbers),
            at=at,
            kind=kind,
            account=entry.account,
            source=source,
            outcome="success" if error is None else "refused",
            code=code,
            rule=rule,
            reason=reason,
            details=shown,
            warnings=tuple(entry.warnings),
        )
        self._audit(event)


def _read_error(error: Exception) -> tuple[str, str, str]:
    if isinstance(error, StsError):
        return error.code, error.rule, error.reason if isinstance(error, AuthenticationError) else ""
    return ("MalformedPolicyDocument" if isinstance(error, FastiamError) else "InternalFailure"), "", type(error).__name__
