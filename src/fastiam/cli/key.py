"""`fastiam key`: access keys of users and roots."""

from __future__ import annotations

import click

from fastiam.cli import exits, options
from fastiam.cli.render import chosen, write_rows
from fastiam.cli.stores import Calls, of_store, open_sts, show

COLUMNS = ("id", "status", "created", "last_used")


@click.group("key", cls=Calls)
def command() -> None:
    """Create, list, disable and delete access keys."""


@command.command("create")
@click.argument("principal")
@of_store
@options.form
def create(principal: str, store: str, keyring: str | None, form: str) -> int:
    """Make a key for PRINCIPAL, the ARN of a user or root. Its secret is shown this once."""
    with open_sts(store, keyring) as sts:
        show(dict(sts.keys.create(principal).process_json()), form)
    return exits.OK


@command.command("list")
@click.argument("principal")
@of_store
@options.table_form
def list_(principal: str, store: str, keyring: str | None, form: str | None) -> int:
    """List the keys of PRINCIPAL."""
    with open_sts(store, keyring) as sts:
        rows = [{name: _text(getattr(key, name)) for name in COLUMNS} for key in sts.keys.list(principal)]
    write_rows(COLUMNS, rows, chosen(form, "table"))
    return exits.OK


@command.command("activate")
@click.argument("id_", metavar="ID")
@of_store
def activate(id_: str, store: str, keyring: str | None) -> int:
    """Let the key ID sign again."""
    return _set(store, keyring, id_, "Active")


@command.command("deactivate")
@click.argument("id_", metavar="ID")
@of_store
def deactivate(id_: str, store: str, keyring: str | None) -> int:
    """Let the key ID sign no longer; what it issued goes with it."""
    return _set(store, keyring, id_, "Inactive")


@command.command("delete")
@click.argument("id_", metavar="ID")
@of_store
def delete(id_: str, store: str, keyring: str | None) -> int:
    """Take the key ID away for good."""
    with open_sts(store, keyring) as sts:
        sts.keys.delete(id_)
    return exits.OK


def _set(store: str, keyring: str | None, id_: str, status: str) -> int:
    with open_sts(store, keyring) as sts:
        sts.keys.set_status(id_, status)
    return exits.OK


def _text(value: object) -> str | None:
    return None if value is None else str(value)
