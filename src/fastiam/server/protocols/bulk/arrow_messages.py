"""The messages of an Arrow IPC stream: cut and bounded here, before a library reads them (G164).

A message is a marker, the length of its metadata, the metadata (a flatbuffer), and a body whose length the metadata declares.
Only what is checked here is read of the metadata. pyarrow reads the whole messages, and validates them in full.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from fastiam.server.mapping import RequestRefused

MAX_METADATA: Final = 4 << 20  # bytes; a schema contains the sessions of a request
MAX_MESSAGE: Final = 64 << 20  # bytes of a body, and of all dictionaries of a stream
SCHEMA, DICTIONARY, BATCH = 1, 2, 3
_SMALL: Final = 4_096  # bytes; smaller pieces are gathered
_HEAD: Final = 8
_MARKER: Final = b"\xff\xff\xff\xff"
_ALIGNMENT: Final = 8


def bad_arrow(message: str) -> RequestRefused:
    """The error for a stream that is damaged."""
    return RequestRefused(400, "bad_arrow", message)


def unsupported(status: int, message: str) -> RequestRefused:
    """The error for a form of Arrow that is not read."""
    return RequestRefused(status, "unsupported_arrow", message)


class ArrowMessage(NamedTuple):
    """One message."""

    kind: int
    rows: int
    """Of a batch."""
    dictionary: int
    """Id of a dictionary."""
    data: bytes
    """The message as sent."""


class ArrowMessages:
    """Cuts a body into messages, and refuses what is not supported."""

    def __init__(self) -> None:
        self._pieces: list[bytes | bytearray] = []  # PERF: joined once for each message
        self._at = 0  # in the first one
        self._size = 0
        self._needed = _HEAD
        self._dictionaries: dict[int, int] = {}
        self.is_ended = False
        self._count = 0

    @property
    def missing(self) -> int:
        """Bytes until a further part of the next message can be read."""
        return self._needed - self._size

    def feed(self, piece: bytes) -> Iterator[ArrowMessage]:
        """The messages that are complete.

        Raises
        ------
        RequestRefused
            the next message is refused.
        """
        self._add(piece)
        while self._size >= self._needed and not self.is_ended:
            rest = self._first(self._needed)
            if self._needed == _HEAD:
                self._needed = self._read_head(rest)
                continue
            (size,) = struct.unpack_from("<i", rest, 4)
            metadata = memoryview(rest)[_HEAD : _HEAD + size]
            kind, body, header = _message(metadata)
            if self._needed < _HEAD + size + body:
                self._needed = _HEAD + size + body
                continue
            message = self._checked(kind, metadata, header, rest)
            self._drop(self._needed)
            self._needed = _HEAD
            self._count += 1
            yield message
        if self.is_ended and self._size:
            raise bad_arrow("there are bytes after the end of the stream")

    def _add(self, piece: bytes) -> None:
        self._size += len(piece)
        if len(piece) >= _SMALL:
            self._pieces.append(piece)
        elif self._pieces and type(self._pieces[-1]) is bytearray and len(self._pieces[-1]) < _SMALL:
            self._pieces[-1] += piece
        else:
            self._pieces.append(bytearray(piece))

    def _first(self, count: int) -> bytes:
        """The next bytes, which stay."""
        found: list[memoryview] = []
        at = self._at
        for piece in self._pieces:
            found.append(memoryview(piece)[at : at + count])
            count -= len(found[-1])
            at = 0
            if not count:
                break
        return b"".join(found)

    def _drop(self, count: int) -> None:
        """Remove the next bytes."""
        self._size -= count
        self._at += count
        taken = 0
        for piece in self._pieces:
            if len(piece) > self._at:
                break
            self._at -= len(piece)
            taken += 1
        del self._pieces[:taken]

    def finish(self) -> None:
        """Check that the stream ends here.

        Raises
        ------
        RequestRefused
            in a message, or before the schema.
        """
        if self._size:
            raise bad_arrow("the stream ends in a message")
        if not self._count:
            raise bad_arrow("the stream has no schema")

    def _read_head(self, head: bytes) -> int:
        if head[:4] != _MARKER:
            if not self._count and head[:4] in (b"PAR1", b"ARRO"):
                raise unsupported(415, "the body is a file, not a stream of Arrow messages")
            raise bad_arrow("a message does not begin with its marker")
        (size,) = struct.unpack_from("<i", head, 4)
        if size == 0:
            self.is_ended = True
            self._drop(_HEAD)
            return _HEAD
        if size < 0 or size % _ALIGNMENT:
            raise bad_arrow("the length of metadata is not valid")
        if size > MAX_METADATA:
            raise RequestRefused(413, "message_too_large", f"metadata of more than {MAX_METADATA} bytes")
        return _HEAD + int(size)

    def _checked(self, kind: int, metadata: memoryview, header: int, data: bytes) -> ArrowMessage:
        if (kind == SCHEMA) != (self._count == 0):
            raise bad_arrow("the first message, and no other one, is the schema")
        rows = dictionary = 0
        if kind == DICTIONARY:
            dictionary = _integer(metadata, header, 0, "<q")
            if _integer(metadata, header, 2, "<B"):
                raise unsupported(400, "deltas of dictionaries are not supported")
            if dictionary in self._dictionaries:
                raise unsupported(400, "a dictionary that replaces another one is not supported")
            self._dictionaries[dictionary] = len(data)
            if sum(self._dictionaries.values()) > MAX_MESSAGE:
                raise RequestRefused(413, "message_too_large", f"dictionaries of more than {MAX_MESSAGE} bytes")
            _check_compression(metadata, _table(metadata, header, 1))
        elif kind == BATCH:
            rows = _integer(metadata, header, 0, "<q")
            if rows < 0:
                raise bad_arrow("a batch has less than no rows")
            _check_compression(metadata, header)
        return ArrowMessage(kind, rows, dictionary, data)


def _check_compression(metadata: memoryview, batch: int | None) -> None:
    if batch is None:
        raise bad_arrow("a dictionary has no data")
    if _field(metadata, batch, 3) is not None:
        raise unsupported(415, "compressed buffers are not supported")


def _message(metadata: memoryview) -> tuple[int, int, int]:
    """Kind, length of the body, and place of the header of a message."""
    table = _follow(metadata, 0)
    kind, body = _integer(metadata, table, 1, "<B"), _integer(metadata, table, 3, "<q")
    header = _table(metadata, table, 2)
    if kind not in (SCHEMA, DICTIONARY, BATCH) or header is None:
        raise unsupported(400, "a message is neither a schema nor a dictionary nor a batch")
    if body < 0 or body % _ALIGNMENT:
        raise bad_arrow("the length of a body is not valid")
    if body > MAX_MESSAGE:
        raise RequestRefused(413, "message_too_large", f"a message of more than {MAX_MESSAGE} bytes")
    return kind, body, header


# -- flatbuffers --------------------------------------------------------------------------------------------------------


def _read(data: memoryview, at: int, form: str) -> int:
    if at < 0 or at + struct.calcsize(form) > len(data):
        raise bad_arrow("metadata points outside of itself")
    value: int = struct.unpack_from(form, data, at)[0]
    return value


def _follow(data: memoryview, at: int) -> int:
    return at + _read(data, at, "<I")


def _field(data: memoryview, table: int, number: int) -> int | None:
    """The place of a field of a table; None if it has its default."""
    entries = table - _read(data, table, "<i")
    slot = 4 + 2 * number
    if slot + 2 > _read(data, entries, "<H"):
        return None
    offset = _read(data, entries + slot, "<H")
    return table + offset if offset else None


def _integer(data: memoryview, table: int, number: int, form: str) -> int:
    at = _field(data, table, number)
    return 0 if at is None else _read(data, at, form)


def _table(data: memoryview, table: int, number: int) -> int | None:
    at = _field(data, table, number)
    return None if at is None else _follow(data, at)
