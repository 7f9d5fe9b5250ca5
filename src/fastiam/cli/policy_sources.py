"""Engines and directories from the paths of the command line, with the findings of reading them."""

from __future__ import annotations

import os
import shlex
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from fastiam.cli.console import note
from fastiam.cli.options import READING
from fastiam.errors import Finding, Findings, Severity, counted

if TYPE_CHECKING:
    from fastiam.api.directory import Directory
    from fastiam.api.engine import Engine


def open_directory(paths: Sequence[str], *, quiet: bool = False, among: Sequence[str] = ()) -> Directory:
    """The directory of some paths, read leniently. The count and the first findings are printed.

    `among` : all paths of a verb that reads several directories, so that `--resource-of` can name a file of another one.
    """
    from fastiam.api.loading import load

    directory = load(*paths, **reading_options(paths, among))
    print_guesses(directory)
    if not quiet:
        print_findings(directory, paths)
    return directory


def reading_options(paths: Sequence[str], among: Sequence[str] = ()) -> dict[str, Any]:
    """The arguments of `load` for `--resource-of` and `--skip-unknown`."""
    import click

    context = click.get_current_context(silent=True)
    given = {} if context is None else context.meta.get(READING, {})
    others = set(among) - set(paths)
    resource_of: dict[str, str] = {}
    for file, arn in given.get("resource_of", ()):
        if resource_of.setdefault(file, arn) != arn:
            raise click.UsageError(f"--resource-of gives two ARNs for {file}")
    mine = {file: arn for file, arn in resource_of.items() if _is_among(file, paths) or not _is_among(file, others)}
    return {"skip_unknown": given.get("skip_unknown", False), "resource_of": mine}


def _is_among(file: str, paths: Collection[str]) -> bool:
    """Whether a file is one of these, or in one of these folders."""
    path = Path(file).absolute()
    return any(path.is_relative_to(Path(each).absolute()) for each in paths)


def print_guesses(directory: Directory) -> None:
    """Print the resources that a file name alone determines, also where nothing else is printed."""
    from fastiam.sources.policy_outputs import GUESSED

    for finding in directory.findings:
        if finding.code == GUESSED:
            note(finding.for_cli().render())


def is_about_documents(finding: Finding) -> bool:
    """Whether a finding is a warning about what a document contains, and not about something that was not read."""
    from fastiam.policy.validation_rules import RULES

    return finding.severity is Severity.WARN and (finding.code in RULES or finding.code in ("GAAD-ID", "DIR-ID"))


def print_findings(directory: Directory, paths: Sequence[str]) -> None:
    """Print the findings of a lenient reading: the first few in full, and the number of warnings about documents."""
    from fastiam.sources.policy_outputs import GUESSED

    found = Findings(finding for finding in directory.findings if finding.code != GUESSED)
    shown = Findings(each for each in found if not is_about_documents(each))
    if shown:
        note(f"findings in the policies, read leniently: {shown}")
        missing = [finding for finding in directory.findings if finding.code.startswith("DIR-NO-")]
        for hint in dict.fromkeys(finding.for_cli().hint for finding in missing if finding.hint):
            note(f"help: {hint}")
        note("help: `fastiam validate` on the same paths shows all")
    if len(found) > len(shown):
        note(f"{counted(len(found) - len(shown), 'warning')} about documents: `fastiam lint {shlex.join(paths)}` lists them")


def open_engine(
    paths: Sequence[str],
    saved: str | None = None,
    *,
    unknown_owner: str | None = None,
    quiet: bool = False,
    among: Sequence[str] = (),
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

        if not among and any(reading_options(()).values()):
            raise click.UsageError("an engine is compiled already: leave out --resource-of and --skip-unknown")
        return Engine.load(saved)
    return compile_engine(open_directory(given_or_store(paths), quiet=quiet, among=among), unknown_owner)


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
