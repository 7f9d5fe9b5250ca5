"""`fastiam role`: roles of a store."""

from __future__ import annotations

import click

from fastiam.cli import entity_commands
from fastiam.cli.entity_commands import POLICY, ROLE, account_of, change, named


@click.group("role")
def command() -> None:
    """Create, change, list and delete roles."""


@command.command("create")
@click.argument("name")
@click.option(
    "--trust", metavar="DOCUMENT", help="The trust policy: JSON, a file or `-`. Default: none; then no principal may assume it."
)
@entity_commands.path
@entity_commands.policies
@click.option("--boundary", metavar="POLICY", help="The permissions boundary: the ARN of a managed policy, JSON or a file.")
@click.option("--max-session-duration", type=int, metavar="SECONDS", default=3600, show_default=True)
@entity_commands.create_options
def create(
    name: str,
    trust: str | None,
    path: str,
    policies: tuple[str, ...],
    boundary: str | None,
    max_session_duration: int,
    tags: tuple[tuple[str, str], ...],
    store: str,
    account: str | None,
    form: str,
) -> int:
    """Create the role NAME."""
    with entity_commands.writing(store) as directory:
        arn = ROLE.arn(directory, name, path, account)
        directory.add_principal(
            arn,
            identity_policies=[POLICY.find(directory, policy, account or account_of(arn)) for policy in policies],
            permissions_boundary=None if boundary is None else entity_commands.policy_or_document(directory, boundary, account),
            tags=dict(tags),
            trust_policy=None if trust is None else entity_commands.read_document(trust),
            max_session_duration=max_session_duration,
        )
        record = directory.tables.entities[arn]
    return entity_commands.show_record(record, form)


entity_commands.add_common(command, ROLE, lambda directory, arn: directory.delete_principal(arn))
entity_commands.add_policies(command, ROLE)
entity_commands.add_boundary(command, ROLE)


@command.command("set-trust")
@named
@entity_commands.document
def set_trust(name: str, document: str, store: str, account: str | None, form: str) -> int:
    """Set the trust policy of the role NAME. DOCUMENT is JSON, a file or `-`."""
    trust = entity_commands.read_document(document)
    return change(ROLE, store, name, account, form, lambda directory, arn: directory.set_trust_policy(arn, trust))


@command.command("set-max-session-duration")
@named
@click.argument("seconds", type=int)
def set_max_session_duration(name: str, seconds: int, store: str, account: str | None, form: str) -> int:
    """Set the maximum session duration of the role NAME, 3600 to 43200 seconds."""
    return change(ROLE, store, name, account, form, lambda directory, arn: directory.set_max_session_duration(arn, seconds))
