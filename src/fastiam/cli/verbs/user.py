"""`fastiam user`: users of a store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fastiam.cli import entity_commands
from fastiam.cli.entity_commands import GROUP, USER, account_of, add_change, add_create, find_boundary, find_policies

if TYPE_CHECKING:
    from fastiam.api.directory import Directory


@click.group("user")
def command() -> None:
    """Create, change, list and delete users."""


@add_create(
    command,
    USER,
    entity_commands.path,
    click.option("--group", "groups", multiple=True, metavar="NAME", help="A group of the user; may be repeated."),
    entity_commands.policies,
    entity_commands.boundary,
    entity_commands.create_options,
)
def create(
    directory: Directory,
    arn: str,
    groups: tuple[str, ...],
    policies: tuple[str, ...],
    boundary: str | bytes | None,
    tags: dict[str, str],
) -> None:
    """Create the user NAME."""
    directory.add_principal(
        arn,
        identity_policies=find_policies(directory, arn, policies),
        permissions_boundary=None if boundary is None else find_boundary(directory, boundary),
        tags=tags,
        groups=groups,
    )


entity_commands.add_common(command, USER, lambda directory, arn: directory.delete_principal(arn))
entity_commands.add_policies(command, USER)
entity_commands.add_boundary(command, USER)
group = click.argument("group")


entity_commands.add_rename(command, USER, "Rename the user NAME to NEW. Its unique id stays, and policies that name it follow.")


@add_change(command, USER, "add-to-group", group)
def add_to_group(directory: Directory, arn: str, group: str) -> None:
    """Add the user NAME to GROUP."""
    directory.add_user_to_group(arn, GROUP.find(directory, group, account_of(arn)))


@add_change(command, USER, "remove-from-group", group)
def remove_from_group(directory: Directory, arn: str, group: str) -> None:
    """Remove the user NAME from GROUP."""
    directory.remove_user_from_group(arn, GROUP.find(directory, group, account_of(arn)))
