"""Formulas over the columns of a row: what a filter is, before it is written for a library.

A formula is True, False, a leaf, or `And`, `Or` and `Not` of formulas. Invariant: a leaf is never null. A leaf about a text is
false of a row in which a column of the text is null.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import TypeAlias

from fastiam.analysis.filter import patterns
from fastiam.analysis.filter.patterns import Pattern, Symbol
from fastiam.spec.operators import OPERATORS
from fastiam.spec.values import read_bool


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the row."""

    name: str


Text = tuple["str | Column", ...]  # columns and literal text, concatenated; null where a column is null


@dataclass(frozen=True, slots=True)
class IsNull:
    """The column is null."""

    column: str


@dataclass(frozen=True, slots=True)
class Equals:
    """The text is one of the values."""

    text: Text
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StartsWith:
    """The text begins with one of the prefixes."""

    text: Text
    prefixes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Matches:
    """The pattern matches the whole text."""

    text: Text
    pattern: Pattern


@dataclass(frozen=True, slots=True)
class Same:
    """The text equals the other text; with `starts`, it begins with it."""

    text: Text
    other: Text
    starts: bool = False


@dataclass(frozen=True, slots=True)
class Compares:
    """The text can be read as a value of the operator and compares with one of the values. `key`: for messages."""

    text: Text
    operator: str
    values: tuple[str, ...]
    key: str


@dataclass(frozen=True, slots=True)
class Readable:
    """The text can be read as a value of the operator (C22)."""

    text: Text
    operator: str
    key: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """A test that no filter expresses: of this key, by this operator or rule.

    INVARIANT: each one is unequal to all others, so that no simplification takes two tests for one.
    """

    key: str
    operator: str
    _number: int = field(default_factory=count().__next__, repr=False)


Leaf: TypeAlias = "IsNull | Equals | StartsWith | Matches | Same | Compares | Readable | Unknown"
Formula: TypeAlias = "bool | Leaf | And | Or | Not"
READING = (Equals, StartsWith, Matches, Same, Compares, Readable)  # leaves that are false of a row with a null


class _Node:
    """A node with a hash that is computed once. Compared by its parts."""

    __slots__ = ("_hash", "parts")

    def __init__(self, parts: tuple[Formula, ...]) -> None:
        self.parts = parts
        self._hash = hash((type(self).__name__, parts))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return type(self) is type(other) and self._hash == hash(other) and self.parts == other.parts

    def __repr__(self) -> str:
        return f"{type(self).__name__}{self.parts}"


class And(_Node):
    """All of at least two formulas."""

    __slots__ = ()


class Or(_Node):
    """Any of at least two formulas."""

    __slots__ = ()


class Not(_Node):
    """The negation of one formula."""

    __slots__ = ()


def all_of(formulas: Iterable[Formula]) -> Formula:
    """AND, simplified."""
    parts: dict[Formula, None] = {}
    for formula in formulas:
        if formula is False:
            return False
        if formula is not True:
            parts |= dict.fromkeys(formula.parts if isinstance(formula, And) else (formula,))
    if any(negation(part) in parts for part in parts):
        return False
    return _node(And, tuple(parts), True)


def any_of(formulas: Iterable[Formula]) -> Formula:
    """OR, simplified. Equalities and prefixes of one text are joined."""
    parts: dict[Formula, None] = {}
    for formula in formulas:
        if formula is True:
            return True
        if formula is not False:
            parts |= dict.fromkeys(formula.parts if isinstance(formula, Or) else (formula,))
    if any(negation(part) in parts for part in parts):
        return True
    return _node(Or, _joined(parts), False)


def negation(formula: Formula) -> Formula:
    """NOT, simplified."""
    if isinstance(formula, bool):
        return not formula
    return formula.parts[0] if isinstance(formula, Not) else Not((formula,))


def choice(condition: Formula, if_true: Formula, if_false: Formula) -> Formula:
    """One formula where the condition is true, and another one where it is false."""
    if if_true == if_false:
        return if_true
    return any_of((all_of((condition, if_true)), all_of((negation(condition), if_false))))


