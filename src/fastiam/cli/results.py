"""Results as files: Parquet, CSV and JSON lines through DuckDB, Arrow through arro3.

The batches are pulled by whoever writes, one after the other and in order, so that nothing piles up. A file is written
beside its place and moved there when it is whole: a reader never meets half of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from fastiam.cli.columns import connect
from fastiam.cli.formats import Format
from fastiam.errors import SourceError

_OPTIONS = {
    Format.PARQUET: "FORMAT parquet",
    Format.CSV: "FORMAT csv, HEADER true",
    Format.JSONL: "FORMAT json",
}


def check_target(name: str, source: str) -> None:
    """See, before anything is decided, that results can go there.

    Raises
    ------
    SourceError: the folder is not there; the file is a folder, or the one that the requests come from.
    """
    path = Path(name)
    if name == "-" or not path.name:
        return
    if not path.parent.is_dir():
        raise SourceError(f"there is no folder `{path.parent}`", source=name, hint="make it, or write elsewhere")
    if path.is_dir():
        raise SourceError("it is a folder", source=name, hint="name a file for the results")
    if source != "-" and path.exists() and Path(source).exists() and path.samefile(source):
        raise SourceError("the results would replace the requests", source=name, hint="write them to another file")


def write_results(batches: Iterable[Any], schema: Any, name: str, form: Format) -> None:
    """Writes record batches of one schema to a file, or to standard output for `-`.

    Raises
    ------
    SourceError: the file cannot be written. What the batches raise comes through as it is.
    """
    if name == "-":
        if form is Format.PARQUET:
            raise SourceError("parquet cannot be written to a pipe", source="<stdout>", hint="choose another `--out-format`")
        _write(batches, schema, "/dev/stdout", form, shown="<stdout>", is_file=False)
        return
    beside = Path(name).with_name(f".{Path(name).name}.{os.getpid()}.part")
    try:
        _write(batches, schema, str(beside), form, shown=name, is_file=not name.endswith(".arrows"))
        beside.replace(name)
    finally:
        beside.unlink(missing_ok=True)


def _write(batches: Iterable[Any], schema: Any, path: str, form: Format, *, shown: str, is_file: bool) -> None:
    from arro3.core import RecordBatchReader

    raised: list[BaseException] = []
    reader = RecordBatchReader.from_batches(schema, _watched(batches, raised))
    try:
        (_write_arrow if form is Format.ARROW else _write_with_duckdb)(reader, path, form, is_file)
    except Exception as error:
        if raised:  # our own error, which came back wrapped as somebody else's
            raise raised[0] from None
        if "Broken pipe" in str(error):
            raise BrokenPipeError from error
        raise SourceError(str(error).partition("\n")[0], source=shown) from error


def _watched(batches: Iterable[Any], raised: list[BaseException]) -> Iterator[Any]:
    try:
        yield from batches
    except (Exception, KeyboardInterrupt) as error:
        raised.append(error)
        raise


def _write_with_duckdb(reader: Any, path: str, form: Format, _is_file: bool) -> None:
    results = connect().from_arrow(reader)
    results.query("results", f"COPY (FROM results) TO {_quoted(path)} ({_OPTIONS[form]})")


def _write_arrow(reader: Any, path: str, _form: Format, is_file: bool) -> None:
    from arro3.io import write_ipc, write_ipc_stream

    (write_ipc if is_file else write_ipc_stream)(reader, path)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
