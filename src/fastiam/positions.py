"""Where a value stands in a JSON text: offsets, lines and columns, found when asked for.

Reading keeps no offsets: most documents never need one. A path such as `("Statement", 0, "Action")`
is walked through the text again by a small scanner that skips what it does not need.
Offsets, lines and columns count characters; lines and columns start at 1, as `json.loads` says them.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

Path = tuple[str | int, ...]

_SPACE = re.compile(r"[ \t\n\r]*")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_SCALAR = re.compile(r"[^\s,\]}]+")


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a source: character offsets `[start, end)`, and 1-based line and column of `start`."""

    source: str
    line: int
    column: int
    start: int
    end: int

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Source:
    """A named text. `text` is None where the document did not come as text (a mapping)."""

    name: str
    text: str | None = None

    def __repr__(self) -> str:
        return f"Source({self.name!r})"


@dataclass(frozen=True, slots=True)
class Origin:
    """A value inside a source: the whole of it (`path` empty) or the value under a path."""

    source: Source
    path: Path = ()

    def child(self, *steps: str | int) -> Origin:
        """The origin of a value below this one."""
        return Origin(self.source, self.path + steps)

    def position(self) -> Position | None:
        """Where the value stands, or None where the source has no text or no such path.

        A single value in place of a list (`"Statement": {...}`) is found under index 0 as well (spec G10).
        """
        if self.source.text is None:
            return None
        try:
            span = locate(self.source.text, self.path)
        except (ValueError, RecursionError):
            return None
        return None if span is None else position_of(self.source.name, self.source.text, *span)


def position_of(name: str, text: str, start: int, end: int) -> Position:
    """Line and column of an offset. Only a newline ends a line: U+2028 does not, as in `json.loads`."""
    return Position(name, text.count("\n", 0, start) + 1, start - text.rfind("\n", 0, start), start, end)


def line_at(text: str, position: Position) -> str:
    """The source line on which a position starts."""
    begin = position.start - position.column + 1
    end = text.find("\n", begin)
    return text[begin : len(text) if end < 0 else end].rstrip("\r")


def json_path(path: Path) -> str:
    """A path in the notation of messages: `$.Statement[0].Action`."""
    steps = (f"[{s}]" if isinstance(s, int) else f".{s}" if _plain(s) else f"[{json.dumps(s)}]" for s in path)
    return "$" + "".join(steps)


def _plain(step: str) -> bool:
    return re.fullmatch(r"\w+", step) is not None


def locate(text: str, path: Path) -> tuple[int, int] | None:
    """The span of the value under `path`, or None. The text is taken to be valid JSON."""
    at = _skip(text, 0)
    for step in path:
        if text[at] == "{" and isinstance(step, str):
            found = _member(text, at, step)
        elif text[at] == "[" and isinstance(step, int):
            found = _item(text, at, step)
        else:
            found = at if step == 0 else None
        if found is None:
            return None
        at = found
    return at, _end(text, at)


def locate_key(text: str, path: Path) -> tuple[int, int] | None:
    """The span of the *name* of the member under `path` (its last step is a name)."""
    holder = locate(text, path[:-1])
    if holder is None or text[holder[0]] != "{" or not isinstance(path[-1], str):
        return None
    for name, key, end, _value in _members(text, holder[0]):
        if name == path[-1]:
            return key, end
    return None


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _members(text: str, at: int):  # type: ignore[no-untyped-def]
    at = _skip(text, at + 1)
    while text[at] != "}":
        match = _STRING.match(text, at)
        if match is None:
            raise ValueError("not a name")
        value = _skip(text, _skip(text, match.end()) + 1)
        yield json.loads(match.group(), strict=False), at, match.end(), value
        at = _skip(text, _end(text, value))
        if text[at] == ",":
            at = _skip(text, at + 1)


def _member(text: str, at: int, name: str) -> int | None:
    return next((value for found, _, _, value in _members(text, at) if found == name), None)


def _item(text: str, at: int, index: int) -> int | None:
    at = _skip(text, at + 1)
    while text[at] != "]":
        if index == 0:
            return at
        index -= 1
        at = _skip(text, _end(text, at))
        if text[at] == ",":
            at = _skip(text, at + 1)
    return None


def _end(text: str, at: int) -> int:
    """The end of the value that starts at `at`; nesting is counted, not recursed into."""
    if text[at] == '"':
        match = _STRING.match(text, at)
        if match is None:
            raise ValueError("unterminated string")
        return match.end()
    if text[at] not in "{[":
        match = _SCALAR.match(text, at)
        if match is None:
            raise ValueError("no value")
        return match.end()
    depth = 0
    for match in _STRUCTURE.finditer(text, at):
        if match.group() in "{[":
            depth += 1
        elif match.group() in "}]":
            depth -= 1
            if depth == 0:
                return match.end()
    raise ValueError("unterminated value")


_STRUCTURE = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]]', re.DOTALL)
