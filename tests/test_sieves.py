"""SCPs and RCPs are not looked at where a condition of each deny is known to be false; neither answers nor counts show it."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

import fastiam
from fastiam import Session

A, B, X, M = "111111111111", "222222222222", "333333333333", "999999999999"  # X is a stranger
EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
USERS = [f"arn:aws:iam::{A}:user/ana", f"arn:aws:iam::{A}:user/bo", f"arn:aws:iam::{B}:user/ben", f"arn:aws:iam::{X}:user/xia"]
RUN = f"arn:aws:sts::{A}:assumed-role/Dep/run"
CALLERS = [*USERS, RUN, "s3.amazonaws.com"]
RESOURCES = [f"arn:aws:sqs:eu-west-1:{account}:{name}" for account in (A, B, X) for name in ("q", "prod")] + [
    "arn:aws:s3:::bucket/k"
]
CONTEXT: dict[str, list[Any]] = {
    "aws:SourceIp": ["10.0.0.1", "192.0.2.7", None],
    "aws:SecureTransport": ["true", "false"],
    "aws:SourceVpce": ["vpce-1", "vpce-2", None],
    "aws:MultiFactorAuthPresent": ["true", None],
    "aws:CalledVia": [["athena.amazonaws.com"], None],
    "app:stage": ["prod", "test", None],
}
ENTRIES: list[dict[str, dict[str, Any]]] = [
    {"StringNotEqualsIfExists": {"aws:PrincipalOrgID": "o-1"}},
    {"Bool": {"aws:PrincipalIsAWSService": "true"}},
    {"BoolIfExists": {"aws:PrincipalIsAWSService": "false"}},
    {"StringEquals": {"aws:PrincipalTag/team": "red"}},
    {"ArnNotLike": {"aws:PrincipalArn": "arn:aws:iam::*:user/ana"}},
    {"StringNotEquals": {"aws:ResourceAccount": A}},
    {"StringNotEqualsIfExists": {"aws:ResourceOrgID": "${aws:PrincipalOrgID}"}},
    {"NotIpAddressIfExists": {"aws:SourceIp": "10.0.0.0/8"}},
    {"Bool": {"aws:SecureTransport": "false"}},
    {"StringEquals": {"aws:SourceVpce": "vpce-1"}},
    {"Null": {"aws:SourceAccount": "false"}},
    {"Bool": {"aws:MultiFactorAuthPresent": "false"}},
    {"BoolIfExists": {"aws:ViaAWSService": "false"}},
    {"StringEquals": {"app:stage": "prod"}},
    {"StringEquals": {"app:stage": "${aws:PrincipalTag/team}"}},
    {"DateLessThan": {"aws:CurrentTime": "2030-01-01T00:00:00Z"}},
    {"StringNotEquals": {"aws:ResourceTag/x": "1"}},
    {"NumericLessThan": {"app:stage": "5"}},  # no stage is a number: U
]


def a_deny(rng: random.Random, **principal: str) -> dict[str, Any]:
    """A statement of one to four conditions, on all resources or some."""
    condition: dict[str, dict[str, Any]] = {}
    for entry in rng.sample(ENTRIES, rng.randrange(1, 5)):
        for operator, keys in entry.items():
            condition.setdefault(operator, {}).update(keys)
    resource = rng.choice(["*", "*", "arn:aws:sqs:*:*:prod"])
    return {"Effect": "Deny", **principal, "Action": "*", "Resource": resource, "Condition": condition}


def an_organization(rng: random.Random) -> fastiam.Directory:
    directory = fastiam.Directory(quotas=None)

    def denies(**principal: str) -> dict[str, Any]:
        return {"Version": "2012-10-17", "Statement": [a_deny(rng, **principal) for _ in range(rng.randrange(1, 4))]}

    directory.set_organization(
        "o-1",
        management_account=M,
        accounts={A: "ou-a", B: "ou-b"},
        scps={"r-1": [EVERYTHING, denies()], "ou-a": [EVERYTHING, denies()]},
        rcps={"r-1": [denies(Principal="*")], "ou-b": [denies(Principal="*")]},
    )
    for i, user in enumerate(USERS):
        directory.add_principal(user, identity_policies=[EVERYTHING], tags={"team": "red"} if i % 2 else {"team": "prod"})
    directory.add_principal(f"arn:aws:iam::{A}:role/Dep", identity_policies=[EVERYTHING], tags={"team": "red"})
    for arn in RESOURCES:
        everybody = {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}
        policy = {"Version": "2012-10-17", "Statement": [everybody]}
        account = None if arn.startswith("arn:aws:sqs") else A
        directory.add_resource(arn.split("/")[0], account=account, policy=policy, tags={"x": "1"} if "prod" in arn else {})
    return directory


@pytest.mark.parametrize("seed", range(12))
def test_what_is_sifted_out_denies_nothing(seed: int) -> None:
    rng = random.Random(seed)
    engine = an_organization(rng).compile()
    keys = rng.sample(sorted(CONTEXT), rng.randrange(2, len(CONTEXT) + 1))
    sessions = {RUN: Session(RUN, kind="ROLE", issuer=f"arn:aws:iam::{A}:role/Dep")}
    rows = []
    for _ in range(1500):
        who = rng.choice(CALLERS)
        given = {key: rng.choice(CONTEXT[key]) for key in keys}
        if who == RUN and "aws:MultiFactorAuthPresent" in given:
            given["aws:MultiFactorAuthPresent"] = None  # it is known to have none (K1)
        arn = rng.choice(RESOURCES)
        rows.append((who, f"{arn.split(':')[2]}:Do", arn, given))

    def decide(some: list[Any], **more: Any) -> fastiam.Decisions:
        columns = [[row[i] for row in some] for i in range(3)]
        return engine.decide_many(*columns, {key: [row[3][key] for row in some] for key in keys}, sessions=sessions, **more)

    expected = [engine.explain(sessions.get(who, who), action, arn, given).decision for who, action, arn, given in rows]
    counted: Counter[str] = Counter()
    for at in range(0, len(rows), 100):  # as many keep no truths, so that nothing is sifted
        counted.update(decide(rows[at : at + 100]).unread)
    for _ in range(3):
        found = decide(rows)
        assert found.outcome.tolist() == [decision.outcome for decision in expected]
        assert found.unread == counted
    told = decide(rows, reasons=True)
    assert [str(layer) for layer in told.layer] == [str(decision.layer) for decision in expected]
