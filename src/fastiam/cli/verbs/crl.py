"""`fastiam crl`: certificate revocation lists of a store, for IAM Roles Anywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fastiam.cli.entity_commands import CRL, TRUST_ANCHOR, add_change
from fastiam.cli.roles_anywhere_objects import add_create, add_verbs, data, enabled, objects_of

if TYPE_CHECKING:
    from fastiam.api.directory import Directory

anchor = click.option(
    "--trust-anchor", "anchor", required=True, metavar="NAME", help="Name or ARN of the trust anchor that signed it."
)


@click.group("crl")
def command() -> None:
    """Import, update, list and delete certificate revocation lists."""


@add_create(command, "import", data, anchor, enabled)
def import_(
    directory: Directory,
    name: str,
    account: str | None,
    data: bytes,
    anchor: str,
    enabled: bool,
    tags: dict[str, str],
) -> object:
    """Import the revocation list NAME. FILE has the list as PEM text, or is `-`."""
    return objects_of(directory).import_crl(name, data, TRUST_ANCHOR.find(directory, anchor, account), enabled=enabled, tags=tags)


add_verbs(command, CRL)


@add_change(command, CRL, "update", data)
def update(directory: Directory, arn: str, data: bytes) -> None:
    """Replace the revocation list NAME by a newer list."""
    objects_of(directory).update_crl(arn, data=data)
