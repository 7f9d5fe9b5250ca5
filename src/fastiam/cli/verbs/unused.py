"""`fastiam unused`: the granted actions of each user and role that no call in a log used."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from fastiam.analysis.access.unused_access import Unused
from fastiam.analysis.unreadable_policies import principals_with_unreadable_policies
from fastiam.cli import exit_codes as exits
from fastiam.cli import options
from fastiam.cli.console import note, note_unseen
from fastiam.cli.html_report import HTML, chosen_form, write_report
from fastiam.cli.policy_sources import check_stdin, open_engine
from fastiam.cli.render import is_json, write_rows
from fastiam.report.pictures import Names

if TYPE_CHECKING:
    from fastiam.api.engine import Engine

COLUMNS = (
    "principal", "granted", "used", "unused", "not_visible", "not_recorded", "not_granted", "calls", "last_call", "former_calls"
)  # fmt: skip
_SHOWN = 8  # actions in a cell of a table
_LEGEND = (
    "unused: CloudTrail records these calls, and the log has none",
    "not visible: a trail writes these calls only as data events",
    "not recorded: no published operation has this name",
)


@click.command("unused")
@options.policies
@click.argument("log", nargs=-1, required=True, metavar="LOG...")
@click.option("--since", type=options.Instant(), help="Calls before this time do not count. Default: all calls count.")
@click.option(
    "--data-events",
    multiple=True,
    metavar="PREFIX",
    help="A service whose data events the trail writes for all resources, such as `s3`. May be repeated.",
)
@click.option("--principal", "only", multiple=True, metavar="ARN", help="Show only this user or role. May be repeated.")
@options.report_form
@options.exit_zero
def command(
    policies: tuple[str, ...],
    saved: str | None,
    log: tuple[str, ...],
    since: datetime | None,
    data_events: tuple[str, ...],
    only: tuple[str, ...],
    form: str | None,
    out: str | None,
    exit_zero: bool,
) -> int:
    """List the granted actions that no call in a CloudTrail LOG used, by user and role.

    Actions are in three groups: `unused`; `not visible`, whose calls a trail writes only as data events; and `not recorded`,
    which CloudTrail has no record for. Exits with 2 if there are unused actions, 4 if there are none and the log does not show
    the use of some, else 0.
    """
    from fastiam.sources import read_cloudtrail

    check_stdin(*policies, *log)
    form = chosen_form(form, out, *policies, *log)
    engine = open_engine(policies, saved)
    rows = engine.unused(read_cloudtrail(*log), since=since, data_events=data_events)
    unseen = [] if any(row.calls for row in rows) else [_no_calls(since)]
    rows = [row for row in rows if not only or row.principal in only]
    n_unused = sum(bool(row.unused) for row in rows)
    n_without_calls = sum(bool(row.granted) and not row.calls for row in rows)
    summary = f"{n_unused:,} of {len(rows):,} users and roles have unused actions; {n_without_calls:,} made no call"
    if not n_unused:
        unseen += _unseen(rows, engine, only)
    if form == HTML:
        from fastiam.cli.report_pictures import unused_picture

        table = COLUMNS, [{name: _counted(getattr(row, name)) for name in COLUMNS} for row in rows]
        lines = [summary, *(f"not checked: {text}" for text in unseen), *_LEGEND]
        write_report("Unused access", {"Users and roles": table}, out, summary=lines, pictures=unused_picture(rows))
    else:
        write_rows(COLUMNS, [row.to_dict() if is_json(form) else _row(row, form) for row in rows], form)
    note(summary)
    n_former = sum(row.former_calls for row in rows)
    if n_former:
        note(f"{n_former:,} calls of deleted users and roles with the same ARN and another unique id do not count")
    note_unseen(unseen)
    return exits.OK if exit_zero else exits.of_search(is_found=bool(n_unused), unseen=unseen)


def _no_calls(since: datetime | None) -> str:
    since_then = f" since {since.isoformat()}" if since else ""
    return f"no user or role of the policies made a call in the log{since_then}\nhelp: pass a log of the same accounts"


def _unseen(rows: Sequence[Unused], engine: Engine, only: Sequence[str]) -> Iterator[str]:
    """Yield what the log and the policies do not show, if no action is unused."""
    for name, why in (("not_visible", "a trail writes only as data events"), ("not_recorded", "CloudTrail has no record for")):
        n_actions = len({action for row in rows for action in getattr(row, name)})
        if n_actions:
            yield f"{n_actions:,} granted actions that {why}"
    yield from principals_with_unreadable_policies(engine.snapshot, only)


def _row(row: Unused, form: str) -> dict[str, Any]:
    return {
        name: _shortened(value) if form == "text" and isinstance(value, tuple) else value
        for name in COLUMNS
        for value in [getattr(row, name)]
    }


def _counted(value: Any) -> Any:
    """A list as its number, with names that are listed on demand."""
    return Names(value) if isinstance(value, tuple) else value


def _shortened(actions: Sequence[str]) -> tuple[str, ...]:
    """The first actions, and the number of the others."""
    more = len(actions) - _SHOWN
    return (*actions[:_SHOWN], f"and {more:,} more") if more > 0 else tuple(actions)
