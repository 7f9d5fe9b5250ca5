"""`fastiam simulate`: decide requests over policy documents, without a directory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from typing import Any, Literal, cast

import click

from fastiam import simulate
from fastiam.cli import exit_codes as exits
from fastiam.cli import options
from fastiam.cli.action_names import note_unknown_actions
from fastiam.cli.console import write
from fastiam.cli.file_arguments import read_bytes
from fastiam.cli.render import write_json
from fastiam.cli.unused_columns import note_defaults_of
from fastiam.errors import Finding, PolicyError
from fastiam.frames.arguments import REQUEST
from fastiam.model.decision import Decision
from fastiam.model.explanation_text import decision_lines
from fastiam.resolve.keys_read import keys_read
from fastiam.simulation.profiles import profiles_from_documents


@click.command("simulate")
@click.option(
    "--principal", "principals", required=True, multiple=True, help="An ARN, a service name, or `*` for an unsigned caller."
)
@click.option("--action", "actions", required=True, multiple=True, help="One action, such as `s3:GetObject`. May be repeated.")
@click.option("--resource", "resources", required=True, multiple=True, help="An ARN or `*`. May be repeated.")
@click.option("--identity-policy", "identity", multiple=True, metavar="FILE", help="May be repeated.")
@click.option(
    "--resource-policy",
    "resource_policy",
    multiple=True,
    callback=options.once,
    metavar="FILE",
    help="The resource policy; also a trust or key policy.",
)
@click.option("--permissions-boundary", "boundary", multiple=True, callback=options.once, metavar="FILE")
@click.option("--session-policy", "session", multiple=True, metavar="FILE", help="May be repeated.")
@click.option(
    "--scp", multiple=True, metavar="FILE[,FILE...]", help="One level of the organisation, root first; repeat it for each level."
)
@click.option("--rcp", multiple=True, metavar="FILE[,FILE...]", help="The same for resource control policies.")
@click.option("--endpoint-policy", "endpoint", multiple=True, metavar="FILE", help="Of the VPC endpoint; may be repeated.")
@options.request
@options.unknown
@click.option("--lenient", is_flag=True, help="Read the documents as existing policies.")
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
    principals: tuple[str, ...],
    actions: tuple[str, ...],
    resources: tuple[str, ...],
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
    unknown: tuple[str, ...],
    lenient: bool,
    engine: str,
    form: str,
    exit_zero: bool,
) -> int:
    """Decide requests over policy documents.

    A layer without an option does not exist. Several principals, actions and resources are decided each with each, one line for
    each request. Exits with 0 if all are allowed, 2 if one is denied, 3 if a document is rejected, 4 if none is denied and one
    depends on unknown keys.
    """
    documents = Documents()
    layers: dict[str, Any] = {
        "identity_policies": documents.of_layer("identity_policies", identity) or [],
        "resource_policy": documents.single("resource_policy", resource_policy),
        "permissions_boundary": documents.of_layer("permissions_boundary", (boundary,) if boundary else ()),
        "session_policies": documents.of_layer("session_policies", session),
        "scps": documents.levels("scps", scp),
        "rcps": documents.levels("rcps", rcp),
        "vpc_endpoint_policies": documents.of_layer("vpc_endpoint_policies", endpoint),
    }
    about: dict[str, Any] = {
        "context": options.context_of(context),
        "now": now or datetime.now(UTC),  # one time for all requests
        "unknown": unknown,
        "resource_account": resource_account,
        "engine": cast(Literal["compiled", "reference"], engine),
        "mode": "lenient" if lenient else "strict",
    }
    note_unknown_actions(actions)
    requests = list(product(principals, actions, resources))
    try:
        decisions = [documents.decided(simulate(who, what, on, **about, **layers)) for who, what, on in requests]
    except PolicyError as error:
        raise PolicyError([documents.found(finding) for finding in error.findings]) from error
    given = about["context"]
    note_defaults_of(_keys_read(requests[0], about, layers), given, unknown, resources[0] if len(resources) == 1 else "")
    decided = list(zip(requests, decisions, strict=True))
    if form == "json":
        records = [{**dict(zip(REQUEST, request, strict=True)), **decision.to_dict()} for request, decision in decided]
        write_json(records if len(records) > 1 else decisions[0], form)
    else:
        for request, decision in decided:
            for line in decision_lines(decision) if len(decided) == 1 else [_line(request, decision)]:
                write(line)
    if exit_zero:
        return exits.OK
    codes = {exits.of_outcome(decision.outcome) for decision in decisions}
    return next(code for code in (exits.DENIED, exits.FAILED, exits.UNKNOWN, exits.OK) if code in codes)


def _line(request: tuple[str, str, str], decision: Decision) -> list[tuple[str, str]]:
    """A request and its decision in one line."""
    (verdict, *layer), *rest = decision_lines(decision)
    principal, action, resource = request
    return [verdict, (f"  {principal}  {action} on {resource}", ""), *layer, *(piece for line in rest for piece in line)]


def _keys_read(request: tuple[str, str, str], about: dict[str, Any], layers: dict[str, Any]) -> set[str]:
    """The folded keys that the documents read. A layer is the same for all requests."""
    arguments = {name: value for name, value in about.items() if name != "engine"}
    who, what, on = request
    principal, resource, endpoint, _ = profiles_from_documents(who, what, on, **arguments, **layers)
    levels = (*(principal.scps or ()), *(resource.rcps or ()))
    own = (principal.identity_policies, principal.boundary, principal.session_policies, resource.policies)
    found = (*own, *levels, endpoint.policies if endpoint else ())
    return set(keys_read(policy for policies in found for policy in policies or ()))


class Documents:
    """The documents of the command line and their files, so that results name files, not arguments."""

    def __init__(self) -> None:
        self._files: dict[str, str] = {}

    def single(self, argument: str, file: str | None) -> bytes | None:
        """The one document of a layer, or None."""
        if file is None:
            return None
        self._files[argument] = "<stdin>" if file == "-" else file
        return read_bytes(file)

    def of_layer(self, argument: str, files: Sequence[str]) -> list[bytes | None] | None:
        """The documents of a layer; None if the layer does not exist."""
        return [self.single(f"{argument}[{i}]", file) for i, file in enumerate(files)] if files else None

    def levels(self, argument: str, levels: Sequence[str]) -> list[list[bytes | None] | None] | None:
        """The documents of an organisation path, root first."""
        return [self.of_layer(f"{argument}[{i}]", level.split(",")) for i, level in enumerate(levels)] if levels else None

    def found(self, finding: Finding) -> Finding:
        """A finding that names its file."""
        return replace(finding, source=self._files.get(finding.source, finding.source))

    def decided(self, decision: Decision) -> Decision:
        """A decision whose statement names its file."""
        ref = decision.statement
        if ref is None or ref.policy not in self._files:
            return decision
        file = self._files[ref.policy]
        return replace(decision, statement=replace(ref, policy=file, file=file))
