"""`fastiam init`: a new store."""

from __future__ import annotations

from pathlib import Path

import click

from fastiam.cli import exit_codes as exits
from fastiam.cli import options
from fastiam.cli.store_options import show, store
from fastiam.errors import StoreError


@click.command("init")
@store
@options.form
def command(store: str, form: str) -> int:
    """Make an empty store. One that is there stays as it is, and is an error."""
    from fastiam.api.directory import Directory

    if Path(store).exists() and Path(store).stat().st_size:
        raise StoreError("there is a file already", source=store, reason="exists", hint="`fastiam import` adds to a store")
    Directory.open(store).close()
    show({"store": store}, form)
    return exits.OK
