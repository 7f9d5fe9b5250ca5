"""Rows from batches of Arrow (G160, G164)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fastiam.frames.arguments import OWNER, REQUEST
from fastiam.model.key_registry import KeyType
from fastiam.server.mapping import Key, MappingError, RequestRefused
from fastiam.server.mapping.facts import MAX_KEYS
from fastiam.server.mapping.member_values import MAX_VALUE
from fastiam.server.protocols.bulk.arrow_messages import (
    BATCH,
    MAX_MESSAGE,
    SCHEMA,
    ArrowMessage,
    ArrowMessages,
    bad_arrow,
)
from fastiam.server.protocols.bulk.gate import LIMITS, RESERVED, Gate
from fastiam.server.protocols.bulk.rows import SESSION, Chunk, Part, Rows
from fastiam.strict_json import JsonError, read_value

ROWS: Final = 65_536  # of one slice: what is decided and answered at a time
SESSIONS: Final = b"fastiam.sessions"
_TEXTS: Final = (pa.string(), pa.large_string(), pa.string_view())
_FIRST_PRINTABLE: Final = 32
_FITS: Final[Mapping[KeyType, Callable[[Any], bool]]] = {
    KeyType.BOOL: pa.types.is_boolean,
    KeyType.NUMERIC: lambda kind: pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind),
    KeyType.DATE: pa.types.is_timestamp,
}
"""Arrow types whose values are all of the type of a key."""
_REPEATING: Final[Sequence[Callable[[Any], bool]]] = (
    pa.types.is_run_end_encoded,
    pa.types.is_list_view,
    pa.types.is_large_list_view,
    pa.types.is_string_view,
    pa.types.is_binary_view,
    pa.types.is_union,
)
"""Arrow types with which a few bytes of a message are the values of many rows."""


class _Pipe:
    """What the reader reads: whole messages, that were checked."""

    def __init__(self) -> None:
        self._data = b""
        self._at = 0

    def put(self, data: bytes) -> None:
        left = memoryview(self._data)[self._at :]
        self._data = b"".join((left, data)) if left else data
        self._at = 0

    def read(self, size: int = -1) -> memoryview:
        """The next bytes. PERF: not a copy, so that the columns of a batch are parts of its message."""
        ends = len(self._data) if size < 0 else self._at + size
        piece = memoryview(self._data)[self._at : ends]
        self._at += len(piece)
        return piece

    @property
    def closed(self) -> bool:
        return False


class ArrowReader:
    """Reads a body of Arrow messages."""

    def __init__(self, gate: Gate, unknown: frozenset[str]) -> None:
        self._messages, self._gate = ArrowMessages(), gate
        self._rows: ArrowRows | None = None

    @property
    def missing(self) -> int:
        """Of the next message."""
        return self._messages.missing

    def feed(self, piece: bytes, *, has_answered: bool) -> Iterator[Chunk]:
        """The batches that are complete. A piece with a broken message is refused whole where nothing was answered."""
        messages, refused = self._cut(piece)
        if refused is not None and not has_answered:
            raise refused
        for message in messages:
            if message.kind == SCHEMA:
                self._rows = ArrowRows(message.data, self._gate)
                yield Chunk(0, tuple, self._rows.sessions())
                continue
            assert self._rows is not None  # the first message is a schema
            if message.kind == BATCH:
                yield Chunk(message.rows, partial(self._read, message.data))
            else:
                self._rows.put(message.data)
        if refused is not None:
            raise refused

    def finish(self) -> Iterator[Chunk]:
        """Nothing, if the body is complete."""
        self._messages.finish()
        return iter(())

    def _read(self, data: bytes) -> Iterator[list[Part]]:
        assert self._rows is not None
        return ([(range(rows.length), rows)] for rows in self._rows.read(data))

    def _cut(self, piece: bytes) -> tuple[list[ArrowMessage], RequestRefused | None]:
        """The messages that are complete, and why the one after them is refused."""
        found: list[ArrowMessage] = []
        try:
            for message in self._messages.feed(piece):
                found.append(message)
        except RequestRefused as refused:
            return found, refused
        return found, None


class ArrowRows:
    """Reads batches as columns.

    Raises
    ------
    RequestRefused
        the schema is damaged, or has columns that cannot be read.
    """

    def __init__(self, schema: bytes, gate: Gate) -> None:
        self._gate = gate
        self._printable: set[str] = set()  # columns of a batch whose texts are printable ASCII
        self._pipe = _Pipe()
        self._pipe.put(schema)
        with _Reading():
            self._reader = pa.ipc.open_stream(self._pipe)
            self._schema = self._reader.schema
            names: list[str] = self._schema.names
        if len(names) > MAX_KEYS + len(RESERVED):
            raise RequestRefused(400, "too_many", f"more than {MAX_KEYS} columns")
        for name in REQUEST:
            if name not in names and not (name == "principal" and SESSION in names):
                raise RequestRefused(400, "missing", f"there is no column `{name}`")
        found: dict[str, str] = {}
        for name in names:
            key = gate.key(name)
            folded = name if name in RESERVED or isinstance(key, MappingError) else key.folded
            if folded in found:
                raise RequestRefused(400, "bad_value", f"two columns are `{name[:64]}`")
            found[folded] = name
            if name not in RESERVED and isinstance(key, MappingError) and key.code in ("bad_key", "bad_character"):
                raise RequestRefused(400, key.code, key.message)
            if name in RESERVED and not _is_text(self._schema.field(name).type):
                raise RequestRefused(400, "bad_type", f"the column `{name}` is not text")
            if not _is_text(self._schema.field(name).type) and not _is_bounded(self._schema.field(name).type):
                raise RequestRefused(400, "bad_type", f"the column `{name[:64]}` has a type that is not supported")

    def sessions(self) -> Any:
        """The JSON value of the sessions that the schema states; None if it states none.

        Raises
        ------
        MappingError
            it is not JSON.
        """
        text = (self._schema.metadata or {}).get(SESSIONS)
        if text is None:
            return None
        try:
            return read_value(text)
        except JsonError as error:
            raise MappingError(error.code, error.message, error.at) from None

    def put(self, dictionary: bytes) -> None:
        """Take a message with a dictionary."""
        self._pipe.put(dictionary)

    def read(self, batch: bytes) -> Iterator[Rows]:
        """The rows of a message with a batch.

        Raises
        ------
        RequestRefused
            it is damaged.
        """
        self._pipe.put(batch)
        with _Reading():
            read = self._reader.read_next_batch()
            read.validate()
            self._printable = set()
            for name, column in zip(read.schema.names, read.columns, strict=True):
                if _is_printable(column):
                    self._printable.add(name)
                else:
                    column.validate(full=True)
        for at in range(0, read.num_rows, ROWS):
            yield self._rows(read.slice(at, min(ROWS, read.num_rows - at)))

    def _rows(self, batch: Any) -> Rows:
        rows, gate = Rows(batch.num_rows, {}), self._gate
        columns = dict(zip(batch.schema.names, map(_compact, batch.columns), strict=True))
        if SESSION in columns:
            names = _listed(columns[SESSION])
            given = [None] * rows.length
            if "principal" in columns:
                self._check_text(rows, "principal", columns["principal"], LIMITS["principal"], controls=True)
                given = [None if row in rows.faults else text for row, text in enumerate(_listed(columns["principal"]))]
            texts = gate.named_sessions(rows, given, names)
            self._printable.discard("principal")
            columns["principal"] = pa.array(texts, pa.string())
        if not pa.types.is_dictionary(columns["principal"].type):  # PERF: its distinct texts are needed below, and decide faster
            columns["principal"] = _plain(columns["principal"]).dictionary_encode()
        for name in REQUEST:
            self._check_text(rows, name, columns[name], LIMITS[name], controls=True)
            rows.columns[name] = columns[name]
        self._check_principals(rows, columns["principal"])
        if OWNER in columns:
            rows.columns[OWNER] = gate.owners(rows, _listed(columns[OWNER]))
        for name, column in columns.items():
            if name not in RESERVED:
                self._add_key(rows, name, column)
        return rows

    def _check_text(self, rows: Rows, name: str, column: Any, limit: int, *, controls: bool) -> None:
        """Mark rows with a text that is empty, too long or has a control character."""
        for row, code in _bad_texts(column, limit, controls=controls, printable=name in self._printable):
            message = {
                "missing": f"`{name}` is empty",
                "too_long": f"`{name}` has more than {limit} characters",
                "bad_character": f"`{name}` has a control character",
            }[code]
            rows.fail(row, MappingError(code, message, f"$.{name}"))

    def _check_principals(self, rows: Rows, column: Any) -> None:
        self._mark(rows, column, self._gate.principal_faults)

    @staticmethod
    def _mark(rows: Rows, column: Any, faults_of: Callable[[Collection[Any]], Mapping[str, MappingError]]) -> None:
        """Mark the rows whose text has a fault. PERF: each distinct text is checked once."""
        if not pa.types.is_dictionary(column.type):
            column = _plain(column).dictionary_encode()
        values = _listed(column.dictionary)
        faults = faults_of(values)
        if faults:
            for row, code in _rows_of(_codes(column), [text in faults for text in values]):
                rows.fail(row, faults[values[code]])

    def _add_key(self, rows: Rows, name: str, column: Any) -> None:
        gate = self._gate
        key = gate.key(name)
        if isinstance(key, MappingError):
            gate.refuse(rows, key, np.flatnonzero(_present(column)).tolist())
            return
        if _is_text(column.type):
            self._check_text(rows, name, column, MAX_VALUE, controls=False)
            if key.info is not None and key.info.type is not KeyType.STRING:
                self._mark(rows, column, lambda texts: gate.value_faults(key, texts))
        elif not self._fits(key, column):
            rows.keys[name] = gate.values(rows, key, _listed(column))
            return
        rows.keys[name] = column

    @staticmethod
    def _fits(key: Key, column: Any) -> bool:
        """Whether the type of a column is one that the engine reads for each value of the key, without a check of values."""
        if key.info is None or key.info.type is KeyType.STRING:
            return not pa.types.is_nested(column.type)
        fits = _FITS.get(key.info.type)
        return fits is not None and fits(column.type)


class _Reading:
    """Turns what the library raises into `RequestRefused`, whatever its type is."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if error is not None and not isinstance(error, (KeyboardInterrupt, SystemExit, MemoryError)):
            raise bad_arrow("the message is not valid") from None


