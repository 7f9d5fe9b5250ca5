"""`fastiam rolesanywhere`: sessions of a store for clients with certificates."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from fastiam.cli import options
from fastiam.cli.store_calls import JSON_SECRET, add_verb
from fastiam.cli.store_options import Calls, open_sts

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


def _pem(flag: str, name: str, help: str, *, required: bool = True) -> options.Decorator:
    return click.option(flag, name, required=required, metavar="FILE", callback=options.read_file, help=help)


@add_verb(
    command,
    open_anywhere,
    "credential-process",
    _pem("--certificate", "certificate", "The certificate, as PEM text."),
    _pem("--private-key", "private_key", "Its key, as PEM text that is not encrypted."),
    _pem("--intermediates", "intermediates", "Certificates between it and the trust anchor, as PEM text.", required=False),
    click.option("--trust-anchor-arn", "trust_anchor", required=True, metavar="ARN"),
    click.option("--profile-arn", "profile", required=True, metavar="ARN"),
    click.option("--role-arn", "role", required=True, metavar="ARN"),
    click.option("--session-duration", "duration", type=int, metavar="N", help="The duration of the session, in seconds."),
    click.option("--role-session-name", "session_name", metavar="NAME", help="Name of the session, if the profile accepts it."),
    output=JSON_SECRET,
)
def credential_process(
    opened: tuple[STS, RolesAnywhere], certificate: bytes, private_key: bytes, intermediates: bytes | None, **given: Any
) -> dict[str, Any]:
    """Sign a request with the key of a certificate, and print the credentials for `credential_process`.

    Exits with 2 if the trust policy does not allow it.
    """
    from fastiam.rolesanywhere import sign_request

    sts, anywhere = opened
    request = sign_request(certificate, private_key, intermediates=intermediates or b"", at=sts.issuer.state.now(), **given)
    return anywhere.create_session(request).credentials.process_json()
