"""Files of requests, read in batches of columns.

DuckDB reads Parquet, arro3 reads Arrow files and streams, both in batches and never a whole file; `csv_file` and
`json_lines` read text.
"""

from __future__ import annotations

import gzip
import io
import os
import shutil
import sys
import tempfile
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, cast

from fastiam.cli.files.batches import ROWS, Batch, check_names
from fastiam.cli.files.columns import connect, text_type
from fastiam.cli.files.csv_file import open_csv
from fastiam.cli.files.formats import ARROW_FILE, GZIP, SUFFIXES, Format, of_content
from fastiam.cli.files.json_lines import read_json_lines
from fastiam.errors import FastiamError, SourceError

_HEAD = 64  # bytes from which the format is detected
_BINARY = (Format.PARQUET, Format.ARROW)  # their readers trust the lengths in a file: pass only files of the format


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
    form: Format
    batches: Iterator[Batch]
    progress: Callable[[], float | None]
    columns: Mapping[str, Any] | None = None


def open_requests(name: str, form: Format | None, stack: ExitStack, renamed: Collection[str] = ()) -> Source:
    """Open a file of requests, or standard input for `-`; `stack` closes it. `renamed` are the columns that get other names.

    Gzip is unpacked for text formats. A Parquet or Arrow file from a pipe is copied to a temporary file.

    Raises
    ------
    SourceError
        the content is not a file of requests.
    """
    shown = "<stdin>" if name == "-" else name
    # a file opened in binary mode is a BufferedReader, and so is the buffer below standard input
    stream = cast(io.BufferedReader, sys.stdin.buffer if name == "-" else stack.enter_context(open(name, "rb")))
    progress = _progress_of(stream)
    if stream.peek(_HEAD)[:2] == GZIP:
        stream = io.BufferedReader(gzip.GzipFile(fileobj=stream))
    with _unpacking(shown):
        head = stream.peek(_HEAD)[:_HEAD]
    named = SUFFIXES.get(Path(name.removesuffix(".gz")).suffix.lower())
    if not head and Format.JSONL in (form, named):
        found = form = Format.JSONL  # no request at all
    else:
        found = of_content(head, shown)
    if form is None and named in (*_BINARY, Format.JSONL):
        form = found if named is Format.JSONL and found in _BINARY else named
    if form in _BINARY and found is not form:
        hint = "" if form is not named else "the file is damaged, or has a wrong suffix: `--requests-format` names its format"
        raise SourceError(f"the content does not have the format {form}", source=shown, hint=hint)
    form = form or found
    if form is Format.CSV:
        with _unpacking(shown):
            names, batches = open_csv(stream, shown)
        return Source(shown, form, _unpacked(batches, shown), progress, dict.fromkeys(names, text_type()))
    if form is Format.JSONL:
        return Source(shown, form, _unpacked(read_json_lines(stream, renamed), shown), progress)
    if form is Format.ARROW and not head.startswith(ARROW_FILE):
        return _open_arrow_stream(stream, shown, progress)
    seekable = name != "-" and stream.seekable()
    if form is Format.PARQUET:
        return open_parquet(_opened(stream.fileno()) if seekable else _spool(stream, stack), shown, connect("read"))
    return _open_arrow_file(name if seekable else _spool(stream, stack), shown)


@contextmanager
def _unpacking(shown: str) -> Iterator[None]:
    """Convert the errors of a truncated or damaged gzip file."""
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise SourceError(f"damaged gzip file: {error}", source=shown) from error


def _unpacked(batches: Iterator[Batch], shown: str) -> Iterator[Batch]:
    with _unpacking(shown):
        yield from batches


def _progress_of(stream: io.BufferedReader) -> Callable[[], float | None]:
    try:
        size = os.fstat(stream.fileno()).st_size
    except (OSError, io.UnsupportedOperation):
        size = 0
    if not size or not stream.seekable():
        return lambda: None
    return lambda: stream.raw.tell() / size


def _spool(stream: BinaryIO, stack: ExitStack) -> str:
    """Copy a pipe to a temporary file: these formats have their metadata at the end."""
    file = stack.enter_context(tempfile.TemporaryFile())  # without a name, so that a killed run leaves none behind
    shutil.copyfileobj(stream, file)
    file.flush()
    return _opened(file.fileno())


