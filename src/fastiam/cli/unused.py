"""`fastiam unused`: the granted actions of each user and role that no call in a log used."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import click

from fastiam.analysis.unused_access import Unused
from fastiam.cli import exit_codes as exits
from fastiam.cli import options
from fastiam.cli.console import note
from fastiam.cli.html_report import HTML, chosen_form, write_report
from fastiam.cli.policy_sources import check_stdin, open_engine
from fastiam.cli.render import is_json, write_rows

COLUMNS = ("principal", "granted", "used", "unused", "not_visible", "not_recorded", "not_granted", "calls", "last_call")
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
    which CloudTrail has no record for. Exits with 2 if there are unused actions, else 0.
    """
    from fastiam.sources import read_cloudtrail

    check_stdin(*policies, *log)
    form = chosen_form(form, out, *policies, *log)
    engine = open_engine(policies, saved)
    rows = engine.unused(read_cloudtrail(*log), since=since, data_events=data_events)
    any_calls = any(row.calls for row in rows)
    rows = [row for row in rows if not only or row.principal in only]
    n_unused = sum(bool(row.unused) for row in rows)
    n_without_calls = sum(bool(row.granted) and not row.calls for row in rows)
    summary = f"{n_unused:,} of {len(rows):,} users and roles have unused actions; {n_without_calls:,} made no call"
    if form == HTML:
        table = COLUMNS, [_row(row, form) for row in rows]
        write_report("Unused access", {"Users and roles": table}, out, summary=[summary, *_LEGEND])
    else:
        write_rows(COLUMNS, [row.to_dict() if is_json(form) else _row(row, form) for row in rows], form)
    note(summary)
    if not any_calls:
        since_then = f" since {since.isoformat()}" if since else ""
        note(f"no user or role of the policies made a call in the log{since_then}\nhelp: pass a log of the same accounts")
    return exits.DENIED if n_unused and not exit_zero else exits.OK


def _row(row: Unused, form: str) -> dict[str, Any]:
    return {
        name: _shortened(value) if form == "table" and isinstance(value, tuple) else value
        for name in COLUMNS
        for value in [getattr(row, name)]
    }


def _shortened(actions: Sequence[str]) -> tuple[str, ...]:
    """The first actions, and the number of the others."""
    more = len(actions) - _SHOWN
    return (*actions[:_SHOWN], f"and {more:,} more") if more > 0 else tuple(actions)
