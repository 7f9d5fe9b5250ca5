"""`fastiam resource`: resources of a store, with their policies; endpoints have verbs of the same names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fastiam.cli import entity_commands, options
from fastiam.cli import exit_codes as exits
from fastiam.cli.render import write_rows
from fastiam.cli.store_options import show as show_text
from fastiam.cli.store_options import store
from fastiam.errors import DirectoryError

if TYPE_CHECKING:
    from fastiam.api.directory import Directory

documents = click.option(
    "--policy", "policies", multiple=True, metavar="DOCUMENT", help="Its policy: JSON, a file or `-`; may be repeated."
)
owner = click.option("--account", metavar="ID", help="The account that owns it, if its ARN does not contain it.")


@click.group("resource")
def command() -> None:
    """Create, change, list and delete resources and their policies."""


@command.command("create")
@click.argument("arn")
@documents
@owner
@click.option("--restrict-public-buckets", is_flag=True, help="The setting of S3 Block Public Access.")
@entity_commands.tags
@store
@options.form
def create(
    arn: str,
    policies: tuple[str, ...],
    account: str | None,
    restrict_public_buckets: bool,
    tags: tuple[tuple[str, str], ...],
    store: str,
    form: str,
) -> int:
    """Create the resource ARN. It is the resource that has the policy: a bucket, not its objects."""
    read = list(map(entity_commands.read_document, policies))
    with entity_commands.writing(store) as directory:
        directory.add_resource(
            arn,
            account=account,
            policy=(read[0] if len(read) == 1 else read) or None,
            tags=dict(tags),
            restrict_public_buckets=restrict_public_buckets,
        )
        record = directory.tables.resources[stored_arn(arn)]
    return entity_commands.show_record(record, form)


@command.command("list")
@store
@options.rows_form
def list_(store: str, form: str) -> int:
    """List the resources."""
    with entity_commands.reading(store) as directory:
        rows = [
            {"arn": arn, "account": record.account, "policies": len(record.policies)}
            for arn, record in directory.tables.resources.items()
        ]
    write_rows(("arn", "account", "policies"), rows, form)
    return exits.OK


def stored_arn(arn: str) -> str:
    """The ARN under which a resource is stored."""
    from fastiam.directory.governing_resources import stored_arn as stored

    return stored(arn)


def _find(directory: Directory, arn: str) -> object:
    record = directory.tables.resources.get(stored_arn(arn))
    if record is None:
        raise DirectoryError(f"there is no resource `{arn}`", hint="`list` shows the existing ones")
    return record


@command.command("show")
@click.argument("arn")
@store
@options.form
def show(arn: str, store: str, form: str) -> int:
    """Show the resource ARN."""
    with entity_commands.reading(store) as directory:
        return entity_commands.show_record(_find(directory, arn), form)


@command.command("set-policy")
@click.argument("arn")
@click.argument("documents", nargs=-1, metavar="DOCUMENT...")
@store
@options.form
def set_policy(arn: str, documents: tuple[str, ...], store: str, form: str) -> int:
    """Give the resource ARN another policy: JSON, a file or `-`; without one it has none."""
    read = list(map(entity_commands.read_document, documents))
    with entity_commands.writing(store) as directory:
        directory.set_resource_policy(arn, (read[0] if len(read) == 1 else read) or None)
        record = _find(directory, arn)
    return entity_commands.show_record(record, form)


@command.command("delete")
@click.argument("arn")
@store
@options.form
def delete(arn: str, store: str, form: str) -> int:
    """Delete the resource ARN, with its policies."""
    with entity_commands.writing(store) as directory:
        directory.delete_resource(arn)
    show_text({"deleted": arn}, form)
    return exits.OK


@command.command("tag")
@click.argument("arn")
@click.argument("pairs", type=options.Pair(), nargs=-1, required=True, metavar="KEY=VALUE...")
@store
@options.form
def tag(arn: str, pairs: tuple[tuple[str, str], ...], store: str, form: str) -> int:
    """Add tags to the resource ARN."""
    with entity_commands.writing(store) as directory:
        directory.tag(arn, dict(pairs))
        record = _find(directory, arn)
    return entity_commands.show_record(record, form)


@command.command("untag")
@click.argument("arn")
@click.argument("keys", nargs=-1, required=True, metavar="KEY...")
@store
@options.form
def untag(arn: str, keys: tuple[str, ...], store: str, form: str) -> int:
    """Remove tags from the resource ARN."""
    with entity_commands.writing(store) as directory:
        directory.untag(arn, keys)
        record = _find(directory, arn)
    return entity_commands.show_record(record, form)
