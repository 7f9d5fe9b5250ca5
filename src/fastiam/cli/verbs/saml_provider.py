"""`fastiam saml-provider`: SAML providers of a store, and the private keys that decrypt their assertions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from fastiam.cli import entity_commands
from fastiam.cli.entity_commands import SAML, add_call, named, show_record
from fastiam.cli.file_arguments import read_bytes
from fastiam.cli.store_options import keyring, open_federation
from fastiam.credentials.secret import Secret, SecretBytes

if TYPE_CHECKING:
    from fastiam.api.directory import Directory

encryption = click.option(
    "--encryption",
    type=click.Choice(("Allowed", "Required", "off")),
    help="Whether assertions may or must be encrypted. Default of `create`: off.",
)


def _read(ctx: click.Context, param: click.Parameter, file: str) -> str:
    return read_bytes(file).decode("utf-8-sig")


metadata = click.argument("metadata", metavar="FILE", callback=_read)


def _read_key(file: str | None) -> Secret | None:
    return None if file is None else SecretBytes(read_bytes(file)).decode("utf-8", "replace")


def _mode(given: str) -> str:
    return "" if given == "off" else given


def _private_keys(directory: Directory, arn: str) -> dict[str, object]:
    """The ids and dates of the private keys of a provider."""
    from fastiam.credentials.federation_records import FederationStore

    store = directory.join(FederationStore())
    keys = store.saml_keys(directory.tables.saml_providers[arn].unique_id)
    return {"private_keys": {key.id: key.created.isoformat() for key in keys}} if keys else {}


def _show(directory: Directory, arn: str, form: str) -> int:
    return show_record(directory.tables.saml_providers[arn], form, **_private_keys(directory, arn))


@click.group("saml-provider")
def command() -> None:
    """Create, change, list and delete SAML providers."""


@command.command("create")
@click.argument("name")
@metadata
@encryption
@click.option("--private-key", "key", metavar="FILE", help="An RSA key in PEM that decrypts assertions. It needs the keyring.")
@keyring
@entity_commands.create_options
def create(
    name: str,
    metadata: str,
    encryption: str | None,
    key: str | None,
    keyring: str | None,
    tags: dict[str, str],
    store: str,
    account: str | None,
    form: str,
) -> int:
    """Create the SAML provider NAME. FILE is the XML document that it publishes, or `-`."""
    if key is None and encryption in (None, "off"):
        with entity_commands.writing(store) as directory:
            arn = SAML.arn(directory, name, "/", account)
            directory.create_saml_provider(arn, metadata=metadata, tags=tags)
            record = directory.tables.saml_providers[arn]
        return show_record(record, form)
    with open_federation(store, keyring) as federation:
        parts = SAML.arn(federation.sts.directory, name, "/", account).split(":")
        made = federation.saml_providers.create(
            parts[4],
            parts[5].partition("/")[2],
            metadata,
            partition=parts[1],
            tags=tags,
            encryption=_mode(encryption or ""),
            private_key=_read_key(key),
        )
        return _show(federation.sts.directory, made.arn, form)


entity_commands.add_common(command, SAML, lambda directory, arn: directory.delete_provider(arn), _private_keys)


text = "Replace the metadata of the SAML provider NAME."
add_call(command, SAML, "set-metadata", "update_saml_provider", metadata, help=text)


@command.command("set-encryption")
@named
@encryption
@click.option("--add-private-key", "added", metavar="FILE", help="An RSA key in PEM. A provider has at most 2.")
@click.option("--remove-private-key", "removed", metavar="ID", help="The id of a key, as `show` prints it.")
@keyring
def set_encryption(
    entity: str,
    encryption: str | None,
    added: str | None,
    removed: str | None,
    keyring: str | None,
    store: str,
    account: str | None,
    form: str,
) -> int:
    """Change the encryption of assertions of the SAML provider NAME, or add or remove a private key."""
    given: dict[str, Any] = {"add_private_key": _read_key(added), "remove_private_key": removed}
    if encryption is not None:
        given["encryption"] = _mode(encryption)
    with open_federation(store, keyring) as federation:
        arn = SAML.find(federation.sts.directory, entity, account)
        federation.saml_providers.update(arn, **given)
        return _show(federation.sts.directory, arn, form)
