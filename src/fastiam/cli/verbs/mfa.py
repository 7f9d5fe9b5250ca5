"""`fastiam mfa`: virtual MFA devices of users and roots."""

from __future__ import annotations

import click

from fastiam.cli import entity_commands, options
from fastiam.cli import exit_codes as exits
from fastiam.cli.render import write_rows
from fastiam.cli.store_options import Calls, of_store, open_secret_file, open_sts, secret_out, show

COLUMNS = ("serial", "enabled", "created")


@click.group("mfa", cls=Calls)
def command() -> None:
    """Create, enable, list and delete virtual MFA devices."""


@command.command("create")
@click.argument("principal")
@click.argument("name")
@of_store
@entity_commands.account
@secret_out
@options.form
def create(principal: str, name: str, store: str, keyring: str | None, account: str | None, out: str, form: str) -> int:
    """Create a device for PRINCIPAL. Its seed is shown only now; the address is the content of its QR code."""
    with open_sts(store, keyring) as sts, open_secret_file(out, store, keyring) as file:
        made = sts.mfa.create(entity_commands.find_credential_owner(sts.directory, principal, account), name)
        show({"SerialNumber": made.serial, "Seed": str(made.seed), "Address": str(made.uri)}, form, file)
    return exits.OK


@command.command("enable")
@click.argument("serial")
@click.argument("first")
@click.argument("second")
@of_store
@options.form
def enable(serial: str, first: str, second: str, store: str, keyring: str | None, form: str) -> int:
    """Enable the device SERIAL with two consecutive codes."""
    with open_sts(store, keyring) as sts:
        sts.mfa.enable(serial, first, second)
    show({"SerialNumber": serial, "Status": "Enabled"}, form)
    return exits.OK


@command.command("list")
@click.argument("principal")
@of_store
@entity_commands.account
@options.rows_form
def list_(principal: str, store: str, keyring: str | None, account: str | None, form: str) -> int:
    """List the devices of PRINCIPAL."""
    with open_sts(store, keyring) as sts:
        devices = sts.mfa.list(entity_commands.find_credential_owner(sts.directory, principal, account))
    rows = [{"serial": d.serial, "enabled": d.enabled is not None, "created": str(d.created)} for d in devices]
    write_rows(COLUMNS, rows, form)
    return exits.OK


@command.command("delete")
@click.argument("serial")
@of_store
@options.form
def delete(serial: str, store: str, keyring: str | None, form: str) -> int:
    """Delete the device SERIAL."""
    with open_sts(store, keyring) as sts:
        sts.mfa.delete(serial)
    show({"SerialNumber": serial, "Status": "Deleted"}, form)
    return exits.OK
