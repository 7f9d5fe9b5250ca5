"""`fastiam crl`: certificate revocation lists of a store, for IAM Roles Anywhere."""

from __future__ import annotations

import click

from fastiam.cli import entity_commands, options
from fastiam.cli.entity_commands import CRL, TRUST_ANCHOR, named
from fastiam.cli.files import read_bytes
from fastiam.cli.roles_anywhere_objects import add_enable, changing, enabled
from fastiam.cli.store_options import store


@click.group("crl")
def command() -> None:
    """Import, update, list and delete certificate revocation lists."""


@command.command("import")
@click.argument("name")
@click.argument("data", metavar="FILE")
@click.option("--trust-anchor", "anchor", required=True, metavar="NAME", help="Name or ARN of the trust anchor that signed it.")
@enabled
@entity_commands.tags
@store
@entity_commands.account
@options.form
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


entity_commands.add_show(command, CRL)
entity_commands.add_delete(command, CRL, lambda directory, arn: directory.delete_roles_anywhere(arn))
entity_commands.add_tags(command, CRL)
add_enable(command, CRL)


@command.command("update")
@named
@click.argument("data", metavar="FILE")
def update(name: str, data: str, store: str, account: str | None, form: str) -> int:
    """Replace the revocation list NAME by a newer list."""
    with changing(store) as (directory, objects):
        record = objects.update_crl(CRL.find(directory, name, account), data=read_bytes(data))
    return entity_commands.show_record(record, form)