def _node(kind: type[And] | type[Or], parts: tuple[Formula, ...], of_none: bool) -> Formula:
    if not parts:
        return of_none
    return parts[0] if len(parts) == 1 else kind(parts)


def _joined(parts: Iterable[Formula]) -> tuple[Formula, ...]:
    values: dict[Text, dict[str, None]] = {}
    prefixes: dict[Text, dict[str, None]] = {}
    others: list[Formula] = []
    for part in parts:
        if isinstance(part, Equals):
            values.setdefault(part.text, {}).update(dict.fromkeys(part.values))
        elif isinstance(part, StartsWith):
            prefixes.setdefault(part.text, {}).update(dict.fromkeys(part.prefixes))
        else:
            others.append(part)
    for text, found in prefixes.items():
        starts = tuple(one for one in found if not any(one is not other and one.startswith(other) for other in found)) if (
            len(found) <= 50
        ) else tuple(found)  # fmt: skip
        others.insert(0, StartsWith(text, starts))
        if text in values and len(starts) <= 50:
            values[text] = {value: None for value in values[text] if not value.startswith(starts)}
    others[:0] = [Equals(text, tuple(found)) for text, found in values.items() if found]
    return tuple(others)


# -- leaves --------------------------------------------------------------------------------------------------------------


def is_not_null(column: str) -> Formula:
    """The column has a value."""
    return negation(IsNull(column))


def equals(text: Text, *values: str) -> Formula:
    """The text is one of the values."""
    if all(isinstance(part, str) for part in text):
        return "".join(map(str, text)) in values
    return Equals(text, tuple(dict.fromkeys(values))) if values else False


def matches(text: Text, pattern: Pattern) -> Formula:
    """The pattern matches the text: the simplest leaf that is true of the same texts."""
    pattern = patterns.joined(pattern)
    if all(isinstance(part, str) for part in text):
        return patterns.matches(pattern, "".join(map(str, text)))
    if not pattern:
        return Equals(text, ("",))
    if len(pattern) == 1 and isinstance(pattern[0], str):
        return Equals(text, (pattern[0],))
    if len(pattern) == 2 and isinstance(pattern[0], str) and pattern[1] is Symbol.ANY:
        return StartsWith(text, (pattern[0],))
    return Matches(text, pattern)


def holds(leaf: Leaf, value: str) -> bool:
    """Whether a leaf about one text holds for a value of the text.

    Raises
    ------
    TypeError
        the leaf is not about one text.
    """
    if isinstance(leaf, Equals):
        return value in leaf.values
    if isinstance(leaf, StartsWith):
        return value.startswith(leaf.prefixes)
    if isinstance(leaf, Matches):
        return patterns.matches(leaf.pattern, value)
    raise TypeError(f"{type(leaf).__name__} is not about one text")


def spellings_of_bool(value: bool) -> tuple[str, ...]:
    """The texts that `Bool` reads as a value (C31): each letter in both cases."""
    texts = [""]
    for letter in "true" if value else "false":
        texts = [text + case for text in texts for case in (letter, letter.upper())]
    assert all(read_bool(text) is value for text in texts)
    return tuple(texts)


def positive_operator(name: str) -> str:
    """The operator that a negated one negates."""
    op = OPERATORS[name]
    if not op.negated:
        return name
    return next(other for other, its in OPERATORS.items() if its.holds is op.holds and its.read_context is op.read_context
                and its.wildcards == op.wildcards and not its.negated)  # fmt: skip


# -- walks ---------------------------------------------------------------------------------------------------------------


def replaced(formula: Formula, replace: Callable[[Leaf], Formula], found: dict[Formula, Formula] | None = None) -> Formula:
    """The formula with each leaf replaced. `found` keeps results."""
    found = {} if found is None else found
    if isinstance(formula, bool):
        return formula
    known = found.get(formula)
    if known is None:
        if isinstance(formula, And):
            known = all_of(replaced(part, replace, found) for part in formula.parts)
        elif isinstance(formula, Or):
            known = any_of(replaced(part, replace, found) for part in formula.parts)
        elif isinstance(formula, Not):
            known = negation(replaced(formula.parts[0], replace, found))
        else:
            known = replace(formula)
        found[formula] = known
    return known


