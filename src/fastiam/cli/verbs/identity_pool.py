"""`fastiam identity-pool`: identity pools of a store. The calls about identities are in `identity_pool_calls`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from fastiam.cli import entity_commands, options
from fastiam.cli import exit_codes as exits
from fastiam.cli.render import write_rows
from fastiam.cli.store_options import of_store, show
from fastiam.cli.verbs import identity_pool_calls
from fastiam.cli.verbs.identity_pool_parts import (
    Pairs,
    add_change,
    find_pool,
    open_pools,
    pool_verb,
    read_json,
    report_warnings,
    show_pool,
)
from fastiam.errors import FastiamError

if TYPE_CHECKING:
    from fastiam.cognito.identity_pools import IdentityPools


@click.group("identity-pool")
def command() -> None:
    """Create, change, list and delete identity pools, and call them."""


region = click.option("--region", envvar="AWS_REGION", metavar="REGION", help="The region of the pool; or AWS_REGION.")


def _configuration(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options of `create` and `update`."""
    for option in (
        click.option("--guests/--no-guests", "guests", default=False, help="Allow unauthenticated identities. Default: no."),
        click.option("--classic-flow", is_flag=True, help="Allow GetOpenIdToken (classic flow)."),
        click.option(
            "--user-pool",
            "user_pools",
            type=options.Pair(),
            multiple=True,
            metavar="PROVIDER=CLIENT",
            help="An app client of a user pool, `cognito-idp.<region>.amazonaws.com/<id>=<client id>`; may be repeated.",
        ),
        click.option("--server-side-token-check", is_flag=True, help="Check users and sign-ins of the user pools (ID14)."),
        click.option("--oidc-provider", "oidc", multiple=True, metavar="ARN", help="An OIDC provider; may be repeated."),
        click.option("--saml-provider", "saml", multiple=True, metavar="ARN", help="A SAML provider; may be repeated."),
        click.option(
            "--login-provider",
            "social",
            type=options.Pair(),
            multiple=True,
            metavar="NAME=ID",
            help="`accounts.google.com` and others with the id of the application; may be repeated.",
        ),
        click.option("--developer-provider", "developer", metavar="NAME", help="The backend's own name."),
        entity_commands.tags,
    ):
        function = option(function)
    return function


def _given(
    guests: bool,
    classic_flow: bool,
    user_pools: Pairs,
    server_side_token_check: bool,
    oidc: tuple[str, ...],
    saml: tuple[str, ...],
    social: Pairs,
    developer: str | None,
    tags: Pairs,
) -> Mapping[str, Any]:
    return {
        "allow_unauthenticated_identities": guests,
        "allow_classic_flow": classic_flow,
        "cognito_identity_providers": [
            {"provider_name": name, "client_id": client, "server_side_token_check": server_side_token_check}
            for name, client in user_pools
        ],
        "open_id_connect_provider_arns": oidc,
        "saml_provider_arns": saml,
        "supported_login_providers": dict(social),
        "developer_provider_name": developer,
        "identity_pool_tags": dict(tags),
    }


@command.command("create")
@click.argument("name")
@_configuration
@region
@entity_commands.account
@of_store
@options.form
def create(name: str, store: str, keyring: str | None, account: str | None, region: str | None, form: str, **given: Any) -> int:
    """Create the identity pool NAME."""
    if region is None:
        raise click.UsageError("the region of the pool is unknown: pass `--region`, or set AWS_REGION")
    with open_pools(store, keyring) as pools:
        if account is None:
            known = list(pools.directory.tables.accounts)
            if len(known) != 1:
                raise FastiamError("the account of the pool is unknown\nhelp: pass `--account`")
            account = known[0]
        pool = pools.create_identity_pool(name, account=account, region=region, **_given(**given))
        return show_pool(pools, pool.identity_pool_id, form)


@add_change(
    command, "update", click.option("--name", metavar="NAME", help="Another name. Default: the present one."), _configuration
)
def update(pools: IdentityPools, pool_id: str, name: str | None, **given: Any) -> None:
    """Replace the configuration of POOL. An option that is not given is reset, except the developer provider."""
    present = pools.describe_identity_pool(pool_id)
    pools.update_identity_pool(pool_id, name or present.identity_pool_name, **_given(**given))


@command.command("list")
@entity_commands.account
@of_store
@options.rows_form
def list_(store: str, keyring: str | None, account: str | None, form: str) -> int:
    """List every identity pool."""
    with open_pools(store, keyring) as pools:
        found = [pool for pool in pools.identity_pools() if account in (None, pool.account)]
    rows = [{"name": pool.identity_pool_name, "id": pool.identity_pool_id, "account": pool.account} for pool in found]
    write_rows(("name", "id", "account"), rows, form)
    return exits.OK


@command.command("show")
@pool_verb
def show_(pool: str, store: str, keyring: str | None, form: str) -> int:
    """Show POOL, an id or name, with its roles."""
    with open_pools(store, keyring) as pools:
        return show_pool(pools, find_pool(pools, pool), form)


@command.command("delete")
@pool_verb
def delete(pool: str, store: str, keyring: str | None, form: str) -> int:
    """Delete POOL with all of its identities."""
    with open_pools(store, keyring) as pools:
        pool_id = find_pool(pools, pool)
        pools.delete_identity_pool(pool_id)
    show({"deleted": pool_id}, form)
    return exits.OK


@add_change(command, "tag", click.argument("pairs", type=options.Pair(), nargs=-1, required=True, metavar="KEY=VALUE..."))
def tag(pools: IdentityPools, pool_id: str, pairs: Pairs) -> None:
    """Add tags to POOL."""
    pools.tag_resource(pools.describe_identity_pool(pool_id).arn, dict(pairs))


@add_change(command, "untag", click.argument("keys", nargs=-1, required=True, metavar="KEY..."))
def untag(pools: IdentityPools, pool_id: str, keys: tuple[str, ...]) -> None:
    """Remove tags from POOL."""
    pools.untag_resource(pools.describe_identity_pool(pool_id).arn, keys)


@add_change(
    command,
    "set-roles",
    click.option("--authenticated", metavar="ARN", help="The role of authenticated identities."),
    click.option("--unauthenticated", metavar="ARN", help="The role of guests."),
    click.option("--role-mappings", "mappings", metavar="FILE", help="Role mappings, JSON as the AWS CLI takes it."),
)
def set_roles(
    pools: IdentityPools, pool_id: str, mappings: str | None, authenticated: str | None, unauthenticated: str | None
) -> None:
    """Replace the roles and role mappings of POOL."""
    named = {"authenticated": authenticated, "unauthenticated": unauthenticated}
    roles = {kind: arn for kind, arn in named.items() if arn is not None}
    made = pools.set_identity_pool_roles(pool_id, roles, None if mappings is None else read_json(mappings))
    report_warnings(made.warnings)


@add_change(
    command,
    "set-principal-tags",
    click.argument("provider", metavar="PROVIDER"),
    click.option("--use-defaults", is_flag=True, help="`username` from `sub`, `client` from `aud`."),
    click.option(
        "--tag", "tags", type=options.Pair(), multiple=True, metavar="KEY=CLAIM", help="A tag from a claim; may be repeated."
    ),
)
def set_principal_tags(pools: IdentityPools, pool_id: str, provider: str, use_defaults: bool, tags: Pairs) -> None:
    """Replace the claims of PROVIDER that become session tags. Without options there are none."""
    made = pools.set_principal_tag_attribute_map(pool_id, provider, use_defaults=use_defaults, principal_tags=dict(tags))
    report_warnings(made.warnings)


identity_pool_calls.add_to(command)
