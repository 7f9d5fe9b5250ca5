"""Converts records to batches of calls, in one pass over a log.

Most values in a log repeat. Each part of a record is decoded once and cached by its bytes: identity, network, action, and
parameters with their resources. The caches are bounded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from os import PathLike
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastiam.model.logged_calls import Calls, LoggedContext, LoggedOutcome, LoggedPrincipal
from fastiam.runtime.gc_pause import collection_paused
from fastiam.sources.cloudtrail.callers import Identity, IssuedSessions, Keys, PrincipalReader
from fastiam.sources.cloudtrail.log_records import Batch, Record, read_records
from fastiam.sources.cloudtrail.network import NetworkKeys, context_of_network
from fastiam.sources.cloudtrail.outcomes import logged_of, refusal_in
from fastiam.sources.cloudtrail.requests import (
    SINGLE_KEYS,
    LoggedRequest,
    LoggedRequests,
    RequestPlan,
    decoded,
    narrow_to_refusal,
)
from fastiam.sources.sdk_calls.arn_templates import RequestOrigin

_BATCH = 16_384
_MAX_CACHED = 50_000  # entries of a cache
_MAX_CACHED_BYTES = 4_096  # of parameters
_PARTITIONS = {  # by the prefix of a Region
    "cn-": "aws-cn",
    "us-gov-": "aws-us-gov",
    "us-iso-": "aws-iso",
    "us-isob-": "aws-iso-b",
    "us-isof-": "aws-iso-f",
    "eu-isoe-": "aws-iso-e",
    "eusc-": "aws-eusc",
}
_NO_SINGLE_KEYS: Keys = dict.fromkeys(SINGLE_KEYS)


class CloudTrail:
    """A CloudTrail log. Each iteration reads it again.

    Attributes
    ----------
    records
        number of records that the last iteration read.
    skipped
        number of files in folders that are not logs by their names and were not read, by suffix.
    unmapped
        number of records without an IAM action, by `eventSource:eventName`.
    without_role
        number of calls without a role in their parameters, by action, for actions that need `iam:PassRole` according to AWS's
        documentation. `iam:PassRole` is not among the requests of these calls.
    """

    def __init__(self, *paths: str | PathLike[str], assume_no_session_policies: bool = False) -> None:
        self._paths, self._no_session_policies = paths, assume_no_session_policies
        self.records = 0
        self.skipped: Counter[str] = Counter()
        self.unmapped: Counter[str] = Counter()
        self.without_role: Counter[str] = Counter()

    def __iter__(self) -> Iterator[Calls]:
        self.skipped = Counter()
        self.records, self.unmapped, self.without_role = 0, Counter(), Counter()
        reading = _Reading(self.unmapped, self.without_role, no_session_policies=self._no_session_policies)
        for parts in _batches(read_records(self._paths, self.skipped)):
            self.records += sum(len(records) for _, _, records in parts)
            with collection_paused():
                calls = reading.calls(parts)
            yield calls


def _batches(parts: Iterator[Batch]) -> Iterator[list[Batch]]:
    """Yield batches of about the same size: large files are split, small files are combined."""
    waiting: list[Batch] = []
    free = _BATCH
    for source, first, records in parts:
        start = 0
        while len(records) - start >= free:
            yield [*waiting, (source, first + start, records[start : start + free])]
            start, waiting, free = start + free, [], _BATCH
        if start < len(records):
            waiting.append((source, first + start, records[start:]))
            free -= len(records) - start
    if waiting:
        yield waiting


class _KnownPrincipal(NamedTuple):
    """A decoded principal: its number, and the parts of its identity that calls need."""

    number: int
    identity: Identity
    is_user: bool  # or root
    partition: str  # of the principal, which can call no other one; "" if the identity has no ARN


class _Entry(NamedTuple):
    """A call of a batch: the position of its record, the numbers of its decoded parts, and the number of its rows."""

    record: Record
    source: int
    number: int
    principal: int
    network: int
    single: int
    n_rows: int


class _Reading:
    """The caches of one iteration."""

    def __init__(self, unmapped: Counter[str], without_role: Counter[str], *, no_session_policies: bool) -> None:
        self._unmapped, self._without_role = unmapped, without_role
        self._issued = IssuedSessions()
        self._reader = PrincipalReader(self._issued, no_session_policies=no_session_policies)
        self._clear()

    def _clear(self) -> None:
        self._plans: dict[tuple[str, str, str], RequestPlan] = {}
        self._requests: dict[Any, LoggedRequests] = {}
        self._origins: dict[tuple[str, str, str, str], RequestOrigin] = {}
        self._known: dict[Any, _KnownPrincipal] = {}
        self._of_key: dict[str, list[Any]] = {}  # keys of `_known`, by access key
        self._principals: list[LoggedPrincipal] = []
        self._principal_keys: list[Keys] = []
        self._networks: dict[tuple[NetworkKeys, bool], int] = {}
        self._network_keys: list[Keys] = []

    def calls(self, parts: Sequence[Batch]) -> Calls:
        """Return a batch of calls. Records without an action are counted and omitted."""
        if any(len(store) > _MAX_CACHED for store in (self._plans, self._requests, self._origins, self._known, self._networks)):
            self._clear()
        entries: list[_Entry] = []
        rows: list[LoggedRequest] = []
        single: list[Keys] = [_NO_SINGLE_KEYS]
        for source, (_, first, records) in enumerate(parts):
            for number, record in enumerate(records, first):
                requests = self._read(record, source, number, entries, single)
                if requests is not None:
                    rows += requests.rows
        return self._columns([source for source, _, _ in parts], entries, rows, single)

    def _read(self, record: Record, source: int, number: int, entries: list[_Entry], single: list[Keys]) -> LoggedRequests | None:
        """Add a record and return its requests, or None without an action. PERF: each lookup runs once."""
        kind = (record.eventSource, record.eventName, record.eventType)
        plan = self._plans.get(kind)
        if plan is None:
            plan = self._plans[kind] = RequestPlan(*kind)
        if not plan.actions:
            self._count_unmapped(f"{kind[0]}:{kind[1]}")
            return None
        raw = (bytes(record.userIdentity), record.sessionCredentialFromConsole)
        principal = self._known.get(raw)
        if principal is None:
            principal = self._known[raw] = self._read_principal(record, raw)
        requests = plan.requests or self._requests_of(plan, record, principal)
        if record.errorMessage is not None and _logged(record.errorCode) is LoggedOutcome.DENIED:
            requests = self._narrowed(requests, record, principal)
        network = (_network_of(record, principal.identity), principal.is_user)
        at = self._networks.get(network)
        if at is None:
            at = self._networks[network] = len(self._network_keys)
            self._network_keys.append(context_of_network(network[0], of_user=principal.is_user))
        if requests.without_role:
            self._without_role[requests.without_role] += 1
        if requests.single:
            single.append({**_NO_SINGLE_KEYS, **requests.single})
        own = len(single) - 1 if requests.single else 0
        entries.append(_Entry(record, source, number, principal.number, at, own, len(requests.rows)))
        return requests

    def _columns(
        self, files: list[str], entries: Sequence[_Entry], rows: Sequence[LoggedRequest], single: Sequence[Keys]
    ) -> Calls:
        records, sources, numbers, principals, networks, singles, n_rows = zip(*entries, strict=True) if entries else [()] * 7
        caller, used = _compact(principals)
        network, used_networks = _compact(networks)
        actions: dict[str, int] = {}
        return Calls(
            sources=files,
            source=np.array(sources, np.int32),
            numbers=numbers,
            times=[record.eventTime for record in records],
            ids=[record.eventID for record in records],
            logged=np.array([_logged(record.errorCode) for record in records], np.uint8),
            errors=[record.errorCode for record in records],
            callers=[self._principals[i] for i in used],
            caller=caller,
            facts=(
                LoggedContext(caller, [self._principal_keys[i] for i in used]),
                LoggedContext(network, [self._network_keys[i] for i in used_networks]),
                LoggedContext(np.array(singles, np.int32), single),
            ),
            row_call=np.repeat(np.arange(len(records)), np.array(n_rows, np.int64)),
            row_action=np.array([actions.setdefault(row[0], len(actions)) for row in rows], np.int32),
            actions=list(actions),
            resources=[row[1] for row in rows],
            owners=[row[2] for row in rows],
        )

    def _count_unmapped(self, name: str) -> None:
        known = name in self._unmapped or len(self._unmapped) < _MAX_CACHED
        self._unmapped[name if known else "other names"] += 1

    def _read_principal(self, record: Record, raw: Any) -> _KnownPrincipal:
        identity, principal, keys = self._reader.read(
            record.userIdentity, str(record.sessionCredentialFromConsole).lower() == "true"
        )
        self._principals.append(principal)
        self._principal_keys.append(keys)
        if identity.accessKeyId:
            self._of_key.setdefault(identity.accessKeyId, []).append(raw)
        partition = identity.arn.split(":", 2)[1] if identity.arn.startswith("arn:") else ""
        return _KnownPrincipal(len(self._principals) - 1, identity, identity.type in ("IAMUser", "Root"), partition)

    def _requests_of(self, plan: RequestPlan, record: Record, principal: _KnownPrincipal) -> LoggedRequests:
        """Return the requests of a call, from the cache for calls with equal parts."""
        identity = principal.identity
        caller = identity.arn if plan.of_caller and identity.type == "IAMUser" else ""
        account = record.recipientAccountId or identity.accountId
        parameters, listed = bytes(record.requestParameters), record.resources or ()
        if plan.is_sts:
            for raw in self._of_key.pop(self._issued.add_issued(record, decoded(parameters), identity), ()):
                self._known.pop(raw, None)  # the session called before; its principal is decoded again with more attributes
        arns = tuple([(item.ARN, item.accountId) for item in listed]) if listed else ()
        key = (id(plan), parameters, arns, account, record.awsRegion, caller, principal.partition)
        requests = self._requests.get(key)
        if requests is None:
            requests = plan.requests_of(parameters, listed, self._origin(principal.partition, record.awsRegion, account, caller))
            if len(parameters) < _MAX_CACHED_BYTES:
                self._requests[key] = requests
        return requests

    def _narrowed(self, requests: LoggedRequests, record: Record, principal: _KnownPrincipal) -> LoggedRequests:
        """Return the denied request in the error message, if the message contains the principal of the call."""
        refusal, identity = refusal_in(record.errorMessage or ""), principal.identity
        if refusal is None or refusal.user != identity.arn:
            return requests
        origin = self._origin(principal.partition, record.awsRegion, identity.accountId or record.recipientAccountId or "", "")
        return narrow_to_refusal(requests, refusal, record.resources or (), origin)

    def _origin(self, partition: str, region: str, account: str, caller: str) -> RequestOrigin:
        key = (partition, region, account, caller)
        origin = self._origins.get(key)
        if origin is None:
            origin = self._origins[key] = RequestOrigin(partition or _partition(region), region, account, caller)
        return origin


def _network_of(record: Record, identity: Identity) -> NetworkKeys:
    extra = record.additionalEventData
    over_tls = record.tlsDetails is not None or (extra is not None and extra.CipherSuite is not None)
    return (record.sourceIPAddress, record.userAgent, record.vpcEndpointId, record.awsRegion, over_tls, identity.invokedBy)


def _logged(error: str | None) -> LoggedOutcome:
    return LoggedOutcome.ALLOWED if error is None else logged_of(error)


def _compact(numbers: Sequence[int]) -> tuple[npt.NDArray[np.int32], list[int]]:
    """Return codes of numbers, and the numbers that occur."""
    used, codes = np.unique(np.array(numbers, np.int64), return_inverse=True)
    return codes.astype(np.int32), used.tolist()


def _partition(region: str) -> str:
    return next((partition for start, partition in _PARTITIONS.items() if region.startswith(start)), "aws")
