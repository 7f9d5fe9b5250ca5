"""Which statement flips an answer: the one that one of two engines has, or has otherwise, and that decides.

Of the two answers one is nearer to a denial. If a Deny makes it, that Deny flips the answer; else what is missing there is the
Allow, in the layer that denies, that the other engine has.
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
    """How an answer flips."""

    GAINED = "gained"  # now ALLOW
    LOST = "lost"  # now a denial
    MAY_GAIN = "may gain"  # a denial before, DEPENDS now
    MAY_LOSE = "may lose"  # ALLOW before, DEPENDS now


CHANGES = tuple(Change)
GAINING = (Change.GAINED, Change.MAY_GAIN)


@dataclass(frozen=True, slots=True)
class DiffGroup(Result):
    """Rows that one statement flips in one way.

    Attributes
    ----------
    change : how.
    statement : what flips them, None where no statement does (an owner, a new root user).
    side : whether it stands in the `old` or the `new` directory.
    layer : the layer that denies, or denied.
    rows : how many.
    example : the number of the first.
    """

    change: Change
    statement: StatementRef | None
    side: Literal["old", "new"]
    layer: Layer | None
    rows: int
    example: int


def outcomes_suffice(change: Change, old: RowDecision, new: RowDecision) -> bool:
    """Whether the two answers alone tell the statement; else the record of a row has to be looked at (6.9)."""
    denier, other = (old, new) if change in GAINING else (new, old)
    if denier.outcome is Outcome.EXPLICIT_DENY or denier.outcome is Outcome.DEPENDS and denier.statement is not None:
        return True
    return other.outcome is Outcome.ALLOW and other.layer is denier.layer


def flipping_statement(
    change: Change, old: RowDecision, new: RowDecision, explain: Explain
) -> tuple[StatementRef | None, Literal["old", "new"]]:
    """The statement that flips a row, and where it stands."""
    denier_side: Literal["old", "new"] = "old" if change in GAINING else "new"
    other_side: Literal["old", "new"] = "new" if change in GAINING else "old"
    denier, other = (old, new) if change in GAINING else (new, old)
    if denier.outcome is Outcome.EXPLICIT_DENY or denier.outcome is Outcome.DEPENDS and denier.statement is not None:
        return denier.statement, denier_side
    if other.outcome is Outcome.ALLOW and other.layer is denier.layer:
        return other.statement, other_side
    return _missing_allow(denier, explain(denier_side), explain(other_side)) or other.statement, other_side


def _missing_allow(denier: RowDecision, denied: Explanation | None, other: Explanation | None) -> StatementRef | None:
    """The Allow that the denier lacks and the other has, for certain or if keys come right."""
    if denied is None or other is None or denier.layer is None:
        return None
    level = next((result.level for result in denied.limits if result.layer is denier.layer), None)
    matched = [one.ref for one in other.statements if one.effect is Effect.ALLOW]
    opened = [one.ref for one in other.open_statements if one.effect is Effect.ALLOW]
    for ref in (*matched, *opened):
        if ref.layer is denier.layer and level in (None, ref.level):
            return ref
    return None
