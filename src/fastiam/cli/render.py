"""Results for a terminal, as a table or text, and for pipes, as JSON lines or CSV.

`fastiam.model.result` defines the JSON form of results.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import Any

from fastiam.analysis.access.grants import GrantStatement, Limit
from fastiam.cli.console import is_rich, visible, write
from fastiam.model.decision import Outcome, StatementRef
from fastiam.model.explanation import ResidualStatement
from fastiam.model.explanation_text import condition_text, residual_text
from fastiam.model.policy import ConditionEntry
from fastiam.model.result import to_json

_WIDTHS = {"principal": 40, "outcome": 13, "change": 8}  # minimal width of a column, if its cells are as wide
_NARROW = 8  # the same for all others
STYLES = {
    "ALLOW": "green",
    "DEPENDS": "yellow",
    "IMPLICIT_DENY": "red",
    "EXPLICIT_DENY": "red",
    "ERROR": "bold red",
}


def chosen(form: str | None, for_people: str) -> str:
    """The requested format; by default the one for people on a terminal, JSON lines in a pipe."""
    return form or (for_people if is_rich(sys.stdout) else "jsonl")


def is_json(form: str) -> bool:
    """Whether rows in a format are JSON: complete results, not cells."""
    return form in ("json", "jsonl")


def write_json(record: object, form: str) -> None:
    """Write a record as one JSON document: indented for `json`, one line for `jsonl`."""
    write(json.dumps(to_json(record), indent=2 if form == "json" else None))


def write_rows(columns: Sequence[str], rows: Iterable[Mapping[str, Any]], form: str) -> None:
    """Write rows in a format: `table` (rich), `jsonl`, `json` (one array) or `csv`. Lists are joined by line breaks in a table,
    by `; ` in CSV."""
    if form == "table":
        _write_table(columns, rows)
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


def _write_table(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console, table = Console(file=sys.stdout, highlight=False), Table(box=SIMPLE_HEAD)
    records = list(rows)
    shown = [name for name in columns if any(row[name] not in (None, "", (), []) for row in records)]
    longest = {
        name: max(len(name), *(len(line) for row in records for line in visible(cell_text(row[name], "\n")).split("\n")))
        for name in shown
    }
    widths = _widths(longest, console.width)
    for name in shown:
        table.add_column(name.replace("_", " "), overflow="fold", width=widths.get(name))
    for row in records:
        cells = [visible(cell_text(row[name], "\n")) for name in shown]
        table.add_row(*(Text(cell, style=STYLES.get(cell, "")) for cell in cells))
    console.print(table)


def _widths(longest: Mapping[str, int], room: int) -> dict[str, int]:
    """The widths of columns that do not all fit: the minimal width of each, and equal shares of the rest.

    Empty if all fit, or if the minimal widths do not fit: rich then chooses the widths.
    """
    room -= 3 * len(longest)  # between columns
    widths = {name: min(needed, _WIDTHS.get(name, _NARROW)) for name, needed in longest.items()}
    left = room - sum(widths.values())
    if sum(longest.values()) <= room or left < 0:
        return {}
    while left and (open_ := [name for name, width in widths.items() if width < longest[name]]):
        for name in open_[:left]:
            widths[name] += 1
        left -= min(left, len(open_))
    return widths


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
