"""`fastiam mfa`: virtual MFA devices of users and roots."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fastiam.cli import entity_commands
from fastiam.cli.store_calls import SECRET, Rows, add_verb
from fastiam.cli.store_options import Calls, open_sts

if TYPE_CHECKING:
    from fastiam.sts import STS

principal, serial = click.argument("principal"), click.argument("serial")


@click.group("mfa", cls=Calls)
def command() -> None:
    """Create, enable, list and delete virtual MFA devices."""


@add_verb(command, open_sts, "create", principal, click.argument("name"), entity_commands.account, output=SECRET)
def create(sts: STS, principal: str, name: str, account: str | None) -> dict[str, object]:
    """Create a device for PRINCIPAL. Its seed is shown only now; the address is the content of its QR code."""
    made = sts.mfa.create(entity_commands.find_credential_owner(sts.directory, principal, account), name)
    return {"SerialNumber": made.serial, "Seed": str(made.seed), "Address": str(made.uri)}


@add_verb(command, open_sts, "enable", serial, click.argument("first"), click.argument("second"))
def enable(sts: STS, serial: str, first: str, second: str) -> dict[str, object]:
    """Enable the device SERIAL with two consecutive codes."""
    sts.mfa.enable(serial, first, second)
    return {"SerialNumber": serial, "Status": "Enabled"}


@add_verb(command, open_sts, "list", principal, entity_commands.account, columns=("serial", "enabled", "created"))
def list_(sts: STS, principal: str, account: str | None) -> Rows:
    """List the devices of PRINCIPAL."""
    devices = sts.mfa.list(entity_commands.find_credential_owner(sts.directory, principal, account))
    return [{"serial": d.serial, "enabled": d.enabled is not None, "created": str(d.created)} for d in devices]


@add_verb(command, open_sts, "delete", serial)
def delete(sts: STS, serial: str) -> dict[str, object]:
    """Delete the device SERIAL."""
    sts.mfa.delete(serial)
    return {"SerialNumber": serial, "Status": "Deleted"}
