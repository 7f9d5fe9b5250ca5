"""Positions of values in a JSON text: offsets, lines and columns, computed on demand.

Reading keeps no offsets: most documents never need one. A path such as `("Statement", 0, "Action")` is walked
through the text again. What such a walk learns, level by level, is kept for the last few texts (`SourceMap`), so
that thousands of findings in one file cost one more reading of the file, not thousands.

Offsets, lines and columns count characters; lines and columns start at 1, as `json.loads` says them. Of two members
with one name the last one is meant, as in `json.loads`. Of a text of several values, one after the other (JSON Lines),
the first step of a path is the number of the value.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

Path = tuple[str | int, ...]

_SPACE = re.compile(r"[ \t\n\r]*")
_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_SCALAR = re.compile(r"[^\s,\]}]+")
_STRUCTURE = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\]]', re.DOTALL)
_SNIPPET = 160  # characters of a line that a message shows; a minified file is one line


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

    def position(self, *, name: bool = False) -> Position | None:
        """Return the position of the value, or with `name` of the member name; None without a text or such a path.

        A single value in place of a list (`"Statement": {...}`) is found under index 0 as well (spec G10). All that
        is inside a document in a string (URL-encoded, or JSON in JSON) has the position of the string.
        """
        if self.source.text is None:
            return None
        span = locate_key(self.source.text, self.path) if name else None
        span = span or locate(self.source.text, self.path)
        return None if span is None else position_of(self.source.name, self.source.text, *span)


class SourceMap:
    """Offsets in one text, found level by level and kept."""

    __slots__ = ("_items", "_lines", "_members", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._lines: list[int] | None = None
        self._members: dict[int, dict[str, tuple[int, int, int]]] = {}
        self._items: dict[int, list[int]] = {}

    def value(self, path: Path) -> tuple[int, int] | None:
        """The span of the value under `path`, or None."""
        try:
            at = self._walk(path)
            return None if at is None else (at, _end(self.text, at))
        except (ValueError, IndexError):  # the text is not JSON
            return None

    def name(self, path: Path) -> tuple[int, int] | None:
        """The span of the *name* of the member under `path` (its last step is a name), or None."""
        try:
            parent = self._walk(path[:-1])
            if parent is None or self.text[parent] != "{" or not isinstance(path[-1], str):
                return None
            found = self.members(parent).get(path[-1])
            return found and (found[0], found[1])
        except (ValueError, IndexError):
            return None

    def place(self, offset: int) -> tuple[int, int]:
        """Line and column of an offset. Only a newline ends a line: U+2028 does not, as in `json.loads`."""
        lines = self._line_starts()
        line = bisect_right(lines, offset)
        return line, offset - lines[line - 1] + 1

    def line_span(self, line: int) -> tuple[int, int]:
        """The span of a line without its newline."""
        lines = self._line_starts()
        return lines[line - 1], lines[line] - 1 if line < len(lines) else len(self.text)

    def _line_starts(self) -> list[int]:
        if self._lines is None:
            self._lines = [0, *(match.end() for match in re.finditer("\n", self.text))]
        return self._lines

    def _walk(self, path: Path) -> int | None:
        at = _skip(self.text, 1 if self.text.startswith("\ufeff") else 0)
        if path and isinstance(path[0], int) and self.text[at] != "[":
            at, path = self._values(at)[path[0]], path[1:]
        for step in path:
            opening = self.text[at]
            found: int | None
            if opening == "{" and isinstance(step, str):
                member = self.members(at).get(step)
                found = member and member[2]
            elif opening == "[" and isinstance(step, int):
                items = self.items(at)
                found = items[step] if step < len(items) else None
            elif opening in "{[":
                found = at if step == 0 else None
            else:  # a document kept as a string
                return at
            if found is None:
                return None
            at = found
        return at

    def _values(self, at: int) -> list[int]:
        """Where the values of a text start of which the first one starts at an offset."""
        found = self._items.get(-1)
        if found is None:
            found = self._items[-1] = list(_read_values(self.text, at))
        return found

    def members(self, at: int) -> dict[str, tuple[int, int, int]]:
        """The members of the object at an offset: name to (start of name, end of name, start of value)."""
        found = self._members.get(at)
        if found is None:
            found = self._members[at] = dict(_read_members(self.text, at))
        return found

    def items(self, at: int) -> list[int]:
        """Where the items of the list at an offset start."""
        found = self._items.get(at)
        if found is None:
            found = self._items[at] = list(_read_items(self.text, at))
        return found


_last_maps: tuple[SourceMap, ...] = (SourceMap(""),)


def source_map(text: str) -> SourceMap:
    """The map of a text; those of the last four texts are kept. PERF: by identity, for to compare a large text takes long."""
    global _last_maps
    last = _last_maps[0]
    if last.text is not text:
        last = next((kept for kept in _last_maps if kept.text is text), None) or SourceMap(text)
        _last_maps = (last, *[kept for kept in _last_maps if kept is not last][:3])
    return last


def position_of(name: str, text: str, start: int, end: int) -> Position:
    """Line and column of an offset."""
    line, column = source_map(text).place(start)
    return Position(name, line, column, start, end)


def snippet_at(text: str, position: Position) -> tuple[str, int]:
    """What a message shows of the line of a position, and the column of its first character.

    A long line is cut around the position; characters that a terminal would act on are replaced.
    """
    begin, end = source_map(text).line_span(position.line)
    if end - begin > _SNIPPET:
        begin = max(begin, min(position.start - _SNIPPET // 4, end - _SNIPPET))
        end = min(end, begin + _SNIPPET)
    shown = "".join(c if c.isprintable() else " " if c in "\t\r" else "\ufffd" for c in text[begin:end])
    return shown.rstrip(), position.column - (position.start - begin)


def json_path(path: Path) -> str:
    """A path in the notation of messages: `$.Statement[0].Action`."""
    steps = (f"[{s}]" if isinstance(s, int) else f".{s}" if _plain(s) else f"[{json.dumps(s)}]" for s in path)
    return "$" + "".join(steps)


def _plain(step: str) -> bool:
    return re.fullmatch(r"\w+", step, re.ASCII) is not None


def locate(text: str, path: Path) -> tuple[int, int] | None:
    """The span of the value under `path`, or None; None too where the text is not JSON."""
    return source_map(text).value(path)


def locate_key(text: str, path: Path) -> tuple[int, int] | None:
    """The span of the *name* of the member under `path` (its last step is a name)."""
    return source_map(text).name(path)


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _read_members(text: str, at: int) -> Iterator[tuple[str, tuple[int, int, int]]]:
    at = _skip(text, at + 1)
    while text[at] != "}":
        match = _STRING.match(text, at)
        if match is None:
            raise ValueError("not a name")
        value = _skip(text, _skip(text, match.end()) + 1)
        name = match.group()
        yield json.loads(name, strict=False) if "\\" in name else name[1:-1], (at, match.end(), value)
        at = _next(text, value)


def _read_items(text: str, at: int) -> Iterator[int]:
    at = _skip(text, at + 1)
    while text[at] != "]":
        yield at
        at = _next(text, at)


def _read_values(text: str, at: int) -> Iterator[int]:
    while at < len(text):
        yield at
        at = _skip(text, _end(text, at))


def _next(text: str, at: int) -> int:
    """Where the next member or item starts, or the closing bracket."""
    at = _skip(text, _end(text, at))
    return _skip(text, at + 1) if text[at] == "," else at


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
        token = text[match.start()]
        if token in "{[":
            depth += 1
        elif token in "}]":
            depth -= 1
            if depth == 0:
                return match.end()
    raise ValueError("unterminated value")
