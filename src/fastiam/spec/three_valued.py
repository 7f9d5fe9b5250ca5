"""Three-valued logic (spec F1, F2): `F` < `U` < `T`, so that AND is the least and OR the greatest."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum


class Truth(IntEnum):
    """The result of a test: true, false, or undetermined (F1)."""

    F = 0
    U = 1
    T = 2


F, U, T = Truth.F, Truth.U, Truth.T
_OPPOSITE = (T, U, F)


def all_of(tests: Iterable[Truth]) -> Truth:
    """AND (F2): `F` if any is, else `U` if any is, else `T`; `T` of nothing."""
    return min(tests, default=T)


def any_of(tests: Iterable[Truth]) -> Truth:
    """OR (F2): `T` if any is, else `U` if any is, else `F`; `F` of nothing."""
    return max(tests, default=F)


def negate(test: Truth) -> Truth:
    """NOT (F2): swaps `T` and `F`, keeps `U`."""
    return _OPPOSITE[test]


def truth(holds: bool) -> Truth:
    """A test that is never undetermined."""
    return T if holds else F
