"""The HTML page of a report."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from fastiam import __version__
from fastiam.errors import missing_package
from fastiam.model.decision import StatementRef
from fastiam.model.policy import Policy
from fastiam.model.request import shorten
from fastiam.report.pictures import Graph, HeatMap, Names, Picture, Words, heat_data, shown_cells
from fastiam.report.places import place_of

if TYPE_CHECKING:  # both need packages of an extra
    from jinja2 import Template

    from fastiam.report.sources import ShownDocument

MAX_ROWS: Final = 50_000


@dataclass(frozen=True, slots=True)
class DocumentLink:
    """A text that links to a file with findings."""

    text: str
    document: int


Cell = str | int | float | bool | None | StatementRef | DocumentLink | Names | Sequence[str]


@dataclass(frozen=True, slots=True)
class ReportTable:
    """A table: rows with one cell for each column, most important first. `n_more` rows exist and are not given."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    n_more: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """The content of a report.

    Attributes
    ----------
    title
        what was asked.
    summary
        one line of text for each fact.
    tables
        the rows, each statement with a link to its document.
    policies
        the policies that the statements are part of.
    documents
        files with findings, which cells link to by position.
    pictures
        what the tables are about, at a glance; they come first.
    inputs
        the files that the report was made from.
    """

    title: str
    summary: Sequence[str] = ()
    tables: Sequence[ReportTable] = ()
    policies: Iterable[Policy] = ()
    documents: Sequence[ShownDocument] = ()
    pictures: Sequence[Picture] = ()
    inputs: Sequence[str] = ()


def render(report: Report, now: datetime) -> str:
    """Return the page of a report: one HTML file that needs no network.

    Raises
    ------
    MissingPackageError
        jinja2 is not installed.
    """
    try:
        import jinja2  # noqa: F401
        from markupsafe import Markup
    except ModuleNotFoundError as error:
        raise missing_package("an HTML report", error, "cli") from None
    from fastiam.report.highlighting import static_text  # it needs markupsafe
    from fastiam.report.sources import documents_of

    shown = [_limited(table) for table in report.tables]
    refs = [
        (cell, " ".join(str(each) for each in row[:1] if isinstance(each, str)))
        for table in shown
        for row in table.rows
        for cell in row
        if isinstance(cell, StatementRef)
    ]
    documents, places = documents_of(refs, report.policies)
    places = {place: len(report.documents) + position for place, position in places.items()}
    pictures, heats, words = _pictures(report, shown)
    tables = [
        {
            "title": table.title,
            "columns": [name.replace("_", " ") for name in table.columns],
            "rows": [[_json_cell(cell, places, words) for cell in row] for row in table.rows],
            "more": table.n_more,
        }
        for table in shown
    ]
    style = static_text("pages.css") + static_text("report.css")
    script = static_text("report.js")
    page = _template().render(
        title=report.title,
        window_title=shorten(report.title, 200),
        summary=report.summary,
        inputs=report.inputs,
        pictures=pictures,
        listed=Markup(_script_json({"words": words.all, "heat": heats})) if words.all else None,
        has_findings=bool(report.documents),
        documents=[*report.documents, *documents],
        data=Markup(_script_json(tables)),  # escaped for a script element
        style=Markup(style),
        script=Markup(script),
        policy=f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "base-uri 'none'; form-action 'none'",
        made=now.strftime("%Y-%m-%d %H:%M UTC"),
        version=__version__,
    )
    return page


@cache
def _template() -> Template:
    from jinja2 import Environment, StrictUndefined

    from fastiam.report.highlighting import prose, visible  # it needs markupsafe

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["visible"] = visible
    environment.filters["prose"] = prose
    return environment.from_string((files(__package__) / "report.html").read_text("utf-8"))


def _pictures(report: Report, tables: Sequence[ReportTable]) -> tuple[list[Mapping[str, Any]], list[object], Words]:
    """Return the pictures for the template, the heat maps for the script, and the names that are listed on demand."""
    from fastiam.report.graph import drawn_graph  # it needs markupsafe

    cells = (cell for table in tables for row in table.rows for cell in row)
    names = [name for cell in cells if isinstance(cell, Names) for name in cell.names]
    heat_maps = [picture for picture in report.pictures if isinstance(picture, HeatMap)]
    words = Words([*names, *(name for heat in heat_maps for cell in shown_cells(heat) for name in cell.names)])
    found: list[Mapping[str, Any]] = []
    for picture in report.pictures:
        if isinstance(picture, HeatMap):
            found.append({"kind": "heat", "number": heat_maps.index(picture)})
        elif isinstance(picture, Graph):
            drawing = drawn_graph(picture)
            found.append({"kind": "graph", "title": picture.title, "note": picture.note, "drawing": drawing})
        else:
            found.append({"kind": "sentences", "title": picture.title, "lines": picture.lines})
    return found, [heat_data(heat, words) for heat in heat_maps], words


def _limited(table: ReportTable) -> ReportTable:
    """Return a table with at most `MAX_ROWS` rows."""
    if len(table.rows) <= MAX_ROWS:
        return table
    n_more = table.n_more + len(table.rows) - MAX_ROWS
    return ReportTable(table.title, table.columns, table.rows[:MAX_ROWS], n_more)


def _json_cell(cell: Cell, places: Mapping[tuple[str, str], int], words: Words) -> object:
    """Return a cell for the script: text, a number, a list of texts, a text with its document, or names that are listed."""
    if isinstance(cell, Names):
        return {"number": len(cell.names), "names": words.ranges(cell.names)}
    if isinstance(cell, StatementRef):
        text, place = f"{cell.label} of {cell.policy}", places.get(place_of(cell))
        return text if place is None else {"text": text, "document": place}
    if isinstance(cell, DocumentLink):
        return {"text": cell.text, "document": cell.document}
    if isinstance(cell, bool):
        return str(cell).lower()
    if cell is None or isinstance(cell, (str, int, float)):
        return cell
    return list(cell)


def _script_json(value: object) -> str:
    """Return JSON that can be the content of a script element: no character of it ends the element or starts a comment."""
    text = json.dumps(value)  # ASCII only, so that U+2028 and lone surrogates are escapes
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
