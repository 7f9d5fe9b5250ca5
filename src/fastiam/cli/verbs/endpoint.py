"""`fastiam endpoint`: VPC endpoints of a store."""

from __future__ import annotations

import click

from fastiam.cli import entity_commands, options
from fastiam.cli import exit_codes as exits
from fastiam.cli.render import write_rows
from fastiam.cli.store_options import show as show_text
from fastiam.cli.store_options import store
from fastiam.cli.verbs.resource import documents, owner


@click.group("endpoint")
def command() -> None:
    """Create, change, list and delete VPC endpoints."""


@command.command("create")
@click.argument("id_", metavar="ID")
@documents
@owner
@click.option("--gateway", is_flag=True, help="A gateway endpoint, not an interface.")
@store
@options.form
def create(id_: str, policies: tuple[str, ...], account: str | None, gateway: bool, store: str, form: str) -> int:
    """Create the endpoint ID (`vpce-...`); without a policy it allows full access."""
    read = list(map(entity_commands.read_document, policies))
    with entity_commands.writing(store) as directory:
        directory.add_endpoint(id_, policy=read or None, account=account, gateway=gateway)
        record = directory.tables.endpoints[id_]
    return entity_commands.show_record(record, form)


@command.command("list")
@store
@options.rows_form
def list_(store: str, form: str) -> int:
    """List the endpoints."""
    with entity_commands.reading(store) as directory:
        rows = [
            {"id": e.id, "account": e.account, "gateway": e.gateway, "policies": None if e.policies is None else len(e.policies)}
            for e in directory.tables.endpoints.values()
        ]
    write_rows(("id", "account", "gateway", "policies"), rows, form)
    return exits.OK


entity_commands.add_show_by_id(command, "endpoint", lambda directory, id_: directory.tables.endpoints.get(id_))


@command.command("set-policy")
@click.argument("id_", metavar="ID")
@click.argument("documents", nargs=-1, metavar="DOCUMENT...")
@store
@options.form
def set_policy(id_: str, documents: tuple[str, ...], store: str, form: str) -> int:
    """Give the endpoint ID another policy: JSON, a file or `-`; without one it allows full access again."""
    read = list(map(entity_commands.read_document, documents))
    with entity_commands.writing(store) as directory:
        directory.set_endpoint_policy(id_, read or None)
        record = directory.tables.endpoints[id_]
    return entity_commands.show_record(record, form)


@command.command("delete")
@click.argument("id_", metavar="ID")
@store
@options.form
def delete(id_: str, store: str, form: str) -> int:
    """Delete the endpoint ID."""
    with entity_commands.writing(store) as directory:
        directory.delete_endpoint(id_)
    show_text({"deleted": id_}, form)
    return exits.OK
