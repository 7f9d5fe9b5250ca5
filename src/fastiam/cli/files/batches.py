"""Batches of requests, the output of the readers, and the error for one row."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from fastiam.errors import FastiamError, SourceError
from fastiam.model.request import shorten

ROWS = 65_536  # a batch: big enough to amortise a call, small enough to keep a few of them in memory


class RowProblem(NamedTuple):
    """Why a row cannot be read or decided: a code of `docs/errors.md`, the column ("" for the whole row), and the message."""

    code: str
    column: str
    message: str


class RowError(FastiamError):
    """A row of a file cannot be decided. Rows count from 0, as in Python; `line` is 0 where the format has no lines."""

    def __init__(self, problem: RowProblem, *, source: str, row: int, line: int = 0, hint: str = "") -> None:
        self.code, self.column, message = problem
        self.source, self.row, self.line = source, row, line
        self.text = message + (f" - at `{self.column}`" if self.column else "")  # equal for rows that have one fault
        place = f"{source}:{line}" if line else source
        where = f"row {row}, column `{self.column}`" if self.column else f"row {row}"
        super().__init__(f"{place}: {message} - at {where}" + (f"\nhelp: {hint}" if hint else ""))


def check_names(names: Sequence[str], source: str, *, line: int = 0) -> None:
    """Check the names of the columns of a file.

    Raises
    ------
    SourceError
        two columns have one name: no rule says which of the two a policy reads.
    """
    name, count = Counter(names).most_common(1)[0] if names else ("", 0)
    if count > 1:
        message = f"two columns are named `{shorten(name)}`"
        raise SourceError(message, source=source, line=line, column=1, hint="rename one of them")


def _no_lines(_row: int) -> int:
    return 0


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive rows as columns.

    Attributes
    ----------
    first
        number of the first row in the file, from 0.
    length
        number of rows.
    columns
        name to column: an Arrow array, or a list of JSON values, None for a row without a value.
    broken
        row of the batch to its problem, for rows that cannot be read; their values are None.
    line_of
        row of the batch to line of the file, or 0.
    """

    first: int
    length: int
    columns: Mapping[str, Any]
    broken: Mapping[int, RowProblem] = field(default_factory=dict)
    line_of: Callable[[int], int] = _no_lines


@dataclass(frozen=True, slots=True)
class Source:
    """An open file of requests.

    Attributes
    ----------
    progress
        returns the fraction that is read, None if unknown.
    columns
        the Arrow types of the columns by name, where the format has columns: JSON lines have none.
    """

    name: str
    batches: Iterator[Batch]
    progress: Callable[[], float | None]
    columns: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """A file of requests whose format is known.

    `name` is `-` for standard input, and messages call it `shown`. `stream` is unpacked, and its first bytes `head` are to be
    read again. `stack` closes what a reader opens; `renamed` are the columns that get other names.
    """

    name: str
    shown: str
    stream: io.BufferedReader
    head: bytes
    progress: Callable[[], float | None]
    stack: ExitStack
    renamed: Collection[str] = ()
