"""Explanations: the record of one decision (spec 6.9), as plain frozen data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fastiam.model.decision import Decision, Layer, MatchClass, StatementRef
from fastiam.model.policy import ConditionEntry, Effect
from fastiam.model.request import shorten
from fastiam.model.result import Result


@dataclass(frozen=True, slots=True)
class MatchedStatement(Result):
    """A statement that applies to the request (spec 6.9 `statements`).

    `match_classes` holds the classes of its principal match in layers with principals (spec 3.3);
    `conditions` is its condition block, all true.
    """

    ref: StatementRef
    effect: Effect
    match_classes: tuple[MatchClass, ...] = ()
    indeterminate: bool = False
    reasons: tuple[str, ...] = ()
    conditions: tuple[ConditionEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class ResidualStatement(Result):
    """A statement that applies or not by the values of unknown keys, and that matters (spec D73, D74).

    `keys` are the folded unknown keys that it reads; `conditions` the entries that read them. A key that no entry
    reads is read by a policy variable of its resources, or by its principal element.
    """

    ref: StatementRef
    effect: Effect
    keys: tuple[str, ...]
    conditions: tuple[ConditionEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class NearMiss(Result):
    """An Allow statement that failed on exactly one element (spec 6.9 `near_misses`).

    `expected` are values of the element, of a long one some: those about the service of the request first. `n_expected` is how
    many it has.
    """

    ref: StatementRef
    element: str
    key: str = ""
    operator: str = ""
    expected: tuple[str, ...] = ()
    actual: tuple[str, ...] | None = None
    n_expected: int = 0


@dataclass(frozen=True, slots=True)
class LayerResult(Result):
    """The result of one layer: `allow`, `implicit_deny`, `explicit_deny` or `not_applicable` with its reason."""

    layer: Layer
    result: str
    reason: str = ""
    level: int | None = None


@dataclass(frozen=True, slots=True)
class Explanation(Result):
    """The whole record of spec 6.9; `str()` of it is a text for people.

    `missing` lists alternatives for an implicit deny, each a set of layers that would have to allow, such as
    `("identity",)` or `("resource:D",)`. `residual_statements` are, for `DEPENDS`, the statements on which it depends.
    """

    decision: Decision
    principal_kind: str
    principal_account: str | None
    resource_account: str | None
    same_account: bool
    principal: str = ""
    action: str = ""
    resource: str = ""
    statements: tuple[MatchedStatement, ...] = ()
    denies: tuple[MatchedStatement, ...] = ()
    missing: tuple[tuple[str, ...], ...] = ()
    near_misses: tuple[NearMiss, ...] = ()
    unresolved_variables: tuple[str, ...] = ()
    absent_keys: tuple[str, ...] = ()
    bypassed: tuple[Layer, ...] = ()
    limits: tuple[LayerResult, ...] = ()
    residual_statements: tuple[ResidualStatement, ...] = ()
    context: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __str__(self) -> str:
        from fastiam.model.explanation_text import explanation_lines  # PERF: a program that only decides does not load it

        lines = ("".join(text for text, _ in line) for line in explanation_lines(self))
        return "\n".join(shorten(line, len(line)) for line in lines)  # with control characters of names as escapes
