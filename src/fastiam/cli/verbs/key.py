"""`fastiam key`: access keys of users and roots."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fastiam.cli import entity_commands
from fastiam.cli.store_calls import SECRET, Rows, add_verb
from fastiam.cli.store_options import Calls, open_sts

if TYPE_CHECKING:
    from fastiam.sts import STS

COLUMNS = ("id", "status", "created", "last_used")
principal = click.argument("principal")
id_ = click.argument("id_", metavar="ID")


@click.group("key", cls=Calls)
def command() -> None:
    """Create, list, disable and delete access keys."""


@add_verb(command, open_sts, "create", principal, entity_commands.account, output=SECRET)
def create(sts: STS, principal: str, account: str | None) -> dict[str, object]:
    """Create a key for PRINCIPAL, a user by name or ARN, or `root`. Its secret is shown only now."""
    return dict(sts.keys.create(entity_commands.find_credential_owner(sts.directory, principal, account)).process_json())


@add_verb(command, open_sts, "list", principal, entity_commands.account, columns=COLUMNS)
def list_(sts: STS, principal: str, account: str | None) -> Rows:
    """List the keys of PRINCIPAL."""
    keys = sts.keys.list(entity_commands.find_credential_owner(sts.directory, principal, account))
    return [{name: _text(getattr(key, name)) for name in COLUMNS} for key in keys]


def _add_status(verb: str, status: str, help: str) -> None:
    """Add a verb that changes one key and prints its new status."""

    @add_verb(command, open_sts, verb, id_, help=help)
    def change(sts: STS, id_: str) -> dict[str, object]:
        if status == "Deleted":
            sts.keys.delete(id_)
        else:
            sts.keys.set_status(id_, status)
        return {"AccessKeyId": id_, "Status": status}


_add_status("activate", "Active", "Activate the key ID.")
_add_status("deactivate", "Inactive", "Deactivate the key ID, and with it the sessions that it issued.")
_add_status("delete", "Deleted", "Delete the key ID.")


def _text(value: object) -> str | None:
    return None if value is None else str(value)
