"""Policies as the command line names them: paths to a compiled engine, with a word on what was found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, cast

from fastiam.cli.console import note

if TYPE_CHECKING:
    from fastiam.directory import Directory
    from fastiam.engine import Engine


def open_directory(paths: Sequence[str], *, quiet: bool = False) -> Directory:
    """The directory behind some paths. State that exists is read leniently; count and first lines of findings are shown."""
    from fastiam.sources import load

    directory = load(*paths)
    if not quiet:
        tell_findings(directory)
    return directory


def tell_findings(directory: Directory) -> None:
    """The findings of a lenient reading: how many errors and warnings there are, and the first few in full."""
    if directory.findings:
        note(f"findings in the policies, read leniently: {directory.findings}")
        note("help: `fastiam validate` on the same paths shows all")


def open_engine(
    paths: Sequence[str], saved: str | None = None, *, unknown_owner: str | None = None, quiet: bool = False
) -> Engine:
    """The compiled engine of some paths, or one that is in a file already."""
    import click

    if (saved is None) == (not paths):
        raise click.UsageError("give either --policies or --engine")
    if saved is not None:
        if unknown_owner is not None:
            raise click.UsageError("an engine has its --unknown-owner since it was compiled: leave it out")
        from fastiam.engine import Engine

        return Engine.load(saved)
    return compile_engine(open_directory(paths, quiet=quiet), unknown_owner)


def compile_engine(directory: Directory, unknown_owner: str | None) -> Engine:
    """The engine of a directory."""
    return directory.compile(unknown_owner=cast(Literal["principal", "deny"], unknown_owner or "principal"))
