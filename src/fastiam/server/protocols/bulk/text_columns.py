"""Columns of texts with their distinct values, in the layout of Arrow, without its library."""

from __future__ import annotations

from collections.abc import Container
from functools import cached_property
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from fastiam.kernel.columns.table import column_array


class TextColumn:
    """A text for each row.

    Attributes
    ----------
    codes
        place of each row's text in `values`, int32, shape (n,).
    sizes
        length of each distinct text, int32. The texts are printable ASCII.
    """

    def __init__(self, codes: bytes, offsets: bytes, data: bytes) -> None:
        self.codes: npt.NDArray[np.int32] = np.frombuffer(codes, np.int32)
        self._offsets: npt.NDArray[np.int32] = np.frombuffer(offsets, np.int32)
        self._data = data
        self.sizes: npt.NDArray[np.int32] = np.diff(self._offsets)

    @cached_property
    def values(self) -> list[str]:
        """The distinct texts."""
        text, ends = self._data.decode("ascii"), self._offsets.tolist()
        return [text[at:end] for at, end in pairwise(ends)]

    def __len__(self) -> int:
        return len(self.codes)

    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]:
        """A dictionary array of text; `requested_schema` is not followed, as the protocol allows."""
        texts = self._offsets, np.frombuffer(self._data, np.uint8)
        return column_array(("", self.codes, None, texts), len(self))

    def to_pylist(self) -> list[str]:
        """The text of each row."""
        return [self.values[code] for code in self.codes.tolist()]

    def rows_of(self, texts: Container[str]) -> list[tuple[int, str]]:
        """The rows that have one of some texts, and that text."""
        wanted = np.fromiter((text in texts for text in self.values), np.bool_, len(self.values))
        return [(row, self.values[self.codes[row]]) for row in np.flatnonzero(wanted[self.codes]).tolist()]
