"""`fastiam user`: users of a store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fastiam.cli import entity_commands
from fastiam.cli.entity_commands import GROUP, POLICY, USER, account_of, change, named

if TYPE_CHECKING:
    from fastiam.api.directory import Directory


@click.group("user")
def command() -> None:
    """Create, change, list and delete users."""


@command.command("create")
@click.argument("name")
@entity_commands.path
@click.option("--group", "groups", multiple=True, metavar="NAME", help="A group of the user; may be repeated.")
@entity_commands.policies
@click.option("--boundary", metavar="POLICY", help="The permissions boundary: the ARN of a managed policy, JSON or a file.")
@entity_commands.create_options
def create(
    name: str,
    path: str,
    groups: tuple[str, ...],
    policies: tuple[str, ...],
    boundary: str | None,
    tags: tuple[tuple[str, str], ...],
    store: str,
    account: str | None,
    form: str,
) -> int:
    """Create the user NAME."""
    with entity_commands.writing(store) as directory:
        arn = USER.arn(directory, name, path, account)
        directory.add_principal(
            arn,
            identity_policies=[POLICY.find(directory, policy, account or account_of(arn)) for policy in policies],
            permissions_boundary=None if boundary is None else entity_commands.policy_or_document(directory, boundary, account),
            tags=dict(tags),
            groups=groups,
        )
        record = directory.tables.entities[arn]
    return entity_commands.show_record(record, form)


entity_commands.add_common(command, USER, lambda directory, arn: directory.delete_principal(arn))
entity_commands.add_policies(command, USER)
entity_commands.add_boundary(command, USER)


@command.command("rename")
@named
@click.argument("new")
@click.option("--path", metavar="PATH", help="The new path. Default: the present one.")
def rename(name: str, new: str, path: str | None, store: str, account: str | None, form: str) -> int:
    """Rename the user NAME to NEW. Its unique id stays, and policies that name it follow."""
    return change(USER, store, name, account, form, lambda directory, arn: directory.rename(arn, new, path=path))


@command.command("add-to-group")
@named
@click.argument("group")
def add_to_group(name: str, group: str, store: str, account: str | None, form: str) -> int:
    """Add the user NAME to GROUP."""

    def write(directory: Directory, arn: str) -> None:
        directory.add_user_to_group(arn, GROUP.find(directory, group, account_of(arn)))

    return change(USER, store, name, account, form, write)


@command.command("remove-from-group")
@named
@click.argument("group")
def remove_from_group(name: str, group: str, store: str, account: str | None, form: str) -> int:
    """Remove the user NAME from GROUP."""

    def write(directory: Directory, arn: str) -> None:
        directory.remove_user_from_group(arn, GROUP.find(directory, group, account_of(arn)))

    return change(USER, store, name, account, form, write)
