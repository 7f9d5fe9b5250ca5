"""`fastiam instance-profile`: instance profiles of a store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fastiam.cli import entity_commands
from fastiam.cli.entity_commands import PROFILE, ROLE, account_of, change, named

if TYPE_CHECKING:
    from fastiam.api.directory import Directory


@click.group("instance-profile")
def command() -> None:
    """Create, change, list and delete instance profiles."""


@command.command("create")
@click.argument("name")
@entity_commands.path
@click.option("--role", metavar="NAME", help="The role of its instances.")
@entity_commands.create_options
def create(
    name: str, path: str, role: str | None, tags: tuple[tuple[str, str], ...], store: str, account: str | None, form: str
) -> int:
    """Create the instance profile NAME."""
    with entity_commands.writing(store) as directory:
        arn = PROFILE.arn(directory, name, path, account)
        found = None if role is None else ROLE.find(directory, role, account_of(arn))
        directory.create_instance_profile(arn, role=found, tags=dict(tags))
        record = directory.tables.instance_profiles[arn]
    return entity_commands.show_record(record, form)


entity_commands.add_common(command, PROFILE, lambda directory, arn: directory.delete_instance_profile(arn))


@command.command("add-role")
@named
@click.argument("role")
def add_role(name: str, role: str, store: str, account: str | None, form: str) -> int:
    """Set ROLE as the role of the instance profile NAME."""

    def write(directory: Directory, arn: str) -> None:
        directory.add_role_to_instance_profile(arn, ROLE.find(directory, role, account_of(arn)))

    return change(PROFILE, store, name, account, form, write)


@command.command("remove-role")
@named
def remove_role(name: str, store: str, account: str | None, form: str) -> int:
    """Remove the role of the instance profile NAME."""
    return change(PROFILE, store, name, account, form, lambda directory, arn: directory.remove_role_from_instance_profile(arn))
