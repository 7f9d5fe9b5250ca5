"""Engines and directories from the paths of the command line, with the findings of reading them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, cast

from fastiam.cli.console import note

if TYPE_CHECKING:
    from fastiam.api.directory import Directory
    from fastiam.api.engine import Engine


def open_directory(paths: Sequence[str], *, quiet: bool = False) -> Directory:
    """The directory of some paths, read leniently. The count and the first findings are printed."""
    from fastiam.sources import load

    directory = load(*paths)
    if not quiet:
        print_findings(directory)
    return directory


def print_findings(directory: Directory) -> None:
    """Print the findings of a lenient reading: the numbers of errors and warnings, and the first few in full."""
    if directory.findings:
        note(f"findings in the policies, read leniently: {directory.findings}")
        missing = [finding for finding in directory.findings if finding.code.startswith("DIR-NO-")]
        for hint in dict.fromkeys(finding.hint for finding in missing if finding.hint):
            note(f"help: {hint}")
        note("help: `fastiam validate` on the same paths shows all")


def open_engine(
    paths: Sequence[str], saved: str | None = None, *, unknown_owner: str | None = None, quiet: bool = False
) -> Engine:
    """The compiled engine of some paths, or the one in the file `saved`; by default that of `FASTIAM_STORE`."""
    import click

    check_stdin(*paths)
    if saved is not None and paths:
        raise click.UsageError("give either --policies or --engine")
    if saved is not None:
        if unknown_owner is not None:
            raise click.UsageError("an engine has the --unknown-owner of its compilation: leave it out")
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
    """Check that at most one of the files that a verb reads is standard input."""
    import click

    if names.count("-") > 1:
        raise click.UsageError("standard input can be read only once: `-` is given twice")


def compile_engine(directory: Directory, unknown_owner: str | None) -> Engine:
    """Compile the engine of a directory."""
    return directory.compile(unknown_owner=cast(Literal["principal", "deny"], unknown_owner or "principal"))
