"""`fastiam validate FILE...`: what is to be said about policy documents (spec 1.6)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import click

from fastiam.cli import exits
from fastiam.cli.console import note, write
from fastiam.cli.files import read_bytes
from fastiam.errors import Finding, Severity
from fastiam.language.document import guess_kind, validate_policy
from fastiam.model import PolicyKind

_STYLES = {Severity.ERROR: "bold red", Severity.WARN: "bold yellow"}


@dataclass(frozen=True, slots=True)
class Checked:
    """One document and what was found in it. `rejected` says whether the mode would load it."""

    file: str
    kind: PolicyKind
    findings: Sequence[Finding]
    rejected: bool


@click.command("validate")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option(
    "--kind",
    type=click.Choice([kind.value for kind in PolicyKind]),
    help="What the documents are attached to; told by content if not given.",
)
@click.option("--lenient", is_flag=True, help="Reject only what no reading can save, as for state that exists already.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("--exit-zero", is_flag=True, help="Exit with 0 whatever is found.")
def command(files: tuple[str, ...], kind: str | None, lenient: bool, form: str, exit_zero: bool) -> int:
    """Check policy documents; `-` reads one from standard input.

    Exits with 0 if nothing is found, 2 if something is, and 3 if a document is rejected.
    """
    results = [_check(file, kind, lenient) for file in files]
    (_print_json if form == "json" else _print_text)(results)
    if exit_zero:
        return exits.OK
    if any(result.rejected for result in results):
        return exits.INVALID
    return exits.DENIED if any(result.findings for result in results) else exits.OK


def _check(file: str, kind: str | None, lenient: bool) -> Checked:
    document = read_bytes(file)
    chosen = PolicyKind(kind) if kind else guess_kind(document)
    findings = validate_policy(document, chosen, name="<stdin>" if file == "-" else file)
    rejected = any(f.fatal or (f.severity is Severity.ERROR and not lenient) for f in findings)
    return Checked(file, chosen, findings, rejected)


def _print_text(results: Sequence[Checked]) -> None:
    for result in results:
        for finding in result.findings:
            head, _, rest = finding.render().partition(f": {finding.severity}: ")
            write([(head, "bold"), (": ", ""), (finding.severity.value, _STYLES[finding.severity]), (f": {rest}", "")])
    found = [finding for result in results for finding in result.findings]
    errors = sum(finding.severity is Severity.ERROR for finding in found)
    rejected = sum(result.rejected for result in results)
    counts = f"{_count(errors, 'error')}, {_count(len(found) - errors, 'warning')}"
    note(f"{_count(len(results), 'document')}: {counts}, {rejected} rejected")


def _print_json(results: Sequence[Checked]) -> None:
    rows = [
        {"file": r.file, "kind": r.kind.value, "rejected": r.rejected, "findings": [asdict(f) for f in r.findings]}
        for r in results
    ]
    write(json.dumps(rows, indent=2))


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
