"""What `fastiam trust-anchor`, `profile` and `crl` share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from fastiam.cli import entity_commands
from fastiam.cli.entity_commands import EntityType, named
from fastiam.errors import DirectoryError, FastiamError

if TYPE_CHECKING:
    from fastiam.api.directory import Directory
    from fastiam.rolesanywhere import RolesAnywhereObjects

enabled = click.option("--enabled", is_flag=True, help="It counts at once; else `enable` does it.")
region = click.option("--region", required=True, envvar="AWS_REGION", metavar="REGION", help="The region; or AWS_REGION.")


@contextmanager
def changing(store: str) -> Iterator[tuple[Directory, RolesAnywhereObjects]]:
    """A store, and the objects of Roles Anywhere in it, to be changed in one transaction."""
    try:
        from fastiam.rolesanywhere import RolesAnywhereObjects
    except ModuleNotFoundError as error:
        raise FastiamError(str(error)) from None
    with entity_commands.writing(store) as directory:
        yield directory, RolesAnywhereObjects(directory)


def account_of_store(directory: Directory, account: str | None) -> str:
    """The account that is named, or the only one that there is."""
    known = directory.tables.accounts
    if account is None and len(known) != 1:
        raise DirectoryError("nothing identifies the account", hint="pass `--account`")
    return account or next(iter(known))


def add_enable(group: click.Group, entity_type: EntityType) -> None:
    """`enable` and `disable`."""

    @group.command("enable", help=f"Let the {entity_type.type} NAME count.")
    @named
    def enable(name: str, store: str, account: str | None, form: str) -> int:
        with changing(store) as (directory, objects):
            record = objects.enable(entity_type.find(directory, name, account))
        return entity_commands.show_record(record, form)

    @group.command("disable", help=f"Let the {entity_type.type} NAME not count.")
    @named
    def disable(name: str, store: str, account: str | None, form: str) -> int:
        with changing(store) as (directory, objects):
            record = objects.disable(entity_type.find(directory, name, account))
        return entity_commands.show_record(record, form)
