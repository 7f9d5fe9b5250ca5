"""Single calls for resources that a directory knows: the path changes only the time (D23, 6.3 to 6.5)."""

from __future__ import annotations

import itertools

import pytest
from specification import explained_decision

import fastiam
from fastiam import Engine

A, B = "111111111111", "222222222222"
ANA, BOB, APP = f"arn:aws:iam::{A}:user/ana", f"arn:aws:iam::{A}:user/bob", f"arn:aws:iam::{A}:role/app"
RUN, THEIRS = f"arn:aws:sts::{A}:assumed-role/app/run", f"arn:aws:iam::{B}:user/them"
SECRET = f"arn:aws:secretsmanager:eu-west-1:{A}:secret:db-AbCdEf"
KEY = f"arn:aws:kms:eu-west-1:{A}:key/1"


def document(*statements):
    return {"Version": "2012-10-17", "Statement": list(statements)}


def statement(effect, action, resource, principal=None, **condition):
    made = {"Effect": effect, "Action": action, "Resource": resource}
    return made | ({"Principal": principal} if principal else {}) | ({"Condition": condition} if condition else {})


WORK = document(
    statement("Allow", ["s3:*", "sqs:*", "kms:*", "iam:*", "sts:*"], "*"),
    statement("Deny", "s3:*", "arn:aws:s3:::*/secret/*"),
    statement("Allow", "secretsmanager:*", "*", StringEquals={"aws:ResourceTag/team": "a"}),
)
# name -> (ARN, what `add_resource` takes)
RESOURCES = {
    "own": ("arn:aws:s3:::own", {"account": A}),
    "tagged": ("arn:aws:s3:::tagged", {"account": A, "tags": {"team": "a"}}),
    "closed": ("arn:aws:s3:::closed", {"account": A, "restrict_public_buckets": True}),
    "theirs": ("arn:aws:s3:::theirs", {"account": B}),
    "granted": (
        "arn:aws:s3:::granted",
        {"account": A, "policy": document(statement("Allow", "s3:*", "arn:aws:s3:::granted/*", {"AWS": BOB}))},
    ),
    "refused": (
        "arn:aws:s3:::refused",
        {"account": A, "policy": document(statement("Deny", "s3:Put*", "arn:aws:s3:::refused/*", "*"))},
    ),
    "queue": (f"arn:aws:sqs:eu-west-1:{A}:q", {}),
    "secret": (SECRET, {"tags": {"team": "a"}}),
    "key": (KEY, {"policy": document(statement("Allow", "kms:*", "*", {"AWS": f"arn:aws:iam::{A}:root"}))}),
}
BUCKETS = [arn for arn, _ in RESOURCES.values() if arn.startswith("arn:aws:s3")]
REQUESTS = [
    *[(f"s3:{verb}Object", f"{arn}/{key}") for verb in ("Get", "Put") for arn in BUCKETS for key in ("x", "secret/x")],
    ("s3:ListBucket", "arn:aws:s3:::own"),
    ("s3:ListBucket", "arn:aws:s3:::nobodys"),
    ("s3:GetObject", "arn:aws-cn:s3:::own/x"),
    ("sqs:SendMessage", f"arn:aws:sqs:eu-west-1:{A}:q"),
    ("sqs:SendMessage", f"arn:aws:sqs:eu-west-1:{A}:other"),
    ("secretsmanager:GetSecretValue", SECRET),
    ("secretsmanager:GetSecretValue", SECRET[:-7]),
    ("kms:Decrypt", KEY),
    ("kms:Decrypt", KEY[:-1] + "2"),
    ("iam:GetRole", APP),
    ("iam:PassRole", APP),
    ("iam:DeleteRole", f"arn:aws:iam::{A}:role/aws-service-role/x"),
    ("sts:AssumeRole", APP),
]


def directory(is_limited: bool) -> fastiam.Directory:
    made = fastiam.Directory("strict", quotas=None)
    limits = {"permissions_boundary": document(statement("Allow", "s3:*", "*"))} if is_limited else {}
    made.add_principal(ANA, identity_policies=[WORK], **limits)
    made.add_principal(BOB)
    made.add_principal(THEIRS, identity_policies=[WORK])
    trust = document({"Effect": "Allow", "Principal": {"AWS": ANA}, "Action": "sts:AssumeRole"})
    made.add_principal(APP, identity_policies=[WORK], trust_policy=trust)
    for arn, arguments in RESOURCES.values():
        made.add_resource(arn, **arguments)
    return made


@pytest.fixture(scope="module", params=[False, True], ids=["alone", "bounded"])
def engine(request: pytest.FixtureRequest) -> Engine:
    return directory(request.param).compile()


@pytest.mark.parametrize(("action", "resource"), REQUESTS, ids=[f"{action} {resource}" for action, resource in REQUESTS])
def test_call_for_a_known_resource_equals_its_explanation(engine, action, resource):
    for principal in (ANA, BOB, RUN, THEIRS):
        expected = explained_decision(engine, principal, action, resource)
        for _ in range(3):  # new, then interned, then cached
            assert engine.decide(principal, action, resource) == expected, principal
            assert engine.is_allowed(principal, action, resource) == (expected.outcome is fastiam.Outcome.ALLOW), principal


def test_requests_for_known_resources_cover_each_outcome(engine):
    layers = {engine.decide(who, *request_).layer for who, request_ in itertools.product((ANA, BOB, RUN, THEIRS), REQUESTS)}
    assert {"identity", "resource"} <= {layer.value for layer in layers if layer}


def test_policy_added_to_a_known_resource_is_evaluated():
    known = directory(False)
    engine = known.compile()
    request_ = (ANA, "s3:GetObject", "arn:aws:s3:::own/x")
    assert [engine.is_allowed(*request_) for _ in range(3)] == [True] * 3
    known.set_resource_policy("arn:aws:s3:::own", document(statement("Deny", "s3:*", "arn:aws:s3:::own/*", "*")))
    later = engine.updated(known)
    assert [later.is_allowed(*request_) for _ in range(3)] == [False] * 3
    assert engine.is_allowed(*request_)


def test_service_name_with_trailing_nul_is_different():
    engine = directory(False).compile()
    refused = (ANA, "s3:PutObject", "arn:aws:s3:::refused/x")
    assert not engine.is_allowed(*refused)
    for name in ("s3\0", "\0", "sqs\0\0"):
        engine.is_allowed(ANA, "s3:PutObject", f"arn:aws:{name}:::refused/x")
        assert not engine.is_allowed(*refused)
        assert engine.decide(*refused) == explained_decision(engine, *refused)
