"""`fastiam instance-profile`: instance profiles of a store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fastiam.cli import entity_commands
from fastiam.cli.entity_commands import PROFILE, ROLE, account_of, add_call, add_change, add_create

if TYPE_CHECKING:
    from fastiam.api.directory import Directory


@click.group("instance-profile")
def command() -> None:
    """Create, change, list and delete instance profiles."""


@add_create(
    command,
    PROFILE,
    entity_commands.path,
    click.option("--role", metavar="NAME", help="The role of its instances."),
    entity_commands.create_options,
)
def create(directory: Directory, arn: str, role: str | None, tags: dict[str, str]) -> None:
    """Create the instance profile NAME."""
    found = None if role is None else ROLE.find(directory, role, account_of(arn))
    directory.create_instance_profile(arn, role=found, tags=tags)


entity_commands.add_common(command, PROFILE, lambda directory, arn: directory.delete_instance_profile(arn))


@add_change(command, PROFILE, "add-role", click.argument("role"))
def add_role(directory: Directory, arn: str, role: str) -> None:
    """Set ROLE as the role of the instance profile NAME."""
    directory.add_role_to_instance_profile(arn, ROLE.find(directory, role, account_of(arn)))


text = "Remove the role of the instance profile NAME."
add_call(command, PROFILE, "remove-role", "remove_role_from_instance_profile", help=text)
