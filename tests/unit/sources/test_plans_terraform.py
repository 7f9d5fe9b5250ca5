"""Terraform plans as both sides of a comparison (frames specification 5.2, H63)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from terraform_plans import UNKNOWN, change, plan

import fastiam
from fastiam.sources.plans import PlannedChange, read_change

A = "111111111111"
ANA, APP, TEAM = f"arn:aws:iam::{A}:user/ana", f"arn:aws:iam::{A}:role/service/app", f"arn:aws:iam::{A}:group/team"
BASE, ADMIN = f"arn:aws:iam::{A}:policy/base", "arn:aws:iam::aws:policy/AdministratorAccess"
BUCKET, KEY = "arn:aws:s3:::data", "arn:aws:s3:::data/k"


def document(*actions: str, effect: str = "Allow", resource: str = "*", **more: Any) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [{"Effect": effect, "Action": list(actions), "Resource": resource, **more}]}


def text(*actions: str, **more: Any) -> str:
    return json.dumps(document(*actions, **more))


TRUST: dict[str, Any] = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}}],
}


def trusting(principal: str) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [{**TRUST["Statement"][0], "Principal": {"AWS": principal}}]}


def directory() -> fastiam.Directory:
    out = fastiam.Directory("lenient")
    out.add_managed_policy(BASE, document("s3:GetObject"))
    out.add_managed_policy(ADMIN, document("*"))
    out.add_group(TEAM)
    out.add_principal(ANA, identity_policies=[BASE], groups=[TEAM])
    out.add_principal(APP, trust_policy=TRUST, identity_policies=[("own", document("s3:ListBucket"))])
    out.add_resource(BUCKET, account=A)
    return out


class Planned:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, *changes: dict[str, Any], references: Any = None, more: Any = None, **options: Any) -> PlannedChange:
        path = self._folder / "plan.json"
        path.write_text(plan(*changes, references=references or {}, **(more or {})))
        return read_change(directory(), terraform=[path], **options)


@pytest.fixture
def planned(tmp_path: Path) -> Planned:
    return Planned(tmp_path)


def outcomes(found: PlannedChange, principal: str, action: str, resource: str = KEY) -> tuple[str, str]:
    asked = {"unknown": found.unknown}
    return tuple(side.decide(principal, action, resource, **asked).outcome.name for side in (found.old, found.new))  # type: ignore[return-value]


def policy(before: Any, after: Any, name: str = "base") -> dict[str, Any]:
    known = {"name": name, "path": "/", "arn": f"arn:aws:iam::{A}:policy/{name}"}
    sides = [None if side is None else {**known, "policy": side} for side in (before, after)]
    return change(f"aws_iam_policy.{name}", *sides)


# -- known changes --------------------------------------------------------------------------------------------------------


def test_plan_update_of_a_policy_is_in_the_new_engine(planned: Planned) -> None:
    found = planned(policy(text("s3:GetObject"), text("s3:GetObject", "s3:DeleteObject")))
    assert outcomes(found, ANA, "s3:DeleteObject") == ("IMPLICIT_DENY", "ALLOW")
    assert found.undecided == found.differences == ()


def test_plan_before_replaces_another_state_and_reports_it(planned: Planned) -> None:
    found = planned(policy(text("s3:PutObject"), text("s3:PutObject")))
    assert outcomes(found, ANA, "s3:PutObject") == ("ALLOW", "ALLOW") and found.differences == (BASE,)


@pytest.mark.parametrize(
    ("address", "values", "principal"),
    [
        ("aws_iam_user_policy_attachment.x", {"user": "ana", "policy_arn": ADMIN}, ANA),
        ("aws_iam_role_policy_attachment.x", {"role": "app", "policy_arn": ADMIN}, APP),
        ("aws_iam_group_policy_attachment.x", {"group": "team", "policy_arn": ADMIN}, ANA),
        ("aws_iam_policy_attachment.x", {"name": "x", "policy_arn": ADMIN, "roles": ["app"], "users": [], "groups": None}, APP),
        ("aws_iam_user_policy.x", {"user": "ana", "name": "n", "policy": text("s3:DeleteObject")}, ANA),
        ("aws_iam_role_policy.x", {"role": "app", "name": "n", "policy": text("s3:DeleteObject")}, APP),
        ("aws_iam_group_policy.x", {"group": "team", "name": "n", "policy": text("s3:DeleteObject")}, ANA),
    ],
)
def test_plan_gives_and_takes_policies_of_identities(
    address: str, values: dict[str, Any], principal: str, planned: Planned
) -> None:
    given, taken = planned(change(address, None, values)), planned(change(address, values, None))
    assert outcomes(given, principal, "s3:DeleteObject") == ("IMPLICIT_DENY", "ALLOW") and not given.undecided
    assert outcomes(taken, principal, "s3:DeleteObject") == ("ALLOW", "IMPLICIT_DENY") and not taken.undecided


def test_plan_exclusive_attachment_detaches_other_identities(planned: Planned) -> None:
    values = {"name": "x", "policy_arn": BASE, "roles": ["app"], "users": [], "groups": []}
    found = planned(change("aws_iam_policy_attachment.x", None, values))
    assert outcomes(found, ANA, "s3:GetObject") == ("ALLOW", "IMPLICIT_DENY")
    assert outcomes(found, APP, "s3:GetObject") == ("IMPLICIT_DENY", "ALLOW")


@pytest.mark.parametrize(
    ("address", "before", "after"),
    [
        ("aws_iam_group_membership.x", {"group": "team", "users": ["ana"]}, {"group": "team", "users": []}),
        ("aws_iam_user_group_membership.x", {"user": "ana", "groups": ["team"]}, None),
    ],
)
def test_plan_membership_changes_policies_of_users(address: str, before: Any, after: Any, planned: Planned) -> None:
    inline = {"group": "team", "name": "n", "policy": text("s3:PutObject")}
    found = planned(change("aws_iam_group_policy.p", inline, inline), change(address, before, after))
    assert outcomes(found, ANA, "s3:PutObject") == ("ALLOW", "IMPLICIT_DENY")


def test_plan_new_role_has_trust_boundary_and_policies(planned: Planned) -> None:
    role = f"arn:aws:iam::{A}:role/jobs/new"
    values = {
        "name": "new",
        "path": "/jobs/",
        "arn": UNKNOWN,
        "assume_role_policy": json.dumps(trusting(ANA)),
        "permissions_boundary": BASE,
        "tags": {"team": "blue"},
        "tags_all": {"team": "blue"},
        "inline_policy": [{"name": "in", "policy": text("s3:*")}],
        "managed_policy_arns": [ADMIN],
    }
    found = planned(change("aws_iam_role.new", None, values), account=A)
    assert outcomes(found, role, "s3:GetObject") == ("IMPLICIT_DENY", "ALLOW")
    assert outcomes(found, role, "s3:PutObject") == ("IMPLICIT_DENY", "IMPLICIT_DENY")  # the boundary
    assert outcomes(found, ANA, "sts:AssumeRole", role)[1] == "ALLOW"
    assert found.new.snapshot.principal(role).keys["aws:principaltag/team"].values == ("blue",)


def test_plan_deletes_users_roles_groups_and_policies(planned: Planned) -> None:
    user, role = {"name": "ana", "path": "/", "arn": ANA}, {"name": "app", "path": "/service/", "arn": APP, "inline_policy": []}
    group = {"name": "team", "path": "/", "arn": TEAM}
    found = planned(
        change("aws_iam_user.u", user, None),
        change("aws_iam_role.r", role, None),
        change("aws_iam_group.g", group, None),
        policy(text("s3:GetObject"), None),
    )
    assert not any(found.new.snapshot.principal(arn).known for arn in (ANA, APP))
    assert all(found.old.snapshot.principal(arn).known for arn in (ANA, APP))


def test_plan_replaced_role_with_a_new_path_has_a_record(planned: Planned) -> None:
    sides = [{"name": "app", "path": path, "arn": arn, "inline_policy": []} for path, arn in (("/service/", APP), ("/", UNKNOWN))]
    found = planned(change("aws_iam_role.r", *sides, actions=["delete", "create"]))
    assert {ANA, f"arn:aws:iam::{A}:role/app"} == set(found.new.snapshot.tables.entities)


PUBLIC = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}]}
)


@pytest.mark.parametrize(
    ("address", "values", "action", "resource"),
    [
        ("aws_s3_bucket_policy.x", {"bucket": "data"}, "s3:GetObject", KEY),
        ("aws_s3_bucket.x", {"bucket": "data", "arn": BUCKET}, "s3:GetObject", KEY),
        (
            "aws_sqs_queue_policy.x",
            {"queue_url": f"https://sqs.eu-west-1.amazonaws.com/{A}/q"},
            "sqs:SendMessage",
            f"arn:aws:sqs:eu-west-1:{A}:q",
        ),
        ("aws_sqs_queue.x", {"name": "q", "arn": UNKNOWN}, "sqs:SendMessage", f"arn:aws:sqs:eu-west-1:{A}:q"),
        ("aws_sns_topic.x", {"name": "t", "arn": UNKNOWN}, "sns:Publish", f"arn:aws:sns:eu-west-1:{A}:t"),
        ("aws_sns_topic_policy.x", {"arn": f"arn:aws:sns:eu-west-1:{A}:t"}, "sns:Publish", f"arn:aws:sns:eu-west-1:{A}:t"),
        ("aws_kms_key_policy.x", {"key_id": "0-1"}, "kms:Decrypt", f"arn:aws:kms:eu-west-1:{A}:key/0-1"),
        (
            "aws_ecr_repository_policy.x",
            {"repository": "r"},
            "ecr:BatchGetImage",
            f"arn:aws:ecr:eu-west-1:{A}:repository/r",
        ),
        (
            "aws_secretsmanager_secret_policy.x",
            {"secret_arn": f"arn:aws:secretsmanager:eu-west-1:{A}:secret:s-1"},
            "secretsmanager:GetSecretValue",
            f"arn:aws:secretsmanager:eu-west-1:{A}:secret:s-1",
        ),
    ],
)
def test_plan_sets_policies_of_resources(
    address: str, values: dict[str, Any], action: str, resource: str, planned: Planned
) -> None:
    found = planned(change(address, None, {**values, "policy": PUBLIC}))
    assert found.undecided == ()
    known = {name: resource if value is UNKNOWN else value for name, value in values.items()}
    taken = planned(change(address, {**known, "policy": PUBLIC}, {**known, "policy": None}))
    assert outcomes(found, APP, action, resource) == ("IMPLICIT_DENY", "ALLOW")
    assert outcomes(taken, APP, action, resource) == ("ALLOW", "IMPLICIT_DENY")


FULL = "p-FullAWSAccess"


def organization() -> fastiam.Directory:
    out = directory()
    out.set_organization("o-1", accounts={A: None}, management_account="999999999999")
    return out


def test_plan_changes_an_scp_and_its_targets(tmp_path: Path) -> None:
    deny = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "s3:*", "Resource": "*"}]}
    values = {"id": "p-1", "name": "guard", "type": "SERVICE_CONTROL_POLICY", "content": json.dumps(deny)}
    target = {"policy_id": "p-1", "target_id": A}
    attached = change("aws_organizations_policy_attachment.x", None, target)
    (tmp_path / "plan.json").write_text(plan(change("aws_organizations_policy.x", values, values), attached))
    found = read_change(organization(), terraform=[tmp_path / "plan.json"])
    assert outcomes(found, ANA, "s3:GetObject") == ("ALLOW", "EXPLICIT_DENY") and not found.undecided

    relaxed = {**values, "content": json.dumps({**deny, "Statement": [{**deny["Statement"][0], "Action": "ec2:*"}]})}
    there = change("aws_organizations_policy_attachment.x", target, target)
    (tmp_path / "plan.json").write_text(plan(change("aws_organizations_policy.x", values, relaxed), there))
    found = read_change(organization(), terraform=[tmp_path / "plan.json"])
    assert outcomes(found, ANA, "s3:GetObject") == ("EXPLICIT_DENY", "ALLOW") and not found.undecided

    stored = organization()
    stored.attach_scp(A, ("guard", deny))  # the directory has another id for it
    stored.update_control_policy(next(id_ for id_ in stored.tables.organization.control_policies() if id_ != FULL), name="p-1")
    (tmp_path / "plan.json").write_text(plan(change("aws_organizations_policy.x", values, relaxed)))
    found = read_change(stored, terraform=[tmp_path / "plan.json"])
    assert outcomes(found, ANA, "s3:GetObject") == ("EXPLICIT_DENY", "ALLOW") and not found.undecided

    (tmp_path / "plan.json").write_text(plan(change("aws_organizations_policy_attachment.x", target, None)))
    found = read_change(stored, terraform=[tmp_path / "plan.json"])
    assert outcomes(found, ANA, "ec2:RunInstances", "*") == ("EXPLICIT_DENY", "IMPLICIT_DENY") and not found.undecided


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
    values = {"user": "ana", "policy_arn": ADMIN}
    (tmp_path / "plan.json").write_text(plan(change("aws_iam_user_policy_attachment.x", None, values)))
    found = read_change(bare, terraform=[tmp_path / "plan.json"])
    assert outcomes(found, ANA, "s3:DeleteObject") == ("IMPLICIT_DENY", "DEPENDS")
    assert found.undecided[0].address == ADMIN and found.undecided[0].principals == (ANA,)


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


# -- accounts, errors, replacements ---------------------------------------------------------------------------------------


def test_account_is_undecided_with_two_providers(planned: Planned) -> None:
    item = change("aws_iam_user.eve", None, {"name": "eve", "path": "/", "arn": UNKNOWN})
    providers = {name: {"name": "aws", "alias": name, "expressions": {}} for name in ("aws", "aws.other")}
    made = planned(item, more={"configuration": {"provider_config": providers, "root_module": {}}})
    assert "pass `--account`" in made.undecided[0].reason
    assert not planned(item, account=A).undecided


def test_account_is_that_of_the_caller_in_the_plan(planned: Planned) -> None:
    caller = {"address": "data.aws_caller_identity.me", "type": "aws_caller_identity", "values": {"account_id": "222222222222"}}
    state = {"values": {"root_module": {"child_modules": [{"resources": [caller]}]}}}
    found = planned(change("aws_iam_user.eve", None, {"name": "eve", "path": "/", "arn": UNKNOWN}), more={"prior_state": state})
    assert found.new.snapshot.principal("arn:aws:iam::222222222222:user/eve").known


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"format_version": "1.0", "values": {}}', "is a state, not a plan"),
        ("[]", "not a Terraform plan"),
        ('{"format_version": "7.0", "resource_changes": []}', "version `7.0` of the format is not known"),
    ],
)
def test_file_that_is_not_a_plan_is_an_error(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(content)
    with pytest.raises(fastiam.SourceError, match=message):
        read_change(directory(), terraform=[tmp_path / "plan.json"])


def test_plan_with_an_arn_that_is_not_one_is_an_error(planned: Planned) -> None:
    with pytest.raises(fastiam.SourceError, match=r"plan.json: .*policy/base"):
        planned(
            change(
                "aws_iam_policy.p", None, {"name": "base", "path": "/", "arn": "arn:aws:sqs:::policy/base", "policy": text("*")}
            )
        )


def test_proposed_document_that_aws_refuses_is_an_error(planned: Planned) -> None:
    with pytest.raises(fastiam.PolicyError):
        planned(policy(text("s3:GetObject"), '{"Version": "2012-10-17", "Statements": []}'))


@pytest.mark.parametrize(
    ("target", "content", "asked"),
    [
        (BASE, text("s3:DeleteObject"), (ANA, "s3:DeleteObject", KEY)),
        (f"{APP}#own", text("s3:DeleteObject"), (APP, "s3:DeleteObject", KEY)),
        (BUCKET, PUBLIC, ("*", "s3:DeleteObject", KEY)),
        (APP, json.dumps(trusting(ANA)), (ANA, "sts:AssumeRole", APP)),
    ],
)
def test_replacement_changes_one_policy(target: str, content: str, asked: tuple[str, str, str], tmp_path: Path) -> None:
    (tmp_path / "new.json").write_text(content)
    found = read_change(directory(), replacements={target: tmp_path / "new.json"})
    assert outcomes(found, *asked) == ("IMPLICIT_DENY", "ALLOW")


def test_replacement_of_an_absent_policy_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "new.json").write_text(text("s3:*"))
    with pytest.raises(fastiam.SourceError, match="did you mean"):
        read_change(directory(), replacements={f"{BASE}2": tmp_path / "new.json"})


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
