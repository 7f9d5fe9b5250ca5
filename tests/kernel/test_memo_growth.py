"""The memo with truths of more principals than its first size: evicted truths are evaluated again, and the memo grows."""

from __future__ import annotations

import pytest

from fastiam import Directory, Outcome

A, B = "111111111111", "222222222222"
N_USERS = 4_000
ENDINGS = [f"{k}{k}" for k in range(10)] + ["07", "70"]


def document(*statements):
    return {"Version": "2012-10-17", "Statement": list(statements)}


@pytest.fixture(scope="module")
def engine():
    """Users that one policy denies by how their names end: a condition an ending, which says something else of each caller."""
    directory = Directory(quotas=None)
    policy = f"arn:aws:iam::{A}:policy/Endings"
    denies = [
        {
            "Effect": "Deny",
            "Action": "*",
            "Resource": "*",
            "Condition": {"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::*:user/u*{end}"}},
        }
        for end in ENDINGS
    ]
    directory.add_managed_policy(policy, document({"Effect": "Allow", "Action": "s3:*", "Resource": "*"}, *denies))
    for n in range(N_USERS):
        directory.add_principal(user(n), identity_policies=[policy])
    return directory.compile()


def user(n: int) -> str:
    return f"arn:aws:iam::{A}:user/u{n:05}"


def test_memo_many_principals_keep_separate_truths(engine):
    asking = [n * 7 % N_USERS for n in range(3 * N_USERS)]
    expected = [Outcome.EXPLICIT_DENY if f"{n:05}"[-2:] in ENDINGS else Outcome.ALLOW for n in asking]
    assert len(set(expected)) == 2
    for _ in range(4):
        found = engine.decide_many([user(n) for n in asking], "s3:GetObject", "arn:aws:s3:::bucket/k")
        assert found.outcome.tolist() == expected
