"""Answers as bytes (2.2). The bytes of a decision are made once for each generation: equal decisions are one object (G220)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Final, Literal, NamedTuple

import orjson

from fastiam.api.engine import Engine
from fastiam.model.decision import Decision, Layer, Outcome
from fastiam.server.decider import Pinned
from fastiam.server.decision_records import Record
from fastiam.server.http import Request, Response
from fastiam.server.identity import EXPLAIN, Identity
from fastiam.server.mapping import EntityMapper, EntityMapping, KnownRecords, MappingError, ignored_names
from fastiam.server.reasons import reason_members

Reasons = Literal["full", "outcome", "none"]
_KEPT: Final = 4_096  # decisions with bytes; all are dropped when there are more


class Answer(NamedTuple):
    """A decision as JSON: `{"decision": ..., "context": {...` without the closing braces."""

    decision: Decision
    head: bytes
    whole: bytes
    is_allowed: bool
    key: tuple[str, str]
    """Outcome and layer."""


def make_answer(decision: Decision, reasons: Reasons) -> Answer:
    """The answer of a decision; members without a value are left out."""
    is_allowed = decision.allowed
    head = b'{"decision":true' if is_allowed else b'{"decision":false'
    key = _key(decision.outcome, decision.layer)
    if reasons == "none":
        return Answer(decision, head, head + b"}", is_allowed, key)
    context = reason_members(decision, is_full=reasons == "full")
    head += b',"context":' + orjson.dumps(context)[:-1]
    return Answer(decision, head, head + b"}}", is_allowed, key)


@cache
def _key(outcome: Outcome, layer: Layer) -> tuple[str, str]:
    return outcome.name, str(layer)


class View:
    """One generation as a protocol sees it: the engine, the mapping over its records, and the bytes of its answers."""

    def __init__(self, pinned: Pinned, mapping: EntityMapping, *, logs_items: bool = False) -> None:
        self.engine: Engine = pinned.engine
        self.logs_items = logs_items
        self.generation = pinned.generation
        self.mapper = EntityMapper(mapping, KnownRecords(pinned.engine))
        self._header = (b"x-fastiam-generation", b"%d" % pinned.generation)
        self._number = b',"generation":%d' % pinned.generation
        self._answers: dict[Reasons, dict[int, Answer]] = {"full": {}, "outcome": {}, "none": {}}

    def kept(self, reasons: Reasons) -> dict[int, Answer]:
        """The answers of `answer` by the `id` of their decisions. It may have none of a decision."""
        return self._answers[reasons]

    def answer(self, decision: Decision, reasons: Reasons) -> Answer:
        """The answer of a decision."""
        kept = self._answers[reasons]
        found = kept.get(id(decision))
        if found is None:
            found = make_answer(decision, reasons)
            if not decision.depends_on:  # else each decision is an object of its own
                if len(kept) >= _KEPT:
                    kept.clear()
                kept[id(decision)] = found  # keeps the decision, so that no other one gets its id
        return found

    def single(self, answer: Answer, ignored: list[str], reasons: Reasons, decision_id: str) -> bytes:
        """The body of a single evaluation."""
        if reasons != "full":
            return answer.whole
        named = b',"ignored":' + orjson.dumps(ignored) if ignored else b""
        return b'%b%b%b,"decision_id":"%b"}}' % (answer.head, self._number, named, decision_id.encode())

    def response(self, request: Request, body: bytes, record: Record | None = None) -> Response:
        """A success: status 200 with the generation and the decision id."""
        headers = (self._header, (b"x-fastiam-decision-id", request.request_id.encode()))
        return Response(200, body, headers=headers, record=record)


def ending_with_ignored(ignored: Sequence[str]) -> bytes:
    """What follows the head of an item whose request stated facts that are not used."""
    return b',"ignored":%b}}' % orjson.dumps(ignored_names(ignored))


def fault_body(fault: MappingError) -> bytes:
    """A denial of what cannot be decided (G63)."""
    error = {"status": fault.status, "code": fault.code, "message": fault.message}
    return orjson.dumps({"decision": False, "context": {"error": error}})


def form_error(fault: MappingError) -> Response:
    """The answer to a request of wrong form: 400 (G46)."""
    return Response(400, orjson.dumps({"error": {"code": fault.code, "message": fault.message, "at": fault.at}}))


def reasons_for(identity: Identity, configured: Reasons) -> Reasons:
    """What `context` has for an identity: policies are named only with the scope `explain`."""
    return "outcome" if configured == "full" and EXPLAIN not in identity.scopes else configured
