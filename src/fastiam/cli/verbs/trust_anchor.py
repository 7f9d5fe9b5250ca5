"""`fastiam trust-anchor`: trust anchors of a store, for IAM Roles Anywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from fastiam.cli.entity_commands import TRUST_ANCHOR, add_change
from fastiam.cli.roles_anywhere_objects import (
    account_of_store,
    add_create,
    add_verbs,
    certificates,
    data,
    enabled,
    objects_of,
    region,
)

if TYPE_CHECKING:
    from fastiam.api.directory import Directory

authority = click.option("--acm-pca-arn", default="", metavar="ARN", help="The private authority of the certificates.")


@click.group("trust-anchor")
def command() -> None:
    """Create, change, list and delete trust anchors."""


@add_create(command, "create", data, authority, enabled, region)
def create(directory: Directory, name: str, account: str | None, region: str, data: bytes, **given: Any) -> object:
    """Create the trust anchor NAME. FILE has the certificates of authorities as PEM text, or is `-`."""
    return objects_of(directory).create_trust_anchor(
        account_of_store(directory, account), region, name, certificates=data, **given
    )


add_verbs(command, TRUST_ANCHOR)


@add_change(command, TRUST_ANCHOR, "set", click.option("--name", "title", metavar="NAME", help="Another name."), certificates)
def set_(directory: Directory, arn: str, title: str | None, certificates: bytes | None) -> None:
    """Change the name or the certificates of the trust anchor NAME."""
    objects_of(directory).update_trust_anchor(arn, name=title, certificates=certificates)
