"""`fastiam saml-provider`: SAML providers of a store."""

from __future__ import annotations

import click

from fastiam.cli import entity_commands
from fastiam.cli.entity_commands import SAML, change, named
from fastiam.cli.files import read_bytes

metadata = click.argument("metadata", metavar="FILE")


def _read(file: str) -> str:
    return read_bytes(file).decode("utf-8-sig")


@click.group("saml-provider")
def command() -> None:
    """Create, change, list and delete SAML providers."""


@command.command("create")
@click.argument("name")
@metadata
@entity_commands.create_options
def create(name: str, metadata: str, tags: tuple[tuple[str, str], ...], store: str, account: str | None, form: str) -> int:
    """Create the SAML provider NAME. FILE is the XML document that it publishes, or `-`."""
    with entity_commands.writing(store) as directory:
        arn = SAML.arn(directory, name, "/", account)
        directory.create_saml_provider(arn, metadata=_read(metadata), tags=dict(tags))
        record = directory.tables.saml_providers[arn]
    return entity_commands.show_record(record, form)


entity_commands.add_common(command, SAML, lambda directory, arn: directory.delete_provider(arn))


@command.command("set-metadata")
@named
@metadata
def set_metadata(name: str, metadata: str, store: str, account: str | None, form: str) -> int:
    """Replace the metadata of the SAML provider NAME."""
    read = _read(metadata)
    return change(SAML, store, name, account, form, lambda directory, arn: directory.update_saml_provider(arn, read))
