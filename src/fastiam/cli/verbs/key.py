"""`fastiam key`: access keys of users and roots."""

from __future__ import annotations

import click

from fastiam.cli import entity_commands, options
from fastiam.cli import exit_codes as exits
from fastiam.cli.render import write_rows
from fastiam.cli.store_options import Calls, of_store, open_secret_file, open_sts, secret_out, show

COLUMNS = ("id", "status", "created", "last_used")


@click.group("key", cls=Calls)
def command() -> None:
    """Create, list, disable and delete access keys."""


@command.command("create")
@click.argument("principal")
@of_store
@entity_commands.account
@secret_out
@options.form
def create(principal: str, store: str, keyring: str | None, account: str | None, out: str, form: str) -> int:
    """Create a key for PRINCIPAL, a user by name or ARN, or `root`. Its secret is shown only now."""
    with open_sts(store, keyring) as sts, open_secret_file(out, store, keyring) as file:
        made = sts.keys.create(entity_commands.find_credential_owner(sts.directory, principal, account))
        show(dict(made.process_json()), form, file)
    return exits.OK


@command.command("list")
@click.argument("principal")
@of_store
@entity_commands.account
@options.rows_form
def list_(principal: str, store: str, keyring: str | None, account: str | None, form: str) -> int:
    """List the keys of PRINCIPAL."""
    with open_sts(store, keyring) as sts:
        keys = sts.keys.list(entity_commands.find_credential_owner(sts.directory, principal, account))
    rows = [{name: _text(getattr(key, name)) for name in COLUMNS} for key in keys]
    write_rows(COLUMNS, rows, form)
    return exits.OK


def _add_change(name: str, summary: str, status: str) -> None:
    """Add a verb that changes one key and prints its new status."""

    @command.command(name, help=summary)
    @click.argument("id_", metavar="ID")
    @of_store
    @options.form
    def change(id_: str, store: str, keyring: str | None, form: str) -> int:
        with open_sts(store, keyring) as sts:
            if status == "Deleted":
                sts.keys.delete(id_)
            else:
                sts.keys.set_status(id_, status)
        show({"AccessKeyId": id_, "Status": status}, form)
        return exits.OK


_add_change("activate", "Activate the key ID.", "Active")
_add_change("deactivate", "Deactivate the key ID, and with it the sessions that it issued.", "Inactive")
_add_change("delete", "Delete the key ID.", "Deleted")


def _text(value: object) -> str | None:
    return None if value is None else str(value)
