"""`fastiam diff`: the decisions that differ between two sets of policies."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from datetime import datetime
from typing import Any

import click

from fastiam.analysis.access.decision_changes import Change, DiffGroup
from fastiam.analysis.access.diff import diff
from fastiam.analysis.access.diff_result import Diff
from fastiam.cli import exit_codes as exits
from fastiam.cli import options
from fastiam.cli.console import note, note_unseen
from fastiam.cli.files.batches import RowError, Source
from fastiam.cli.files.column_union import keys_of, no_column
from fastiam.cli.files.columns import as_text
from fastiam.cli.files.formats import NAMES, of_option
from fastiam.cli.files.readers import open_requests
from fastiam.cli.html_report import HTML, chosen_form, write_report
from fastiam.cli.planned_changes import Sides, sides
from fastiam.cli.policy_sources import check_stdin
from fastiam.cli.render import is_json, write_rows
from fastiam.cli.unused_columns import note_constants, note_defaults, note_unreadable
from fastiam.engine.summary import Summary
from fastiam.errors import counted
from fastiam.frames.arguments import OWNER, REQUEST
from fastiam.frames.batch import with_constants, with_tags
from fastiam.report.pictures import Names

COLUMNS = ("change", "rows", "layer", "statement", "side", "position", "principal", "action", "resource")
OF_TABLE = ("change", "rows", "layer", "statement", "position", "example")
OF_REPORT = ("change", "rows", "layer", "statement", "side", "principals", "actions", "resources")
UNDECIDED = ("address", "reason", "principals", "about", "position")


@click.command("diff")
@sides
@click.option("--requests", "source", metavar="FILE", help="Requests: Parquet, Arrow, CSV, JSON lines, or `-`.")
@click.option("--requests-format", type=click.Choice(NAMES), help="Format of the requests. Default: detected from content.")
@click.option("--log", multiple=True, metavar="PATH", help="In place of requests, logs of CloudTrail; may be repeated.")
@options.no_session_policies
@options.context
@options.unknown
@options.now
@options.unknown_owner
@options.report_form
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Threads of the engine.")
@click.option("--exit-zero", is_flag=True, help="Exit with 0 whatever is found.")
def command(
    sides: Sides,
    source: str | None,
    requests_format: str | None,
    log: tuple[str, ...],
    no_session_policies: bool,
    context: tuple[tuple[str, str], ...],
    unknown: tuple[str, ...],
    now: datetime | None,
    unknown_owner: str | None,
    form: str | None,
    out: str | None,
    threads: int,
    exit_zero: bool,
) -> int:
    """Compare the decisions of two sets of policies, grouped by the statement that changes them.

    The sides are --old and --new, or --policies and a planned change of them: --terraform, --cloudformation or --replace.
    With --log, compare over the calls of CloudTrail logs. Without --log and --requests, compare over the requests that the
    changed statements can reach, with every context key unknown that --context does not give.
    Exits with 2 if access is gained, 4 if some is gained or lost only by the values of unknown keys, if some requests cannot
    be decided, if a part of a planned change is unknown, or if something was not checked, else 0.
    """
    constants = options.context_of(context)
    if log and (source or unknown or now):
        raise click.UsageError("a log has requests and time: leave out --requests, --unknown and --now")
    if unknown and not source:
        raise click.UsageError("--unknown needs --requests: without requests every context key is unknown")
    check_stdin(*sides.paths, *log, source)
    form = chosen_form(form, out, *sides.paths, *log, *filter(None, [source]))
    compared = sides.open(unknown_owner)
    before, after = compared.old, compared.new
    for engine in (before, after) if constants else ():
        note_constants(engine, constants)
    if log:
        from fastiam.sources import read_cloudtrail

        trail = read_cloudtrail(*log, assume_no_session_policies=no_session_policies)
        found = diff(before, after, log=trail, context=constants, threads=threads)
    elif source is None:
        found = diff(before, after, context=with_constants({}, constants), now=now, threads=threads)
    else:
        with ExitStack() as stack:
            requests = open_requests(source, of_option(requests_format), stack)
            columns, of_rows = _columns(requests)
        owners = of_rows.pop(OWNER, None)
        note_defaults((before, after), (*of_rows, *constants), unknown)
        who, action, resource = columns
        note_unreadable((before, after), of_rows, len(who))
        given = {"unknown": (*unknown, *compared.unknown), "resource_accounts": owners, "now": now, "threads": threads}
        found = diff(before, after, who, action, resource, with_constants(of_rows, constants), **given)
    undecided, summary = [*_not_compared(found), *compared.undecided_lines()], _summary(found)
    for line in undecided:  # before the table, which would otherwise seem complete
        note(line)
    if form == HTML:
        from fastiam.cli.report_pictures import change_pictures, requests_of_groups

        of_groups = requests_of_groups(found)
        tables = {
            "Changes": (OF_REPORT, [_row_of_report(group, rows) for group, rows in zip(found.groups, of_groups, strict=True)]),
            "Undecided": (UNDECIDED, [item.to_dict() for item in compared.undecided]),
        }
        shown = {title: table for title, table in tables.items() if table[1]}
        not_compared = [*_not_compared(found), *(f"not checked: {text}" for text in found.unseen)]
        engines, pictures = (before, after), change_pictures(found, of_groups)
        write_report("Changed decisions", shown, out, summary=[*summary, *not_compared], engines=engines, pictures=pictures)
    else:
        rows = [found.group_to_dict(group) if is_json(form) else _row(found, group) for group in found.groups]
        write_rows(OF_TABLE if form == "text" else COLUMNS, rows, form)
    for line in summary:
        note(line)
    note_unseen(found.unseen)
    return exits.OK if exit_zero else _code(found, is_complete=not compared.undecided)


def _columns(requests: Source) -> tuple[list[Any], dict[str, Any]]:
    """The complete columns of a file of requests: those that every engine needs, and the condition keys."""
    from arro3.core import ChunkedArray

    parts: dict[str, list[Any]] = {}
    n = 0
    for batch in requests.batches:
        if batch.broken:
            row = min(batch.broken)
            raise RowError(batch.broken[row], source=requests.name, row=batch.first + row, line=batch.line_of(row))
        for name in (*parts, *(name for name in batch.columns if name not in parts)):
            values = batch.columns.get(name, [None] * batch.length)
            parts.setdefault(name, [] if not n else [[None] * n]).append(values)
        n += batch.length
    missing = [name for name in REQUEST if name not in parts]
    if missing:
        raise no_column(missing[0], list(parts), requests.name, "rename one in the file")
    joined: dict[str, Any] = {}
    for name, chunks in parts.items():
        if all(isinstance(chunk, list) for chunk in chunks):
            joined[name] = [value for chunk in chunks for value in chunk]
        elif len(chunks) == 1:
            joined[name] = chunks[0]
        else:
            whole = [as_text(chunk) if isinstance(chunk, list) else chunk for chunk in chunks]
            joined[name] = ChunkedArray([array for chunk in whole for array in getattr(chunk, "chunks", [chunk])])
    request, owner = [joined.pop(name) for name in REQUEST], joined.pop(OWNER, None)
    keys = keys_of(joined, {}, (), requests.name, "rename or drop the column")
    context = with_tags({name: joined[name] for name in keys}, {})
    return request, context if owner is None else {**context, OWNER: owner}


def _row(found: Diff, group: DiffGroup) -> dict[str, Any]:
    example = dict(zip(REQUEST, found.request(group.example), strict=True))
    summary = {"change": group.change, "rows": group.rows, "layer": group.layer, "statement": group.statement, "side": group.side}
    position = group.statement and group.statement.position
    return {**summary, "position": position, **example, "example": tuple(example.values())}


def _row_of_report(group: DiffGroup, requests: Sequence[tuple[str, str, str]]) -> dict[str, Any]:
    """A group with all of its principals, actions and resources, which are listed on demand."""
    columns = (tuple(dict.fromkeys(values)) for values in zip(*requests, strict=True))
    listed = (values[0] if len(values) == 1 else Names(values) for values in columns)
    return {name: getattr(group, name) for name in OF_REPORT[:5]} | dict(zip(OF_REPORT[5:], listed, strict=True))


def _not_compared(found: Diff) -> list[str]:
    """What was not compared, one fact a line."""
    lines = []
    if found.n_errors:
        lines.append(f"{found.n_errors:,} of {counted(found.n_rows, 'request')} could not be decided by one of the two")
        lines.append("help: their principals or resources are not in the policies, or not in the log")
    if found.unknown_principals:
        lines.append(f"{found.unknown_principals:,} of {found.n_rows:,} requests have a principal that is in neither of the two")
    return lines


def _summary(found: Diff) -> list[str]:
    counts = ", ".join(f"{count:,} {change.value}" for change, count in found.counts.items()) or "no decision changes"
    compared = found.n_rows - found.n_errors - found.unknown_principals
    lines = [f"{counted(compared, 'request')} compared: {counts}"] if compared or not found.n_rows else []
    if found.undecidable:
        lines.append(f"{found.undecidable:,} depend on unknown keys before and after")
    if found.missing_keys:
        lines += Summary(found.n_rows, missing_keys=found.missing_keys).missing_lines()
    return lines


def _code(found: Diff, *, is_complete: bool) -> int:
    is_open = {Change.MAY_GAIN, Change.MAY_LOSE} & found.counts.keys() or found.undecidable or not is_complete
    code = exits.of_search(is_found=Change.GAINED in found.counts, unseen=found.unseen)
    return exits.UNKNOWN if code == exits.OK and (is_open or found.n_errors or found.unknown_principals) else code
