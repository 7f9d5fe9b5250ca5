"""Functions that `fastiam identity-pool` and its calls share: open a store with its identity pools, and find a pool."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from fastiam.cli import exit_codes as exits
from fastiam.cli import options
from fastiam.cli.console import note
from fastiam.cli.file_arguments import read_bytes
from fastiam.cli.store_options import of_store, open_federation, show
from fastiam.errors import FastiamError

if TYPE_CHECKING:
    from fastiam.cognito.identity_pools import IdentityPools

Pairs = tuple[tuple[str, str], ...]
Change = Callable[..., None]  # takes pools, the id of a pool, and the options of its verb

pool_argument = click.argument("pool", metavar="POOL")
pool_verb = options.chained(pool_argument, of_store, options.form)  # of verbs that change or show one pool


@contextmanager
def open_pools(store: str, keyring: str | None) -> Iterator[IdentityPools]:
    """The identity pools of a store that exists."""
    with open_federation(store, keyring) as federation:
        from fastiam.cognito.identity_pools import IdentityPools

        yield IdentityPools(federation)


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


def plain(record: Any) -> dict[str, Any]:
    """A record as JSON, without default values."""
    from fastiam.directory.record_codec import codec_of

    plain: dict[str, Any] = codec_of(type(record)).write(record)
    return plain


def show_pool(pools: IdentityPools, pool_id: str, form: str) -> int:
    """Show a pool as it is now."""
    pool = pools.describe_identity_pool(pool_id)
    show({"arn": pool.arn, **plain(pool)}, form)
    return exits.OK


def add_change(group: click.Group, verb: str, *own: options.Decorator) -> Callable[[Change], Change]:
    """Add a verb that changes a pool and shows it as it is now. Its function gets the id of the pool."""

    def decorate(change: Change) -> Change:
        @group.command(verb, help=change.__doc__)
        @options.chained(pool_verb, *own)
        def run(pool: str, store: str, keyring: str | None, form: str, **given: Any) -> int:
            with open_pools(store, keyring) as pools:
                pool_id = find_pool(pools, pool)
                change(pools, pool_id, **given)
                return show_pool(pools, pool_id, form)

        return change

    return decorate


def read_tokens(logins: Pairs) -> dict[str, str]:
    """The logins of a call, read from their files."""
    return {provider: read_bytes(file).decode("utf-8", "replace").strip() for provider, file in logins}


def report_warnings(warnings: Sequence[str]) -> None:
    """Write warnings to standard error."""
    for warning in warnings:
        note(f"warning: {warning}")


def read_json(file: str) -> Any:
    """The JSON value in a file."""
    try:
        return json.loads(read_bytes(file))
    except ValueError:
        raise FastiamError(f"`{file}` is not JSON") from None
