"""`fastiam explain`: how one request over stored policies is decided."""

from __future__ import annotations

from datetime import datetime

import click

from fastiam.analysis.access.external_principals import external_profile
from fastiam.cli import entity_commands, options
from fastiam.cli import exit_codes as exits
from fastiam.cli.action_names import note_unknown_actions
from fastiam.cli.console import note, visible, write
from fastiam.cli.policy_sources import open_engine
from fastiam.cli.principal_names import find_principal
from fastiam.cli.render import write_json
from fastiam.cli.unused_columns import note_constants, note_defaults
from fastiam.model.explanation_text import explanation_lines
from fastiam.model.request import shorten


@click.command("explain")
@options.policies
@click.argument("principal")
@click.argument("action")
@click.argument("resource")
@options.request
@entity_commands.account
@click.option(
    "--outside",
    type=click.Choice(["deny", "assume-allowed"]),
    default="deny",
    show_default=True,
    help="For a principal without a record: deny, or assume that its own account allows the request.",
)
@options.unknown
@options.unknown_owner
@options.record_form
@options.exit_zero
def command(
    policies: tuple[str, ...],
    saved: str | None,
    principal: str,
    action: str,
    resource: str,
    context: tuple[tuple[str, str], ...],
    resource_account: str | None,
    account: str | None,
    outside: str,
    now: datetime | None,
    unknown: tuple[str, ...],
    unknown_owner: str | None,
    form: str,
    exit_zero: bool,
) -> int:
    """Explain how a request is decided: the decision first, then every layer with its statements.

    PRINCIPAL is an ARN, a service name, `*` for an unsigned caller, or the name of a user or role.
    Exits with 0 if the request is allowed, 2 if it is denied, 4
    if that depends on keys that were declared unknown.
    """
    engine = open_engine(policies, saved, unknown_owner=unknown_owner)
    is_assumed = outside == "assume-allowed" and principal.startswith("arn:")
    profile = external_profile(engine.snapshot, principal) if is_assumed else None
    if profile is None:
        principal = find_principal(engine, principal, account, may_be_absent=True)
    given = options.context_of(context)
    note_constants(engine, given)
    note_defaults([engine], given, unknown, resource)
    note_unknown_actions((action,))
    request = engine.read_request(action, given, unknown=unknown, now=now)
    explanation = engine.explain_request(profile or principal, resource, request, resource_account)
    if profile is not None:
        note(f"`{shorten(principal)}` has no record: its own account is assumed to allow the request")
    if form == "text":
        for line in explanation_lines(explanation):
            write([(visible(text, ""), style) for text, style in line])
    else:
        write_json(explanation, form)
    return exits.OK if exit_zero else exits.of_outcome(explanation.decision.outcome)
