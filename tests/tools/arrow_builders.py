"""Arrow producers built field by field with ctypes, so that every field can be wrong; they count how often they are released."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, Sequence
from typing import Any

NULLABLE = 2  # tables are not, columns are


class Schema(ctypes.Structure):
    pass


class Array(ctypes.Structure):
    pass


class Stream(ctypes.Structure):
    pass


SCHEMA_RELEASE = ctypes.CFUNCTYPE(None, ctypes.POINTER(Schema))
ARRAY_RELEASE = ctypes.CFUNCTYPE(None, ctypes.POINTER(Array))
STREAM_RELEASE = ctypes.CFUNCTYPE(None, ctypes.POINTER(Stream))
GET_SCHEMA = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(Stream), ctypes.POINTER(Schema))
GET_NEXT = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(Stream), ctypes.POINTER(Array))
GET_ERROR = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.POINTER(Stream))

Schema._fields_ = [
    ("format", ctypes.c_char_p),
    ("name", ctypes.c_char_p),
    ("metadata", ctypes.c_char_p),
    ("flags", ctypes.c_int64),
    ("n_children", ctypes.c_int64),
    ("children", ctypes.POINTER(ctypes.POINTER(Schema))),
    ("dictionary", ctypes.POINTER(Schema)),
    ("release", SCHEMA_RELEASE),
    ("private_data", ctypes.c_void_p),
]
Array._fields_ = [
    ("length", ctypes.c_int64),
    ("null_count", ctypes.c_int64),
    ("offset", ctypes.c_int64),
    ("n_buffers", ctypes.c_int64),
    ("n_children", ctypes.c_int64),
    ("buffers", ctypes.POINTER(ctypes.c_void_p)),
    ("children", ctypes.POINTER(ctypes.POINTER(Array))),
    ("dictionary", ctypes.POINTER(Array)),
    ("release", ARRAY_RELEASE),
    ("private_data", ctypes.c_void_p),
]
Stream._fields_ = [
    ("get_schema", GET_SCHEMA),
    ("get_next", GET_NEXT),
    ("get_last_error", GET_ERROR),
    ("release", STREAM_RELEASE),
    ("private_data", ctypes.c_void_p),
]

_new_capsule = ctypes.pythonapi.PyCapsule_New
_new_capsule.restype = ctypes.py_object
_new_capsule.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]


def capsule(of: ctypes.Structure, name: bytes) -> Any:
    """A capsule without a destructor: the producer below owns the struct."""
    return _new_capsule(ctypes.addressof(of), name, None)


# The producer of an Arrow struct keeps its memory until the consumer releases it. Nothing here is freed: a release callback
# cannot free itself, and the garbage collector would free a producer that a column still reads.
_EXPORTED: list[object] = []


class HandMade:
    """One array. Everything given is passed on as it is; `released` counts calls of the release callbacks."""

    def __init__(
        self,
        format: str,
        buffers: Sequence[bytes | None],
        length: int,
        *,
        offset: int = 0,
        null_count: int = 0,
        children: Sequence[HandMade] = (),
        dictionary: HandMade | None = None,
        n_buffers: int | None = None,
        n_children: int | None = None,
        released: bool = False,
    ) -> None:
        _EXPORTED.append(self)
        self.released = {"schema": 0, "array": 0}
        self._parts = (children, dictionary)
        self._memory = [None if b is None else ctypes.create_string_buffer(b, max(len(b), 1)) for b in buffers]
        pointers = [None if m is None else ctypes.addressof(m) for m in self._memory]
        self._pointers = (ctypes.c_void_p * max(len(pointers), 1))(*pointers)
        self._callbacks = (SCHEMA_RELEASE(self._release_schema), ARRAY_RELEASE(self._release_array))
        self.schema = Schema(
            format=format.encode(), name=b"", flags=0 if format == "+s" else NULLABLE, release=self._callbacks[0]
        )
        self.array = Array(length=length, null_count=null_count, offset=offset, release=self._callbacks[1])
        self.array.n_buffers = len(buffers) if n_buffers is None else n_buffers
        self.array.buffers = self._pointers
        self._adopt(children, n_children, dictionary)
        if released:
            self.array.release = ARRAY_RELEASE(0)

    def _adopt(self, children: Sequence[HandMade], n_children: int | None, dictionary: HandMade | None) -> None:
        self.schema.n_children = len(children)
        self.array.n_children = len(children) if n_children is None else n_children
        if children:
            self._schemas = (ctypes.POINTER(Schema) * len(children))(*(ctypes.pointer(c.schema) for c in children))
            self._arrays = (ctypes.POINTER(Array) * len(children))(*(ctypes.pointer(c.array) for c in children))
            self.schema.children, self.array.children = self._schemas, self._arrays
        if dictionary is not None:
            self.schema.dictionary = ctypes.pointer(dictionary.schema)
            self.array.dictionary = ctypes.pointer(dictionary.array)

    def _release_schema(self, schema: Any) -> None:
        self.released["schema"] += 1
        schema[0].release = SCHEMA_RELEASE(0)

    def _release_array(self, array: Any) -> None:
        self.released["array"] += 1
        array[0].release = ARRAY_RELEASE(0)

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[Any, Any]:
        return capsule(self.schema, b"arrow_schema"), capsule(self.array, b"arrow_array")


class HandMadeStream:
    """A stream of hand-made arrays; `fail_at` is the array at which it fails (-1: the schema)."""

    def __init__(self, schema: HandMade, arrays: Sequence[HandMade], *, fail_at: int | None = None) -> None:
        _EXPORTED.append(self)
        self.released = 0
        self._arrays = list(arrays)
        self._given = 0
        self._fail_at = fail_at
        self._schema = schema
        self._words = ctypes.create_string_buffer(b"the disk is on fire")
        self._callbacks: tuple[Callable[..., Any], ...] = (
            GET_SCHEMA(self._get_schema),
            GET_NEXT(self._get_next),
            GET_ERROR(lambda stream: ctypes.addressof(self._words)),
            STREAM_RELEASE(self._release),
        )
        self.stream = Stream(*self._callbacks)

    def _get_schema(self, stream: Any, out: Any) -> int:
        if self._fail_at == -1:
            return 5
        ctypes.memmove(out, ctypes.addressof(self._schema.schema), ctypes.sizeof(Schema))
        return 0

    def _get_next(self, stream: Any, out: Any) -> int:
        if self._given == self._fail_at:
            return 5
        if self._given == len(self._arrays):
            out[0].release = ARRAY_RELEASE(0)
            return 0
        ctypes.memmove(out, ctypes.addressof(self._arrays[self._given].array), ctypes.sizeof(Array))
        self._given += 1
        return 0

    def _release(self, stream: Any) -> None:
        self.released += 1
        stream[0].release = STREAM_RELEASE(0)

    def __arrow_c_stream__(self, requested_schema: object = None) -> Any:
        return capsule(self.stream, b"arrow_array_stream")


def offsets(*numbers: int) -> bytes:
    """An offsets buffer of 32 bits."""
    return struct.pack(f"<{len(numbers)}i", *numbers)


def large_offsets(*numbers: int) -> bytes:
    """An offsets buffer of 64 bits."""
    return struct.pack(f"<{len(numbers)}q", *numbers)


def view(size: int, buffer: int, offset: int, prefix: bytes = b"abcd") -> bytes:
    """A string view that points into a buffer."""
    return struct.pack("<i4sii", size, prefix, buffer, offset)


def inline_view(text: bytes, size: int | None = None) -> bytes:
    """A string view that holds its text."""
    return struct.pack("<i12s", len(text) if size is None else size, text)


def texts(*values: str) -> HandMade:
    """A sound column of text."""
    encoded = [value.encode() for value in values]
    ends = [sum(map(len, encoded[:i])) for i in range(len(encoded) + 1)]
    return HandMade("u", [None, offsets(*ends), b"".join(encoded)], len(values))
