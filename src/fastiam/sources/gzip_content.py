"""The content of gzip data, with limits: a small file can expand to more than the memory holds."""

from __future__ import annotations

import gzip
import io
import zlib
from typing import IO, Any

from fastiam.errors import SourceError

MAX_SIZE = 2 << 30  # bytes of content
MAX_RATIO = 200  # bytes of content for a byte of gzip data; exports and logs have 10 to 60
_FREE = 64 << 20  # bytes of content that every file may have
_BLOCK = 1 << 20


class GzipContent:
    """The content of a gzip stream. `read()` has limits; `read(size)` is for callers that keep only blocks."""

    def __init__(self, packed: IO[bytes], name: str) -> None:
        self._packed, self._name, self._n_read = _Counted(packed), name, 0
        source: Any = self._packed
        self._content = gzip.GzipFile(fileobj=source, mode="rb")

    def read(self, size: int = -1) -> bytes:
        """The next `size` bytes, or the whole rest.

        Raises
        ------
        SourceError
            the data are broken, or the rest is beyond a limit.
        """
        if size < 0:
            return self._read_rest()
        try:
            data = self._content.read(size)
        except (OSError, EOFError, zlib.error):
            hint = "it may be cut off"
            raise SourceError("the file is broken: it cannot be decompressed as gzip", source=self._name, hint=hint) from None
        self._n_read += len(data)
        return data

    def _read_rest(self) -> bytes:
        rest = io.BytesIO()
        while block := self.read(_BLOCK):
            rest.write(block)
            if self._n_read > MAX_SIZE:
                raise self._too_large(f"to more than {MAX_SIZE:,} bytes")
            if self._n_read > max(_FREE, MAX_RATIO * self._packed.n_read):
                raise self._too_large(f"to more than {MAX_RATIO} times its size")
        return rest.getvalue()

    def _too_large(self, how_far: str) -> SourceError:
        return SourceError(f"the gzip data expand {how_far}", source=self._name, hint="decompress the file yourself")


class _Counted:
    """A stream that counts the bytes read from it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self.n_read = stream, 0

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self.n_read += len(data)
        return data
