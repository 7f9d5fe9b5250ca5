"""The combining algorithm over formulas (spec 6.4): `combine` of the specification evaluator for each set of verdicts.

INVARIANT: the formula is the Shannon expansion of `combine`, not a second algorithm.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Generic, TypeVar, cast

from fastiam.model.decision import Layer, Outcome
from fastiam.spec.combining import DecisionInputs, combine
from fastiam.spec.layers import LayerVerdicts
from fastiam.spec.principal_entries import CLASSES

F = TypeVar("F", bound=Hashable)
VERDICTS = ("denied", "scp", "vpce", "identity", "boundary", "session")  # of layers; the others are classes of a match (3.3)
_Shape = tuple[bool | int, ...]  # of each verdict and class: its value, or the number of a formula


@dataclass(frozen=True, slots=True)
class Algebra(Generic[F]):
    """The AND, the OR and the negation of formulas; a formula can be a truth value."""

    every: Callable[[Iterable[F]], F]
    some: Callable[[Iterable[F]], F]
    negation: Callable[[F], F]


@dataclass(frozen=True, slots=True)
class _Branch:
    """The result if a formula is true, and if it is false; `rises` and `falls`: the one implies the other."""

    formula: int
    if_true: _Tree
    if_false: _Tree
    rises: bool
    falls: bool


_Tree = bool | _Branch


def allowed(inputs: DecisionInputs, verdicts: Mapping[str, F], algebra: Algebra[F]) -> F:
    """Return where the decision is ALLOW.

    Parameters
    ----------
    verdicts
        formulas of each verdict, and of each class of a match that an Allow can have.
    """
    numbers: dict[F, int] = {}
    shape: list[bool | int] = []
    for name in (*VERDICTS, *CLASSES):
        formula = verdicts.get(name, False)
        shape.append(formula if isinstance(formula, bool) else numbers.setdefault(formula, len(numbers)))
    # PERF: `False` and 0 are equal keys of a cache, so that the types are part of it
    tree, _ = _expansion(inputs, tuple((type(one) is int, one) for one in shape), len(numbers), ())
    return _formula(tree, list(numbers), algebra)


def _formula(tree: _Tree, formulas: list[F], algebra: Algebra[F]) -> F:
    if isinstance(tree, bool):
        return cast(F, tree)  # `Algebra`: a truth value is a formula
    formula = formulas[tree.formula]
    if_true, if_false = (_formula(each, formulas, algebra) for each in (tree.if_true, tree.if_false))
    high = if_true if tree.falls else algebra.every((formula, if_true))
    low = if_false if tree.rises else algebra.every((algebra.negation(formula), if_false))
    return algebra.some((high, low))


@lru_cache(maxsize=8192)
def _expansion(
    inputs: DecisionInputs, shape: tuple[tuple[bool, bool | int], ...], n_formulas: int, truths: tuple[bool, ...]
) -> tuple[_Tree, tuple[bool, ...]]:
    """Return the function of the remaining formulas, and its values."""
    if len(truths) == n_formulas:
        value = _decide(inputs, [truths[one] if is_number else bool(one) for is_number, one in shape])
        return value, (value,)
    if_true, values_if_true = _expansion(inputs, shape, n_formulas, (*truths, True))
    if_false, values_if_false = _expansion(inputs, shape, n_formulas, (*truths, False))
    values = values_if_true + values_if_false
    if values_if_true == values_if_false:
        return if_true, values
    rises, falls = _implies(values_if_false, values_if_true), _implies(values_if_true, values_if_false)
    return _Branch(len(truths), if_true, if_false, rises, falls), values


def _decide(inputs: DecisionInputs, values: list[bool]) -> bool:
    given = dict(zip(VERDICTS, values, strict=False))
    classes = frozenset(letter for letter, value in zip(CLASSES, values[len(VERDICTS) :], strict=True) if value)
    found = LayerVerdicts(
        denied=(Layer.IDENTITY,) if given["denied"] else (),
        scp=given["scp"],
        scp_failing=(),
        vpce=given["vpce"],
        match=classes,
        identity=given["identity"],
        boundary=given["boundary"],
        session=given["session"],
    )
    return combine(inputs, found).outcome is Outcome.ALLOW


def _implies(one: tuple[bool, ...], other: tuple[bool, ...]) -> bool:
    return all(then or not given for given, then in zip(one, other, strict=True))
