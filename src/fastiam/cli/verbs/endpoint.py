"""`fastiam endpoint`: VPC endpoints of a store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fastiam.cli import entity_commands
from fastiam.cli.verbs.resource import add_call, documents, new_documents, owner

if TYPE_CHECKING:
    from fastiam.api.directory import Directory

id_ = click.argument("id_", metavar="ID")


@click.group("endpoint")
def command() -> None:
    """Create, change, list and delete VPC endpoints."""


def _find(directory: Directory, id_: str) -> object | None:
    return directory.tables.endpoints.get(id_)


gateway = click.option("--gateway", is_flag=True, help="A gateway endpoint, not an interface.")
text = "Create the endpoint ID (`vpce-...`); without a policy it allows full access."
add_call(command, _find, "create", "add_endpoint", id_, documents, owner, gateway, help=text)


@entity_commands.add_rows(command, "id", "account", "gateway", "policies")
def list_(directory: Directory) -> list[dict[str, object]]:
    """List the endpoints."""
    return [
        {"id": e.id, "account": e.account, "gateway": e.gateway, "policies": None if e.policies is None else len(e.policies)}
        for e in directory.tables.endpoints.values()
    ]


entity_commands.add_show_by_id(command, "endpoint", _find)
entity_commands.add_delete_by_id(command, lambda directory, id_: directory.delete_endpoint(id_), "Delete the endpoint ID.")
text = "Give the endpoint ID another policy: JSON, a file or `-`; without one it allows full access again."
add_call(command, _find, "set-policy", "set_endpoint_policy", id_, new_documents, help=text)
