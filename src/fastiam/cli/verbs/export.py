"""`fastiam export`: a store as a file of our own format, without credentials."""

from __future__ import annotations

import click

from fastiam.cli import entity_commands
from fastiam.cli import exit_codes as exits
from fastiam.cli.file_arguments import check_out, open_out
from fastiam.cli.store_options import store


@click.command("export")
@click.option("--out", default="-", show_default=True, metavar="FILE", help="The output file; `-` is standard output.")
@store
def command(out: str, store: str) -> int:
    """Write everything except credentials as JSON (docs/directory-format.md), which `import` reads."""
    check_out(out, "the export", store)
    with entity_commands.reading(store) as directory:
        text = directory.to_json()
    with open_out(out) as file:
        file.write(text.encode())
    return exits.OK
