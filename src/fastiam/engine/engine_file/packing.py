"""Rows of text in packed blocks, of which one is unpacked to read a row."""

from __future__ import annotations

import zlib
from array import array
from bisect import bisect_right
from functools import lru_cache

BLOCK = 1 << 13  # bytes of rows that are packed together, at least
KEPT = 512  # blocks that stay unpacked
_LARGEST = 1 << 32  # bytes that a block may unpack to


class Packer:
    """Takes rows, which hold no newline; each gets the next number."""

    def __init__(self) -> None:
        self._n = self._size = self._start = 0
        self._block: list[bytes] = []
        self._packed: list[bytes] = []
        self._index = array("Q")  # of each block: its first row, where it starts, its bytes when unpacked

    def add(self, row: str) -> int:
        """The number of a row."""
        data = row.encode()
        self._block.append(data)
        self._size += len(data)
        self._n += 1
        if self._size >= BLOCK:
            self._pack()
        return self._n - 1

    def done(self) -> tuple[bytes, bytes]:
        """All blocks, and the index of them."""
        if self._block:
            self._pack()
        return b"".join(self._packed), self._index.tobytes()

    def _pack(self) -> None:
        data = b"\n".join(self._block)
        packed = zlib.compress(data, 1)
        self._packed.append(packed)
        self._index.extend((self._n - len(self._block), self._start, len(data)))
        self._start += len(packed)
        self._block, self._size = [], 0


class Unpacker:
    """Reads rows from what a `Packer` made."""

    def __init__(self, data: memoryview, index: memoryview) -> None:
        numbers = array("Q")
        numbers.frombytes(index)
        self._data = data
        self._firsts, self._starts, self._sizes = numbers[0::3], numbers[1::3], numbers[2::3]
        self._rows_of = lru_cache(KEPT)(self._unpack)

    def row(self, number: int) -> str:
        """A row.

        Raises
        ------
        ValueError, LookupError, OverflowError, zlib.error
            there is no such row, or it cannot be unpacked.
        """
        block = bisect_right(self._firsts, number) - 1
        if block < 0:
            raise LookupError(number)
        return self._rows_of(block)[number - self._firsts[block]].decode()

    def _unpack(self, block: int) -> list[bytes]:
        start, size = self._starts[block], self._sizes[block]
        end = self._starts[block + 1] if block + 1 < len(self._starts) else len(self._data)
        if size > _LARGEST:
            raise ValueError(f"a block of {size} bytes")
        data = zlib.decompressobj().decompress(self._data[start:end], size + 1)
        if len(data) != size:
            raise ValueError(f"a block of {len(data)} bytes, not {size}")
        return data.split(b"\n")
