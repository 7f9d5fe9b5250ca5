"""`fastiam user`: users of a store."""

from __future__ import annotations

import click

from fastiam.cli import entity_commands
from fastiam.cli.entity_commands import GROUP, USER, add_call, add_create, referring


@click.group("user")
def command() -> None:
    """Create, change, list and delete users."""


groups = click.option("--group", "groups", multiple=True, metavar="NAME", help="A group of the user; may be repeated.")
add_create(
    command,
    USER,
    "add_principal",
    entity_commands.path,
    groups,
    entity_commands.policies,
    entity_commands.boundary,
    entity_commands.create_options,
    help="Create the user NAME.",
)
entity_commands.add_common(command, USER, lambda directory, arn: directory.delete_principal(arn))
entity_commands.add_policies(command, USER)
entity_commands.add_boundary(command, USER)
entity_commands.add_rename(command, USER, "Rename the user NAME to NEW. Its unique id stays, and policies that name it follow.")
group = click.argument("group", callback=referring(GROUP.find))
add_call(command, USER, "add-to-group", "add_user_to_group", group, help="Add the user NAME to GROUP.")
add_call(command, USER, "remove-from-group", "remove_user_from_group", group, help="Remove the user NAME from GROUP.")
