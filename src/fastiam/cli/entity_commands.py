"""Parts of the commands for records of a store (`fastiam user`, `role`, `policy` and others): names, and verbs that several have.

A verb opens the store, does one transaction, and prints the record as it is now, in our own format. A record is named by its
ARN or its name. A name is looked up in the account of `--account` or `FASTIAM_ACCOUNT`, or must occur in one account only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from fastiam.cli import exit_codes as exits
from fastiam.cli import options
from fastiam.cli.console import note
from fastiam.cli.file_arguments import read_bytes
from fastiam.cli.render import write_rows
from fastiam.cli.store_options import show, store
from fastiam.errors import DirectoryError, PolicyError, did_you_mean
from fastiam.model.arn import split_arn
from fastiam.model.request import shorten

if TYPE_CHECKING:
    from fastiam.api.directory import Directory

_DOCUMENTS = "fastiam.documents"  # in the context of a command: the file of each document that was read, "" for JSON
Write = Callable[..., object]  # takes a directory, an ARN, and the options of its verb
Rows = Callable[["Directory"], Iterable[dict[str, object]]]
Details = Callable[["Directory", str], dict[str, object]]


def read_document(given: str) -> str | bytes:
    """Read a policy of the command line: JSON itself, a file, or `-` for standard input."""
    is_file = not given.lstrip().startswith("{")
    click.get_current_context().meta.setdefault(_DOCUMENTS, []).append(given if is_file else "")
    return read_bytes(given) if is_file else given


def _read(ctx: click.Context, param: click.Parameter, value: str | None) -> str | bytes | None:
    """Documents are read while options are, so that no store is open for writing meanwhile."""
    return None if value is None else read_document(value)


account = click.option("--account", envvar="FASTIAM_ACCOUNT", metavar="ID", help="The account. Default: FASTIAM_ACCOUNT.")
new_name = click.argument("name")
path = click.option("--path", default="/", show_default=True, metavar="PATH", help="The path before the name: `/eng/`.")
tags = options.pairs("--tag", "tags", help="A tag; may be repeated.")


def document_named(name: str) -> options.Decorator:
    """An argument DOCUMENT, handed over as the parameter of that name."""
    return click.argument(name, metavar="DOCUMENT", callback=_read)


document = document_named("document")
trust = click.option(
    "--trust",
    "trust_policy",
    metavar="DOCUMENT",
    callback=_read,
    help="The trust policy: JSON, a file or `-`. Default: none; then no principal may assume it.",
)
pairs = click.argument("tags", type=options.Pair(), nargs=-1, required=True, metavar="KEY=VALUE...", callback=options.as_dict)
keys = click.argument("keys", nargs=-1, required=True, metavar="KEY...")
create_options = options.chained(tags, store, account, options.form)  # of verbs that create a record with tags


@dataclass(frozen=True, slots=True)
class EntityType:
    """A type of record: the resource type of its ARNs, which is also its name, and the table that has it.

    `has_name_field` : records have a field `name`, because their ARNs end in an id.
    """

    type: str
    table: str
    has_name_field: bool = False

    def name(self, arn: str, record: Any) -> str:
        """The name of a record."""
        return str(record.name) if self.has_name_field else name_of(arn)

    def records(self, directory: Directory) -> dict[str, Any]:
        """The records of this type, by ARN."""
        records: dict[str, Any] = getattr(directory.tables, self.table)
        if self.table != "entities":
            return records
        return {arn: record for arn, record in records.items() if _type_of(arn) == self.type}

    def find(self, directory: Directory, name: str, account: str | None) -> str:
        """The ARN of the record with a name or ARN.

        Raises
        ------
        DirectoryError
            not found, or several accounts have a record of that name.
        """
        records = self.records(directory)
        if name.startswith("arn:"):
            found = [name] if name in records else []
        else:
            named = [arn for arn, record in records.items() if self.name(arn, record).lower() == name.lower()]
            found = [arn for arn in named if account in (None, account_of(arn)) and account_of(arn) != "aws"]
            found = found or [arn for arn in named if account_of(arn) == "aws"]
        if not found:
            raise DirectoryError(f"there is no {self.type} `{name}`", hint=self._hint(name, records))
        if len(found) > 1:
            where = "accounts" if len(set(map(account_of, found))) > 1 else "ARNs"
            raise DirectoryError(f"`{name}` is in several {where}", hint="pass `--account` or the whole ARN")
        return found[0]

    def _hint(self, name: str, records: Mapping[str, Any]) -> str:
        names = records if name.startswith("arn:") else [self.name(arn, record) for arn, record in records.items()]
        hint = did_you_mean(name, names) or "`list` shows the existing ones"
        if self.type == "policy":
            hint += "; policies of AWS that fastiam does not have come with `fastiam import FILE` (docs/sources.md)"
        return hint

    def arn(self, directory: Directory, name: str, path: str, account: str | None) -> str:
        """The ARN of a record to be created."""
        if name.startswith("arn:"):
            if _type_of(name) != self.type:
                raise DirectoryError(
                    f"`{name}` is not an ARN of type {self.type}", hint=f"use `arn:aws:iam::<account>:{self.type}/Name`"
                )
            return name
        known = directory.tables.accounts
        if account is None and len(known) != 1:
            raise DirectoryError(f"the account of `{name}` is unknown", hint="pass `--account`, or the whole ARN")
        id_ = account or next(iter(known))
        partition = known[id_].partition if id_ in known else "aws"
        return f"arn:{partition}:iam::{id_}:{self.type}{path}{name}"


USER, ROLE, GROUP = EntityType("user", "entities"), EntityType("role", "entities"), EntityType("group", "groups")
POLICY, PROFILE = EntityType("policy", "managed"), EntityType("instance-profile", "instance_profiles")
SAML, OIDC = EntityType("saml-provider", "saml_providers"), EntityType("oidc-provider", "oidc_providers")
TRUST_ANCHOR, CRL = EntityType("trust-anchor", "trust_anchors", True), EntityType("crl", "revocation_lists", True)
ANYWHERE_PROFILE = EntityType("profile", "roles_anywhere_profiles", True)


def find_credential_owner(directory: Directory, name: str, account: str | None) -> str:
    """The ARN of a user, by name or ARN, or of a root user, by ARN or as `root` of an account."""
    if name.endswith(":root") and name.startswith("arn:"):
        return name
    if name != "root":
        return USER.find(directory, name, account)
    known = directory.tables.accounts
    if account is None and len(known) > 1:
        raise DirectoryError("the account of the root user is unknown", hint="pass `--account`, or the whole ARN")
    id_ = account or next(iter(known), "")
    if id_ not in known:
        message = f"there is no account `{shorten(id_)}`" if id_ else "the store has no account, so there is no root user"
        raise DirectoryError(message, hint=f"`fastiam account create {id_ or '111111111111'}` creates one")
    return f"arn:{known[id_].partition}:iam::{id_}:root"


def name_of(arn: str) -> str:
    """The name in an ARN: the last part of its path; of an OIDC provider its whole URL."""
    return arn.partition(":oidc-provider/")[2] or arn.rpartition("/")[2]


def account_of(arn: str) -> str:
    """The account field of an ARN."""
    parts = split_arn(arn)
    return "" if parts is None else parts.account


def _type_of(arn: str) -> str:
    parts = split_arn(arn)
    return "" if parts is None else parts.rest.partition("/")[0]


def find_policy(directory: Directory, name: str, account: str | None) -> str:
    """The ARN of a managed policy of the store, else of one of AWS that the package has, by name or ARN.

    Raises
    ------
    DirectoryError
        as `EntityType.find`.
    """
    from fastiam.aws_data.managed_policies import arns

    try:
        return POLICY.find(directory, name, account)
    except DirectoryError:
        of_aws = [arn for arn in arns() if name.lower() in (arn.lower(), name_of(arn).lower())]
        if len(of_aws) != 1:
            raise
        return of_aws[0]


# -- options that name other records --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Reference:
    """The name or ARN of another record. Verbs get its ARN: the name is looked up in the account of their own record."""

    name: str
    find: Callable[[Directory, str, str | None], str]


def referring(find: Callable[[Directory, str, str | None], str]) -> Callable[..., Any]:
    """The callback of an option that names another record, or of one that names several."""

    def refer(ctx: click.Context, param: click.Parameter, value: str | tuple[str, ...] | None) -> Any:
        if value is None:
            return None
        return _Reference(value, find) if isinstance(value, str) else tuple(_Reference(name, find) for name in value)

    return refer


def _resolved(directory: Directory, arn: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a verb for a record, with the ARNs of the records that they name."""

    def resolve(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(resolve, value))
        return value.find(directory, value.name, account_of(arn)) if isinstance(value, _Reference) else value

    return {name: resolve(value) for name, value in given.items()}


