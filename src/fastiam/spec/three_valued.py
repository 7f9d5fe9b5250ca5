"""Three-valued logic (spec F1, F2): `F` < `U` < `T`, so that AND is the least and OR the greatest."""

from __future__ import annotations

from collections.abc import Iterable


class Truth(int):
    """The result of a test: true, false, or undetermined (F1). `T` and `F` are unique objects; a `U` has its own reasons.

    Attributes
    ----------
    rules
        the rules that make a test undetermined; empty for `T` and `F`. They take no part in comparisons.
    """

    rules: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return "FUT"[self]


F, U, T = Truth(0), Truth(1), Truth(2)


def undetermined(*rules: str) -> Truth:
    """`U`, by the rules named."""
    test = Truth(U)
    test.rules = rules
    return test


def all_of(tests: Iterable[Truth]) -> Truth:
    """AND (F2): `F` if any is, else `U` if any is, else `T`; `T` of nothing."""
    rules: list[tuple[str, ...]] = []
    for test in tests:
        if test is F:
            return F
        if test is not T:
            rules.append(test.rules)
    return undetermined(*sum(rules, ())) if rules else T


def any_of(tests: Iterable[Truth]) -> Truth:
    """OR (F2): `T` if any is, else `U` if any is, else `F`; `F` of nothing."""
    rules: list[tuple[str, ...]] = []
    for test in tests:
        if test is T:
            return T
        if test is not F:
            rules.append(test.rules)
    return undetermined(*sum(rules, ())) if rules else F


def negate(test: Truth) -> Truth:
    """NOT (F2): swaps `T` and `F`, keeps `U`."""
    if test is T:
        return F
    return T if test is F else test


def truth(holds: bool) -> Truth:
    """A test that is never undetermined."""
    return T if holds else F
