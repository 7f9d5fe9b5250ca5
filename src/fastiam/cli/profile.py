"""`fastiam profile`: profiles of a store, for IAM Roles Anywhere."""

from __future__ import annotations

import click

from fastiam.cli import entity_commands, options
from fastiam.cli.entity_commands import ANYWHERE_PROFILE, POLICY, ROLE, named
from fastiam.cli.files import read_bytes
from fastiam.cli.roles_anywhere_objects import account_of_store, add_enable, changing, enabled, region
from fastiam.cli.store_options import store

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
@entity_commands.tags
@store
@entity_commands.account
@options.form
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


entity_commands.add_show(command, ANYWHERE_PROFILE)
entity_commands.add_delete(command, ANYWHERE_PROFILE, lambda directory, arn: directory.delete_roles_anywhere(arn))
entity_commands.add_tags(command, ANYWHERE_PROFILE)
add_enable(command, ANYWHERE_PROFILE)


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
    with changing(store) as (directory, objects):
        record = objects.update_profile(
            ANYWHERE_PROFILE.find(directory, name, account),
            role_arns=[ROLE.find(directory, role, account) for role in roles] or None,
            session_policy=None if session_policy is None else read_bytes(session_policy).decode("utf-8-sig"),
            managed_policy_arns=[POLICY.find(directory, policy, account) for policy in managed] or None,
            duration_seconds=duration,
            accept_role_session_name=accepts,
        )
    return entity_commands.show_record(record, form)


@command.command("put-attribute-mapping")
@named
@field
@click.argument("specifiers", nargs=-1, required=True, metavar="SPECIFIER...")
def put_attribute_mapping(name: str, field: str, specifiers: tuple[str, ...], store: str, account: str | None, form: str) -> int:
    """Map the specifiers of a certificate field, and no others of it, to session tags."""
    with changing(store) as (directory, objects):
        record = objects.put_attribute_mapping(ANYWHERE_PROFILE.find(directory, name, account), field, specifiers)
    return entity_commands.show_record(record, form)


@command.command("delete-attribute-mapping")
@named
@field
@click.argument("specifiers", nargs=-1, metavar="[SPECIFIER...]")
def delete_attribute_mapping(
    name: str, field: str, specifiers: tuple[str, ...], store: str, account: str | None, form: str
) -> int:
    """Remove specifiers of a certificate field, by default all."""
    with changing(store) as (directory, objects):
        arn = ANYWHERE_PROFILE.find(directory, name, account)
        record = objects.delete_attribute_mapping(arn, field, specifiers or None)
    return entity_commands.show_record(record, form)
