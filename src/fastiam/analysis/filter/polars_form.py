"""A formula as a Polars expression."""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from fastiam.analysis.filter import patterns
from fastiam.analysis.filter.formula import Column, Compares, Readable, Text
from fastiam.analysis.filter.patterns import Pattern, Symbol
from fastiam.analysis.filter.targets import MANY, are_first_parts, balanced, refuse

if TYPE_CHECKING:
    import polars as pl

_CHUNK = 300  # prefixes of one regular expression, whose size Polars limits


class PolarsTarget:
    """Expressions of Polars. Only text columns can be read; `types` names columns that are cast to text."""

    name = "Polars"

    def __init__(self, types: Mapping[str, str]) -> None:
        self._types = types

    def constant(self, value: bool) -> pl.Expr:
        """True or false."""
        import polars as pl

        return pl.lit(value)

    def all_of(self, parts: Sequence[pl.Expr]) -> pl.Expr:
        """AND."""
        return balanced(parts, lambda some: functools.reduce(operator.and_, some))

    def any_of(self, parts: Sequence[pl.Expr]) -> pl.Expr:
        """OR."""
        return balanced(parts, lambda some: functools.reduce(operator.or_, some))

    def negation(self, part: pl.Expr) -> pl.Expr:
        """NOT."""
        return ~part

    def is_null(self, column: str) -> pl.Expr:
        """The column is null."""
        import polars as pl

        return pl.col(column).is_null()

    def _column(self, name: str) -> pl.Expr:
        import polars as pl

        return pl.col(name).cast(pl.String) if name in self._types else pl.col(name)

    def _text(self, text: Text) -> pl.Expr:
        import polars as pl

        if len(text) == 1 and isinstance(text[0], Column):
            return self._column(text[0].name)
        return pl.concat_str([self._column(part.name) if isinstance(part, Column) else pl.lit(part) for part in text])

    def _never_null(self, test: pl.Expr, *texts: Text) -> pl.Expr:
        """The test, false where a column is null. The length of a text exists for text columns only (H70)."""
        names = dict.fromkeys(part.name for text in texts for part in text if isinstance(part, Column))
        return self.all_of([test, *(self._column(name).str.len_bytes().is_not_null() for name in names)])

    def equals(self, text: Text, values: tuple[str, ...]) -> pl.Expr:
        """One of the values."""
        import polars as pl

        column = self._text(text)
        test = column == values[0] if len(values) == 1 else column.is_in(pl.Series(values, dtype=pl.String).implode())
        return self._never_null(test, text)

    def starts_with(self, text: Text, prefixes: tuple[str, ...]) -> pl.Expr:
        """One of the prefixes."""
        import polars as pl

        column = self._text(text)
        if len(prefixes) > _CHUNK and are_first_parts(prefixes):
            found = column.str.extract(r"\A([^/]*/)", 1).is_in(pl.Series(prefixes, dtype=pl.String).implode())
            return self._never_null(found.fill_null(False), text)
        if len(prefixes) > MANY:
            chunks = [prefixes[at : at + _CHUNK] for at in range(0, len(prefixes), _CHUNK)]
            choices = ["|".join(patterns.regex((prefix,)) for prefix in chunk) for chunk in chunks]
            return self._never_null(self.any_of([column.str.contains(rf"\A(?:{choice})") for choice in choices]), text)
        return self._never_null(self.any_of([self._text(text).str.starts_with(prefix) for prefix in prefixes]), text)

    def matches(self, text: Text, pattern: Pattern) -> pl.Expr:
        """A regular expression over the whole text, behind a test of its literal start."""
        *start, last = pattern
        end = r"\z"
        if last is Symbol.ANY:
            pattern, end = tuple(start), ""
        test = self._text(text).str.contains(rf"\A(?s:{patterns.regex(pattern)}){end}")
        return self._never_null(test, text)

    def same(self, text: Text, other: Text, starts: bool) -> pl.Expr:
        """Two texts."""
        one, two = self._text(text), self._text(other)
        return self._never_null(one.str.starts_with(two) if starts else one == two, text, other)

    def compares(self, leaf: Compares | Readable) -> pl.Expr:
        """Not in Polars."""
        refuse(self.name, leaf)
