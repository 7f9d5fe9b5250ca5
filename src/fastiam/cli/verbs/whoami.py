"""`fastiam whoami`: the principal of credentials."""

from __future__ import annotations

from datetime import UTC

import click

from fastiam.cli import exit_codes as exits
from fastiam.cli import options
from fastiam.cli.store_options import credentials, of_store, open_sts, read_credentials, show


@click.command("whoami")
@credentials
@of_store
@options.form
def command(credentials: str | None, store: str, keyring: str | None, form: str) -> int:
    """Identify the principal of credentials: account, ARN and user id, and when they expire."""
    with open_sts(store, keyring) as sts:
        caller = sts.authenticate(read_credentials(credentials))
        identity = sts.get_caller_identity(caller)
    expires = None if caller.expires_at is None else caller.expires_at.astimezone(UTC).isoformat()
    show({"Account": identity.account, "Arn": identity.arn, "UserId": identity.user_id, "Expiration": expires}, form)
    return exits.OK
