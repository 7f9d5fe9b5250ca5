"""A formula written for a library: the walk over its nodes, and what a library has to say for each kind of leaf."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, NoReturn, Protocol, TypeVar

from fastiam.analysis.filter.formula import (
    And,
    Compares,
    Equals,
    Formula,
    IsNull,
    Matches,
    Not,
    Or,
    Readable,
    Same,
    StartsWith,
    Text,
    Unknown,
)
from fastiam.analysis.filter.patterns import Pattern
from fastiam.errors import NotExpressible

E = TypeVar("E")
MANY = 8  # prefixes; more are one test
CHAIN = 64  # parts of a chain of AND or OR


class Target(Protocol[E]):
    """The expressions of a library. A leaf about a text is false, and not null, where a column of the text is null (H41)."""

    name: str

    def constant(self, value: bool) -> E:
        """True or false."""

    def all_of(self, parts: Sequence[E]) -> E:
        """AND."""

    def any_of(self, parts: Sequence[E]) -> E:
        """OR."""

    def negation(self, part: E) -> E:
        """NOT."""

    def is_null(self, column: str) -> E:
        """The column is null."""

    def equals(self, text: Text, values: tuple[str, ...]) -> E:
        """The text is one of the values, compared by code points."""

    def starts_with(self, text: Text, prefixes: tuple[str, ...]) -> E:
        """The text begins with one of the prefixes, compared by code points."""

    def matches(self, text: Text, pattern: Pattern) -> E:
        """The pattern matches the whole text."""

    def same(self, text: Text, other: Text, starts: bool) -> E:
        """The text equals the other text, or begins with it."""

    def compares(self, leaf: Compares | Readable) -> E:
        """A comparison of numbers, dates, addresses, bytes, or without case beyond ASCII.

        Raises
        ------
        NotExpressible
            the library cannot express it.
        """


class Writer(Generic[E]):
    """Writes formulas for a target. Equal parts are one expression."""

    def __init__(self, target: Target[E]) -> None:
        self._target = target
        self._found: dict[Formula, E] = {}

    def write(self, formula: Formula) -> E:
        """The expression of a formula.

        Raises
        ------
        NotExpressible
            a leaf cannot be written; names key and operator.
        """
        if isinstance(formula, bool):
            return self._target.constant(formula)
        found = self._found.get(formula)
        if found is None:
            found = self._found[formula] = self._write(formula)
        return found

    def _write(self, formula: Formula) -> E:
        target = self._target
        if isinstance(formula, And):
            return target.all_of([self.write(part) for part in formula.parts])
        if isinstance(formula, Or):
            return target.any_of([self.write(part) for part in formula.parts])
        if isinstance(formula, Not):
            return target.negation(self.write(formula.parts[0]))
        if isinstance(formula, IsNull):
            return target.is_null(formula.column)
        if isinstance(formula, Equals):
            return target.equals(formula.text, formula.values)
        if isinstance(formula, StartsWith):
            return target.starts_with(formula.text, formula.prefixes)
        if isinstance(formula, Matches):
            return target.matches(formula.text, formula.pattern)
        if isinstance(formula, Same):
            return target.same(formula.text, formula.other, formula.starts)
        if isinstance(formula, (Compares, Readable)):
            return target.compares(formula)
        assert isinstance(formula, Unknown)
        raise NotExpressible(
            f"`{formula.operator}` of `{formula.key}` is not expressed by a filter",
            key=formula.key,
            operator=formula.operator,
            hint="use `apply`, which decides the rows",
        )


def balanced(parts: Sequence[E], join: Callable[[Sequence[E]], E]) -> E:
    """Parts joined by AND or OR as a tree: libraries read a chain as one level for each part, and SQLite has 1,000 of them."""
    while len(parts) > CHAIN:
        parts = [join(parts[first : first + CHAIN]) for first in range(0, len(parts), CHAIN)]
    return join(parts)


def are_first_parts(prefixes: Sequence[str]) -> bool:
    """Whether a text has one of these prefixes if and only if its part up to the first `/`, with it, is one of them."""
    return all(prefix.find("/") == len(prefix) - 1 for prefix in prefixes)


def refuse(target: str, leaf: Compares | Readable) -> NoReturn:
    """Raise the error of a comparison that a library does not have."""
    raise NotExpressible(
        f"`{leaf.operator}` of `{leaf.key}` cannot be written for {target}",
        key=leaf.key,
        operator=leaf.operator,
        hint="use `apply`, which decides the rows, or `prefilter`",
    )
