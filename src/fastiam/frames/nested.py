"""A struct or map column whose entries are context keys (H14)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from fastiam.errors import RequestValueError
from fastiam.frames.table import ChunkedColumn
from fastiam.kernel.columns.read import TextColumn, read_column
from fastiam.kernel.columns.table import ArrowColumn, column_chunks
from fastiam.model.request import shorten

MAX_KEYS: Final = 256
_HINT = "pass a struct whose fields are condition keys, or a map from text to text or to lists of text"


def context_columns(column: object, name: str) -> dict[str, object]:
    """A column for each context key of a struct or map column; a null is absent.

    Raises
    ------
    RequestValueError: the column is neither, or a map has more than 256 distinct keys.
    """
    if not (hasattr(column, "__arrow_c_stream__") or hasattr(column, "__arrow_c_array__")):
        return _of_mappings(_rows(column, name), name)
    try:
        chunks = column_chunks(column)
    except ImportError:  # pandas speaks Arrow through pyarrow alone
        return _of_mappings(_rows(column, name), name)
    formats = {chunk.format for chunk in chunks}
    if formats <= {"+s"}:
        return _of_structs(chunks)
    if formats <= {"+m"}:
        return _of_mappings((row for chunk in chunks for row in _map_rows(chunk)), name)
    raise RequestValueError("the column is neither a struct nor a map", column=name, hint=_HINT)


def _of_structs(chunks: Sequence[ArrowColumn]) -> dict[str, object]:
    fields: dict[str, list[ArrowColumn]] = {}
    for chunk in chunks:
        for field in chunk.fields():
            fields.setdefault(field.name, []).append(field)
    return {name: ChunkedColumn(parts) for name, parts in fields.items()}


def _of_mappings(rows: Iterable[Mapping[str, Any] | None], name: str) -> dict[str, object]:
    columns: dict[str, list[Any]] = {}
    n = 0
    for row in rows:
        for key, value in (row or {}).items():
            values = columns.get(key)
            if values is None:
                if len(columns) == MAX_KEYS:
                    raise RequestValueError(f"the maps have more than {MAX_KEYS} distinct keys", column=name, row=n)
                values = columns[key] = []
            values += [None] * (n - len(values))
            values.append(value)
        n += 1
    for values in columns.values():
        values += [None] * (n - len(values))
    return {key: _in_lists(values) for key, values in columns.items()}


def _in_lists(values: list[Any]) -> list[Any]:
    """The values; single ones beside lists become lists of one (a key has one kind of value in all rows)."""
    if any(isinstance(value, (list, tuple)) for value in values):
        return [value if value is None or isinstance(value, (list, tuple)) else [value] for value in values]
    return values


def _rows(column: object, name: str) -> list[Mapping[str, Any] | None]:
    rows: list[Mapping[str, Any] | None] = []
    for at, row in enumerate(column if isinstance(column, Iterable) else ()):
        if isinstance(row, Mapping):
            rows.append(row)
        elif row is None or row != row:
            rows.append(None)
        else:
            raise RequestValueError(f"`{type(row).__name__}` is not a mapping of keys", column=name, row=at, hint=_HINT)
    return rows


def _map_rows(chunk: ArrowColumn) -> Iterable[Mapping[str, Any] | None]:
    offsets, valid, key_column, value_column = chunk.entries()
    keys, values = _taken(key_column, "text"), _taken(value_column, "context")
    if None in keys:
        raise RequestValueError("a key of the map is null", column=chunk.name)
    bounds = offsets.tolist()
    for row in range(len(chunk)):
        if valid is not None and not valid[row]:
            yield None
            continue
        entries = range(bounds[row], bounds[row + 1])
        found = {keys[i]: values[i] for i in entries}
        if len(found) < len(entries):
            twice = next(keys[i] for i in entries if sum(keys[i] == keys[j] for j in entries) > 1)
            raise RequestValueError(f"a map has the key `{shorten(str(twice))}` twice", column=chunk.name, row=row)
        yield found


def _taken(column: ArrowColumn, kind: Any) -> list[Any]:
    read: TextColumn = read_column(column, column.name, kind=kind)
    return read.take(range(len(column)))
