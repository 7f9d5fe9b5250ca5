"""Reports of `fastiam test` as SARIF, and as an HTML page (T25)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fastiam.cli.html_report import write_report
from fastiam.cli.sarif import artifact, described_rule, log_of
from fastiam.errors import FastiamError, Severity
from fastiam.testing.coverage import Coverage
from fastiam.testing.file_paths import root_of
from fastiam.testing.output import failure_text, summary, visible
from fastiam.testing.report import ExampleResult, TestReport, message_of

_PAGE = "docs/test-files.md"
RULES = {  # id: text and severity
    "example-failed": ("a request is decided otherwise than a test expects", Severity.ERROR),
}


def test_sarif(report: TestReport) -> dict[str, Any]:
    """Return a log of the examples that did not pass. Files that could not be run are notifications of the tool."""
    rules = [described_rule(name, text, severity, _PAGE) for name, (text, severity) in RULES.items()]
    found = log_of(rules, list(_failed(report)))
    invocation: dict[str, Any] = {"executionSuccessful": not report.broken}
    if report.broken:
        invocation["toolExecutionNotifications"] = [_notification(*each) for each in report.broken]
    found["runs"][0]["invocations"] = [invocation]
    return found


def coverage_sarif(coverage: Coverage, root: str | None) -> dict[str, Any]:
    """Return a log of the statements of files below the root that no example reached."""
    rule = described_rule("statement-not-covered", "no example reaches a statement", Severity.NOTE, _PAGE)
    base = Path(root).resolve() if root is not None else root_of(Path.cwd())
    results = []
    for one in coverage.missing:
        ref = one.statement
        if ref.file is None or ref.line is None or not Path(ref.file).resolve().is_relative_to(base):
            continue
        text = f"no request of an example matches the {one.unmatched} of {visible(ref.policy)} {visible(ref.label)}"
        results.append(
            {
                "ruleId": "statement-not-covered",
                "ruleIndex": 0,
                "level": "note",
                "message": {"text": text},
                "locations": [_place(ref.file, ref.line, ref.column or 1)],
                "partialFingerprints": {"fastiam/v1": _fingerprint(ref.policy, ref.path or str(ref.index))},
            }
        )
    return log_of([rule], results)


def _fingerprint(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _failed(report: TestReport) -> Iterator[dict[str, Any]]:
    for result in report.results:
        if result.status == "passed":
            continue
        statement = result.statement
        test = {**_place(result.file, result.line, result.column), "message": {"text": f"the test {visible(result.id)}"}}
        at_statement = None
        if statement is not None and statement.file and statement.line:
            at_statement = _place(statement.file, statement.line, statement.column or 1)
        name = f"{statement.policy}\0{statement.label}" if statement is not None else ""
        related = [test] if at_statement is not None else []
        yield {
            "ruleId": "example-failed",
            "ruleIndex": 0,
            "level": "error",
            "message": {"text": failure_text(result)},
            "locations": [at_statement or _place(result.file, result.line, result.column)],
            **({"relatedLocations": related} if related else {}),
            "partialFingerprints": {"fastiam/v1": _fingerprint(result.id, name)},
        }


def _place(file: str, line: int, column: int) -> dict[str, Any]:
    return {"physicalLocation": {"artifactLocation": artifact(file), "region": {"startLine": line, "startColumn": column}}}


def _notification(file: str, error: FastiamError) -> dict[str, Any]:
    place = _place(file, getattr(error, "line", 0) or 1, getattr(error, "column", 0) or 1)
    return {"level": "error", "message": {"text": message_of(error)}, "locations": [place]}


def write_test_page(report: TestReport, out: str | None) -> None:
    """Write a page with the examples that did not pass, and all of them."""
    wrong = [result for result in report.results if result.status != "passed"]
    tables: dict[str, Any] = {}
    if report.broken:
        rows = [{"file": visible(name), "error": message_of(error)} for name, error in report.broken]
        tables["Files that could not be run"] = (("file", "error"), rows)
    if report.warnings:
        tables["Warnings"] = (("warning",), [{"warning": visible(text)} for text in report.warnings])
    if wrong:
        columns = ("test", "status", "expected", "actual", "statement", "explanation")
        tables["Examples that did not pass"] = (columns, [{**_row(one), "explanation": failure_text(one)} for one in wrong])
    if report.coverage is not None:
        covered: list[dict[str, Any]] = [
            {**one.to_dict(), "statement": one.statement, "examples": one.count, "not matched": one.unmatched}
            for one in report.coverage.statements
        ]
        tables["Statements"] = (("statement", "effect", "state", "examples", "not matched"), covered)
    columns = ("test", "status", "principal", "action", "resource", "expected")
    tables["Examples"] = (columns, [_row(one) for one in report.results])
    write_report("Tests of policies", tables, out, summary=[summary(report)])


def _row(result: ExampleResult) -> dict[str, Any]:
    request = {name: visible(str(result.request[name])) for name in ("principal", "action", "resource")}
    return {
        "test": visible(result.id),
        "status": result.status,
        "expected": result.expected,
        "actual": visible(result.actual),
        "statement": result.statement,
        **request,
    }
