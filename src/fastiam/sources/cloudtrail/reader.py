"""Records to calls: one pass over a log, a batch of columns after the other.

Most of a log repeats itself, so each part of a record is understood once and then found by its bytes: the identity, the way
over the network, the action, and the parameters with the resources they name. The stores of what was understood are bounded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from typing import Any

import msgspec
import numpy as np

from fastiam.questions.calls import Asker, Calls, Facts, Logged
from fastiam.sources.cloudtrail.actions import VERSIONED, actions_of_event
from fastiam.sources.cloudtrail.callers import MFA, MFA_AGE, Callers, Identity, Issued
from fastiam.sources.cloudtrail.catalogue import Action
from fastiam.sources.cloudtrail.network import Way, keys_of_way
from fastiam.sources.cloudtrail.outcomes import logged_of
from fastiam.sources.cloudtrail.records import Record, read_records
from fastiam.sources.cloudtrail.resources import Finder, Names, Place, finder_of, names_of, passed_roles

_BATCH = 16_384
_KEPT = 100_000  # entries of each store
_PASS_ROLE = "iam:PassRole"
_NULL = b"null"
_UNREADABLE = "unreadable"

Row = tuple[str, str | None, str | None]  # action, resource and its owner
Rows = tuple[tuple[Row, ...], Mapping[str, str | None]]  # and context keys of this call alone


class CloudTrail:
    """A log of CloudTrail, read anew by each iteration.

    Attributes
    ----------
    records : how many records the last iteration has read.
    unmapped : how many of them have no IAM action, by `eventSource:eventName`: no policy was asked.
    """

    def __init__(self, *paths: str | PathLike[str], assume_no_session_policies: bool = False) -> None:
        self._paths, self._no_session_policies = paths, assume_no_session_policies
        self.records = 0
        self.unmapped: Counter[str] = Counter()

    def __iter__(self) -> Iterator[Calls]:
        self.records, self.unmapped = 0, Counter()
        reading = _Reading(self.unmapped, no_session_policies=self._no_session_policies)
        for source, first, records in read_records(self._paths):
            for start in range(0, len(records), _BATCH):
                part = records[start : start + _BATCH]
                self.records += len(part)
                yield reading.calls(source, first + start, part)


class _Plan:
    """What the calls of one operation need."""

    __slots__ = ("actions", "finders", "issues", "learns", "rows", "versioned")

    def __init__(self, source: str, name: str, kind: str) -> None:
        self.actions: tuple[Action, ...] = actions_of_event(source, name, kind)
        self.finders: list[Finder] = [finder_of(action) for action in self.actions]
        self.learns = source.startswith("sts.")
        self.versioned = any(action.name in VERSIONED for action in self.actions)
        plain = not self.learns and not any(finder.needs_parameters for finder in self.finders)
        # what every call of the operation asks, where nothing about a record matters
        may_pass = any(action.level != "List" and "Read" not in action.level for action in self.actions)
        self.rows: Rows | None = (tuple((a.name, "*", None) for a in self.actions), {}) if plain and not may_pass else None


class _Reading:
    """What one iteration has understood so far."""

    def __init__(self, unmapped: Counter[str], *, no_session_policies: bool) -> None:
        self._unmapped = unmapped
        self._issued = Issued()
        self._callers = Callers(self._issued, no_session_policies=no_session_policies)
        self._identities: dict[Any, tuple[Identity, Asker, Mapping[str, str | None]]] = {}
        self._plans: dict[tuple[str, str, str], _Plan] = {}
        self._rows: dict[Any, Rows] = {}
        self._ways: dict[tuple[Way, bool], Mapping[str, str | None]] = {}

    def calls(self, source: str, first: int, records: Sequence[Record]) -> Calls:
        """A batch of calls; records without an action are counted and left out."""
        made = _Columns(source)
        self._bound()
        for number, record in enumerate(records, first):
            kind = (record.eventSource, record.eventName, record.eventType)
            plan = self._plans.get(kind)
            if plan is None:
                plan = self._plans[kind] = _Plan(*kind)
            if not plan.actions:
                self._unmapped[f"{kind[0]}:{kind[1]}"] += 1
                continue
            raw, console = bytes(record.userIdentity), bytes(record.sessionCredentialFromConsole)
            found = self._identities.get((raw, console))
            if found is None:
                found = self._callers.read(record.userIdentity, console == b'"true"')
                self._identities[raw, console] = found
            identity, caller, keys = found
            rows, single = plan.rows or self._rows_of(plan, record, identity)
            of_user = identity.type in ("IAMUser", "Root")
            way = _way(record, identity)
            facts = self._ways.get((way, of_user))
            if facts is None:
                facts = self._ways[way, of_user] = keys_of_way(way, of_user=of_user)
            made.add(number, record, caller, keys, facts, rows, single)
        return made.calls()

    def _rows_of(self, plan: _Plan, record: Record, identity: Identity) -> Rows:
        """The questions of a call, kept for calls that say the same."""
        caller = identity.arn if identity.type == "IAMUser" and plan.actions[0].prefix in ("iam", "sts") else ""
        account = record.recipientAccountId or identity.accountId
        parameters, listed = bytes(record.requestParameters), bytes(record.resources)
        kept = (id(plan), parameters, listed, account, record.awsRegion, caller)
        if plan.learns:
            self._issued.learn(record, _decoded(parameters), identity)
        rows = self._rows.get(kept)
        if rows is None:
            place = Place(_partition(record.awsRegion), record.awsRegion, account, caller)
            rows = self._rows[kept] = _ask(plan, _decoded(parameters), _listed(listed), place)
        return rows

    def _bound(self) -> None:
        for store in (self._identities, self._rows, self._ways):
            if len(store) > _KEPT:
                store.clear()


def _way(record: Record, identity: Identity) -> Way:
    over_tls = bytes(record.tlsDetails) != _NULL or b'"CipherSuite"' in bytes(record.additionalEventData)
    return (record.sourceIPAddress, record.userAgent, record.vpcEndpointId, record.awsRegion, over_tls, identity.invokedBy)


def _ask(plan: _Plan, parameters: Any, listed: Sequence[tuple[str, str]], place: Place) -> Rows:
    """The questions of one call (R12), and the context keys that its parameters tell."""
    names, is_told = names_of(parameters), _is_told(parameters)
    owner = next((account for _, account in listed if account), None)
    arns = [arn for arn, _ in listed]
    rows: dict[Row, None] = {}
    for finder, action in zip(plan.finders, plan.actions, strict=True):
        name = VERSIONED.get(action.name, action.name) if plan.versioned and "versionid" in names else action.name
        for resource in finder.find(names, arns, place) if is_told or not finder.needs_parameters else (None,):
            own = owner if resource is not None and resource.split(":", 5)[4:5] == [""] else None
            rows[name, resource, own] = None
        for role in passed_roles(action, names):
            rows[_PASS_ROLE, role, None] = None
    single: dict[str, str | None] = {}
    if plan.learns:
        rows |= dict.fromkeys(_also_asked(rows, names, parameters))
        single = _keys_of_sts(names, parameters)
    elif "policyarn" in names and plan.actions[0].prefix == "iam":
        single = {"iam:PolicyARN": names["policyarn"][0]}
    return tuple(rows), single


def _is_told(parameters: Any) -> bool:
    """Whether the parameters are all there: CloudTrail leaves out what is too large, and says so."""
    return parameters is None or (isinstance(parameters, dict) and parameters.get("omitted") is not True)


def _also_asked(rows: Mapping[Row, None], names: Names, parameters: Any) -> list[Row]:
    """Tags and source identities of a session are permissions of their own (D30)."""
    also = []
    if isinstance(parameters, dict) and parameters.get("tags"):
        also.append("sts:TagSession")
    if "sourceidentity" in names:
        also.append("sts:SetSourceIdentity")
    return [(action, resource, own) for action in also for name, resource, own in rows if name.startswith("sts:Assume")]


def _keys_of_sts(names: Names, parameters: Any) -> dict[str, str | None]:
    single: dict[str, str | None] = {}
    for name, key in _STS_KEYS.items():
        if name in names:
            single[key] = names[name][0]
    if "serialnumber" in names:  # a code of MFA, for this call alone (7.6)
        single |= {MFA: "true", MFA_AGE: "0"}
    return single


_STS_KEYS = {
    "externalid": "sts:ExternalId",
    "rolesessionname": "sts:RoleSessionName",
    "sourceidentity": "sts:SourceIdentity",
}
SINGLE_KEYS = (*_STS_KEYS.values(), "iam:PolicyARN")  # a call that does not name them does not have them


def _decoded(raw: bytes) -> Any:
    """The value; `_UNREADABLE` where it is no text."""
    try:
        return msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return _UNREADABLE


def _listed(raw: bytes) -> list[tuple[str, str]]:
    """ARNs and owners in `resources`."""
    value = _decoded(raw) if raw != _NULL else None
    items = [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
    return [(str(item["ARN"]), str(item.get("accountId") or "")) for item in items if isinstance(item.get("ARN"), str)]


def _partition(region: str) -> str:
    return {"cn": "aws-cn", "us-gov": "aws-us-gov"}.get("us-gov" if region.startswith("us-gov-") else region[:2], "aws")


class _Columns:
    """The columns of a batch as they grow."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._numbers: list[int] = []
        self._times: list[str] = []
        self._ids: list[str | None] = []
        self._errors: list[str | None] = []
        self._logged: list[int] = []
        self._caller: list[int] = []
        self._callers: dict[int, int] = {}
        self._caller_list: list[Asker] = []
        self._caller_keys: list[Mapping[str, str | None]] = []
        self._way: list[int] = []
        self._ways: dict[int, int] = {}
        self._way_list: list[Mapping[str, str | None]] = []
        self._single: dict[str, dict[int, str | None]] = {key: {} for key in SINGLE_KEYS}
        self._row_call: list[int] = []
        self._actions: dict[str, int] = {}
        self._row_action: list[int] = []
        self._resources: list[str | None] = []
        self._owners: list[str | None] = []

    def add(
        self,
        number: int,
        record: Record,
        caller: Asker,
        keys: Mapping[str, str | None],
        way: Mapping[str, str | None],
        rows: Sequence[Row],
        single: Mapping[str, str | None],
    ) -> None:
        call = len(self._numbers)
        self._numbers.append(number)
        self._times.append(record.eventTime)
        self._ids.append(record.eventID)
        error = record.errorCode
        self._errors.append(error)
        self._logged.append(Logged.ALLOWED if error is None else logged_of(error))
        code = self._callers.get(id(caller))
        if code is None:
            code = self._callers[id(caller)] = len(self._caller_list)
            self._caller_list.append(caller)
            self._caller_keys.append(keys)
        self._caller.append(code)
        code = self._ways.get(id(way))
        if code is None:
            code = self._ways[id(way)] = len(self._way_list)
            self._way_list.append(way)
        self._way.append(code)
        for key, value in single.items():
            self._single.setdefault(key, {})[call] = value
        for action, resource, owner in rows:
            self._row_call.append(call)
            self._row_action.append(self._actions.setdefault(action, len(self._actions)))
            self._resources.append(resource)
            self._owners.append(owner)

    def calls(self) -> Calls:
        """The batch."""
        caller = np.array(self._caller, np.int32)
        return Calls(
            self._source,
            self._numbers,
            self._times,
            self._ids,
            np.array(self._logged, np.uint8),
            self._errors,
            self._caller_list,
            caller,
            (Facts(caller, self._caller_keys), Facts(np.array(self._way, np.int32), self._way_list)),
            self._single,
            np.array(self._row_call, np.int64),
            list(self._actions),
            np.array(self._row_action, np.int32),
            self._resources,
            self._owners,
        )
