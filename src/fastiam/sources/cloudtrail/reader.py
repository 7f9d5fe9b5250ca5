"""Records to calls: one pass over a log, a batch of columns after the other.

Most of a log repeats itself, so each part of a record is understood once and then found by its bytes: the identity, the way
over the network, the action, and the parameters with the resources they name. The stores of what was understood are bounded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from os import PathLike
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastiam.analysis.logged_calls import Asker, Calls, Facts, Logged
from fastiam.runtime.gc_pause import collection_paused
from fastiam.sources.cloudtrail.network import Way, keys_of_way
from fastiam.sources.cloudtrail.outcomes import logged_of, refusal_in
from fastiam.sources.cloudtrail.principals import Callers, Identity, Issued, Keys
from fastiam.sources.cloudtrail.records import Batch, Record, read_records
from fastiam.sources.cloudtrail.requests import SINGLE_KEYS, Asked, Plan, Row, decoded, refused
from fastiam.sources.cloudtrail.resources import Place

_BATCH = 16_384
_KEPT = 50_000  # entries of a store
_LARGE = 4_096  # bytes of parameters that are not worth keeping
_PARTITIONS = {  # by the start of a Region's name
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
    """A log of CloudTrail, read anew by each iteration.

    Attributes
    ----------
    records : how many records the last iteration has read.
    skipped : number of files in folders that are not logs by their names and were not read, by suffix.
    unmapped : how many of them have no IAM action, by `eventSource:eventName`: no policy was asked.
    without_role : number of calls without a role in their parameters, by action, for actions that need `iam:PassRole` according
        to AWS's documentation. `iam:PassRole` is not among the requests of these calls.
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
    """Batches of about one size: large files are cut, small ones joined."""
    waiting: list[Batch] = []
    room = _BATCH
    for source, first, records in parts:
        start = 0
        while len(records) - start >= room:
            yield [*waiting, (source, first + start, records[start : start + room])]
            start, waiting, room = start + room, [], _BATCH
        if start < len(records):
            waiting.append((source, first + start, records[start:]))
            room -= len(records) - start
    if waiting:
        yield waiting


class _Known(NamedTuple):
    """A caller that was understood: its number, and what calls need of the identity."""

    number: int
    identity: Identity
    is_user: bool  # or root
    partition: str  # of the caller, who can call no other one; "" if the identity has no ARN


class _Entry(NamedTuple):
    """A call of a batch: where its record is, the numbers of what was understood of it, and how many rows it has."""

    record: Record
    source: int
    number: int
    asker: int
    way: int
    single: int
    n_rows: int