def _refer_to_boundary(ctx: click.Context, param: click.Parameter, value: str | None) -> Any:
    """The ARN of a managed policy, or a document."""
    return _Reference(value, find_policy) if value is not None and value.startswith("arn:") else _read(ctx, param, value)


policies = click.option(
    "--policy",
    "identity_policies",
    multiple=True,
    metavar="ARN",
    callback=referring(find_policy),
    help="A managed policy to attach, by name or ARN; may be repeated.",
)
boundary = click.option(
    "--boundary",
    "permissions_boundary",
    metavar="POLICY",
    callback=_refer_to_boundary,
    help="The permissions boundary: the ARN of a managed policy, JSON or a file.",
)


# -- the store --------------------------------------------------------------------------------------------------------------


@contextmanager
def reading(store: str) -> Iterator[Directory]:
    """Open the store to read it."""
    from fastiam.api.directory import Directory

    with Directory.open(store, create=False, read_only=True) as directory:
        yield directory


@contextmanager
def writing(store: str) -> Iterator[Directory]:
    """Open the store to write it in one transaction, and print the findings about the written records."""
    from fastiam.api.directory import Directory

    with Directory.open(store, create=False) as directory:
        try:
            with directory.transaction():
                yield directory
        except PolicyError as error:
            raise _with_file(error) from error
        for finding in directory.findings:
            note(str(finding))


