"""A formula as an expression of narwhals or of Ibis, which run on several libraries with regular expressions of several kinds."""

from __future__ import annotations

import functools
import operator
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from fastiam.analysis.filter import patterns
from fastiam.analysis.filter.formula import Column, Compares, Readable, Text
from fastiam.analysis.filter.patterns import OneOf, Pattern, Symbol
from fastiam.analysis.filter.targets import balanced, refuse
from fastiam.errors import NotExpressible, RequestValueError


class _ColumnTarget(ABC):
    """What the two libraries have in common."""

    name = ""

    def all_of(self, parts: Sequence[Any]) -> Any:
        """AND."""
        return balanced(parts, lambda some: functools.reduce(operator.and_, some))

    def any_of(self, parts: Sequence[Any]) -> Any:
        """OR."""
        return balanced(parts, lambda some: functools.reduce(operator.or_, some))

    def negation(self, part: Any) -> Any:
        """NOT."""
        return ~part

    @abstractmethod
    def text(self, text: Text) -> Any:
        """A text."""

    @abstractmethod
    def not_null(self, column: str) -> Any:
        """The column has a value."""

    @abstractmethod
    def search(self, text: Any, regex: str) -> Any:
        """Whether a part of the text matches."""

    @abstractmethod
    def has_end(self, text: Any, ends: Sequence[str]) -> Any:
        """Whether the text ends with one of these."""

    @abstractmethod
    def has_start(self, text: Any, start: Any) -> Any:
        """Whether the text begins with another one."""

    @abstractmethod
    def is_one_of(self, text: Any, values: tuple[str, ...]) -> Any:
        """Whether the text is one of several values."""

    def _never_null(self, test: Any, *texts: Text) -> Any:
        names = dict.fromkeys(part.name for text in texts for part in text if isinstance(part, Column))
        return self.all_of([test, *map(self.not_null, names)])

    def equals(self, text: Text, values: tuple[str, ...]) -> Any:
        """One of the values."""
        column = self.text(text)
        return self._never_null(column == values[0] if len(values) == 1 else self.is_one_of(column, values), text)

    def starts_with(self, text: Text, prefixes: tuple[str, ...]) -> Any:
        """One of the prefixes."""
        column = self.text(text)
        return self._never_null(self.any_of([self.has_start(column, prefix) for prefix in prefixes]), text)

    def matches(self, text: Text, pattern: Pattern) -> Any:
        """A regular expression with the anchors that all kinds have.

        `$` also matches before a newline that ends the text, so that the end of the text is tested once more.
        """
        column, last = self.text(text), pattern[-1]
        if last is Symbol.ANY:
            return self._never_null(self.search(column, f"^(?s:{patterns.regex(pattern[:-1])})"), text)
        test = self.search(column, f"^(?s:{patterns.regex(pattern)})$")
        if isinstance(last, (str, OneOf)):
            test = test & self.has_end(column, (last,) if isinstance(last, str) else tuple(last.characters))
        elif last not in (Symbol.FIELD, Symbol.SEGMENT):
            raise NotExpressible(
                f"a last character cannot be tested in {self.name}", key="Resource", operator=patterns.regex(pattern)
            )
        return self._never_null(test, text)

    def same(self, text: Text, other: Text, starts: bool) -> Any:
        """Two texts."""
        one, two = self.text(text), self.text(other)
        return self._never_null(self.has_start(one, two) if starts else one == two, text, other)

    def compares(self, leaf: Compares | Readable) -> Any:
        """In neither of the two."""
        refuse(self.name, leaf)


class NarwhalsTarget(_ColumnTarget):
    """Expressions of narwhals."""

    name = "narwhals"

    def __init__(self, types: Mapping[str, str]) -> None:
        import narwhals  # type: ignore[import-not-found,unused-ignore]

        self._nw, self._types = narwhals, types

    def constant(self, value: bool) -> Any:
        """True or false, as an expression of the first column: narwhals takes no literal as a predicate."""
        is_null = self._nw.nth(0).is_null()
        return is_null | ~is_null if value else is_null & ~is_null

    def is_null(self, column: str) -> Any:
        """The column is null."""
        return self._nw.col(column).is_null()

    def _column(self, name: str) -> Any:
        column = self._nw.col(name)
        if self._types.get(name) == "bool":  # libraries write bools in different ways
            return self._nw.when(column).then(self._nw.lit("true")).otherwise(self._nw.lit("false"))
        return column.cast(self._nw.String) if name in self._types else column

    def text(self, text: Text) -> Any:
        """A text."""
        if len(text) == 1 and isinstance(text[0], Column):
            return self._column(text[0].name)
        return self._nw.concat_str([self._column(part.name) if isinstance(part, Column) else self._nw.lit(part) for part in text])

    def not_null(self, column: str) -> Any:
        """The column has a value; the length exists for text columns only (H70)."""
        present = ~self.is_null(column)
        return present if column in self._types else present & (self._nw.col(column).str.len_chars() >= 0)

    def search(self, text: Any, regex: str) -> Any:
        """Whether a part of the text matches."""
        return text.str.contains(regex)

    def has_end(self, text: Any, ends: Sequence[str]) -> Any:
        """Whether the text ends with one of these."""
        return self.any_of([text.str.ends_with(end) for end in ends])

    def has_start(self, text: Any, start: Any) -> Any:
        """Whether the text begins with another one."""
        if isinstance(start, str):
            return text.str.starts_with(start)
        raise NotExpressible("narwhals does not compare the start of a text with a column", key="Resource", operator="prefix")

    def is_one_of(self, text: Any, values: tuple[str, ...]) -> Any:
        """Whether the text is one of several values."""
        return text.is_in(list(values))


class IbisTarget(_ColumnTarget):
    """Expressions of Ibis over one table, whose types are known (H70)."""

    name = "ibis"

    def __init__(self, table: Any) -> None:
        import ibis  # type: ignore[import-untyped,unused-ignore]

        self._ibis, self._table = ibis, table

    def constant(self, value: bool) -> Any:
        """True or false."""
        return self._ibis.literal(value)

    def is_null(self, column: str) -> Any:
        """The column is null."""
        return self._table[column].isnull()

    def not_null(self, column: str) -> Any:
        """The column has a value."""
        return self._table[column].notnull()

    def _column(self, name: str) -> Any:
        column = self._table[name]
        type_ = column.type()
        if type_.is_string():
            return column
        if type_.is_boolean():
            return self._ibis.ifelse(column, "true", "false")
        if type_.is_integer():
            return column.cast("string")
        raise RequestValueError(
            f"a column of type `{type_}` is not compared as text",
            column=name,
            hint="use `apply`, which reads it as `decide_many` does",
        )

    def text(self, text: Text) -> Any:
        """A text."""
        parts = [self._column(part.name) if isinstance(part, Column) else self._ibis.literal(part) for part in text]
        return functools.reduce(operator.add, parts)

    def search(self, text: Any, regex: str) -> Any:
        """Whether a part of the text matches."""
        return text.re_search(regex)

    def has_end(self, text: Any, ends: Sequence[str]) -> Any:
        """Whether the text ends with one of these."""
        return self.any_of([text.endswith(end) for end in ends])

    def has_start(self, text: Any, start: Any) -> Any:
        """Whether the text begins with another one."""
        return text.startswith(start)

    def is_one_of(self, text: Any, values: tuple[str, ...]) -> Any:
        """Whether the text is one of several values."""
        return text.isin(values)
