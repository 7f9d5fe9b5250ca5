"""JSON lines of requests: one object a line, decoded by orjson, so that every broken line can be reported.

Names may differ from line to line: a batch has the columns that its lines name, and null means that the key is absent.
A line in which a name occurs twice is broken.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import chain, islice
from typing import Any, BinaryIO

import orjson

from fastiam.cli.files.batches import ROWS, Batch, OpenedFile, RowProblem, Source
from fastiam.cli.files.columns import texts
from fastiam.errors import RequestValueError
from fastiam.frames.nested import TAGS
from fastiam.frames.row_objects import columns_of, shapes_of, sound_objects
from fastiam.model.request import check_key, shorten
from fastiam.strict_json import JsonLimits, find_fault

_BOM = b"\xef\xbb\xbf"
_LIMITS = JsonLimits(depth=1024, members=1 << 30)


def open_json_lines(file: OpenedFile) -> Source:
    """Open a file of JSON lines, whose columns are not known before they are read."""
    return Source(file.shown, read_json_lines(file.stream, file.renamed), file.progress)


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
        columns = {name: _column(values) for name, values in columns_of(rows).items()}
        yield Batch(first, len(rows), columns, broken, _line_of(numbers, line))
        first, line = first + len(rows), line + len(raw)


def _check_names(rows: list[dict[str, Any]], renamed: Collection[str], broken: dict[int, RowProblem]) -> None:
    invalid: dict[str, str] = {}
    for name in dict.fromkeys(chain.from_iterable(shapes_of(rows))):
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
                rows[i], broken[i] = {}, RowProblem("bad_key", shorten(found), invalid[found])


def _line_of(numbers: Sequence[int], before: int) -> Callable[[int], int]:
    return lambda row: before + numbers[row]


def _rows(raw: Sequence[bytes]) -> tuple[list[dict[str, Any]], dict[int, RowProblem], Sequence[int]]:
    """Objects, problems of rows (which are then empty), and the line of each row from 1."""
    found = sound_objects(raw, _LIMITS)
    if found is not None:
        return found, {}, range(1, len(found) + 1)
    rows: list[dict[str, Any]] = []
    broken, numbers = {}, []
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
        return {}, RowProblem("bad_json", "", f"not JSON: {error.msg}, in column {error.colno}")
    if not isinstance(row, dict):
        return {}, RowProblem("not_object", "", "a request must be an object")
    fault = find_fault(text, _LIMITS)
    if fault is None:
        return row, None
    return {}, RowProblem(fault.code, fault.name, "the name is given twice in one object" if fault.name else fault.message)


def _column(values: list[Any]) -> Any:
    """Texts as an Arrow array, which is read fastest; other values unchanged, which the engine checks."""
    try:
        return texts(values)
    except (TypeError, UnicodeEncodeError):
        return values
