"""`fastiam policy`: managed policies of a store."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from fastiam.cli import entity_commands
from fastiam.cli.entity_commands import POLICY, add_change, add_create

if TYPE_CHECKING:
    from fastiam.api.directory import Directory

version = click.argument("version")


@click.group("policy")
def command() -> None:
    """Create, change, list and delete managed policies. `attach` is a verb of user, role and group."""


@add_create(command, POLICY, entity_commands.document, entity_commands.path, entity_commands.create_options)
def create(directory: Directory, arn: str, document: str | bytes, tags: dict[str, str]) -> None:
    """Create the managed policy NAME. DOCUMENT is JSON, a file or `-`."""
    directory.add_managed_policy(arn, document, tags=tags)


def _attached_to(directory: Directory, policy: str) -> dict[str, object]:
    return asdict(directory.attachments(policy))


entity_commands.add_common(command, POLICY, lambda directory, arn: directory.delete_policy(arn), _attached_to)


@add_change(
    command,
    POLICY,
    "create-version",
    entity_commands.document,
    click.option("--set-as-default", is_flag=True, help="Make it the default version."),
)
def create_version(directory: Directory, arn: str, document: str | bytes, set_as_default: bool) -> None:
    """Add a version to the policy NAME. DOCUMENT is JSON, a file or `-`."""
    directory.create_policy_version(arn, document, set_as_default=set_as_default)


@add_change(command, POLICY, "set-default-version", version)
def set_default_version(directory: Directory, arn: str, version: str) -> None:
    """Make VERSION the default version of the policy NAME."""
    directory.set_default_policy_version(arn, version)


@add_change(command, POLICY, "delete-version", version)
def delete_version(directory: Directory, arn: str, version: str) -> None:
    """Delete VERSION of the policy NAME, which must not be the default version."""
    directory.delete_policy_version(arn, version)