class _Reading:
    """What one iteration has understood so far."""

    def __init__(self, unmapped: Counter[str], without_role: Counter[str], *, no_session_policies: bool) -> None:
        self._unmapped, self._without_role = unmapped, without_role
        self._issued = Issued()
        self._reader = Callers(self._issued, no_session_policies=no_session_policies)
        self._forget()

    def _forget(self) -> None:
        self._plans: dict[tuple[str, str, str], Plan] = {}
        self._asked: dict[Any, Asked] = {}
        self._places: dict[tuple[str, str, str, str], Place] = {}
        self._known: dict[Any, _Known] = {}
        self._of_key: dict[str, list[Any]] = {}  # what is known of callers, by their access keys
        self._askers: list[Asker] = []
        self._asker_keys: list[Keys] = []
        self._ways: dict[tuple[Way, bool], int] = {}
        self._way_keys: list[Keys] = []

    def calls(self, parts: Sequence[Batch]) -> Calls:
        """A batch of calls; records without an action are counted and left out."""
        if any(len(store) > _KEPT for store in (self._plans, self._asked, self._places, self._known, self._ways)):
            self._forget()
        entries: list[_Entry] = []
        rows: list[Row] = []
        single: list[Keys] = [_NO_SINGLE_KEYS]
        for source, (_, first, records) in enumerate(parts):
            for number, record in enumerate(records, first):
                asked = self._read(record, source, number, entries, single)
                if asked is not None:
                    rows += asked.rows
        return self._columns([source for source, _, _ in parts], entries, rows, single)

    def _read(self, record: Record, source: int, number: int, entries: list[_Entry], single: list[Keys]) -> Asked | None:
        """Enter a record, and say what its call asks; None without an action. PERF: nothing here is done twice."""
        kind = (record.eventSource, record.eventName, record.eventType)
        plan = self._plans.get(kind)
        if plan is None:
            plan = self._plans[kind] = Plan(*kind)
        if not plan.actions:
            self._count_unmapped(f"{kind[0]}:{kind[1]}")
            return None
        raw = (bytes(record.userIdentity), record.sessionCredentialFromConsole)
        asker = self._known.get(raw)
        if asker is None:
            asker = self._known[raw] = self._understand(record, raw)
        asked = plan.asked or self._ask(plan, record, asker)
        if record.errorMessage is not None and _logged(record.errorCode) is Logged.DENIED:
            asked = self._narrowed(asked, record, asker)
        way = (_way(record, asker.identity), asker.is_user)
        at = self._ways.get(way)
        if at is None:
            at = self._ways[way] = len(self._way_keys)
            self._way_keys.append(keys_of_way(way[0], of_user=asker.is_user))
        if asked.without_role:
            self._without_role[asked.without_role] += 1
        if asked.single:
            single.append({**_NO_SINGLE_KEYS, **asked.single})
        own = len(single) - 1 if asked.single else 0
        entries.append(_Entry(record, source, number, asker.number, at, own, len(asked.rows)))
        return asked

    def _columns(self, files: list[str], entries: Sequence[_Entry], rows: Sequence[Row], single: Sequence[Keys]) -> Calls:
        records, sources, numbers, askers, ways, singles, n_rows = zip(*entries, strict=True) if entries else [()] * 7
        caller, used = _compact(askers)
        way, used_ways = _compact(ways)
        actions: dict[str, int] = {}
        return Calls(
            sources=files,
            source=np.array(sources, np.int32),
            numbers=numbers,
            times=[record.eventTime for record in records],
            ids=[record.eventID for record in records],
            logged=np.array([_logged(record.errorCode) for record in records], np.uint8),
            errors=[record.errorCode for record in records],
            callers=[self._askers[i] for i in used],
            caller=caller,
            facts=(
                Facts(caller, [self._asker_keys[i] for i in used]),
                Facts(way, [self._way_keys[i] for i in used_ways]),
                Facts(np.array(singles, np.int32), single),
            ),
            row_call=np.repeat(np.arange(len(records)), np.array(n_rows, np.int64)),
            row_action=np.array([actions.setdefault(row[0], len(actions)) for row in rows], np.int32),
            actions=list(actions),
            resources=[row[1] for row in rows],
            owners=[row[2] for row in rows],
        )

    def _count_unmapped(self, name: str) -> None:
        known = name in self._unmapped or len(self._unmapped) < _KEPT
        self._unmapped[name if known else "other names"] += 1

    def _understand(self, record: Record, raw: Any) -> _Known:
        identity, asker, keys = self._reader.read(record.userIdentity, str(record.sessionCredentialFromConsole).lower() == "true")
        self._askers.append(asker)
        self._asker_keys.append(keys)
        if identity.accessKeyId:
            self._of_key.setdefault(identity.accessKeyId, []).append(raw)
        partition = identity.arn.split(":", 2)[1] if identity.arn.startswith("arn:") else ""
        return _Known(len(self._askers) - 1, identity, identity.type in ("IAMUser", "Root"), partition)

    def _ask(self, plan: Plan, record: Record, asker: _Known) -> Asked:
        """The requests of a call, kept for calls that say the same."""
        identity = asker.identity
        caller = identity.arn if plan.of_caller and identity.type == "IAMUser" else ""
        account = record.recipientAccountId or identity.accountId
        parameters, listed = bytes(record.requestParameters), record.resources or ()
        if plan.is_sts:
            for raw in self._of_key.pop(self._issued.learn(record, decoded(parameters), identity), ()):
                self._known.pop(raw, None)  # it called before; from now on more is known of it
        arns = tuple([(item.ARN, item.accountId) for item in listed]) if listed else ()
        key = (id(plan), parameters, arns, account, record.awsRegion, caller, asker.partition)
        asked = self._asked.get(key)
        if asked is None:
            asked = plan.ask(parameters, listed, self._place(asker.partition, record.awsRegion, account, caller))
            if len(parameters) < _LARGE:
                self._asked[key] = asked
        return asked

    def _narrowed(self, asked: Asked, record: Record, asker: _Known) -> Asked:
        """The requests of a denied call that the message names, if it names the caller as the principal."""
        refusal, identity = refusal_in(record.errorMessage or ""), asker.identity
        if refusal is None or refusal.user != identity.arn:
            return asked
        place = self._place(asker.partition, record.awsRegion, identity.accountId or record.recipientAccountId or "", "")
        return refused(asked, refusal, record.resources or (), place)

    def _place(self, partition: str, region: str, account: str, caller: str) -> Place:
        key = (partition, region, account, caller)
        place = self._places.get(key)
        if place is None:
            place = self._places[key] = Place(partition or _partition(region), region, account, caller)
        return place


def _way(record: Record, identity: Identity) -> Way:
    extra = record.additionalEventData
    over_tls = record.tlsDetails is not None or (extra is not None and extra.CipherSuite is not None)
    return (record.sourceIPAddress, record.userAgent, record.vpcEndpointId, record.awsRegion, over_tls, identity.invokedBy)


def _logged(error: str | None) -> Logged:
    return Logged.ALLOWED if error is None else logged_of(error)


def _compact(numbers: Sequence[int]) -> tuple[npt.NDArray[np.int32], list[int]]:
    """Numbers as codes into those that occur."""
    used, codes = np.unique(np.array(numbers, np.int64), return_inverse=True)
    return codes.astype(np.int32), used.tolist()


def _partition(region: str) -> str:
    return next((partition for start, partition in _PARTITIONS.items() if region.startswith(start)), "aws")
