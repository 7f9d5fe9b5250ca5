"""A struct or map column whose entries are context keys (H14), or tags: the column of `aws:RequestTag/*`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from fastiam.errors import RequestValueError
from fastiam.frames.table import ChunkedColumn
from fastiam.kernel.columns.read import TextColumn, read_column
from fastiam.kernel.columns.table import ArrowColumn, column_chunks
from fastiam.model.key_names import likely_key
from fastiam.model.key_registry import fold
from fastiam.model.request import shorten

MAX_KEYS: Final = 256
TAGS: Final = "/*"  # how the name of a column of tags ends
_HINT = "pass a struct whose fields are condition keys, or a map from text to text or to lists of text"
_TAG_HINT = "pass a struct whose fields are tags, a map from text to text, or a list of pairs of `key` and `value`"


def context_columns(column: object, name: str) -> dict[str, object]:
    """A column for each context key of a struct or map column; a null is absent.

    Raises
    ------
    RequestValueError
        the column is neither, or a map has more than 256 distinct keys.
    """
    chunks = _chunks(column)
    formats = set() if chunks is None else {chunk.format for chunk in chunks}
    if chunks is None:
        found = _of_mappings(_rows(column, name, _HINT), name)
    elif formats <= {"+s"}:
        found = _of_structs(chunks)
    elif formats <= {"+m"}:
        found = _of_mappings((row for chunk in chunks for row in _map_rows(chunk)), name)
    else:
        raise RequestValueError("the column is neither a struct nor a map", column=name, hint=_HINT)
    for key in found:
        if ":" not in key:
            tags = likely_key(name)
            hint = f'did you mean `context={{"{tags if tags.endswith(TAGS) else "aws:RequestTag/*"}": "{shorten(name)}"}}`?'
            raise RequestValueError(f"its entry `{shorten(key)}` is not a context key", column=name, hint=hint)
    return found


def tag_columns(column: object, name: str, key: str) -> dict[str, object]:
    """A column for each tag of a struct, a map, or a list of pairs; `key` is `aws:RequestTag/*` or another that ends so.

    Raises
    ------
    RequestValueError
        the column is none of these, a row has a tag twice, or there are more than 256 distinct tags.
    """
    chunks = _chunks(column)
    formats = set() if chunks is None else {chunk.format for chunk in chunks}
    if chunks is not None and formats <= {"+s"}:
        found = _of_structs(chunks)
    elif chunks is None:
        found = _of_mappings(_rows(column, name, _TAG_HINT), name)
    elif formats <= {"+m", "+l", "+L"}:
        found = _of_mappings((row for chunk in chunks for row in _map_rows(chunk)), name)
    else:
        raise RequestValueError("the column is not one of tags", column=name, hint=_TAG_HINT)
    return {key.removesuffix("*") + tag: values for tag, values in found.items()}


def tags_of(value: object, key: str) -> dict[str, object]:
    """The tags of one value, a mapping or a list of pairs, by their keys."""
    (row,) = _rows([value], key, _TAG_HINT)
    return {key.removesuffix("*") + str(tag): each for tag, each in (row or {}).items()}


def _chunks(column: object) -> list[ArrowColumn] | None:
    if not (hasattr(column, "__arrow_c_stream__") or hasattr(column, "__arrow_c_array__")):
        return None
    try:
        return column_chunks(column)
    except ImportError:  # pandas speaks Arrow through pyarrow alone
        return None


def _of_structs(chunks: Sequence[ArrowColumn]) -> dict[str, object]:
    fields: dict[str, list[ArrowColumn]] = {}
    for chunk in chunks:
        for field in chunk.fields():
            fields.setdefault(field.name, []).append(field)
    return {name: ChunkedColumn(parts) for name, parts in fields.items()}


def _of_mappings(rows: Iterable[Mapping[str, Any] | None], name: str) -> dict[str, object]:
    """A column for each key, in the spelling of the first row that has it."""
    columns: dict[str, tuple[str, list[Any]]] = {}  # by folded key
    n = 0
    for row in rows:
        for key, value in (row or {}).items():
            if not isinstance(key, str):
                raise RequestValueError(f"a key must be text, not `{type(key).__name__}`", column=name, row=n)
            folded = fold(key)
            if folded not in columns:
                if len(columns) == MAX_KEYS:
                    raise RequestValueError(f"the maps have more than {MAX_KEYS} distinct keys", column=name, row=n)
                columns[folded] = key, []
            other, values = columns[folded]
            if len(values) > n:
                raise RequestValueError(f"`{shorten(other)}` and `{shorten(key)}` are one key", column=name, row=n)
            values += [None] * (n - len(values))
            values.append(value)
        n += 1
    for _, values in columns.values():
        values += [None] * (n - len(values))
    return {key: values if key.endswith(TAGS) else _in_lists(values) for key, values in columns.values()}


def _in_lists(values: list[Any]) -> list[Any]:
    """The values; single ones beside lists become lists of one (a key has one kind of value in all rows)."""
    if any(isinstance(value, (list, tuple)) for value in values):
        return [value if value is None or isinstance(value, (list, tuple)) else [value] for value in values]
    return values


def _rows(column: object, name: str, hint: str) -> list[Mapping[str, Any] | None]:
    rows: list[Mapping[str, Any] | None] = []
    for at, row in enumerate(column if isinstance(column, Iterable) else ()):
        if isinstance(row, Mapping):
            rows.append(row)
        elif hint is _TAG_HINT and isinstance(row, (list, tuple, np.ndarray)):
            rows.append(_of_pairs(list(row), name, at))
        elif row is None or row != row:
            rows.append(None)
        else:
            raise RequestValueError(f"`{type(row).__name__}` is not a mapping of keys", column=name, row=at, hint=hint)
    return rows


def _of_pairs(pairs: Sequence[object], name: str, at: int) -> Mapping[str, Any]:
    """The tags of a list of pairs: `{"Key": ..., "Value": ...}` as AWS writes them, in any case, or `(key, value)`."""
    found: dict[str, Any] = {}
    for pair in pairs:
        if isinstance(pair, Mapping) and {str(field).lower() for field in pair} == {"key", "value"}:
            key, value = (each for _, each in sorted(pair.items(), key=lambda item: str(item[0]).lower()))
        elif isinstance(pair, Sequence) and not isinstance(pair, (str, bytes)) and len(pair) == 2:
            key, value = pair
        else:
            raise RequestValueError(f"`{type(pair).__name__}` is not a pair", column=name, row=at, hint=_TAG_HINT)
        if key in found:
            raise RequestValueError(f"a list has the tag `{shorten(str(key))}` twice", column=name, row=at)
        found[key] = value
    return found


def _map_rows(chunk: ArrowColumn) -> Iterable[Mapping[str, Any] | None]:
    offsets, valid, items = chunk.items()
    keys, values = _pairs_of(items, chunk)
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


def _pairs_of(items: ArrowColumn, chunk: ArrowColumn) -> tuple[list[Any], list[Any]]:
    """All keys and values. A map has them in this order, whatever their names; in a list of structs their names say so."""
    if items.format in ("+l", "+L"):  # pandas writes a map as a list of lists of two
        offsets, _, texts = items.items()
        if len(items) and (np.diff(offsets) == 2).all():
            pairs = _taken(texts, "text")
            return [pairs[at] for at in offsets[:-1]], [pairs[at + 1] for at in offsets[:-1]]
    fields = items.fields() if items.format == "+s" else []
    if chunk.format != "+m":
        fields = sorted(fields, key=lambda field: field.name.lower())
        if [field.name.lower() for field in fields] != ["key", "value"]:
            raise RequestValueError("the lists are not of pairs", column=chunk.name, hint=_TAG_HINT)
    return _taken(fields[0], "text"), _taken(fields[1], "context")


def _taken(column: ArrowColumn, kind: Any) -> list[Any]:
    read: TextColumn = read_column(column, column.name, kind=kind)
    return read.take(range(len(column)))
