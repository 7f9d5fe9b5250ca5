"""Formulas over variables with few values, and a complete search for values that make one true.

A literal is a variable and the set of values, as bits, for which it is true. Formulas contain no negation: the negation of a
literal has the other values. The search is that of Davis, Putnam, Logemann and Loveland with sets of values in place of truth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from fastiam.analysis.proof.cells import ProofLimitError


@dataclass(frozen=True, slots=True)
class Literal:
    """The variable has one of these values, of `full`."""

    variable: int
    values: int
    full: int


@dataclass(frozen=True, slots=True)
class Junction:
    """The AND or the OR of formulas."""

    is_and: bool
    parts: tuple[Formula, ...]


Formula = bool | Literal | Junction
Values = dict[int, int]  # by variable, as bits


def every(parts: Iterable[Formula]) -> Formula:
    """Return the AND of formulas."""
    return _joined(True, parts)


def some(parts: Iterable[Formula]) -> Formula:
    """Return the OR of formulas."""
    return _joined(False, parts)


def _joined(is_and: bool, parts: Iterable[Formula]) -> Formula:
    found: dict[Formula, None] = {}
    for part in parts:
        if part is (not is_and):
            return part
        if isinstance(part, Junction) and part.is_and is is_and:
            found.update(dict.fromkeys(part.parts))
        elif part is not is_and:
            found[part] = None
    if not found:
        return is_and
    return next(iter(found)) if len(found) == 1 else Junction(is_and, tuple(found))


def literal(variable: int, values: int, full: int) -> Formula:
    """Return a literal, or its truth if it has no value or all."""
    return values == full if values in (0, full) else Literal(variable, values, full)


def negation(formula: Formula) -> Formula:
    """Return the negation of a formula."""
    if isinstance(formula, bool):
        return not formula
    if isinstance(formula, Literal):
        return Literal(formula.variable, formula.full & ~formula.values, formula.full)
    return _joined(not formula.is_and, map(negation, formula.parts))


class Budget:
    """The number of combinations that a proof may try, and its time."""

    def __init__(self, limit: int, is_late: Callable[[], bool]) -> None:
        self.limit, self.tried, self._is_late = limit, 0, is_late

    def spend(self) -> None:
        """Count one combination.

        Raises
        ------
        ProofLimitError
            that is one too many, or too late.
        """
        self.tried += 1
        if self.tried > self.limit:
            raise ProofLimitError(f"more than {self.limit:,} combinations")
        if self._is_late():
            raise ProofLimitError("out of time")


def solve(formula: Formula, domains: Mapping[int, int], budget: Budget) -> Values | None:
    """Return values of variables for which the formula is true, or None if there are none.

    Variables that are absent in the result have any value of `domains`.

    Raises
    ------
    ProofLimitError
        the budget is spent.
    """
    try:
        return _solve(formula, domains, {}, budget)
    except RecursionError:
        raise ProofLimitError("too many statements with conditions") from None


def _solve(formula: Formula, domains: Mapping[int, int], chosen: Values, budget: Budget) -> Values | None:
    chosen = dict(chosen)
    while True:
        budget.spend()
        formula = _simplified(formula, domains, chosen)
        if isinstance(formula, bool):
            return chosen if formula else None
        parts = formula.parts if isinstance(formula, Junction) and formula.is_and else (formula,)
        units = [part for part in parts if isinstance(part, Literal)]
        if not units:
            break
        for unit in units:
            chosen[unit.variable] = chosen.get(unit.variable, domains[unit.variable]) & unit.values
            if not chosen[unit.variable]:
                return None
    branches = min((part for part in parts if isinstance(part, Junction)), key=lambda part: len(part.parts))
    others = every(part for part in parts if part is not branches)
    for branch in branches.parts:
        found = _solve(every((branch, others)), domains, chosen, budget)
        if found is not None:
            return found
    return None


def _simplified(formula: Formula, domains: Mapping[int, int], chosen: Values) -> Formula:
    if isinstance(formula, bool):
        return formula
    if isinstance(formula, Literal):
        possible = chosen.get(formula.variable, domains[formula.variable])
        if not possible & formula.values:
            return False
        return True if not possible & ~formula.values else formula
    return _joined(formula.is_and, (_simplified(part, domains, chosen) for part in formula.parts))
