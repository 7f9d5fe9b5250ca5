"""Policies as the command line names them: paths to a compiled engine, with a word on what was found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, cast

from fastiam.cli.console import note
from fastiam.errors import Severity

if TYPE_CHECKING:
    from fastiam.directory import Directory
    from fastiam.engine import Engine

SHOWN = 5  # findings that are worth a line each


def open_directory(paths: Sequence[str], *, quiet: bool = False) -> Directory:
    """The directory behind some paths. State that exists is read leniently; its errors are told, the first few in full."""
    from fastiam.sources import load

    directory = load(*paths)
    if not quiet:
        tell_findings(directory)
    return directory


def tell_findings(directory: Directory) -> None:
    """The errors among the findings of a lenient reading: how many there are, and the first few in full."""
    errors = [finding for finding in directory.findings if finding.severity is Severity.ERROR]
    for finding in errors[:SHOWN]:
        note(str(finding))
    if errors:
        note(f"{len(errors)} findings in the policies, read leniently; `fastiam validate` tells more on each document")


def open_engine(paths: Sequence[str], *, unknown_owner: str = "principal", quiet: bool = False) -> Engine:
    """The compiled engine of some paths."""
    directory = open_directory(paths, quiet=quiet)
    return directory.compile(unknown_owner=cast(Literal["principal", "deny"], unknown_owner))
