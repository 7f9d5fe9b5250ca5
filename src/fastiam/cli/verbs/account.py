"""`fastiam account`: accounts of a store."""

from __future__ import annotations

import click

from fastiam.cli import entity_commands, options
from fastiam.cli import exit_codes as exits
from fastiam.cli.render import write_rows
from fastiam.cli.store_options import store

COLUMNS = ("id", "name", "canonical_id", "partition")


@click.group("account")
def command() -> None:
    """Create and list accounts. An account need not exist before its records."""


@command.command("create")
@click.argument("id_", metavar="ID")
@click.option("--name", metavar="NAME", help="The name of the account.")
@click.option("--email", metavar="ADDRESS", help="The address that Organizations shows.")
@click.option("--canonical-id", metavar="ID", help="The canonical user id of S3.")
@click.option("--partition", metavar="NAME", help="The partition. Default: `aws` for a new account.")
@store
@options.form
def create(
    id_: str, name: str | None, email: str | None, canonical_id: str | None, partition: str | None, store: str, form: str
) -> int:
    """Create the account ID, or add to its record."""
    with entity_commands.writing(store) as directory:
        directory.add_account(id_, name=name, email=email, canonical_id=canonical_id, partition=partition)
        record = directory.tables.accounts[id_]
    return entity_commands.show_record(record, form)


@command.command("list")
@store
@options.rows_form
def list_(store: str, form: str) -> int:
    """List the accounts."""
    with entity_commands.reading(store) as directory:
        rows = [{name: getattr(record, name) for name in COLUMNS} for record in directory.tables.accounts.values()]
    write_rows(COLUMNS, rows, form)
    return exits.OK


entity_commands.add_show_by_id(command, "account", lambda directory, id_: directory.tables.accounts.get(id_))
