"""Writes a report: text, JUnit, and the commands of GitHub Actions (T21 to T26).

INVARIANT: a name of a test or a policy never begins a line, ends an XML element or carries an escape sequence: all of them come
from files that a stranger may have written.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from xml.etree import ElementTree

from fastiam.errors import FastiamError, counted
from fastiam.testing.coverage import Coverage
from fastiam.testing.report import ExampleResult, TestReport, message_of, plain

_SHOWN = 20  # failures of one test in full
_STATEMENTS = 100  # of coverage
_MARKS = {"passed": ".", "failed": "F", "undecided": "?", "error": "E"}
_ANNOTATIONS = 10  # that GitHub shows of a step
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def visible(text: str, *, lines: bool = False) -> str:
    """Return a text with control characters as `\\x1b`; with `lines`, line feeds stay."""
    return _CONTROL.sub(lambda match: match[0] if lines and match[0] == "\n" else f"\\x{ord(match[0]):02x}", text)


def file_line(name: str, results: Sequence[ExampleResult]) -> str:
    """Return the line of a file: one character an example."""
    return f"{visible(name)} {''.join(_MARKS[result.status] for result in results)}"


def result_lines(results: Sequence[ExampleResult]) -> Iterator[str]:
    """Yield a line for each example."""
    for result in results:
        yield f"{result.status.upper():<6} {visible(result.id)}"


def failure_text(result: ExampleResult, *, paste: bool = True, has_status: bool = True) -> str:
    """Return what a person needs of one failure (T21), with its status unless a line before has it."""
    request = result.request
    lines = [
        f"{result.status.upper()} {result.id}" if has_status else result.id,
        f"{result.file}:{result.line}:{result.column}",
        f"  {request['principal']}",
        f"  {request['action']} on {request['resource']}",
    ]
    if request["context"]:
        lines.append(f"  context {json.dumps(request['context'], ensure_ascii=False, default=str)}")
    if "now" in request:
        lines.append(f"  now {request['now']}")
    lines += [f"expected {result.expected}", f"actual   {result.actual}"]
    body = [*map(visible, lines), *(f"    {visible(line)}" for line in result.text.splitlines())]
    if paste and result.paste:
        body += ["to expect this decision, write", f"    {visible(result.paste)}"]
    return "\n".join(body)


def failures(report: TestReport, *, has_status: bool = True) -> Iterator[str]:
    """Yield the text of failures, at most 20 of one test in full, and of files that are broken."""
    for name, error in report.broken:
        yield f"ERROR {visible(name)}\n{visible(message_of(error), lines=True)}"
    shown: Counter[str] = Counter()
    for result in report.results:
        if result.status == "passed":
            continue
        test = result.id.partition("[")[0]
        shown[test] += 1
        if shown[test] <= _SHOWN:
            yield failure_text(result, has_status=has_status)
    for test, n in shown.items():
        if n > _SHOWN:
            yield f"{n - _SHOWN:,} more failures of {visible(test)}"


def coverage_lines(coverage: Coverage) -> Iterator[str]:
    """Yield the share of statements that applied, and each one that no example reached."""
    n = len(coverage.statements)
    yield f"coverage: {coverage.n_reached:,} of {n:,} statements applied ({coverage.percent:.1f} %)"
    missing = coverage.missing
    for one in missing[:_STATEMENTS]:
        ref = one.statement
        place = f"{ref.file}:{ref.line}:{ref.column} " if ref.file else ""
        scope = "; in scope of an invariant" if one.state == "in scope" else ""
        yield visible(f"  {place}{ref.policy} {ref.label} ({one.effect.value}): no request matches its {one.unmatched}{scope}")
    if len(missing) > _STATEMENTS:
        yield f"  and {len(missing) - _STATEMENTS:,} more"


def summary(report: TestReport) -> str:
    """Return the last line."""
    n = report.counts
    counts = f"{n['passed']:,} passed, {n['failed']:,} failed, {n['undecided']:,} undecided, {counted(n['error'], 'error')}"
    return f"{counts} in {report.seconds:.2f} seconds"


def json_lines(report: TestReport) -> Iterator[str]:
    """Yield the report as JSON lines: `kind` is `example`, `error`, `warning` or, in the last line, `summary`."""
    rows: list[dict[str, Any]] = [{"kind": "example", **plain(result)} for result in report.results]
    rows += [{"kind": "error", "file": name, "message": message_of(error)} for name, error in report.broken]
    rows += [{"kind": "warning", "message": warning} for warning in report.warnings]
    counts = report.to_dict()["counts"]
    for row in [*rows, {"kind": "summary", **counts, "seconds": report.seconds}]:
        yield json.dumps(row, ensure_ascii=False, default=str)


def junit(report: TestReport) -> str:
    """Return the report as JUnit XML (T24)."""
    root = ElementTree.Element("testsuites", name="fastiam", time=f"{report.seconds:.3f}")
    for name, results in report.files.items():
        counts = Counter(result.status for result in results)
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=_xml(name),
            tests=str(len(results)),
            failures=str(counts["failed"]),
            errors=str(counts["error"] + counts["undecided"]),
            time=f"{sum(result.seconds for result in results):.6f}",
        )
        for result in results:
            case = ElementTree.SubElement(
                suite, "testcase", classname=_xml(name), name=_xml(result.id.partition("::")[2]), time=f"{result.seconds:.6f}"
            )
            if result.status != "passed":
                kind = "failure" if result.status == "failed" else "error"
                found = ElementTree.SubElement(case, kind, message=_xml(f"expected {result.expected}, actual {result.actual}"))
                found.text = _xml(failure_text(result))
    for name, error in report.broken:
        suite = ElementTree.SubElement(root, "testsuite", name=_xml(name), tests="1", failures="0", errors="1")
        case = ElementTree.SubElement(suite, "testcase", classname=_xml(name), name="the file")
        found = ElementTree.SubElement(case, "error", message=_xml(message_of(error).partition("\n")[0]))
        found.text = _xml(message_of(error))
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def github(report: TestReport) -> Iterator[str]:
    """Yield commands of GitHub Actions, at most as many as it shows (T26)."""
    broken = ((name, *_place(error), "test file", message_of(error)) for name, error in report.broken)
    errors = [_annotation("error", *each) for each in broken]
    errors += [
        _annotation("error", one.file, one.line, one.column, one.id, failure_text(one))
        for one in report.results
        if one.status != "passed"
    ]
    yield from errors[:_ANNOTATIONS]
    yield from (_annotation("warning", "", 0, 0, "fastiam test", warning) for warning in report.warnings[:_ANNOTATIONS])


def github_summary(report: TestReport) -> str:
    """Return a summary in Markdown, for the file that `GITHUB_STEP_SUMMARY` names."""
    lines = ["### Tests of policies", "", summary(report), ""]
    wrong = [result for result in report.results if result.status != "passed"]
    if wrong or report.broken:
        lines += ["| test | expected | actual |", "|---|---|---|"]
        lines += [f"| {_markdown(one.id)} | {_markdown(one.expected)} | {_markdown(one.actual)} |" for one in wrong[: 5 * _SHOWN]]
        broken = ((name, message_of(error).partition("\n")[0]) for name, error in report.broken)
        lines += [f"| {_markdown(name)} | | {_markdown(message)} |" for name, message in broken]
    return "\n".join(lines) + "\n"


def _place(error: FastiamError) -> tuple[int, int]:
    return getattr(error, "line", 0), getattr(error, "column", 0)


def _annotation(kind: str, file: str, line: int, column: int, title: str, text: str) -> str:
    properties = {"file": file, "line": line or "", "col": column or "", "title": title}
    given = ",".join(f"{name}={_property(str(value))}" for name, value in properties.items() if value)
    return f"::{kind} {given}::{_data(text)}"


def _data(text: str) -> str:
    return visible(text, lines=True).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(visible(text)).replace(":", "%3A").replace(",", "%2C")


def _xml(text: str) -> str:
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)


def _markdown(text: str) -> str:
    return re.sub(r"([\\`*_{}\[\]<>()#+!|~@])", r"\\\1", visible(text))


def lines(report: TestReport, blocks: Iterable[str]) -> str:
    """Return blocks of text and the last line, as one text."""
    reached = [] if report.coverage is None else ["\n".join(coverage_lines(report.coverage))]
    return "\n\n".join([*blocks, *reached, summary(report)])
