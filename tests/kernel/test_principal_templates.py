"""Principals whose names differ only after the last slash share a template (N5): conditions are evaluated once for all of them,
unless they read the varying part (VR6). Each decision equals that of a single request.
"""

from __future__ import annotations

import random

import pytest

import fastiam
from fastiam import Directory, Engine, Outcome, Session

A = "111111111111"
ROLES = [f"arn:aws:iam::{A}:role/{name}" for name in ("app", "ops")]
N = 1_500  # rows: enough that truths are kept
CONDITIONS = {
    "MFA": {"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}},
    "MFA that is there": {"Bool": {"aws:MultiFactorAuthPresent": "true"}},
    "the name of a session": {"StringLike": {"aws:userid": "*:s1*"}},
    "the name in a value": {"StringEquals": {"aws:RequestTag/owner": "${aws:userid}"}},
    "the name of a user": {"StringLike": {"aws:username": "u1*"}},
    "the ARN of the principal": {"ArnLike": {"aws:PrincipalArn": ["arn:aws:iam::*:role/app", "arn:aws:iam::*:user/u1*"]}},
    "a tag": {"StringEquals": {"aws:PrincipalTag/team": "red"}},
    "a tag in a value": {"StringEquals": {"aws:RequestTag/owner": "${aws:PrincipalTag/team}"}},
    "no tag": {"Null": {"aws:PrincipalTag/team": "true"}},
    "an account": {"StringEquals": {"aws:PrincipalAccount": A}},
}


def document(*statements):
    return {"Version": "2012-10-17", "Statement": list(statements)}


def directory(condition: dict, *, organized: bool = False) -> Directory:
    """Two roles, one of them tagged; the unknown users of the account come in by the policy of a bucket.

    In an organization denies are pruned by truths of the principal.
    """
    policy = document(
        {"Effect": "Allow", "Action": "s3:*", "Resource": "*"},
        {"Effect": "Deny", "Action": "s3:Put*", "Resource": "*", "Condition": condition},
        {"Effect": "Deny", "Action": "s3:Get*", "Resource": "arn:aws:s3:::*/${aws:userid}/*"},
    )
    shared = document(
        {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{A}:root"}, "Action": "s3:List*", "Resource": "arn:aws:s3:::b"},
        {"Effect": "Allow", "Principal": "*", "Action": "s3:GetTag*", "Resource": "arn:aws:s3:::b/*", "Condition": condition},
    )
    made = Directory("lenient", quotas=None)
    if organized:
        allow = document({"Effect": "Allow", "Action": "*", "Resource": "*"})
        deny = document({"Effect": "Deny", "Action": "s3:Put*", "Resource": "*", "Condition": condition})
        made.set_organization("o-1", management_account="999999999999", accounts={A: "r-1"}, scps={"r-1": [allow, deny]})
    for role, tags in zip(ROLES, ({"team": "red"}, {}), strict=True):
        made.add_principal(role, identity_policies=[policy], tags=tags)
    made.add_resource("arn:aws:s3:::b", account=A, policy=shared)
    return made


def session(role: int, name: str) -> str:
    return f"arn:aws:sts::{A}:assumed-role/{ROLES[role].rpartition('/')[2]}/{name}"


def rows(seed: int, sessions: dict[str, Session]) -> list[tuple[str, str, str, dict[str, str | None]]]:
    r = random.Random(seed)
    people = [session(role, f"s{i}") for role in (0, 1) for i in range(40)] + [f"arn:aws:iam::{A}:user/u{i}" for i in range(40)]
    people += [*sessions, *ROLES]
    actions = ["s3:PutObject", "s3:GetObject", "s3:GetTagging", "s3:ListBucket"]
    owners = ["red", "u1", "AROA:s1", None]
    resources = ["arn:aws:s3:::b/x", "arn:aws:s3:::b"]
    return [
        (r.choice(people), r.choice(actions), r.choice(resources), {"aws:RequestTag/owner": r.choice(owners)}) for _ in range(N)
    ]


def decided(engine: Engine, asked, sessions) -> list[tuple[Outcome, str | None]]:
    columns = [list(column) for column in zip(*asked, strict=True)]
    context = {"aws:RequestTag/owner": [given["aws:RequestTag/owner"] for given in columns[3]]}
    found = engine.decide_many(*columns[:3], context, sessions=sessions, reasons=True)
    return [(row.outcome, row.layer and row.layer.value) for row in found]


@pytest.mark.parametrize("organized", [False, True], ids=["alone", "in an organization"])
@pytest.mark.parametrize("name", CONDITIONS)
def test_template_instance_is_decided_like_a_single_principal(name: str, organized: bool) -> None:
    made = directory(CONDITIONS[name], organized=organized)
    alone = directory(CONDITIONS[name], organized=organized).compile()
    sessions = {
        session(0, "s1-own"): Session(session(0, "s1-own"), kind="ROLE", issuer=ROLES[0], tags={"team": "blue"}),
        session(1, "s2-own"): Session(session(1, "s2-own"), kind="ROLE", issuer=ROLES[1], tags={"team": "red"}),
    }
    engine, known = made.compile(), {}
    for seed in range(3):  # no principal is cached, then all are, then memoized truths last
        asked = rows(seed % 2, sessions)
        answers = decided(engine, asked, sessions)
        for (who, action, resource, given), answer in zip(asked, answers, strict=True):
            key = who, action, resource, given["aws:RequestTag/owner"]
            if key not in known:
                single = alone.decide(sessions.get(who, who), action, resource, given)
                known[key] = single.outcome, single.layer and single.layer.value
            assert answer == known[key], (name, key)
    assert len({outcome for outcome, _ in known.values()}) >= 2


def test_template_instance_with_record_leaves_the_template() -> None:
    made = directory(CONDITIONS["a tag"])
    engine = made.compile()
    who = f"arn:aws:iam::{A}:user/u7"
    asked = [(who, "s3:GetTagging", "arn:aws:s3:::b/x", {"aws:RequestTag/owner": None})] * N
    assert {outcome for outcome, _ in decided(engine, asked, {})} == {Outcome.IMPLICIT_DENY}
    made.add_principal(who, tags={"team": "red"})
    assert {outcome for outcome, _ in decided(engine.updated(made), asked, {})} == {Outcome.ALLOW}
    assert {outcome for outcome, _ in decided(engine, asked, {})} == {Outcome.IMPLICIT_DENY}


def test_template_instance_column_values_are_verified() -> None:  # K1
    engine = directory(CONDITIONS["the name of a session"]).compile()
    people = [session(0, f"s{i % 30}") for i in range(N)]
    alone = directory(CONDITIONS["the name of a session"]).compile()
    tags = [("red", "blue")[i % 50 == 49] for i in range(N)]
    decided = engine.decide_many(people, "s3:PutObject", "arn:aws:s3:::b/x", {"aws:PrincipalTag/team": tags}, on_error="deny")
    for i in range(0, N, 7):
        try:
            expected = alone.decide(people[i], "s3:PutObject", "arn:aws:s3:::b/x", {"aws:PrincipalTag/team": tags[i]}).outcome
        except fastiam.FastiamError:
            expected = Outcome.ERROR
        assert decided.outcome[i] == expected, i
    assert (decided.outcome == Outcome.ERROR).sum() == N // 50


@pytest.mark.parametrize("name", CONDITIONS)
@pytest.mark.parametrize("few", [1, 100])
def test_template_small_batch_after_large_one_decides_equally(name: str, few: int) -> None:
    """The large batch memoizes that a deny is false for the role itself: this does not hold for its session names."""
    engine = directory(CONDITIONS[name], organized=True).compile()
    engine.decide_many([ROLES[0]] * 600, "s3:PutObject", "arn:aws:s3:::b/k")
    for who in (session(0, "s1"), session(0, "x"), f"arn:aws:iam::{A}:user/u1", ROLES[1]):
        alone = engine.explain(who, "s3:PutObject", "arn:aws:s3:::b/k").decision.outcome
        assert engine.decide_many([who] * few, "s3:PutObject", "arn:aws:s3:::b/k").outcome.tolist() == [alone] * few
