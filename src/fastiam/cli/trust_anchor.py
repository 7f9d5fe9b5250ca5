"""`fastiam trust-anchor`: trust anchors of a store, for IAM Roles Anywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fastiam.cli import entity_commands
from fastiam.cli.entity_commands import TRUST_ANCHOR, named
from fastiam.cli.files import read_bytes
from fastiam.cli.roles_anywhere_objects import account_of_store, add_verbs, change_object, changing, enabled, region

if TYPE_CHECKING:
    from fastiam.api.directory import Directory
    from fastiam.rolesanywhere import RolesAnywhereObjects


@click.group("trust-anchor")
def command() -> None:
    """Create, change, list and delete trust anchors."""


@command.command("create")
@click.argument("name")
@click.argument("certificates", metavar="FILE")
@click.option("--acm-pca-arn", default="", metavar="ARN", help="The private authority of the certificates.")
@enabled
@region
@entity_commands.create_options
def create(
    name: str,
    certificates: str,
    acm_pca_arn: str,
    enabled: bool,
    region: str,
    tags: tuple[tuple[str, str], ...],
    store: str,
    account: str | None,
    form: str,
) -> int:
    """Create the trust anchor NAME. FILE has the certificates of authorities as PEM text, or is `-`."""
    with changing(store) as (directory, objects):
        record = objects.create_trust_anchor(
            account_of_store(directory, account),
            region,
            name,
            certificates=read_bytes(certificates),
            acm_pca_arn=acm_pca_arn,
            enabled=enabled,
            tags=dict(tags),
        )
    return entity_commands.show_record(record, form)


add_verbs(command, TRUST_ANCHOR)


@command.command("set")
@named
@click.option("--name", "title", metavar="NAME", help="Another name.")
@click.option("--certificates", metavar="FILE", help="Other certificates, as PEM text.")
def set_(name: str, title: str | None, certificates: str | None, store: str, account: str | None, form: str) -> int:
    """Change the name or the certificates of the trust anchor NAME."""
    read = None if certificates is None else read_bytes(certificates)

    def write(_: Directory, objects: RolesAnywhereObjects, arn: str) -> object:
        return objects.update_trust_anchor(arn, name=title, certificates=read)

    return change_object(TRUST_ANCHOR, store, name, account, form, write)
