"""JSON lines of requests: one object a line, decoded by orjson, so that every broken line can be named.

Names may differ from line to line: a batch has the columns that its lines name, and null is no value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, BinaryIO

import orjson

from fastiam.cli.batches import ROWS, Batch, Complaint
from fastiam.cli.columns import texts

_BOM = b"\xef\xbb\xbf"


def read_json_lines(stream: BinaryIO) -> Iterator[Batch]:
    """Batches of a file of JSON lines; blank lines are no rows."""
    first = line = 0
    while raw := list(islice(stream, ROWS)):
        if line == 0:
            raw[0] = raw[0].removeprefix(_BOM)
        rows, broken, numbers = _rows(raw)
        yield Batch(first, len(rows), _columns(rows), broken, _line_of(numbers, line))
        first, line = first + len(rows), line + len(raw)


def _line_of(numbers: Sequence[int], before: int) -> Callable[[int], int]:
    return lambda row: before + numbers[row]


def _rows(raw: Sequence[bytes]) -> tuple[list[dict[str, Any]], dict[int, Complaint], Sequence[int]]:
    """Objects, what is wrong with rows (which are empty then), and the line of each row from 1."""
    try:
        rows = list(map(orjson.loads, raw))
        if set(map(type, rows)) == {dict}:
            return rows, {}, range(1, len(rows) + 1)
    except orjson.JSONDecodeError:
        pass  # line by line, to find out which
    rows, broken, numbers = [], {}, []
    for number, text in enumerate(raw, 1):
        if not text.strip():
            continue
        row, complaint = _row(text)
        if complaint:
            broken[len(rows)] = ("", complaint)
        rows.append(row)
        numbers.append(number)
    return rows, broken, numbers


def _row(text: bytes) -> tuple[dict[str, Any], str]:
    try:
        row = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return {}, f"not JSON: {error.msg}, in column {error.colno}"
    return (row, "") if isinstance(row, dict) else ({}, "a request must be an object")


def _columns(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One column for each name that occurs. PERF: lines mostly have the same names in the same order."""
    shapes = dict.fromkeys(map(tuple, rows))
    if len(shapes) == 1:
        return {
            name: _column(list(values)) for name, values in zip(*shapes, zip(*map(dict.values, rows), strict=True), strict=True)
        }
    names = dict.fromkeys(chain.from_iterable(shapes))
    return {name: _column([row.get(name) for row in rows]) for name in names}


def _column(values: list[Any]) -> Any:
    """Texts as an Arrow array, which is read fastest; anything else stays as it is, for the engine to judge."""
    try:
        return texts(values)
    except (TypeError, UnicodeEncodeError):
        return values
