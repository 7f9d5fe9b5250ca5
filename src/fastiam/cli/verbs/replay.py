"""`fastiam replay`: compare a CloudTrail log with policies, disagreements first."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import click

from fastiam.analysis.access.call_decisions import NOT_IN_DIRECTORY
from fastiam.analysis.access.replay import Replay, ReplayGroup, Verdict
from fastiam.cli import exit_codes as exits
from fastiam.cli import options
from fastiam.cli.console import note
from fastiam.cli.html_report import HTML, chosen_form, write_report
from fastiam.cli.policy_sources import check_stdin, open_engine
from fastiam.cli.progress import Progress
from fastiam.cli.render import is_json, write_rows
from fastiam.cli.unused_columns import note_constants
from fastiam.errors import counted
from fastiam.model.decision import Outcome
from fastiam.model.key_registry import spelled
from fastiam.model.logged_calls import Calls

COLUMNS = (
    "verdict", "calls", "principal", "action", "outcome", "logged", "layer", "policy", "sid", "position", "depends_on", "note",
    "resource", "source", "record", "time",
)  # fmt: skip
OF_REPORT = (
    "verdict", "calls", "principal", "action", "outcome", "logged", "layer", "statement", "depends_on", "note", "resource",
    "source", "record", "time",
)  # fmt: skip
OF_TABLE = ("verdict", "calls", "principal", "action", "outcome", "logged", "why")
_OF_IAM = re.compile(r"^arn:aws[\w-]*:iam::")
_SHOWN = 10  # listed names of actions and operations


@click.command("replay")
@options.policies
@click.argument("log", nargs=-1, required=True, metavar="LOG...")
@click.option(
    "--only",
    type=click.Choice([verdict.value for verdict in Verdict]),
    multiple=True,
    help="Show only calls of this verdict. May be repeated.",
)
@options.no_session_policies
@options.context
@click.option("--limit", type=click.IntRange(min=0), default=40, show_default=True, help="Rows of a table; 0 shows all.")
@options.unknown_owner
@options.report_form
@click.option("--quiet", is_flag=True, help="Print no progress and no summary.")
@options.exit_zero
def command(
    policies: tuple[str, ...],
    saved: str | None,
    log: tuple[str, ...],
    only: tuple[str, ...],
    no_session_policies: bool,
    context: tuple[tuple[str, str], ...],
    limit: int,
    unknown_owner: str | None,
    form: str | None,
    out: str | None,
    quiet: bool,
    exit_zero: bool,
) -> int:
    """Decide the calls in a CloudTrail LOG and compare the decisions with the logged outcomes.

    LOG is a file as CloudTrail writes it, one record a line, the output of `aws cloudtrail lookup-events`, a folder of such
    files, or `-`. There is one row for each caller, action, decision and reason, disagreements first. Values that are not in the
    log are unknown unless --context gives them; a decision that depends on them is DEPENDS. Exits with 0 if policies and log
    agree, 2 if they disagree somewhere, 4 if they do not and some calls depend or are undecided.
    """
    from fastiam.sources import read_cloudtrail

    check_stdin(*policies, *log)
    form = chosen_form(form, out, *policies, *log)
    engine = open_engine(policies, saved, unknown_owner=unknown_owner, quiet=quiet)
    given = options.context_of(context)
    note_constants(engine, given)
    trail = read_cloudtrail(*log, assume_no_session_policies=no_session_policies)
    with Progress(quiet=quiet) as progress:
        found = engine.replay(_ProgressReader(trail, progress), context=given)
    groups = [group for group in found.groups if not only or group.verdict in only]
    if form == "text":
        shown = groups[:limit] if limit else groups
        write_rows(OF_TABLE, map(_cells, shown), form)
        if len(shown) < len(groups):
            note(f"{len(groups) - len(shown):,} more rows: `--limit 0` or `--format csv` shows all")
    elif form == HTML:
        summary = [f"{calls:,} {verdict}: {_MEANING[verdict]}" for verdict, calls in found.verdicts.items()]
        table = OF_REPORT, [_row(group) for group in groups]
        write_report("A log against policies", {"Calls": table}, out, summary=summary, engines=[engine])
    else:
        write_rows(COLUMNS, [group.to_dict() if is_json(form) else _row(group) for group in groups], form)
    if not quiet:
        _summarize(found, trail.skipped)
    return exits.OK if exit_zero else _exit_code(found.verdicts)


class _ProgressReader:
    """A log that reports the number of calls that are read."""

    def __init__(self, trail: Any, progress: Progress) -> None:
        self._trail, self._progress = trail, progress

    def __iter__(self) -> Iterator[Calls]:
        for calls in self._trail:
            yield calls
            self._progress.advance(len(calls))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._trail, name)


def _row(group: ReplayGroup) -> dict[str, Any]:
    ref = group.statement
    return {
        "verdict": group.verdict,
        "calls": group.calls,
        "principal": group.principal,
        "action": group.action,
        "outcome": None if group.outcome is Outcome.ERROR else group.outcome,
        "logged": group.logged.name,
        "layer": group.layer,
        "policy": ref.policy if ref else None,
        "sid": ref.label if ref else None,
        "statement": ref,
        "position": ref.position if ref else None,
        "depends_on": tuple(map(spelled, group.depends_on)),
        "note": group.note or None,
        "resource": group.resource or None,
        "source": group.source,
        "record": group.number,
        "time": group.time,
    }


def _cells(group: ReplayGroup) -> dict[str, Any]:
    """A row for people, without the common prefix of IAM ARNs."""
    return {**_row(group), "principal": _OF_IAM.sub("", group.principal), "why": _why(group)}


def _why(group: ReplayGroup) -> str:
    """The reason of a decision, in one cell."""
    if group.note:
        return group.note
    if group.depends_on:
        return ", ".join(map(spelled, group.depends_on))
    ref = group.statement
    if ref is None:
        return f"{group.layer}: nothing allows it"
    return f"{group.layer}: {ref.policy.rpartition('/')[2]} {ref.label}"


def _summarize(found: Replay, skipped: Mapping[str, int]) -> None:
    n = max(found.calls, 1)
    note(f"{counted(found.records, 'record')}, {counted(found.calls, 'call')} with an IAM action")
    for verdict, calls in found.verdicts.items():
        note(f"  {calls:>12,}  {calls / n:6.1%}  {verdict}: {_MEANING[verdict]}")
    if found.groups and all(group.note == NOT_IN_DIRECTORY for group in found.groups):
        note("no principal of the log is in the policies\nhelp: pass a log of the same accounts")
    sessions = sum(group.calls for group in found.groups if _SESSIONS in group.depends_on)
    if sessions:
        note(f"{sessions:,} calls depend on session policies, whose sessions were created outside of the log")
        note("help: `--no-session-policies` assumes that these sessions have none")
    if skipped:
        note(f"{sum(skipped.values()):,} files in the folders are not logs by their names, and were not read:")
        _list(skipped)
    if found.unmapped:
        note(f"{sum(found.unmapped.values()):,} records without an IAM action:")
        _list(found.unmapped)
    if found.without_role:
        n = sum(found.without_role.values())
        note(f"{n:,} calls may pass a role that their records do not name, and were decided without `iam:PassRole`:")
        _list(found.without_role)


def _list(counts: Mapping[str, int]) -> None:
    """The most frequent names."""
    for name, count in list(counts.items())[:_SHOWN]:
        note(f"  {count:>12,}  {name}")
    if len(counts) > _SHOWN:
        note(f"  and {len(counts) - _SHOWN:,} more names")


def _exit_code(verdicts: Mapping[Verdict, int]) -> int:
    if Verdict.DISAGREES in verdicts:
        return exits.DENIED
    return exits.UNKNOWN if {Verdict.DEPENDS, Verdict.UNDECIDED} & verdicts.keys() else exits.OK


_SESSIONS = "session policies"  # in `ReplayGroup.depends_on`
_MEANING = {
    Verdict.DISAGREES: "the policies allow a call that was denied, or deny one that was allowed",
    Verdict.DEPENDS: "the decision depends on values that are not in the log",
    Verdict.UNDECIDED: "not decided: the principal or the resource is not in the policies, or not in the log",
    Verdict.INCONCLUSIVE: "decided, but the logged failure has another cause than policies",
    Verdict.AGREES: "the decision equals the logged outcome",
}
