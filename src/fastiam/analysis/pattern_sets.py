"""Patterns as sets of texts: subset and intersection tests.

INVARIANT: `is_subset_of` is never true of a pattern that matches a text the other does not match; `intersects` is never false
of two patterns with a common text. An unknown variable matches any text in a subset, and no text in a superset.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from fastiam.model.request import ContextValue
from fastiam.policy.action_patterns import split_action_pattern
from fastiam.policy.wildcards import matches_everything
from fastiam.spec.resources import read_pattern
from fastiam.spec.variables import Tokens, Variable
from fastiam.spec.wildcards import Wild, ascii_lower, read_glob

Symbols = tuple[str | Wild, ...]  # characters and wildcards
_ANY: Symbols = (Wild.ANY,)


@dataclass(frozen=True, slots=True)
class PatternSet:
    """A pattern of actions (two parts) or of resources (six fields); no parts for the pattern `*`.

    Attributes
    ----------
    text : as it is told: known variables are put in, unknown ones stay; `${*}` and the like are literal (VR4).
    parts : the parts as symbols, an unknown variable as `*`.
    is_exact : it has no unknown variable and no reading that AWS leaves open, so that it may cover others.
    written : a pattern of fewer than six fields as it stands, for the reading that crosses fields (R5).
    """

    text: str
    parts: tuple[Symbols, ...]
    is_exact: bool = True
    written: Symbols | None = None

    def is_subset_of(self, other: PatternSet) -> bool:
        """Whether every text of this one is one of the other."""
        if not other.parts:
            return True
        return bool(self.parts) and other.is_exact and all(map(_is_subset_of, self.parts, other.parts))

    def intersects(self, other: PatternSet) -> bool:
        """Whether some text may be one of both."""
        if not self.parts or not other.parts:
            return True
        return any(_intersect(one, two) for one in self._readings() for two in other._readings())

    def _readings(self) -> tuple[Symbols, ...]:
        whole = _joined(self.parts)
        return (whole,) if self.written is None else (whole, self.written)


@lru_cache(maxsize=8192)
def action_pattern_set(pattern: str) -> PatternSet | None:
    """The region of an action pattern; None for a malformed one (V24)."""
    if matches_everything(pattern):
        return PatternSet("*", ())
    parts = split_action_pattern(pattern)
    return None if parts is None else PatternSet(pattern, tuple(_symbols(read_glob(ascii_lower(part))) for part in parts))


def resource_pattern_set(
    pattern: str, variables: bool, keys: Mapping[str, ContextValue], absent: frozenset[str], *, grants: bool = False
) -> PatternSet | None:
    """The region of a resource pattern for a caller with these keys; None where it matches nothing (V25, VR8).

    `grants`: a match that AWS leaves open is none (R6, R9).
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
    exact = not read.padded and not read.mixed_type and not any(isinstance(token, Variable) for token in rest)
    symbols = _symbols(tuple(Wild.ANY if isinstance(token, Variable) else token for token in rest))
    fields = pattern.split(":", 5)
    told = ":".join(fields[:5]) + ":" + "".join(map(_told, rest)) if len(fields) == 6 else pattern + ":*" * read.padded
    written = _joined(tuple(map(_symbols, read.fields[: read.written - 1]))) if read.written < 6 else None
    return PatternSet(told, (*(_symbols(field) for field in read.fields), symbols), exact, written)


def _bound(tokens: Tokens, keys: Mapping[str, ContextValue], absent: frozenset[str]) -> Tokens | None:
    """The tokens with the values of known keys; None where a variable has none (VR6 to VR8)."""
    bound: list[str | Wild | Variable] = []
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


def _told(token: object) -> str:
    if isinstance(token, Variable):
        return f"${{{token.name}}}"
    return token.value if isinstance(token, Wild) else re.sub(r"[*?]|\$(?=\{)", r"${\g<0>}", str(token))  # VR4


def _symbols(tokens: Tokens) -> Symbols:
    out: list[str | Wild] = []
    for token in tokens:
        out.extend(token if isinstance(token, str) else (token,))  # type: ignore[arg-type]
    return tuple(out)


def _joined(parts: tuple[Symbols, ...]) -> Symbols:
    joined: list[str | Wild] = []
    for part in parts:
        joined += (":", *part)
    return tuple(joined)


@lru_cache(maxsize=65536)
def _is_subset_of(inner: Symbols, outer: Symbols) -> bool:
    """Whether `outer` matches whatever `inner` matches: it matches it symbol by symbol, a wildcard being a character that only
    wildcards match."""
    reached = _closed({0}, outer)
    for symbol in inner:
        following = set()
        for at in reached:
            want = outer[at] if at < len(outer) else None
            if want is Wild.ANY:
                following.add(at)
            elif want is Wild.ONE and symbol is not Wild.ANY or want is not None and want == symbol:
                following.add(at + 1)
        reached = _closed(following, outer)
        if not reached:
            return False
    return len(outer) in reached


def _closed(places: set[int], pattern: Symbols) -> set[int]:
    """The places with those behind a `*` that matches nothing."""
    found = set()
    for place in places:
        found.add(place)
        while place < len(pattern) and pattern[place] is Wild.ANY:
            place += 1
            found.add(place)
    return found


@lru_cache(maxsize=65536)
def _intersect(one: Symbols, two: Symbols) -> bool:
    """Whether some text matches both, by the pairs of places that a common text can lead to."""
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
        if a is Wild.ANY:
            todo.append((i + 1, j))
            if b is not None:
                todo.append((i, j + 1))
        if b is Wild.ANY:
            todo.append((i, j + 1))
            if a is not None:
                todo.append((i + 1, j))
        if a not in (None, Wild.ANY) and b not in (None, Wild.ANY) and (a == b or a is Wild.ONE or b is Wild.ONE):
            todo.append((i + 1, j + 1))
    return False
