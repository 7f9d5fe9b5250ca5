"""`fastiam compile`: policies into a file that every other verb loads in milliseconds."""

from __future__ import annotations

import os
import time

import click

from fastiam.cli import exit_codes as exits
from fastiam.cli import options
from fastiam.cli.console import note
from fastiam.cli.file_arguments import check_out
from fastiam.cli.policy_sources import check_stdin, compile_engine, given_or_store, open_directory, print_findings
from fastiam.cli.progress import Steps


@click.command("compile")
@click.argument("paths", nargs=-1, metavar="[PATH...]")
@click.option("--out", required=True, metavar="FILE", help="The file; an existing one is replaced when the new one is complete.")
@options.reading
@options.unknown_owner
@click.option("--quiet", is_flag=True, help="Print no progress and no summary.")
def command(paths: tuple[str, ...], out: str, unknown_owner: str | None, quiet: bool) -> int:
    """Compile policies into a file.

    PATH is an account export, a file in our own format, a store, `-`, or a folder of such files. Default: FASTIAM_STORE.
    Decisions equal those of the policies, with names and positions of statements. The file needs no other file, and processes
    that load it share its memory. Pass it to other verbs as `--engine FILE`. Only the release that wrote it reads it.
    """
    paths = tuple(given_or_store(paths, "PATH..."))
    check_stdin(*paths)
    check_out(out, "the engine", *paths)
    began = time.perf_counter()
    with Steps(quiet=quiet) as steps:
        steps.begin("reading policies")
        directory = open_directory(paths, quiet=True)
        steps.begin("compiling")
        engine = compile_engine(directory, unknown_owner)
        steps.begin("writing")
        engine.save(out)
    if not quiet:
        print_findings(directory, paths)
        stats = engine.stats()
        what = f"{stats['statements']:,} statements, {stats['named_principals']:,} principals, {stats['resources']:,} resources"
        note(f"{what}: {os.path.getsize(out) / 1e6:,.1f} MB in {time.perf_counter() - began:.1f} s")
    return exits.OK