def _with_file(error: PolicyError) -> PolicyError:
    """The error with the file of the document in place of its name, if the command read one document."""
    documents = click.get_current_context().meta.get(_DOCUMENTS, [])
    if len(documents) != 1 or not documents[0]:
        return error
    return PolicyError([replace(finding, source=documents[0]) for finding in error.findings])


def show_record(record: object, form: str, **more: object) -> int:
    """Print a record as it is now."""
    from fastiam.directory.directory_export import plain_record

    show(plain_record(record) | more, form)
    return exits.OK


# -- verbs of several entity types ----------------------------------------------------------------------------------------


named = options.chained(click.argument("entity", metavar="NAME"), store, account, options.form)  # of verbs for one record


def add_create(
    group: click.Group,
    entity_type: EntityType,
    method: str,
    *own: options.Decorator,
    help: str,
    name: options.Decorator = new_name,
) -> None:
    """Add `create`, one method of the directory, with the parameters that its options are named after. It prints the record."""

    @group.command("create", help=help)
    @options.chained(name, *own)
    def run(name: str, store: str, account: str | None, form: str, path: str = "/", **given: Any) -> int:
        with writing(store) as directory:
            arn = entity_type.arn(directory, name, path, account)
            parameters = {name: value for name, value in _resolved(directory, arn, given).items() if value is not None}
            getattr(directory, method)(arn, **parameters)
            record = entity_type.records(directory)[arn]
        return show_record(record, form)


def add_change(
    group: click.Group, entity_type: EntityType, verb: str, *own: options.Decorator, help: str | None = None
) -> Callable[[Write], Write]:
    """Add a verb that changes one record and prints it. If its function gives the record another ARN, it returns that."""

    def decorate(write: Write) -> Write:
        @group.command(verb, help=help or write.__doc__)
        @options.chained(named, *own)
        def run(entity: str, store: str, account: str | None, form: str, **given: Any) -> int:
            with writing(store) as directory:
                arn = entity_type.find(directory, entity, account)
                new = write(directory, arn, **_resolved(directory, arn, given))
                record = entity_type.records(directory)[new if isinstance(new, str) and new.startswith("arn:") else arn]
            return show_record(record, form)

        return write

    return decorate


def add_call(group: click.Group, entity_type: EntityType, verb: str, method: str, *own: options.Decorator, help: str) -> None:
    """Add a verb that is one method of the directory, with the parameters that its options are named after."""

    @add_change(group, entity_type, verb, *own, help=help)
    def call(directory: Directory, arn: str, **given: Any) -> object:
        return getattr(directory, method)(arn, **given)


def add_write(group: click.Group, verb: str, *own: options.Decorator, help: str | None = None) -> Callable[[Write], Write]:
    """Add a verb of records without name. Its function writes one, and returns it as it is then."""

    def decorate(write: Write) -> Write:
        @group.command(verb, help=help or write.__doc__)
        @options.chained(*own, store, options.form)
        def run(store: str, form: str, **given: Any) -> int:
            with writing(store) as directory:
                record = write(directory, **given)
            return show_record(record, form)

        return write

    return decorate


def add_rows(group: click.Group, *columns: str) -> Callable[[Rows], Rows]:
    """Add `list` for records without name; its function returns the rows."""

    def decorate(rows: Rows) -> Rows:
        @group.command("list", help=rows.__doc__)
        @store
        @options.rows_form
        def list_(store: str, form: str) -> int:
            with reading(store) as directory:
                found = list(rows(directory))
            write_rows(columns, found, form)
            return exits.OK

        return rows

    return decorate


def add_common(group: click.Group, entity_type: EntityType, delete: Write, more: Details | None = None) -> None:
    """Add the verbs of every entity type with tags: `list`, `show`, `delete`, `tag` and `untag`."""
    add_show(group, entity_type, more)
    add_delete(group, entity_type, delete)
    add_tags(group, entity_type)


