"""`fastiam policy`: managed policies of a store."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from fastiam.cli import entity_commands
from fastiam.cli.entity_commands import POLICY, add_call, add_create

if TYPE_CHECKING:
    from fastiam.api.directory import Directory

version = click.argument("version")


@click.group("policy")
def command() -> None:
    """Create, change, list and delete managed policies. `attach` is a verb of user, role and group."""


def _attached_to(directory: Directory, policy: str) -> dict[str, object]:
    return asdict(directory.attachments(policy))


text = "Create the managed policy NAME. DOCUMENT is JSON, a file or `-`."
own = (entity_commands.document, entity_commands.path, entity_commands.create_options)
add_create(command, POLICY, "add_managed_policy", *own, help=text)
entity_commands.add_common(command, POLICY, lambda directory, arn: directory.delete_policy(arn), _attached_to)
text = "Add a version to the policy NAME. DOCUMENT is JSON, a file or `-`."
default = click.option("--set-as-default", is_flag=True, help="Make it the default version.")
add_call(command, POLICY, "create-version", "create_policy_version", entity_commands.document, default, help=text)
text = "Make VERSION the default version of the policy NAME."
add_call(command, POLICY, "set-default-version", "set_default_policy_version", version, help=text)
text = "Delete VERSION of the policy NAME, which must not be the default version."
add_call(command, POLICY, "delete-version", "delete_policy_version", version, help=text)
