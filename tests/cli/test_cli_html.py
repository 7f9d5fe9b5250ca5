# ruff: noqa: F811  (`call` is a fixture)
"""`--format html` and `--out` of the analyses."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from cli_analysis_directory import ANA, APP, BUCKET, KEY, Run, call, directory, document, statement  # noqa: F401  (a fixture)
from cloudtrail_records import record, write_log
from terraform_plans import UNKNOWN, change, plan


def tables_of(page: str) -> dict[str, dict[str, Any]]:
    (text,) = re.findall(r'id="data">(.*?)</script>', page, re.DOTALL)
    return {table["title"]: table for table in json.loads(text)}


def listed_in(page: str) -> dict[str, Any]:
    (text,) = re.findall(r'id="listed">(.*?)</script>', page, re.DOTALL)
    found: dict[str, Any] = json.loads(text)
    return found


ASKED = [
    (("who-can", "--policies", "d.json", "s3:GetObject", KEY), "Principals", ANA),
    (("what-can", "--policies", "d.json", ANA), "Grants", "s3:Get*"),
    (("what-can", "--policies", "d.json", ANA, "--resource", KEY), "Actions", "s3:Get*"),
    (("diff", "--old", "d.json", "--new", "n.json"), "Changes", "gained"),
    (("replay", "--policies", "d.json", "log.json"), "Calls", "agrees"),
    (("unused", "--policies", "d.json", "log.json"), "Users and roles", ANA),
    (("lint", "p.json"), "Findings", "L2"),
    (("validate", "p.json"), "Findings", "G23"),
    (("prove", "no-new-access", "--lenient", "--old", "old.json", "--new", "p.json"), "Results", "new access"),
    (("prove", "access-not-granted", "--lenient", "--policy", "p.json", "--action", "ec2:*"), "Results", "proved"),
]


@pytest.mark.parametrize(("asked", "title", "value"), ASKED, ids=lambda value: value[0] if isinstance(value, tuple) else "")
def test_analysis_writes_a_report(asked: tuple[str, ...], title: str, value: str, call: Run) -> None:
    directory(statement("Allow", "s3:*")).dump("n.json")
    write_log(Path("log.json"), record("s3:GetObject", None, {"bucketName": "reports", "key": "may"}))
    Path("old.json").write_text(json.dumps(document(statement("Allow", "s3:GetObject"))))
    Path("p.json").write_text(
        json.dumps(document(statement("Allow", "s3:GetObjects", Sid=""), statement("Allow", "s3:PutObject")))
    )
    code, out, _ = call(*asked, "--format", "html")
    assert out.startswith("<!DOCTYPE html>") and value in json.dumps(tables_of(out)[title]["rows"])
    to_file = call(*asked, "--out", "report.html")
    assert to_file[:2] == (code, "") and tables_of(Path("report.html").read_text()) == tables_of(out)
    assert call(*asked, "--format", "json")[0] == code


def test_report_of_a_plan_lists_undecided_principals(call: Run) -> None:
    Path("plan.json").write_text(plan(change("aws_iam_role_policy.app", None, {"role": "app", "name": "x", "policy": UNKNOWN})))
    code, _, _ = call("diff", "--policies", "d.json", "--terraform", "plan.json", "--out", "report.html")
    tables = tables_of(Path("report.html").read_text())
    assert code == 4 and tables["Undecided"]["rows"][0][:3] == ["aws_iam_role_policy.app", "`policy` is known after apply", [APP]]


def test_report_of_a_diff_names_who_gained_what(call: Run) -> None:
    directory(statement("Allow", "s3:*", Sid="Wide")).dump("n.json")
    call("diff", "--old", "d.json", "--new", "n.json", "--out", "report.html")
    page = Path("report.html").read_text()
    sentence = "<code>role/app</code> can now <code>s3:PutObject</code> and <code>s3:*</code> on "
    assert sentence in page and "the new policies allow it by the statement <code>Wide</code> of <code>App</code>" in page
    assert "from <code>d.json</code>, <code>n.json</code>" in page


def test_report_of_a_diff_lists_all_requests_of_a_group(call: Run) -> None:
    wide = directory(statement("Allow", ["s3:PutObject", "s3:DeleteObject"], f"{BUCKET}/*", Sid="Wide"))
    wide.dump("n.json")
    rows = [{"principal": APP, "action": action, "resource": f"{BUCKET}/{i}"} for action in ("s3:PutObject", "s3:DeleteObject")
            for i in range(3)]  # fmt: skip
    Path("r.jsonl").write_text("\n".join(map(json.dumps, rows)))
    call("diff", "--old", "d.json", "--new", "n.json", "--requests", "r.jsonl", "--out", "report.html")
    page = Path("report.html").read_text()
    (row,) = tables_of(page)["Changes"]["rows"]
    assert row[:2] == ["gained", 6] and APP in row
    assert [cell["number"] for cell in row if isinstance(cell, dict) and "number" in cell] == [2, 3]
    (heat,) = listed_in(page)["heat"]
    assert (heat["rows"], heat["columns"]) == (["role/app"], ["s3:PutObject", "s3:DeleteObject"])
    assert [cell[2] for cell in heat["cells"]] == [3, 3]


def test_report_of_unused_access_begins_with_services(call: Run) -> None:
    write_log(Path("log.json"), record("s3:GetObject", None, {"bucketName": "reports", "key": "may"}))
    directory(statement("Allow", ["ec2:*", "s3:CreateBucket"])).dump("w.json")
    call("unused", "--policies", "w.json", "log.json", "--out", "report.html")
    page = Path("report.html").read_text()
    (heat,) = listed_in(page)["heat"]
    assert heat["rows"] == ["role/app", "user/ana"] and heat["columns"][:2] == ["ec2", "s3"]
    assert page.count('"ec2:RunInstances"') == 1
    assert all(isinstance(cell, (str, int, dict)) for row in tables_of(page)["Users and roles"]["rows"] for cell in row)


def test_report_of_escalations_draws_the_paths(call: Run) -> None:
    directory(statement("Allow", ["iam:PutRolePolicy"])).dump("e.json")
    call("escalations", "--policies", "e.json", "--out", "report.html")
    page = Path("report.html").read_text()
    assert "role/app</text>" in page and "put-role-policy</text>" in page and '<path class="sure"' in page


def test_report_names_a_store_and_an_engine(call: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    directory().compile().save("d.engine")
    call("who-can", "--engine", "d.engine", "s3:GetObject", KEY, "--out", "report.html")
    assert "from <code>d.engine</code>" in Path("report.html").read_text()
    monkeypatch.setenv("FASTIAM_STORE", "d.json")
    call("who-can", "s3:GetObject", KEY, "--out", "report.html")
    assert "from <code>d.json</code>" in Path("report.html").read_text()


def test_report_of_findings_highlights_them_in_their_file(call: Run) -> None:
    Path("p.json").write_text(json.dumps(document(statement("Allow", "s3:GetObjects", Sid="A"))))
    assert call("lint", "p.json", "--out", "report.html")[0] == 2
    page = Path("report.html").read_text()
    assert "s3:GetObjects" in re.findall(r'<mark class="deny" title="[^"]*\[L2\]">(.*?)</mark>', page)[0]
    assert {"text": "p.json:1:71", "document": 0} in tables_of(page)["Findings"]["rows"][0]


def test_report_of_a_proof_shows_the_statement_in_its_file(call: Run) -> None:
    Path("old.json").write_text(json.dumps(document(statement("Allow", "s3:GetObject"))))
    Path("new.json").write_text(json.dumps(document(statement("Allow", "s3:*", Sid="Wide"))))
    asked = "prove", "no-new-access", "--old", "old.json", "--new", "new.json"
    assert call(*asked, "--out", "report.html")[0] == 2
    page = Path("report.html").read_text()
    assert re.search(r'<mark class="allow" title="new access">.*?Wide', page, re.DOTALL)


def test_report_has_a_link_to_the_document_of_a_statement(call: Run) -> None:
    call("who-can", "--policies", "d.json", "s3:GetObject", KEY, "--out", "report.html")
    page = Path("report.html").read_text()
    (cell,) = [cell for row in tables_of(page)["Principals"]["rows"] for cell in row if isinstance(cell, dict)]
    assert cell == {"text": "#0 of Ana", "document": 0} and 'id="document-0"' in page


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--out", "report.html", "--format", "csv"), 64, "--out writes an HTML report"),
        (("--out", "d.json"), 1, "the report would replace `d.json`"),
        (("--out", "absent/report.html"), 1, "absent"),
    ],
)
def test_report_refuses_contradicting_outputs(options: tuple[str, ...], code: int, message: str, call: Run) -> None:
    found = call("who-can", "--policies", "d.json", "s3:GetObject", KEY, *options)
    assert found[0] == code and message in found[2]