# -- texts --------------------------------------------------------------------------------------------------------------


def _offsets(column: Any) -> Any:
    """The offsets of a column of plain texts: where each one begins in the data, and the end of the last one."""
    kind: Any = np.int64 if column.type == _TEXTS[1] else np.int32
    return np.frombuffer(column.buffers()[1], kind, len(column) + 1, column.offset * np.dtype(kind).itemsize)


def _is_printable(column: Any) -> bool:
    """Whether a column, which is valid in a cheap check, contains texts of printable ASCII, and so is valid in full.

    PERF: nearly always, and sooner seen than that each text is UTF-8.
    """
    if column.type not in _TEXTS[:2] or not len(column) or column.null_count:
        return False
    offsets = _offsets(column)
    if not (offsets[1:] >= offsets[:-1]).all():  # SAFETY: not by differences, which overflow
        return False
    first, count = int(offsets[0]), int(offsets[-1] - offsets[0])
    return not count or bool(np.frombuffer(column.buffers()[2], np.int8, count, first).min() >= _FIRST_PRINTABLE)


def _listed(column: Any) -> list[Any]:
    """The values of a column.

    Raises
    ------
    RequestRefused
        a date or time that Python does not have; views that are much larger than their buffers.
    """
    if pa.types.is_dictionary(column.type):  # one long value in many rows must not be copied for each of them
        shared = [*_listed(column.dictionary), None]
        return [shared[code] for code in _codes(column).tolist()]
    column = _plain(column)
    with _Reading():
        values: list[Any] = column.to_pylist()
    return values


