"""Policies as the command line names them: paths to a compiled engine, with a word on what was found."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, cast

from fastiam.cli.console import note

if TYPE_CHECKING:
    from fastiam.api.directory import Directory
    from fastiam.api.engine import Engine


def open_directory(paths: Sequence[str], *, quiet: bool = False) -> Directory:
    """The directory behind some paths. State that exists is read leniently; count and first lines of findings are shown."""
    from fastiam.sources import load

    directory = load(*paths)
    if not quiet:
        print_findings(directory)
    return directory


def print_findings(directory: Directory) -> None:
    """The findings of a lenient reading: how many errors and warnings there are, and the first few in full."""
    if directory.findings:
        note(f"findings in the policies, read leniently: {directory.findings}")
        missing = [finding for finding in directory.findings if finding.code.startswith("DIR-NO-")]
        for hint in dict.fromkeys(finding.hint for finding in missing if finding.hint):
            note(f"help: {hint}")
        note("help: `fastiam validate` on the same paths shows all")


def open_engine(
    paths: Sequence[str], saved: str | None = None, *, unknown_owner: str | None = None, quiet: bool = False
) -> Engine:
    """The compiled engine of some paths, or one that is in a file already; of `FASTIAM_STORE` if neither is given."""
    import click

    check_stdin(*paths)
    if saved is not None and paths:
        raise click.UsageError("give either --policies or --engine")
    if saved is not None:
        if unknown_owner is not None:
            raise click.UsageError("an engine has its --unknown-owner since it was compiled: leave it out")
        from fastiam.api.engine import Engine

        return Engine.load(saved)
    return compile_engine(open_directory(given_or_store(paths), quiet=quiet), unknown_owner)


def given_or_store(paths: Sequence[str], option: str = "--policies or --engine") -> Sequence[str]:
    """The paths, or the store that `FASTIAM_STORE` names."""
    import click

    store = os.environ.get("FASTIAM_STORE")
    if paths:
        return paths
    if not store:
        raise click.UsageError(f"give either {option}, or set FASTIAM_STORE to a store")
    return [store]


def check_stdin(*names: str | None) -> None:
    """See that at most one of the files that a verb reads is standard input."""
    import click

    if names.count("-") > 1:
        raise click.UsageError("standard input can be read only once: `-` is given twice")


def compile_engine(directory: Directory, unknown_owner: str | None) -> Engine:
    """The engine of a directory."""
    return directory.compile(unknown_owner=cast(Literal["principal", "deny"], unknown_owner or "principal"))
