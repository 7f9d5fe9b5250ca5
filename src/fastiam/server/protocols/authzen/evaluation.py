"""`evaluation` and `evaluations`: one query, or up to 1,000 with shared defaults (2.1)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from fastiam.api.engine import Engine
from fastiam.errors import PolicyError, RequestValueError
from fastiam.model.decision import Decision
from fastiam.server._plain_batch import PlainBatch, write_cached
from fastiam.server.decision_records import BatchRecord, DecisionRecord
from fastiam.server.http import Request, Response
from fastiam.server.identity import Identity
from fastiam.server.mapping import MappingError, ignored_names
from fastiam.server.protocols.authzen.authzen_answers import (
    Reasons,
    View,
    ending_with_ignored,
    fault_body,
    form_error,
    reasons_for,
)
from fastiam.server.protocols.authzen.reading import (
    MAX_ITEMS,
    BatchReader,
    Fault,
    Plain,
    Query,
    Reader,
    check_content_type,
    plain_queries,
    read_body,
    read_entity,
    sent_id,
)

_MAX_DENIED: Final = 100  # indices in the decision log
_CHUNK: Final = 512  # requests at a time: fewer tuples than start the garbage collector
_NO_BODY: Final[dict[str, Any]] = {}
_EXECUTE_ALL: Final = "execute_all"
_STOPS: Final = {_EXECUTE_ALL: None, "deny_on_first_deny": False, "permit_on_first_permit": True}
"""The decision after which a semantic stops."""


def answer_evaluation(view: View, request: Request, identity: Identity, reasons: Reasons, now: datetime) -> Response:
    """Answer `POST /access/v1/evaluation`."""
    try:
        check_content_type(request)
        reader = Reader(view.mapper, identity, now)
        plain = reader.plain(request.body, 0)
        found = plain_queries(plain)[0] if plain is not None and plain.is_whole else None
        # PERF: what `plain` has read is read again only to log an id that the name of the principal does not show
        body = read_body(request) if found is None or view.mapper.hides_ids else _NO_BODY
        query = found or reader.query(body)
        return _single(
            view, request, query, sent_id(view.mapper, body.get("subject")), identity, reasons, now, "authzen/evaluation"
        )
    except MappingError as error:
        return form_error(error)


def answer_evaluations(view: View, request: Request, identity: Identity, reasons: Reasons, now: datetime) -> Response:
    """Answer `POST /access/v1/evaluations`."""
    try:
        check_content_type(request)
        reader = BatchReader(view.mapper, identity, now)
        plain = reader.plain(request.body)
        if plain is not None and plain.is_whole and not view.logs_items:
            answer = _answer_plain(view, request, plain, identity, reasons, now)
            if answer is not None:
                return answer
        body = read_body(request)
        items = body.get("evaluations")
        stop = _stop(body.get("options"))
        if not items and (items is None or type(items) is list):
            query = reader.query(body)
            sent = sent_id(view.mapper, body.get("subject"))
            return _single(view, request, query, sent, identity, reasons, now, "authzen/evaluations")
        if type(items) is not list:
            raise MappingError("bad_type", "`evaluations` is not an array", "$.evaluations")
        if len(items) > MAX_ITEMS:
            raise MappingError("too_many_items", f"more than {MAX_ITEMS} evaluations", "$.evaluations")
        _check_defaults(body)
        defaults = body.get("subject"), body.get("action"), body.get("resource"), body.get("context")
        queries = reader.queries(items, defaults, plain)
        return _batch(view, request, items, defaults[0], queries, stop, reasons_for(identity, reasons), now)
    except MappingError as error:
        return form_error(error)


def _single(
    view: View,
    request: Request,
    query: Plain | Query | Fault,
    sent: str | None,
    identity: Identity,
    reasons: Reasons,
    now: datetime,
    path: str,
) -> Response:
    decision = query if isinstance(query, Fault) else decide(view.engine, query, now)
    if isinstance(decision, Fault):
        if decision.is_form:
            raise decision
        record = DecisionRecord(path, view.generation, None, None, None, {}, None, False, decision.code, sent)
        _name(record, query)
        return view.response(request, fault_body(decision), record)
    reasons = reasons_for(identity, reasons)
    answer = view.answer(decision, reasons)
    record = DecisionRecord(path, view.generation, None, None, None, {}, decision, answer.is_allowed, None, sent)
    ignored = _name(record, query)
    return view.response(request, view.single(answer, ignored, reasons, request.request_id), record)


def _name(record: DecisionRecord, query: Plain | Query | Fault) -> list[str]:
    """Write the query into a record. Returns the names of what it stated and is not used."""
    if isinstance(query, Fault):
        return []
    plain = query.request if isinstance(query, Query) else query
    principal, record.action, record.resource, record.context = plain
    record.principal = principal if isinstance(principal, str) else principal.arn
    return ignored_names(query.ignored) if isinstance(query, Query) else []


def decide(engine: Engine, query: Plain | Query, now: datetime) -> Decision | Fault:
    """The decision on one query; a fault if the engine refuses a value."""
    try:
        if not isinstance(query, Query):
            return engine.decide(*query, now=now)
        if query.options is None:
            return engine.decide(*query.request, now=now)
        owner, stated, unknown = query.options
        return engine.decide(*query.request, unknown=unknown, resource_account=owner, now=stated or now)
    except RequestValueError as error:
        return _refused(error.column)
    except PolicyError:
        return _refused("subject.properties.session_policies")


def _refused(place: str) -> Fault:
    """A value that the engine refuses. Its message may have values of the directory, so only the place is named (G63)."""
    return MappingError("bad_value", f"the value of `{place}` cannot be decided, or contradicts what is known", "$")


def decide_all(engine: Engine, queries: Sequence[Plain | Query | Fault], now: datetime) -> Sequence[Decision | Fault]:
    """The decisions on many queries: those without options in one call."""
    if set(map(type, queries)) == {tuple}:  # PERF: nearly always
        plain: Sequence[Any] = queries
    else:
        plain = [
            query.request if isinstance(query, Query) else query
            for query in queries
            if not isinstance(query, Fault) and (not isinstance(query, Query) or query.options is None)
        ]
    try:
        decided = engine.decide_each(plain, now=now)
    except (RequestValueError, PolicyError):  # one of them cannot be decided: each is decided by itself
        return [query if isinstance(query, Fault) else decide(engine, query, now) for query in queries]
    if len(plain) == len(queries):
        return decided
    rest = iter(decided)
    return [
        query
        if isinstance(query, Fault)
        else decide(engine, query, now)
        if isinstance(query, Query) and query.options is not None
        else next(rest)
        for query in queries
    ]


def _stop(options: Any) -> bool | None:
    """The decision after which the answer ends; None: at the end of the items (G64)."""
    if options is None:
        return None
    if type(options) is not dict:
        raise MappingError("bad_type", "`options` is not an object", "$.options")
    semantic = options.get("evaluations_semantic")
    if semantic is None:
        return None
    if type(semantic) is not str or semantic not in _STOPS:
        known = ", ".join(f"`{name}`" for name in _STOPS)
        raise MappingError(
            "bad_value_of_option", f"`evaluations_semantic` is not one of {known}", "$.options.evaluations_semantic"
        )
    return _STOPS[semantic]


def _check_defaults(body: dict[str, Any]) -> None:
    """Check the form of the entities that items may use, also of those that none uses (G61)."""
    for kind in ("subject", "action", "resource"):
        if body.get(kind) is not None:
            read_entity(body[kind], kind)
    context = body.get("context")
    if context is not None and type(context) is not dict:
        raise MappingError("bad_type", "`context` is not an object", "$.context")


def _batch(
    view: View,
    request: Request,
    items: list[Any],
    default_subject: Any,
    queries: list[Plain | Query | Fault],
    stop: bool | None,
    reasons: Reasons,
    now: datetime,
) -> Response:
    decisions = decide_all(view.engine, queries, now)
    written = _write(view, queries, decisions, stop, reasons)
    record = written.record(view)
    if view.logs_items:
        record.items = [
            (index, _item(record, query, decision, _sent_id_of_item(view, items[index], default_subject)))
            for index, (query, decision) in enumerate(zip(queries[: record.size], decisions, strict=False))
        ]
    return view.response(request, b'{"evaluations":[%b]}' % written.bodies, record)


def _answer_plain(
    view: View, request: Request, plain: PlainBatch, identity: Identity, reasons: Reasons, now: datetime
) -> Response | None:
    """Answer a batch that was read as a whole, without reading it as Python objects; None if an item cannot be decided."""
    decisions: list[Decision] = []
    try:
        for start in range(0, len(plain), _CHUNK):
            decisions += view.engine.decide_each(plain.requests(start, start + _CHUNK), now=now)
    except (RequestValueError, PolicyError):
        return None  # each is decided by itself
    reasons = reasons_for(identity, reasons)
    ignored, endings = plain.ignored() if reasons == "full" else None, None
    if ignored is not None:
        by_paths = {paths: ending_with_ignored(paths) for paths in set(ignored) if paths is not None}
        endings = [None if paths is None else by_paths[paths] for paths in ignored]
    found = write_cached(decisions, endings, view.kept(reasons), _MAX_DENIED)
    if found is None:
        written = _write(view, plain_queries(plain), decisions, None, reasons)
    else:
        written = _Written(found[0], len(decisions), found[1], found[2], 0)
    return view.response(request, b'{"evaluations":[%b]}' % written.bodies, written.record(view))


class _Written(NamedTuple):
    """The items of an answer.

    Attributes
    ----------
    bodies
        with commas between them.
    outcomes
        counts by outcome and layer.
    denied
        the first denied items.
    """

    bodies: bytes
    size: int
    outcomes: dict[tuple[str, str], int]
    denied: list[int]
    errors: int

    def record(self, view: View) -> BatchRecord:
        """What is logged and counted."""
        return BatchRecord("authzen/evaluations", view.generation, self.size, self.outcomes, self.denied, self.errors)


def _sent_id_of_item(view: View, item: Any, default: Any) -> str | None:
    own = item.get("subject") if type(item) is dict else None
    return sent_id(view.mapper, default if own is None else own)


def _item(batch: BatchRecord, query: Plain | Query | Fault, decision: Decision | Fault, sent: str | None) -> DecisionRecord:
    """The record of an item."""
    record = DecisionRecord(batch.path, batch.generation, None, None, None, {}, None, False, None, sent)
    _name(record, query)
    if isinstance(decision, Fault):
        record.error = decision.code
    else:
        record.decision, record.result = decision, decision.allowed
    return record


def _write(
    view: View,
    queries: Sequence[Plain | Query | Fault | None],
    decisions: Sequence[Decision | Fault],
    stop: bool | None,
    reasons: Reasons,
) -> _Written:
    """Write decisions on any queries.

    Parameters
    ----------
    stop
        the decision after which the answer ends.
    """
    bodies: list[bytes] = []
    outcomes: dict[tuple[str, str], int] = {}
    denied: list[int] = []
    errors = 0
    for query, decision in zip(queries, decisions, strict=True):
        if isinstance(decision, Fault):
            errors += 1
            is_allowed = False
            bodies.append(fault_body(decision))
        else:
            answer = view.answer(decision, reasons)
            is_allowed = answer.is_allowed
            outcomes[answer.key] = outcomes.get(answer.key, 0) + 1
            if reasons == "full" and isinstance(query, Query) and query.ignored:
                bodies.append(answer.head + ending_with_ignored(query.ignored))
            else:
                bodies.append(answer.whole)
        if not is_allowed and len(denied) < _MAX_DENIED:
            denied.append(len(bodies) - 1)
        if is_allowed is stop:
            break
    return _Written(b",".join(bodies), len(bodies), outcomes, denied, errors)
