"""`fastiam escalations`: the paths by which users and roles become administrators, or another principal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import click

from fastiam.analysis.escalation.paths import ADMINISTRATOR, EscalationPath
from fastiam.analysis.unreadable_policies import principals_with_unreadable_policies
from fastiam.cli import exit_codes as exits
from fastiam.cli import options
from fastiam.cli.console import note, note_unseen, write
from fastiam.cli.html_report import HTML, chosen_form, write_report
from fastiam.cli.policy_sources import open_engine
from fastiam.cli.render import is_json, write_rows
from fastiam.model.decision import Outcome
from fastiam.model.key_registry import spelled

COLUMNS = ("principal", "target", "outcome", "pattern", "steps", "assumptions", "depends_on")
OF_ADMINISTRATORS = ("principal", "outcome", "statements", "depends_on")
STEPS = ("path", "principal", "pattern", "action", "resource", "outcome", "statement", "depends_on")


@click.command("escalations")
@options.policies
@click.option("--to", default="admin", show_default=True, metavar="ARN", help="`admin`, or the ARN of a user or role.")
@options.unknown
@options.now
@click.option("--paths", metavar="FILE", help="A catalogue of patterns, in place of that of fastiam.")
@options.unknown_owner
@options.report_form
@options.exit_zero
def command(
    policies: tuple[str, ...],
    saved: str | None,
    to: str,
    unknown: tuple[str, ...],
    now: datetime | None,
    paths: str | None,
    unknown_owner: str | None,
    form: str | None,
    out: str | None,
    exit_zero: bool,
) -> int:
    """List the shortest path of each user and role to an administrator, or to the principal of `--to`, and the administrators.

    All keys are unknown unless `--unknown` names some. Exits with 0 without a path, 2 with a path that works whatever the unknown
    keys are, and 4 with possible paths only, or if there is none and something was not checked.
    """
    form = chosen_form(form, out, *policies)
    engine = open_engine(policies, saved, unknown_owner=unknown_owner)
    found = engine.escalations(to, unknown=unknown or ("*",), now=now, paths=paths)
    administrators = engine.administrators(to, unknown=unknown or ("*",), now=now)
    n_sure = sum(path.outcome is Outcome.ALLOW for path in found)
    n_possible = sum(path.outcome is not Outcome.ALLOW for path in administrators)
    principals = len({path.principal for path in found})
    summary = f"{principals:,} users and roles have a path; {n_sure:,} of {len(found):,} paths are sure"
    listed = f"{len(administrators):,} users and roles are administrators already, {n_possible:,} of them under conditions"
    unseen = [] if found else principals_with_unreadable_policies(engine.snapshot)
    if form == HTML:
        tables = {
            "Paths": (COLUMNS, map(_row, found)),
            "Steps": (STEPS, _steps(found)),
            "Administrators": (OF_ADMINISTRATORS, map(_row, administrators)),
        }
        from fastiam.cli.report_pictures import escalation_picture

        lines = [summary, listed, *(f"not checked: {text}" for text in unseen)]
        pictures = escalation_picture(found)
        write_report("Escalation paths", tables, out, summary=lines, engines=[engine], pictures=pictures)
    elif form == "text":
        write_rows(COLUMNS, map(_row, found), form)
        if found and administrators:
            write("")
        for path in administrators:
            write(_administrator_line(path))
    else:
        write_rows(COLUMNS, (path.to_dict() if is_json(form) else _row(path) for path in found + administrators), form)
    if administrators:
        note(listed)
    note(summary)
    note_unseen(unseen)
    if found and not n_sure:
        unseen.append("paths that depend on unknown keys or on assumptions")
    return exits.OK if exit_zero else exits.of_search(is_found=bool(n_sure), unseen=unseen)


def _administrator_line(path: EscalationPath) -> str:
    """An administrator in one line: who, whether for certain, and by which statements."""
    row = _row(path)
    line = f"{ADMINISTRATOR}  {path.principal}  {path.outcome.name}  by {', '.join(row['statements'])}"
    return f"{line}, depends on {', '.join(row['depends_on'])}" if row["depends_on"] else line


def _row(path: EscalationPath) -> dict[str, Any]:
    row = {name: getattr(path, name) for name in COLUMNS}
    steps = tuple(f"{step.action} on {step.resource}" for step in path.steps)
    statements = tuple(dict.fromkeys(f"{ref.label} of {ref.policy}" for step in path.steps if (ref := step.statement)))
    pattern = path.pattern or (ADMINISTRATOR,)
    depends_on = tuple(map(spelled, path.depends_on))
    return row | {"pattern": pattern, "steps": steps, "statements": statements, "depends_on": depends_on}


def _steps(paths: Iterable[EscalationPath]) -> Iterator[dict[str, Any]]:
    """The steps of all paths, with the number of the path."""
    for i, path in enumerate(paths, 1):
        for step in path.steps:
            row = {name: getattr(step, name) for name in STEPS if name != "path"}
            yield row | {"path": i, "depends_on": tuple(map(spelled, step.depends_on))}
