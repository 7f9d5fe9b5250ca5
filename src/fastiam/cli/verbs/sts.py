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
from fastiam.cli.store_calls import JSON_SECRET, add_verb
from fastiam.cli.store_options import (
    Calls,
    accept_own_tokens,
    credentials,
    join_federation,
    open_federation,
    open_sts,
    read_credentials,
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
    click.option("--policy", metavar="FILE", callback=options.read_file, help="An inline session policy."),
    click.option("--policy-arn", "policy_arns", multiple=True, metavar="ARN", help="A managed session policy; repeatable."),
)
tags = options.pairs("--tag", "tags", help="A session tag; may be repeated.")
mfa = options.chained(
    click.option("--serial-number", "mfa_serial", metavar="ARN", help="The MFA device."),
    click.option("--token-code", "mfa_code", metavar="CODE", help="The code of the MFA device."),
)
role = click.option("--role-arn", "role", required=True, metavar="ARN")
session_name = click.option("--role-session-name", "session_name", required=True, metavar="NAME")


def _file(flag: str, name: str, help: str) -> options.Decorator:
    return click.option(flag, name, required=True, metavar="FILE", callback=options.read_file, help=help)


def issuing(name: str, *own: options.Decorator, with_credentials: bool = True) -> options.Decorator:
    """Decorate the call of a verb that issues a session: add its options, and print the credentials of its result.

    With the credentials of a caller, the first arguments of the call are an `STS` and these; without, a `Federation`.
    """
    opener, common = (open_sts, (credentials,)) if with_credentials else (open_federation, ())

    def decorate(call: Callable[..., Any]) -> Callable[..., Any]:
        @add_verb(command, opener, name, *own, *common, output=JSON_SECRET, help=call.__doc__)
        def run(calls: Any, credentials: str | None = None, **given: Any) -> dict[str, Any]:
            callers = (read_credentials(credentials),) if with_credentials else ()
            made: dict[str, Any] = call(calls, *callers, **given).credentials.process_json()
            return made

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
    _file("--saml-assertion", "response", "Base64 of the response, or `-`."),
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
    _file("--web-identity-token", "token", "The ID token, or `-`."),
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


@add_verb(command, open_sts, "revoke-sessions", click.argument("role"), entity_commands.account)
def revoke_sessions(sts: STS, role: str, account: str | None) -> dict[str, Any]:
    """Revoke all sessions of ROLE, a name or ARN, that were issued so far."""
    arn = entity_commands.ROLE.find(sts.directory, role, account)
    return {"Role": arn, "IssuedBefore": sts.revoke_sessions(arn).isoformat()}


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


@add_verb(command, open_sts, "reseal")
def reseal(sts: STS) -> dict[str, Any]:
    """After a rotation, seal the secrets of the store under the newest key."""
    join_federation(sts)
    return {"Resealed": sts.reseal()}