def where_text_is(formula: Formula, text: Text, value: str) -> Formula:
    """The formula for rows in which a text has this value."""

    def replace(leaf: Leaf) -> Formula:
        if isinstance(leaf, Same) and leaf.text == text:  # the other text is one of the starts of the value, or the value
            ends = range(len(value) + 1) if leaf.starts else (len(value),)
            return equals(leaf.other, *(value[:end] for end in ends))
        return holds(leaf, value) if isinstance(leaf, (Equals, StartsWith, Matches)) and leaf.text == text else leaf

    return replaced(formula, replace)


def where_text_starts(formula: Formula, text: Text, start: str) -> Formula:
    """The formula for rows in which a text has this start."""

    def replace(leaf: Leaf) -> Formula:
        if isinstance(leaf, (Equals, StartsWith, Matches)) and leaf.text == text:
            return _after_start(leaf, start)
        return leaf

    return replaced(formula, replace)


def _after_start(leaf: Equals | StartsWith | Matches, start: str) -> Formula:
    if isinstance(leaf, Equals):
        return equals(leaf.text, *(value for value in leaf.values if value.startswith(start)))
    if isinstance(leaf, StartsWith):
        if start.startswith(leaf.prefixes):
            return True
        left = tuple(prefix for prefix in leaf.prefixes if prefix.startswith(start))
        return StartsWith(leaf.text, left) if left else False
    found = patterns.matches_after(leaf.pattern, start)
    return leaf if found is None else found


def leaves_of(formula: Formula, seen: set[Formula] | None = None) -> Iterator[Leaf]:
    """The different leaves of a formula."""
    seen = set() if seen is None else seen
    if isinstance(formula, bool) or formula in seen:
        return
    seen.add(formula)
    if isinstance(formula, _Node):
        for part in formula.parts:
            yield from leaves_of(part, seen)
    else:
        yield formula


def columns_of(formula: Formula) -> tuple[str, ...]:
    """The columns that a formula reads, in order of first use."""
    names: dict[str, None] = {}
    for leaf in leaves_of(formula):
        if isinstance(leaf, IsNull):
            names[leaf.column] = None
        elif not isinstance(leaf, Unknown):
            texts = (leaf.text, leaf.other) if isinstance(leaf, Same) else (leaf.text,)
            names |= {part.name: None for text in texts for part in text if isinstance(part, Column)}
    return tuple(names)


def size(formula: Formula) -> int:
    """The number of nodes when the formula is written; a value of a list counts a tenth."""
    sizes: dict[Formula, int] = {}

    def size_of(part: Formula) -> int:
        if isinstance(part, bool):
            return 1
        if part not in sizes:
            if isinstance(part, _Node):
                sizes[part] = 1 + sum(map(size_of, part.parts))
            else:
                values = part.values if isinstance(part, Equals) else part.prefixes if isinstance(part, StartsWith) else ()
                sizes[part] = 1 + len(values) // 10
        return sizes[part]

    return size_of(formula)


def superset(formula: Formula, keep: Callable[[Leaf], bool]) -> Formula:
    """A formula of kept leaves that is true wherever this one is.

    Other leaves are taken towards true: as true under an even number of negations, as false under an odd one (H43).
    """
    return _bound(formula, keep, True, {})


def _bound(formula: Formula, keep: Callable[[Leaf], bool], upwards: bool, found: dict[tuple[Formula, bool], Formula]) -> Formula:
    if isinstance(formula, bool):
        return formula
    key = formula, upwards
    if key not in found:
        if isinstance(formula, Not):
            result = negation(_bound(formula.parts[0], keep, not upwards, found))
        elif isinstance(formula, _Node):
            join = all_of if isinstance(formula, And) else any_of
            result = join(_bound(part, keep, upwards, found) for part in formula.parts)
        elif keep(formula):
            result = formula
        elif upwards and isinstance(formula, Matches) and patterns.head(formula.pattern):
            wider = StartsWith(formula.text, (patterns.head(formula.pattern),))
            result = wider if keep(wider) else True
        else:
            result = upwards
        found[key] = result
    return found[key]
