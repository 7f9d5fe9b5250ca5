"""The statements that the examples of a run reach (T32 to T34). Cases TA, by number."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml

import fastiam
from fastiam.cli.main import run as command_line
from fastiam.testing import run
from fastiam.testing.coverage import Coverage

A = "111111111111"
ANA, KEY = f"arn:aws:iam::{A}:user/ana", "arn:aws:s3:::b/k"
ROOT = Path(__file__).resolve().parents[3]


def statement(sid: str, effect: str = "Allow", action: str = "s3:GetObject", **more: Any) -> dict[str, Any]:
    return {"Sid": sid, "Effect": effect, "Action": action, "Resource": "*", **more}


READ, WRITE = statement("Read"), statement("Write", action="s3:PutObject")
NEVER = statement("Never", "Deny", "s3:*", Condition={"StringEquals": {"aws:UserAgent": "curl"}})


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(*statements: dict[str, Any], tests: dict[str, Any] | None = None, indent: int | None = 1) -> None:
    policy = {"name": "p", "document": {"Version": "2012-10-17", "Statement": list(statements)}}
    directory = fastiam.Directory()
    directory.add_account(A)
    directory.add_principal(ANA, identity_policies=[("p", policy["document"])])
    Path("d.json").write_text(json.dumps(json.loads(directory.to_json()), indent=indent))
    test = {"name": "t", "principal": "ana", "resource": KEY, **(tests or {"allowed": ["s3:GetObject"]})}
    Path("t.iamtest.yaml").write_text(yaml.safe_dump({"version": 1, "policies": "d.json", "tests": [test]}))


def covered() -> dict[str | None, tuple[str, int, str]]:
    found = run(".", coverage="own").coverage
    assert isinstance(found, Coverage)
    return {one.statement.sid: (one.state, one.count, one.unmatched) for one in found.statements}


def test_states_of_statements() -> None:  # T33
    other = statement("Other", Resource="arn:aws:s3:::other/*")
    tag = statement("Tag", Condition={"StringEquals": {"aws:PrincipalTag/team": "red"}})
    write(READ, statement("All", action="s3:Get*"), WRITE, other, NEVER, tag, tests={"allowed": ["s3:GetObject"]})
    assert covered() == {
        "Read": ("determined", 1, ""),
        "All": ("applied", 1, ""),
        "Write": ("not reached", 0, "action"),
        "Other": ("not reached", 0, "resource"),
        "Never": ("not reached", 0, "condition"),
        "Tag": ("not reached", 0, "condition"),
    }


def test_denies_determine_beside_the_first(capsys: pytest.CaptureFixture[str]) -> None:  # T33
    deny = {**NEVER, "Condition": {}}
    write(READ, deny, {**deny, "Sid": "Also"}, tests={"denied": ["s3:GetObject"]})
    found = covered()
    assert found["Never"][0] == found["Also"][0] == "determined"
    assert command_line(["test", "--fail-under", "100"]) == 0


def test_statement_that_never_applies_is_listed(capsys: pytest.CaptureFixture[str]) -> None:  # TA17
    write(READ, NEVER)
    assert command_line(["test", "--coverage"]) == 0
    out = capsys.readouterr().out
    assert "coverage: 1 of 2 statements applied (50.0 %)" in out
    assert "d.json:" in out and "p Never (Deny): no request matches its condition" in out
    assert command_line(["test", "--fail-under", "100"]) == 2
    assert command_line(["test", "--fail-under", "50"]) == 0
    assert command_line(["test", "--fail-under", "100", "--exit-zero"]) == 0


def test_lines_of_lcov_are_those_of_keys(folder: Path) -> None:  # T34
    write(READ, WRITE)
    assert command_line(["test", "--coverage-out", "c.info"]) == 0
    lines = Path("c.info").read_text().splitlines()
    assert f"SF:{folder / 'd.json'}" in lines and lines[-1] == "end_of_record"
    text = Path("d.json").read_text().splitlines()
    hits = {text[int(number) - 1].strip().partition(":")[0]: int(n) for number, n in
            (line[3:].split(",") for line in lines if line.startswith("DA:"))}  # fmt: skip
    assert set(hits) == {'"Sid"', '"Effect"', '"Action"', '"Resource"'}
    assert "LF:8" in lines and "LH:4" in lines


def test_line_with_an_uncovered_statement_is_not_covered() -> None:  # TA18
    write(READ, WRITE, indent=None)
    assert command_line(["test", "--coverage-out", "c.info"]) == 0
    assert "DA:1,0" in Path("c.info").read_text().splitlines()


def test_sarif_notes_statements_below_the_root(folder: Path) -> None:  # T34
    jsonschema = pytest.importorskip("jsonschema")
    write(READ, WRITE)
    assert command_line(["test", "--coverage-out", "c.sarif"]) == 0
    log = json.loads(Path("c.sarif").read_text())
    jsonschema.validate(log, json.loads((ROOT / "tests/tools/sarif-2.1.0-rtm.5.json").read_text()))
    (result,) = log["runs"][0]["results"]
    assert (result["ruleId"], result["level"]) == ("statement-not-covered", "note")
    (folder / "sub").mkdir()
    Path("sub/t.iamtest.yaml").write_text(Path("t.iamtest.yaml").read_text())
    assert command_line(["test", "--policies", "d.json", "--root", "sub", "--coverage-out", "c.sarif", "sub"]) == 0
    assert json.loads(Path("c.sarif").read_text())["runs"][0]["results"] == []


def test_json_has_the_coverage(capsys: pytest.CaptureFixture[str]) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(files("fastiam").joinpath("schema/results-v1.json").read_text())
    write(READ, WRITE)
    assert command_line(["test", "--coverage", "--coverage-out", "c.json", "--format", "json"]) == 0
    report = json.loads(capsys.readouterr().out)
    jsonschema.Draft202012Validator(schema | {"$ref": "#/$defs/TestReport"}).validate(report)
    assert report["coverage"] == json.loads(Path("c.json").read_text()) and report["coverage"]["percent"] == 50.0
    assert command_line(["test", "--coverage-out", "c.txt"]) == 64


def test_policies_of_aws_and_unused_ones_are_left_out() -> None:  # T32
    directory = fastiam.Directory()
    directory.add_account(A)
    directory.add_principal(ANA)
    document = {"Version": "2012-10-17", "Statement": [READ]}
    aws, unused = "arn:aws:iam::aws:policy/Read", f"arn:aws:iam::{A}:policy/unused"
    for arn in (aws, unused):
        directory.add_managed_policy(arn, document)
    directory.attach_policy(ANA, aws)
    write(READ)
    directory.dump("d.json")
    for coverage, n in (("own", 0), ("aws", 1)):
        found = run(".", coverage=coverage).coverage  # type: ignore[arg-type]
        assert found is not None and len(found.statements) == n
    assert run(".").coverage is None


def test_documents_alone_are_a_warning() -> None:
    Path("t.iamtest.yaml").write_text(yaml.safe_dump({
        "version": 1,
        "documents": {"identity": {"Version": "2012-10-17", "Statement": [READ]}},
        "tests": [{"name": "t", "principal": ANA, "resource": KEY, "allowed": ["s3:GetObject"]}],
    }))  # fmt: skip
    report = run(".", coverage="own")
    assert report.warnings == ["no statement counts for the coverage: those of `documents` do not"]
    assert (report.exit_code(fail_under=80), report.exit_code(strict=True, fail_under=80)) == (0, 4)
