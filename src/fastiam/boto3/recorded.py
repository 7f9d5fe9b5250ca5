"""The requests of the calls that were seen, as rows, as a report, and as batches for analyses of logs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from fastiam.analysis.access.call_decisions import CallDecision
from fastiam.model.decision import Outcome
from fastiam.model.key_registry import spelled
from fastiam.model.logged_calls import PASS_ROLE, Calls, LoggedContext, LoggedOutcome, LoggedPrincipal, Open
from fastiam.model.session import Session

Value = str | bool | list[str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedRequest:
    """One request of a call.

    Attributes
    ----------
    call
        the number of the call, from 1.
    service, operation
        the service as botocore names it, and the operation.
    principal
        None if none is known for the credentials.
    action, resource
        `resource` is None if the call does not determine it; both are "" for a call without a mapping.
    context
        the keys that the call determines; None for a key that is absent.
    decision
        None without policies, and where `note` says why there is none.
    note
        why there is no decision, else "".
    presigned
        a URL was signed, and nothing was sent.
    forms
        patterns with a resource each, where the call lacks an id of the resource: `stack/app/*`, or `secret:db-??????` for the
        secret `db`.
    """

    call: int
    service: str
    operation: str
    principal: str | Session | None
    action: str
    resource: str | None
    context: Mapping[str, Value]
    decision: CallDecision | None
    note: str = ""
    presigned: bool = False
    forms: tuple[str, ...] = ()


@dataclass(slots=True)
class SeenCall:
    """A call with its requests and what came of it."""

    at: datetime
    requests: Sequence[CheckedRequest]
    outcome: LoggedOutcome = LoggedOutcome.UNKNOWN
    error: str | None = None


def identity_of(principal: str | Session) -> str:
    """Return the user or role of a principal."""
    return principal if isinstance(principal, str) else principal.issuer or principal.arn


def name_of(principal: str | Session) -> str:
    """Return the ARN of a principal, of a session its own."""
    return principal if isinstance(principal, str) else principal.arn


def calls_of(seen: Iterable[SeenCall]) -> Calls:
    """Return a batch for analyses of logs: the calls with a principal and a mapping."""
    kept = [call for call in seen if call.requests and all(each.action and each.principal for each in call.requests)]
    principals: dict[Any, int] = {}
    callers: list[LoggedPrincipal] = []
    caller, rows = [], []
    table: list[Mapping[str, str | Open | None]] = []
    for number, call in enumerate(kept):
        principal = call.requests[0].principal
        assert principal is not None
        key = principal if isinstance(principal, str) else id(principal)
        if key not in principals:
            principals[key] = len(callers)
            callers.append(LoggedPrincipal(identity_of(principal), principal))
        caller.append(principals[key])
        table.append(_common(call.requests))
        rows += [(number, request) for request in call.requests]
    actions = {name: code for code, name in enumerate(dict.fromkeys(request.action for _, request in rows))}
    n = len(kept)
    return Calls(
        sources=["calls"],
        source=np.zeros(n, np.int32),
        numbers=list(range(1, n + 1)),
        times=[call.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for call in kept],
        ids=[None] * n,
        logged=np.array([call.outcome for call in kept], np.uint8),
        errors=[call.error for call in kept],
        callers=callers,
        caller=np.array(caller, np.int32),
        facts=(LoggedContext(np.arange(n, dtype=np.int32), table),),
        row_call=np.array([number for number, _ in rows], np.int64),
        row_action=np.array([actions[request.action] for _, request in rows], np.int32),
        actions=list(actions),
        resources=[request.resource for _, request in rows],
        owners=[None] * len(rows),
    )


def _common(requests: Sequence[CheckedRequest]) -> dict[str, str | Open | None]:
    """Return the keys with one text, or absent, in all requests of a call. Others are unknown to analyses."""
    first, *others = [request.context for request in requests]
    same = (key for key in first if all(key in each and each[key] == first[key] for each in others))
    return {key: _text(first[key]) for key in same if not isinstance(first[key], list)}


def _text(value: Value) -> str | None:
    return str(value).lower() if isinstance(value, bool) else None if value is None else str(value)


def rows_of(requests: Iterable[CheckedRequest]) -> list[dict[str, Any]]:
    """Return requests as rows of a request file: those with a principal and a resource."""
    return [
        {
            "principal": name_of(each.principal),
            "action": each.action,
            "resource": each.resource,
            **{key: value for key, value in each.context.items() if value is not None},
        }
        for each in requests
        if each.principal is not None and each.action and each.resource is not None
    ]


def report_of(seen: Sequence[SeenCall], counts: Mapping[str, int], not_read: Iterable[str] = ()) -> str:
    """Return what was seen, as text: calls, denied requests, undecided ones, operations without a mapping, passed roles.

    `not_read` is what the endpoint of an `account_state` does not answer.
    """
    requests = [request for call in seen for request in call.requests]
    decided = Counter(request.decision.outcome for request in requests if request.decision is not None)
    denied = (Outcome.IMPLICIT_DENY, Outcome.EXPLICIT_DENY)
    lines = [
        f"{len(seen):,} calls, {len(requests):,} requests: {decided[Outcome.ALLOW]:,} allowed, "
        f"{sum(decided[outcome] for outcome in denied):,} denied, {decided[Outcome.DEPENDS]:,} undecided"
    ]
    lines += [f"{count:,} {title}" for title, count in counts.items() if count]
    shown = Counter(_line(each) for each in requests if each.decision and each.decision.outcome in denied)
    _section(lines, "denied", shown)
    depending = Counter(
        f"{each.operation}: {each.action} on {each.resource or 'an unknown resource'} depends on "
        + ", ".join(map(spelled, each.decision.depends_on))
        for each in requests
        if each.decision is not None and each.decision.outcome is Outcome.DEPENDS
    )
    _section(lines, "undecided", depending)
    _section(lines, "operations without a mapping", Counter(f"{r.service}:{r.operation}" for r in requests if not r.action))
    _section(lines, "without a decision", Counter(f"{r.operation}: {r.note}" for r in requests if r.note and r.action))
    _section(lines, "passed roles", Counter(r.resource or "not in the call" for r in requests if r.action == PASS_ROLE))
    _section(lines, "not read from the endpoint", Counter(not_read))
    return "\n".join(lines)


def _line(request: CheckedRequest) -> str:
    decision = request.decision
    assert decision is not None
    statement = f", {decision.statement.policy} {decision.statement.label}" if decision.statement else ""
    layer = f" ({decision.layer}{statement})" if decision.layer else ""
    return f"{request.operation}: {request.action} on {request.resource or 'an unknown resource'}{layer}"


def _section(lines: list[str], title: str, counted: Counter[str]) -> None:
    if counted:
        lines.append(f"{title}:")
        lines += [f"  {line}{f' ({count:,} times)' if count > 1 else ''}" for line, count in counted.most_common()]
