"""`fastiam instance-profile`: instance profiles of a store."""

from __future__ import annotations

import click

from fastiam.cli import entity_commands
from fastiam.cli.entity_commands import PROFILE, ROLE, add_call, referring

refer = referring(ROLE.find)


@click.group("instance-profile")
def command() -> None:
    """Create, change, list and delete instance profiles."""


entity_commands.add_create(
    command,
    PROFILE,
    "create_instance_profile",
    entity_commands.path,
    click.option("--role", metavar="NAME", callback=refer, help="The role of its instances."),
    entity_commands.create_options,
    help="Create the instance profile NAME.",
)
entity_commands.add_common(command, PROFILE, lambda directory, arn: directory.delete_instance_profile(arn))
role = click.argument("role", callback=refer)
text = "Set ROLE as the role of the instance profile NAME."
add_call(command, PROFILE, "add-role", "add_role_to_instance_profile", role, help=text)
text = "Remove the role of the instance profile NAME."
add_call(command, PROFILE, "remove-role", "remove_role_from_instance_profile", help=text)
