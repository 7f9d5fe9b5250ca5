"""Engines on the same work. A wrong engine has no time: `check` compares a sample with the reference first.

Each adapter takes a `Workload` and answers rows: `fastiam` in one call over columns, `reference` (our executable
specification) and `plain` (what a good evening of Python gives: regular expressions, compiled once) row by row.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import cache
from typing import Any

import numpy as np
from workloads import NOW, Columns, Row, Workload

import fastiam
from fastiam import Session
from fastiam.model.request import Request, epoch_seconds, read_context
from fastiam.spec import decide

SAMPLE = 2_000


class WrongAnswerError(Exception):
    """An engine disagrees with the reference."""


class Fastiam:
    """The engine itself. `batch` is the path that the figures are about."""

    name = "fastiam"

    def __init__(self, work: Workload) -> None:
        self.engine = work.directory.compile()
        self.now = datetime.fromisoformat(NOW)

    def batch(self, columns: Columns, **options: Any) -> np.ndarray:
        """Outcomes of all rows."""
        asked = columns.principals, columns.actions, columns.resources, columns.context
        return self.engine.decide_many(*asked, sessions=columns.sessions, now=self.now, **options).outcome

    def rows(self, rows: Sequence[Row]) -> list[int]:
        """Outcomes row by row."""
        return [int(self.engine.decide(*row, now=self.now).outcome) for row in rows]


class Reference:
    """The executable specification over the same directory."""

    name = "reference"

    def __init__(self, work: Workload) -> None:
        self.snapshot = work.directory.snapshot()
        self.now = epoch_seconds(datetime.fromisoformat(NOW))

    def rows(self, rows: Sequence[Row]) -> list[int]:
        """Outcomes row by row."""
        return [int(self.one(*row)) for row in rows]

    def one(self, principal: str | Session, action: str, resource: str, context: dict[str, str]) -> fastiam.Outcome:
        """The outcome of one request."""
        read = read_context(context)
        subject, target, endpoint = self.snapshot.profiles(principal, action, resource, read)
        request = Request(action, read, self.now)
        explanation = decide(subject, target, request, endpoint=endpoint, sources=self.snapshot.account_facts)
        return explanation.decision.outcome


class Plain:
    """A plain evaluator of identity policies: one compiled expression for a statement's actions, one for its resources."""

    name = "plain re"

    def __init__(self, work: Workload) -> None:
        self.statements = {arn: list(_plain_statements(documents)) for arn, documents in work.policies_of.items()}

    def rows(self, rows: Sequence[Row]) -> list[int]:
        """Outcomes row by row."""
        return [self.one(*row) for row in rows]

    def one(self, principal: str, action: str, resource: str, context: dict[str, str]) -> int:
        """The outcome of one request."""
        allowed = False
        context = {"aws:PrincipalArn": principal, **context}
        for is_deny, negated, actions, resources, conditions in self.statements[principal]:
            if bool(actions(action)) is not negated and resources(resource) and all(test(context) for test in conditions):
                if is_deny:
                    return int(fastiam.Outcome.EXPLICIT_DENY)
                allowed = True
        return int(fastiam.Outcome.ALLOW if allowed else fastiam.Outcome.IMPLICIT_DENY)


def check(work: Workload, columns: Columns, outcomes: np.ndarray, *, sample: int = SAMPLE) -> None:
    """Compares a sample of a batch, in rows, with the reference, and every row with what is known by construction.

    Raises
    ------
    WrongAnswerError: an outcome differs; the message holds the request.
    """
    picked = np.random.default_rng(11).choice(len(columns), min(sample, len(columns)), replace=False)
    rows = columns.rows(picked)
    for row, expected, got in zip(rows, Reference(work).rows(rows), outcomes[picked].tolist(), strict=True):
        if expected != got:
            raise WrongAnswerError(f"expected {fastiam.Outcome(expected)!r}, got {fastiam.Outcome(got)!r} for {row}")
    if work.allowed is not None:
        for i in np.flatnonzero(work.allowed != (outcomes == fastiam.Outcome.ALLOW))[:1]:
            raise WrongAnswerError(f"`allowed` should be {work.allowed[i]} for {columns.rows(np.array([i]))[0]}")


def _plain_statements(documents: Sequence[dict[str, Any]]) -> Iterator[tuple[Any, ...]]:
    for document in documents:
        for statement in document["Statement"]:
            negated = "NotAction" in statement
            actions = _expression(statement["NotAction" if negated else "Action"], re.IGNORECASE)
            conditions = [
                _test(op, key, value) for op, keys in statement.get("Condition", {}).items() for key, value in keys.items()
            ]
            yield statement["Effect"] == "Deny", negated, actions, _expression(statement["Resource"]), conditions


def _expression(patterns: Any, flags: int = 0) -> Callable[[str], Any]:
    return _compiled(tuple(_list(patterns)), flags)


@cache
def _compiled(patterns: tuple[str, ...], flags: int) -> Callable[[str], Any]:
    alternatives = (re.escape(p).replace(r"\*", ".*").replace(r"\?", ".") for p in patterns)
    return re.compile("|".join(alternatives), flags | re.DOTALL).fullmatch


def _list(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _test(operator: str, key: str, raw: Any) -> Callable[[dict[str, str]], bool]:
    """The operators that the workloads use, over single-valued keys."""
    values = _list(raw)
    if operator == "StringEquals":
        return lambda context: context.get(key) in values
    if operator == "StringNotEquals":
        return lambda context: context.get(key) not in values
    if operator == "Bool":
        return lambda context: context.get(key, "").lower() in values
    if operator == "IpAddress":
        networks = [ipaddress.ip_network(value) for value in values]
        return lambda context: key in context and any(ipaddress.ip_address(context[key]) in network for network in networks)
    like = _expression(values)
    return lambda context: key in context and like(context[key]) is not None
