"""`fastiam profile`: profiles of a store, for IAM Roles Anywhere."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from fastiam.cli import options
from fastiam.cli.entity_commands import ANYWHERE_PROFILE, ROLE, account_of, add_change, find_policy
from fastiam.cli.roles_anywhere_objects import (
    account_of_store,
    add_create,
    add_verbs,
    enabled,
    objects_of,
    region,
    session_policy,
)

if TYPE_CHECKING:
    from fastiam.api.directory import Directory

settings = options.chained(
    click.option("--role", "roles", multiple=True, metavar="NAME", help="A role, by name or ARN; may be repeated."),
    session_policy,
    click.option("--managed-policy", "managed", multiple=True, metavar="NAME", help="A managed session policy; repeatable."),
    click.option("--duration-seconds", "duration", type=int, metavar="N", help="Maximum duration of sessions in seconds."),
)
field = click.argument("field", type=click.Choice(("x509Subject", "x509Issuer", "x509SAN")))


def _settings(
    directory: Directory,
    account: str | None,
    roles: Iterable[str],
    session_policy: bytes | None,
    managed: Iterable[str],
    duration: int | None,
) -> dict[str, Any]:
    """The parameters that are given."""
    found = {
        "role_arns": [ROLE.find(directory, role, account) for role in roles],
        "session_policy": None if session_policy is None else session_policy.decode("utf-8-sig"),
        "managed_policy_arns": [find_policy(directory, policy, account) for policy in managed],
        "duration_seconds": duration,
    }
    return {name: value for name, value in found.items() if value not in (None, [])}


@click.group("profile")
def command() -> None:
    """Create, change, list and delete profiles of IAM Roles Anywhere."""


@add_create(
    command,
    "create",
    settings,
    click.option("--accept-role-session-name", is_flag=True, help="Requests may name the session."),
    enabled,
    region,
)
def create(
    directory: Directory,
    name: str,
    account: str | None,
    region: str,
    accept_role_session_name: bool,
    enabled: bool,
    tags: dict[str, str],
    **given: Any,
) -> object:
    """Create the profile NAME, for sessions of the roles."""
    return objects_of(directory).create_profile(
        account_of_store(directory, account),
        region,
        name,
        accept_role_session_name=accept_role_session_name,
        enabled=enabled,
        tags=tags,
        **{"role_arns": (), **_settings(directory, account, **given)},
    )


add_verbs(command, ANYWHERE_PROFILE)


@add_change(
    command,
    ANYWHERE_PROFILE,
    "set",
    settings,
    click.option(
        "--accept-role-session-name/--no-accept-role-session-name", "accepts", default=None, help="Allow names of sessions."
    ),
)
def set_(directory: Directory, arn: str, accepts: bool | None, **given: Any) -> None:
    """Change the profile NAME. Fields that are not given stay."""
    found = _settings(directory, account_of(arn), **given)
    objects_of(directory).update_profile(arn, accept_role_session_name=accepts, **found)


@add_change(
    command,
    ANYWHERE_PROFILE,
    "put-attribute-mapping",
    field,
    click.argument("specifiers", nargs=-1, required=True, metavar="SPECIFIER..."),
)
def put_attribute_mapping(directory: Directory, arn: str, field: str, specifiers: tuple[str, ...]) -> None:
    """Map the specifiers of a certificate field, and no others of it, to session tags."""
    objects_of(directory).put_attribute_mapping(arn, field, specifiers)


@add_change(
    command,
    ANYWHERE_PROFILE,
    "delete-attribute-mapping",
    field,
    click.argument("specifiers", nargs=-1, metavar="[SPECIFIER...]"),
)
def delete_attribute_mapping(directory: Directory, arn: str, field: str, specifiers: tuple[str, ...]) -> None:
    """Remove specifiers of a certificate field, by default all."""
    objects_of(directory).delete_attribute_mapping(arn, field, specifiers or None)
