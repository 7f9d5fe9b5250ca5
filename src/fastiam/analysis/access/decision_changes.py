"""Decision changes between two engines, and the flipping statement that causes each of them.

One of two decisions is closer to a denial. If a Deny determines it, that Deny is the flipping statement. Otherwise the flipping
statement is the Allow of the other engine in the layer that denies.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from fastiam.engine.decisions import RowDecision
from fastiam.model.decision import Layer, Outcome, StatementRef
from fastiam.model.explanation import Explanation
from fastiam.model.policy import Effect
from fastiam.model.result import Result

Explain = Callable[[Literal["old", "new"]], Explanation | None]


class Change(StrEnum):
    """The kind of a decision change."""

    GAINED = "gained"  # ALLOW after a denial
    LOST = "lost"  # a denial after ALLOW or DEPENDS
    MAY_GAIN = "may gain"  # DEPENDS after a denial
    MAY_LOSE = "may lose"  # DEPENDS after ALLOW


CHANGES = tuple(Change)
GAINING = (Change.GAINED, Change.MAY_GAIN)


@dataclass(frozen=True, slots=True)
class DiffGroup(Result):
    """Rows with the same kind of change and the same flipping statement.

    Attributes
    ----------
    change
        the kind of change.
    statement
        the flipping statement; None if the cause is not a statement (an owner, a new root user).
    side
        the directory of the statement, `old` or `new`.
    layer
        the layer that denies, or denied.
    rows
        number of rows.
    example
        the number of the first row.
    """

    change: Change
    statement: StatementRef | None
    side: Literal["old", "new"]
    layer: Layer | None
    rows: int
    example: int


def outcomes_suffice(change: Change, old: RowDecision, new: RowDecision) -> bool:
    """Whether two decisions determine the flipping statement. Otherwise explanations are needed (6.9)."""
    denier, other = (old, new) if change in GAINING else (new, old)
    if denier.outcome is Outcome.EXPLICIT_DENY or denier.outcome is Outcome.DEPENDS and denier.statement is not None:
        return True
    return other.outcome is Outcome.ALLOW and other.layer is denier.layer


def flipping_statement(
    change: Change, old: RowDecision, new: RowDecision, explain: Explain
) -> tuple[StatementRef | None, Literal["old", "new"]]:
    """Return the flipping statement of a row, and the directory that contains it."""
    denier_side: Literal["old", "new"] = "old" if change in GAINING else "new"
    other_side: Literal["old", "new"] = "new" if change in GAINING else "old"
    denier, other = (old, new) if change in GAINING else (new, old)
    if denier.outcome is Outcome.EXPLICIT_DENY or denier.outcome is Outcome.DEPENDS and denier.statement is not None:
        return denier.statement, denier_side
    if other.outcome is Outcome.ALLOW and other.layer is denier.layer:
        return other.statement, other_side
    return _missing_allow(denier, explain(denier_side), explain(other_side)) or other.statement, other_side


def _missing_allow(denier: RowDecision, denied: Explanation | None, other: Explanation | None) -> StatementRef | None:
    """Return the Allow of the other engine in the layer that denies, whether it applies or depends on unknown keys."""
    if denied is None or other is None or denier.layer is None:
        return None
    level = next((result.level for result in denied.limits if result.layer is denier.layer), None)
    matched = [one.ref for one in other.statements if one.effect is Effect.ALLOW]
    opened = [one.ref for one in other.residual_statements if one.effect is Effect.ALLOW]
    for ref in (*matched, *opened):
        if ref.layer is denier.layer and level in (None, ref.level):
            return ref
    return None
