# ruff: noqa: F811  (`call` is a fixture)
"""`fastiam diff` over planned changes: Terraform plans and single policies (frames specification 5.2, H63)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_analysis_directory import ANA, APP, A, Run, call, document, statement  # noqa: F401  (a fixture)
from terraform_plans import UNKNOWN, change, plan

TERRAFORM = "diff", "--policies", "d.json", "--terraform", "plan.json"


def inline(user: str, *actions: str, name: str = "Ana", before: object = None) -> dict[str, object]:
    policy = json.dumps(document(*(statement("Allow", action) for action in actions)))
    values = {"user": user, "name": name, "policy": policy}
    old = {**values, "policy": json.dumps(document(statement("Allow", "s3:Get*")))}
    return change(f"aws_iam_user_policy.{name}", old if before is None else None, values)


UNKNOWN_ROLE_POLICY = change("aws_iam_role_policy.app", None, {"role": "app", "name": "x", "policy": UNKNOWN})


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ([inline("ana", "s3:*")], 2),  # new access
        ([inline("ana", "s3:GetObject")], 0),  # access is lost only
        ([UNKNOWN_ROLE_POLICY], 4),  # not known before apply
        ([inline("ana", "s3:*"), UNKNOWN_ROLE_POLICY], 2),  # new access wins
        ([inline("ana", "s3:GetObject"), UNKNOWN_ROLE_POLICY], 4),
        ([change("aws_lambda_permission.l", None, {"action": "lambda:InvokeFunction"})], 4),  # not compared
        ([change("aws_s3_bucket.b", {"bucket": "data", "tags": {"a": "b"}}, {"bucket": "data", "tags": {}})], 0),
        ([], 0),
    ],
)
def test_h63_exit_code_follows_new_access_then_unknowns(changes: list[dict[str, object]], code: int, call: Run) -> None:
    Path("plan.json").write_text(plan(*changes))
    assert call(*TERRAFORM)[0] == code
    assert call(*TERRAFORM, "--exit-zero")[0] == 0


def test_h63_undecided_principals_are_listed(call: Run) -> None:
    Path("plan.json").write_text(plan(UNKNOWN_ROLE_POLICY))
    _, out, err = call(*TERRAFORM, "--format", "jsonl")
    assert "undecided: `aws_iam_role_policy.app`: `policy` is known after apply\n  arn:aws:iam::111111111111:role/app\n" in err
    rows = [json.loads(line) for line in out.splitlines()]
    assert {(row["change"], row["principal"]) for row in rows} == {("may gain", APP)}


def test_undecided_reason_names_the_option(call: Run) -> None:
    user = change("aws_iam_user.eve", None, {"name": "eve", "path": "/", "arn": UNKNOWN})
    providers = {name: {"name": "aws", "alias": name, "expressions": {}} for name in ("aws", "aws.other")}
    content = json.loads(plan(user)) | {"configuration": {"provider_config": providers, "root_module": {}}}
    Path("plan.json").write_text(json.dumps(content))
    err = call(*TERRAFORM)[2]
    assert "the account is unknown: pass `--account`\n" in err
    assert "is unknown" not in call(*TERRAFORM, "--account", A)[2]


def test_diff_of_a_plan_shows_the_statement_in_the_plan(call: Run) -> None:
    Path("plan.json").write_text(plan(inline("ana", "s3:*")))
    (row,) = (json.loads(line) for line in call(*TERRAFORM, "--format", "jsonl")[1].splitlines())
    assert (row["change"], row["side"], row["statement"]["policy"]) == ("gained", "new", "Ana")
    assert row["statement"]["file"] == "plan.json#aws_iam_user_policy.Ana.policy" and row["statement"]["line"] == 1


def test_diff_of_a_plan_decides_given_requests(call: Run) -> None:
    Path("plan.json").write_text(plan(UNKNOWN_ROLE_POLICY, inline("ana", "s3:*")))
    Path("requests.csv").write_text(f"principal,action,resource\n{APP},s3:GetObject,*\n{ANA},s3:PutObject,*\n")
    code, out, _ = call(*TERRAFORM, "--requests", "requests.csv", "--format", "jsonl")
    assert [json.loads(line)["change"] for line in out.splitlines()] == ["gained", "may gain"] and code == 2


def test_diff_replaces_one_policy(call: Run) -> None:
    Path("new.json").write_text(json.dumps(document(statement("Allow", "s3:*"))))
    code, out, _ = call("diff", "--policies", "d.json", "--replace", f"{ANA}#Ana=new.json", "--format", "jsonl")
    assert code == 2 and json.loads(out)["principal"] == ANA


def test_diff_replacement_splits_at_the_known_arn(call: Run) -> None:
    Path("x=new.json").write_text(json.dumps(document(statement("Allow", "s3:*"))))
    assert call("diff", "--policies", "d.json", "--replace", f"{ANA}#Ana=x=new.json")[0] == 2


def test_diff_rejects_a_refused_document(call: Run) -> None:
    Path("new.json").write_text('{"Version": "2012-10-17", "Statements": []}')
    assert call("diff", "--policies", "d.json", "--replace", f"{ANA}#Ana=new.json")[0] == 3


def test_diff_of_a_template_adds_and_removes_policies(call: Run) -> None:
    def template(*actions: object) -> str:
        policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": a, "Resource": "*"} for a in actions]}
        properties = {"PolicyName": "extra", "PolicyDocument": policy, "Users": ["ana"]}
        return json.dumps({"Resources": {"P": {"Type": "AWS::IAM::Policy", "Properties": properties}}})

    Path("old.json").write_text(template("sqs:*"))
    Path("new.json").write_text(template("sqs:*", {"Ref": "Action"}))
    asked = "diff", "--policies", "d.json", "--cloudformation", "new.json", "--deployed"
    assert call(*asked, "old.json")[0] == 4
    assert call(*asked, "old.json", "--parameter", "Action=sns:Publish")[0] == 2
    assert call(*asked, "new.json", "--parameter", "Action=sns:Publish")[0] == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--terraform", "plan.json", "--policies", "d.json", "--parameter", "a=b"), "--parameter needs --cloudformation"),
        (("--terraform", "plan.json", "--old", "d.json"), "give --policies in place of --old"),
        (("--terraform", "plan.json", "--policies", "d.json", "--new", "d.json"), "give --policies in place of --new"),
        (("--policies", "d.json"), "--policies needs --terraform"),
        (("--old", "d.json", "--new", "d.json", "--account", A), "--account needs --terraform"),
        (("--terraform", "plan.json"), "give either --policies"),
        (("--terraform", "-", "--policies", "-"), "standard input can be read only once"),
        (("--policies", "d.json", "--replace", "nothing"), "is not of the form ARN=FILE"),
    ],
)
def test_diff_refuses_sides_that_contradict(options: tuple[str, ...], message: str, call: Run) -> None:
    Path("plan.json").write_text(plan())
    code, _, err = call("diff", *options)
    assert code == 64 and message in err


@pytest.mark.parametrize(
    ("changes", "code", "result"),
    [
        ([inline("ana", "s3:*")], 2, "new_access"),
        ([inline("ana", "s3:GetObject")], 0, "proved"),
        ([UNKNOWN_ROLE_POLICY], 4, "undecided"),
        ([inline("ana", "s3:*"), UNKNOWN_ROLE_POLICY], 2, "new_access"),
    ],
)
def test_h63_prove_of_a_plan_exits_as_diff(changes: list[dict[str, object]], code: int, result: str, call: Run) -> None:
    Path("plan.json").write_text(plan(*changes))
    found, out, err = call("prove", "no-new-access", *TERRAFORM[1:], "--format", "json")
    assert (found, json.loads(out)["result"]) == (code, result)
    assert ("undecided: `aws_iam_role_policy.app`" in err) is (UNKNOWN_ROLE_POLICY in changes)


def test_diff_exits_with_4_if_something_is_not_checked(call: Run) -> None:
    """A policy that is opened to a user without a record, compared without requests."""
    queue, eve = f"arn:aws:sqs:us-east-1:{A}:q", "arn:aws:iam::222222222222:user/eve"
    granted = document({**statement("Allow", "sqs:SendMessage", queue), "Principal": {"AWS": eve}})
    closed = {"format": "fastiam-directory", "version": 1, "accounts": [{"id": A}], "resources": [{"arn": queue, "account": A}]}
    Path("old.json").write_text(json.dumps(closed))
    Path("new.json").write_text(
        json.dumps({**closed, "resources": [{"arn": queue, "account": A, "policies": [{"document": granted}]}]})
    )
    code, out, err = call("diff", "--old", "old.json", "--new", "new.json")
    assert (code, out) == (4, "")
    assert f"not checked: principals without a record that the policy of `{queue}` names: `{eve}`\n" in err
    assert call("diff", "--old", "new.json", "--new", "old.json")[0] == 0  # what is removed gives nothing
    assert call("diff", "--old", "old.json", "--new", "new.json", "--exit-zero")[0] == 0
