"""Records that calls of CreateSession write: subjects, and requests that are used up. They are not configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from fastiam.directory.transactions import RecordStore


@dataclass(frozen=True, slots=True)
class SubjectCredential:
    """A certificate of a subject. `certificate` is PEM text; `failed` : its last call gave no session."""

    serial: str
    issuer: str
    seen: datetime
    failed: bool
    certificate: str


@dataclass(frozen=True, slots=True)
class InstanceProperties:
    """What a client sent about its machine. No decision reads it."""

    seen: datetime
    failed: bool
    properties: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Subject:
    """A subject of certificates that have authenticated in an account and region (RW14). It records, and controls nothing."""

    arn: str
    account: str
    name: str
    created: datetime
    last_seen: datetime
    credentials: tuple[SubjectCredential, ...] = ()
    instance_properties: tuple[InstanceProperties, ...] = ()


@dataclass(frozen=True, slots=True)
class UsedRequest:
    """A signed request that has given a session; `date` is its `X-Amz-Date`."""

    date: datetime


@dataclass(slots=True)
class RolesAnywhereTables:
    """Subjects by ARN, used requests by digest. `evicted` : the latest used request that was deleted."""

    subjects: dict[str, Subject] = field(default_factory=dict)
    used_requests: dict[str, UsedRequest] = field(default_factory=dict)
    evicted: UsedRequest | None = None


class RolesAnywhereRecords(RecordStore[RolesAnywhereTables]):
    """The records of Roles Anywhere that are not configuration, in the transactions of a directory."""

    name = "rolesanywhere"

    def __init__(self) -> None:
        super().__init__(RolesAnywhereTables())
