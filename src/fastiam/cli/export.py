"""`fastiam export`: a store as a file of our own format, without credentials."""

from __future__ import annotations

import sys

import click

from fastiam.cli import exits, nouns
from fastiam.cli.stores import store


@click.command("export")
@click.option("--out", default="-", show_default=True, metavar="FILE", help="Where to write; `-` is standard output.")
@store
def command(out: str, store: str) -> int:
    """Write everything but credentials as JSON (docs/directory-format.md), which `import` takes."""
    with nouns.reading(store) as directory:
        if out == "-":
            sys.stdout.write(directory.to_json())
        else:
            directory.dump(out)
    return exits.OK
