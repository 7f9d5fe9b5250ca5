"""Parquet and Arrow files of requests: DuckDB reads the one, arro3 the other, both in batches and never a whole file.

A Parquet or Arrow file from a pipe is copied to a temporary file.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, BinaryIO

from fastiam.cli.files.batches import ROWS, Batch, OpenedFile, Source, check_names
from fastiam.cli.files.columns import connect, raise_interrupt
from fastiam.cli.files.formats import ARROW_FILE
from fastiam.errors import FastiamError, SourceError


def _spool(stream: BinaryIO, stack: ExitStack) -> str:
    """Copy a pipe to a temporary file: these formats have their metadata at the end."""
    file = stack.enter_context(tempfile.TemporaryFile())  # without a name, so that a killed run leaves none behind
    shutil.copyfileobj(stream, file)
    file.flush()
    return _opened(file.fileno())


def _opened(descriptor: int) -> str:
    """The path of an open file. DuckDB would take `[`, `*` and `?` in the name of the file for a pattern."""
    return f"/dev/fd/{descriptor}"


def _is_seekable(file: OpenedFile) -> bool:
    return file.name != "-" and file.stream.seekable()


def open_parquet_file(file: OpenedFile) -> Source:
    """Open a Parquet file."""
    path = _opened(file.stream.fileno()) if _is_seekable(file) else _spool(file.stream, file.stack)
    return open_parquet(path, file.shown, connect("read"))


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
    return _counted(of_reader(reader, reader.schema, shown, lambda: None, _top_names(schema)), total)


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


def open_arrow_file(file: OpenedFile) -> Source:
    """Open an Arrow file or stream."""
    from arro3.io import read_ipc, read_ipc_stream

    if file.head.startswith(ARROW_FILE):
        reader = _read_ipc(read_ipc, file.name if _is_seekable(file) else _spool(file.stream, file.stack), file.shown)
        return of_reader(reader, reader.schema, file.shown, lambda: None)
    reader = _read_ipc(read_ipc_stream, file.stream, file.shown)
    return of_reader(reader, reader.schema, file.shown, file.progress)


def of_reader(
    batches: Iterable[Any],
    schema: Any,
    shown: str,
    progress: Callable[[], float | None],
    names: Sequence[str] | None = None,
) -> Source:
    """A source over record batches whose columns have these names, or those of their schema."""
    names = schema.names if names is None else names
    check_names(names, shown)
    types = {name: schema.field(i).type for i, name in enumerate(names)}
    return Source(shown, _arrow_batches(batches, names, shown), progress, types)


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
    raise_interrupt(error)
    return SourceError(f"the file is damaged or incomplete{where}", source=shown, path="", hint="`--debug` shows the cause")
