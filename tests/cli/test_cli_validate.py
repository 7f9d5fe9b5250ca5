"""`fastiam validate` over files of several documents, exports, stores and folders, and the hints that name it."""

from __future__ import annotations

import gzip
import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import fastiam
from fastiam.cli.main import run

A = "111111111111"
ANA = f"arn:aws:iam::{A}:user/ana"
GOOD = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}
WARNED = {"Version": "2012-10-17", "Statement": {"Sid": "", "Effect": "Allow", "Action": "s3:*", "Resource": "*"}}
WRONG = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3", "Resource": "*"}}
BROKEN = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": [None]}}
TRUST = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": {"AWS": A}, "Action": "sts:AssumeRole"}}


def export(*documents):
    policies = [{"PolicyName": f"p{i}", "PolicyDocument": document} for i, document in enumerate(documents)]
    return {"UserDetailList": [{"Arn": ANA, "UserId": "AIDAANA", "UserPolicyList": policies}], "RoleDetailList": []}


def native(*documents):
    return {"format": "fastiam-directory", "version": 1, "users": [{"arn": ANA, "inline_policies": list(documents)}]}


def record(name, document):
    return {"arn": f"arn:aws:iam::aws:policy/{name}", "name": name, "version": "v1", "deprecated": False, "document": document}


def lines(*values):
    return "\n".join(map(json.dumps, values))


def first_line(capsys):
    return capsys.readouterr().err.splitlines()[0]


CASES = [
    # what the file holds, documents, errors, warnings, rejected, the exit code
    ("json lines", lines(GOOD, WARNED, WRONG, BROKEN), 4, 2, 1, 2, 3),
    ("a list", json.dumps([GOOD, WARNED]), 2, 0, 1, 0, 0),
    ("records", lines(record("A", GOOD), record("B", WRONG)), 2, 1, 0, 1, 3),
    ("one record", lines(record("A", WARNED)), 1, 0, 1, 0, 0),
    ("an export", json.dumps(export(GOOD, WARNED)), 2, 0, 1, 0, 0),
    ("an export with a broken document", json.dumps(export(GOOD, WARNED, BROKEN)), 3, 2, 1, 1, 3),
    ("our own format", json.dumps(native(WRONG)), 1, 1, 0, 1, 3),
    ("one clean document", json.dumps(GOOD), 1, 0, 0, 0, 0),
]


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize(
    ("text", "documents", "errors", "warnings", "rejected", "code"), [row[1:] for row in CASES], ids=[row[0] for row in CASES]
)
def test_validate_reads_every_kind_of_file(
    tmp_path, capsys, monkeypatch, packed, text, documents, errors, warnings, rejected, code
):
    data = gzip.compress(text.encode()) if packed else text.encode()
    path = tmp_path / "file.json"
    path.write_bytes(data)
    counts = f"{documents} document{'s' * (documents != 1)}: {errors} error{'s' * (errors != 1)}, "
    counts += f"{warnings} warning{'s' * (warnings != 1)}, {rejected} rejected"
    assert (run(["validate", str(path)]), first_line(capsys)) == (code, counts)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))
    assert (run(["validate", "-"]), first_line(capsys)) == (code, counts)


def test_validate_names_the_place_of_a_finding_in_json_lines(tmp_path, capsys):
    (tmp_path / "p.jsonl").write_text(lines(GOOD, WRONG, TRUST))
    run(["validate", str(tmp_path / "p.jsonl"), "--format", "json"])
    rows = json.loads(capsys.readouterr().out)
    assert [(row["path"], row["kind"], row["rejected"]) for row in rows] == [
        ("$[0]", "identity", False),
        ("$[1]", "identity", True),
        ("$[2]", "trust", False),
    ]
    (finding,) = rows[1]["findings"]
    assert (finding["line"], finding["path"]) == (2, "$[1].Statement.Action")


def test_validate_checks_every_document_of_a_store(tmp_path, capsys):
    with fastiam.Directory.open(tmp_path / "s.db", mode="lenient") as store:
        store.add_principal(ANA, identity_policies=[("own", WRONG), ("other", WARNED)])
        store.add_principal(f"arn:aws:iam::{A}:role/R", trust_policy=TRUST)
    assert run(["validate", str(tmp_path / "s.db")]) == 3
    out, err = capsys.readouterr()
    assert err == "3 documents: 1 error, 1 warning, 1 rejected\nby code: V24 1, G23 1\n"
    assert f"{ANA}, own" in out and "[V24]" in out and "[G23]" in out


