"""`fastiam crl`: certificate revocation lists of a store, for IAM Roles Anywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from fastiam.cli import entity_commands
from fastiam.cli.entity_commands import CRL, TRUST_ANCHOR
from fastiam.cli.roles_anywhere_objects import add_call, add_verbs, enabled, file, objects_of

if TYPE_CHECKING:
    from fastiam.api.directory import Directory

anchor = click.option("--trust-anchor", required=True, metavar="NAME", help="Name or ARN of the trust anchor that signed it.")
data = file("data")


@click.group("crl")
def command() -> None:
    """Import, update, list and delete certificate revocation lists."""


@entity_commands.add_write(
    command, "import", entity_commands.new_name, data, anchor, enabled, entity_commands.tags, entity_commands.account
)
def import_(directory: Directory, account: str | None, trust_anchor: str, **given: Any) -> object:
    """Import the revocation list NAME. FILE has the list as PEM text, or is `-`."""
    objects, arn = objects_of(directory), TRUST_ANCHOR.find(directory, trust_anchor, account)
    return objects.import_crl(trust_anchor=arn, **given)


add_verbs(command, CRL)
add_call(command, CRL, "update", "update_crl", data, help="Replace the revocation list NAME by a newer list.")
