"""Files of requests, read in batches of columns.

Binary formats come as Arrow columns: Parquet through DuckDB, Arrow files and streams through arro3. CSV and JSON lines are
read by the standard library's `csv` (strict) and by orjson, because a row that cannot be read must be named, or denied,
and never be dropped: DuckDB reads a file with an unbalanced quote as if its rest were not there.
"""

from __future__ import annotations

import csv
import gzip
import io
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from fastiam.cli.formats import ARROW_FILE, GZIP, Format, of_content
from fastiam.errors import FastiamError, SourceError

ROWS = 65_536  # a batch: big enough to amortise a call, small enough to keep ten of them in 100 MB
_HEAD = 64  # bytes that tell the format

# DuckDB's defaults take most of the machine; a stream needs little, and one thread keeps up with the engine.
DUCKDB_CONFIG = {"memory_limit": "128MB", "threads": "1"}

Texts = list[str | None]


class RowError(FastiamError):
    """A row of a file cannot be decided. Rows count from 1; `line` is 0 where the format has no lines."""

    def __init__(self, message: str, *, source: str, row: int, column: str = "", line: int = 0, hint: str = "") -> None:
        self.source, self.row, self.column, self.line = source, row, column, line
        place = f"{source}:{line}" if line else source
        where = f"row {row}, column `{column}`" if column else f"row {row}"
        super().__init__(f"{place}: {message} - at {where}" + (f"\nhelp: {hint}" if hint else ""))


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive rows as columns.

    Attributes
    ----------
    first : number of the first row in the file, from 0.
    length : how many rows.
    columns : name to column: an Arrow array, or a list with None where the row has no value.
    broken : row of the batch to (column or "", message), for rows that cannot be read; their columns hold None.
    line_of : row of the batch to line of the file, or 0.
    """

    first: int
    length: int
    columns: Mapping[str, Any]
    broken: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    line_of: Callable[[int], int] = lambda row: 0


@dataclass(frozen=True, slots=True)
class Source:
    """An open file of requests. `progress` tells the share that is read, None where nobody knows."""

    name: str
    form: Format
    batches: Iterator[Batch]
    progress: Callable[[], float | None]


def open_requests(name: str, form: Format | None, stack: ExitStack) -> Source:
    """Opens a file of requests, or standard input for `-`; `stack` closes it.

    Gzip is undone for text formats. A Parquet file or Arrow file that comes through a pipe is put into a temporary file.

    Raises
    ------
    SourceError: the content is no file of requests.
    """
    shown = "<stdin>" if name == "-" else name
    raw: BinaryIO = sys.stdin.buffer if name == "-" else stack.enter_context(open(name, "rb"))
    stream = raw if isinstance(raw, io.BufferedReader) else io.BufferedReader(raw)  # type: ignore[arg-type]
    progress = _progress_of(stream)
    if stream.peek(_HEAD)[:2] == GZIP:
        stream = io.BufferedReader(gzip.GzipFile(fileobj=stream))  # type: ignore[arg-type]
    head = stream.peek(_HEAD)[:_HEAD]
    form = form or of_content(head, shown)
    if form is Format.CSV:
        return Source(shown, form, read_csv(stream, shown), progress)
    if form is Format.JSONL:
        return Source(shown, form, read_json_lines(stream), progress)
    if form is Format.ARROW and not head.startswith(ARROW_FILE):
        return Source(shown, form, _arrow_stream(stream, shown), progress)
    path = name if name != "-" else _spool(stream, stack)
    return _open_parquet(path, shown) if form is Format.PARQUET else _open_arrow_file(path, shown)


def _progress_of(stream: io.BufferedReader) -> Callable[[], float | None]:
    try:
        size = os.fstat(stream.fileno()).st_size
    except (OSError, io.UnsupportedOperation):
        size = 0
    if not size or not stream.seekable():
        return lambda: None
    return lambda: stream.raw.tell() / size


def _spool(stream: BinaryIO, stack: ExitStack) -> str:
    """A pipe as a temporary file: these formats keep their table of contents at the end."""
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="fastiam-"))
    path = Path(folder, "requests")
    with path.open("wb") as out:
        shutil.copyfileobj(stream, out)
    return str(path)


# -- Parquet and Arrow -------------------------------------------------------------------------------------------------


def _open_parquet(path: str, shown: str) -> Source:
    import duckdb
    from arro3.core import RecordBatchReader

    try:
        relation = duckdb.connect(config=DUCKDB_CONFIG).read_parquet(path)
        total = duckdb.connect().read_parquet(path).count("*").fetchone()
        reader = RecordBatchReader.from_stream(relation)
    except duckdb.Error as error:
        raise SourceError(_first_line(error), source=shown) from error
    return _counted(Source(shown, Format.PARQUET, _arrow_batches(reader, shown), lambda: None), total[0] if total else 0)


def _open_arrow_file(path: str, shown: str) -> Source:
    from arro3.io import read_ipc

    return Source(shown, Format.ARROW, _arrow_batches(_read_ipc(read_ipc, path, shown), shown), lambda: None)


def _arrow_stream(stream: BinaryIO, shown: str) -> Iterator[Batch]:
    from arro3.io import read_ipc_stream

    return _arrow_batches(_read_ipc(read_ipc_stream, stream, shown), shown)


def _read_ipc(read: Callable[[Any], Any], source: Any, shown: str) -> Any:
    try:
        return read(source)
    except Exception as error:  # arro3 has one type for all errors, which is private
        raise SourceError(_first_line(error), source=shown) from error


def _arrow_batches(reader: Iterable[Any], shown: str) -> Iterator[Batch]:
    """Record batches, cut where one is larger than a batch should be."""
    first = 0
    try:
        for whole in reader:
            for start in range(0, whole.num_rows, ROWS):
                part = whole.slice(start, min(ROWS, whole.num_rows - start))
                yield Batch(first, part.num_rows, {name: part.column(name) for name in part.column_names})
                first += part.num_rows
    except FastiamError:
        raise
    except Exception as error:
        raise SourceError(f"{_first_line(error)}, after row {first}", source=shown) from error


def _counted(source: Source, total: int) -> Source:
    """The source with progress by rows."""
    done = 0

    def batches() -> Iterator[Batch]:
        nonlocal done
        for batch in source.batches:
            yield batch
            done = batch.first + batch.length

    return Source(source.name, source.form, batches(), lambda: done / total if total else None)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


# -- CSV ---------------------------------------------------------------------------------------------------------------


def read_csv(stream: BinaryIO, shown: str) -> Iterator[Batch]:
    """Batches of a CSV file with a header. Everything is text, and an empty field is no value.

    Raises
    ------
    SourceError: no header, a name that stands twice, or a quote that is never closed.
    """
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
    reader = csv.reader(text, strict=True)
    names = _header(reader, shown)
    rows = _csv_rows(reader, shown)
    first, line = 0, reader.line_num
    while raw := list(islice(rows, ROWS)):
        kept = [row for row in raw if row != []]  # blank lines are no rows
        columns, broken = _csv_columns(kept, names)
        yield Batch(first, len(kept), columns, broken, _csv_lines(raw, line))
        first, line = first + len(kept), reader.line_num


def _header(reader: Iterator[list[str]], shown: str) -> list[str]:
    try:
        names = next(reader, None)
    except csv.Error as error:
        raise SourceError(f"the header cannot be read: {error}", source=shown, line=1, column=1) from error
    if not names:
        raise SourceError("the file is empty", source=shown, hint="the first line names the columns")
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise SourceError(f"two columns are named `{min(twice)}`", source=shown, line=1, column=1)
    return names


def _csv_rows(reader: Any, shown: str) -> Iterator[list[str] | csv.Error]:
    """Rows, and in place of a row that breaks the grammar its error: the next line starts afresh."""
    while True:
        before = reader.line_num
        try:
            yield from reader
            return
        except csv.Error as error:
            if "unexpected end of data" in str(error):
                raise SourceError("a quote is never closed", source=shown, line=before + 1, column=1) from error
            yield error


def _csv_columns(rows: Sequence[Any], names: list[str]) -> tuple[dict[str, Texts], dict[int, tuple[str, str]]]:
    broken: dict[int, tuple[str, str]] = {}
    width = len(names)
    for i, row in enumerate(rows):
        if len(row) != width if type(row) is list else True:
            broken[i] = ("", _csv_complaint(row, names))
    if broken:
        blank = [""] * width
        rows = [blank if i in broken else row for i, row in enumerate(rows)]
    columns = {name: list(values) for name, values in zip(names, zip(*rows, strict=True), strict=True)}
    for name, values in columns.items():
        _check_utf8(name, values, broken)
    return {name: _without(values, broken) for name, values in columns.items()}, broken


def _csv_complaint(row: list[str] | csv.Error, names: list[str]) -> str:
    if isinstance(row, csv.Error):
        return str(row)
    return f"{len(row)} fields where the header has {len(names)}"


def _check_utf8(name: str, values: list[str], broken: dict[int, tuple[str, str]]) -> None:
    """Finds values that were no UTF-8: `surrogateescape` has kept their bytes as lone surrogates."""
    if "".join(values).isascii():
        return
    for i, value in enumerate(values):
        try:
            value.encode()
        except UnicodeEncodeError:
            broken.setdefault(i, (name, "the value is not UTF-8"))


def _without(values: list[str], broken: Mapping[int, Any]) -> Texts:
    if not broken:
        return [value or None for value in values]
    return [None if i in broken else value or None for i, value in enumerate(values)]


def _csv_lines(raw: Sequence[Any], before: int) -> Callable[[int], int]:
    """Where rows start: every row takes a line, and one more for each line end inside its fields."""

    def line_of(row: int) -> int:
        line = before + 1
        for entry in raw:
            if entry == []:
                line += 1
                continue
            if row == 0:
                break
            row -= 1
            line += 1 + (sum(value.count("\n") for value in entry) if isinstance(entry, list) else 0)
        return line

    return line_of


# -- JSON lines --------------------------------------------------------------------------------------------------------


def read_json_lines(stream: BinaryIO) -> Iterator[Batch]:
    """Batches of a file with one JSON object a line; names may differ from line to line, null is no value."""
    first = line = 0
    while raw := list(islice(stream, ROWS)):
        if line == 0:
            raw[0] = raw[0].removeprefix(b"\xef\xbb\xbf")
        rows, broken, lines = _json_rows(raw)
        names = dict.fromkeys(name for row in rows for name in row)
        columns = {name: [row.get(name) for row in rows] for name in names}
        yield Batch(first, len(rows), columns, broken, lambda row, lines=lines, line=line: line + lines[row])  # type: ignore[misc]
        first, line = first + len(rows), line + len(raw)


def _json_rows(raw: Sequence[bytes]) -> tuple[list[dict[str, Any]], dict[int, tuple[str, str]], Sequence[int]]:
    """Objects, broken rows (empty objects), and the line of each row from 1."""
    try:
        rows = list(map(orjson.loads, raw))
        if set(map(type, rows)) == {dict}:
            return rows, {}, range(1, len(rows) + 1)
    except orjson.JSONDecodeError:
        pass
    rows, broken, lines = [], {}, []
    for i, text in enumerate(raw):
        if not text.strip():
            continue
        row, complaint = _json_row(text)
        if complaint:
            broken[len(rows)] = ("", complaint)
        rows.append(row)
        lines.append(i + 1)
    return rows, broken, lines


def _json_row(text: bytes) -> tuple[dict[str, Any], str]:
    try:
        row = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return {}, f"not JSON: {error.msg} in column {error.colno}"
    return (row, "") if isinstance(row, dict) else ({}, "a request must be an object")
