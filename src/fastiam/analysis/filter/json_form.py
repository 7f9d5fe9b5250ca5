"""A formula as JSON (docs/filter.md): for programs that write their own expressions from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastiam.analysis.filter import patterns
from fastiam.analysis.filter.formula import Column, Compares, Formula, Text
from fastiam.analysis.filter.patterns import Pattern
from fastiam.analysis.filter.targets import Writer


def to_json(formula: Formula) -> Any:
    """A formula as lists, mappings, texts and bools.

    Raises
    ------
    NotExpressible
        it contains a test that no filter expresses.
    """
    return Writer(_Json()).write(formula)


def _text(text: Text) -> list[Any]:
    return [{"column": part.name} if isinstance(part, Column) else part for part in text]


class _Json:
    name = "JSON"

    def constant(self, value: bool) -> Any:
        return value

    def all_of(self, parts: Sequence[Any]) -> Any:
        return {"all": list(parts)}

    def any_of(self, parts: Sequence[Any]) -> Any:
        return {"any": list(parts)}

    def negation(self, part: Any) -> Any:
        return {"not": part}

    def is_null(self, column: str) -> Any:
        return {"null": column}

    def equals(self, text: Text, values: tuple[str, ...]) -> Any:
        return {"in": list(values), "text": _text(text)}

    def starts_with(self, text: Text, prefixes: tuple[str, ...]) -> Any:
        return {"starts": list(prefixes), "text": _text(text)}

    def matches(self, text: Text, pattern: Pattern) -> Any:
        return {"matches": patterns.regex(pattern), "text": _text(text)}

    def same(self, text: Text, other: Text, starts: bool) -> Any:
        return {"starts_with_text" if starts else "equals_text": _text(other), "text": _text(text)}

    def compares(self, leaf: Any) -> Any:
        if isinstance(leaf, Compares):
            return {"operator": leaf.operator, "values": list(leaf.values), "text": _text(leaf.text)}
        return {"readable": leaf.operator, "text": _text(leaf.text)}