def _opened(descriptor: int) -> str:
    """The path of an open file. DuckDB would take `[`, `*` and `?` in the name of the file for a pattern."""
    return f"/dev/fd/{descriptor}"


# -- Parquet and Arrow -------------------------------------------------------------------------------------------------


def open_parquet(path: str, shown: str, connection: Any) -> Source:
    """Open a Parquet file over a connection of DuckDB, which takes `[`, `*` and `?` in the path for a pattern."""
    import duckdb
    from arro3.core import RecordBatchReader

    try:
        total = connection.execute("SELECT num_rows FROM parquet_file_metadata(?)", [path]).fetchall()[0][0]
        schema = connection.execute("SELECT name, num_children FROM parquet_schema(?)", [path]).fetchall()
        relation = connection.read_parquet(path, hive_partitioning=False)  # else folders named `principal=x` replace a column
        reader = RecordBatchReader.from_stream(relation)
    except duckdb.Error as error:
        raise _damaged(error, shown) from error
    return _counted(of_reader(reader, reader.schema, Format.PARQUET, shown, lambda: None, _top_names(schema)), total)


def _top_names(schema: list[tuple[str, int | None]]) -> list[str]:
    """The columns of a Parquet file as they are named in it. DuckDB renames one that differs from another in case only."""
    names: list[str] = []
    inner = 0  # fields below the last column that are still to come
    for name, children in schema[1:]:
        if inner:
            inner -= 1
        else:
            names.append(name)
        inner += children or 0
    return names


def _open_arrow_file(path: str, shown: str) -> Source:
    from arro3.io import read_ipc

    reader = _read_ipc(read_ipc, path, shown)
    return of_reader(reader, reader.schema, Format.ARROW, shown, lambda: None)


def _open_arrow_stream(stream: BinaryIO, shown: str, progress: Callable[[], float | None]) -> Source:
    from arro3.io import read_ipc_stream

    reader = _read_ipc(read_ipc_stream, stream, shown)
    return of_reader(reader, reader.schema, Format.ARROW, shown, progress)


def of_reader(
    batches: Iterable[Any],
    schema: Any,
    form: Format,
    shown: str,
    progress: Callable[[], float | None],
    names: Sequence[str] | None = None,
) -> Source:
    """A source over record batches whose columns have these names, or those of their schema."""
    names = schema.names if names is None else names
    check_names(names, shown)
    types = {name: schema.field(i).type for i, name in enumerate(names)}
    return Source(shown, form, _arrow_batches(batches, names, shown), progress, types)


def _read_ipc(read: Callable[[Any], Any], source: Any, shown: str) -> Any:
    try:
        return read(source)
    except Exception as error:  # arro3 has one type for all errors, which is private
        raise _damaged(error, shown) from error


def _arrow_batches(reader: Iterable[Any], names: Sequence[str], shown: str) -> Iterator[Batch]:
    """Batches of at most `ROWS` rows of record batches."""
    first = 0
    try:
        for whole in reader:
            for start in range(0, whole.num_rows, ROWS):
                part = whole.slice(start, min(ROWS, whole.num_rows - start))
                yield Batch(first, part.num_rows, {name: part.column(i) for i, name in enumerate(names)})
                first += part.num_rows
    except FastiamError:
        raise
    except Exception as error:
        raise _damaged(error, shown, f", after {first:,} rows") from error


def _counted(source: Source, total: int) -> Source:
    """A source whose progress is counted in rows."""
    done = 0

    def batches() -> Iterator[Batch]:
        nonlocal done
        for batch in source.batches:
            yield batch
            done = batch.first + batch.length

    return replace(source, batches=batches(), progress=lambda: done / total if total else None)


def _damaged(error: Exception, shown: str, where: str = "") -> SourceError:
    """The error for a file that DuckDB or arro3 cannot read. Their own texts are for `--debug`."""
    if "interrupt" in str(error).lower():  # how DuckDB reports a KeyboardInterrupt
        raise KeyboardInterrupt from error
    return SourceError(f"the file is damaged or incomplete{where}", source=shown, path="", hint="`--debug` shows the cause")