def _is_bounded(kind: Any, *, is_inner: bool = False) -> bool:
    """Whether the values of a column take no more memory as a list than its buffers do: no part of them is in several rows.

    The values of a dictionary are shared by the rows, so it may be the outermost type.
    """
    if isinstance(kind, pa.BaseExtensionType):
        return _is_bounded(kind.storage_type, is_inner=is_inner)
    if pa.types.is_dictionary(kind):
        return not is_inner and _is_bounded(kind.value_type, is_inner=True)
    if any(is_kind(kind) for is_kind in _REPEATING) or (is_inner and _has_no_bytes(kind)):
        return False
    return all(_is_bounded(kind.field(i).type, is_inner=True) for i in range(kind.num_fields))


def _has_no_bytes(kind: Any) -> bool:
    """Whether any number of values needs no bytes of a message."""
    if pa.types.is_fixed_size_list(kind):
        return bool(kind.list_size == 0)
    if pa.types.is_fixed_size_binary(kind):
        return bool(kind.byte_width == 0)
    return pa.types.is_null(kind) or (pa.types.is_struct(kind) and not kind.num_fields)


def _is_text(type_: Any) -> bool:
    return (type_.value_type if pa.types.is_dictionary(type_) else type_) in _TEXTS


def _codes(column: Any) -> npt.NDArray[np.int64]:
    codes: npt.NDArray[np.int64] = column.indices.cast(pa.int64()).fill_null(-1).to_numpy()
    return codes


