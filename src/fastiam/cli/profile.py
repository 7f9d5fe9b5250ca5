"""`fastiam profile`: profiles of a store, for IAM Roles Anywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fastiam.cli import entity_commands
from fastiam.cli.entity_commands import ANYWHERE_PROFILE, POLICY, ROLE, named
from fastiam.cli.files import read_bytes
from fastiam.cli.roles_anywhere_objects import account_of_store, add_verbs, change_object, changing, enabled, region

if TYPE_CHECKING:
    from fastiam.api.directory import Directory
    from fastiam.rolesanywhere import RolesAnywhereObjects

roles = click.option("--role", "roles", multiple=True, metavar="NAME", help="A role, by name or ARN; may be repeated.")
session_policy = click.option("--session-policy", metavar="FILE", help="An inline session policy.")
managed = click.option("--managed-policy", "managed", multiple=True, metavar="NAME", help="A managed session policy; repeatable.")
duration = click.option("--duration-seconds", "duration", type=int, metavar="N", help="Maximum duration of sessions in seconds.")
field = click.argument("field", type=click.Choice(("x509Subject", "x509Issuer", "x509SAN")))


@click.group("profile")
def command() -> None:
    """Create, change, list and delete profiles of IAM Roles Anywhere."""


@command.command("create")
@click.argument("name")
@roles
@session_policy
@managed
@duration
@click.option("--accept-role-session-name", is_flag=True, help="Requests may name the session.")
@enabled
@region
@entity_commands.create_options
def create(
    name: str,
    roles: tuple[str, ...],
    session_policy: str | None,
    managed: tuple[str, ...],
    duration: int | None,
    accept_role_session_name: bool,
    enabled: bool,
    region: str,
    tags: tuple[tuple[str, str], ...],
    store: str,
    account: str | None,
    form: str,
) -> int:
    """Create the profile NAME, for sessions of the roles."""
    with changing(store) as (directory, objects):
        record = objects.create_profile(
            account_of_store(directory, account),
            region,
            name,
            role_arns=[ROLE.find(directory, role, account) for role in roles],
            session_policy="" if session_policy is None else read_bytes(session_policy).decode("utf-8-sig"),
            managed_policy_arns=[POLICY.find(directory, policy, account) for policy in managed],
            duration_seconds=3600 if duration is None else duration,
            accept_role_session_name=accept_role_session_name,
            enabled=enabled,
            tags=dict(tags),
        )
    return entity_commands.show_record(record, form)


add_verbs(command, ANYWHERE_PROFILE)


@command.command("set")
@named
@roles
@session_policy
@managed
@duration
@click.option(
    "--accept-role-session-name/--no-accept-role-session-name", "accepts", default=None, help="Allow names of sessions."
)
def set_(
    name: str,
    roles: tuple[str, ...],
    session_policy: str | None,
    managed: tuple[str, ...],
    duration: int | None,
    accepts: bool | None,
    store: str,
    account: str | None,
    form: str,
) -> int:
    """Change the profile NAME. Fields that are not given stay."""

    def write(directory: Directory, objects: RolesAnywhereObjects, arn: str) -> object:
        return objects.update_profile(
            arn,
            role_arns=[ROLE.find(directory, role, account) for role in roles] or None,
            session_policy=None if session_policy is None else read_bytes(session_policy).decode("utf-8-sig"),
            managed_policy_arns=[POLICY.find(directory, policy, account) for policy in managed] or None,
            duration_seconds=duration,
            accept_role_session_name=accepts,
        )

    return change_object(ANYWHERE_PROFILE, store, name, account, form, write)


@command.command("put-attribute-mapping")
@named
@field
@click.argument("specifiers", nargs=-1, required=True, metavar="SPECIFIER...")
def put_attribute_mapping(name: str, field: str, specifiers: tuple[str, ...], store: str, account: str | None, form: str) -> int:
    """Map the specifiers of a certificate field, and no others of it, to session tags."""

    def write(_: Directory, objects: RolesAnywhereObjects, arn: str) -> object:
        return objects.put_attribute_mapping(arn, field, specifiers)

    return change_object(ANYWHERE_PROFILE, store, name, account, form, write)


@command.command("delete-attribute-mapping")
@named
@field
@click.argument("specifiers", nargs=-1, metavar="[SPECIFIER...]")
def delete_attribute_mapping(
    name: str, field: str, specifiers: tuple[str, ...], store: str, account: str | None, form: str
) -> int:
    """Remove specifiers of a certificate field, by default all."""

    def write(_: Directory, objects: RolesAnywhereObjects, arn: str) -> object:
        return objects.delete_attribute_mapping(arn, field, specifiers or None)

    return change_object(ANYWHERE_PROFILE, store, name, account, form, write)
