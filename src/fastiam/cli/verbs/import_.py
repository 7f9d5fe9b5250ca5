"""`fastiam import PATH...`: files into a store, in one transaction."""

from __future__ import annotations

import click

from fastiam.cli import exit_codes as exits
from fastiam.cli import options
from fastiam.cli.policy_sources import print_findings, print_guesses, reading_options
from fastiam.cli.store_options import show, store


@click.command("import")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--strict", is_flag=True, help="Refuse what AWS would refuse if it were written today.")
@options.reading
@store
@options.form
def command(paths: tuple[str, ...], strict: bool, store: str, form: str) -> int:
    """Take account exports, fastiam files and folders of them into a store, which is made if it is not there.

    All of it comes in, beside what the store holds, or nothing does. Of two records of one name the one in the store stays.
    """
    from fastiam.api.directory import Directory
    from fastiam.api.loading import load

    with Directory.open(store, mode="strict" if strict else "lenient") as directory:
        load(*paths, into=directory, **reading_options(paths))
        print_guesses(directory)
        print_findings(directory, paths)
        tables = directory.tables
    counts = {
        "accounts": len(tables.accounts),
        "principals": len(tables.entities),
        "groups": len(tables.groups),
        "managed_policies": len(tables.managed),
        "resources": len(tables.resources),
    }
    show({"store": store} | counts, form)
    return exits.OK