def add_show(
    group: click.Group, entity_type: EntityType, more: Callable[[Directory, str], dict[str, object]] | None = None
) -> None:
    """Add `list` and `show`."""

    @group.command("list", help=f"List every {entity_type.type}.")
    @store
    @account
    @options.rows_form
    def list_(store: str, account: str | None, form: str) -> int:
        with reading(store) as directory:
            records = {
                arn: record for arn, record in entity_type.records(directory).items() if account in (None, account_of(arn))
            }
        records = dict(sorted(records.items(), key=lambda item: account_of(item[0]) == "aws"))  # the accounts' own first
        rows = [
            {"name": entity_type.name(arn, record), "unique_id": getattr(record, "unique_id", None), "arn": arn}
            for arn, record in records.items()
        ]
        write_rows(("name", "unique_id", "arn"), rows, form)
        return exits.OK

    @group.command("show", help="Show NAME, a name or ARN.")
    @named
    def show(entity: str, store: str, account: str | None, form: str) -> int:
        with reading(store) as directory:
            arn = entity_type.find(directory, entity, account)
            details = {} if more is None else more(directory, arn)
            return show_record(entity_type.records(directory)[arn], form, **details)


def add_show_by_id(group: click.Group, type_: str, find: Callable[[Directory, str], object | None], metavar: str = "ID") -> None:
    """Add `show` for records that have an id and no name; `find` returns None if there is none."""

    @group.command("show", help=f"Show the {type_} {metavar}.")
    @click.argument("id_", metavar=metavar)
    @store
    @options.form
    def show(id_: str, store: str, form: str) -> int:
        with reading(store) as directory:
            record = find(directory, id_)
        if record is None:
            raise DirectoryError(f"there is no {type_} `{id_}`", hint="`list` shows the existing ones")
        return show_record(record, form)


def add_delete_by_id(group: click.Group, delete: Write, help: str, metavar: str = "ID") -> None:
    """Add `delete` for records that have an id and no name."""

    @group.command("delete", help=help)
    @click.argument("id_", metavar=metavar)
    @store
    @options.form
    def delete_(id_: str, store: str, form: str) -> int:
        with writing(store) as directory:
            delete(directory, id_)
        show({"deleted": id_}, form)
        return exits.OK


def add_delete(group: click.Group, entity_type: EntityType, delete: Write) -> None:
    """Add `delete`."""

    @group.command("delete", help="Delete NAME, a name or ARN. A record that others refer to is not deleted.")
    @named
    def delete_(entity: str, store: str, account: str | None, form: str) -> int:
        with writing(store) as directory:
            arn = entity_type.find(directory, entity, account)
            delete(directory, arn)
        show({"deleted": arn}, form)
        return exits.OK


def add_tags(group: click.Group, entity_type: EntityType) -> None:
    """Add `tag` and `untag`."""
    add_call(group, entity_type, "tag", "tag", pairs, help="Add tags to NAME.")
    add_call(group, entity_type, "untag", "untag", keys, help="Remove tags from NAME.")


def add_rename(group: click.Group, entity_type: EntityType, help: str) -> None:
    """Add `rename`."""
    new = click.argument("name", metavar="NEW")
    path = click.option("--path", metavar="PATH", help="The new path. Default: the present one.")
    add_call(group, entity_type, "rename", "rename", new, path, help=help)


def _find_attached(directory: Directory, policy: str, account: str | None) -> str:
    """The ARN of an attached policy. The policy may be deleted: then only its ARN names it."""
    return policy if policy.startswith("arn:") else POLICY.find(directory, policy, account)


def add_policies(group: click.Group, entity_type: EntityType) -> None:
    """Add `attach`, `detach`, `put-policy` and `delete-policy`."""
    managed = click.argument("policy", callback=referring(find_policy))
    attached = click.argument("policy", callback=referring(_find_attached))
    inline = click.argument("name", metavar="POLICY")
    text = "Attach POLICY, a managed policy by name or ARN, to NAME."
    add_call(group, entity_type, "attach", "attach_policy", managed, help=text)
    add_call(group, entity_type, "detach", "detach_policy", attached, help="Detach POLICY from NAME.")
    text = "Add or replace the inline policy POLICY of NAME. DOCUMENT is JSON, a file or `-`."
    add_call(group, entity_type, "put-policy", "put_inline_policy", inline, document, help=text)
    text = "Delete the inline policy POLICY of NAME."
    add_call(group, entity_type, "delete-policy", "delete_inline_policy", inline, help=text)


def add_boundary(group: click.Group, entity_type: EntityType) -> None:
    """Add `set-boundary` and `delete-boundary`."""
    policy = click.argument("boundary", metavar="POLICY", callback=_refer_to_boundary)
    text = "Set the permissions boundary of NAME: the ARN of a managed policy, JSON, a file or `-`."
    add_call(group, entity_type, "set-boundary", "set_permissions_boundary", policy, help=text)
    text = "Delete the permissions boundary of NAME."
    add_call(group, entity_type, "delete-boundary", "delete_permissions_boundary", help=text)
