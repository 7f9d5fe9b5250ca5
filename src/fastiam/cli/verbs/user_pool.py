"""`fastiam user-pool`: Cognito user pools of a store. The verbs and options are those of `aws cognito-idp`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from fastiam.cli import entity_commands, options
from fastiam.cli import exit_codes as exits
from fastiam.cli.store_options import keyring, open_secret_file, open_sts, secret_out, show, store
from fastiam.errors import FastiamError, RequestValueError

if TYPE_CHECKING:
    from fastiam.aws_data.service_models import Shape
    from fastiam.cognito.user_pools import UserPools
    from fastiam.cognito.user_pools.operations import Operation

Json = dict[str, Any]
ONE_TIME = ("ConfirmationCodeType", "SoftwareTokenMFAUserCodeType")  # codes that can be used only once
codes = click.option(
    "--codes", envvar="FASTIAM_CODES", metavar="FILE", help="Append messages with codes to FILE; or FASTIAM_CODES."
)
REGION = click.option("--region", default="us-east-1", show_default=True, help="Region of a new pool.")


@contextmanager
def open_pools(path: str, keyring_path: str | None, codes: str | None, region: str, account: str | None) -> Iterator[UserPools]:
    """The user pools of a store."""
    from fastiam.cognito.user_pools import FileSender, UserPools
    from fastiam.federation import HttpsFetch

    with open_sts(path, keyring_path) as sts:
        sender = None if codes is None else FileSender(codes)
        ring = sts.issuer.state.keyring
        yield UserPools(
            sts.directory,
            ring,
            sender=sender,
            fetch=HttpsFetch(),
            region=region,
            account=account,
            audit=lambda _: None,  # the command line prints errors
        )


class Operations(click.Group):
    """One verb for each call, with an option for each parameter."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        found = super().get_command(ctx, cmd_name)
        if found is None:
            import fastiam.cognito.user_pools  # noqa: F401  # reports a missing package
        return found


@click.group("user-pool", cls=Operations)
def command() -> None:
    """Cognito user pools. The verbs and options are those of `aws cognito-idp`.

    A structure is JSON or `Name=email,Value=ana@x.example`. An option for a list may be repeated. A secret is read from a FILE,
    or from `-`: it is never on the command line.
    """


def _command(described: Operation) -> click.Command:
    """The verb of a call."""
    from fastiam.cognito.user_pools import UserPools

    method, shape = getattr(UserPools, described.method), described.input
    parameters: list[click.Parameter] = [
        _option(name, shape.members[member].shape, is_required=member in shape.required)
        for name, member in described.parameters.items()
        if name in method.__wrapped__.__code__.co_varnames
    ]

    def run(
        store: str,
        keyring: str | None,
        codes: str | None,
        region: str,
        account: str | None,
        out: str,
        form: str,
        **given: Any,
    ) -> int:
        kwargs = {
            name: _value(given[name], shape.members[member].shape, f"--{name.replace('_', '-')}")
            for name, member in described.parameters.items()
            if given.get(name) is not None and given[name] != ()
        }
        with open_pools(store, keyring, codes, region, account) as pools, open_secret_file(out, store, keyring) as file:
            show(plain(getattr(pools, described.method)(**kwargs)), form, file)
        return exits.OK

    summary = (method.__doc__ or "").strip().partition("\n")[0]
    made: click.Command = click.Command(described.method.replace("_", "-"), params=parameters, callback=run, help=summary)
    for add in (options.form, secret_out, entity_commands.account, REGION, codes, keyring, store):
        made = add(made) or made
    return made


def _is_file(shape: Shape) -> bool:
    """Whether the value of an option is a secret in a file."""
    from fastiam.cognito.user_pools.operations import is_secret

    return is_secret(shape) and shape.name not in ONE_TIME


def _option(name: str, shape: Shape, *, is_required: bool) -> click.Option:
    """The option of a parameter."""
    flag = f"--{name.replace('_', '-')}"
    if shape.type == "boolean":
        return click.Option([f"{flag}/--no-{flag[2:]}", name], default=None, help="")
    if _is_file(shape):
        text = "File with the secret, or `-`."
        return click.Option([flag, name], required=is_required, metavar="FILE", callback=options.read_file, help=text)
    if shape.type in ("integer", "long"):
        return click.Option([flag, name], required=is_required, type=int)
    many = shape.type == "list"
    metavar = "TEXT" if shape.type == "string" else "JSON"
    return click.Option([flag, name], required=is_required, multiple=many, metavar=metavar)


def _value(given: Any, shape: Shape, option: str) -> Any:
    """The value of an option."""
    if _is_file(shape):
        from fastiam.sts import Secret

        text = Secret(given.decode("utf-8", "surrogateescape").removesuffix("\n"))
        return _json(text, option) if shape.type == "map" else text
    if shape.type == "list":
        items: list[Any] = []
        for text in given:
            read = _json(text, option) if text.lstrip().startswith("[") else [_value(text, shape.item or shape, option)]
            items += read
        return items
    if shape.type in ("structure", "map"):
        return _json(given, option) if given.lstrip().startswith("{") else _pairs(given, shape, option)
    return given


def _json(text: str, option: str) -> Any:
    try:
        return json.loads(str.__str__(text))
    except ValueError:
        pass
    raise RequestValueError(f"`{option}` is not JSON", column=option)


def _pairs(text: str, shape: Shape, option: str) -> Json:
    """The short form of a structure: `Name=email,Value=x`. Booleans and numbers are parsed by type."""
    found: Json = {}
    for part in text.split(","):
        name, mark, value = part.partition("=")
        if not mark:
            raise RequestValueError(f"`{option}` is neither JSON nor `Name=value,...`", column=option)
        kind = shape.members[name].shape.type if name in shape.members else "string"
        found[name] = _json(value, option) if kind in ("boolean", "integer", "long") else value
    return found


def plain(value: Any) -> Any:
    """A result as a JSON value."""
    if isinstance(value, Mapping):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(item) for item in value]
    return str.__str__(value) if isinstance(value, str) else value


def _of_pool(function: Any) -> click.Command:
    """A verb for one pool that AWS does not have."""
    for add in (options.form, REGION, codes, keyring, store, click.option("--user-pool-id", required=True, metavar="TEXT")):
        function = add(function)
    made: click.Command = command.command(function.__name__.strip("_").replace("_", "-"))(function)
    return made


@_of_pool
def get_jwks(user_pool_id: str, store: str, keyring: str | None, codes: str | None, region: str, form: str) -> int:
    """Print the key set that verifies the tokens of a pool."""
    with open_pools(store, keyring, codes, region, None) as pools:
        show(pools.get_jwks(user_pool_id), form)
    return exits.OK


@_of_pool
def rotate_signing_keys(user_pool_id: str, store: str, keyring: str | None, codes: str | None, region: str, form: str) -> int:
    """Generate new signing keys; the old ones verify for a day."""
    with open_pools(store, keyring, codes, region, None) as pools:
        pools.rotate_signing_keys(user_pool_id)
        show(pools.get_jwks(user_pool_id), form)
    return exits.OK


def _add_operations() -> None:
    """Add a verb for each call; none if the packages that user pools need are missing."""
    try:
        import fastiam.cognito.user_pools  # noqa: F401
        from fastiam.cognito.user_pools.operations import OPERATIONS
    except FastiamError:
        return
    for described in OPERATIONS.values():
        command.add_command(_command(described))


_add_operations()
