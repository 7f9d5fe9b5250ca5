"""`fastiam identity-pool`: the calls about identities, named as in the AWS CLI. Tokens come from files, never from arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from fastiam.cli import exit_codes as exits
from fastiam.cli import options
from fastiam.cli.render import write_rows
from fastiam.cli.store_options import of_store, open_secret_file, secret_out, show
from fastiam.cli.verbs.identity_pool_parts import Pairs, find_pool, open_pools, plain, pool_argument, read_tokens
from fastiam.errors import FastiamError

if TYPE_CHECKING:
    from fastiam.cognito.identity_pools import IdentityPools, OpenIdToken

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


_CALLS: list[click.Command] = []


def _add(name: str, *own: options.Decorator) -> Callable[[Callable[..., dict[str, Any]]], None]:
    """Add a call whose function returns what is printed. An argument POOL is passed as the id of the pool."""

    def decorate(call: Callable[..., dict[str, Any]]) -> None:
        @click.command(name, help=call.__doc__)
        @options.chained(*own, of_store, options.form)
        def run(store: str, keyring: str | None, form: str, **given: Any) -> int:
            with open_pools(store, keyring) as pools:
                show(call(pools, **_with_id(pools, given)), form)
            return exits.OK

        _CALLS.append(run)

    return decorate


def _add_secret(name: str, *own: options.Decorator) -> Callable[[Callable[..., dict[str, Any]]], None]:
    """Add a call whose function returns secrets, which are printed or written to a file. It has logins."""

    def decorate(call: Callable[..., dict[str, Any]]) -> None:
        @click.command(name, help=call.__doc__)
        @options.chained(*own, of_store, secret_out)
        def run(store: str, keyring: str | None, out: str, logins: Pairs, **given: Any) -> int:
            files = (file for _, file in logins)
            with open_pools(store, keyring) as pools, open_secret_file(out, store, keyring, *files) as file:
                show(call(pools, logins=read_tokens(logins), **_with_id(pools, given)), "json", file)
            return exits.OK

        _CALLS.append(run)

    return decorate


def _with_id(pools: IdentityPools, given: dict[str, Any]) -> dict[str, Any]:
    return given | {"pool": find_pool(pools, given["pool"])} if "pool" in given else given


# -- identities ---------------------------------------------------------------------------------------------------------------


@click.command("list-identities")
@pool_argument
@click.option("--hide-disabled", is_flag=True, help="Leave out identities that were merged into another one.")
@of_store
@options.rows_form
def list_identities(pool: str, hide_disabled: bool, store: str, keyring: str | None, form: str) -> int:
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
    write_rows(("id", "logins", "state"), rows, form)
    return exits.OK


_CALLS.append(list_identities)


@_add("describe-identity", identity_argument)
def describe_identity(pools: IdentityPools, identity: str) -> dict[str, Any]:
    """Show IDENTITY."""
    return plain(pools.describe_identity(identity))


@_add("delete-identities", click.argument("identities", nargs=-1, required=True, metavar="IDENTITY..."))
def delete_identities(pools: IdentityPools, identities: tuple[str, ...]) -> dict[str, Any]:
    """Delete identities."""
    pools.delete_identities(identities)
    return {"deleted": list(identities)}


# -- calls of clients and backends --------------------------------------------------------------------------------------------


@_add("get-id", pool_argument, logins_option)
def get_id(pools: IdentityPools, pool: str, logins: Pairs) -> dict[str, Any]:
    """Print the id of the identity with these logins, or of a new guest."""
    return {"IdentityId": pools.get_id(pool, read_tokens(logins))}


@_add_secret("get-credentials-for-identity", identity_argument, logins_option, custom_role)
def get_credentials(pools: IdentityPools, identity: str, logins: dict[str, str], role: str | None) -> dict[str, Any]:
    """Print credentials of the role of IDENTITY for `credential_process`."""
    made = pools.get_credentials_for_identity(identity, logins, custom_role_arn=role)
    return made.credentials.process_json()


@_add_secret("get-open-id-token", identity_argument, logins_option)
def get_open_id_token(pools: IdentityPools, identity: str, logins: dict[str, str]) -> dict[str, Any]:
    """Print a token of IDENTITY for AssumeRoleWithWebIdentity (classic flow)."""
    return _token(pools.get_open_id_token(identity, logins))


@_add_secret(
    "get-open-id-token-for-developer-identity",
    pool_argument,
    click.argument("user", metavar="USER"),
    click.option("--identity", "identity", metavar="ID", help="An identity to which USER is linked."),
    logins_option,
    click.option("--principal-tag", "tags", type=options.Pair(), multiple=True, metavar="KEY=VALUE", help="A session tag."),
    click.option("--token-duration", "seconds", type=int, metavar="N", help="Seconds, 1 to 86,400. Default: 900."),
)
def developer_token(
    pools: IdentityPools,
    pool: str,
    user: str,
    identity: str | None,
    logins: dict[str, str],
    tags: Pairs,
    seconds: int | None,
) -> dict[str, Any]:
    """Print a token for USER, a user of the developer provider for whom you vouch."""
    made = pools.get_open_id_token_for_developer_identity(
        pool,
        {_developer_provider(pools, pool): user, **logins},
        identity_id=identity,
        principal_tags=dict(tags),
        token_duration=seconds,
    )
    return _token(made)


def _token(made: OpenIdToken) -> dict[str, Any]:
    return {"IdentityId": made.identity_id, "Token": str.__str__(made.token)}


@_add(
    "unlink-identity",
    identity_argument,
    logins_option,
    click.option("--remove", "removed", multiple=True, required=True, metavar="PROVIDER", help="A login to remove; repeatable."),
)
def unlink_identity(pools: IdentityPools, identity: str, logins: Pairs, removed: tuple[str, ...]) -> dict[str, Any]:
    """Remove logins from IDENTITY, which the given logins prove."""
    pools.unlink_identity(identity, read_tokens(logins), removed)
    return plain(pools.describe_identity(identity))


# -- developer identities -------------------------------------------------------------------------------------------------------


@_add(
    "lookup-developer-identity",
    pool_argument,
    click.option("--user", metavar="USER", help="A user of the developer provider."),
    click.option("--identity", metavar="ID", help="The identity to which USER is linked, or whose users are listed."),
)
def lookup(pools: IdentityPools, pool: str, user: str | None, identity: str | None) -> dict[str, Any]:
    """Show the identity of a user of the developer provider, or all users of an identity."""
    users: list[str] = []
    token = None
    while True:
        page = pools.lookup_developer_identity(
            pool, identity_id=identity, developer_user_identifier=user, max_results=PAGE, next_token=token
        )
        users += page.developer_user_identifier_list
        token = page.next_token
        if token is None:
            return {"IdentityId": page.identity_id, "DeveloperUserIdentifierList": users}


@_add(
    "merge-developer-identities",
    pool_argument,
    click.argument("source", metavar="SOURCE"),
    click.argument("destination", metavar="DESTINATION"),
)
def merge(pools: IdentityPools, pool: str, source: str, destination: str) -> dict[str, Any]:
    """Merge the identity of the user SOURCE into the identity of the user DESTINATION."""
    name = _developer_provider(pools, pool)
    return {"IdentityId": pools.merge_developer_identities(source, destination, name, pool)}


@_add("unlink-developer-identity", pool_argument, identity_argument, click.argument("user", metavar="USER"))
def unlink_developer(pools: IdentityPools, pool: str, identity: str, user: str) -> dict[str, Any]:
    """Remove USER, a user of the developer provider, from IDENTITY."""
    pools.unlink_developer_identity(identity, pool, _developer_provider(pools, pool), user)
    return plain(pools.describe_identity(identity))


def _developer_provider(pools: IdentityPools, pool_id: str) -> str:
    """The name of the developer provider of a pool.

    Raises
    ------
    FastiamError
        it has none.
    """
    name = pools.describe_identity_pool(pool_id).developer_provider_name
    if not name:
        raise FastiamError("the identity pool has no developer provider\nhelp: set it with `update --developer-provider`")
    return name


def add_to(group: click.Group) -> None:
    """Add the calls to a group."""
    for command in _CALLS:
        group.add_command(command)
