"""Tests of a planned change (`change` in a test file): they are about the state after it. Cases TA, by number."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from terraform_plans import UNKNOWN, change, plan

import fastiam
from fastiam.cli.main import run as command_line
from fastiam.testing import TestReport, run

A = "111111111111"
APP, ANA = f"arn:aws:iam::{A}:role/app", f"arn:aws:iam::{A}:user/ana"
FILE = "t.iamtest.yaml"
KEY = "arn:aws:s3:::data/k"


def document(*actions: str, effect: str = "Allow", **more: Any) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [{"Effect": effect, "Action": list(actions), "Resource": "*", **more}]}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    directory = fastiam.Directory()
    directory.add_account(A)
    trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": A}, "Action": "sts:AssumeRole"}]}
    directory.add_principal(APP, trust_policy=trust, identity_policies=[("read", document("s3:GetObject"))])
    directory.add_principal(ANA, identity_policies=[("Ana", document("s3:Get*"))])
    directory.dump("policies.json")
    return tmp_path


def write(*tests: dict[str, Any], change: dict[str, Any], **more: Any) -> None:
    content: dict[str, Any] = {"version": 1, "policies": "policies.json", "change": change, **more, "tests": list(tests)}
    Path(FILE).write_text(yaml.safe_dump({key: value for key, value in content.items() if value is not None}, sort_keys=False))


def asked(principal: str = "role/app", action: str = "s3:PutObject", **more: Any) -> dict[str, Any]:
    return {"name": "t", "principal": principal, "action": action, "resource": KEY, **more}


def outcomes(report: TestReport) -> list[str]:
    assert not report.broken, report.broken
    return [result.status for result in report.results]


def message() -> str:
    return str(run(".").broken[0][1])


WRITES = change("aws_iam_role_policy.w", None, {"role": "app", "name": "write", "policy": json.dumps(document("s3:PutObject"))})
LATER = change("aws_iam_role_policy.later", None, {"role": "app", "name": "x", "policy": UNKNOWN})
PLAN = {"terraform": "plan.json"}


def test_state_after_a_plan_is_tested(capsys: pytest.CaptureFixture[str]) -> None:
    Path("plan.json").write_text(plan(WRITES))
    write(asked(expect="allowed", policy="write"), change=PLAN)
    assert outcomes(run(".")) == ["passed"]
    write(asked(expect="denied"), change=PLAN)
    assert command_line(["test"]) == 2
    out = capsys.readouterr().out
    assert "plan.json#aws_iam_role_policy.w.policy" in out and "actual   allowed" in out


def test_value_known_after_apply_is_depends(capsys: pytest.CaptureFixture[str]) -> None:  # TA19
    Path("plan.json").write_text(plan(LATER))
    write(asked(expect="depends", depends_on=["known after apply"]), change=PLAN)
    assert outcomes(run(".")) == ["passed"]
    write(asked(expect="allowed"), change=PLAN)
    assert command_line(["test"]) == 2
    out = capsys.readouterr().out
    assert "actual   depends" in out
    assert "known after apply: plan.json:1:" in out and "`aws_iam_role_policy.later`: `policy` is known after apply" in out


def test_principal_that_a_plan_does_not_touch_is_decided() -> None:
    Path("plan.json").write_text(plan(LATER))
    write(asked("ana", "s3:GetObject", expect="allowed"), asked("ana", name="u", expect="implicit_deny"), change=PLAN)
    assert outcomes(run(".")) == ["passed", "passed"]


def test_part_of_a_plan_that_no_decision_shows_is_a_warning(capsys: pytest.CaptureFixture[str]) -> None:  # T28
    Path("plan.json").write_text(plan(change("aws_lambda_permission.l", None, {"action": "lambda:InvokeFunction"})))
    write(asked("ana", "s3:GetObject", expect="allowed"), change=PLAN)
    assert command_line(["test"]) == 0
    assert "undecided: plan.json:1:" in capsys.readouterr().err
    assert command_line(["test", "--strict"]) == 4


def test_records_that_two_resources_set_differently_are_depends() -> None:
    other = change("aws_iam_role_policy.v", None, {"role": "app", "name": "write", "policy": json.dumps(document("s3:Get*"))})
    Path("plan.json").write_text(plan(WRITES, other))
    write(asked(expect="allowed"), change=PLAN)
    (result,) = run(".").results
    assert (result.status, result.actual) == ("failed", "depends") and "their order is not known" in result.text


def test_plan_alone_is_enough() -> None:
    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    role = change("aws_iam_role.new", None, {"name": "new", "path": "/", "assume_role_policy": trust})
    policy = change("aws_iam_role_policy.p", None, {"role": "new", "name": "p", "policy": json.dumps(document("s3:PutObject"))})
    Path("plan.json").write_text(plan(role, policy))
    write(asked("role/new", expect="allowed"), change={**PLAN, "account": "<account>"}, policies=None, variables={"account": A})
    assert outcomes(run(".")) == ["passed"]


def test_replaced_policy_and_template_are_changes_too() -> None:
    Path("new.json").write_text(json.dumps(document("s3:PutObject")))
    write(asked("ana", expect="allowed"), change={"replace": {f"{ANA}#Ana": "new.json"}})
    assert outcomes(run(".")) == ["passed"]
    properties = {"Roles": ["app"], "PolicyName": "w", "PolicyDocument": document("s3:PutObject")}
    template = {"Resources": {"W": {"Type": "AWS::IAM::Policy", "Properties": properties}}}
    Path("stack.json").write_text(json.dumps(template))
    write(asked(expect="allowed"), change={"cloudformation": "stack.json", "account": A})
    assert outcomes(run(".")) == ["passed"]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"terraform": "../plan.json"}, "[TEST-PATH]"),
        ({"terraform": "link.json"}, "a link"),
        ({"replace": {f"{ANA}#Ana": "/etc/hosts"}}, "[TEST-PATH]"),
        ({"teraform": "plan.json"}, "did you mean `terraform`"),
        ({"account": A}, "`change` needs `terraform`, `cloudformation` or `replace` [TEST-MISSING]"),
        ({"terraform": "plan.json", "deployed": "plan.json"}, "`deployed` needs `cloudformation` [TEST-SOURCE]"),
    ],
)
def test_change_that_cannot_be_read_is_an_error(given: dict[str, Any], text: str) -> None:
    Path("plan.json").write_text(plan())
    Path("link.json").symlink_to("plan.json")
    write(asked(expect="denied"), change=given)
    found = message()
    assert found.startswith(FILE) and text in found


def test_change_needs_policies_that_can_change() -> None:
    Path("plan.json").write_text(plan())
    write(asked(expect="denied"), change=PLAN, policies=None, documents={"identity": document("*")})
    assert "`change` and `documents` exclude each other [TEST-SOURCE]" in message()
    fastiam.load("policies.json").compile().save("engine.fastiam")
    write(asked(expect="denied"), change=PLAN)
    assert "not an engine file [TEST-SOURCE]" in str(run(".", policies=["engine.fastiam"]).broken[0][1])
    assert outcomes(run(".", policies=["policies.json"])) == ["passed"]


def test_sensitive_document_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:  # T42
    secret = change(
        "aws_iam_role_policy.w",
        None,
        {"role": "app", "name": "hunter", "policy": json.dumps(document("s3:PutObject", Sid="Hunter2"))},
    )
    secret["change"]["after_sensitive"] = {"policy": True}
    Path("plan.json").write_text(plan(secret))
    write(asked(expect="allowed", sid="Other"), asked(name="u", expect="denied"), change=PLAN)
    assert command_line(["test"]) == 2
    out = capsys.readouterr().out
    assert "(sensitive)" in out and "Hunter2" not in out and "hunter" not in out


def test_files_with_one_change_share_an_engine(monkeypatch: pytest.MonkeyPatch) -> None:  # T20
    from fastiam.api import planned_changes as plans

    applied = []
    read = plans.read_change
    monkeypatch.setattr(plans, "read_change", lambda *given, **options: applied.append(1) or read(*given, **options))
    Path("plan.json").write_text(plan(WRITES))
    write(asked(expect="allowed"), change=PLAN)
    Path("u.iamtest.yaml").write_text(Path(FILE).read_text())
    assert outcomes(run(".")) == ["passed", "passed"] and len(applied) == 1
