"""`fastiam escalations`: formats, exit codes, and the report."""

from __future__ import annotations

import json
from importlib.resources import files

import jsonschema
import pytest

import fastiam
from fastiam.cli.main import run

A = "111111111111"
ANA, ROLE = f"arn:aws:iam::{A}:user/ana", f"arn:aws:iam::{A}:role/admin"
SURE = {"Sid": "Own", "Effect": "Allow", "Action": "iam:PutUserPolicy", "Resource": "*"}
POSSIBLE = SURE | {"Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}}}
NONE = SURE | {"Action": "s3:GetObject"}


@pytest.fixture
def policies(tmp_path):
    def write(statement):
        directory = {
            "format": "fastiam-directory",
            "version": 1,
            "users": [{"arn": ANA, "inline_policies": [{"Version": "2012-10-17", "Statement": [statement]}]}],
        }
        (tmp_path / "iam.json").write_text(json.dumps(directory))
        return str(tmp_path / "iam.json")

    return write


@pytest.mark.parametrize(("statement", "code"), [(SURE, 2), (POSSIBLE, 4), (NONE, 0)], ids=["sure", "possible", "none"])
def test_exit_code_distinguishes_sure_and_possible_paths(policies, capsys, statement, code):
    path = policies(statement)
    assert run(["escalations", "--policies", path, "--format", "json"]) == code
    out, err = capsys.readouterr()
    assert err.endswith(f"{int(code > 0)} users and roles have a path; {int(code == 2)} of {int(code > 0)} paths are sure\n")
    rows = json.loads(out)
    schema = json.loads(files("fastiam").joinpath("schema/results-v1.json").read_text())
    for row in rows:
        jsonschema.Draft202012Validator(schema | {"$ref": "#/$defs/EscalationPath"}).validate(row)
        assert (row["principal"], row["target"]) == (ANA, "anything in the account")
    assert run(["escalations", "--policies", path, "--exit-zero"]) == 0


def test_administrators_are_listed_beside_the_paths(policies, tmp_path, capsys):
    path = policies(SURE | {"Action": "*"})
    assert run(["escalations", "--policies", path, "--format", "json"]) == 0
    out, err = capsys.readouterr()
    (row,) = json.loads(out)
    assert (row["principal"], row["target"], row["pattern"]) == (ANA, ANA, [])
    assert [step["statement"]["sid"] for step in row["steps"]] == ["Own", "Own"]
    assert "1 users and roles are administrators already, 0 of them under conditions" in err
    assert run(["escalations", "--policies", path, "--format", "csv"]) == 0
    assert "administrator" in capsys.readouterr().out
    assert run(["escalations", "--policies", path]) == 0
    (line,) = capsys.readouterr().out.splitlines()  # one for each
    assert line.startswith(f"administrator  {ANA}  ALLOW  by Own of ")
    report = tmp_path / "report.html"
    assert run(["escalations", "--policies", path, "--out", str(report)]) == 0
    assert "Administrators" in report.read_text()


def test_unknown_keys_can_be_named(policies, capsys):
    path = policies(POSSIBLE)
    assert run(["escalations", "--policies", path, "--unknown", "aws:MultiFactorAuthPresent", "--format", "csv"]) == 4
    assert "aws:MultiFactorAuthPresent" in capsys.readouterr().out
    assert run(["escalations", "--policies", path, "--unknown", "aws:SourceIp"]) == 0


def test_report_has_paths_and_steps_with_statements(policies, tmp_path, capsys):
    out = tmp_path / "report.html"
    assert run(["escalations", "--policies", policies(SURE), "--out", str(out)]) == 2
    page = out.read_text()
    assert "Escalation paths" in page and "put-user-policy" in page and "iam:PutUserPolicy" in page and "Own" in page


def test_wrong_target_and_catalogue_are_errors(policies, tmp_path, capsys):
    path = policies(SURE)
    assert run(["escalations", "--policies", path, "--to", ROLE]) == 1
    assert "is not a user or role of the directory" in capsys.readouterr().err
    assert run(["escalations", "--policies", path, "--paths", path]) == 1
    assert "the catalogue is not a list of patterns" in capsys.readouterr().err


def test_engine_file_has_paths(policies, tmp_path):
    engine = fastiam.load(policies(SURE)).compile()
    engine.save(tmp_path / "iam.engine")
    assert run(["escalations", "--engine", str(tmp_path / "iam.engine")]) == 2
