"""`fastiam resource`: resources of a store, with their policies; endpoints have verbs of the same names."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from fastiam.cli import entity_commands, options
from fastiam.errors import DirectoryError

if TYPE_CHECKING:
    from fastiam.api.directory import Directory
    from fastiam.directory.stored_policies import Policies

Find = Callable[["Directory", str], object | None]


def _read(ctx: click.Context, param: click.Parameter, given: tuple[str, ...]) -> Policies | None:
    """Documents are read while options are, so that no store is open for writing meanwhile."""
    read = list(map(entity_commands.read_document, given))
    return (read[0] if len(read) == 1 else read) or None


documents = click.option(
    "--policy",
    "policy",
    multiple=True,
    metavar="DOCUMENT",
    callback=_read,
    help="Its policy: JSON, a file or `-`; may be repeated.",
)
new_documents = click.argument("policy", nargs=-1, metavar="DOCUMENT...", callback=_read)
owner = click.option("--account", metavar="ID", help="The account that owns it, if its ARN does not contain it.")
arn = click.argument("id_", metavar="ARN")


def add_call(group: click.Group, find: Find, verb: str, method: str, *own: options.Decorator, help: str) -> None:
    """Add a verb that is one method of the directory, with the parameters that its options are named after.

    Its first argument is `id_`; `find` gives the record to be printed.
    """

    @entity_commands.add_write(group, verb, *own, help=help)
    def call(directory: Directory, id_: str, **given: Any) -> object:
        getattr(directory, method)(id_, **given)
        record = find(directory, id_)
        if record is None:  # `tag` takes the ARNs of other records, too
            raise DirectoryError(f"there is no {group.name} `{id_}`", hint="`list` shows the existing ones")
        return record


@click.group("resource")
def command() -> None:
    """Create, change, list and delete resources and their policies."""


def _find(directory: Directory, arn: str) -> object | None:
    from fastiam.directory.governing_resources import stored_arn

    return directory.tables.resources.get(stored_arn(arn))


public = click.option("--restrict-public-buckets", is_flag=True, help="The setting of S3 Block Public Access.")
text = "Create the resource ARN. It is the resource that has the policy: a bucket, not its objects."
add_call(command, _find, "create", "add_resource", arn, documents, owner, public, entity_commands.tags, help=text)


@entity_commands.add_rows(command, "arn", "account", "policies")
def list_(directory: Directory) -> list[dict[str, object]]:
    """List the resources."""
    return [
        {"arn": arn, "account": record.account, "policies": len(record.policies)}
        for arn, record in directory.tables.resources.items()
    ]


entity_commands.add_show_by_id(command, "resource", _find, "ARN")
entity_commands.add_delete_by_id(
    command, lambda directory, arn: directory.delete_resource(arn), "Delete the resource ARN, with its policies.", "ARN"
)
text = "Give the resource ARN another policy: JSON, a file or `-`; without one it has none."
add_call(command, _find, "set-policy", "set_resource_policy", arn, new_documents, help=text)
add_call(command, _find, "tag", "tag", arn, entity_commands.pairs, help="Add tags to the resource ARN.")
add_call(command, _find, "untag", "untag", arn, entity_commands.keys, help="Remove tags from the resource ARN.")
