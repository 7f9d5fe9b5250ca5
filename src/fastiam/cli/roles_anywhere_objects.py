"""Functions that `fastiam trust-anchor`, `profile` and `crl` share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from fastiam.cli import entity_commands, options
from fastiam.cli.entity_commands import EntityType, add_change
from fastiam.cli.file_arguments import read_bytes
from fastiam.errors import DirectoryError

if TYPE_CHECKING:
    from fastiam.api.directory import Directory
    from fastiam.rolesanywhere import RolesAnywhereObjects

Write = Callable[..., object]


def _read(ctx: click.Context, param: click.Parameter, file: str | None) -> bytes | None:
    """Files are read while options are, so that no store is open for writing meanwhile."""
    return None if file is None else read_bytes(file)


data = click.argument("data", metavar="FILE", callback=_read)
certificates = click.option("--certificates", metavar="FILE", callback=_read, help="Other certificates, as PEM text.")
session_policy = click.option("--session-policy", metavar="FILE", callback=_read, help="An inline session policy.")
enabled = click.option("--enabled", is_flag=True, help="Enable it. Default: disabled until `enable`.")
region = click.option("--region", required=True, envvar="AWS_REGION", metavar="REGION", help="The region. Default: AWS_REGION.")


def objects_of(directory: Directory) -> RolesAnywhereObjects:
    """The objects of Roles Anywhere of a directory."""
    from fastiam.rolesanywhere import RolesAnywhereObjects

    return RolesAnywhereObjects(directory)


def account_of_store(directory: Directory, account: str | None) -> str:
    """The given account, by default the only one of the store."""
    known = directory.tables.accounts
    if account is None and len(known) != 1:
        raise DirectoryError("the account is unknown", hint="pass `--account`")
    return account or next(iter(known))


def add_create(group: click.Group, verb: str, *own: options.Decorator) -> Callable[[Write], Write]:
    """Add a verb that creates an object, and returns it."""
    return entity_commands.add_write(group, verb, entity_commands.new_name, *own, entity_commands.tags, entity_commands.account)


def add_verbs(group: click.Group, entity_type: EntityType) -> None:
    """Add the verbs of all objects: `list`, `show`, `delete`, `tag`, `untag`, `enable` and `disable`."""
    entity_commands.add_common(group, entity_type, lambda directory, arn: directory.delete_roles_anywhere(arn))

    @add_change(group, entity_type, "enable", help=f"Enable the {entity_type.type} NAME.")
    def enable(directory: Directory, arn: str) -> None:
        objects_of(directory).enable(arn)

    @add_change(group, entity_type, "disable", help=f"Disable the {entity_type.type} NAME.")
    def disable(directory: Directory, arn: str) -> None:
        objects_of(directory).disable(arn)
