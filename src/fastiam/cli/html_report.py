"""Results as an HTML report: `--format html`, or `--out report.html`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING, Any

import click

from fastiam.cli.file_arguments import check_out, open_out
from fastiam.cli.render import cell_text
from fastiam.model.decision import StatementRef
from fastiam.model.policy import Policy
from fastiam.model.protocols import AnalysisEngine
from fastiam.report.page import MAX_ROWS, Cell, DocumentLink, Report, ReportTable, render
from fastiam.report.pictures import Names, Picture

if TYPE_CHECKING:
    from fastiam.report.sources import ShownDocument

HTML = "html"
_SOURCES = "fastiam.sources"  # of the command that runs
_ENGINES = ("saved", "old_engine", "new_engine")  # parameters


def chosen_form(form: str | None, out: str | None, *sources: str) -> str:
    """The format of a result: that of `--format`; HTML with `--out`; else text.

    Raises
    ------
    SourceError
        the file cannot be written, or is one of the files that are read.
    """
    if out is not None and form not in (None, HTML):
        raise click.UsageError(f"--out writes an HTML report: leave out `--format {form}`")
    if out is not None:
        check_out(out, "the report", *sources)
    context = click.get_current_context(silent=True)
    if context is not None:
        context.meta[_SOURCES] = sources
    return HTML if out is not None else form or "text"


def write_report(
    title: str,
    tables: Mapping[str, tuple[Sequence[str], Iterable[Mapping[str, Any]]]],
    out: str | None,
    *,
    summary: Sequence[str] = (),
    engines: Sequence[AnalysisEngine] = (),
    policies: Sequence[Policy] = (),
    documents: Sequence[ShownDocument] = (),
    pictures: Sequence[Picture] = (),
) -> None:
    """Write a report to a file, or to standard output.

    Parameters
    ----------
    tables
        columns and rows by title.
    engines, policies
        they have the documents of the statements in the rows.
    documents
        files with findings, which cells link to by position.
    pictures
        what comes before the tables.
    """
    made = [_table(name, columns, rows) for name, (columns, rows) in tables.items()]
    known = chain(policies, *(engine.snapshot.policies() for engine in engines))
    page = render(Report(title, summary, made, known, documents, pictures, _inputs()), datetime.now(UTC))
    with open_out(out or "-") as file:
        file.write(page.encode("utf-8", "backslashreplace"))  # lone surrogates cannot be written
    sys.stdout.flush()


def _inputs() -> list[str]:
    """The files that the command reads, as they were given."""
    context = click.get_current_context(silent=True)
    if context is None:
        return []
    sources = [*context.meta.get(_SOURCES, ()), *(context.params.get(name) for name in _ENGINES)]
    found = ["standard input" if source == "-" else str(source) for source in sources if source]
    return list(dict.fromkeys(found)) or [store for store in [os.environ.get("FASTIAM_STORE")] if store]


def _table(title: str, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> ReportTable:
    """A table without its empty columns."""
    cells: list[list[Cell]] = []
    n_more = 0
    for row in rows:
        if len(cells) < MAX_ROWS:
            cells.append([_cell(row[name]) for name in columns])
        else:
            n_more += 1
    kept = [i for i in range(len(columns)) if any(row[i] not in (None, "", []) for row in cells)]
    return ReportTable(title, [columns[i] for i in kept], [[row[i] for i in kept] for row in cells], n_more)


def _cell(value: Any) -> Cell:
    if isinstance(value, (StatementRef, DocumentLink, Names)) or value is None:
        return value
    if isinstance(value, (tuple, list)):
        return [cell_text(item, " ") for item in value]
    if isinstance(value, (int, float)) and type(value) in (int, float):
        return value
    return cell_text(value, "\n")
