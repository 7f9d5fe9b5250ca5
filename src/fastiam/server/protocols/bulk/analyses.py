"""Analyses: who can do something, what someone can do, why a request is decided as it is, and what a change does (G166)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import orjson

from fastiam.api.engine import Engine
from fastiam.errors import PolicyError, RequestValueError
from fastiam.model.session import Session
from fastiam.server.decider import Pinned
from fastiam.server.http import JSON, Request, Response
from fastiam.server.identity import ASSERT_CONTEXT, Identity
from fastiam.server.mapping import (
    MAX_ACTION,
    Facts,
    KnownRecords,
    MappingError,
    facts,
    ignored_names,
    read_instant,
    read_members,
    read_owner,
    read_text,
)
from fastiam.server.mapping.wanted_pages import WantedPage, wanted_page
from fastiam.server.protocols.bulk.parameters import NDJSON
from fastiam.server.protocols.bulk.stated_sessions import StatedSession, principal_of, read_sessions
from fastiam.server.protocols.bulk.stream import error, refusal
from fastiam.server.reasons import client_form
from fastiam.strict_json import JsonError, read_object

MAX_LIMIT: Final = 1_000
DEFAULT_LIMIT: Final = 100
_PIECE: Final = 256  # entries of a piece of a streamed answer (G8)
_MAX_NAMES: Final = 256  # unknown keys, and actions to decide
_COMMON: Final = frozenset({"action", "resource", "context", "unknown", "resource_account", "now", "sessions"})
_PAGED: Final = frozenset({"limit", "token"})


class AnalysisCall:
    """The parts that analyses share, read from one body.

    Raises
    ------
    MappingError
        the body has the wrong form, or states what the identity may not state.
    """

    def __init__(self, request: Request, identity: Identity, pinned: Pinned, now: datetime, members: frozenset[str]) -> None:
        self.body = read_body(request, members)
        self.engine: Engine = pinned.engine
        self.generation = pinned.generation
        self.now = now
        if self.body.get("now") is not None:
            if ASSERT_CONTEXT not in identity.scopes:
                raise MappingError("not_asserted", f"stating the time needs the scope `{ASSERT_CONTEXT}`", "$.now")
            self.now = read_instant(self.body["now"], "$.now")
        self.resource = None if self.body.get("resource") is None else read_text(self.body, "resource", "$")
        self._facts = self._read_facts(identity)
        self.ignored = self._facts.ignored
        self.unknown = self._names("unknown") + self._facts.unknown
        self.owner = self._read_owner(identity)
        self.sessions: Mapping[str, StatedSession] = {}
        if self.body.get("sessions") is not None:
            self.sessions = read_sessions(self.body["sessions"], identity, self.engine, self.now)

    def _read_facts(self, identity: Identity) -> Facts:
        context = read_members(self.body, "context", "$") or {}
        resource, records = self.resource, KnownRecords(self.engine)

        def stored_tags() -> Any:
            try:
                return {} if resource is None else records.resource_tags(resource)
            except RequestValueError:
                return {}

        return facts(identity, context, stored_tags=stored_tags)

    def _read_owner(self, identity: Identity) -> str | None:
        if self.body.get("resource_account") is None:
            return None
        return read_owner(identity, read_text(self.body, "resource_account", "$"), "$.resource_account", self.ignored)

    def _names(self, name: str) -> tuple[str, ...]:
        raw = self.body.get(name)
        if raw is None:
            return ()
        if type(raw) is not list or len(raw) > _MAX_NAMES or not all(type(item) is str for item in raw):
            raise MappingError("bad_type", f"`{name}` is not a list of at most {_MAX_NAMES} texts", f"$.{name}")
        return tuple(raw)

    def actions(self) -> tuple[str, ...]:
        """The actions to decide."""
        return self._names("actions")

    def need_resource(self) -> str:
        """The resource.

        Raises
        ------
        MappingError
            it is missing.
        """
        return read_text(self.body, "resource", "$")

    def principal(self) -> str | Session:
        """The principal. Keys of a stated session that change with time are added to the context.

        Raises
        ------
        MappingError
            it is missing, or none.
        """
        found = principal_of(read_text(self.body, "principal", "$"), self.sessions)
        if isinstance(found, str):
            return found
        self._facts.context.update(found.keys)
        return found.session

    @property
    def context(self) -> dict[str, Any]:
        """The condition keys that are stated."""
        return self._facts.context

    @property
    def about(self) -> dict[str, Any]:
        """Further arguments of the engine."""
        return {"unknown": self.unknown, "resource_account": self.owner, "now": self.now}

    def answer(self, members: dict[str, Any]) -> Response:
        """An answer with some members."""
        if self.ignored:
            members["ignored"] = ignored_names(self.ignored)
        return Response(200, orjson.dumps(members), headers=self.headers)

    @property
    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """Fields of an answer."""
        return ((b"x-fastiam-generation", b"%d" % self.generation),)


def read_body(request: Request, members: frozenset[str]) -> dict[str, Any]:
    """The JSON object of a request.

    Raises
    ------
    MappingError
        `bad_content_type`, a code of `JsonError`, or `bad_member`: a member that the analysis does not have.
    """
    if (request.header(b"content-type") or b"").partition(b";")[0].strip().lower() != JSON.encode():
        raise MappingError("bad_content_type", f"the content type is not `{JSON}`", "content-type")
    try:
        body = read_object(request.body)
    except JsonError as fault:
        raise MappingError(fault.code, fault.message, fault.at) from None
    other = sorted(body.keys() - members)
    if other:
        raise MappingError("bad_member", f"the analysis has no `{other[0][:64]}`", f"$.{other[0][:64]}")
    return body


def _read_page(analysis: AnalysisCall, path: str, *, extra: Any = None) -> WantedPage:
    body = analysis.body
    listing = orjson.dumps(
        [path, extra, {name: value for name, value in body.items() if name not in _PAGED}], option=orjson.OPT_SORT_KEYS
    )
    limit = body.get("limit")
    if limit is not None and (type(limit) is not int or not 1 <= limit <= MAX_LIMIT):
        raise MappingError("bad_limit", f"`limit` is not an integer from 1 to {MAX_LIMIT}", "$.limit")
    page = wanted_page(limit, body.get("token"), listing, "$.token")
    return page._replace(limit=page.limit or DEFAULT_LIMIT)


def _paged(names: Sequence[str], page: WantedPage) -> tuple[int, int, dict[str, Any]]:
    """Where a page of ordered entries begins and ends, and the member `page`. Entries with one name stay together."""
    start = 0
    if page.last is not None:
        start = next((at for at, name in enumerate(names) if name > page.last), len(names))
    end = min(start + (page.limit or DEFAULT_LIMIT), len(names))
    while 0 < end < len(names) and names[end] == names[end - 1]:
        end += 1
    token = page.token_after(names[end - 1]) if end < len(names) else ""
    return start, end, {"next_token": token, "count": end - start}


Answering = Callable[[Request, Identity, Pinned, datetime], Response]


def guarded(answering: Answering) -> Answering:
    """A analysis whose faults are responses."""

    def answer(request: Request, identity: Identity, pinned: Pinned, now: datetime) -> Response:
        try:
            return answering(request, identity, pinned, now)
        except MappingError as fault:
            if fault.code == "bad_content_type":
                return error(415, fault.code, fault.message)
            return refusal(fault)
        except RequestValueError as fault:
            # the message may have values of the directory, so only the part of the request is named
            message = f"the value of `{fault.column[:64]}` cannot be decided, or contradicts what is known"
            return error(400, "bad_value", message, f"$.{fault.column[:64]}")
        except PolicyError:
            return error(400, "bad_value", "a policy cannot be read", "$")

    return answer


@guarded
def answer_who_can(request: Request, identity: Identity, pinned: Pinned, now: datetime) -> Response:
    """Answer `POST /v1/who-can`: the principals that can do an action on a resource, in the order of their names."""
    analysis = AnalysisCall(request, identity, pinned, now, _COMMON | _PAGED)
    action = read_text(analysis.body, "action", "$", MAX_ACTION)
    resource = analysis.need_resource()
    streams = any(NDJSON.encode() in value.lower() for value in request.header_values(b"accept"))
    page = _read_page(analysis, "who-can")
    found = analysis.engine.who_can(action, resource, analysis.context, **analysis.about)
    order = sorted(range(len(found)), key=found.principals.__getitem__)
    if streams:
        return Response(200, _streamed(found, order, analysis), content_type=NDJSON, headers=analysis.headers)
    start, end, member = _paged([found.principals[at] for at in order], page)
    callers = [client_form(found[at]) for at in order[start:end]]
    return analysis.answer({"callers": callers, "page": member})


def _streamed(found: Sequence[Any], order: Sequence[int], analysis: AnalysisCall) -> Iterator[bytes]:
    for at in range(0, len(order), _PIECE):
        lines = [orjson.dumps(client_form(found[i]), option=orjson.OPT_APPEND_NEWLINE) for i in order[at : at + _PIECE]]
        yield b"".join(lines)
    summary: dict[str, Any] = {"callers": len(order), "generation": analysis.generation}
    if analysis.ignored:
        summary["ignored"] = ignored_names(analysis.ignored)
    yield orjson.dumps({"summary": summary}, option=orjson.OPT_APPEND_NEWLINE)


@guarded
def answer_what_can(request: Request, identity: Identity, pinned: Pinned, now: datetime) -> Response:
    """Answer `POST /v1/what-can`: with a resource the actions that are allowed on it, else grants as patterns."""
    members = (_COMMON - {"action"}) | _PAGED | {"principal", "actions"}
    analysis = AnalysisCall(request, identity, pinned, now, members)
    principal = analysis.principal()
    engine, context = analysis.engine, analysis.context
    if analysis.resource is not None:
        page = _read_page(analysis, "what-can")
        actions = engine.what_can(principal, analysis.resource, context, actions=analysis.actions() or None, **analysis.about)
        actions = sorted(actions, key=lambda one: one.action)
        start, end, member = _paged([one.action for one in actions], page)
        return analysis.answer({"actions": [client_form(one) for one in actions[start:end]], "page": member})
    if analysis.actions() or analysis.unknown or analysis.owner is not None or analysis.body.get("now") is not None:
        raise MappingError("missing", "`actions`, `unknown`, `resource_account` and `now` need `resource`", "$.resource")
    # grants have no names: a page begins at a number, which another generation may give to another grant
    page = _read_page(analysis, "what-can", extra=analysis.generation)
    grants = engine.what_can(principal, None, context)
    start, end, member = _paged([f"{at:09}" for at in range(len(grants))], page)
    return analysis.answer({"grants": [client_form(grant) for grant in grants[start:end]], "page": member})


@guarded
def answer_explain(request: Request, identity: Identity, pinned: Pinned, now: datetime) -> Response:
    """Answer `POST /v1/explain`: the record of one decision."""
    analysis = AnalysisCall(request, identity, pinned, now, _COMMON | {"principal"})
    principal = analysis.principal()
    action = read_text(analysis.body, "action", "$", MAX_ACTION)
    explanation = analysis.engine.explain(principal, action, analysis.need_resource(), analysis.context, **analysis.about)
    return analysis.answer(client_form(explanation))
