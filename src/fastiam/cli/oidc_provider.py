"""`fastiam oidc-provider`: OpenID Connect providers of a store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fastiam.cli import entity_commands
from fastiam.cli.entity_commands import OIDC, change, named
from fastiam.cli.files import read_bytes

if TYPE_CHECKING:
    from fastiam.api.directory import Directory

client_ids = click.option("--client-id", "client_ids", multiple=True, metavar="ID", help="An audience; may be repeated.")
thumbprints = click.option(
    "--thumbprint", "thumbprints", multiple=True, metavar="HEX", help="SHA-1 of a certificate; may be repeated."
)

keys_file = click.option("--keys", "keys_file", metavar="FILE", help="A pinned JWKS; no keys are then read from the network.")


@click.group("oidc-provider")
def command() -> None:
    """Create, change, list and delete OpenID Connect providers."""


@command.command("create")
@click.argument("url")
@client_ids
@thumbprints
@keys_file
@entity_commands.create_options
def create(
    url: str,
    client_ids: tuple[str, ...],
    thumbprints: tuple[str, ...],
    keys_file: str | None,
    tags: tuple[tuple[str, str], ...],
    store: str,
    account: str | None,
    form: str,
) -> int:
    """Create the provider of URL, with or without `https://`."""
    with entity_commands.writing(store) as directory:
        arn = OIDC.arn(directory, url.removeprefix("https://"), "/", account)
        keys = "" if keys_file is None else read_bytes(keys_file).decode()
        directory.create_oidc_provider(arn, client_ids=client_ids, thumbprints=thumbprints, tags=dict(tags), keys=keys)
        record = directory.tables.oidc_providers[arn]
    return entity_commands.show_record(record, form)


entity_commands.add_common(command, OIDC, lambda directory, arn: directory.delete_provider(arn))


@command.command("set")
@named
@client_ids
@thumbprints
@keys_file
def set_(
    name: str,
    client_ids: tuple[str, ...],
    thumbprints: tuple[str, ...],
    keys_file: str | None,
    store: str,
    account: str | None,
    form: str,
) -> int:
    """Change the client ids, thumbprints or pinned keys of the provider NAME. Other fields stay."""

    def write(directory: Directory, arn: str) -> None:
        keys = None if keys_file is None else read_bytes(keys_file).decode()
        directory.update_oidc_provider(arn, client_ids=client_ids or None, thumbprints=thumbprints or None, keys=keys)

    return change(OIDC, store, name, account, form, write)


@command.command("add-client-id")
@named
@click.argument("client_id", metavar="ID")
def add_client_id(name: str, client_id: str, store: str, account: str | None, form: str) -> int:
    """Add the audience ID to the provider NAME. One that it has changes nothing."""

    def write(directory: Directory, arn: str) -> None:
        present = directory.tables.oidc_providers[arn].client_ids
        if client_id not in present:
            directory.update_oidc_provider(arn, client_ids=(*present, client_id))

    return change(OIDC, store, name, account, form, write)


@command.command("remove-client-id")
@named
@click.argument("client_id", metavar="ID")
def remove_client_id(name: str, client_id: str, store: str, account: str | None, form: str) -> int:
    """Remove the audience ID from the provider NAME. One that it does not have changes nothing."""

    def write(directory: Directory, arn: str) -> None:
        present = directory.tables.oidc_providers[arn].client_ids
        directory.update_oidc_provider(arn, client_ids=tuple(each for each in present if each != client_id))

    return change(OIDC, store, name, account, form, write)
