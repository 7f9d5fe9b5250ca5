"""`fastiam sts`: sessions, printed for `credential_process` of the AWS CLI and SDKs, and the keyring of a store."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastiam.cli import entity_commands, options
from fastiam.cli import exit_codes as exits
from fastiam.cli.console import note
from fastiam.cli.file_arguments import read_bytes
from fastiam.cli.store_options import (
    Calls,
    accept_own_tokens,
    credentials,
    join_federation,
    of_store,
    open_federation,
    open_secret_file,
    open_sts,
    read_credentials,
    secret_out,
    show,
)
from fastiam.errors import FastiamError

if TYPE_CHECKING:
    from fastiam.credentials.results import AssumedRole, Credentials, FederatedUser, IssuedSession
    from fastiam.federation import Federation, SamlRole, WebIdentityRole
    from fastiam.sts import STS


@click.group("sts", cls=Calls)
def command() -> None:
    """Issue sessions from a store, revoke them, and manage its keyring."""


duration = click.option("--duration-seconds", "duration", type=int, metavar="N", help="The duration of the session.")
policies = options.chained(
    click.option("--policy", metavar="FILE", help="An inline session policy."),
    click.option("--policy-arn", "policy_arns", multiple=True, metavar="ARN", help="A managed session policy; repeatable."),
)
tags = click.option(
    "--tag", "tags", type=options.Pair(), multiple=True, metavar="KEY=VALUE", help="A session tag; may be repeated."
)
mfa = options.chained(
    click.option("--serial-number", "mfa_serial", metavar="ARN", help="The MFA device."),
    click.option("--token-code", "mfa_code", metavar="CODE", help="The code of the MFA device."),
)
role = click.option("--role-arn", "role", required=True, metavar="ARN")
session_name = click.option("--role-session-name", "session_name", required=True, metavar="NAME")
_FILES = ("response", "token", "policy")  # options that name files, in the order in which they are read


def issuing(name: str, *own: options.Decorator, with_credentials: bool = True) -> options.Decorator:
    """Decorate the call of a verb that issues a session: add its options, and print the credentials of its result.

    The call gets the options under their names, files as bytes. With the credentials of a caller, its first arguments are an
    `STS` and these; without, a `Federation`.
    """
    common = (credentials, of_store, secret_out) if with_credentials else (of_store, secret_out)

    def decorate(call: Callable[..., Any]) -> Callable[..., Any]:
        @command.command(name, help=call.__doc__)
        @options.chained(*own, *common)
        def run(store: str, keyring: str | None, out: str, credentials: str | None = None, **given: Any) -> int:
            opened = open_sts(store, keyring) if with_credentials else open_federation(store, keyring)
            with opened as calls, open_secret_file(out, store, keyring, credentials) as file:
                callers = [read_credentials(credentials)] if with_credentials else []
                for option in _FILES:
                    if given.get(option) is not None:
                        given[option] = read_bytes(given[option])
                if "tags" in given:
                    given["tags"] = dict(given["tags"])
                show(call(calls, *callers, **given).credentials.process_json(), "json", file)
            return exits.OK

        return call

    return decorate


@issuing(
    "assume-role",
    role,
    session_name,
    duration,
    click.option("--external-id", metavar="ID"),
    policies,
    tags,
    click.option(
        "--transitive-tag-key", "transitive_tag_keys", multiple=True, metavar="KEY", help="A tag that chained sessions inherit."
    ),
    click.option("--source-identity", metavar="NAME"),
    mfa,
)
def assume_role(sts: STS, caller: Credentials, **given: Any) -> AssumedRole:
    """Assume a role, and print its credentials for `credential_process`. Exits with 2 if a policy does not allow it."""
    return sts.assume_role(caller, **given)


@issuing(
    "assume-role-with-saml",
    role,
    click.option("--principal-arn", "provider", required=True, metavar="ARN", help="The SAML provider."),
    click.option("--saml-assertion", "response", required=True, metavar="FILE", help="Base64 of the response, or `-`."),
    duration,
    policies,
    with_credentials=False,
)
def assume_role_with_saml(federation: Federation, response: bytes, **given: Any) -> SamlRole:
    """Verify a SAML response, and print credentials of the role. Exits with 2 if the trust policy does not allow it."""
    return federation.assume_role_with_saml(response=response.strip(), **given)


@issuing(
    "assume-role-with-web-identity",
    role,
    session_name,
    click.option("--web-identity-token", "token", required=True, metavar="FILE", help="The ID token, or `-`."),
    duration,
    policies,
    with_credentials=False,
)
def assume_role_with_web_identity(federation: Federation, token: bytes, **given: Any) -> WebIdentityRole:
    """Verify an ID token, and print credentials of the role. Exits with 2 if the trust policy does not allow it.

    The keys of the issuer are read over HTTPS from public addresses, unless the provider has pinned keys.
    """
    accept_own_tokens(federation)
    return federation.assume_role_with_web_identity(token=token.strip(), **given)


@issuing("get-session-token", duration, mfa)
def get_session_token(sts: STS, caller: Credentials, **given: Any) -> IssuedSession:
    """Print temporary credentials of the same user or root, with MFA if a code is given."""
    return sts.get_session_token(caller, **given)


@issuing(
    "get-federation-token",
    click.option("--name", required=True, metavar="NAME", help="The name of the federated user."),
    duration,
    policies,
    tags,
)
def get_federation_token(sts: STS, caller: Credentials, **given: Any) -> FederatedUser:
    """Print credentials for a federated user, limited by session policies; without any they allow nothing."""
    return sts.get_federation_token(caller, **given)


@command.command("revoke-sessions")
@click.argument("role")
@of_store
@entity_commands.account
@options.form
def revoke_sessions(role: str, store: str, keyring: str | None, account: str | None, form: str) -> int:
    """Revoke all sessions of ROLE, a name or ARN, that were issued so far."""
    with open_sts(store, keyring) as sts:
        arn = entity_commands.ROLE.find(sts.directory, role, account)
        show({"Role": arn, "IssuedBefore": sts.revoke_sessions(arn).isoformat()}, form)
    return exits.OK


def _warn_about_refresh_tokens(store: str) -> None:
    """Clients keep refresh tokens, which no reseal reaches: those of a key that leaves the keyring are refused (ST13)."""
    from fastiam.directory.user_pool_store import UserPoolStore

    with entity_commands.reading(store) as directory:
        last = directory.join(UserPoolStore()).last_refresh(datetime.now(UTC))
    if last is not None:
        until = last.isoformat(timespec="seconds")
        note(f"warning: refresh tokens of user pools last until {until}; those that a removed key sealed are refused from now on")


@command.command("keyring")
@click.argument("file")
@click.option("--rotate", is_flag=True, help="Add a new first key to the existing ones.")
@click.option("--keep", type=click.IntRange(min=0), metavar="N", help="With --rotate, keep only N of the older keys.")
@click.option("--store", envvar="FASTIAM_STORE", metavar="FILE", help="The store that may need a key that is not kept.")
@options.form
def keyring(file: str, rotate: bool, keep: int | None, store: str | None, form: str) -> int:
    """Write a new keyring to FILE (mode 0600), or rotate the existing one."""
    from fastiam.sts import Keyring

    if not rotate and Path(file).exists():
        raise FastiamError(
            f"there is a file `{file}` already\nhelp: secrets that it seals would be lost; rotate it with `--rotate`"
        )
    if not rotate:
        ring = Keyring.generate()
    else:
        old = Keyring.load(file)
        ring = old.rotated(keep=keep)
        if store is not None and Path(store).exists() and not set(old.ids) <= set(ring.ids):
            _warn_about_refresh_tokens(store)
    ring.save(file)
    show({"Keyring": file, "Keys": list(ring.ids) if form == "json" else ", ".join(ring.ids)}, form)
    return exits.OK


@command.command("reseal")
@of_store
@options.form
def reseal(store: str, keyring: str | None, form: str) -> int:
    """After a rotation, seal the secrets of the store under the newest key."""
    with open_sts(store, keyring) as sts:
        join_federation(sts)
        show({"Resealed": sts.reseal()}, form)
    return exits.OK
