"""Terraform plans as both sides of a comparison (frames specification 5.2, H63)."""

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
    TEAM,
    TRUST,
    A,
    Planned,
    directory,
    organization,
    outcomes,
    policy,
    text,
)
from terraform_plans import UNKNOWN, change, plan

import fastiam
from fastiam.api.planned_changes import read_change


def trusting(principal: str) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [{**TRUST["Statement"][0], "Principal": {"AWS": principal}}]}


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


# -- accounts, errors, replacements ---------------------------------------------------------------------------------------


def test_account_is_undecided_with_two_providers(planned: Planned) -> None:
    item = change("aws_iam_user.eve", None, {"name": "eve", "path": "/", "arn": UNKNOWN})
    providers = {name: {"name": "aws", "alias": name, "expressions": {}} for name in ("aws", "aws.other")}
    made = planned(item, more={"configuration": {"provider_config": providers, "root_module": {}}})
    reason = made.undecided[0].reason
    assert reason == "the account is unknown: pass `account`" and reason.cli == "the account is unknown: pass `--account`"
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
