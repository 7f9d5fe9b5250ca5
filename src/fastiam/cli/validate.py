"""`fastiam validate PATH...`: findings about policy documents and the files that contain them (spec 1.6)."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from fastiam.cli import exit_codes as exits
from fastiam.cli.console import note, write
from fastiam.cli.files import read_bytes
from fastiam.errors import Finding, Severity
from fastiam.model.policy import PolicyKind

if TYPE_CHECKING:
    from fastiam.sources.validation import ValidatedDocument

_STYLES = {Severity.ERROR: "bold red", Severity.WARN: "bold yellow"}


@click.command("validate")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option(
    "--kind",
    type=click.Choice([kind.value for kind in PolicyKind]),
    help="The kind of the documents. Default: detected from the content.",
)
@click.option("--lenient", is_flag=True, help="Reject only fatal errors, as for existing policies.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("--exit-zero", is_flag=True, help="Exit with 0 whatever is found.")
def command(paths: tuple[str, ...], kind: str | None, lenient: bool, form: str, exit_zero: bool) -> int:
    """Check policy documents: files with one or several, and all inputs of `--policies`, such as exports and stores.

    `-` is standard input. Exits with 0 without findings, 2 with findings, and 3 if a document is rejected.
    """
    results = [checked for path in paths for checked in _check(path, PolicyKind(kind) if kind else None)]
    (_print_json if form == "json" else _print_text)(results, lenient)
    if exit_zero:
        return exits.OK
    if any(_is_rejected(result, lenient) for result in results):
        return exits.INVALID
    return exits.DENIED if any(result.findings for result in results) else exits.OK


def _check(path: str, kind: PolicyKind | None) -> list[ValidatedDocument]:
    from fastiam.sources.files import File, unpacked
    from fastiam.sources.validation import check_file, check_folder, check_store
    from fastiam.storage import is_sqlite

    if path != "-" and os.path.isdir(path):
        return check_folder(path, kind)
    if path != "-" and is_sqlite(path):
        return check_store(path)
    name = "<stdin>" if path == "-" else path
    return check_file(File(name, unpacked(read_bytes(path), name), named=True), kind)


def _is_rejected(result: ValidatedDocument, lenient: bool) -> bool:
    """Whether the mode rejects a document."""
    return any(_rejects(finding, lenient) for finding in result.findings)


def _rejects(finding: Finding, lenient: bool) -> bool:
    return finding.fatal or (finding.severity is Severity.ERROR and not lenient)


def _print_text(results: Sequence[ValidatedDocument], lenient: bool) -> None:
    for result in results:
        for finding in result.findings:
            head, _, rest = finding.render().partition(f": {finding.severity}: ")
            write([(head, "bold"), (": ", ""), (finding.severity.value, _STYLES[finding.severity]), (f": {rest}", "")])
    found = [finding for result in results for finding in result.findings]
    errors = sum(finding.severity is Severity.ERROR for finding in found)
    rejected = sum(_is_rejected(result, lenient) for result in results)
    counts = f"{_count(errors, 'error')}, {_count(len(found) - errors, 'warning')}"
    note(f"{_count(sum(result.n_documents for result in results), 'document')}: {counts}, {rejected} rejected")


def _print_json(results: Sequence[ValidatedDocument], lenient: bool) -> None:
    rows = [
        {
            "file": result.source,
            "path": result.path,
            "kind": result.kind and result.kind.value,
            "documents": result.n_documents,
            "rejected": _is_rejected(result, lenient),
            "findings": [asdict(finding) for finding in result.findings],
        }
        for result in results
    ]
    write(json.dumps(rows, indent=2))


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
