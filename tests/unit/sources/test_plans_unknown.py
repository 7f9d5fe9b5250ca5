"""Terraform plans with parts that are known after apply, references and proofs (H63)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from terraform_directory import (
    ADMIN,
    ANA,
    APP,
    BASE,
    BUCKET,
    KEY,
    PUBLIC,
    TRUST,
    A,
    Planned,
    directory,
    document,
    organization,
    outcomes,
    policy,
    text,
)
from terraform_plans import UNKNOWN, change, plan

import fastiam
from fastiam.api.planned_changes import read_change

# -- H63: what is known after apply ---------------------------------------------------------------------------------------


def test_h63_unknown_document_leaves_its_principals_undecided(planned: Planned) -> None:
    found = planned(policy(text("s3:GetObject"), UNKNOWN))
    assert outcomes(found, ANA, "s3:GetObject") == ("ALLOW", "DEPENDS")
    assert outcomes(found, ANA, "s3:DeleteObject") == ("IMPLICIT_DENY", "DEPENDS")
    assert outcomes(found, APP, "s3:ListBucket", BUCKET) == ("ALLOW", "ALLOW")
    (item,) = found.undecided
    assert (item.address, item.about, item.principals) == ("aws_iam_policy.base", (BASE,), (ANA,))
    assert item.reason == "`policy` is known after apply" and "plan.json:1:" in item.position


def test_h63_unknown_document_does_not_undo_a_certain_denial(tmp_path: Path) -> None:
    closed = organization()
    closed.attach_scp(A, ("closed", document("s3:DeleteObject", effect="Deny")))
    (tmp_path / "plan.json").write_text(plan(policy(text("s3:GetObject"), UNKNOWN)))
    found = read_change(closed, terraform=[tmp_path / "plan.json"])
    assert outcomes(found, ANA, "s3:DeleteObject") == ("EXPLICIT_DENY", "EXPLICIT_DENY")


UNKNOWN_PARTS = [
    ("aws_iam_role.r", {"name": "app", "path": "/service/", "arn": APP, "permissions_boundary": UNKNOWN}, APP, "s3:ListBucket"),
    ("aws_iam_role.r", {"name": "app", "path": "/service/", "arn": APP, "inline_policy": UNKNOWN}, APP, "s3:GetObject"),
    ("aws_iam_role_policy_attachment.x", {"role": "app", "policy_arn": UNKNOWN}, APP, "s3:GetObject"),
    ('aws_iam_role_policy_attachment.x["a b"]', {"role": "app", "policy_arn": UNKNOWN}, APP, "s3:GetObject"),
    ("aws_iam_role_policy.x[0]", {"role": "app", "name": UNKNOWN, "policy": UNKNOWN}, APP, "s3:GetObject"),
    ("aws_iam_group_policy.x", {"group": "team", "name": "n", "policy": UNKNOWN}, ANA, "s3:PutObject"),
    ("aws_s3_bucket_policy.x", {"bucket": "data", "policy": UNKNOWN}, ANA, "s3:PutObject"),
]


@pytest.mark.parametrize(("address", "values", "principal", "action"), UNKNOWN_PARTS)
def test_h63_unknown_part_makes_a_decision_depend_on_it(
    address: str, values: dict[str, Any], principal: str, action: str, planned: Planned
) -> None:
    found = planned(change(address, None, values))
    assert outcomes(found, principal, action, BUCKET if action == "s3:ListBucket" else KEY)[1] == "DEPENDS"
    (item,) = found.undecided
    assert item.address == address and (principal in item.principals or item.about == (BUCKET,))


def test_h63_unknown_trust_policy_leaves_sessions_undecided(planned: Planned) -> None:
    values = {"name": "app", "path": "/service/", "arn": APP}
    sides = {**values, "assume_role_policy": json.dumps(TRUST)}, {**values, "assume_role_policy": UNKNOWN}
    found = planned(change("aws_iam_role.r", *sides))
    assert outcomes(found, "ec2.amazonaws.com", "sts:AssumeRole", APP) == ("ALLOW", "DEPENDS")
    assert found.undecided[0].about == (APP,)


USER, ROLE = {"name": "ana", "path": "/"}, {"name": "app", "path": "/service/", "arn": APP}
SCP = {"id": "p-1", "content": text("*")}
REPORTED: list[tuple[str, Any, Any, str]] = [
    ("aws_iam_role.r", None, {"name": UNKNOWN, "path": "/"}, "the name of the role is known after apply"),
    ("aws_iam_user_policy.x", None, {"user": UNKNOWN, "name": "n", "policy": text("s3:*")}, "`user` is known after apply"),
    ("aws_iam_user.u", None, {**USER, "tags_all": UNKNOWN, "tags": {}}, ""),
    ("aws_iam_user.u", None, {**USER, "tags_all": UNKNOWN, "tags": UNKNOWN}, "its tags are known after apply"),
    ("aws_s3_bucket_policy.b", None, {"bucket": UNKNOWN, "policy": PUBLIC}, "`bucket` names is not known"),
    ("aws_kms_key.k", None, {"arn": UNKNOWN, "policy": PUBLIC}, "the ARN of the resource with the policy is known after"),
    ("aws_lambda_permission.l", None, {"action": "lambda:InvokeFunction"}, "`aws_lambda_permission` are not compared"),
    ("aws_new_thing.n", None, {"resource_policy": UNKNOWN}, "`aws_new_thing` are not compared"),
    ("aws_instance.i", None, {"ami": "ami-1"}, ""),
    ("awscc_iam_role.r", None, {"role_name": "r"}, "`awscc_iam_role` are not compared"),
    ("aws_cloudformation_stack.s", None, {"template_body": "{}"}, "`aws_cloudformation_stack` are not compared"),
    ("aws_iam_user_policy_attachment.a", None, {"user": "ana", "policy_arn": f"{BASE}-gone"}, "do not contain the document"),
    ("aws_organizations_policy.p", None, {**SCP, "id": UNKNOWN}, "the id of the policy is known after apply"),
    ("aws_organizations_policy.p", SCP, {**SCP, "content": text("s3:*")}, "do not contain an organization"),
]


@pytest.mark.parametrize(("address", "before", "after", "reason"), REPORTED)
def test_h63_unknown_names_and_types_are_reported(address: str, before: Any, after: Any, reason: str, planned: Planned) -> None:
    found = planned(change(address, before, after))
    assert bool(reason) is bool(found.undecided)
    assert not reason or any(reason in each.reason for each in found.undecided)


def test_h63_replaced_object_that_stays_is_reported(planned: Planned) -> None:
    found = planned(change("aws_iam_role.r", ROLE, {**ROLE, "arn": UNKNOWN}, ["create", "forget"]))
    assert "stays in AWS" in found.undecided[0].reason


@pytest.mark.parametrize(
    "more",
    [
        {"complete": False},
        {"errored": True},
        {"deferred_changes": [{"reason": "instance_count_unknown", "resource_change": {"address": "aws_iam_policy.p"}}]},
    ],
)
def test_h63_incomplete_plan_is_reported(more: dict[str, Any], planned: Planned) -> None:
    assert len(planned(more=more).undecided) == 1


def test_attached_policy_without_document_is_undecided(tmp_path: Path) -> None:
    bare = fastiam.Directory("lenient")
    bare.add_principal(ANA, identity_policies=[("own", document("s3:GetObject"))])
    unknown = "arn:aws:iam::aws:policy/OfAnotherYear"
    values = {"user": "ana", "policy_arn": unknown}
    (tmp_path / "plan.json").write_text(plan(change("aws_iam_user_policy_attachment.x", None, values)))
    found = read_change(bare, terraform=[tmp_path / "plan.json"])
    assert outcomes(found, ANA, "s3:DeleteObject") == ("IMPLICIT_DENY", "DEPENDS")
    assert found.undecided[0].address == unknown and found.undecided[0].principals == (ANA,)


def test_attached_policy_of_aws_needs_no_file(tmp_path: Path) -> None:
    bare = fastiam.Directory("lenient")
    bare.add_principal(ANA, identity_policies=[("own", document("s3:GetObject"))])
    values = {"user": "ana", "policy_arn": ADMIN}
    (tmp_path / "plan.json").write_text(plan(change("aws_iam_user_policy_attachment.x", None, values)))
    found = read_change(bare, terraform=[tmp_path / "plan.json"])
    assert outcomes(found, ANA, "s3:DeleteObject") == ("IMPLICIT_DENY", "ALLOW") and not found.undecided


def test_h63_two_resources_with_one_target_are_undecided(planned: Planned) -> None:
    public, closed = ({"bucket": "data", "policy": each} for each in (PUBLIC, json.dumps({**TRUST, "Statement": []})))
    found = planned(change("aws_s3_bucket_policy.a", None, public), change("aws_s3_bucket_policy.b", None, closed))
    (item,) = found.undecided
    assert item.address == "aws_s3_bucket_policy.b" and item.about == (BUCKET,) and "their order is not known" in item.reason
    assert not planned(change("aws_s3_bucket_policy.a", None, public), change("aws_s3_bucket_policy.b", None, public)).undecided


def test_h63_denying_document_of_a_changed_user_is_listed(tmp_path: Path) -> None:
    closed = directory()
    broken = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": [None]}]}
    export = {
        "UserDetailList": [{"Arn": ANA, "UserId": "AIDA", "UserPolicyList": [{"PolicyName": "x", "PolicyDocument": broken}]}]
    }
    (tmp_path / "export.json").write_text(json.dumps(export))
    (tmp_path / "plan.json").write_text(
        plan(change("aws_iam_user_policy.x", None, {"user": "ana", "name": "n", "policy": text("s3:*")}))
    )
    found = read_change(fastiam.load(tmp_path / "export.json"), terraform=[tmp_path / "plan.json"])
    assert outcomes(found, ANA, "s3:PutObject")[1] == "EXPLICIT_DENY"  # which hides the new access
    assert [(item.address, item.principals) for item in found.undecided] == [("x", (ANA,))]
    assert not read_change(closed, terraform=[tmp_path / "plan.json"]).undecided


def test_plan_of_a_renamed_user_moves_its_policies(planned: Planned) -> None:
    sides = [{"name": name, "path": "/", "arn": ANA} for name in ("ana", "bob")]  # a plan keeps the old ARN
    attached = [{"user": name, "policy_arn": BASE} for name in ("ana", "bob")]
    found = planned(change("aws_iam_user.u", *sides), change("aws_iam_user_policy_attachment.u", *attached))
    assert ANA not in found.new.snapshot.tables.entities
    assert outcomes(found, ANA.replace("ana", "bob"), "s3:GetObject") == ("IMPLICIT_DENY", "ALLOW")


# -- references -----------------------------------------------------------------------------------------------------------


NEW = change("aws_iam_policy.new", None, {"name": "new", "path": "/", "arn": UNKNOWN, "policy": text("s3:DeleteObject")})
ATTACHED = change("aws_iam_user_policy_attachment.x", None, {"user": "ana", "policy_arn": UNKNOWN})
PLAIN = {"aws_iam_user_policy_attachment.x.policy_arn": ["aws_iam_policy.new.arn", "aws_iam_policy.new"]}


def test_reference_is_undecided_without_the_assumption(planned: Planned) -> None:
    found = planned(NEW, ATTACHED, references=PLAIN)
    assert outcomes(found, ANA, "s3:DeleteObject")[1] == "DEPENDS" and len(found.undecided) == 1


def test_assumed_reference_is_resolved_and_reported(planned: Planned) -> None:
    found = planned(NEW, ATTACHED, references=PLAIN, assume_references=True)
    assert outcomes(found, ANA, "s3:DeleteObject") == ("IMPLICIT_DENY", "ALLOW") and found.undecided == ()
    assert "`policy_arn` is `aws_iam_policy.new.arn`, unchanged" in found.assumed[0]


def test_reference_with_a_second_name_is_never_assumed(planned: Planned) -> None:
    two = {"aws_iam_user_policy_attachment.x.policy_arn": ["var.use_admin", "aws_iam_policy.new.arn", "aws_iam_policy.new"]}
    found = planned(NEW, ATTACHED, references=two, assume_references=True)
    assert outcomes(found, ANA, "s3:DeleteObject")[1] == "DEPENDS" and found.assumed == ()


def test_references_in_modules_find_their_own_module(tmp_path: Path) -> None:
    item = 'module.m["a.b"].aws_iam_user_policy_attachment.x[0]'
    new = {**NEW, "address": 'module.m["a.b"].aws_iam_policy.new'}
    attached = {**ATTACHED, "address": item}
    inner = {
        "resources": [
            {"address": "aws_iam_user_policy_attachment.x", "expressions": {"policy_arn": {"references": PLAIN.popitem()[1]}}},
            {"address": "aws_iam_policy.new", "expressions": {"policy": {}}},
        ]
    }
    made = json.loads(plan(new, attached))
    made["configuration"]["root_module"] = {"resources": [], "module_calls": {"m": {"module": inner}}}
    (tmp_path / "plan.json").write_text(json.dumps(made))
    found = read_change(directory(), terraform=[tmp_path / "plan.json"], assume_references=True)
    assert outcomes(found, ANA, "s3:DeleteObject")[1] == "ALLOW" and found.undecided == ()
    PLAIN["aws_iam_user_policy_attachment.x.policy_arn"] = ["aws_iam_policy.new.arn", "aws_iam_policy.new"]


# -- proofs ---------------------------------------------------------------------------------------------------------------


ATTACH_UNKNOWN = change("aws_iam_role_policy.x", None, {"role": "app", "name": "n", "policy": UNKNOWN})
WIDER = {"user": "ana", "name": "n", "policy": text("s3:*")}


@pytest.mark.parametrize(
    ("changes", "result"),
    [
        ([policy(text("s3:GetObject"), text("s3:Get*"))], "new_access"),
        ([policy(text("s3:Get*"), text("s3:GetObject"))], "proved"),
        ([ATTACH_UNKNOWN], "undecided"),
        ([ATTACH_UNKNOWN, policy(text("s3:GetObject"), text("s3:Get*"))], "new_access"),
        ([ATTACH_UNKNOWN, policy(text("s3:Get*"), text("s3:GetObject"))], "undecided"),
        ([change("aws_lambda_permission.l", None, {"action": "lambda:InvokeFunction"})], "undecided"),
    ],
    ids=range(6),
)
def test_h63_proof_never_covers_what_is_unknown(changes: list[dict[str, Any]], result: str, planned: Planned) -> None:
    proof = planned(*changes).no_new_access()
    assert proof.result.value == result
    if proof.request is not None:
        assert proof.request.principal == ANA and not any(key.startswith("plan:") for key in proof.request.context)


def test_h63_proof_of_an_undecided_principal_is_undecided(planned: Planned) -> None:
    unknown = change("aws_iam_user_policy.u", None, {"user": "ana", "name": "u", "policy": UNKNOWN})
    wider = change("aws_iam_user_policy.n", None, WIDER)
    proof = planned(unknown, wider).no_new_access()  # the unknown document may deny what the other one allows
    assert proof.result.value == "undecided" and {one.result.value for one in proof.by_principal.values()} == {"undecided"}
