"""Which statements the examples of a run reached, or the scope of an invariant contains (T32 to T34).

The unit is a statement of a document in force: a policy that ten roles have is one document. AWS's managed policies are left out
unless they are asked for.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from fastiam.model.decision import Layer, StatementRef
from fastiam.model.explanation import Explanation
from fastiam.model.policy import Effect, Policy, Statement
from fastiam.model.source_map import Origin
from fastiam.policy.wildcards import glob

if TYPE_CHECKING:
    from fastiam.analysis.invariants.model import Invariant
    from fastiam.api.engine import Engine
    from fastiam.testing.scopes import ScopePatterns

State = Literal["determined", "applied", "in scope", "not reached"]
_STATES: tuple[State, ...] = ("determined", "applied", "in scope", "not reached")  # from the strongest
_Key = tuple[object, ...]
_KEYS = "Sid Effect Principal NotPrincipal Action NotAction Resource NotResource Condition".split()


@dataclass(frozen=True, slots=True)
class StatementCoverage:
    """What examples did with one statement.

    Attributes
    ----------
    statement, effect
        the statement and its effect.
    state
        `determined` a decision, `applied` beside others, `in scope` of an invariant, or `not reached`.
    count
        the number of examples in which it applied.
    unmatched
        of one that no example reached, the element that no request matched: `action`, `resource`, `principal` or `condition`.
    lines
        the lines of its file on which its keys begin.
    """

    statement: StatementRef
    effect: Effect
    state: State
    count: int
    unmatched: str = ""
    lines: tuple[int, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        shown = {"statement": self.statement.to_dict(), "effect": self.effect.value, "state": self.state}
        return {**shown, "count": self.count, "unmatched": self.unmatched}


@dataclass(frozen=True, slots=True)
class Coverage:
    """The statements of a run, in the order of their policies."""

    statements: tuple[StatementCoverage, ...]

    @property
    def n_reached(self) -> int:
        """The number of statements that applied."""
        return sum(one.count > 0 for one in self.statements)

    @property
    def percent(self) -> float:
        """The share of statements that applied; 100 without any statement."""
        return 100.0 * self.n_reached / len(self.statements) if self.statements else 100.0

    @property
    def missing(self) -> list[StatementCoverage]:
        """The statements that no example reached."""
        return [one for one in self.statements if not one.count]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"percent": self.percent, "statements": [one.to_dict() for one in self.statements]}


@dataclass(slots=True)
class _Seen:
    """What examples did with the statements of one engine."""

    engine: Engine
    counts: dict[_Key, int] = field(default_factory=dict)
    determined: set[_Key] = field(default_factory=set)
    actions: set[str] = field(default_factory=set)
    resources: set[str] = field(default_factory=set)
    scopes: list[ScopePatterns] = field(default_factory=list)


class CoverageRecorder:
    """Collects the explanations of a run."""

    def __init__(self, *, with_aws: bool = False) -> None:
        self._with_aws = with_aws
        self._seen: dict[int, _Seen] = {}

    def add(self, engine: Engine, explanation: Explanation) -> None:
        """Note one decided example."""
        seen = self._seen.setdefault(id(engine), _Seen(engine))
        seen.actions.add(explanation.action)
        seen.resources.add(explanation.resource)
        matched = (*explanation.statements, *explanation.denies)
        for key in {_key(each.ref) for each in matched if not each.indeterminate}:
            seen.counts[key] = seen.counts.get(key, 0) + 1
        decision = explanation.decision
        seen.determined |= {_key(each.ref) for each in explanation.denies}
        if decision.statement is not None:
            seen.determined.add(_key(decision.statement))

    def add_scope(self, engine: Engine, invariant: Invariant) -> None:
        """Note the scope of an invariant about an engine."""
        from fastiam.testing.scopes import ScopePatterns

        self._seen.setdefault(id(engine), _Seen(engine)).scopes.append(ScopePatterns(invariant, engine.snapshot))

    def coverage(self) -> Coverage:
        """Return the statements of all engines. One that two engines have in the same file counts once."""
        found: dict[_Key, StatementCoverage] = {}
        for seen in self._seen.values():
            for policy in _policies_in_force(seen.engine):
                if self._with_aws or ":iam::aws:policy/" not in (policy.arn or ""):
                    for statement in policy.statements:
                        _merge(found, _covered(policy, statement, seen))
        return Coverage(tuple(found.values()))


def _policies_in_force(engine: Engine) -> Iterator[Policy]:
    """Yield all policies but managed ones that are not attached."""
    tables = engine.snapshot.tables
    attached = {arn for entity in tables.entities.values() for arn in entity.attached}
    attached |= {arn for group in tables.groups.values() for arn in group.attached}
    attached |= {item for entity in tables.entities.values() for item in entity.boundary or () if isinstance(item, str)}
    unused = {id(managed.document.policy) for arn, managed in tables.managed.items() if arn not in attached}
    yield from (policy for policy in engine.snapshot.policies() if id(policy) not in unused)


def _covered(policy: Policy, statement: Statement, seen: _Seen) -> StatementCoverage:
    ref = StatementRef.of(policy, statement, Layer.IDENTITY, 0)
    key = _key(ref)
    count = seen.counts.get(key, 0)
    state: State = "determined" if key in seen.determined else "applied" if count else "not reached"
    if not count and any(scope.has(policy, statement) for scope in seen.scopes):
        state = "in scope"
    lines = _lines(policy.origin.child("Statement", statement.index)) if policy.origin is not None else ()
    return StatementCoverage(ref, statement.effect, state, count, "" if count else _unmatched(statement, seen), lines)


def _merge(found: dict[_Key, StatementCoverage], one: StatementCoverage) -> None:
    key = _key(one.statement)
    other = found.get(key)
    if other is None:
        found[key] = one
        return
    stronger = min(one, other, key=lambda each: _STATES.index(each.state))
    found[key] = StatementCoverage(
        other.statement, other.effect, stronger.state, one.count + other.count, stronger.unmatched, other.lines
    )


def _key(ref: StatementRef) -> _Key:
    """Return the identity of a statement: its place, or without one its policy and index."""
    return (ref.file, ref.path, ref.line, ref.column) if ref.file else (ref.policy, ref.arn, ref.index)


def _lines(origin: Origin) -> tuple[int, ...]:
    places = (origin.child(name).position(name=True) for name in _KEYS)
    return tuple(sorted({place.line for place in places if place is not None}))


def _unmatched(statement: Statement, seen: _Seen) -> str:
    """Return the element that no request matched. A resource with variables may match anything."""
    if not _any_matches(statement.actions, statement.not_action, seen.actions, fold=True):
        return "action"
    if not _any_matches(statement.resources, statement.not_resource, seen.resources):
        return "resource"
    return "condition" if statement.conditions else "principal"


def _any_matches(patterns: tuple[str, ...] | None, is_negated: bool, values: Iterable[str], *, fold: bool = False) -> bool:
    if patterns is None or any("${" in pattern for pattern in patterns):
        return True
    matchers = [glob(pattern.lower() if fold else pattern).fullmatch for pattern in patterns]
    texts = (value.lower() if fold else value for value in values)
    return any(any(match(text) for match in matchers) != is_negated for text in texts)


def lcov(coverage: Coverage) -> str:
    """Return an lcov tracefile. A line with several statements has the smallest count, so that it is covered wholly or not.

    Statements of texts without a file, such as a plan's policies, are left out.
    """
    files: dict[str, dict[int, int]] = {}
    for one in coverage.statements:
        name = one.statement.file
        if name is None or not os.path.isfile(name):
            continue
        counts = files.setdefault(name, {})
        for line in one.lines:
            counts[line] = min(counts.get(line, one.count), one.count)
    lines = ["TN:"]
    for name, counts in files.items():
        lines.append(f"SF:{os.path.abspath(name)}")
        lines += [f"DA:{line},{count}" for line, count in sorted(counts.items())]
        lines += [f"LF:{len(counts)}", f"LH:{sum(count > 0 for count in counts.values())}", "end_of_record"]
    return "\n".join(lines) + "\n"
