"""`fastiam identity-pool`: identity pools of a store. The verbs about identities are those of `aws cognito-identity`.

An option has the name of the parameter that the call has in Python. Tokens come from files, never from arguments.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from fastiam.cli import entity_commands, options
from fastiam.cli.console import note
from fastiam.cli.store_calls import JSON_SECRET, Rows, add_verb
from fastiam.cli.store_options import open_federation
from fastiam.errors import FastiamError

if TYPE_CHECKING:
    from fastiam.cognito.identity_pools import IdentityPools

Json = dict[str, Any]
Pairs = tuple[tuple[str, str], ...]


@click.group("identity-pool")
def command() -> None:
    """Create, change, list and delete identity pools, and call them."""


@contextmanager
def open_pools(store: str, keyring: str | None) -> Iterator[IdentityPools]:
    """The identity pools of a store that exists."""
    with open_federation(store, keyring) as federation:
        from fastiam.cognito.identity_pools import IdentityPools

        yield IdentityPools(federation)


# -- options ------------------------------------------------------------------------------------------------------------------


def _read_tokens(ctx: click.Context, param: click.Parameter, logins: Pairs) -> dict[str, str]:
    files = {provider: options.read_file(ctx, param, file) or b"" for provider, file in logins}
    return {provider: token.decode("utf-8", "replace").strip() for provider, token in files.items()}


def _read_json(ctx: click.Context, param: click.Parameter, file: str | None) -> Any:
    text = options.read_file(ctx, param, file)
    try:
        return None if text is None else json.loads(text)
    except ValueError:
        raise FastiamError(f"`{file}` is not JSON") from None


def _many(flag: str, name: str, metavar: str, help: str, *, required: bool = False) -> options.Decorator:
    return click.option(flag, name, multiple=True, required=required, metavar=metavar, help=f"{help}; may be repeated.")


pool = click.argument("identity_pool_id", metavar="POOL")
identity = click.argument("identity_id", metavar="IDENTITY")
logins = click.option(
    "--login",
    "logins",
    type=options.Pair(),
    multiple=True,
    metavar="PROVIDER=FILE",
    callback=_read_tokens,
    help="A login: the token in FILE, or `-`; may be repeated.",
)
region = click.option("--region", envvar="AWS_REGION", metavar="REGION", help="The region of the pool; or AWS_REGION.")
configuration = options.chained(
    entity_commands.tags,
    click.option("--developer-provider", "developer_provider_name", metavar="NAME", help="The backend's own name."),
    options.pairs(
        "--login-provider",
        "supported_login_providers",
        metavar="NAME=ID",
        help="`accounts.google.com` and others with the id of the application; may be repeated.",
    ),
    _many("--saml-provider", "saml_provider_arns", "ARN", "A SAML provider"),
    _many("--oidc-provider", "open_id_connect_provider_arns", "ARN", "An OIDC provider"),
    click.option("--server-side-token-check", is_flag=True, help="Check users and sign-ins of the user pools (ID14)."),
    click.option(
        "--user-pool",
        "user_pools",
        type=options.Pair(),
        multiple=True,
        metavar="PROVIDER=CLIENT",
        help="An app client of a user pool, `cognito-idp.<region>.amazonaws.com/<id>=<client id>`; may be repeated.",
    ),
    click.option("--classic-flow", "allow_classic_flow", is_flag=True, help="Allow GetOpenIdToken (classic flow)."),
    click.option(
        "--guests/--no-guests",
        "allow_unauthenticated_identities",
        default=False,
        help="Allow unauthenticated identities. Default: no.",
    ),
)


def _configured(user_pools: Pairs, server_side_token_check: bool, tags: Mapping[str, str], **given: Any) -> Json:
    """The parameters of `configuration`."""
    clients = [
        {"provider_name": name, "client_id": client, "server_side_token_check": server_side_token_check}
        for name, client in user_pools
    ]
    return {**given, "cognito_identity_providers": clients, "identity_pool_tags": tags}


# -- verbs of a table ---------------------------------------------------------------------------------------------------------


def find_pool(pools: IdentityPools, name: str) -> str:
    """The id of the pool with an id or name.

    Raises
    ------
    FastiamError
        there is none, or several have the name.
    """
    found = [pool.identity_pool_id for pool in pools.identity_pools() if name in (pool.identity_pool_id, pool.identity_pool_name)]
    if not found:
        raise FastiamError(f"identity pool not found: `{name}`\nhelp: `list` shows the pools of the store")
    if len(found) > 1:
        raise FastiamError(f"several identity pools are named `{name}`\nhelp: use the id")
    return found[0]


def shown(pools: IdentityPools, made: object, **given: Any) -> Json:
    """What a verb prints: the result of its call; if that has none, the identity or pool as it is now."""
    from fastiam.cognito.identity_pools import IdentityCredentials, IdentityDescription, IdentityPool, OpenIdToken
    from fastiam.directory.record_codec import codec_of

    for warning in getattr(made, "warnings", ()):
        note(f"warning: {warning}")
    match made:
        case str():
            return {"IdentityId": made}
        case OpenIdToken():
            return {"IdentityId": made.identity_id, "Token": str.__str__(made.token)}
        case IdentityCredentials():
            return dict(made.credentials.process_json())
        case IdentityPool():
            return {"arn": made.arn, **codec_of(IdentityPool).write(made)}
        case IdentityDescription():
            return dict(codec_of(IdentityDescription).write(made))
    if "identity_id" in given:
        return shown(pools, pools.describe_identity(given["identity_id"]))
    return shown(pools, pools.describe_identity_pool(given["identity_pool_id"]))


def _add(verb: str, *own: options.Decorator, help: str | None = None, **how: Any) -> Callable[[Callable[..., object]], None]:
    """Add a verb whose function returns the result of a call. An argument POOL reaches it as the id of the pool."""

    def decorate(call: Callable[..., object]) -> None:
        @add_verb(command, open_pools, verb, *own, help=help or call.__doc__, **how)
        def run(pools: IdentityPools, **given: Any) -> Json:
            if "identity_pool_id" in given:
                given["identity_pool_id"] = find_pool(pools, given["identity_pool_id"])
            return shown(pools, call(pools, **given), **given)

    return decorate


def _add_call(verb: str, *own: options.Decorator, help: str, method: str | None = None, **how: Any) -> None:
    """Add a verb that is one method: by default that of its name, with the parameters that its options are named after."""

    @_add(verb, *own, help=help, **how)
    def call(pools: IdentityPools, **given: Any) -> object:
        return getattr(pools, method or verb.replace("-", "_"))(**given)


text = "Replace the claims of PROVIDER that become session tags. Without options there are none."
_add_call(
    "set-principal-tags",
    pool,
    click.argument("identity_provider_name", metavar="PROVIDER"),
    click.option("--use-defaults", is_flag=True, help="`username` from `sub`, `client` from `aud`."),
    options.pairs("--tag", "principal_tags", metavar="KEY=CLAIM", help="A tag from a claim; may be repeated."),
    method="set_principal_tag_attribute_map",
    help=text,
)
_add_call("show", pool, method="describe_identity_pool", help="Show POOL, an id or name, with its roles.")
_add_call("describe-identity", identity, help="Show IDENTITY.")
_add_call("get-id", pool, logins, help="Print the id of the identity with these logins, or of a new guest.")
text = "Print credentials of the role of IDENTITY for `credential_process`."
role = click.option("--custom-role-arn", metavar="ARN", help="The role, if the logins lead to several.")
_add_call("get-credentials-for-identity", identity, logins, role, output=JSON_SECRET, help=text)
text = "Print a token of IDENTITY for AssumeRoleWithWebIdentity (classic flow)."
_add_call("get-open-id-token", identity, logins, output=JSON_SECRET, help=text)
removed = _many("--remove", "logins_to_remove", "PROVIDER", "A login to remove", required=True)
_add_call("unlink-identity", identity, logins, removed, help="Remove logins from IDENTITY, which the given logins prove.")


# -- pools --------------------------------------------------------------------------------------------------------------------


@_add("create", click.argument("name"), configuration, region, entity_commands.account)
def create(pools: IdentityPools, name: str, account: str | None, region: str | None, **given: Any) -> object:
    """Create the identity pool NAME."""
    if region is None:
        raise click.UsageError("the region of the pool is unknown: pass `--region`, or set AWS_REGION")
    if account is None:
        known = list(pools.directory.tables.accounts)
        if len(known) != 1:
            raise FastiamError("the account of the pool is unknown\nhelp: pass `--account`")
        account = known[0]
    return pools.create_identity_pool(name, account=account, region=region, **_configured(**given))


@_add("update", pool, click.option("--name", metavar="NAME", help="Another name. Default: the present one."), configuration)
def update(pools: IdentityPools, identity_pool_id: str, name: str | None, **given: Any) -> object:
    """Replace the configuration of POOL. An option that is not given is reset, except the developer provider."""
    present = pools.describe_identity_pool(identity_pool_id)
    return pools.update_identity_pool(identity_pool_id, name or present.identity_pool_name, **_configured(**given))


@add_verb(command, open_pools, "list", entity_commands.account, columns=("name", "id", "account"))
def list_(pools: IdentityPools, account: str | None) -> Rows:
    """List every identity pool."""
    found = [pool for pool in pools.identity_pools() if account in (None, pool.account)]
    return [{"name": pool.identity_pool_name, "id": pool.identity_pool_id, "account": pool.account} for pool in found]


@add_verb(command, open_pools, "delete", pool)
def delete(pools: IdentityPools, identity_pool_id: str) -> Json:
    """Delete POOL with all of its identities."""
    pool_id = find_pool(pools, identity_pool_id)
    pools.delete_identity_pool(pool_id)
    return {"deleted": pool_id}


@_add("tag", pool, entity_commands.pairs)
def tag(pools: IdentityPools, identity_pool_id: str, tags: Mapping[str, str]) -> None:
    """Add tags to POOL."""
    pools.tag_resource(pools.describe_identity_pool(identity_pool_id).arn, tags)


@_add("untag", pool, entity_commands.keys)
def untag(pools: IdentityPools, identity_pool_id: str, keys: Sequence[str]) -> None:
    """Remove tags from POOL."""
    pools.untag_resource(pools.describe_identity_pool(identity_pool_id).arn, keys)


@_add(
    "set-roles",
    pool,
    click.option("--authenticated", metavar="ARN", help="The role of authenticated identities."),
    click.option("--unauthenticated", metavar="ARN", help="The role of guests."),
    click.option("--role-mappings", metavar="FILE", callback=_read_json, help="Role mappings, JSON as the AWS CLI takes it."),
)
def set_roles(pools: IdentityPools, identity_pool_id: str, role_mappings: Any, **roles: str | None) -> object:
    """Replace the roles and role mappings of POOL."""
    given = {kind: arn for kind, arn in roles.items() if arn is not None}
    return pools.set_identity_pool_roles(identity_pool_id, given, role_mappings)


# -- identities ---------------------------------------------------------------------------------------------------------------


def _all_pages(call: Callable[..., Any], *arguments: str, **given: Any) -> Iterator[Any]:
    token = None
    while True:
        page = call(*arguments, next_token=token, **given)
        yield page
        token = page.next_token
        if token is None:
            return


@add_verb(
    command,
    open_pools,
    "list-identities",
    pool,
    click.option("--hide-disabled", is_flag=True, help="Leave out identities that were merged into another one."),
    columns=("id", "logins", "state"),
)
def list_identities(pools: IdentityPools, identity_pool_id: str, hide_disabled: bool) -> Rows:
    """List the identities of POOL, in order of creation."""
    pages = _all_pages(pools.list_identities, find_pool(pools, identity_pool_id), hide_disabled=hide_disabled)
    return [
        {"id": each.identity_id, "logins": " ".join(each.logins), "state": "disabled" if each.is_disabled else "enabled"}
        for page in pages
        for each in page.identities
    ]


@add_verb(command, open_pools, "delete-identities", click.argument("ids", nargs=-1, required=True, metavar="IDENTITY..."))
def delete_identities(pools: IdentityPools, ids: Sequence[str]) -> Json:
    """Delete identities."""
    pools.delete_identities(ids)
    return {"deleted": list(ids)}


# -- developer identities -------------------------------------------------------------------------------------------------------


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


@_add(
    "get-open-id-token-for-developer-identity",
    pool,
    click.argument("user", metavar="USER"),
    click.option("--identity", "identity_id", metavar="ID", help="An identity to which USER is linked."),
    logins,
    options.pairs("--principal-tag", "principal_tags", help="A session tag."),
    click.option("--token-duration", type=int, metavar="N", help="Seconds, 1 to 86,400. Default: 900."),
    output=JSON_SECRET,
)
def developer_token(pools: IdentityPools, identity_pool_id: str, user: str, logins: Mapping[str, str], **given: Any) -> object:
    """Print a token for USER, a user of the developer provider for whom you vouch."""
    logins = {_developer_provider(pools, identity_pool_id): user, **logins}
    return pools.get_open_id_token_for_developer_identity(identity_pool_id, logins, **given)


@add_verb(
    command,
    open_pools,
    "lookup-developer-identity",
    pool,
    click.option("--user", "developer_user_identifier", metavar="USER", help="A user of the developer provider."),
    click.option(
        "--identity", "identity_id", metavar="ID", help="The identity to which USER is linked, or whose users are listed."
    ),
)
def lookup(pools: IdentityPools, identity_pool_id: str, **given: Any) -> Json:
    """Show the identity of a user of the developer provider, or all users of an identity."""
    pages = list(_all_pages(pools.lookup_developer_identity, find_pool(pools, identity_pool_id), **given))
    users = [user for page in pages for user in page.developer_user_identifier_list]
    return {"IdentityId": pages[-1].identity_id, "DeveloperUserIdentifierList": users}


@_add("merge-developer-identities", pool, click.argument("source"), click.argument("destination"))
def merge(pools: IdentityPools, identity_pool_id: str, source: str, destination: str) -> object:
    """Merge the identity of the user SOURCE into the identity of the user DESTINATION."""
    provider = _developer_provider(pools, identity_pool_id)
    return pools.merge_developer_identities(source, destination, provider, identity_pool_id)


@_add("unlink-developer-identity", pool, identity, click.argument("user"))
def unlink_developer(pools: IdentityPools, identity_pool_id: str, identity_id: str, user: str) -> None:
    """Remove USER, a user of the developer provider, from IDENTITY."""
    pools.unlink_developer_identity(identity_id, identity_pool_id, _developer_provider(pools, identity_pool_id), user)
