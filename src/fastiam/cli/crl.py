"""`fastiam crl`: certificate revocation lists of a store, for IAM Roles Anywhere."""

from __future__ import annotations

import click

from fastiam.cli import entity_commands
from fastiam.cli.entity_commands import CRL, TRUST_ANCHOR, named
from fastiam.cli.files import read_bytes
from fastiam.cli.roles_anywhere_objects import add_verbs, change_object, changing, enabled


@click.group("crl")
def command() -> None:
    """Import, update, list and delete certificate revocation lists."""


@command.command("import")
@click.argument("name")
@click.argument("data", metavar="FILE")
@click.option("--trust-anchor", "anchor", required=True, metavar="NAME", help="Name or ARN of the trust anchor that signed it.")
@enabled
@entity_commands.create_options
def import_(
    name: str,
    data: str,
    anchor: str,
    enabled: bool,
    tags: tuple[tuple[str, str], ...],
    store: str,
    account: str | None,
    form: str,
) -> int:
    """Import the revocation list NAME. FILE has the list as PEM text, or is `-`."""
    with changing(store) as (directory, objects):
        arn = TRUST_ANCHOR.find(directory, anchor, account)
        record = objects.import_crl(name, read_bytes(data), arn, enabled=enabled, tags=dict(tags))
    return entity_commands.show_record(record, form)


add_verbs(command, CRL)


@command.command("update")
@named
@click.argument("data", metavar="FILE")
def update(name: str, data: str, store: str, account: str | None, form: str) -> int:
    """Replace the revocation list NAME by a newer list."""
    read = read_bytes(data)
    return change_object(CRL, store, name, account, form, lambda _, objects, arn: objects.update_crl(arn, data=read))