def _compact(column: Any) -> Any:
    """A column of texts without the values of its dictionary that no row has, if the dictionary is the larger one.

    Else each slice of a batch would read a dictionary of millions of values.
    """
    if (
        not pa.types.is_dictionary(column.type)
        or column.type.value_type not in _TEXTS[:2]
        or len(column.dictionary) <= len(column)
    ):
        return column
    codes = _codes(column)
    used, places = np.unique(codes, return_inverse=True)
    n_nulls = int(used[0] < 0)  # -1 is the first one
    indices = pa.array(places - n_nulls, pa.int32(), mask=codes < 0)
    return pa.DictionaryArray.from_arrays(indices, column.dictionary.take(pa.array(used[n_nulls:])))


def _rows_of(codes: npt.NDArray[np.int64], is_wanted: Any) -> Iterator[tuple[int, int]]:
    """The rows with a wanted value, and its code. One pass, however many values are wanted."""
    wanted = np.append(np.asarray(is_wanted, np.bool_), [False])  # the last one is that of nulls
    rows = np.flatnonzero(wanted[codes])
    return zip(rows.tolist(), codes[rows].tolist(), strict=True)


def _present(column: Any) -> npt.NDArray[np.bool_]:
    """Whether each row has a value."""
    present: npt.NDArray[np.bool_] = column.is_valid().to_numpy(zero_copy_only=False)
    return present


def _plain(column: Any) -> Any:
    """A column of views as one of texts.

    Raises
    ------
    RequestRefused
        its rows are much larger than its buffers, since views overlap.
    """
    if column.type != _TEXTS[2]:
        return column
    views = np.frombuffer(column.buffers()[1], np.int32, len(column) * 4, column.offset * 16)
    if int(views[::4].sum(dtype=np.int64)) > MAX_MESSAGE:
        raise RequestRefused(413, "message_too_large", f"views of more than {MAX_MESSAGE} bytes in {ROWS} rows")
    return column.cast(_TEXTS[0])


def _bad_texts(column: Any, limit: int, *, controls: bool, printable: bool) -> list[tuple[int, str]]:
    """Rows whose text is too long or, with `controls`, is empty or has a control character. Nulls are left to the engine.

    `printable` : the texts are known to have no control characters.
    """
    if pa.types.is_dictionary(column.type):
        bad = dict(_bad_texts(column.dictionary, limit, controls=controls, printable=printable))
        if not bad:
            return []
        is_bad = np.zeros(len(column.dictionary), np.bool_)
        is_bad[list(bad)] = True
        return [(row, bad[value]) for row, value in _rows_of(_codes(column), is_bad)]
    if not len(column):
        return []
    column = _plain(column)
    raw, offsets = column.buffers()[2], _offsets(column)
    first, count = int(offsets[0]), int(offsets[-1] - offsets[0])
    sizes = np.diff(offsets)
    # PERF: nearly always, no row is marked
    is_printable = printable or not controls or not count or np.frombuffer(raw, np.uint8, count, first).min() >= _FIRST_PRINTABLE
    if sizes.max() <= limit and is_printable and (not controls or sizes.min() > 0):
        return []
    present = _present(column)
    found = [(row, "too_long") for row in np.flatnonzero((sizes > limit) & present).tolist() if len(column[row].as_py()) > limit]
    if not controls:
        return found
    found += [(row, "missing") for row in np.flatnonzero((sizes == 0) & present).tolist()]
    if not count:
        return found
    places = np.flatnonzero(np.frombuffer(raw, np.uint8, count, first) < _FIRST_PRINTABLE)
    if len(places):
        rows = np.unique(np.searchsorted(offsets, places + first, side="right") - 1)
        found += [(row, "bad_character") for row in rows.tolist() if present[row]]
    return found
