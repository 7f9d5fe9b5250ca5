"""`fastiam sts`: sessions, printed for `credential_process` of the AWS CLI and SDKs, and the keyring of a store."""

from __future__ import annotations

from pathlib import Path

import click

from fastiam.cli import entity_commands, options
from fastiam.cli import exit_codes as exits
from fastiam.cli.files import read_bytes
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


@click.group("sts", cls=Calls)
def command() -> None:
    """Issue sessions from a store, revoke them, and manage its keyring."""


duration = click.option("--duration-seconds", "duration", type=int, metavar="N", help="The duration of the session.")
policy = click.option("--policy", metavar="FILE", help="An inline session policy.")
policy_arns = click.option(
    "--policy-arn", "policy_arns", multiple=True, metavar="ARN", help="A managed session policy; repeatable."
)
tags = click.option(
    "--tag", "tags", type=options.Pair(), multiple=True, metavar="KEY=VALUE", help="A session tag; may be repeated."
)
serial = click.option("--serial-number", "serial", metavar="ARN", help="The MFA device.")
code = click.option("--token-code", "code", metavar="CODE", help="The code of the MFA device.")


@command.command("assume-role")
@click.option("--role-arn", "role", required=True, metavar="ARN")
@click.option("--role-session-name", "name", required=True, metavar="NAME")
@duration
@click.option("--external-id", metavar="ID")
@policy
@policy_arns
@tags
@click.option("--transitive-tag-key", "transitive", multiple=True, metavar="KEY", help="A tag that chained sessions inherit.")
@click.option("--source-identity", metavar="NAME")
@serial
@code
@credentials
@of_store
@secret_out
def assume_role(
    role: str,
    name: str,
    duration: int | None,
    external_id: str | None,
    policy: str | None,
    policy_arns: tuple[str, ...],
    tags: tuple[tuple[str, str], ...],
    transitive: tuple[str, ...],
    source_identity: str | None,
    serial: str | None,
    code: str | None,
    credentials: str | None,
    store: str,
    keyring: str | None,
    out: str,
) -> int:
    """Assume a role, and print its credentials for `credential_process`. Exits with 2 if a policy does not allow it."""
    with open_sts(store, keyring) as sts, open_secret_file(out, store, keyring, credentials) as file:
        made = sts.assume_role(
            read_credentials(credentials),
            role,
            name,
            duration=duration,
            external_id=external_id,
            policy=None if policy is None else read_bytes(policy),
            policy_arns=policy_arns,
            tags=dict(tags),
            transitive_tag_keys=transitive,
            source_identity=source_identity,
            mfa_serial=serial,
            mfa_code=code,
        )
        show(made.credentials.process_json(), "json", file)
    return exits.OK


@command.command("assume-role-with-saml")
@click.option("--role-arn", "role", required=True, metavar="ARN")
@click.option("--principal-arn", "provider", required=True, metavar="ARN", help="The SAML provider.")
@click.option("--saml-assertion", "response", required=True, metavar="FILE", help="Base64 of the response, or `-`.")
@duration
@policy
@policy_arns
@of_store
@secret_out
def assume_role_with_saml(
    role: str,
    provider: str,
    response: str,
    duration: int | None,
    policy: str | None,
    policy_arns: tuple[str, ...],
    store: str,
    keyring: str | None,
    out: str,
) -> int:
    """Verify a SAML response, and print credentials of the role. Exits with 2 if the trust policy does not allow it."""
    with open_federation(store, keyring) as federation, open_secret_file(out, store, keyring, None) as file:
        made = federation.assume_role_with_saml(
            role,
            provider,
            read_bytes(response).strip(),
            duration=duration,
            policy=None if policy is None else read_bytes(policy),
            policy_arns=policy_arns,
        )
        show(made.credentials.process_json(), "json", file)
    return exits.OK


@command.command("assume-role-with-web-identity")
@click.option("--role-arn", "role", required=True, metavar="ARN")
@click.option("--role-session-name", "name", required=True, metavar="NAME")
@click.option("--web-identity-token", "token", required=True, metavar="FILE", help="The ID token, or `-`.")
@duration
@policy
@policy_arns
@of_store
@secret_out
def assume_role_with_web_identity(
    role: str,
    name: str,
    token: str,
    duration: int | None,
    policy: str | None,
    policy_arns: tuple[str, ...],
    store: str,
    keyring: str | None,
    out: str,
) -> int:
    """Verify an ID token, and print credentials of the role. Exits with 2 if the trust policy does not allow it.

    The keys of the issuer are read over HTTPS from public addresses, unless the provider has pinned keys.
    """
    with open_federation(store, keyring) as federation, open_secret_file(out, store, keyring, None) as file:
        accept_own_tokens(federation)
        made = federation.assume_role_with_web_identity(
            role,
            name,
            read_bytes(token).strip(),
            duration=duration,
            policy=None if policy is None else read_bytes(policy),
            policy_arns=policy_arns,
        )
        show(made.credentials.process_json(), "json", file)
    return exits.OK


@command.command("get-session-token")
@duration
@serial
@code
@credentials
@of_store
@secret_out
def get_session_token(
    duration: int | None,
    serial: str | None,
    code: str | None,
    credentials: str | None,
    store: str,
    keyring: str | None,
    out: str,
) -> int:
    """Print temporary credentials of the same user or root, with MFA if a code is given."""
    with open_sts(store, keyring) as sts, open_secret_file(out, store, keyring, credentials) as file:
        made = sts.get_session_token(read_credentials(credentials), duration=duration, mfa_serial=serial, mfa_code=code)
        show(made.credentials.process_json(), "json", file)
    return exits.OK


@command.command("get-federation-token")
@click.option("--name", required=True, metavar="NAME", help="The name of the federated user.")
@duration
@policy
@policy_arns
@tags
@credentials
@of_store
@secret_out
def get_federation_token(
    name: str,
    duration: int | None,
    policy: str | None,
    policy_arns: tuple[str, ...],
    tags: tuple[tuple[str, str], ...],
    credentials: str | None,
    store: str,
    keyring: str | None,
    out: str,
) -> int:
    """Print credentials for a federated user, limited by session policies; without any they allow nothing."""
    with open_sts(store, keyring) as sts, open_secret_file(out, store, keyring, credentials) as file:
        made = sts.get_federation_token(
            read_credentials(credentials),
            name,
            duration=duration,
            policy=None if policy is None else read_bytes(policy),
            policy_arns=policy_arns,
            tags=dict(tags),
        )
        show(made.credentials.process_json(), "json", file)
    return exits.OK


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


@command.command("keyring")
@click.argument("file")
@click.option("--rotate", is_flag=True, help="Add a new first key to the existing ones.")
@click.option("--keep", type=click.IntRange(min=0), metavar="N", help="With --rotate, keep only N of the older keys.")
@options.form
def keyring(file: str, rotate: bool, keep: int | None, form: str) -> int:
    """Write a new keyring to FILE (mode 0600), or rotate the existing one."""
    from fastiam.sts import Keyring

    if not rotate and Path(file).exists():
        raise FastiamError(
            f"there is a file `{file}` already\nhelp: secrets that it seals would be lost; rotate it with `--rotate`"
        )
    ring = Keyring.load(file).rotated(keep=keep) if rotate else Keyring.generate()
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
