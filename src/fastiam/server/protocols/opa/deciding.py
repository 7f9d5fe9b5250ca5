"""Decisions of the data API: an input in, a result and its record out. What cannot be mapped is not allowed (G110)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Protocol

import numpy as np

from fastiam.api.engine import Engine
from fastiam.engine.decisions import Decisions
from fastiam.errors import PolicyError, RequestValueError
from fastiam.kernel.columns.read import for_all_rows
from fastiam.model.decision import Decision, Outcome
from fastiam.model.session import Session
from fastiam.server.decider import Pinned
from fastiam.server.decision_records import BatchRecord, DecisionRecord, Item, Record
from fastiam.server.identity import EXPLAIN, Identity
from fastiam.server.mapping import EntityMapper, EntityMapping, KnownRecords, MappedPrincipal, MappingError, ignored_names
from fastiam.server.protocols.opa.generic import Generic
from fastiam.server.protocols.opa.opa_answers import UNDEFINED, Call, bad_request, undefined_document
from fastiam.server.protocols.opa.opa_section import ResultForm
from fastiam.server.protocols.opa.trino import (
    COLUMN_MASK,
    ROW_FILTERS,
    SECRET,
    Asked,
    Trino,
    arns,
    arns_of_tables,
    read_asked,
    resources_of,
    table_of,
)
from fastiam.server.reasons import reason_members

MAX_ITEMS: Final = 100_000
_MAX_DENIED: Final = 100  # indices in the decision log
_BAD_VALUE: Final = "bad_value"


class View:
    """One generation as the protocol sees it."""

    def __init__(self, pinned: Pinned, mapping: EntityMapping, *, logs_items: bool = False) -> None:
        self.engine: Engine = pinned.engine
        self.logs_items = logs_items
        self.generation = pinned.generation
        self.records = KnownRecords(pinned.engine)
        self.mapper = EntityMapper(mapping, self.records)


class Path(Protocol):
    """A configured path."""

    is_trino: bool

    def decide(self, call: Call, view: View, identity: Identity, now: datetime) -> tuple[Any, Record | None]:
        """The result of a call, and its record.

        Raises
        ------
        RequestRefused
            the input has the wrong form for the path.
        """


def joined(path: str, records: Sequence[Record], *, logs_items: bool) -> Record | None:
    """The record of a document of several decisions."""
    if len(records) < 2:
        return records[0] if records else None
    outcomes: dict[tuple[str, str], int] = {}
    found = BatchRecord(path, records[0].generation, 0, outcomes)
    denied: list[int] = []
    items: list[Item] = []
    for one in records:
        if isinstance(one, BatchRecord):
            for key, count in one.outcomes.items():
                outcomes[key] = outcomes.get(key, 0) + count
            denied += [found.size + index for index in one.denied]
            items += [(found.size + index, item) for index, item in one.items or ()]
            found.errors += one.errors
            found.size += one.size
            continue
        if one.decision is None:
            found.errors += 1
        else:
            key = (one.decision.outcome.name, str(one.decision.layer))
            outcomes[key] = outcomes.get(key, 0) + 1
        if one.result is not True:
            denied.append(found.size)
        items.append((found.size, one))
        found.size += 1
    found.denied, found.items = denied[:_MAX_DENIED], items if logs_items else None
    return found


class GenericPath:
    """A path of shape `generic`."""

    is_trino = False

    def __init__(self, name: str, shape: Generic, result: ResultForm) -> None:
        self._name, self._shape, self._result = name, shape, result

    def decide(self, call: Call, view: View, identity: Identity, now: datetime) -> tuple[Any, Record | None]:
        """As `Path.decide`."""
        record = DecisionRecord(self._name, view.generation, None, None, None, {}, None, False)
        ignored: list[str] = []
        fault: MappingError | None = None
        try:
            asked = self._shape.query(call.input, view.mapper, identity, now)
            record.principal, record.action, record.resource = asked.name, asked.action, asked.resource
            record.sent_id = asked.sent_id
            record.context, ignored = asked.facts.context, asked.facts.ignored
            record.decision = _decide(
                view.engine,
                asked.principal,
                asked.action,
                asked.resource,
                asked.facts.context,
                now=asked.facts.now or now,
                unknown=asked.facts.unknown,
            )
        except MappingError as error:
            fault, record.error = error.as_value(), error.code
        is_allowed = record.decision is not None and record.decision.allowed
        record.result = is_allowed
        if self._result == "bool":
            return is_allowed, record
        if self._result == "allow":
            return {"allow": is_allowed}, record
        members: dict[str, Any] = {"allowed": is_allowed}
        if record.decision is not None:
            members |= reason_members(record.decision, is_full=EXPLAIN in identity.scopes)
        if fault is not None:
            members["error"] = {"code": fault.code, "message": fault.message}
        if ignored:
            members["ignored"] = ignored_names(ignored)
        members["generation"] = view.generation
        return members, record


class TrinoAllow:
    """A path of shape `trino.allow`: one request, and all resources of it must be allowed."""

    is_trino = True

    def __init__(self, name: str, trino: Trino) -> None:
        self._name, self._trino = name, trino

    def decide(self, call: Call, view: View, identity: Identity, now: datetime) -> tuple[Any, Record | None]:
        """As `Path.decide`."""
        filters = _no_filters(call.input, self._trino)
        if filters is not UNDEFINED:
            return filters, None
        record = DecisionRecord(self._name, view.generation, None, None, None, {}, None, False)
        try:
            if type(call.input) is not dict:
                raise MappingError("bad_type", "the input is not an object", "$")
            who = self._trino.who(call.input, view.records)
            record.principal, record.sent_id = who.name, who.sent_id
            asked = read_asked(call.input, identity)
            record.action, record.context = asked.action, _loggable(asked.facts.context)
            for arn in resources_of(asked):
                record.resource = arn
                record.decision = None  # until this one is decided
                record.decision = _decide(
                    view.engine,
                    who.principal,
                    asked.action,
                    arn,
                    asked.facts.context,
                    now=now,
                    owner=self._trino.owner,
                    unknown=asked.facts.unknown,
                )
                if not record.decision.allowed:
                    break
        except MappingError as error:
            record.decision, record.error = None, error.code
        record.result = record.decision is not None and record.decision.allowed
        return record.result, record


class TrinoBatch:
    """A path of shape `trino.batch`: the indices of what is allowed, ascending (G115)."""

    is_trino = True

    def __init__(self, name: str, trino: Trino) -> None:
        self._name, self._trino = name, trino

    def decide(self, call: Call, view: View, identity: Identity, now: datetime) -> tuple[Any, Record | None]:
        """As `Path.decide`."""
        filters = _no_filters(call.input, self._trino)
        if filters is not UNDEFINED:
            return filters, None
        items = _items(call.input)
        record = BatchRecord(self._name, view.generation, len(items))
        lines = [DecisionRecord(self._name, view.generation, None, None, None, {}, None, False) for _ in items if view.logs_items]
        if view.logs_items:
            record.items = list(enumerate(lines))
        try:
            who = self._trino.who(call.input, view.records)
            asked = read_asked(call.input, identity)
            for line in lines:
                line.principal, line.action, line.context = who.name, asked.action, _loggable(asked.facts.context)
                line.sent_id = who.sent_id
            found, owners, faults = _queries(asked, items)
            decisions = self._decide(view.engine, who, asked, found, now, record, reasons=view.logs_items)
        except MappingError as error:
            for line in lines:
                line.error = error.code
            record.errors = len(items)
            record.denied = range(min(len(items), _MAX_DENIED))
            return [], record
        record.errors += len(faults)
        allowed = np.zeros(0, np.bool_) if decisions is None else decisions.allowed
        rows = np.asarray(owners, np.intp)
        denied = np.ones(len(items), np.bool_)
        denied[rows] = False
        denied[rows[~allowed]] = True
        record.denied = np.flatnonzero(denied)[:_MAX_DENIED].tolist()
        if lines:
            _fill(lines, found, owners, faults, decisions)
        return np.flatnonzero(~denied).tolist(), record

    def _decide(
        self,
        engine: Engine,
        who: MappedPrincipal,
        asked: Asked,
        found: list[str],
        now: datetime,
        record: BatchRecord,
        *,
        reasons: bool,
    ) -> Decisions | None:
        """The decision on each ARN, None without one; counts outcomes into the record."""
        if not found:
            return None
        try:
            decisions = engine.decide_many(
                who.name,
                asked.action,
                found,
                # a list is the value of every row here, and no column
                {name: for_all_rows(value, name) for name, value in asked.facts.context.items()},
                unknown=asked.facts.unknown,
                resource_accounts=self._trino.owner,
                sessions={who.name: who.principal} if isinstance(who.principal, Session) else None,
                now=now,
                reasons=reasons,
                on_error="deny",
            )
        except (RequestValueError, PolicyError):
            raise MappingError(_BAD_VALUE, "a value cannot be decided, or contradicts what is known", "$") from None
        values, counts = np.unique(decisions.outcome, return_counts=True)
        for value, count in zip(values.tolist(), counts.tolist(), strict=True):
            outcome = Outcome(value)
            if outcome is Outcome.ERROR:
                record.errors += count
            else:
                record.outcomes = {**record.outcomes, (outcome.name, ""): count}
        return decisions


def _fill(
    lines: list[DecisionRecord], found: list[str], owners: list[int], faults: Mapping[int, str], decisions: Decisions | None
) -> None:
    """Write the decisions into the records of items: of an item with several ARNs the first that is not allowed, or the last."""
    for index, code in faults.items():
        lines[index].error = code
    for row, (arn, index) in enumerate(zip(found, owners, strict=True)):
        line = lines[index]
        if line.error is not None or (line.decision is not None and not line.decision.allowed):
            continue
        assert decisions is not None
        one = decisions[row]
        line.resource = arn
        if one.layer is None:  # only of a row that cannot be decided
            line.decision, line.error, line.result = None, _BAD_VALUE, False
        else:
            line.decision = Decision(one.outcome, one.layer, one.statement, depends_on=one.depends_on)
            line.result = one.allowed


def _no_filters(input_: Any, trino: Trino) -> Any:
    """The answer to a request for row filters or masks; UNDEFINED if it is not one (G108).

    Raises
    ------
    RequestRefused
        the configuration does not say that there are none.
    """
    action = input_.get("action") if type(input_) is dict else None
    operation = action.get("operation") if type(action) is dict else None
    if operation == ROW_FILTERS and trino.has_no_filters:
        return []
    if operation == COLUMN_MASK and trino.has_no_masks and type(action) is dict:
        if type(action.get("filterResources")) is list:
            return []
        if type(action.get("resource")) is dict:
            return None
        raise bad_request("`action` has neither `resource` nor `filterResources`")
    if operation in (ROW_FILTERS, COLUMN_MASK):
        raise undefined_document("row filters and column masks are not configured")
    return UNDEFINED


def _items(input_: Any) -> list[Any]:
    action = input_.get("action") if type(input_) is dict else None
    items = action.get("filterResources") if type(action) is dict else None
    if type(items) is not list:
        raise bad_request("`input.action.filterResources` is not an array")
    if len(items) > MAX_ITEMS:
        raise bad_request(f"more than {MAX_ITEMS} resources")
    if isinstance(action, dict) and action.get("operation") == "FilterColumns" and items:
        if len(items) > 1:
            raise bad_request("`FilterColumns` has more than one table")
        try:
            table = table_of(items[0])
        except MappingError as error:
            raise bad_request(str(error)) from None
        columns = table.get("columns") or []
        if type(columns) is not list:
            raise bad_request("`columns` is not an array")
        return [{"column": {**table, "columnName": column}} for column in columns]
    return items


def _queries(asked: Asked, items: list[Any]) -> tuple[list[str], list[int], dict[int, str]]:
    """The ARNs to decide, the item of each, and the codes of items without one. All ARNs of an item must be allowed.

    Raises
    ------
    RequestRefused
        too many of them.
    """
    tables = arns_of_tables(items)
    if tables is not None:
        return tables, list(range(len(items))), {}
    found: list[str] = []
    owners: list[int] = []
    faults: dict[int, str] = {}
    for index, item in enumerate(items):
        try:
            if type(item) is not dict:
                raise MappingError("bad_type", "the resource is not an object", "$.action.filterResources")
            each = arns(item, "$.action.filterResources")
        except MappingError as error:
            faults[index] = error.code
            continue
        found += each
        owners += [index] * len(each)
        if len(found) > MAX_ITEMS:  # tables with columns have one ARN for each column
            raise bad_request(f"more than {MAX_ITEMS} resources and columns")
    return found, owners, faults


def _decide(
    engine: Engine,
    principal: str | Session,
    action: str,
    resource: str,
    context: Mapping[str, Any],
    *,
    now: datetime,
    owner: str | None = None,
    unknown: tuple[str, ...] = (),
) -> Decision:
    """One decision.

    Raises
    ------
    MappingError
        `bad_value`, the engine refuses a value. Its message may have values of the directory, and is not shown.
    """
    try:
        return engine.decide(principal, action, resource, context, unknown=unknown, resource_account=owner, now=now)
    except (RequestValueError, PolicyError):
        raise MappingError(_BAD_VALUE, "a value cannot be decided, or contradicts what is known", "$") from None


def _loggable(context: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in context.items() if not name.startswith(SECRET)}
