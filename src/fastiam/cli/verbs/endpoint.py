"""`fastiam endpoint`: VPC endpoints of a store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fastiam.cli import entity_commands
from fastiam.cli.verbs.resource import documents, new_documents, owner

if TYPE_CHECKING:
    from fastiam.api.directory import Directory
    from fastiam.directory.stored_policies import Given

id_ = click.argument("id_", metavar="ID")


@click.group("endpoint")
def command() -> None:
    """Create, change, list and delete VPC endpoints."""


@entity_commands.add_write(
    command,
    "create",
    id_,
    documents,
    owner,
    click.option("--gateway", is_flag=True, help="A gateway endpoint, not an interface."),
)
def create(directory: Directory, id_: str, policies: list[Given], account: str | None, gateway: bool) -> object:
    """Create the endpoint ID (`vpce-...`); without a policy it allows full access."""
    directory.add_endpoint(id_, policy=policies or None, account=account, gateway=gateway)
    return directory.tables.endpoints[id_]


@entity_commands.add_rows(command, "id", "account", "gateway", "policies")
def list_(directory: Directory) -> list[dict[str, object]]:
    """List the endpoints."""
    return [
        {"id": e.id, "account": e.account, "gateway": e.gateway, "policies": None if e.policies is None else len(e.policies)}
        for e in directory.tables.endpoints.values()
    ]


entity_commands.add_show_by_id(command, "endpoint", lambda directory, id_: directory.tables.endpoints.get(id_))
entity_commands.add_delete_by_id(command, lambda directory, id_: directory.delete_endpoint(id_), "Delete the endpoint ID.")


@entity_commands.add_write(command, "set-policy", id_, new_documents)
def set_policy(directory: Directory, id_: str, policies: list[Given]) -> object:
    """Give the endpoint ID another policy: JSON, a file or `-`; without one it allows full access again."""
    directory.set_endpoint_policy(id_, policies or None)
    return directory.tables.endpoints[id_]