def test_validate_reads_a_folder_of_documents_beside_exports(tmp_path, capsys):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/one.json").write_text(json.dumps(WRONG))
    (tmp_path / "a/cut.json").write_text("{")
    (tmp_path / "a/export.json").write_text(json.dumps(export(GOOD, WARNED)))
    (tmp_path / "a/notes.txt").write_text("x")
    assert run(["validate", str(tmp_path)]) == 3
    out, err = capsys.readouterr()
    assert err.startswith("4 documents: 2 errors, 2 warnings, 2 rejected\n")
    assert all(code in out for code in ("[V24]", "[V1]", "[G23]", "[SOURCE-SKIPPED]"))


def test_validate_of_a_folder_with_nothing_in_it_is_an_error(tmp_path, capsys):
    assert run(["validate", str(tmp_path)]) == 1
    assert "nothing to load" in capsys.readouterr().err


def test_load_counts_findings_and_validate_shows_all(tmp_path, capsys):
    path: Path = tmp_path / "export.json"
    path.write_text(json.dumps(export(*[WARNED] * 7, WRONG)))
    assert run(["what-can", ANA, "--policies", str(path)]) == 0
    shown = capsys.readouterr().err.splitlines()
    assert shown[0] == "findings in the policies, read leniently: 1 error, 0 warnings"
    assert shown[1].endswith("[V24]") and shown[2] == "help: `fastiam validate` on the same paths shows all"
    assert shown[3:] == [f"7 warnings about documents: `fastiam lint {path}` lists them"]
    run(["validate", str(path)])
    out, err = capsys.readouterr()
    assert out.count("[G23]") == 7 and out.count("[V24]") == 1 and err.startswith("8 documents: 1 error, 7 warnings")


def test_placeholder_ids_are_only_counted(tmp_path, capsys):
    role = {"Arn": f"arn:aws:iam::{A}:role/R", "RoleId": "ROLE", "RolePolicyList": [], "AssumeRolePolicyDocument": TRUST}
    path: Path = tmp_path / "export.json"
    path.write_text(json.dumps(export(WARNED) | {"RoleDetailList": [role]}))
    assert run(["what-can", ANA, "--policies", str(path)]) == 0
    assert capsys.readouterr().err == f"2 warnings about documents: `fastiam lint {path}` lists them\n"
    assert run(["validate", str(path)]) == 0 and run(["validate", str(path), "--strict"]) == 2
    assert "by code: G23 1, GAAD-ID 1" in capsys.readouterr().err


def test_load_without_findings_prints_nothing(tmp_path, capsys):
    path = tmp_path / "export.json"
    path.write_text(json.dumps(export(GOOD)))
    assert run(["what-can", ANA, "--policies", str(path)]) == 0
    assert capsys.readouterr().err == ""


def test_validate_goes_on_after_a_file_without_a_policy(tmp_path, capsys):
    (tmp_path / "a.json").write_text(json.dumps(WRONG))
    (tmp_path / "package.json").write_text('{"name": "x"}')
    (tmp_path / "README.md").write_text("hi")
    assert run(["validate", str(tmp_path)]) == 3
    out = capsys.readouterr().out
    assert "[V24]" in out and f"{tmp_path / 'package.json'}: warning: the file is skipped" in out
    (tmp_path / "a.json").unlink()
    assert run(["validate", str(tmp_path)]) == 1
    assert f"nothing to load; `{tmp_path / 'package.json'}`" in capsys.readouterr().err


def test_validate_checks_the_policy_in_the_output_of_a_call(tmp_path, capsys):
    for name in ("one.json", "two.json"):
        (tmp_path / name).write_text(json.dumps({"Policy": json.dumps(WRONG)}))
    for path in (tmp_path, tmp_path / "one.json"):
        assert run(["validate", str(path)]) == 3
        out, err = capsys.readouterr()
        assert "[V24]" in out and "unknown" not in out and err.startswith("2 documents" if path == tmp_path else "1 document:")
