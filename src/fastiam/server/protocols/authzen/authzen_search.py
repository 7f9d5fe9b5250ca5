"""Searches for subjects, resources and actions: entities for which an evaluation answers true (G66 to G73)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple

import orjson

from fastiam.directory.principal_refs import parse_principal
from fastiam.server.decision_records import BatchRecord
from fastiam.server.http import Request, Response
from fastiam.server.identity import Identity
from fastiam.server.mapping import NO_FACTS, MappingError, Resource, Subject, ignored_names
from fastiam.server.mapping.wanted_pages import WantedPage, wanted_page
from fastiam.server.protocols.authzen.authzen_answers import Reasons, View, form_error, reasons_for
from fastiam.server.protocols.authzen.candidates import Candidates, is_outside_type
from fastiam.server.protocols.authzen.evaluation import decide_all
from fastiam.server.protocols.authzen.reading import (
    Action,
    Fault,
    Plain,
    Query,
    Reader,
    check_content_type,
    read_body,
    read_entity,
)

Kind = Literal["subject", "resource", "action"]
_ENTITIES: Final = ("subject", "action", "resource", "context")
MAX_PAGE: Final = 1_000
MAX_RESULTS: Final = 10_000  # of one answer without pages
_AT_ONCE: Final = 256  # queries decided in one call, between which other threads run


_Parts = dict[str, Any]  # mapped entities by name; None for the searched one
_ANY_ACTION: Final = Action("sts:GetCallerIdentity", NO_FACTS)


def answer_search(
    kind: Kind, view: View, candidates: Candidates, request: Request, identity: Identity, reasons: Reasons, now: datetime
) -> Response:
    """Answer `POST /access/v1/search/{kind}`."""
    try:
        check_content_type(request)
        body = read_body(request)
        for name in _ENTITIES[:3]:
            if name != kind or kind != "action":
                read_entity(body.get(name), name, needs_id=name != kind)
        context = body.get("context")
        if context is not None and type(context) is not dict:
            raise MappingError("bad_type", "`context` is not an object", "$.context")
        listing = _listing(kind, body)
        page = _read_page(body.get("page"), listing)
        run = _Search(kind, view, candidates, body, identity, now)
        found = run.page(page)
    except MappingError as error:
        return form_error(error)
    return _response(view, request, kind, run, found, page, reasons_for(identity, reasons))


def _listing(kind: Kind, body: Mapping[str, Any]) -> bytes:
    """The canonical form of a search: its four entities without the searched id; what is null is absent."""
    asked = {name: body[name] for name in _ENTITIES if name != kind and body.get(name) is not None}
    if kind != "action":
        asked[kind] = {name: value for name, value in body[kind].items() if name != "id"}
    return orjson.dumps([kind, asked], option=orjson.OPT_SORT_KEYS)


def _read_page(raw: Any, listing: bytes) -> WantedPage:
    if raw is None:
        return WantedPage(None, None, listing)
    if type(raw) is not dict:
        raise MappingError("bad_type", "`page` is not an object", "$.page")
    limit = raw.get("limit")
    if limit is not None and (type(limit) is not int or limit < 0):
        raise MappingError("bad_limit", "`limit` is not an integer of at least 0", "$.page.limit")
    return wanted_page(None if limit is None else min(limit, MAX_PAGE), raw.get("token"), listing, "$.page.token")


class _Results(NamedTuple):
    """Some results in order."""

    ids: list[str]
    has_more: bool


class _Search:
    """One search over one generation."""

    def __init__(
        self, kind: Kind, view: View, candidates: Candidates, body: Mapping[str, Any], identity: Identity, now: datetime
    ) -> None:
        self.kind = kind
        self.type_name: str = "" if kind == "action" else body[kind]["type"]
        self.is_enumerable = True
        self.ignored: list[str] = []
        self.decided: dict[tuple[str, str], int] = {}
        self.errors = 0
        self._view, self._candidates, self._body, self._now = view, candidates, body, now
        self._reader = Reader(view.mapper, identity, now)
        self._identity = identity

    def page(self, page: WantedPage) -> _Results:
        """The results of one page: as many as asked for, and whether there are more.

        Raises
        ------
        MappingError
            an entity has the wrong form; one without a meaning gives no results (G67).
        """
        body, reader, kind = self._body, self._reader, self.kind
        parts: _Parts = {
            "subject": reader.subject(body["subject"]) if kind != "subject" else None,
            "action": reader.action(body["action"]) if kind != "action" else None,
            "resource": reader.resource(body["resource"]) if kind != "resource" else None,
            "context": reader.context(body.get("context")),
        }
        faults = [part for part in parts.values() if isinstance(part, Fault)]
        for fault in faults:
            if fault.is_form:
                raise fault
        candidates = self._candidate_ids(parts) if not faults else []
        if candidates is None:
            self.is_enumerable, candidates = False, []
        start = 0 if page.last is None else bisect_right(candidates, page.last)
        most = MAX_RESULTS if page.limit is None else page.limit
        ids: list[str] = []
        for id_ in self._allowed(candidates[start:], parts):
            if len(ids) == most:
                return _Results(ids, True)
            ids.append(id_)
        return _Results(ids, False)

    def _candidate_ids(self, parts: _Parts) -> Sequence[str] | None:
        """The ids that may be results, in order; None if those of the type cannot be listed."""
        candidates, mapper = self._candidates, self._view.mapper
        if self.kind == "action":
            on: Resource = parts["resource"]
            query = self._combine({**parts, "action": _ANY_ACTION})
            if isinstance(query, Fault):
                return []
            names = () if on.type is None else on.type.section.actions
            return candidates.actions(query, names, lambda name: mapper.action_name(name, on.type), self._now)
        entity = self._body[self.kind]
        properties = entity.get("properties") or {}
        if self.kind == "resource":
            return candidates.resources(entity["type"], properties)
        if is_outside_type(entity["type"], mapper.mapping.subjects):
            query = self._combine({**parts, "subject": Subject("*", parse_principal("*"))})
            return [] if isinstance(query, Fault) else candidates.outsiders(entity["type"], query, self._now)
        found = candidates.subjects(entity["type"], properties)
        self.is_enumerable = entity["type"] not in candidates.hidden
        return found

    def _allowed(self, ids: Sequence[str], parts: _Parts) -> Iterator[str]:
        """The ids for which an evaluation answers true, decided in pieces."""
        for at in range(0, len(ids), _AT_ONCE):
            piece = ids[at : at + _AT_ONCE]
            queries = [self._query(id_, parts) for id_ in piece]
            for id_, decision in zip(piece, decide_all(self._view.engine, queries, self._now), strict=True):
                if isinstance(decision, Fault):
                    self.errors += 1
                    continue
                key = (decision.outcome.name, str(decision.layer))
                self.decided[key] = self.decided.get(key, 0) + 1
                if decision.allowed:
                    yield id_

    def _query(self, id_: str, parts: _Parts) -> Plain | Query | Fault:
        """The query of an evaluation with this id in place of the searched entity."""
        mapper = self._view.mapper
        who, what, on = parts["subject"], parts["action"], parts["resource"]
        try:
            if self.kind == "subject":
                who = mapper.subject(self._body["subject"]["type"], id_, None, self._identity, self._now)
            elif self.kind == "resource":
                on = mapper.resource(self._body["resource"]["type"], id_, None, self._identity)
            else:
                what = Action(id_, NO_FACTS)
        except MappingError as error:
            return error.as_value()
        query = self._combine({**parts, "subject": who, "action": what, "resource": on})
        if not self.ignored and isinstance(query, Query):
            self.ignored = query.ignored
        return query

    def _combine(self, parts: _Parts) -> Plain | Query | Fault:
        who, what, on, given = (parts[name] for name in _ENTITIES)
        return self._reader.combine(who, what, on, given, self._body.get("context"))


def _response(
    view: View, request: Request, kind: Kind, run: _Search, found: _Results, page: WantedPage, reasons: Reasons
) -> Response:
    answer: dict[str, Any] = {}
    if run._body.get("page") is not None or found.has_more:
        last = found.ids[-1] if found.ids else page.last or ""
        answer["page"] = {"next_token": page.token_after(last) if found.has_more else "", "count": len(found.ids)}
        if not found.has_more and page.last is None:
            answer["page"]["total"] = len(found.ids)
    if kind == "action":
        answer["results"] = [{"name": name} for name in found.ids]
    else:
        answer["results"] = [{"type": run.type_name, "id": id_} for id_ in found.ids]
    context: dict[str, Any] = {}
    if not run.is_enumerable:
        context["note"] = "not_enumerable"
    if reasons == "full" and run.ignored:
        context["ignored"] = ignored_names(run.ignored)
    if context:
        answer["context"] = context
    record = BatchRecord(f"authzen/search/{kind}", view.generation, len(found.ids), run.decided, (), run.errors)
    return view.response(request, orjson.dumps(answer), record)
