"""`fastiam group`: groups of a store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fastiam.cli import entity_commands, options
from fastiam.cli.entity_commands import GROUP, POLICY, account_of, change, named
from fastiam.cli.store_options import store

if TYPE_CHECKING:
    from fastiam.api.directory import Directory


@click.group("group")
def command() -> None:
    """Create, change, list and delete groups. `fastiam user add-to-group` adds users."""


@command.command("create")
@click.argument("name")
@entity_commands.path
@entity_commands.policies
@store
@entity_commands.account
@options.form
def create(name: str, path: str, policies: tuple[str, ...], store: str, account: str | None, form: str) -> int:
    """Create the group NAME."""
    with entity_commands.writing(store) as directory:
        arn = GROUP.arn(directory, name, path, account)
        directory.add_group(arn, [POLICY.find(directory, policy, account or account_of(arn)) for policy in policies])
        record = directory.tables.groups[arn]
    return entity_commands.show_record(record, form)


def _members(directory: Directory, group: str) -> dict[str, object]:
    return {"members": [arn for arn, entity in directory.tables.entities.items() if group in entity.groups]}


entity_commands.add_show(command, GROUP, _members)
entity_commands.add_delete(command, GROUP, lambda directory, arn: directory.delete_group(arn))
entity_commands.add_policies(command, GROUP)


@command.command("rename")
@named
@click.argument("new")
@click.option("--path", metavar="PATH", help="The new path. Default: the present one.")
def rename(name: str, new: str, path: str | None, store: str, account: str | None, form: str) -> int:
    """Rename the group NAME to NEW. Its members stay."""
    return change(GROUP, store, name, account, form, lambda directory, arn: directory.rename(arn, new, path=path))
