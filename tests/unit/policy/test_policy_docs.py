"""docs/errors.md lists every finding as it is: code, severity, what a lenient reading does, and a message that occurs."""

from __future__ import annotations

from pathlib import Path

from validation_cases import CASES, document_of

from fastiam.errors import Severity
from fastiam.model.policy import PolicyKind
from fastiam.policy.document import validate_policy
from fastiam.policy.validation_rules import RULES, severity_of

PAGE = Path(__file__).resolve().parents[3] / "docs" / "errors.md"
SPECIFICATION = PAGE.with_name("semantics.md").read_text()


def rows():
    lines = PAGE.read_text().split("| code |")[1].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def messages():
    found = {}
    for case in CASES:
        for finding in validate_policy(document_of(case), PolicyKind(case["kind"])):
            found.setdefault(finding.code, set()).add(finding.message)
    return found


def test_every_code_has_a_row():
    expected = [
        [code, rule.severity + (", fatal" if rule.fatal else ""), rule.broken, rule.lenient] for code, rule in RULES.items()
    ]
    assert [row[:4] for row in rows()] == expected


def test_every_example_occurs():
    occurring = messages()
    assert [row[0] for row in rows() if row[4] not in occurring[row[0]]] == []


def test_every_code_is_a_rule_of_the_semantics():
    marks = {code: (f"| {code} |", f"**{code}**", f"### {code} ") for code in RULES}
    assert [code for code in RULES if not any(mark in SPECIFICATION for mark in marks[code])] == []


def test_severity_by_kind_is_documented():
    varying = {
        (code, kind, severity_of(code, kind))
        for code in RULES
        for kind in PolicyKind
        if severity_of(code, kind) != RULES[code].severity
    }
    assert varying == {
        ("V38", PolicyKind.VPCE, Severity.ERROR),
        ("V39", PolicyKind.RESOURCE, Severity.WARN),
        ("V39", PolicyKind.VPCE, Severity.WARN),
        ("G20", PolicyKind.SCP, Severity.ERROR),
        ("G20", PolicyKind.RCP, Severity.ERROR),
    }


def test_messages_are_one_line_without_full_stop():
    """The first word is in lower case or input."""
    for code, found in messages().items():
        for message in found:
            assert "\n" not in message, code
            assert not message.endswith("."), code
            assert message[0].islower() or message.startswith(("`", "AWS", "JSON")), code
