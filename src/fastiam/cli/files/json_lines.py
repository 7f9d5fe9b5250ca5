"""JSON lines of requests: one object a line, decoded by orjson, so that every broken line can be reported.

Names may differ from line to line: a batch has the columns that its lines name, and null means that the key is absent.
A line in which a name occurs twice is broken. orjson keeps the last value; the count of quotation marks detects the others.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, BinaryIO

import orjson

from fastiam.cli.files.batches import ROWS, Batch, RowProblem
from fastiam.cli.files.columns import texts
from fastiam.errors import RequestValueError
from fastiam.frames.nested import TAGS
from fastiam.model.request import check_key, shorten

_ESCAPED = re.compile(rb"\\.")
_BOM = b"\xef\xbb\xbf"


def read_json_lines(stream: BinaryIO, renamed: Collection[str] = ()) -> Iterator[Batch]:
    """Batches of a file of JSON lines; blank lines are not rows.

    A line is broken if a name in it has a `:`, as keys have, and cannot be a context key, unless it is one of `renamed`.
    """
    first = line = 0
    while raw := list(islice(stream, ROWS)):
        if line == 0:
            raw[0] = raw[0].removeprefix(_BOM)
        rows, broken, numbers = _rows(raw)
        _check_names(rows, renamed, broken)
        yield Batch(first, len(rows), _columns(rows), broken, _line_of(numbers, line))
        first, line = first + len(rows), line + len(raw)


def _check_names(rows: list[dict[str, Any]], renamed: Collection[str], broken: dict[int, RowProblem]) -> None:
    invalid: dict[str, str] = {}
    for name in dict.fromkeys(chain.from_iterable(set(map(tuple, rows)))):
        if ":" not in name or name.endswith(TAGS):
            continue
        try:
            check_key(name)
        except RequestValueError as error:
            if name not in renamed:
                invalid[name] = error.message
    if invalid:
        for i, row in enumerate(rows):
            found = next((name for name in row if name in invalid), None)
            if found is not None:
                rows[i], broken[i] = {}, (shorten(found), invalid[found])


def _line_of(numbers: Sequence[int], before: int) -> Callable[[int], int]:
    return lambda row: before + numbers[row]


def _rows(raw: Sequence[bytes]) -> tuple[list[dict[str, Any]], dict[int, RowProblem], Sequence[int]]:
    """Objects, problems of rows (which are then empty), and the line of each row from 1."""
    try:
        rows = list(map(orjson.loads, raw))
        if set(map(type, rows)) == {dict} and not _has_twins(b"".join(raw), rows):
            return rows, {}, range(1, len(rows) + 1)
    except orjson.JSONDecodeError:
        pass  # read line by line to find the broken ones
    rows, broken, numbers = [], {}, []
    for number, text in enumerate(raw, 1):
        if not text.strip():
            continue
        row, problem = _row(text)
        if problem:
            broken[len(rows)] = problem
        rows.append(row)
        numbers.append(number)
    return rows, broken, numbers


def _row(text: bytes) -> tuple[dict[str, Any], RowProblem | None]:
    try:
        row = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return {}, ("", f"not JSON: {error.msg}, in column {error.colno}")
    if not isinstance(row, dict):
        return {}, ("", "a request must be an object")
    return ({}, (_twin(text), "the name is given twice in one object")) if _has_twins(text, [row]) else (row, None)


def _has_twins(text: bytes, rows: Iterable[dict[str, Any]]) -> bool:
    """Whether an object in the text of some rows has a name twice, however it is escaped.

    Each name and each text has two quotation marks that are not escaped, so a text with a name twice has more than its rows.
    """
    if b"\\" in text:
        text = _ESCAPED.sub(b"", text)
    return text.count(b'"') != 2 * sum(map(_count_texts, rows))


def _count_texts(row: dict[str, Any]) -> int:
    """The names and texts of an object."""
    values = list(row.values())
    kinds = list(map(type, values))
    count = len(row) + kinds.count(str)
    while dict in kinds or list in kinds:
        values = [item for value in values if isinstance(value, (dict, list)) for item in _items(value)]
        kinds = list(map(type, values))
        count += kinds.count(str)
    return count


def _items(value: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return value if isinstance(value, list) else chain(value, value.values())


def _twin(text: bytes) -> str:
    """A name that an object of a line has twice; "" where the line is too deep to find it."""
    found: list[str] = []

    def read(pairs: list[tuple[str, Any]]) -> None:
        found.extend(name for name, n in Counter(name for name, _ in pairs).items() if n > 1)

    try:
        json.loads(text, object_pairs_hook=read)
    except RecursionError:
        return ""
    return found[0] if found else ""


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
    """Texts as an Arrow array, which is read fastest; other values unchanged, which the engine checks."""
    try:
        return texts(values)
    except (TypeError, UnicodeEncodeError):
        return values
