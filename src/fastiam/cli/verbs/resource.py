"""`fastiam resource`: resources of a store, with their policies; endpoints have verbs of the same names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from fastiam.cli import entity_commands
from fastiam.errors import DirectoryError

if TYPE_CHECKING:
    from fastiam.api.directory import Directory
    from fastiam.directory.stored_policies import Given


def _read(ctx: click.Context, param: click.Parameter, given: tuple[str, ...]) -> list[str | bytes]:
    """Documents are read while options are, so that no store is open for writing meanwhile."""
    return list(map(entity_commands.read_document, given))


documents = click.option(
    "--policy",
    "policies",
    multiple=True,
    metavar="DOCUMENT",
    callback=_read,
    help="Its policy: JSON, a file or `-`; may be repeated.",
)
new_documents = click.argument("policies", nargs=-1, metavar="DOCUMENT...", callback=_read)
owner = click.option("--account", metavar="ID", help="The account that owns it, if its ARN does not contain it.")
arn = click.argument("id_", metavar="ARN")


@click.group("resource")
def command() -> None:
    """Create, change, list and delete resources and their policies."""


@entity_commands.add_write(
    command,
    "create",
    arn,
    documents,
    owner,
    click.option("--restrict-public-buckets", is_flag=True, help="The setting of S3 Block Public Access."),
    entity_commands.tags,
)
def create(directory: Directory, id_: str, policies: list[Given], **given: Any) -> object:
    """Create the resource ARN. It is the resource that has the policy: a bucket, not its objects."""
    directory.add_resource(id_, policy=_one(policies), **given)
    return _find(directory, id_)


@entity_commands.add_rows(command, "arn", "account", "policies")
def list_(directory: Directory) -> list[dict[str, object]]:
    """List the resources."""
    return [
        {"arn": arn, "account": record.account, "policies": len(record.policies)}
        for arn, record in directory.tables.resources.items()
    ]


def _one(policies: list[Given]) -> list[Given] | Given | None:
    return (policies[0] if len(policies) == 1 else policies) or None


def stored_arn(arn: str) -> str:
    """The ARN under which a resource is stored."""
    from fastiam.directory.governing_resources import stored_arn as stored

    return stored(arn)


def _find(directory: Directory, arn: str) -> object:
    record = directory.tables.resources.get(stored_arn(arn))
    if record is None:
        raise DirectoryError(f"there is no resource `{arn}`", hint="`list` shows the existing ones")
    return record


entity_commands.add_show_by_id(command, "resource", lambda directory, arn: directory.tables.resources.get(stored_arn(arn)), "ARN")
entity_commands.add_delete_by_id(
    command, lambda directory, arn: directory.delete_resource(arn), "Delete the resource ARN, with its policies.", "ARN"
)


@entity_commands.add_write(command, "set-policy", arn, new_documents)
def set_policy(directory: Directory, id_: str, policies: list[Given]) -> object:
    """Give the resource ARN another policy: JSON, a file or `-`; without one it has none."""
    directory.set_resource_policy(id_, _one(policies))
    return _find(directory, id_)


@entity_commands.add_write(command, "tag", arn, entity_commands.pairs)
def tag(directory: Directory, id_: str, tags: dict[str, str]) -> object:
    """Add tags to the resource ARN."""
    directory.tag(id_, tags)
    return _find(directory, id_)


@entity_commands.add_write(command, "untag", arn, entity_commands.keys)
def untag(directory: Directory, id_: str, keys: tuple[str, ...]) -> object:
    """Remove tags from the resource ARN."""
    directory.untag(id_, keys)
    return _find(directory, id_)
