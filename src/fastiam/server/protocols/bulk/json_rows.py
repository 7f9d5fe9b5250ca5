"""Rows from JSON lines: one object a line, strictly read (G160, G34)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final

from fastiam.frames.arguments import OWNER, REQUEST
from fastiam.frames.row_objects import columns_of, shapes_of, sound_objects
from fastiam.model.key_registry import fold
from fastiam.model.request import is_declared
from fastiam.server._json_lines import read_texts
from fastiam.server.mapping import MappingError
from fastiam.server.mapping.facts import MAX_KEYS
from fastiam.server.protocols.bulk.gate import LIMITS, RESERVED, Gate
from fastiam.server.protocols.bulk.rows import SESSION, Chunk, Rows
from fastiam.server.protocols.bulk.text_columns import TextColumn
from fastiam.strict_json import DEFAULT, JsonError, read_value

MAX_LINE: Final = 1 << 20  # bytes
MAX_ROWS: Final = 4_096  # of one chunk
CONTEXT: Final = "context"
_TOO_LONG: Final = MappingError("too_long", f"the line has more than {MAX_LINE} bytes", "$")
_REQUEST: Final = frozenset(REQUEST)
_NOT_PLAIN: Final = frozenset({OWNER, SESSION, CONTEXT})  # what they contain is checked for each row
_MAX_COLUMNS: Final = MAX_KEYS  # condition keys that are decided in one call

Line = bytes | None
"""None: a line that is too long."""


class Lines:
    """Cuts a body into lines. Of a line that is too long only its end is looked for."""

    def __init__(self) -> None:
        self._rest = b""
        self._skips = False

    def feed(self, piece: bytes) -> Iterator[list[Line]]:
        """The lines that are complete, some thousand at a time; blank ones are left out."""
        lines: list[Line] = (self._rest + piece).split(b"\n")  # type: ignore[assignment]
        rest = lines.pop() or b""
        if self._skips and lines:
            lines[0], self._skips = None, False
        if len(rest) > MAX_LINE or self._skips:
            rest, self._skips = b"", True
        self._rest = rest
        return self._chunks(lines)

    def finish(self) -> Iterator[list[Line]]:
        """The last line, if it has no line end."""
        return self._chunks([None if self._skips else self._rest])

    @staticmethod
    def _chunks(lines: list[Line]) -> Iterator[list[Line]]:
        lines = [line if line is None or len(line) <= MAX_LINE else None for line in lines if line is None or line.strip()]
        for at in range(0, len(lines), MAX_ROWS):
            yield lines[at : at + MAX_ROWS]


def read_header(line: Line) -> Any:
    """The sessions that the first line states; None if it is a row."""
    if line is None or b"sessions" not in line:
        return None
    try:
        value = read_value(line)
    except JsonError:
        return None
    return value["sessions"] if type(value) is dict and value.keys() == {"sessions"} else None


class JsonRows:
    """Makes columns of lines."""

    def __init__(self, gate: Gate, unknown: frozenset[str]) -> None:
        self._gate = gate
        self._prefixes = frozenset(item for item in unknown if item.endswith("*"))

    def read(self, lines: Sequence[Line]) -> list[tuple[Sequence[int], Rows]]:
        """The lines as rows that are decided together: numbers of the lines, and the rows.

        Keys of rows that are decided together are single values or lists in all of them, and of those that prefixes declare
        unknown, all rows state the same ones.
        """
        plain = self._plain(lines)
        if plain is not None:
            return [(range(len(lines)), plain)]
        objects, faults = _objects(lines)
        text = b"".join(filter(None, lines))
        may_have_controls = b"\\" in text  # JSON has control characters only as escapes
        found: list[tuple[Sequence[int], Rows]] = []
        shapes = shapes_of(objects)
        for at in self._groups(objects, shapes, may_have_lists=b"[" in text):
            rows = Rows(len(at), {})
            if faults:
                rows.faults = {i: faults[number] for i, number in enumerate(at) if number in faults}
            is_whole = len(at) == len(objects)
            columns = columns_of(objects, shapes) if is_whole else columns_of([objects[number] for number in at])
            self._fill(rows, columns, may_have_controls=may_have_controls)
            found.append((at, rows))
        return found

    def _plain(self, lines: Sequence[Line]) -> Rows | None:
        """Rows whose members are the same and plain texts. PERF: read as columns, and each distinct text checked once."""
        found = read_texts(lines if isinstance(lines, list) else list(lines))
        if found is None or not found.keys() >= _REQUEST or not found.keys().isdisjoint(_NOT_PLAIN):
            return None
        columns = {name: TextColumn(*parts) for name, parts in found.items()}
        keys = {name: self._gate.key(name) for name in columns if name not in _REQUEST}
        if len({key.folded for key in keys.values() if not isinstance(key, MappingError)}) < len(keys):
            return None  # one may not be stated, or two are one key
        rows = Rows(len(lines), {name: columns[name] for name in REQUEST}, {name: columns[name] for name in keys})
        for name in REQUEST:
            sizes = columns[name].sizes
            if not 0 < sizes.min() <= sizes.max() <= LIMITS[name]:
                return None
        _mark(rows, columns["principal"], self._gate.principal_faults(columns["principal"].values))
        for name, key in keys.items():
            if not isinstance(key, MappingError):
                _mark(rows, columns[name], self._gate.value_faults(key, columns[name].values))
        return rows

    def _groups(
        self, objects: Sequence[dict[str, Any]], shapes: Iterable[tuple[str, ...]], *, may_have_lists: bool
    ) -> list[Sequence[int]]:
        if not self._prefixes and not may_have_lists:
            groups: list[Sequence[int]] = [range(len(objects))]
        else:
            by_signature: dict[Any, list[int]] = {}
            for number, each in enumerate(objects):
                by_signature.setdefault(self._signature(each), []).append(number)
            groups = list(by_signature.values())
        if len(set(chain.from_iterable(shapes))) <= _MAX_COLUMNS:
            return groups
        return [part for group in groups for part in _narrow(group, objects)]

    def _signature(self, each: dict[str, Any]) -> Any:
        lists = frozenset(name for name, value in each.items() if type(value) is list)
        declared = frozenset(name for name in each if is_declared(self._prefixes, fold(name))) if self._prefixes else None
        return lists, declared

    def _fill(self, rows: Rows, columns: dict[str, list[Any]], *, may_have_controls: bool) -> None:
        gate = self._gate
        nothing = [None] * rows.length
        if SESSION in columns:
            columns["principal"] = gate.named_sessions(rows, columns.get("principal", nothing), columns[SESSION])
        for name in REQUEST:
            rows.columns[name] = gate.texts(rows, name, columns.get(name, nothing), may_have_controls=may_have_controls)
        gate.principals(rows, rows.columns["principal"])
        if OWNER in columns:
            rows.columns[OWNER] = gate.owners(rows, columns[OWNER])
        spelled: dict[str, str] = {}
        for name, values in columns.items():
            if name in RESERVED:
                continue
            key = gate.key(name)
            if isinstance(key, MappingError):
                gate.refuse(rows, key, (row for row, value in enumerate(values) if value is not None))
                continue
            checked = gate.values(rows, key, values)
            first = spelled.setdefault(key.folded, name)
            rows.keys[first] = checked if first == name else _both(rows, name, rows.keys[first], checked)


class JsonReader:
    """Reads a body of JSON lines."""

    def __init__(self, gate: Gate, unknown: frozenset[str]) -> None:
        self._lines, self._rows = Lines(), JsonRows(gate, unknown)
        self._is_first = True

    @property
    def missing(self) -> int:
        """A client may wait for the answer to a line before it sends the next one."""
        return 1

    def feed(self, piece: bytes, *, has_answered: bool) -> Iterator[Chunk]:
        """The lines that are complete."""
        return map(self._chunk, self._lines.feed(piece))

    def finish(self) -> Iterator[Chunk]:
        """The last line, if it has no line end."""
        return map(self._chunk, self._lines.finish())

    def _chunk(self, lines: list[Line]) -> Chunk:
        sessions = None
        if self._is_first and lines:
            self._is_first = False
            sessions = read_header(lines[0])
            lines = lines if sessions is None else lines[1:]
        return Chunk(len(lines), lambda: [self._rows.read(lines)] if lines else [], sessions)


def _mark(rows: Rows, column: TextColumn, faults: Mapping[str, MappingError]) -> None:
    """Mark the rows whose text has a fault."""
    if faults:
        for row, text in column.rows_of(faults):
            rows.fail(row, faults[text])


def _both(rows: Rows, name: str, one: list[Any], two: list[Any]) -> list[Any]:
    """One column of two whose names are one key."""
    for row, (this, other) in enumerate(zip(one, two, strict=True)):
        if this is not None and other is not None:
            rows.fail(row, MappingError("bad_value", f"`{name}` is stated twice", f"$.{name}"))
    return [other if this is None else this for this, other in zip(one, two, strict=True)]


def _objects(lines: Sequence[Line]) -> tuple[list[dict[str, Any]], dict[int, MappingError]]:
    """The objects of lines, with the members of `context` among the others; empty where there is a fault."""
    faults: dict[int, MappingError] = {}
    objects = sound_objects(lines, DEFAULT)
    if objects is None:
        objects = [_object(number, line, faults) for number, line in enumerate(lines)]
    for number, each in enumerate(objects):
        if CONTEXT in each or len(each) > MAX_KEYS:
            try:
                objects[number] = _with_context(each)
            except MappingError as error:
                faults[number] = error.as_value()
                objects[number] = {}
    return objects, faults


def _object(number: int, line: Line, faults: dict[int, MappingError]) -> dict[str, Any]:
    if line is None:
        faults[number] = _TOO_LONG
        return {}
    try:
        value = read_value(line)
    except JsonError as error:
        faults[number] = MappingError(error.code, error.message, error.at)
        return {}
    if type(value) is not dict:
        faults[number] = MappingError("not_object", "the row is not an object", "$")
        return {}
    return value


def _with_context(each: dict[str, Any]) -> dict[str, Any]:
    context = each.pop(CONTEXT, None)
    if context is not None:
        if type(context) is not dict:
            raise MappingError("bad_type", "`context` is not an object", "$.context")
        twice = context.keys() & (each.keys() | RESERVED)
        if twice:
            raise MappingError("bad_value", f"`{min(twice)[:64]}` cannot be stated in `context`, or is stated twice", "$.context")
        each.update(context)
    if len(each) > MAX_KEYS + len(RESERVED):
        raise MappingError("too_many", f"more than {MAX_KEYS} keys", "$")
    return each


def _narrow(group: Sequence[int], objects: Sequence[dict[str, Any]]) -> Iterator[list[int]]:
    """A group in parts with a bounded number of columns: lines with ever new names must not make a table of all of them."""
    part: list[int] = []
    names: set[str] = set()
    for number in group:
        wider = names | objects[number].keys()
        if part and len(wider) > _MAX_COLUMNS:
            yield part
            part, wider = [], set(objects[number])
        part.append(number)
        names = wider
    if part:
        yield part
