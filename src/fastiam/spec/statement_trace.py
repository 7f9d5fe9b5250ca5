"""What one statement sees of a request, and what it leaves in the record: names it read, doubts, open tests."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping

from fastiam.model.request import ContextValue
from fastiam.spec.three_valued import F, T, Truth, U


class View:
    """The context as one statement reads it.

    Attributes
    ----------
    context : present keys by folded name.
    unknown : folded names of keys that are declared unknown (spec 6.11).
    favour : how open tests come out (D73): true makes the statement apply.
    opened : the unknown keys of its open tests (D72).
    doubts : rules by which a test of it is `U`.
    unresolved, absent : names of variables that did not resolve, and of keys that it read and the context lacks (6.9).
    """

    __slots__ = ("absent", "context", "doubts", "favour", "opened", "unknown", "unresolved")

    def __init__(self, context: Mapping[str, ContextValue], unknown: Container[str], favour: bool) -> None:
        self.context, self.unknown, self.favour = context, unknown, favour
        self.opened: list[str] = []
        self.doubts: list[str] = []
        self.unresolved: list[str] = []
        self.absent: list[str] = []

    def get(self, key: str) -> ContextValue | None:
        """The value of a folded key, or None where it is absent."""
        value = self.context.get(key)
        if value is None:
            self.absent.append(key)
        return value

    def doubt(self, rule: str) -> Truth:
        """`U`, by the rule named."""
        self.doubts.append(rule)
        return U

    def open(self, keys: Iterable[str], *, at_best: Truth = T, inverted: bool = False) -> Truth:
        """An open test on unknown keys (D72, D73): `at_best` where it helps the statement to apply, else `F`.

        `inverted` is set inside `NotResource` and `NotPrincipal`, where a test that holds hinders the statement.
        """
        self.opened += keys
        return at_best if self.favour is not inverted else F
