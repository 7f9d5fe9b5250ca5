"""`fastiam simulate`: decide one request over policy documents, without a directory."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, cast

import click

from fastiam import simulate
from fastiam.cli import exits, options
from fastiam.cli.console import write
from fastiam.cli.files import read_bytes
from fastiam.cli.render import as_json, decision_lines

Documents = list[bytes] | None


@click.command("simulate")
@click.option("--principal", required=True, help="An ARN, a service name, or `*` for an unsigned caller.")
@click.option("--action", required=True, help="One action, such as `s3:GetObject`.")
@click.option("--resource", required=True, help="An ARN or `*`.")
@click.option("--identity-policy", "identity", multiple=True, metavar="FILE", help="May be repeated.")
@click.option("--resource-policy", "resource_policy", metavar="FILE", help="A trust or key policy comes in here as well.")
@click.option("--permissions-boundary", "boundary", metavar="FILE")
@click.option("--session-policy", "session", multiple=True, metavar="FILE", help="May be repeated.")
@click.option(
    "--scp", multiple=True, metavar="FILE[,FILE...]", help="One level of the organization, root first; repeat it for each level."
)
@click.option("--rcp", multiple=True, metavar="FILE[,FILE...]", help="The same for resource control policies.")
@click.option("--endpoint-policy", "endpoint", multiple=True, metavar="FILE", help="Of the VPC endpoint; may be repeated.")
@options.request
@click.option("--lenient", is_flag=True, help="Read the documents as state that exists already.")
@click.option(
    "--engine",
    type=click.Choice(["compiled", "reference"]),
    default="compiled",
    show_default=True,
    help="The fast engine, or the executable specification.",
)
@options.form
@options.exit_zero
def command(
    principal: str,
    action: str,
    resource: str,
    identity: tuple[str, ...],
    resource_policy: str | None,
    boundary: str | None,
    session: tuple[str, ...],
    scp: tuple[str, ...],
    rcp: tuple[str, ...],
    endpoint: tuple[str, ...],
    context: tuple[tuple[str, str], ...],
    resource_account: str | None,
    now: datetime | None,
    lenient: bool,
    engine: str,
    form: str,
    exit_zero: bool,
) -> int:
    """Decide one request over policy documents.

    A layer without an option is not there. Exits with 0 if the request is allowed, 2 if it is denied, 3 if a document is
    rejected.
    """
    decision = simulate(
        principal,
        action,
        resource,
        context=options.context_of(context),
        now=now,
        resource_account=resource_account,
        identity_policies=_read(identity) or [],
        resource_policy=read_bytes(resource_policy) if resource_policy else None,
        permissions_boundary=read_bytes(boundary) if boundary else None,
        session_policies=_read(session),
        scps=_levels(scp),
        rcps=_levels(rcp),
        vpc_endpoint_policies=_read(endpoint),
        engine=cast(Literal["compiled", "reference"], engine),
        mode="lenient" if lenient else "strict",
    )
    if form == "json":
        write(as_json(decision))
    else:
        for line in decision_lines(decision):
            write(line)
    return exits.OK if exit_zero else exits.of_outcome(decision.outcome)


def _read(files: Sequence[str]) -> Documents:
    """The documents of a layer; None where the layer is not there."""
    return [read_bytes(file) for file in files] if files else None


def _levels(levels: Sequence[str]) -> list[list[bytes]] | None:
    return [[read_bytes(file) for file in level.split(",")] for level in levels] if levels else None
