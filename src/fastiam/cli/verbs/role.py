"""`fastiam role`: roles of a store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fastiam.cli import entity_commands
from fastiam.cli.entity_commands import ROLE, add_call, add_create, find_boundary, find_policies

if TYPE_CHECKING:
    from fastiam.api.directory import Directory


@click.group("role")
def command() -> None:
    """Create, change, list and delete roles."""


@add_create(
    command,
    ROLE,
    entity_commands.trust,
    entity_commands.path,
    entity_commands.policies,
    entity_commands.boundary,
    click.option("--max-session-duration", type=int, metavar="SECONDS", default=3600, show_default=True),
    entity_commands.create_options,
)
def create(
    directory: Directory,
    arn: str,
    trust: str | bytes | None,
    policies: tuple[str, ...],
    boundary: str | bytes | None,
    max_session_duration: int,
    tags: dict[str, str],
) -> None:
    """Create the role NAME."""
    directory.add_principal(
        arn,
        identity_policies=find_policies(directory, arn, policies),
        permissions_boundary=None if boundary is None else find_boundary(directory, boundary),
        tags=tags,
        trust_policy=trust,
        max_session_duration=max_session_duration,
    )


entity_commands.add_common(command, ROLE, lambda directory, arn: directory.delete_principal(arn))
entity_commands.add_policies(command, ROLE)
entity_commands.add_boundary(command, ROLE)


add_call(
    command,
    ROLE,
    "set-trust",
    "set_trust_policy",
    entity_commands.document_named("trust_policy"),
    help="Set the trust policy of the role NAME. DOCUMENT is JSON, a file or `-`.",
)
add_call(
    command,
    ROLE,
    "set-max-session-duration",
    "set_max_session_duration",
    click.argument("seconds", type=int),
    help="Set the maximum session duration of the role NAME, 3600 to 43200 seconds.",
)
