"""Results as text for people, which is the same in a pipe, and as JSON, JSON lines or CSV for programs.

`fastiam.model.result` defines the JSON form of results. INVARIANT: a text is wrapped between words, and no
word is broken, so that ARNs can be copied and searched.
"""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from enum import Enum
from itertools import repeat, zip_longest
from textwrap import wrap
from typing import Any

from fastiam.analysis.access.grants import GrantStatement, Limit
from fastiam.cli.console import Piece, is_rich, visible, write
from fastiam.model.decision import Outcome, StatementRef
from fastiam.model.explanation import ResidualStatement
from fastiam.model.explanation_text import condition_text, residual_text
from fastiam.model.policy import ConditionEntry
from fastiam.model.result import to_json

_WRAPPED = 30  # the minimal width of a column whose cells are wrapped
STYLES = {
    "ALLOW": "green",
    "DEPENDS": "yellow",
    "IMPLICIT_DENY": "red",
    "EXPLICIT_DENY": "red",
    "ERROR": "bold red",
}


def is_json(form: str) -> bool:
    """Whether rows in a format are JSON: complete results, not cells."""
    return form in ("json", "jsonl")


def write_json(record: object, form: str) -> None:
    """Write a record as one JSON document: indented for `json`, one line for `jsonl`."""
    write(json.dumps(to_json(record), indent=2 if form == "json" else None))


def write_rows(columns: Sequence[str], rows: Iterable[Mapping[str, Any]], form: str) -> None:
    """Write rows in a format: `text` (a table, or a block for each row), `jsonl`, `json` (one array) or `csv`.

    Lists are joined by line breaks in a text, by `; ` in CSV. Columns without a value are not in a text.
    """
    if form == "text":
        _write_text(columns, list(rows))
    elif form == "csv":
        out = io.StringIO(newline="")
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([cell_text(row[name], "; ") for name in columns] for row in rows)
        sys.stdout.write(visible(out.getvalue()) if is_rich(sys.stdout) else out.getvalue())
    elif form == "json":
        write(json.dumps([to_json(row) for row in rows], indent=2))
    else:
        for row in rows:
            write(json.dumps(to_json(row)))


def _write_text(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """A table if the words of its cells fit into the width of the terminal, else a block for each row."""
    cells = {name: [visible(cell_text(row[name], "\n")) for row in rows] for name in columns}
    cells = {name: texts for name, texts in cells.items() if any(texts)}
    if not cells:
        return
    width = _terminal_width()
    widths = _widths({name.replace("_", " "): texts for name, texts in cells.items()}, width)
    lines = _blocks(cells, width) if widths is None else _table(cells, widths)
    for line in lines:
        write(line)


def _terminal_width() -> int:
    """The width of the terminal, of a pager behind a pipe too; 80 without one."""
    if "COLUMNS" not in os.environ:
        for stream in (1, 2, 0):
            with suppress(OSError):
                return os.get_terminal_size(stream).columns or 80
    return shutil.get_terminal_size().columns


def _widths(cells: Mapping[str, Sequence[str]], room: int) -> list[int] | None:
    """The widths of the columns of a table: those of its cells, or at least of each word; None if these do not fit."""
    room -= len(_GAP) * (len(cells) - 1)
    longest = [max(map(len, (title, *"\n".join(texts).split("\n")))) for title, texts in cells.items()]
    words = [max(map(len, (*title.split(), *"\n".join(texts).split()))) for title, texts in cells.items()]
    widths = [max(min(whole, _WRAPPED), word) for whole, word in zip(longest, words, strict=True)]
    left = room - sum(widths)
    if left < 0:
        return None
    while left and (open_ := [i for i, width in enumerate(widths) if width < longest[i]]):
        for i in open_[:left]:
            widths[i] += 1
        left -= min(left, len(open_))
    return widths


_GAP = "  "  # between columns


def _table(cells: Mapping[str, Sequence[str]], widths: Sequence[int]) -> Iterator[list[Piece]]:
    yield [(_GAP.join(name.replace("_", " ").ljust(width) for name, width in zip(cells, widths, strict=True)).rstrip(), "bold")]
    yield [(_GAP.join("─" * width for width in widths), "dim")]
    for row in zip(*cells.values(), strict=True):
        wrapped = [_wrapped(text, width) for text, width in zip(row, widths, strict=True)]
        for line in zip_longest(*wrapped, fillvalue=""):
            pieces = [(part.ljust(width), STYLES.get(part, "")) for part, width in zip(line, widths, strict=True)]
            joined = [piece for pair in zip(pieces, repeat((_GAP, "")), strict=False) for piece in pair]
            while joined and not joined[-1][0].strip():
                joined.pop()
            yield [*joined[:-1], (joined[-1][0].rstrip(), joined[-1][1])] if joined else []


def _blocks(cells: Mapping[str, Sequence[str]], width: int) -> Iterator[list[Piece]]:
    indent = max(map(len, cells)) + len(_GAP)
    for i, row in enumerate(zip(*cells.values(), strict=True)):
        if i:
            yield []
        for name, text in zip(cells, row, strict=True):
            for number, line in enumerate(_wrapped(text, max(width - indent, _WRAPPED)) if text else ()):
                yield [((name.replace("_", " ") if number == 0 else "").ljust(indent), "bold"), (line, STYLES.get(text, ""))]


def _wrapped(text: str, width: int) -> list[str]:
    """The lines of a text, wrapped between words."""
    lines = (wrap(line, width, break_long_words=False, break_on_hyphens=False) or [""] for line in text.split("\n"))
    return [part for line in lines for part in line]


def cell_text(value: object, between: str) -> str:
    """A value as the text of one cell."""
    if value is None:
        return ""
    if isinstance(value, (tuple, list)):
        return between.join(cell_text(item, between) for item in value)
    if isinstance(value, ConditionEntry):
        return condition_text(value)
    if isinstance(value, ResidualStatement):
        return residual_text(value)
    if isinstance(value, (GrantStatement, Limit)):
        return json.dumps(to_json(value))
    if isinstance(value, StatementRef):
        return f"{value.label} of {value.policy}"
    if isinstance(value, Outcome):
        return value.name
    if isinstance(value, bool):
        return str(value).lower()
    return str(value.value if isinstance(value, Enum) else value)
