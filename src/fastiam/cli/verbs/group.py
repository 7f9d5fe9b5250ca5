"""`fastiam group`: groups of a store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fastiam.cli import entity_commands, options
from fastiam.cli.entity_commands import GROUP
from fastiam.cli.store_options import store

if TYPE_CHECKING:
    from fastiam.api.directory import Directory


@click.group("group")
def command() -> None:
    """Create, change, list and delete groups. `fastiam user add-to-group` adds users."""


def _members(directory: Directory, group: str) -> dict[str, object]:
    return {"members": [arn for arn, entity in directory.tables.entities.items() if group in entity.groups]}


common = (entity_commands.path, entity_commands.policies, store, entity_commands.account, options.form)
entity_commands.add_create(command, GROUP, "add_group", *common, help="Create the group NAME.")
entity_commands.add_show(command, GROUP, _members)
entity_commands.add_delete(command, GROUP, lambda directory, arn: directory.delete_group(arn))
entity_commands.add_policies(command, GROUP)
entity_commands.add_rename(command, GROUP, "Rename the group NAME to NEW. Its members stay.")
