"""Options for a store, its keyring, and the credentials of the caller.

The store is `--store` or `FASTIAM_STORE`, the keyring `--keyring` or `FASTIAM_KEYRING`. Secrets are never on a command line:
those of the caller come from `--credentials FILE` or from the variables that the AWS CLI reads.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from fastiam.cli import exit_codes as exits
from fastiam.cli.console import note, visible
from fastiam.cli.file_arguments import check_out, open_out, read_bytes
from fastiam.cli.options import note_file, noted_files
from fastiam.errors import FastiamError, RequestValueError, pip_install

if TYPE_CHECKING:
    from fastiam.federation import Federation
    from fastiam.sts import STS, Credentials, Secret

store = click.option("--store", required=True, envvar="FASTIAM_STORE", show_envvar=True, metavar="FILE", help="The store.")
keyring = click.option("--keyring", metavar="FILE", help="The keyring of the store. Default: FASTIAM_KEYRING.")
credentials = click.option(
    "--credentials",
    metavar="FILE",
    callback=note_file,
    help="JSON with AccessKeyId, SecretAccessKey and SessionToken. Default: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and "
    "AWS_SESSION_TOKEN.",
)
secret_out = click.option("--out", default="-", show_default=True, metavar="FILE", help="The output file, with mode 0600.")


def of_store(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a verb over a store."""
    return store(keyring(command))


class Calls(click.Group):
    """A group of verbs that policies may deny: such an error exits with 2, not 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except FastiamError as error:
            if type(error).__name__ != "AccessDeniedError" or ctx.meta.get("debug"):
                raise
            note(error.cli_text())
            return exits.DENIED


@contextmanager
def open_sts(path: str, keyring_path: str | None) -> Iterator[STS]:
    """`STS` over a store that exists."""
    from fastiam.api.directory import Directory
    from fastiam.sts import STS, Keyring

    ring = Keyring.load(keyring_path) if keyring_path else Keyring.from_environment()
    directory = Directory.open(path, create=False)
    try:
        yield STS(directory, ring)
    finally:
        directory.close()


@contextmanager
def open_federation(path: str, keyring_path: str | None) -> Iterator[Federation]:
    """`Federation` over a store that exists."""
    from fastiam.federation import Federation, HttpsFetch

    with open_sts(path, keyring_path) as sts:
        yield Federation(sts, fetch=HttpsFetch())


def accept_own_tokens(federation: Federation) -> None:
    """Let STS accept the tokens of the identity pools of the store."""
    from fastiam.cognito.identity_pools import IdentityPools

    IdentityPools(federation)


def join_federation(sts: STS) -> None:
    """Include the secrets of federation in calls for all secrets of a store, such as `reseal`."""
    try:
        from fastiam.federation import Federation
    except ModuleNotFoundError:
        note(f"private keys of SAML providers and secrets of Cognito are left out\nhelp: {pip_install('federation')}")
    else:
        from fastiam.directory.user_pool_store import UserPoolStore

        accept_own_tokens(Federation(sts))  # joins the records of identity pools
        sts.directory.join(UserPoolStore())


def read_credentials(file: str | None) -> Credentials:
    """The caller's credentials: as `credential_process` prints them, or from the environment.

    Raises
    ------
    RequestValueError
        there are none. Names what is missing, never a value.
    """
    from fastiam.sts import Credentials

    if file is None:
        names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
        values = _texts(os.environ, names)
    else:
        names = ("AccessKeyId", "SecretAccessKey", "SessionToken")
        values = _texts(_json_value(file), names)
    if values is None:
        raise RequestValueError(f"`{file}` is not a JSON object with credentials", column="credentials")
    id_, secret, token = values
    if not (id_ and secret):
        where, hint = "", "set both, or pass `--credentials FILE`"
        if file is not None:
            where, hint = f" in `{file}`", "pass the output of `fastiam key create --format json` or of `fastiam sts assume-role`"
        raise RequestValueError(f"there is no {names[0]} and {names[1]}{where}", column="credentials", hint=hint)
    return Credentials(str(id_), secret, token or None)


def _texts(values: Any, names: Sequence[str]) -> list[Secret] | None:
    """The texts under some names, "" where there is none; None if `values` is not a mapping."""
    from fastiam.sts import Secret

    if not isinstance(values, Mapping):
        return None
    found = map(values.get, names)
    return [Secret(value if isinstance(value, str) else "") for value in found]


def _json_value(file: str) -> Any:
    """The JSON value in a file; None for other content, without an error that contains it."""
    try:
        return json.loads(read_bytes(file))
    except ValueError:
        return None


@contextmanager
def open_secret_file(out: str, store: str, keyring: str | None) -> Iterator[BinaryIO]:
    """Open the file for a secret before the secret is created: one that could not be written would be lost.

    It replaces neither the store nor its keyring, nor a file that an option of the verb names.
    """
    check_out(out, "the credentials", store, keyring or os.environ.get("FASTIAM_KEYRING", ""), *noted_files())
    with open_out(out, private=True) as file:
        yield file


def show(made: dict[str, Any], form: str, file: BinaryIO | None = None) -> None:
    """Write the result of a verb, to standard output if no file is given: indented JSON, or `name: value` by line."""
    if form == "json":
        text = json.dumps(made, indent=2) + "\n"
    else:
        text = "".join(f"{name}: {_text(value)}\n" for name, value in made.items() if value is not None)
    if file is None:
        sys.stdout.write(visible(text) if form != "json" else text)
    else:
        file.write(text.encode())


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, (dict, list)) else str(value)
