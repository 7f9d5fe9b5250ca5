"""`fastiam who-can`: the principals that can do something to a resource."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from fastiam.analysis.access.who_can import PrincipalAccess
from fastiam.analysis.unreadable_policies import principals_with_unreadable_policies, unreadable_policy_of
from fastiam.cli import exit_codes as exits
from fastiam.cli import options
from fastiam.cli.action_names import note_unknown_actions
from fastiam.cli.console import note, note_unseen
from fastiam.cli.html_report import HTML, chosen_form, write_report
from fastiam.cli.policy_sources import open_engine
from fastiam.cli.principal_names import check_role
from fastiam.cli.render import is_json, write_rows
from fastiam.cli.unused_columns import note_constants, note_defaults
from fastiam.errors import counted
from fastiam.model.decision import Outcome
from fastiam.model.key_registry import spelled

COLUMNS = ("principal", "kind", "is_outside", "own_account", "outcome", "assumed_owner", "statement", "conditions", "depends_on")
OF_TABLE = ("principal", "outcome", "own_account", "owner", "conditions")
_KEYS = "absent", "unknown, as far as --unknown names them"


@click.command("who-can")
@options.policies
@click.argument("action")
@click.argument("resource")
@options.analysis
@options.unknown_owner
@options.report_form
@options.exit_zero
def command(
    policies: tuple[str, ...],
    saved: str | None,
    action: str,
    resource: str,
    context: tuple[tuple[str, str], ...],
    unknown: tuple[str, ...],
    absent: tuple[str, ...],
    resource_account: str | None,
    now: datetime | None,
    unknown_owner: str | None,
    form: str | None,
    out: str | None,
    exit_zero: bool,
) -> int:
    """List the principals that can do ACTION on RESOURCE, with the conditions that remain.

    These are roots, users and roles of the policies, and external principals that the policies of the resource allow. A key
    that is not given is absent; with `--unknown '*'` it may have any value, and a principal that needs one is listed as DEPENDS.
    Exits with 0 if a principal can, 2 if no principal can, 4 if principals can only under conditions, or if none was found and
    something was not checked.
    """
    form = chosen_form(form, out, *policies)
    engine = open_engine(policies, saved, unknown_owner=unknown_owner)
    given = options.context_of(context, absent)
    note_constants(engine, given)
    note_defaults([engine], given, unknown, resource)
    check_role(engine, action, resource)
    note_unknown_actions((action,))
    about: dict[str, Any] = {"resource_account": resource_account, "now": now}
    found = engine.who_can(action, resource, given, unknown=unknown, **about)
    n_more = 0 if unknown else len(engine.who_can(action, resource, given, unknown=("*",), **about)) - len(found)
    options.note_more(n_more)
    callers = list(found)
    rows = (caller.to_dict() if is_json(form) else _row(caller) for caller in callers)
    if form == HTML:
        title = f"Who can {action} on {resource}"
        summary = [counted(len(callers), "principal"), f"keys that are not given are {_KEYS[bool(unknown)]}"]
        write_report(title, {"Principals": (COLUMNS, rows)}, out, summary=summary, engines=[engine])
    else:
        write_rows(OF_TABLE if form == "text" else COLUMNS, rows, form)
    assumed = sum(caller.assumed_owner for caller in callers)
    if assumed:
        note(
            f"the owner of the resource is assumed to be the principal's account in {assumed:,} of {counted(len(callers), 'row')}"
        )
        note("help: pass `--resource-account ID`, or `--unknown-owner deny`")
    unseen: list[str] = []
    if not callers:
        unseen += [*principals_with_unreadable_policies(engine.snapshot), *unreadable_policy_of(engine.snapshot, resource)]
    if not callers and form == "text":
        note("no principal can" if not n_more and not unseen else "no principal was found")
    note_unseen(unseen)
    if exit_zero or Outcome.ALLOW in found.outcome:
        return exits.OK
    return exits.UNKNOWN if callers or n_more or unseen else exits.DENIED


def _row(caller: PrincipalAccess) -> dict[str, Any]:
    row = {name: getattr(caller, name, "") for name in COLUMNS}
    return row | {
        "own_account": "assumed to allow it" if caller.is_outside else "",
        "kind": caller.kind or "account",
        "depends_on": tuple(map(spelled, caller.depends_on)),
        "owner": options.owner_cell(caller),
    }
