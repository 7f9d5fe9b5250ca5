"""Rows of results divided by the values of some columns, in constant memory.

The rows of one file of requests go to a temporary file, each group of a batch as an Arrow stream of its own. Then the groups of a
partition are read back in their order.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import tempfile
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any
from urllib.parse import quote

import numpy as np
import numpy.typing as npt

from fastiam.cli.files.columns import as_text
from fastiam.cli.files.named_files import NULL
from fastiam.errors import SourceError

MOST = 1000  # partitions of one file
MAX_BYTES = 255  # of the name of a folder, in file systems

Values = tuple[str | None, ...]


class Partitions(AbstractContextManager["Partitions"]):
    """The results of one file by the values of the columns `by`, as text; None is a value, too.

    `folder` is where the temporary file is; it has no name, so that a killed run leaves nothing behind.
    """

    def __init__(self, by: Sequence[str], folder: str, shown: str) -> None:
        self._by, self._shown = by, shown
        self._file = tempfile.TemporaryFile(dir=folder)
        self._end = 0
        self._chunks: dict[Values, array[int]] = {}  # offset and length, in turn

    def __exit__(self, *_error: object) -> None:
        self._file.close()

    def fill(self, batches: Iterable[Any]) -> None:
        """Add all rows.

        Raises
        ------
        SourceError
            there are more than `MOST` partitions.
        """
        for batch in batches:
            rest = batch.select([name for name in batch.column_names if name not in self._by])
            for values, rows in _groups([as_text(batch.column(name)) for name in self._by]):
                long = [name for name, value in zip(self._by, values, strict=True) if _is_long(name, value)]
                part = (
                    batch.select([name for name in batch.column_names if name not in self._by or name in long]) if long else rest
                )
                self._add(values, part if len(rows) == batch.num_rows else _taken(part, rows))

    def _add(self, values: Values, batch: Any) -> None:
        from arro3.io import write_ipc_stream

        if values not in self._chunks and len(self._chunks) == MOST:
            message = f"the file has more than {MOST:,} partitions by {', '.join(f'`{name}`' for name in self._by)}"
            raise SourceError(message, source=self._shown, path="", hint="partition by columns with fewer values")
        out = io.BytesIO()
        write_ipc_stream(batch, out)
        data = out.getbuffer()
        self._file.write(data)
        self._chunks.setdefault(values, array("Q")).extend((self._end, len(data)))
        self._end += len(data)

    def folders(self) -> list[tuple[str, Values]]:
        """The partitions by the names of their folders, `region=eu/day=1`."""
        return sorted((self._folder(values), values) for values in self._chunks)

    def batches(self, values: Values) -> Iterator[Any]:
        """The rows of a partition in their order, without the columns that divide them."""
        from arro3.io import read_ipc_stream

        self._file.flush()
        chunks = self._chunks[values]
        for offset, length in zip(chunks[::2], chunks[1::2], strict=True):
            yield from read_ipc_stream(io.BytesIO(os.pread(self._file.fileno(), length, offset)))

    def _folder(self, values: Values) -> str:
        return "/".join(_folder(name, value) for name, value in zip(self._by, values, strict=True))


def _folder(name: str, value: str | None) -> str:
    """The name of a folder. A value that is too long for one ends in `~` and its digest; its files have the column, too."""
    text = f"{quote(name, safe='')}={_encoded(value)}"
    if value is None or not _is_long(name, value):
        return text
    digest = f"~{hashlib.sha256(value.encode(errors='surrogatepass')).hexdigest()[:32]}"
    return re.sub("%[0-9A-F]?$", "", text[: MAX_BYTES - len(digest)]) + digest


def _is_long(name: str, value: str | None) -> bool:
    return len(f"{quote(name, safe='')}={_encoded(value)}") > MAX_BYTES


def _encoded(value: str | None) -> str:
    """A value as Hive writes it in a name; the text that represents null is escaped, so that it remains a text."""
    return NULL if value is None else quote(value, safe="") if value != NULL else f"%5F{NULL[1:]}"


def _taken(batch: Any, rows: npt.NDArray[np.uint32]) -> Any:
    from arro3.core import Array

    return batch.take(Array.from_numpy(rows))


def _groups(columns: Sequence[Any]) -> Iterator[tuple[Values, npt.NDArray[np.uint32]]]:
    """The distinct rows of some columns of text, each with its row numbers in ascending order."""
    codes, values = _codes(columns[0])
    distinct: list[Values] = [(value,) for value in values]
    for column in columns[1:]:
        more, values = _codes(column)
        found, codes = np.unique(codes * len(values) + more, return_inverse=True)
        distinct = [(*distinct[i // len(values)], values[i % len(values)]) for i in found.tolist()]
    order = np.argsort(codes, kind="stable").astype(np.uint32)
    bounds = np.searchsorted(codes[order], np.arange(len(distinct) + 1))
    for i, row in enumerate(distinct):
        if bounds[i] < bounds[i + 1]:
            yield row, order[bounds[i] : bounds[i + 1]]


def _codes(column: Any) -> tuple[npt.NDArray[np.int64], list[str | None]]:
    """A code for each row, and the value of each code."""
    from arro3.core import DataType, dictionary_dictionary, dictionary_indices

    encoded = column.cast(DataType.dictionary(DataType.int32(), DataType.utf8()))
    values: list[str | None] = dictionary_dictionary(encoded).to_pylist()
    codes = dictionary_indices(encoded)
    if not codes.null_count:
        return codes.to_numpy().astype(np.int64), values
    filled = [len(values) if code is None else code for code in codes.to_pylist()]
    return np.array(filled, dtype=np.int64), [*values, None]
