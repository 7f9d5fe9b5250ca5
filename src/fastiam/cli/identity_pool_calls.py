"""`fastiam identity-pool`: the calls about identities, named as in the AWS CLI. Tokens come from files, never from arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from fastiam.cli import exit_codes as exits
from fastiam.cli import options
from fastiam.cli.identity_pool_parts import Pairs, find_pool, open_pools, plain, pool_argument, read_tokens
from fastiam.cli.render import chosen, write_rows
from fastiam.cli.store_options import of_store, open_secret_file, secret_out, show
from fastiam.errors import FastiamError

if TYPE_CHECKING:
    from fastiam.cognito.identity_pools import IdentityPools

PAGE = 60

identity_argument = click.argument("identity", metavar="IDENTITY")
logins_option = click.option(
    "--login",
    "logins",
    type=options.Pair(),
    multiple=True,
    metavar="PROVIDER=FILE",
    help="A login: the token in FILE, or `-`; may be repeated.",
)
custom_role = click.option("--custom-role-arn", "role", metavar="ARN", help="The role, if the logins lead to several.")


# -- identities ---------------------------------------------------------------------------------------------------------------


@click.command("list-identities")
@pool_argument
@click.option("--hide-disabled", is_flag=True, help="Leave out identities that were merged into another one.")
@of_store
@options.table_form
def list_identities(pool: str, hide_disabled: bool, store: str, keyring: str | None, form: str | None) -> int:
    """List the identities of POOL, in order of creation."""
    rows: list[dict[str, Any]] = []
    with open_pools(store, keyring) as pools:
        pool_id, token = find_pool(pools, pool), None
        while True:
            page = pools.list_identities(pool_id, PAGE, next_token=token, hide_disabled=hide_disabled)
            for each in page.identities:
                state = "disabled" if each.is_disabled else "enabled"
                rows.append({"id": each.identity_id, "logins": " ".join(each.logins), "state": state})
            token = page.next_token
            if token is None:
                break
    write_rows(("id", "logins", "state"), rows, chosen(form, "table"))
    return exits.OK


@click.command("describe-identity")
@identity_argument
@of_store
@options.form
def describe_identity(identity: str, store: str, keyring: str | None, form: str) -> int:
    """Show IDENTITY."""
    with open_pools(store, keyring) as pools:
        show(plain(pools.describe_identity(identity)), form)
    return exits.OK


@click.command("delete-identities")
@click.argument("identities", nargs=-1, required=True, metavar="IDENTITY...")
@of_store
@options.form
def delete_identities(identities: tuple[str, ...], store: str, keyring: str | None, form: str) -> int:
    """Delete identities."""
    with open_pools(store, keyring) as pools:
        pools.delete_identities(identities)
    show({"deleted": list(identities)}, form)
    return exits.OK


# -- calls of clients and backends --------------------------------------------------------------------------------------------


@click.command("get-id")
@pool_argument
@logins_option
@of_store
@options.form
def get_id(pool: str, logins: Pairs, store: str, keyring: str | None, form: str) -> int:
    """Print the id of the identity with these logins, or of a new guest."""
    with open_pools(store, keyring) as pools:
        show({"IdentityId": pools.get_id(find_pool(pools, pool), read_tokens(logins))}, form)
    return exits.OK


@click.command("get-credentials-for-identity")
@identity_argument
@logins_option
@custom_role
@of_store
@secret_out
def get_credentials(identity: str, logins: Pairs, role: str | None, store: str, keyring: str | None, out: str) -> int:
    """Print credentials of the role of IDENTITY for `credential_process`."""
    with open_pools(store, keyring) as pools, open_secret_file(out, store, keyring, *(file for _, file in logins)) as file:
        made = pools.get_credentials_for_identity(identity, read_tokens(logins), custom_role_arn=role)
        show(made.credentials.process_json(), "json", file)
    return exits.OK


@click.command("get-open-id-token")
@identity_argument
@logins_option
@of_store
@secret_out
def get_open_id_token(identity: str, logins: Pairs, store: str, keyring: str | None, out: str) -> int:
    """Print a token of IDENTITY for AssumeRoleWithWebIdentity (classic flow)."""
    with open_pools(store, keyring) as pools, open_secret_file(out, store, keyring, *(file for _, file in logins)) as file:
        made = pools.get_open_id_token(identity, read_tokens(logins))
        show({"IdentityId": made.identity_id, "Token": str.__str__(made.token)}, "json", file)
    return exits.OK


@click.command("get-open-id-token-for-developer-identity")
@pool_argument
@click.argument("user", metavar="USER")
@click.option("--identity", "identity", metavar="ID", help="An identity to which USER is linked.")
@logins_option
@click.option("--principal-tag", "tags", type=options.Pair(), multiple=True, metavar="KEY=VALUE", help="A session tag.")
@click.option("--token-duration", "seconds", type=int, metavar="N", help="Seconds, 1 to 86,400. Default: 900.")
@of_store
@secret_out
def developer_token(
    pool: str,
    user: str,
    identity: str | None,
    logins: Pairs,
    tags: Pairs,
    seconds: int | None,
    store: str,
    keyring: str | None,
    out: str,
) -> int:
    """Print a token for USER, a user of the developer provider for whom you vouch."""
    with open_pools(store, keyring) as pools, open_secret_file(out, store, keyring, *(file for _, file in logins)) as file:
        pool_id, name = _developer_pool(pools, pool)
        made = pools.get_open_id_token_for_developer_identity(
            pool_id, {name: user, **read_tokens(logins)}, identity_id=identity, principal_tags=dict(tags), token_duration=seconds
        )
        show({"IdentityId": made.identity_id, "Token": str.__str__(made.token)}, "json", file)
    return exits.OK


@click.command("unlink-identity")
@identity_argument
@logins_option
@click.option("--remove", "removed", multiple=True, required=True, metavar="PROVIDER", help="A login to remove; repeatable.")
@of_store
@options.form
def unlink_identity(identity: str, logins: Pairs, removed: tuple[str, ...], store: str, keyring: str | None, form: str) -> int:
    """Remove logins from IDENTITY, which the given logins prove."""
    with open_pools(store, keyring) as pools:
        pools.unlink_identity(identity, read_tokens(logins), removed)
        show(plain(pools.describe_identity(identity)), form)
    return exits.OK


# -- developer identities -------------------------------------------------------------------------------------------------------


@click.command("lookup-developer-identity")
@pool_argument
@click.option("--user", metavar="USER", help="A user of the developer provider.")
@click.option("--identity", metavar="ID", help="The identity to which USER is linked, or whose users are listed.")
@of_store
@options.form
def lookup(pool: str, user: str | None, identity: str | None, store: str, keyring: str | None, form: str) -> int:
    """Show the identity of a user of the developer provider, or all users of an identity."""
    users: list[str] = []
    with open_pools(store, keyring) as pools:
        pool_id, token = find_pool(pools, pool), None
        while True:
            page = pools.lookup_developer_identity(
                pool_id, identity_id=identity, developer_user_identifier=user, max_results=PAGE, next_token=token
            )
            users += page.developer_user_identifier_list
            token = page.next_token
            if token is None:
                break
    show({"IdentityId": page.identity_id, "DeveloperUserIdentifierList": users}, form)
    return exits.OK


@click.command("merge-developer-identities")
@pool_argument
@click.argument("source", metavar="SOURCE")
@click.argument("destination", metavar="DESTINATION")
@of_store
@options.form
def merge(pool: str, source: str, destination: str, store: str, keyring: str | None, form: str) -> int:
    """Merge the identity of the user SOURCE into the identity of the user DESTINATION."""
    with open_pools(store, keyring) as pools:
        pool_id, name = _developer_pool(pools, pool)
        show({"IdentityId": pools.merge_developer_identities(source, destination, name, pool_id)}, form)
    return exits.OK


@click.command("unlink-developer-identity")
@pool_argument
@identity_argument
@click.argument("user", metavar="USER")
@of_store
@options.form
def unlink_developer(pool: str, identity: str, user: str, store: str, keyring: str | None, form: str) -> int:
    """Remove USER, a user of the developer provider, from IDENTITY."""
    with open_pools(store, keyring) as pools:
        pool_id, name = _developer_pool(pools, pool)
        pools.unlink_developer_identity(identity, pool_id, name, user)
        show(plain(pools.describe_identity(identity)), form)
    return exits.OK


def _developer_pool(pools: IdentityPools, pool: str) -> tuple[str, str]:
    """The id of a pool, and the name of its developer provider.

    Raises
    ------
    FastiamError: it has none.
    """
    pool_id = find_pool(pools, pool)
    name = pools.describe_identity_pool(pool_id).developer_provider_name
    if not name:
        raise FastiamError("the identity pool has no developer provider\nhelp: set it with `update --developer-provider`")
    return pool_id, name


_CALLS = (
    list_identities,
    describe_identity,
    delete_identities,
    get_id,
    get_credentials,
    get_open_id_token,
    developer_token,
    unlink_identity,
    lookup,
    merge,
    unlink_developer,
)


def add_to(group: click.Group) -> None:
    """Add the calls to a group."""
    for command in _CALLS:
        group.add_command(command)
