"""Simplification of a formula by what its parts say of the start of one text: the ARN of the row.

In `a AND b`, where `a` is true only of texts with a certain start, `b` is written for texts with this start. Most tests of the
form of an ARN, its partition and its owner are then constant.
"""

from __future__ import annotations

from os.path import commonprefix

from fastiam.analysis.filter.formula import (
    READING,
    And,
    Equals,
    Formula,
    IsNull,
    Not,
    Or,
    StartsWith,
    Text,
    all_of,
    any_of,
    columns_of,
    negation,
    size,
    where_text_is,
    where_text_starts,
)

_MAX_NODES = 3_000  # larger formulas are left as they are
_COLONS = 5  # of a start after which the fields of the ARN are known


def simplified(formula: Formula, text: Text) -> Formula:
    """An equivalent formula, which is not larger."""
    if size(formula) > _MAX_NODES:
        return formula
    found = _walk(formula, text, {})
    return found if size(found) <= size(formula) else formula


def _walk(formula: Formula, text: Text, found: dict[Formula, Formula]) -> Formula:
    if not isinstance(formula, (And, Or, Not)):
        return formula
    if formula not in found:
        parts = [_walk(part, text, found) for part in formula.parts]
        if isinstance(formula, Not):
            found[formula] = negation(parts[0])
        elif isinstance(formula, Or):
            found[formula] = any_of(parts)
        else:
            found[formula] = _conjunction(all_of(parts), text)
    return found[formula]


def _conjunction(formula: Formula, text: Text) -> Formula:
    """An AND whose other parts are written for the start that one part requires."""
    if not isinstance(formula, And):
        return formula
    pin = max(formula.parts, key=lambda part: len(_start(part, text)))
    start = _start(pin, text)
    if start:
        others = [part for part in formula.parts if part is not pin]
        if isinstance(pin, Equals) and len(pin.values) == 1:
            return all_of((pin, *(where_text_is(part, text, pin.values[0]) for part in others)))
        formula = all_of((pin, *(where_text_starts(part, text, start) for part in others)))
    if isinstance(formula, And):
        formula = all_of(part for part in formula.parts if not _is_repeated(part, formula))
    return _distributed(formula, text) if isinstance(formula, And) else formula


def _is_repeated(part: Formula, whole: And) -> bool:
    """The part says that a column is not null, and so does another part that reads the column."""
    if not (isinstance(part, Not) and isinstance(part.parts[0], IsNull)):
        return False
    column = part.parts[0].column
    return any(isinstance(other, READING) and column in columns_of(other) for other in whole.parts)


def _distributed(formula: And, text: Text) -> Formula:
    """The other parts of an AND inside the branches of an OR, if each branch requires a start and the result is smaller."""
    for choice in formula.parts:
        if isinstance(choice, Or) and all(_is_pinned(branch, text) for branch in choice.parts):
            others = [part for part in formula.parts if part is not choice]
            inside = any_of(_conjunction(all_of((branch, *others)), text) for branch in choice.parts)
            if size(inside) < size(formula):
                return inside
    return formula


def _is_pinned(formula: Formula, text: Text) -> bool:
    parts = formula.parts if isinstance(formula, And) else (formula,)
    return any(_start(part, text).count(":") >= _COLONS or part == Equals(text, ("*",)) for part in parts)


def _start(formula: Formula, text: Text) -> str:
    """The start of all texts of which a leaf is true, as far as it is simple to say."""
    if isinstance(formula, Equals) and formula.text == text:
        return commonprefix(formula.values)
    if isinstance(formula, StartsWith) and formula.text == text:
        return commonprefix(formula.prefixes)
    return ""
