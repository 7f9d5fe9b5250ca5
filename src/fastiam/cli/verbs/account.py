"""`fastiam account`: accounts of a store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from fastiam.cli import entity_commands

if TYPE_CHECKING:
    from fastiam.api.directory import Directory

COLUMNS = ("id", "name", "canonical_id", "partition")


@click.group("account")
def command() -> None:
    """Create and list accounts. An account need not exist before its records."""


@entity_commands.add_write(
    command,
    "create",
    click.argument("id_", metavar="ID"),
    click.option("--name", metavar="NAME", help="The name of the account."),
    click.option("--email", metavar="ADDRESS", help="The address that Organizations shows."),
    click.option("--canonical-id", metavar="ID", help="The canonical user id of S3."),
    click.option("--partition", metavar="NAME", help="The partition. Default: `aws` for a new account."),
)
def create(directory: Directory, id_: str, **given: Any) -> object:
    """Create the account ID, or add to its record."""
    directory.add_account(id_, **given)
    return directory.tables.accounts[id_]


@entity_commands.add_rows(command, *COLUMNS)
def list_(directory: Directory) -> list[dict[str, object]]:
    """List the accounts."""
    return [{name: getattr(record, name) for name in COLUMNS} for record in directory.tables.accounts.values()]


entity_commands.add_show_by_id(command, "account", lambda directory, id_: directory.tables.accounts.get(id_))
