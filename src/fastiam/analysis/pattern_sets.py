"""Patterns as sets of texts: subset and intersection tests.

INVARIANT: `is_subset_of` is never true of a pattern that matches a text the other does not match; `intersects` is never false
of two patterns with a common text. An unknown variable matches any text in a subset, and no text in a superset.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from fastiam.model.request import ContextValue
from fastiam.policy.action_patterns import split_action_pattern
from fastiam.policy.wildcards import matches_everything
from fastiam.spec.resource_patterns import read_pattern
from fastiam.spec.variables import Tokens, Variable
from fastiam.spec.wildcards import Wildcard, ascii_lower, read_glob

Symbols = tuple[str | Wildcard, ...]  # characters and wildcards
_ANY: Symbols = (Wildcard.ANY,)


@dataclass(frozen=True, slots=True)
class PatternSet:
    """The texts that a pattern of actions (two parts) or resources (six fields) matches; the pattern `*` has no parts.

    Attributes
    ----------
    text
        the pattern with the values of known variables. `${*}`, `${?}` and `${$}` are literal (VR4).
    parts
        the parts as symbols; an unknown variable is `*`.
    is_exact
        it has no unknown variable and one interpretation only, so that it can be a superset of others.
    written
        a pattern of fewer than six fields without padding, for the interpretation that crosses fields (R5).
    """

    text: str
    parts: tuple[Symbols, ...]
    is_exact: bool = True
    written: Symbols | None = None

    def is_subset_of(self, other: PatternSet) -> bool:
        """Whether the other set has every text of this set."""
        if not other.parts:
            return True
        return bool(self.parts) and other.is_exact and all(map(_is_subset_of, self.parts, other.parts))

    def intersects(self, other: PatternSet) -> bool:
        """Whether the sets can have a common text."""
        if not self.parts or not other.parts:
            return True
        return any(_intersect(one, two) for one in self._interpretations() for two in other._interpretations())

    def _interpretations(self) -> tuple[Symbols, ...]:
        whole = _joined(self.parts)
        return (whole,) if self.written is None else (whole, self.written)


@lru_cache(maxsize=8192)
def action_pattern_set(pattern: str) -> PatternSet | None:
    """Return the set of an action pattern, or None for a malformed one (V24)."""
    if matches_everything(pattern):
        return PatternSet("*", ())
    parts = split_action_pattern(pattern)
    return None if parts is None else PatternSet(pattern, tuple(_symbols(read_glob(ascii_lower(part))) for part in parts))


def resource_pattern_set(
    pattern: str, variables: bool, keys: Mapping[str, ContextValue], absent: frozenset[str], *, grants: bool = False
) -> PatternSet | None:
    """Return the set of a resource pattern for a principal with these keys, or None if it matches nothing (V25, VR8).

    `grants`: a match that is undetermined does not count (R6, R9).
    """
    if matches_everything(pattern):
        return PatternSet("*", ())
    if not pattern.startswith("arn:"):
        return None
    read = read_pattern(pattern, variables)
    rest = _bound(read.rest, keys, absent)
    if rest is None:
        return None
    if grants and (read.padded or read.mixed_type and read.fields[1] == ("iam",)):
        return None
    is_mixed = read.mixed_type and (read.fields[1] == ("iam",) or not _is_literal(read.fields[1]))  # R9 is about IAM alone
    exact = not read.padded and not is_mixed and not any(isinstance(token, Variable) for token in rest)
    symbols = _symbols(tuple(Wildcard.ANY if isinstance(token, Variable) else token for token in rest))
    fields = pattern.split(":", 5)
    text = ":".join(fields[:5]) + ":" + "".join(map(_text_of, rest)) if len(fields) == 6 else pattern + ":*" * read.padded
    written = _joined(tuple(map(_symbols, read.fields[: read.n_written - 1]))) if read.n_written < 6 else None
    return PatternSet(text, (*(_symbols(field) for field in read.fields), symbols), exact, written)


def _is_literal(field: Sequence[object]) -> bool:
    return len(field) == 1 and isinstance(field[0], str)


def intersects_patterns(patterns: Iterable[PatternSet], inverted: bool, one: PatternSet) -> bool:
    """Whether a set has a member that one of the patterns matches; if they are inverted, that none of them matches."""
    if inverted:
        return not any(map(one.is_subset_of, patterns))
    return any(map(one.intersects, patterns))


def _bound(tokens: Tokens, keys: Mapping[str, ContextValue], absent: frozenset[str]) -> Tokens | None:
    """Return the tokens with the values of known keys, or None if a variable has no value (VR6 to VR8)."""
    bound: list[str | Wildcard | Variable] = []
    for token in tokens:
        if not isinstance(token, Variable):
            bound.append(token)
            continue
        value = None if token.name is None else keys.get(token.name)
        if value is not None and len(value.values) == 1 and not value.multi and value.values[0]:
            bound.append(value.values[0])
        elif token.name is None or value is not None or token.name in absent or _starts_absent(token.name, absent):
            if token.default is None:
                return None
            bound.append(token.default)
        else:
            bound.append(token)
    return tuple(bound)


def _starts_absent(name: str, absent: frozenset[str]) -> bool:
    return name[: name.find("/") + 1] in absent if "/" in name else False


def _text_of(token: object) -> str:
    if isinstance(token, Variable):
        return f"${{{token.name}}}"
    return token.value if isinstance(token, Wildcard) else re.sub(r"[*?]|\$(?=\{)", r"${\g<0>}", str(token))  # VR4


def _symbols(tokens: Tokens) -> Symbols:
    out: list[str | Wildcard] = []
    for token in tokens:
        out.extend(token if isinstance(token, str) else (token,))  # type: ignore[arg-type]
    return tuple(out)


def _joined(parts: tuple[Symbols, ...]) -> Symbols:
    joined: list[str | Wildcard] = []
    for part in parts:
        joined += (":", *part)
    return tuple(joined)


@lru_cache(maxsize=65536)
def _is_subset_of(inner: Symbols, outer: Symbols) -> bool:
    """Whether `outer` matches every text of `inner`, by simulation of `outer` on the symbols of `inner`.

    A wildcard in `inner` is a character that only wildcards match.
    """
    states = _closure({0}, outer)
    for symbol in inner:
        following = set()
        for state in states:
            expected = outer[state] if state < len(outer) else None
            if expected is Wildcard.ANY:
                following.add(state)
            elif expected is Wildcard.ONE and symbol is not Wildcard.ANY or expected is not None and expected == symbol:
                following.add(state + 1)
        states = _closure(following, outer)
        if not states:
            return False
    return len(outer) in states


def _closure(states: set[int], pattern: Symbols) -> set[int]:
    """Add the states after each `*`, which can match the empty text."""
    found = set()
    for state in states:
        found.add(state)
        while state < len(pattern) and pattern[state] is Wildcard.ANY:
            state += 1
            found.add(state)
    return found


@lru_cache(maxsize=65536)
def _intersect(one: Symbols, two: Symbols) -> bool:
    """Whether some text matches both patterns, by a search in the product of their states."""
    seen, todo = set(), [(0, 0)]
    while todo:
        i, j = todo.pop()
        if (i, j) in seen:
            continue
        seen.add((i, j))
        a = one[i] if i < len(one) else None
        b = two[j] if j < len(two) else None
        if a is None and b is None:
            return True
        if a is Wildcard.ANY:
            todo.append((i + 1, j))
            if b is not None:
                todo.append((i, j + 1))
        if b is Wildcard.ANY:
            todo.append((i, j + 1))
            if a is not None:
                todo.append((i + 1, j))
        if a not in (None, Wildcard.ANY) and b not in (None, Wildcard.ANY) and (a == b or a is Wildcard.ONE or b is Wildcard.ONE):
            todo.append((i + 1, j + 1))
    return False
