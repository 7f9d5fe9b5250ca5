"""Decides the examples of a file in batches, compares them with what is expected, and explains those that fail."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, cast

from fastiam.errors import RequestValueError
from fastiam.model.decision import Decision
from fastiam.model.profile import PrincipalProfile
from fastiam.model.session import Session
from fastiam.testing.coverage import CoverageRecorder
from fastiam.testing.documents import Documents
from fastiam.testing.planned import Planned
from fastiam.testing.principal_names import PrincipalReader
from fastiam.testing.report import ExampleResult, Status
from fastiam.testing.test_file import EXPECTED, Example

if TYPE_CHECKING:
    from fastiam.api.engine import Engine
    from fastiam.model.explanation import Explanation
    from fastiam.sources.located_values import LocatedValue

_SENSITIVE = "(sensitive): the plan marks a document as sensitive, so that the explanation is not shown"


@dataclass(slots=True)
class ExampleRequest:
    """An example with its names looked up."""

    id: str
    example: Example
    principal: str | Session | PrincipalProfile
    action: str
    resource: str
    now: datetime


@dataclass(slots=True)
class Judge:
    """Decides and explains requests: by an engine, or over documents alone."""

    engine: Engine | None
    planned: Planned | None
    layers: Mapping[str, Any]
    documents: Documents
    mode: Literal["strict", "lenient"]
    principals: PrincipalReader
    recorder: CoverageRecorder | None
    _places: dict[int, tuple[LocatedValue, tuple[int, int]]] = field(default_factory=dict)

    def results(self, requests: Sequence[ExampleRequest]) -> list[ExampleResult]:
        """Decide requests that have `now` and `unknown` in common, and compare."""
        began = time.monotonic()
        decided = self._decide(requests)
        each = (time.monotonic() - began) / len(requests)
        is_sensitive = self.planned is not None and self.planned.is_sensitive
        if self.recorder is not None and self.engine is not None and not is_sensitive:
            for request, decision in zip(requests, decided, strict=True):
                if not isinstance(decision, RequestValueError):
                    self.recorder.add(self.engine, self._explain(request))
        if self.planned is not None:
            decided = [self._planned_decision(*pair, self.planned) for pair in zip(requests, decided, strict=True)]
        return [self._result(request, decision, each) for request, decision in zip(requests, decided, strict=True)]

    @staticmethod
    def _planned_decision(
        request: ExampleRequest, decision: Decision | RequestValueError, planned: Planned
    ) -> Decision | RequestValueError:
        if isinstance(decision, RequestValueError):
            return decision
        issuer = request.principal.issuer if isinstance(request.principal, Session) else None
        return planned.decided(decision, issuer or _name(request.principal), request.resource)

    def _decide(self, requests: Sequence[ExampleRequest]) -> list[Decision | RequestValueError]:
        if self.engine is not None and all(not isinstance(one.principal, PrincipalProfile) for one in requests):
            rows = [(one.principal, one.action, one.resource, one.example.context) for one in requests]
            try:
                first = requests[0]
                return list(self.engine.decide_each(rows, unknown=self._unknown(first), now=first.now))  # type: ignore[arg-type]
            except RequestValueError:
                pass  # one by one, so that the others are decided
        return [self._decide_one(request) for request in requests]

    def _unknown(self, request: ExampleRequest) -> tuple[str, ...]:
        """Return the unknown keys of a request, with those of what a plan does not say."""
        return request.example.unknown + (self.planned.unknown if self.planned is not None else ())

    def _decide_one(self, request: ExampleRequest) -> Decision | RequestValueError:
        unknown, context = self._unknown(request), cast("Any", request.example.context)
        try:
            if isinstance(request.principal, PrincipalProfile):
                return self._explain(request).decision
            if self.engine is not None:
                return self.engine.decide(
                    request.principal, request.action, request.resource, context, unknown=unknown, now=request.now
                )
            from fastiam.simulation.simulate import simulate

            return simulate(
                request.principal,
                request.action,
                request.resource,
                context=context,
                now=request.now,
                unknown=unknown,
                mode=self.mode,
                **self.layers,
            )
        except RequestValueError as failed:
            return failed

    def _explain(self, request: ExampleRequest) -> Explanation:
        unknown, context = self._unknown(request), cast("Any", request.example.context)
        if self.engine is not None:
            asked = self.engine.read_request(request.action, context, unknown=unknown, now=request.now)
            return self.engine.explain_request(request.principal, request.resource, asked)
        from fastiam.simulation.profiles import profiles_from_documents
        from fastiam.spec import decide

        given = {"context": context, "now": request.now, "unknown": unknown, "mode": self.mode, **self.layers}
        profile, target, endpoint, asked = profiles_from_documents(request.principal, request.action, request.resource, **given)  # type: ignore[arg-type]
        return decide(profile, target, asked, endpoint=endpoint)

    def _reasons(self, request: ExampleRequest, decision: Decision) -> str:
        """Return the explanation of a decision, with the places of a plan that it depends on."""
        if self.planned is None:
            return str(self._explain(request))
        text = _SENSITIVE if self.planned.is_sensitive else str(self._explain(request))
        return "\n".join([text, *(f"known after apply: {line}" for line in self.planned.places(decision))])

    def _place(self, given: LocatedValue) -> tuple[int, int]:
        """Return the place of a test or case. PERF: all examples of a test have one, and its text may be long."""
        found = self._places.get(id(given))
        if found is None:
            found = self._places[id(given)] = (given, given.place())  # the reference keeps the id valid
        return found[1]

    def _result(self, request: ExampleRequest, decision: Decision | RequestValueError, seconds: float) -> ExampleResult:
        example = request.example
        line, column = self._place(example.at)
        shown = _shown(request)
        status: Status = "passed"
        text, statement = "", None
        if isinstance(decision, RequestValueError):
            actual = str(decision).partition("\n")[0]
            if example.expected != "error":
                status, text = "error", str(decision)
        else:
            wrong = list(_differences(example, decision, self.planned))
            actual = "; ".join([_word(decision), *wrong])
            if decision.outcome.name not in EXPECTED[example.expected] or wrong:
                status, text = "failed", self._reasons(request, decision)
                statement = None if self.planned is not None and self.planned.is_sensitive else decision.statement
        paste = "" if status == "passed" else _paste(request, decision)
        place = example.at.source.name, line, column
        return ExampleResult(request.id, *place, status, shown, _expected(example), actual, text, paste, seconds, statement)


def _expected(example: Example) -> str:
    details = [
        f"{name} {', '.join(sorted(value)) if isinstance(value, frozenset) else value}" for name, value in example.details.items()
    ]
    return "; ".join([example.expected, *details])


def _differences(example: Example, decision: Decision, planned: Planned | None) -> Iterable[str]:
    """Yield the details that differ from what is expected, as they are (T10)."""
    statement = decision.statement
    is_hidden = planned is not None and planned.is_sensitive and statement is not None
    actual: dict[str, object] = {
        "layer": str(decision.layer),
        "sid": None if statement is None else statement.sid or f"#{statement.index}",
        "reason": None if decision.reason is None else str(decision.reason),
        "depends_on": planned.depends_on(decision) if planned else frozenset(key.lower() for key in decision.depends_on),
    }
    for name, wanted in example.details.items():
        if name == "policy":
            names = () if statement is None else (statement.policy, statement.arn)
            if wanted not in names:
                yield f"policy {'(sensitive)' if is_hidden else names[0] if names else None}"
        elif actual[name] != wanted:
            value = "(sensitive)" if name == "sid" and is_hidden else actual[name]
            yield f"{name} {', '.join(sorted(value)) if isinstance(value, frozenset) else value}"


def _word(decision: Decision) -> str:
    """Return the outcome in the words of `expect`."""
    return "allowed" if decision.allowed else decision.outcome.name.lower()


def _name(principal: str | Session | PrincipalProfile) -> str:
    if isinstance(principal, Session):
        return principal.arn
    return principal.name if isinstance(principal, PrincipalProfile) else principal


def _shown(request: ExampleRequest) -> dict[str, Any]:
    shown: dict[str, Any] = {"principal": _name(request.principal), "action": request.action, "resource": request.resource}
    shown["context"] = dict(request.example.context)
    if request.example.now is not None:
        shown["now"] = request.now.isoformat()
    return shown


def _paste(request: ExampleRequest, decision: Decision | RequestValueError) -> str:
    """Return the request as an entry of `cases`, with its actual outcome, for a person who means it so (T14)."""
    outcome = _word(decision) if isinstance(decision, Decision) else "error"
    entry = {"action": request.action, "resource": request.resource, "context": dict(request.example.context), "expect": outcome}
    if not entry["context"]:
        del entry["context"]
    return f"- {json.dumps(entry, ensure_ascii=False, default=str)}"
