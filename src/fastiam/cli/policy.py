"""`fastiam policy`: managed policies of a store."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from fastiam.cli import entity_commands
from fastiam.cli.entity_commands import POLICY, change, named

if TYPE_CHECKING:
    from fastiam.api.directory import Directory


@click.group("policy")
def command() -> None:
    """Create, change, list and delete managed policies. `attach` is a verb of user, role and group."""


@command.command("create")
@click.argument("name")
@entity_commands.document
@entity_commands.path
@entity_commands.create_options
def create(
    name: str, document: str, path: str, tags: tuple[tuple[str, str], ...], store: str, account: str | None, form: str
) -> int:
    """Create the managed policy NAME. DOCUMENT is JSON, a file or `-`."""
    read = entity_commands.read_document(document)
    with entity_commands.writing(store) as directory:
        arn = POLICY.arn(directory, name, path, account)
        directory.add_managed_policy(arn, read, tags=dict(tags))
        record = directory.tables.managed[arn]
    return entity_commands.show_record(record, form)


def _attached_to(directory: Directory, policy: str) -> dict[str, object]:
    return asdict(directory.attachments(policy))


entity_commands.add_common(command, POLICY, lambda directory, arn: directory.delete_policy(arn), _attached_to)


@command.command("create-version")
@named
@entity_commands.document
@click.option("--set-as-default", is_flag=True, help="Make it the default version.")
def create_version(name: str, document: str, set_as_default: bool, store: str, account: str | None, form: str) -> int:
    """Add a version to the policy NAME. DOCUMENT is JSON, a file or `-`."""
    read = entity_commands.read_document(document)

    def write(directory: Directory, arn: str) -> None:
        directory.create_policy_version(arn, read, set_as_default=set_as_default)

    return change(POLICY, store, name, account, form, write)


@command.command("set-default-version")
@named
@click.argument("version")
def set_default_version(name: str, version: str, store: str, account: str | None, form: str) -> int:
    """Make VERSION the default version of the policy NAME."""
    return change(POLICY, store, name, account, form, lambda directory, arn: directory.set_default_policy_version(arn, version))


@command.command("delete-version")
@named
@click.argument("version")
def delete_version(name: str, version: str, store: str, account: str | None, form: str) -> int:
    """Delete VERSION of the policy NAME, which must not be the default version."""
    return change(POLICY, store, name, account, form, lambda directory, arn: directory.delete_policy_version(arn, version))
