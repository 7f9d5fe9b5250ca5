"""Denied calls: the request that the error message names, and the keys that are unknown without parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cloudtrail_records import ACCOUNT, ANA, OPS, SESSION, record, session, user, write_log

import fastiam
from fastiam import Outcome
from fastiam.analysis.access.replay import ReplayGroup, Verdict
from fastiam.model.logged_calls import PASS_ROLE, Calls
from fastiam.sources.cloudtrail.outcomes import refusal_in

BUCKET = "arn:aws:s3:::b"
WHO = f"User: {ANA} is not authorized to perform:"
BECAUSE = "because no identity-based policy allows the action"
SCP = f"with an explicit deny in a service control policy: arn:aws:organizations::{ACCOUNT}:policy/o-1/service_control_policy/p-1"


def calls_of(tmp_path: Path, *records: dict[str, Any]) -> Calls:
    (calls,) = fastiam.read_cloudtrail(write_log(tmp_path / "log.json", *records))
    return calls


def rows_of(calls: Calls) -> list[tuple[str, str | None]]:
    return [(calls.actions[code], resource) for code, resource in zip(calls.row_action, calls.resources, strict=True)]


def denied(event: str, message: str, parameters: Any = None, identity: Any = None, **more: Any) -> dict[str, Any]:
    return record(event, identity, parameters, errorCode="AccessDenied", errorMessage=message, **more)


MESSAGES = [
    # the rest of the message, the action, the resource as an ARN
    (f" iam:GetRole on resource: role ops {BECAUSE}", "iam:GetRole", OPS),
    (f" iam:GetUser on resource: user ana {BECAUSE}", "iam:GetUser", ANA),
    (f" iam:GetInstanceProfile on resource: instance profile p {BECAUSE}", "iam:GetInstanceProfile",
     f"arn:aws:iam::{ACCOUNT}:instance-profile/p"),
    (f" iam:PassRole on resource: {OPS} {BECAUSE}", PASS_ROLE, OPS),
    (f" iam:PassRole on resource: {OPS}", PASS_ROLE, OPS),
    (f" iam:PassRole on resource: {OPS}.", PASS_ROLE, OPS),
    (f" s3:GetObject on resource: \"{BUCKET}/a b.txt\" {BECAUSE}", "s3:GetObject", f"{BUCKET}/a b.txt"),
    (f" s3:GetObject on resource: \"{BUCKET}/k\" {SCP}", "s3:GetObject", f"{BUCKET}/k"),
    (f" ec2:RunInstances on resource: arn:aws:ec2:eu-west-1:{ACCOUNT}:instance/* {BECAUSE}. Encoded authorization failure"
     " message: AbC-", "ec2:RunInstances", f"arn:aws:ec2:eu-west-1:{ACCOUNT}:instance/*"),
    (f" organizations:LeaveOrganization on resource: * {BECAUSE}", "organizations:LeaveOrganization", "*"),
    (f" iam:ListPolicies on resource: policy path / {BECAUSE}", "iam:ListPolicies", None),
    (f" kms:Decrypt {SCP}", "kms:Decrypt", None),
    (" kms:Decrypt", "kms:Decrypt", None),
]  # fmt: skip


@pytest.mark.parametrize(("call", "action", "resource"), MESSAGES, ids=[call[:50] for call, _, _ in MESSAGES])
def test_refusal_message_names_action_and_resource(call, action, resource):
    found = refusal_in(WHO + call)
    assert found is not None
    assert (found.user, found.action, found.resource_in("aws", ACCOUNT)) == (ANA, action, resource)


@pytest.mark.parametrize(
    "message", ["", "Access Denied", "IAM user access not activated", "You are not authorized to perform this"]
)
def test_refusal_message_without_action_is_none(message):
    assert refusal_in(message) is None


ABOUT_KEY = f"{WHO} kms:GenerateDataKey {SCP}"
FUNCTION = f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:f"
CREATE = {"functionName": "f", "role": OPS}
NARROWED = [
    # the record, its requests
    (denied("sts:AssumeRole", f"{WHO} sts:AssumeRole on resource: {OPS}"), [("sts:AssumeRole", OPS)]),
    (denied("lambda:CreateFunction20150331", f"{WHO} {PASS_ROLE} on resource: {OPS} {BECAUSE}", CREATE), [(PASS_ROLE, OPS)]),
    (denied("lambda:CreateFunction20150331", f"{WHO} lambda:CreateFunction {SCP}", CREATE),
     [("lambda:CreateFunction", FUNCTION)]),
    (denied("s3:DeleteObjects", f'{WHO} s3:DeleteObject on resource: "{BUCKET}/k" {BECAUSE}', {"bucketName": "b"}),
     [("s3:DeleteObject", f"{BUCKET}/k")]),
    (denied("s3:PutObject", ABOUT_KEY, {"bucketName": "b", "key": "k"}), [("kms:GenerateDataKey", None)]),
    # the message is about another principal, the role of the function
    (denied("lambda:CreateFunction20150331", f"User: {SESSION} is not authorized to perform: ec2:CreateTags", CREATE),
     [("lambda:CreateFunction", FUNCTION), (PASS_ROLE, OPS)]),
    (denied("lambda:CreateFunction20150331", "Access Denied", CREATE), [("lambda:CreateFunction", FUNCTION), (PASS_ROLE, OPS)]),
    # of a call that was not denied
    (record("lambda:CreateFunction20150331", None, CREATE, errorCode="InvalidParameterValueException",
            errorMessage=f"{WHO} {PASS_ROLE} on resource: {OPS}"), [("lambda:CreateFunction", FUNCTION), (PASS_ROLE, OPS)]),
]  # fmt: skip


@pytest.mark.parametrize(("call", "rows"), NARROWED, ids=[f"{t['eventName']} {t['errorMessage'][-60:]}" for t, _ in NARROWED])
def test_denied_call_has_the_request_of_its_message(tmp_path, call, rows):
    assert rows_of(calls_of(tmp_path, call)) == rows


def test_denied_call_keeps_the_listed_owner(tmp_path):
    listed = [{"ARN": BUCKET, "accountId": ACCOUNT}]
    message = f'{WHO} s3:GetObject on resource: "{BUCKET}/k" {BECAUSE}'
    call = denied("s3:GetObject", message, {"bucketName": "b"}, resources=listed)
    assert calls_of(tmp_path, call).owners == [ACCOUNT]


def only(tmp_path: Path, call: dict[str, Any], **condition: Any) -> ReplayGroup:
    """The answer of an engine in which ana may create functions and assume a role, under a condition."""
    directory = fastiam.Directory()
    create = {"Effect": "Allow", "Action": "lambda:*", "Resource": "*"}
    directory.add_principal(ANA, identity_policies=[{"Version": "2012-10-17", "Statement": create}])
    directory.add_principal(OPS)
    trust = {"Effect": "Allow", "Principal": {"AWS": ANA}, "Action": "sts:AssumeRole"}
    trust |= {"Condition": condition} if condition else {}
    directory.add_resource(OPS, account=ACCOUNT, policy={"Version": "2012-10-17", "Statement": trust})
    (group,) = directory.compile().replay(fastiam.read_cloudtrail(write_log(tmp_path / "log.json", call))).groups
    return group


def test_denied_call_with_allowed_request_disagrees(tmp_path):
    message = f"{WHO} lambda:CreateFunction on resource: {FUNCTION} {BECAUSE}"
    group = only(tmp_path, denied("lambda:CreateFunction20150331", message, CREATE))
    assert (group.verdict, group.action, group.resource) == (Verdict.DISAGREES, "lambda:CreateFunction", FUNCTION)


def test_denied_call_without_parameters_is_decided(tmp_path):
    group = only(tmp_path, denied("sts:AssumeRole", f"{WHO} sts:AssumeRole on resource: {OPS}"))
    assert (group.outcome, group.verdict) == (Outcome.ALLOW, Verdict.DISAGREES)


CONDITIONS = [
    {"StringEquals": {"sts:ExternalId": "x"}},
    {"Null": {"sts:SourceIdentity": "true"}},
    {"Bool": {"aws:MultiFactorAuthPresent": "true"}},
    {"NumericLessThan": {"aws:MultiFactorAuthAge": "300"}},
]


@pytest.mark.parametrize("condition", CONDITIONS, ids=str)
def test_denied_sts_call_without_parameters_has_unknown_keys(tmp_path, condition):
    group = only(tmp_path, denied("sts:AssumeRole", f"{WHO} sts:AssumeRole on resource: {OPS}"), **condition)
    (key,) = (key.lower() for keys in condition.values() for key in keys)
    assert (group.outcome, group.depends_on) == (Outcome.DEPENDS, (key,))


def test_denied_iam_call_without_parameters_has_unknown_policy(tmp_path):
    directory = fastiam.Directory()
    statement = {"Effect": "Allow", "Action": "iam:*", "Resource": "*"}
    statement["Condition"] = {"ArnEquals": {"iam:PolicyARN": "arn:aws:iam::aws:policy/X"}}
    directory.add_principal(ANA, identity_policies=[{"Version": "2012-10-17", "Statement": statement}])
    call = denied("iam:AttachRolePolicy", f"{WHO} iam:AttachRolePolicy on resource: role ops {BECAUSE}")
    (group,) = directory.compile().replay(fastiam.read_cloudtrail(write_log(tmp_path / "log.json", call))).groups
    assert (group.outcome, group.depends_on, group.resource) == (Outcome.DEPENDS, ("iam:policyarn",), OPS)


@pytest.mark.parametrize(("action", "is_open"), [("kms:GenerateDataKey", True), ("s3:PutObject", False), (PASS_ROLE, False)])
def test_denied_request_of_a_service_has_unknown_network(tmp_path, action, is_open):
    call = denied("s3:PutObject", f"{WHO} {action} on resource: * {BECAUSE}", {"bucketName": "b", "key": "k"})
    directory = fastiam.Directory()
    statement = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    statement["Condition"] = {"Bool": {"aws:ViaAWSService": "true"}}
    directory.add_principal(ANA, identity_policies=[{"Version": "2012-10-17", "Statement": statement}])
    (group,) = directory.compile().replay(fastiam.read_cloudtrail(write_log(tmp_path / "log.json", call))).groups
    assert (group.action, "aws:viaawsservice" in group.depends_on) == (action, is_open)


def test_refusal_message_of_a_session_is_used(tmp_path):
    message = f"User: {SESSION} is not authorized to perform: iam:GetUser on resource: user bob {BECAUSE}"
    call = denied("iam:GetUser", message, {"userName": "bob"}, session())
    assert rows_of(calls_of(tmp_path, call)) == [("iam:GetUser", f"arn:aws:iam::{ACCOUNT}:user/bob")]


def test_refusal_short_name_is_in_the_callers_account(tmp_path):
    stranger = user("arn:aws:iam::222222222222:user/x") | {"accountId": "222222222222"}
    message = f"User: {stranger['arn']} is not authorized to perform: iam:GetUser on resource: user x {BECAUSE}"
    assert rows_of(calls_of(tmp_path, denied("iam:GetUser", message, None, stranger))) == [("iam:GetUser", stranger["arn"])]
