"""`fastiam oidc-provider`: OpenID Connect providers of a store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fastiam.cli import entity_commands, options
from fastiam.cli.entity_commands import OIDC, add_change
from fastiam.cli.file_arguments import read_bytes

if TYPE_CHECKING:
    from fastiam.api.directory import Directory


def _read(ctx: click.Context, param: click.Parameter, file: str | None) -> str | None:
    return None if file is None else read_bytes(file).decode()


settings = options.chained(
    click.option("--client-id", "client_ids", multiple=True, metavar="ID", help="An audience; may be repeated."),
    click.option("--thumbprint", "thumbprints", multiple=True, metavar="HEX", help="SHA-1 of a certificate; may be repeated."),
    click.option("--keys", metavar="FILE", callback=_read, help="A pinned JWKS; no keys are then read from the network."),
)
url = click.argument("name", metavar="URL", callback=lambda ctx, param, value: value.removeprefix("https://"))
client_id = click.argument("client_id", metavar="ID")


@click.group("oidc-provider")
def command() -> None:
    """Create, change, list and delete OpenID Connect providers."""


text = "Create the provider of URL, with or without `https://`."
entity_commands.add_create(command, OIDC, "create_oidc_provider", settings, entity_commands.create_options, help=text, name=url)
entity_commands.add_common(command, OIDC, lambda directory, arn: directory.delete_provider(arn))


@add_change(command, OIDC, "set", settings)
def set_(directory: Directory, arn: str, client_ids: tuple[str, ...], thumbprints: tuple[str, ...], keys: str | None) -> None:
    """Change the client ids, thumbprints or pinned keys of the provider NAME. Other fields stay."""
    directory.update_oidc_provider(arn, client_ids=client_ids or None, thumbprints=thumbprints or None, keys=keys)


@add_change(command, OIDC, "add-client-id", client_id)
def add_client_id(directory: Directory, arn: str, client_id: str) -> None:
    """Add the audience ID to the provider NAME. One that it has changes nothing."""
    present = directory.tables.oidc_providers[arn].client_ids
    if client_id not in present:
        directory.update_oidc_provider(arn, client_ids=(*present, client_id))


@add_change(command, OIDC, "remove-client-id", client_id)
def remove_client_id(directory: Directory, arn: str, client_id: str) -> None:
    """Remove the audience ID from the provider NAME. One that it does not have changes nothing."""
    present = directory.tables.oidc_providers[arn].client_ids
    directory.update_oidc_provider(arn, client_ids=tuple(each for each in present if each != client_id))
