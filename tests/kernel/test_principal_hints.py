"""Principal hints: a batch skips allows of a resource policy for other principals or accounts (3.3, 6.4).

Decisions equal those of single requests."""

from __future__ import annotations

import random
from typing import Any

import pytest

import fastiam
from fastiam import Outcome, Session

A, B = "111111111111", "222222222222"
ROLES = [f"arn:aws:iam::{A}:role/path/r{i}" for i in range(40)]
USERS = [f"arn:aws:iam::{A}:user/u{i}" for i in range(8)]
ELSEWHERE = [f"arn:aws:iam::{B}:role/r{i}" for i in range(4)]
CALLERS = [*ROLES, *USERS, *ELSEWHERE]
SESSIONS = [f"arn:aws:sts::{A}:assumed-role/r{i}/{name}" for i in range(40) for name in ("ana", "bo")]
STRANGER = f"arn:aws:sts::{A}:assumed-role/gone/ana"
QUEUE, KEY = f"arn:aws:sqs:eu-west-1:{A}:q", f"arn:aws:kms:eu-west-1:{A}:key/k"
BUCKET, OBJECT = "arn:aws:s3:::data", "arn:aws:s3:::data/k"
ACTIONS = {QUEUE: "sqs:SendMessage", KEY: "kms:Decrypt", BUCKET: "s3:ListBucket", OBJECT: "s3:GetObject"}
CONDITIONS: list[dict[str, Any]] = [
    {},
    {},
    {},
    {"Bool": {"aws:SecureTransport": "true"}},
    {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}},
]


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def principal_element(rng: random.Random) -> Any:
    """A principal element in one of the forms of 3.2; most have a principal hint."""
    some = rng.sample([*ROLES, *USERS], 2)
    forms: list[Any] = [
        *[{"AWS": one} for one in some],
        {"AWS": some},
        {"AWS": rng.choice(SESSIONS)},
        {"AWS": rng.choice(ELSEWHERE)},
    ]
    forms += [{"AWS": A}, {"AWS": f"arn:aws:iam::{A}:root"}, {"AWS": B}, {"AWS": [A, some[0]]}, {"AWS": [A, B]}]
    forms += [{"Service": "sns.amazonaws.com"}, {"Service": "sns.amazonaws.com", "AWS": some[0]}]
    return "*" if rng.random() < 0.03 else rng.choice(forms)


def a_directory(rng: random.Random, n: int) -> fastiam.Directory:
    directory = fastiam.Directory("lenient", quotas=None)
    for arn in CALLERS:
        allowed = {"Effect": "Allow", "Action": ["s3:*", "sqs:*", "kms:*"], "Resource": "*"}
        directory.add_principal(arn, identity_policies=[policy(allowed)] if rng.random() < 0.4 else [])
    for arn, resources in ((QUEUE, "*"), (KEY, "*"), (BUCKET, [BUCKET, OBJECT])):
        statements = [
            {"Effect": "Allow", "Principal": principal_element(rng), "Action": "*", "Resource": resources}
            | ({"Condition": condition} if (condition := rng.choice(CONDITIONS)) else {})
            for _ in range(n)
        ]
        if rng.random() < 0.5:
            statements.append({"Effect": "Deny", "Principal": {"AWS": rng.choice(ROLES)}, "Action": "*", "Resource": resources})
        directory.add_resource(arn, account=A, policy=policy(*statements))
    return directory


@pytest.mark.parametrize("n", [1, 2, 3, 6, 12, 30, 40, 64])
@pytest.mark.parametrize("seed", range(3))
def test_allows_for_other_principals_keep_decision(seed: int, n: int) -> None:
    rng = random.Random(f"{seed} {n}")
    engine = a_directory(rng, n).compile()
    carried = Session(f"arn:aws:sts::{A}:assumed-role/r7/cy", kind="ROLE", issuer=ROLES[7])
    names = [*CALLERS, *SESSIONS, STRANGER, carried.arn]
    rows = [(rng.choice(names), arn, rng.choice(["true", "false", None])) for arn in rng.choices(list(ACTIONS), k=1200)]

    def alone(name: str, arn: str, secure: str | None) -> tuple[Outcome, str]:
        who = carried if name == carried.arn else name
        found = engine.decide(
            who, ACTIONS[arn], arn, {"aws:SourceIp": "10.1.1.1"} | ({"aws:SecureTransport": secure} if secure else {})
        )
        return found.outcome, str(found.layer)

    expected = [alone(*row) for row in rows]
    assert {outcome for outcome, _ in expected} >= {Outcome.ALLOW, Outcome.IMPLICIT_DENY}
    for reasons in (False, True, False):
        found = engine.decide_many(
            [name for name, *_ in rows],
            [ACTIONS[arn] for _, arn, _ in rows],
            [arn for _, arn, _ in rows],
            {"aws:SourceIp": "10.1.1.1", "aws:SecureTransport": [secure for *_, secure in rows]},
            sessions={carried.arn: carried},
            reasons=reasons,
        )
        assert found.outcome.tolist() == [outcome for outcome, _ in expected]
        if reasons:
            assert [str(layer) for layer in found.layer] == [layer for _, layer in expected]


@pytest.mark.parametrize("resource", [QUEUE, KEY])
@pytest.mark.parametrize("open_ones", [3, 9, 10, 11, 20])
def test_last_allow_for_the_principal_counts_among_others(resource: str, open_ones: int) -> None:
    """They are put aside in ten ranges at most; the policy of a key must allow, that of a queue need not."""
    who = ROLES[0]
    others = [*ROLES[1:], *ELSEWHERE]
    statements: list[dict[str, Any]] = []
    for i in range(open_ones):
        about = {"Effect": "Allow", "Principal": {"AWS": who}, "Action": "*", "Resource": "*"}
        statements.append(about | {"Condition": {"StringEquals": {"app:step": str(i)}}})
        statements.append(about | {"Principal": {"AWS": others[i % len(others)]}})
    directory = fastiam.Directory("lenient", quotas=None)
    for arn in CALLERS:
        directory.add_principal(arn, identity_policies=[])
    directory.add_resource(resource, account=A, policy=policy(*statements))
    engine = directory.compile()
    steps = [str(i % (open_ones + 1)) for i in range(1200)]
    found = engine.decide_many(who, ACTIONS[resource], resource, {"app:step": steps}, reasons=True)
    assert found.outcome.tolist() == [Outcome.ALLOW if int(one) < open_ones else Outcome.IMPLICIT_DENY for one in steps]
    assert {(one, sid) for one, sid in zip(steps, found.statement, strict=True) if int(one) < open_ones} == {
        (str(i), f"#{2 * i}") for i in range(open_ones)
    }
