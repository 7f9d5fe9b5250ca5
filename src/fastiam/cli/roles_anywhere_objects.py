"""Functions that `fastiam trust-anchor`, `profile` and `crl` share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from fastiam.cli import entity_commands
from fastiam.cli.entity_commands import EntityType, named
from fastiam.errors import DirectoryError

if TYPE_CHECKING:
    from fastiam.api.directory import Directory
    from fastiam.rolesanywhere import RolesAnywhereObjects

Write = Callable[["Directory", "RolesAnywhereObjects", str], object]

enabled = click.option("--enabled", is_flag=True, help="Enable it. Default: disabled until `enable`.")
region = click.option("--region", required=True, envvar="AWS_REGION", metavar="REGION", help="The region. Default: AWS_REGION.")


@contextmanager
def changing(store: str) -> Iterator[tuple[Directory, RolesAnywhereObjects]]:
    """Open a store to change its objects of Roles Anywhere in one transaction."""
    from fastiam.rolesanywhere import RolesAnywhereObjects

    with entity_commands.writing(store) as directory:
        yield directory, RolesAnywhereObjects(directory)


def account_of_store(directory: Directory, account: str | None) -> str:
    """The given account, by default the only one of the store."""
    known = directory.tables.accounts
    if account is None and len(known) != 1:
        raise DirectoryError("the account is unknown", hint="pass `--account`")
    return account or next(iter(known))


def change_object(entity_type: EntityType, store: str, name: str, account: str | None, form: str, write: Write) -> int:
    """Change one object and print it. `write` returns the new record."""
    with changing(store) as (directory, objects):
        record = write(directory, objects, entity_type.find(directory, name, account))
    return entity_commands.show_record(record, form)


def add_verbs(group: click.Group, entity_type: EntityType) -> None:
    """Add the verbs of all objects: `list`, `show`, `delete`, `tag`, `untag`, `enable` and `disable`."""
    entity_commands.add_common(group, entity_type, lambda directory, arn: directory.delete_roles_anywhere(arn))

    @group.command("enable", help=f"Enable the {entity_type.type} NAME.")
    @named
    def enable(name: str, store: str, account: str | None, form: str) -> int:
        return change_object(entity_type, store, name, account, form, lambda _, objects, arn: objects.enable(arn))

    @group.command("disable", help=f"Disable the {entity_type.type} NAME.")
    @named
    def disable(name: str, store: str, account: str | None, form: str) -> int:
        return change_object(entity_type, store, name, account, form, lambda _, objects, arn: objects.disable(arn))
