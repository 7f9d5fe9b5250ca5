"""`fastiam profile`: profiles of a store, for IAM Roles Anywhere."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from fastiam.cli import options
from fastiam.cli.entity_commands import ANYWHERE_PROFILE, ROLE, find_policy
from fastiam.cli.roles_anywhere_objects import add_call, add_create, add_verbs

if TYPE_CHECKING:
    from fastiam.api.directory import Directory

settings = options.chained(
    click.option("--role", "role_arns", multiple=True, metavar="NAME", help="A role, by name or ARN; may be repeated."),
    click.option("--session-policy", metavar="FILE", callback=options.read_file, help="An inline session policy."),
    click.option(
        "--managed-policy", "managed_policy_arns", multiple=True, metavar="NAME", help="A managed session policy; repeatable."
    ),
    click.option("--duration-seconds", type=int, metavar="N", help="Maximum duration of sessions in seconds."),
)
field = click.argument("field", type=click.Choice(("x509Subject", "x509Issuer", "x509SAN")))


def _read(
    directory: Directory,
    account: str | None,
    role_arns: Iterable[str],
    managed_policy_arns: Iterable[str],
    session_policy: bytes | None,
    **given: Any,
) -> dict[str, Any]:
    """The parameters that are given."""
    found = {
        "role_arns": [ROLE.find(directory, role, account) for role in role_arns],
        "session_policy": None if session_policy is None else session_policy.decode("utf-8-sig"),
        "managed_policy_arns": [find_policy(directory, policy, account) for policy in managed_policy_arns],
        **given,
    }
    return {name: value for name, value in found.items() if value not in (None, [])}


def _read_new(directory: Directory, account: str | None, **given: Any) -> dict[str, Any]:
    return {"role_arns": (), **_read(directory, account, **given)}


@click.group("profile")
def command() -> None:
    """Create, change, list and delete profiles of IAM Roles Anywhere."""


names = "--accept-role-session-name"
accept = click.option(names, is_flag=True, help="Requests may name the session.")
text = "Create the profile NAME, for sessions of the roles."
add_create(command, "create_profile", settings, accept, help=text, read=_read_new)
add_verbs(command, ANYWHERE_PROFILE)
accept = click.option(f"{names}/--no-{names[2:]}", default=None, help="Allow names of sessions.")
text = "Change the profile NAME. Fields that are not given stay."
add_call(command, ANYWHERE_PROFILE, "set", "update_profile", settings, accept, help=text, read=_read)
specifiers = click.argument("specifiers", nargs=-1, required=True, metavar="SPECIFIER...")
text = "Map the specifiers of a certificate field, and no others of it, to session tags."
add_call(command, ANYWHERE_PROFILE, "put-attribute-mapping", "put_attribute_mapping", field, specifiers, help=text)
specifiers = click.argument("specifiers", nargs=-1, metavar="[SPECIFIER...]", callback=lambda ctx, param, value: value or None)
text = "Remove specifiers of a certificate field, by default all."
add_call(command, ANYWHERE_PROFILE, "delete-attribute-mapping", "delete_attribute_mapping", field, specifiers, help=text)
