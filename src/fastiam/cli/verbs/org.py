"""`fastiam org`: the organisation of a store, its tree and the policies at its elements."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from fastiam.cli import entity_commands, options
from fastiam.cli import exit_codes as exits
from fastiam.cli.store_options import show as show_text
from fastiam.cli.store_options import store
from fastiam.errors import DirectoryError

if TYPE_CHECKING:
    from fastiam.api.directory import Directory

TYPES = {"scp": "SERVICE_CONTROL_POLICY", "rcp": "RESOURCE_CONTROL_POLICY"}


@click.group("org")
def command() -> None:
    """Create and change the organisation."""


def _change(store: str, form: str, write: Callable[[Directory], object]) -> int:
    with entity_commands.writing(store) as directory:
        write(directory)
        record = directory.tables.organization
    return entity_commands.show_record(record, form)


@command.command("create")
@click.argument("id_", metavar="ID")
@click.option("--root", default="r-1", show_default=True, metavar="ID")
@click.option("--management-account", metavar="ID")
@store
@options.form
def create(id_: str, root: str, management_account: str | None, store: str, form: str) -> int:
    """Create the organisation ID (`o-...`). A store has one."""

    def write(directory: Directory) -> None:
        old = directory.tables.organization
        if old is not None:
            hint = "`fastiam org show` shows it, the other verbs of `org` change it"
            raise DirectoryError(f"there is the organisation `{old.id}` already", rule="DIR-EXISTS", hint=hint)
        directory.set_organization(id_, root=root, management_account=management_account)

    return _change(store, form, write)


@command.command("show")
@store
@options.form
def show(store: str, form: str) -> int:
    """Show the tree and its policies."""
    with entity_commands.reading(store) as directory:
        record = directory.tables.organization
    if record is None:
        raise DirectoryError("there is no organisation", hint="`fastiam org create` makes one")
    return entity_commands.show_record(record, form)


parent = click.option("--parent", metavar="ID", help="The parent unit. Default: the root.")


@command.command("create-unit")
@click.argument("id_", metavar="ID")
@parent
@store
@options.form
def create_unit(id_: str, parent: str | None, store: str, form: str) -> int:
    """Create the organisational unit ID (`ou-...`)."""
    return _change(store, form, lambda directory: directory.create_organizational_unit(id_, parent))


@command.command("delete-unit")
@click.argument("id_", metavar="ID")
@store
@options.form
def delete_unit(id_: str, store: str, form: str) -> int:
    """Delete the organisational unit ID, which must be empty."""
    return _change(store, form, lambda directory: directory.delete_organizational_unit(id_))


@command.command("move")
@click.argument("element", metavar="ID")
@parent
@store
@options.form
def move(element: str, parent: str | None, store: str, form: str) -> int:
    """Move the account or unit ID. An account from outside joins the organisation."""
    return _change(store, form, lambda directory: directory.move(element, parent))


@command.command("remove-account")
@click.argument("account", metavar="ID")
@store
@options.form
def remove_account(account: str, store: str, form: str) -> int:
    """Remove the account ID from the organisation."""
    return _change(store, form, lambda directory: directory.remove_account_from_organization(account))


service = click.option("--service", default="iam.amazonaws.com", show_default=True, metavar="NAME")


@command.command("register-administrator")
@click.argument("account", metavar="ID")
@service
@store
@options.form
def register(account: str, service: str, store: str, form: str) -> int:
    """Register the account ID as the delegated administrator of a service."""
    return _change(store, form, lambda directory: directory.register_delegated_administrator(account, service))


@command.command("deregister-administrator")
@click.argument("account", metavar="ID")
@service
@store
@options.form
def deregister(account: str, service: str, store: str, form: str) -> int:
    """Deregister the account ID as the delegated administrator of a service."""
    return _change(store, form, lambda directory: directory.deregister_delegated_administrator(account, service))


def _add(kind: str) -> None:
    """Add the verbs that SCPs and RCPs share."""
    name, type_ = kind.upper(), TYPES[kind]

    def attach_to(directory: Directory, element: str, policy: Any) -> None:
        (directory.attach_scp if kind == "scp" else directory.attach_rcp)(element, policy)

    def detach_from(directory: Directory, element: str, policy: str) -> None:
        (directory.detach_scp if kind == "scp" else directory.detach_rcp)(element, policy)

    @command.command(
        f"attach-{kind}", help=f"Attach an {name} called POLICY to the root, unit or account ID: JSON, a file or `-`."
    )
    @click.argument("element", metavar="ID")
    @click.argument("policy")
    @entity_commands.document
    @store
    @options.form
    def attach(element: str, policy: str, document: str | bytes, store: str, form: str) -> int:
        return _change(store, form, lambda directory: attach_to(directory, element, (policy, document)))

    @command.command(f"detach-{kind}", help=f"Detach the {name} POLICY from the root, unit or account ID.")
    @click.argument("element", metavar="ID")
    @click.argument("policy")
    @store
    @options.form
    def detach(element: str, policy: str, store: str, form: str) -> int:
        return _change(store, form, lambda directory: detach_from(directory, element, policy))

    @command.command(f"enable-{kind}s", help=f"Enable {name}s.")
    @store
    @options.form
    def enable(store: str, form: str) -> int:
        return _change(store, form, lambda directory: directory.enable_policy_type(type_))

    @command.command(f"disable-{kind}s", help=f"Disable {name}s. All of them are detached.")
    @store
    @options.form
    def disable(store: str, form: str) -> int:
        return _change(store, form, lambda directory: directory.disable_policy_type(type_))


_add("scp")
_add("rcp")


@command.command("path")
@click.argument("account", metavar="ID")
@store
@options.form
def path(account: str, store: str, form: str) -> int:
    """Show the elements on the path of the account ID, from the root, with the policies at each."""
    with entity_commands.reading(store) as directory:
        organization = directory.tables.organization
        elements = None if organization is None else organization.elements(account)
        if organization is None or elements is None:
            raise DirectoryError(f"`{account}` is not in an organisation")
        scps = {e: [p.name for p in level] for e, level in zip(elements, organization.scp_levels(account), strict=True)}
        rcps = {e: [p.name for p in level] for e, level in zip(elements, organization.rcp_levels(account), strict=True)}
    show_text({"path": list(elements), "scps": scps, "rcps": rcps}, form)
    return exits.OK
