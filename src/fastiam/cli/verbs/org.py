"""`fastiam org`: the organisation of a store, its tree and the policies at its elements."""

from __future__ import annotations

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


def _add(verb: str, method: str, *own: options.Decorator, help: str, given: tuple[str, ...] = ()) -> None:
    """Add a verb that is one method of the directory, with the parameters that its options are named after."""

    @entity_commands.add_write(command, verb, *own, help=help)
    def write(directory: Directory, **more: Any) -> object:
        getattr(directory, method)(*given, **more)
        return directory.tables.organization


@entity_commands.add_write(
    command,
    "create",
    click.argument("id_", metavar="ID"),
    click.option("--root", default="r-1", show_default=True, metavar="ID"),
    click.option("--management-account", metavar="ID"),
)
def create(directory: Directory, id_: str, root: str, management_account: str | None) -> object:
    """Create the organisation ID (`o-...`). A store has one."""
    old = directory.tables.organization
    if old is not None:
        hint = "`fastiam org show` shows it, the other verbs of `org` change it"
        raise DirectoryError(f"there is the organisation `{old.id}` already", rule="DIR-EXISTS", hint=hint)
    directory.set_organization(id_, root=root, management_account=management_account)
    return directory.tables.organization


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


def _id(name: str) -> options.Decorator:
    return click.argument(name, metavar="ID")


parent = click.option("--parent", metavar="ID", help="The parent unit. Default: the root.")
service = click.option("--service", default="iam.amazonaws.com", show_default=True, metavar="NAME")
unit, element, account, policy = _id("id"), _id("element"), _id("account"), click.argument("policy")

_add("create-unit", "create_organizational_unit", unit, parent, help="Create the organisational unit ID (`ou-...`).")
_add("delete-unit", "delete_organizational_unit", unit, help="Delete the organisational unit ID, which must be empty.")
text = "Move the account or unit ID. An account from outside joins the organisation."
_add("move", "move", element, parent, help=text)
_add("remove-account", "remove_account_from_organization", account, help="Remove the account ID from the organisation.")
text = "egister the account ID as the delegated administrator of a service."
_add("register-administrator", "register_delegated_administrator", account, service, help=f"R{text}")
_add("deregister-administrator", "deregister_delegated_administrator", account, service, help=f"Der{text}")


def _add_kind(kind: str) -> None:
    """Add the verbs that SCPs and RCPs share."""
    name, given = kind.upper(), (TYPES[kind],)

    @entity_commands.add_write(
        command,
        f"attach-{kind}",
        element,
        policy,
        entity_commands.document,
        help=f"Attach an {name} called POLICY to the root, unit or account ID: JSON, a file or `-`.",
    )
    def attach(directory: Directory, element: str, policy: str, document: str | bytes) -> object:
        getattr(directory, f"attach_{kind}")(element, (policy, document))
        return directory.tables.organization

    text = f"Detach the {name} POLICY from the root, unit or account ID."
    _add(f"detach-{kind}", f"detach_{kind}", element, click.argument("name", metavar="POLICY"), help=text)
    _add(f"enable-{kind}s", "enable_policy_type", help=f"Enable {name}s.", given=given)
    text = f"Disable {name}s. All of them are detached."
    _add(f"disable-{kind}s", "disable_policy_type", help=text, given=given)


_add_kind("scp")
_add_kind("rcp")


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
