"""`fastiam trust-anchor`: trust anchors of a store, for IAM Roles Anywhere."""

from __future__ import annotations

import click

from fastiam.cli import options
from fastiam.cli.entity_commands import TRUST_ANCHOR
from fastiam.cli.roles_anywhere_objects import add_call, add_create, add_verbs, file

authority = click.option("--acm-pca-arn", default="", metavar="ARN", help="The private authority of the certificates.")
name = click.option("--name", metavar="NAME", help="Another name.")
certificates = click.option("--certificates", metavar="FILE", callback=options.read_file, help="Other certificates, as PEM text.")


@click.group("trust-anchor")
def command() -> None:
    """Create, change, list and delete trust anchors."""


text = "Create the trust anchor NAME. FILE has the certificates of authorities as PEM text, or is `-`."
add_create(command, "create_trust_anchor", file("certificates"), authority, help=text)
add_verbs(command, TRUST_ANCHOR)
text = "Change the name or the certificates of the trust anchor NAME."
add_call(command, TRUST_ANCHOR, "set", "update_trust_anchor", name, certificates, help=text)
