"""Functions that `fastiam trust-anchor`, `profile` and `crl` share. A verb is a line: the method of the objects, and its options.

The options have the names of the parameters of the method. `read` makes parameters of options that need the directory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from fastiam.cli import entity_commands, options
from fastiam.cli.entity_commands import EntityType, account_of
from fastiam.errors import DirectoryError

if TYPE_CHECKING:
    from fastiam.api.directory import Directory
    from fastiam.rolesanywhere import RolesAnywhereObjects

Read = Callable[..., Mapping[str, Any]]  # takes a directory, the account, and the options of a verb
enabled = click.option("--enabled", is_flag=True, help="Enable it. Default: disabled until `enable`.")
region = click.option("--region", required=True, envvar="AWS_REGION", metavar="REGION", help="The region. Default: AWS_REGION.")


def file(name: str) -> options.Decorator:
    """An argument FILE, handed over as the parameter of that name."""
    return click.argument(name, metavar="FILE", callback=options.read_file)


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


def _as_given(_directory: Directory, _account: str | None, **given: Any) -> Mapping[str, Any]:
    return given


def add_create(group: click.Group, method: str, *own: options.Decorator, help: str, read: Read = _as_given) -> None:
    """Add `create`, for an object of an account and region."""
    common = (enabled, region, entity_commands.tags, entity_commands.account)

    @entity_commands.add_write(group, "create", entity_commands.new_name, *own, *common, help=help)
    def create(directory: Directory, account: str | None, **given: Any) -> object:
        objects, of = objects_of(directory), account_of_store(directory, account)
        return getattr(objects, method)(of, **read(directory, account, **given))


def add_call(
    group: click.Group,
    entity_type: EntityType,
    verb: str,
    method: str,
    *own: options.Decorator,
    help: str,
    read: Read = _as_given,
) -> None:
    """Add a verb that is one method for an object."""

    @entity_commands.add_change(group, entity_type, verb, *own, help=help)
    def call(directory: Directory, arn: str, **given: Any) -> None:
        getattr(objects_of(directory), method)(arn, **read(directory, account_of(arn), **given))


def add_verbs(group: click.Group, entity_type: EntityType) -> None:
    """Add the verbs of all objects: `list`, `show`, `delete`, `tag`, `untag`, `enable` and `disable`."""
    entity_commands.add_common(group, entity_type, lambda directory, arn: directory.delete_roles_anywhere(arn))
    add_call(group, entity_type, "enable", "enable", help=f"Enable the {entity_type.type} NAME.")
    add_call(group, entity_type, "disable", "disable", help=f"Disable the {entity_type.type} NAME.")
