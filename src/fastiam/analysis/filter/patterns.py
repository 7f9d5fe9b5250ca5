"""Patterns over texts of rows: literal text, wildcards that cross colons, wildcards that do not, and sets of characters."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from fastiam.model.key_registry import fold
from fastiam.spec.wildcards import Glob, Wildcard


class Symbol(Enum):
    """The parts of a pattern that are not literal, each with its regular expression (with `.` for every character)."""

    ANY = ".*"
    ONE = "."
    FIELD = "[^:]*"
    FIELD_ONE = "[^:]"
    SEGMENT = "[^/]*"
    SEGMENT_ONE = "[^/]"
    DIGIT = "[0-9]"


_REPEATED = (Symbol.ANY, Symbol.FIELD, Symbol.SEGMENT)
_EXCLUDED = {Symbol.FIELD: ":", Symbol.FIELD_ONE: ":", Symbol.SEGMENT: "/", Symbol.SEGMENT_ONE: "/"}
_DIGITS = "0123456789"
_META = frozenset("\\.+*?()|[]{}^$")


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of these characters."""

    characters: str


Part = str | Symbol | OneOf
Pattern = tuple[Part, ...]  # matches a whole text


def joined(parts: Iterable[Part]) -> Pattern:
    """A pattern with adjacent literals joined, and without empty ones."""
    found: list[Part] = []
    for part in parts:
        if part == "":
            continue
        if isinstance(part, str) and found and isinstance(found[-1], str):
            found[-1] += part
        elif not (part is Symbol.ANY and found and found[-1] is Symbol.ANY):
            found.append(part)
    return tuple(found)


def of_glob(glob: Glob, *, in_field: bool = False) -> tuple[Part, ...]:
    """The parts of a glob; with `in_field` its wildcards match no colon."""
    wildcards = {Wildcard.ANY: Symbol.FIELD, Wildcard.ONE: Symbol.FIELD_ONE} if in_field else {
        Wildcard.ANY: Symbol.ANY, Wildcard.ONE: Symbol.ONE
    }  # fmt: skip
    return tuple(token if isinstance(token, str) else wildcards[token] for token in glob)


def ignoring_case(text: str) -> Pattern | None:
    """The texts that are equal to an ASCII text under simple case folding; None for other texts."""
    if not text.isascii():
        return None
    return joined(_same_letter(letter) for letter in fold(text))


# the characters beyond ASCII whose simple case folding is an ASCII letter
_BEYOND_ASCII = {"k": "\u212a", "s": "\u017f"}


def _same_letter(letter: str) -> Part:
    return OneOf(letter + letter.upper() + _BEYOND_ASCII.get(letter, "")) if letter.isalpha() else letter


def head(pattern: Pattern) -> str:
    """The literal text with which each match begins."""
    return pattern[0] if pattern and isinstance(pattern[0], str) else ""


def regex(pattern: Pattern) -> str:
    """The pattern as a regular expression, without anchors. `.` must match a newline."""
    return "".join(_regex_of(part) for part in pattern)


def _regex_of(part: Part) -> str:
    if isinstance(part, Symbol):
        return part.value
    if isinstance(part, OneOf):
        return f"[{part.characters}]"
    return "".join(f"\\{letter}" if letter in _META else letter for letter in part)


# -- matching -----------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def _steps(pattern: Pattern) -> tuple[Part, ...]:
    """The pattern with literals cut into characters."""
    return tuple(step for part in pattern for step in (part if isinstance(part, str) else (part,)))


def _positions(pattern: Pattern, text: str) -> frozenset[int]:
    """The steps of the pattern that can come next after the text."""
    steps = _steps(pattern)
    now = _skipped({0}, steps)
    for letter in text:
        following: set[int] = set()
        for at in now:
            if at < len(steps) and _takes(steps[at], letter):
                following.add(at if steps[at] in _REPEATED else at + 1)
        now = _skipped(following, steps)
        if not now:
            break
    return now


def _skipped(positions: set[int], steps: tuple[Part, ...]) -> frozenset[int]:
    """The positions, and those after a repeated step, which may match no character."""
    found = set(positions)
    for at in positions:
        while at < len(steps) and steps[at] in _REPEATED:
            at += 1
            found.add(at)
    return frozenset(found)


def _takes(step: Part, letter: str) -> bool:
    if isinstance(step, OneOf):
        return letter in step.characters
    if step is Symbol.DIGIT:
        return letter in _DIGITS
    if isinstance(step, Symbol):
        return letter != _EXCLUDED.get(step)
    return step == letter


def matches(pattern: Pattern, text: str) -> bool:
    """Whether the pattern matches the whole text."""
    return text.startswith(head(pattern)) and len(_steps(pattern)) in _positions(pattern, text)


def matches_after(pattern: Pattern, start: str) -> bool | None:
    """Whether the pattern matches each text that begins with `start`, none of them, or, as None, some of them perhaps."""
    literal = head(pattern)
    if not start.startswith(literal[: len(start)]):
        return False
    positions, steps = _positions(pattern, start), _steps(pattern)
    if not positions:
        return False
    return True if len(steps) - 1 in positions and steps[-1] is Symbol.ANY else None
