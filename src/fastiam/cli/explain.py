"""`fastiam explain`: how one request over stored policies comes to its answer."""

from __future__ import annotations

from datetime import datetime

import click

from fastiam.cli import exits, options
from fastiam.cli.console import write
from fastiam.cli.directories import open_engine
from fastiam.cli.render import as_json, explanation_lines


@click.command("explain")
@options.policies
@click.argument("principal")
@click.argument("action")
@click.argument("resource")
@options.request
@options.unknown_owner
@options.form
@options.exit_zero
def command(
    policies: tuple[str, ...],
    principal: str,
    action: str,
    resource: str,
    context: tuple[tuple[str, str], ...],
    resource_account: str | None,
    now: datetime | None,
    unknown_owner: str,
    form: str,
    exit_zero: bool,
) -> int:
    """Tell how a request comes to its answer: the verdict first, then every layer with its statements.

    PRINCIPAL is an ARN, a service name, or `*` for an unsigned caller.
    Exits with 0 if the request is allowed, 2 if it is denied.
    """
    engine = open_engine(policies, unknown_owner=unknown_owner)
    given = options.context_of(context)
    explanation = engine.explain(principal, action, resource, given, resource_account=resource_account, now=now)
    if form == "json":
        write(as_json(explanation))
    else:
        for line in explanation_lines(explanation):
            write(line)
    return exits.OK if exit_zero else exits.of_outcome(explanation.decision.outcome)
