"""Parquet files in object stores: Polars lists and reads them, and DuckDB where Polars is not installed.

The extension of DuckDB must be installed already: it is a download, which only the user starts. Both find credentials and
endpoints in their own ways, such as `AWS_ENDPOINT_URL` and `AWS_REGION` for Polars.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from fastiam.cli.files.arrow_files import of_reader, open_parquet
from fastiam.cli.files.batches import ROWS, Source
from fastiam.cli.files.columns import connect, raise_interrupt
from fastiam.cli.files.formats import Format
from fastiam.errors import SourceError

EXTENSIONS = {"s3": "httpfs", "gs": "httpfs", "az": "azure"}  # of DuckDB, by scheme
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://.+")
_LONGEST = 300  # characters of an error of a library


def is_url(name: str) -> bool:
    """Whether a name is a URL.

    Raises
    ------
    SourceError
        the scheme is not that of a supported object store.
    """
    found = _URL.fullmatch(name)
    if found and found[1] not in EXTENSIONS:
        hint = f"use {', '.join(f'`{scheme}://`' for scheme in EXTENSIONS)}, or the path of a local file"
        raise SourceError(f"`{found[1]}` is not a supported object store", source=name, path="", hint=hint)
    return found is not None


def is_parquet(name: str) -> bool:
    """Whether the name of an object is that of a Parquet file."""
    return name.lower().endswith(Format.PARQUET.suffixes)


def list_parquet(root: str) -> list[str]:
    """The URLs of all `.parquet` objects below a URL that ends in `/`. An object without a row may be missing.

    Raises
    ------
    SourceError
        the store cannot be read.
    """
    pattern = f"{root}**/*.parquet"
    if find_spec("polars") is None:
        with _errors(root):
            return [name for (name,) in _duckdb(root).execute("SELECT file FROM glob(?)", [pattern]).fetchall()]
    import polars as pl

    with _errors(root):
        # objects may differ in their columns: only the names are read here
        paths = pl.scan_parquet(
            pattern, include_file_paths="path", hive_partitioning=False, missing_columns="insert", extra_columns="ignore"
        ).select("path")
        try:
            return paths.unique().collect(engine="streaming")["path"].to_list()
        except pl.exceptions.ComputeError as error:
            if "expanded paths were empty" in str(error):
                return []
            raise


def open_object(url: str, form: Format | None) -> Source:
    """Open a Parquet file of an object store.

    Raises
    ------
    SourceError
        it cannot be read, or another format is requested.
    """
    if form not in (None, Format.PARQUET) or not is_parquet(url):
        hint = "copy the files, or convert them to Parquet"
        raise SourceError("only Parquet files are read from an object store", source=url, path="", hint=hint)
    if find_spec("polars") is None:
        return open_parquet(_literal(url), url, _duckdb(url))
    import polars as pl
    from arro3.core import RecordBatchReader

    with _errors(url):
        frame = pl.scan_parquet(url, glob=False, hive_partitioning=False)
        empty = RecordBatchReader.from_arrow(frame.collect_schema().to_frame())
        total = frame.select(pl.len()).collect(engine="streaming").item()
    done = 0

    def batches() -> Iterator[Any]:
        nonlocal done
        with _errors(url):
            for part in frame.collect_batches(chunk_size=ROWS, maintain_order=True):
                yield from RecordBatchReader.from_arrow(part)
                done += part.height

    return of_reader(batches(), empty.schema, url, lambda: done / total if total else None)


def _duckdb(url: str) -> Any:
    """A connection that can read the store."""
    import duckdb

    extension = EXTENSIONS[url.partition(":")[0]]
    connection = connect("read")
    try:
        connection.execute(f"LOAD {extension}")
    except duckdb.Error as error:
        message = f"an object store needs Polars, or DuckDB's extension `{extension}`: neither is installed"
        hint = f"`pip install polars`, or `INSTALL {extension}` in DuckDB"
        raise SourceError(message, source=url, path="", hint=hint) from error
    return connection


def _literal(url: str) -> str:
    """A pattern of DuckDB that matches only this name."""
    return re.sub(r"[\[*?]", r"[\g<0>]", url)


@contextmanager
def _errors(url: str) -> Iterator[None]:
    """Convert the errors of the libraries, which have no type in common."""
    try:
        yield
    except SourceError:
        raise
    except Exception as error:
        raise_interrupt(error)
        text = (str(error).splitlines() or [type(error).__name__])[0][:_LONGEST]
        raise SourceError(
            f"the object store cannot be read: {text}", source=url, path="", hint="`--debug` shows the cause"
        ) from error
