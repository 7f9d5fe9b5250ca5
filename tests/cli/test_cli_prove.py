"""`fastiam prove`: exit codes, text and JSON of each result."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import jsonschema
import pytest

from fastiam.cli.main import run

SARIF = Path(__file__).resolve().parents[1] / "tools/sarif-2.1.0-rtm.5.json"
A = "111111111111"
READ = {"Sid": "Read", "Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
WRITE = {"Sid": "Write", "Effect": "Allow", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::b/*"}
OFFICE = {"Condition": {"IpAddress": {"aws:SourceIp": "198.51.100.0/24"}}}
NEVER = {"Condition": {"ArnEquals": {"aws:PrincipalArn": "arn:aws:iam::111111111111:user/ana"}}}
BOTH_ACCOUNT = {"Condition": {"StringEquals": {"aws:PrincipalAccount": "111111111111"}}}


@pytest.fixture
def files(tmp_path: Path):
    def write(**documents) -> None:
        for name, statements in documents.items():
            text = json.dumps({"Version": "2012-10-17", "Statement": statements}, indent=1)
            (tmp_path / f"{name}.json").write_text(text)

    write(
        read=[READ],
        both=[READ, {**WRITE, **OFFICE}],
        broken=[{**READ, "Action": "GetObject"}],
        account=[{**READ, **BOTH_ACCOUNT}],
        user=[{**READ, **NEVER}],
    )
    return tmp_path


def prove(files: Path, *arguments: str) -> int:
    return run(["prove", *(str(files / text) if text.endswith(".json") else text for text in arguments)])


def test_prove_shows_the_request_and_the_statement(files, capsys):
    assert prove(files, "no-new-access", "--old", "read.json", "--new", "both.json") == 2
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"new access: Write of {files / 'both.json'}:10:3"
    assert [line.split() for line in lines[1:]] == [
        ["principal", "arn:aws:iam::123456789012:user/probe"],
        ["action", "s3:PutObject"],
        ["resource", "arn:aws:s3:::b/x"],
        ["context", "aws:SourceIp", "=", "198.51.100.0"],
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("--old", "both.json", "--new", "read.json"), 0, "proved"),
        (("--old", "account.json", "--new", "user.json"), 4, "undecided: no request verifies"),
        (("--old", "read.json", "--new", "both.json", "--exit-zero"), 0, "new access"),
        (("--old", "read.json", "--new", "broken.json", "--lenient"), 0, "proved"),
        (("--old", "both.json", "--new", "read.json", "--new", "both.json"), 0, "proved"),
        (("--old", "read.json", "--new", "read.json", "--limit", "1"), 4, "undecided: more than 1 combinations"),
        (("--old", "read.json", "--new", "both.json", "--kind", "scp", "--actions", "known"), 2, "new access"),
    ],
    ids=["proved", "undecided", "exit zero", "lenient", "several documents", "limit", "scp"],
)
def test_prove_exits_with_the_code_of_the_result(arguments, code, text, files, capsys):
    assert prove(files, "no-new-access", *arguments) == code
    assert capsys.readouterr().out.startswith(text)


def test_prove_rejects_a_malformed_document(files, capsys):
    assert prove(files, "no-new-access", "--old", "read.json", "--new", "broken.json") == 3
    assert "broken.json:7:14: error" in capsys.readouterr().err


def test_prove_access_not_granted(files, capsys):
    assert prove(files, "access-not-granted", "--policy", "both.json", "--action", "s3:Delete*") == 0
    assert (
        prove(files, "access-not-granted", "--policy", "both.json", "--action", "s3:Put*", "--resource", "arn:aws:s3:::b/*") == 2
    )
    assert capsys.readouterr().out.splitlines()[:2] == ["proved", f"access granted: Write of {files / 'both.json'}:10:3"]


def export(path: Path, **documents) -> None:
    """Write an account export with one user for each document."""
    users = []
    for name, document in documents.items():
        policies = [{"PolicyName": "p", "PolicyDocument": document}]
        users.append({"Arn": f"arn:aws:iam::{A}:user/{name}", "UserId": f"AIDA{name.upper()}", "UserPolicyList": policies})
    path.write_text(json.dumps({"UserDetailList": users, "RoleDetailList": []}))


def test_prove_compares_all_principals_of_folders(files, capsys):
    read, both = (json.loads((files / f"{name}.json").read_text()) for name in ("read", "both"))
    for name, documents in (("before", {"ana": read, "bo": both}), ("after", {"ana": both, "bo": read})):
        (files / name).mkdir()
        export(files / name / "account.json", **documents)
    command = ("no-new-access", "--old", str(files / "before"), "--new", str(files / "after"))
    assert prove(files, *command) == 2
    shown = capsys.readouterr()
    assert shown.out.startswith(f"new access: Write of {files / 'after' / 'account.json'}:")
    assert f"arn:aws:iam::{A}:user/ana" in shown.out
    assert "principals with different policies or keys: 1 new access, 1 proved" in shown.err
    assert prove(files, *command[:3], "--new", str(files / "before")) == 0


def test_prove_writes_json(files, capsys):
    assert prove(files, "no-new-access", "--old", "read.json", "--new", "both.json", "--format", "json") == 2
    found = json.loads(capsys.readouterr().out)
    assert (found["result"], found["statement"]["sid"]) == ("new_access", "Write")
    assert found["request"]["context"] == {"aws:SourceIp": "198.51.100.0"}


def test_prove_writes_sarif_at_the_statement(files, capsys, monkeypatch):
    monkeypatch.chdir(files)
    assert run(["prove", "no-new-access", "--old", "read.json", "--new", "both.json", "--format", "sarif"]) == 2
    log = json.loads(capsys.readouterr().out)
    jsonschema.Draft4Validator(json.loads(SARIF.read_text())).validate(log)
    (result,) = log["runs"][0]["results"]
    place = result["locations"][0]["physicalLocation"]
    assert (result["ruleId"], result["level"]) == ("NEW-ACCESS", "error")
    assert (place["artifactLocation"]["uri"], place["region"]["startLine"]) == ("both.json", 10)
    assert "s3:PutObject on arn:aws:s3:::b/x, aws:SourceIp = 198.51.100.0" in result["message"]["text"]
    assert run(["prove", "no-new-access", "--old", "both.json", "--new", "read.json", "--format", "sarif"]) == 0
    assert json.loads(capsys.readouterr().out)["runs"][0]["results"] == []


def test_prove_reads_standard_input_once(files, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO((files / "both.json").read_bytes())))
    assert prove(files, "no-new-access", "--old", "read.json", "--new", "-") == 2
    assert capsys.readouterr().out.startswith("new access: Write of <stdin>:10:3")
    assert prove(files, "no-new-access", "--old", "-", "--new", "-") == 64
