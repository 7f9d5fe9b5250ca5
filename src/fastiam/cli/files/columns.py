"""Functions that readers and writers share: a small DuckDB, and columns of text as Arrow arrays."""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

import orjson

# DuckDB's defaults take most of the machine; a stream needs little, and one thread keeps up with the engine.
_LIMITS: dict[str, str | bool | int | float | list[str]] = {
    "memory_limit": "128MB",
    "threads": "1",
    "enable_external_file_cache": "false",  # files are opened by `/dev/fd/N`, and two files can have one such path
}


def connect(use: Literal["read", "write"]) -> Any:
    """A DuckDB connection that uses little memory and prints nothing.

    PERF: a database takes 17 ms, a connection to it none. Readers and writers have one each: they run at the same time.
    """
    connection = _database(use).cursor()
    connection.execute("SET enable_progress_bar = false")
    return connection


@cache
def _database(_use: str) -> Any:
    import duckdb

    return duckdb.connect(config=_LIMITS)


def raise_interrupt(error: Exception) -> None:
    """Raise a KeyboardInterrupt where DuckDB, Polars or arro3 report one as an error of theirs."""
    if "interrupt" in str(error).lower():
        raise KeyboardInterrupt from error


def text_type() -> Any:
    """The Arrow type of plain text."""
    from arro3.core import DataType

    return DataType.utf8()


def texts(values: list[Any]) -> Any:
    """A list of texts and None as an Arrow array.

    Raises
    ------
    TypeError, UnicodeEncodeError
        a value is not text, or cannot be encoded.
    """
    from arro3.core import Array, DataType

    return Array(values, type=DataType.utf8())


def as_text(values: Any) -> Any:
    """A column as plain Arrow text, whatever its layout. Other values become JSON. For results only."""
    from arro3.core import Array, DataType

    if isinstance(values, list):
        try:
            return texts(values)
        except (TypeError, UnicodeEncodeError):
            return texts([_json(value) for value in values])
    array = values if isinstance(values, Array) else Array.from_arrow(values)
    return array if array.type == DataType.utf8() else array.cast(DataType.utf8())


def _json(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value if value is None else value.encode(errors="backslashreplace").decode()
    return orjson.dumps(value).decode()
