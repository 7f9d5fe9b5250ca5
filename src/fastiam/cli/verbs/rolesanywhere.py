"""`fastiam rolesanywhere`: sessions of a store for clients with certificates."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from fastiam.cli import exit_codes as exits
from fastiam.cli.file_arguments import read_bytes
from fastiam.cli.store_options import Calls, of_store, open_secret_file, open_sts, secret_out, show

if TYPE_CHECKING:
    from fastiam.rolesanywhere import RolesAnywhere
    from fastiam.sts import STS


@click.group("rolesanywhere", cls=Calls)
def command() -> None:
    """Issue sessions for certificates."""


@contextmanager
def open_anywhere(store: str, keyring: str | None) -> Iterator[tuple[STS, RolesAnywhere]]:
    """`RolesAnywhere` over a store that exists."""
    from fastiam.rolesanywhere import RolesAnywhere

    with open_sts(store, keyring) as sts:
        yield sts, RolesAnywhere(sts)


@command.command("credential-process")
@click.option("--certificate", required=True, metavar="FILE", help="The certificate, as PEM text.")
@click.option("--private-key", required=True, metavar="FILE", help="Its key, as PEM text that is not encrypted.")
@click.option("--intermediates", metavar="FILE", help="Certificates between it and the trust anchor, as PEM text.")
@click.option("--trust-anchor-arn", "anchor", required=True, metavar="ARN")
@click.option("--profile-arn", "profile", required=True, metavar="ARN")
@click.option("--role-arn", "role", required=True, metavar="ARN")
@click.option("--session-duration", "duration", type=int, metavar="N", help="The duration of the session, in seconds.")
@click.option("--role-session-name", "name", metavar="NAME", help="The name of the session, if the profile accepts it.")
@of_store
@secret_out
def credential_process(
    certificate: str,
    private_key: str,
    intermediates: str | None,
    anchor: str,
    profile: str,
    role: str,
    duration: int | None,
    name: str | None,
    store: str,
    keyring: str | None,
    out: str,
) -> int:
    """Sign a request with the key of a certificate, and print the credentials for `credential_process`.

    Exits with 2 if the trust policy does not allow it.
    """
    with (
        open_anywhere(store, keyring) as (sts, anywhere),
        open_secret_file(out, store, keyring, certificate, private_key) as file,
    ):
        from fastiam.rolesanywhere import sign_request

        request = sign_request(
            read_bytes(certificate),
            read_bytes(private_key),
            intermediates=b"" if intermediates is None else read_bytes(intermediates),
            trust_anchor=anchor,
            profile=profile,
            role=role,
            at=sts.issuer.state.now(),
            duration=duration,
            session_name=name,
        )
        show(anywhere.create_session(request).credentials.process_json(), "json", file)
    return exits.OK
