"""The formats of `fastiam test` besides text and JUnit: JSON with its schema, JSON lines, SARIF, HTML."""

from __future__ import annotations

import json
import shutil
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from fastiam.cli.main import run as command_line

ROOT = Path(__file__).resolve().parents[3]
REPORT = "arn:aws:s3:::reports/may.csv"
TESTS = """\
version: 1
policies: account.json
tests:
  - {name: reads <<b>, principal: lea, action: "s3:GetObject", resource: "arn:aws:s3:::reports/may.csv", expect: denied}
  - {name: writes, principal: lea, resource: "arn:aws:s3:::reports/may.csv", allowed: ["s3:PutObject"]}
  - {name: passes, principal: lea, resource: "arn:aws:s3:::reports/may.csv", denied: ["s3:PutObject"]}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(ROOT / "examples/account.json", tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.iamtest.yaml").write_text(TESTS)
    return tmp_path


def answer(form: str, capsys: pytest.CaptureFixture[str], code: int = 2) -> str:
    assert command_line(["test", "--format", form]) == code
    return capsys.readouterr().out


def sarif(capsys: pytest.CaptureFixture[str], code: int = 2) -> dict[str, Any]:
    jsonschema = pytest.importorskip("jsonschema")
    log: dict[str, Any] = json.loads(answer("sarif", capsys, code))
    jsonschema.validate(log, json.loads((ROOT / "tests/tools/sarif-2.1.0-rtm.5.json").read_text()))
    (found,) = log["runs"]
    return dict(found)


def test_json_matches_its_schema(capsys: pytest.CaptureFixture[str]) -> None:  # T25
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(files("fastiam").joinpath("schema/results-v1.json").read_text())
    report = json.loads(answer("json", capsys))
    jsonschema.Draft202012Validator(schema | {"$ref": "#/$defs/TestReport"}).validate(report)
    statements = [result["statement"] for result in report["files"][0]["results"]]
    assert [one and one["sid"] for one in statements] == ["Read", None, None]


def test_json_lines_end_with_a_summary(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    (folder / "b.iamtest.yaml").write_text("version: 1\nteste: []\n")
    rows = [json.loads(line) for line in answer("jsonl", capsys, 1).splitlines()]
    assert [row["kind"] for row in rows] == ["example", "example", "example", "error", "summary"]
    assert (rows[-1]["passed"], rows[-1]["failed"], rows[-1]["error"]) == (1, 2, 1)
    assert "did you mean `tests`" in rows[3]["message"] and "|" not in rows[3]["message"]  # T42: no lines of the file


def test_sarif_is_at_the_statement_or_else_at_the_test(capsys: pytest.CaptureFixture[str]) -> None:  # T25
    reads, writes = sarif(capsys)["results"]
    at = reads["locations"][0]["physicalLocation"]
    assert at["artifactLocation"]["uri"] == "account.json" and at["region"]["startLine"] == 58
    assert reads["relatedLocations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "a.iamtest.yaml"
    at = writes["locations"][0]["physicalLocation"]
    assert (at["artifactLocation"]["uri"], at["region"]["startLine"]) == ("a.iamtest.yaml", 5)


def test_sarif_knows_a_failure_again_when_lines_move(capsys: pytest.CaptureFixture[str], folder: Path) -> None:  # T25
    before = [result["partialFingerprints"] for result in sarif(capsys)["results"]]
    (folder / "a.iamtest.yaml").write_text("# moved\n\n" + TESTS)
    (folder / "account.json").write_text("\n" + (folder / "account.json").read_text())
    assert [result["partialFingerprints"] for result in sarif(capsys)["results"]] == before
    assert before[0] != before[1]


def test_sarif_has_files_that_could_not_be_run(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    (folder / "b.iamtest.yaml").write_text("version: 1\nteste: []\n")
    (invocation,) = sarif(capsys, 1)["invocations"]
    (note,) = invocation["toolExecutionNotifications"]
    assert invocation["executionSuccessful"] is False and "did you mean `tests`" in note["message"]["text"]


def test_page_shows_failures_and_escapes_names(capsys: pytest.CaptureFixture[str], folder: Path) -> None:  # T22, T25
    page = answer("html", capsys)
    assert "a.iamtest.yaml::writes" in page and "1 passed, 2 failed" in page and "account.json:58" in page
    assert "<b>" not in page and "reads \\u003cb\\u003e" in page
    assert command_line(["test", "--format", "html", "--out", "page.html"]) == 2
    assert capsys.readouterr().out == "" and "a.iamtest.yaml::writes" in (folder / "page.html").read_text()
