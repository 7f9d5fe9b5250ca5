"""The engine file: a head that lists the sections, then the sections in this order.

    0   magic, 16 bytes
    16  format, uint32; bytes of the head, uint32; checksum of the head, uint64; bytes of the file, uint64
    40  the head, JSON; then the sections, with zeros between them: large ones fill whole pages, so that they can be mapped

These numbers are little-endian; those in sections are as the machine has them, which the head names. Invariant: every byte
is covered by a checksum, or must be zero, so that truncated and altered files are refused before use. A file is written under
another name and renamed: processes that have mapped the old one keep it.
"""

from __future__ import annotations

import json
import mmap
import os
import stat
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from fastiam import __version__
from fastiam.engine.engine_file import MAGIC
from fastiam.errors import SourceError
from fastiam.kernel.saved.file import MAPPED, checksum, layout
from fastiam.runtime.output_files import open_output

FORMAT = 7  # one more with each change of what a file holds
PAGE = 1 << 14  # a multiple of what most machines have
_STEP = 64
FIXED = struct.Struct("<16sIIQQ")
AGAIN = "compile it again: `fastiam compile PATHS --out FILE`"
FOREIGN = "pass a file that `Engine.save` or `fastiam compile --out` wrote"
BROKEN = (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError)  # errors of corrupt content


def build(head: Mapping[str, Any], sections: Mapping[str, bytes]) -> list[bytes]:
    """The file, in pieces."""
    table = {name: [len(data), checksum(data)] for name, data in sections.items()}
    text = json.dumps({**head, "fastiam": __version__, "layout": layout(), "sections": table}, separators=(",", ":")).encode()
    first = _rounded(FIXED.size + len(text), PAGE)
    pieces, at = [text, bytes(first - FIXED.size - len(text))], first
    for data in sections.values():
        start, end = _place(at, len(data))
        pieces += [bytes(start - at), data, bytes(end - start - len(data))]
        at = end
    return [FIXED.pack(MAGIC, FORMAT, len(text), checksum(text), at), *pieces]


def _place(at: int, size: int) -> tuple[int, int]:
    """Where a section starts that comes after `at`, and where the next one may."""
    step = PAGE if size >= MAPPED else _STEP
    start = _rounded(at, step)
    return start, _rounded(start + size, step)


def _rounded(size: int, step: int) -> int:
    return -(-size // step) * step


def _is_zero(data: memoryview) -> bool:
    return bytes(data).count(0) == len(data)


def write(path: str | os.PathLike[str], pieces: Sequence[bytes]) -> None:
    """Write a saved engine.

    Raises
    ------
    SourceError
        it cannot be written; a file that was there is as it was.
    """
    with open_output(path) as file:
        file.writelines(pieces)


@contextmanager
def _read_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SourceError(f"cannot be read: {(error.strerror or str(error)).lower()}", source=str(path), path="") from None


class SavedFile:
    """A file whose head and checksums are right, or the bytes of one.

    Attributes
    ----------
    data
        all of it.
    head
        what it says of itself.
    places
        offset and bytes of each section.
    descriptor
        of the file, to map it; -1 where there is none.
    """

    def __init__(self, data: memoryview, source: str, descriptor: int = -1) -> None:
        self.data, self.source, self.descriptor = data, source, descriptor
        self.head, first = self._read_head()
        try:
            self.places = dict(self._read_places(self.head["sections"], first))
        except BROKEN as error:
            raise self.impossible(error) from None

    @classmethod
    @contextmanager
    def open(cls, path: str | os.PathLike[str]) -> Iterator[SavedFile]:
        """A file, open as long as it takes to map it; its `data` stays.

        Raises
        ------
        SourceError
            it cannot be read, or is not a saved engine of this release, complete and unchanged.
        """
        with _read_errors(path):
            # without waiting: a pipe would keep us
            descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        try:
            yield cls.mapped(descriptor, str(path))
        finally:
            os.close(descriptor)

    @classmethod
    def mapped(cls, descriptor: int, source: str) -> SavedFile:
        """The file of a descriptor, which must stay open as long as it takes to map the tables; its `data` stays.

        Raises
        ------
        SourceError
            as `open`.
        """
        with _read_errors(source):
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                what = "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file"
                raise SourceError(f"is {what}", source=source, path="", hint=FOREIGN)
            if status.st_size == 0:
                raise SourceError("is empty", source=source, path="", hint=FOREIGN)
            data = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
        return cls(memoryview(data), source, descriptor)

    def section(self, name: str) -> memoryview:
        """The bytes of a section, where they lie in the file; of bytes in memory a copy, so that the others need not stay."""
        first, size = self.places[name]
        found = self.data[first : first + size]
        return found if self.descriptor >= 0 else memoryview(bytes(found))

    def error(self, message: str, hint: str = AGAIN) -> SourceError:
        """What to say of this file."""
        return SourceError(message, source=self.source, path="", hint=hint)

    def impossible(self, error: Exception) -> SourceError:
        """What to say where the checksums are right, and what they cover is not."""
        return self.error(f"says something impossible: {type(error).__name__}: {error}".removesuffix(": "))

    def _read_head(self) -> tuple[dict[str, Any], int]:
        n = len(self.data)
        if bytes(self.data[: len(MAGIC)]) != MAGIC[:n]:
            raise self.error("is not a saved engine", FOREIGN)
        if n < FIXED.size:
            raise self.error(f"is truncated: it has {n} bytes")
        _, format_, size, sum_, total = FIXED.unpack_from(self.data)
        if format_ != FORMAT:
            age = "newer" if format_ > FORMAT else "older"
            hint = f"update fastiam, or {AGAIN}" if format_ > FORMAT else AGAIN
            raise self.error(f"has format {format_}, which is {age} than format {FORMAT}, the one that this release reads", hint)
        if n != total:
            raise self.error(f"is {'truncated' if n < total else 'damaged'}: it has {n} bytes, and was written with {total}")
        text, first = self.data[FIXED.size : FIXED.size + size], _rounded(FIXED.size + size, PAGE)
        if first > n or checksum(text) != sum_ or not _is_zero(self.data[FIXED.size + size : first]):
            raise self.error("is damaged: its head is not what was written")
        try:
            head = json.loads(bytes(text))
            writer, its_layout = head["fastiam"], head["layout"]
        except BROKEN as error:
            raise self.impossible(error) from None
        if writer != __version__:
            raise self.error(f"was written by fastiam {writer}, and this is {__version__}")
        if its_layout != layout():
            raise self.error(f"was written on another machine or by another build: `{its_layout}`, and this is `{layout()}`")
        return head, first

    def _read_places(self, sections: Mapping[str, tuple[int, int]], at: int) -> Iterator[tuple[str, tuple[int, int]]]:
        for name, (size, sum_) in sections.items():
            if type(size) is not int or not 0 <= size <= len(self.data):
                raise self.error(f"says something impossible: `{name}` does not lie in it")
            start, next_ = _place(at, size)
            end = start + size
            if next_ > len(self.data):
                raise self.error(f"says something impossible: `{name}` does not lie in it")
            if checksum(self.data[start:end]) != sum_ or not (_is_zero(self.data[at:start]) and _is_zero(self.data[end:next_])):
                raise self.error(f"is damaged: `{name}` is not what was written")
            yield name, (start, size)
            at = next_
        if at != len(self.data):
            raise self.error("says something impossible: there is more in it than it says")
