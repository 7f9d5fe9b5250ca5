"""Services and anonymous callers in batches (6.4, N12, D19): each row of a batch equals a single call."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from seeds import seeds
from specification import explained_decision

import fastiam
from fastiam import Outcome
from fastiam.errors import RequestValueError

A, B, X, M = "111111111111", "222222222222", "333333333333", "999999999999"  # X is a stranger
SERVICES = ["s3.amazonaws.com", "sns.amazonaws.com", "logs.eu-west-1.amazonaws.com", "ec2.amazonaws.com"]
USER, ROLE = f"arn:aws:iam::{A}:user/ana", f"arn:aws:iam::{A}:role/app"
CALLERS = [*SERVICES, USER, ROLE, "*", "*"]
KEY, GROUP = f"arn:aws:kms:eu-west-1:{A}:key/k", f"arn:aws:logs:eu-west-1:{A}:log-group:g:*"
OPEN, LONG = "arn:aws:s3:::open", f"arn:aws:sqs:eu-west-1:{B}:long"
STORED = {
    LONG: B,
    f"arn:aws:sqs:eu-west-1:{A}:q": A,
    f"arn:aws:sqs:us-east-1:{B}:q": B,
    f"arn:aws:sqs:eu-west-1:{X}:q": X,
    f"arn:aws-cn:sqs:cn-north-1:{B}:q": B,
    f"arn:aws:sns::{B}:topic": B,  # without a region
    "arn:aws:s3:::bucket": A,
    "arn:aws:s3:::closed": B,
    OPEN: X,
    KEY: A,
    ROLE: A,
}
OTHERS = [
    f"arn:aws:sqs:eu-west-1:{A}:unknown",
    "arn:aws:s3:::nobody/k",
    "arn:aws:s3:::bucket/k",
    f"arn:aws:iam::{A}:role/aws-service-role/x.amazonaws.com/Linked",
    f"arn:aws:iam::{A}:role/gone",
    f"arn:aws:kms:eu-west-1:{B}:key/gone",
    "arn:aws:sqs:eu-west-1:000000000000:q",
    "*",
]
ACTIONS = {
    "iam": ["sts:AssumeRole", "sts:TagSession", "iam:PassRole", "iam:GetRole"],
    "kms": ["kms:Decrypt", "kms:RetireGrant"],
    "s3": ["s3:PutObject", "s3:GetObject"],
    "sns": ["sns:Publish", "sts:GetCallerIdentity"],
    "sqs": ["sqs:SendMessage", "sqs:DeleteQueue"],
    "logs": ["logs:PutLogEvents"],
    "*": ["sqs:ListQueues", "sts:GetCallerIdentity"],
}
CONTEXT: dict[str, list[Any]] = {
    "aws:SourceAccount": [A, B, None],
    "aws:SourceArn": ["arn:aws:s3:::bucket", f"arn:aws:sns:eu-west-1:{B}:topic", None],
    "aws:SourceOrgID": ["o-1", None],
    "aws:SourceIp": ["10.0.0.1", None],
    "aws:RequestedRegion": ["eu-west-1", None],
    "aws:ResourceTag/x": ["1", None],
    "aws:PrincipalIsAWSService": ["true", None],
    "aws:PrincipalServiceNamesList": [["sns.amazonaws.com"], None],
    "aws:SourceVpce": ["vpce-1", "vpce-2", None],
}
WHO: list[Any] = [
    "*",
    {"AWS": "*"},
    {"AWS": A},
    {"AWS": [A, B]},
    {"AWS": USER},
    {"Service": "s3.amazonaws.com"},
    {"Service": SERVICES[1:3]},
    {"Service": SERVICES[:2], "AWS": B},
]
CONDITIONS: list[dict[str, Any]] = [
    {"StringEquals": {"aws:SourceAccount": A}},
    {"StringNotEqualsIfExists": {"aws:SourceAccount": "${aws:ResourceAccount}"}},
    {"ArnLike": {"aws:SourceArn": "arn:aws:s3:::*"}},
    {"StringNotEqualsIfExists": {"aws:SourceOrgID": "o-1"}},
    {"Bool": {"aws:PrincipalIsAWSService": "false"}},
    {"BoolIfExists": {"aws:PrincipalIsAWSService": "true"}, "Null": {"aws:SourceAccount": "false"}},
    {"StringEquals": {"aws:PrincipalServiceName": SERVICES[0]}},
    {"ForAnyValue:StringLike": {"aws:PrincipalServiceNamesList": "s*.amazonaws.com"}},
    {"StringNotEqualsIfExists": {"aws:PrincipalOrgID": "o-1"}},
    {"StringNotEqualsIfExists": {"aws:ResourceOrgID": "${aws:PrincipalOrgID}"}},
    {"StringEquals": {"aws:ResourceAccount": [A, X]}},
    {"Null": {"aws:PrincipalArn": "true"}},
    {"StringEquals": {"aws:RequestedRegion": ["eu-west-1", "us-east-1"]}},
    {"StringNotEquals": {"aws:ResourceTag/x": "1"}},
    {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}},
    {"NotIpAddressIfExists": {"aws:SourceIp": "10.0.0.0/8"}},
    {"Bool": {"aws:SecureTransport": "false"}},
]


def some_statements(rng: random.Random, effect: str, most: int, *, has_principal: bool = True) -> list[dict[str, Any]]:
    found = []
    for _ in range(rng.randrange(most + 1)):
        element = (
            {"NotPrincipal" if effect == "Deny" and rng.random() < 0.2 else "Principal": rng.choice(WHO)} if has_principal else {}
        )
        one = {"Effect": effect, **element, "Action": rng.choice(["*", "*", "s*:*", "sqs:Send*", "kms:*"]), "Resource": "*"}
        found.append(one | ({"Condition": rng.choice(CONDITIONS)} if effect == "Deny" or rng.random() < 0.6 else {}))
    return found


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def an_organization(rng: random.Random, *, endpoints: bool) -> fastiam.Directory:
    directory = fastiam.Directory("lenient", quotas=None)
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    denies = [one | {"Principal": "*"} for one in some_statements(rng, "Deny", 3, has_principal=False)]
    directory.set_organization(
        "o-1",
        management_account=M,
        accounts={A: "ou-a", B: "ou-b"},
        scps={"r-1": [policy(everything, *some_statements(rng, "Deny", 2, has_principal=False))]},
        rcps={"r-1": [policy(*denies)] if denies else []},
    )
    own = policy(everything, *some_statements(rng, "Deny", 1, has_principal=False))
    for arn in (USER, ROLE):
        directory.add_principal(arn, identity_policies=[own])
    for arn, account in STORED.items():
        statements = some_statements(rng, "Allow", 3) + some_statements(rng, "Deny", 2)
        if arn in (OPEN, KEY):  # to every principal; a key policy does not allow anonymous principals
            statements = [{"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}]
        if arn == LONG:  # more statements than a match program holds
            statements = [statement for i in range(100) for statement in some_statements(rng, "Allow", 1)]
        tags = {"x": "1"} if rng.random() < 0.3 else {}
        directory.add_resource(arn, account=account, policy=policy(*statements) if statements else None, tags=tags)
    directory.add_resource(
        GROUP, account=A, policy=policy({"Effect": "Allow", "Principal": WHO[-2], "Action": "*", "Resource": "*"})
    )
    if endpoints:
        directory.add_endpoint("vpce-1", policy=policy(*some_statements(rng, "Allow", 2)) if rng.random() < 0.5 else None)
    return directory


def some_rows(rng: random.Random, n: int, keys: list[str]) -> list[Any]:
    rows = []
    for _ in range(n):
        who, arn = rng.choice(CALLERS), rng.choice([*STORED, *OTHERS, GROUP])
        given = {key: rng.choice(CONTEXT[key]) for key in keys}
        if who not in SERVICES:
            given = {key: None if "Principal" in key else value for key, value in given.items()}  # known to have none (K1)
        rows.append((who, rng.choice(ACTIONS[arn if arn == "*" else arn.split(":")[2]]), arn, given))
    return rows


@pytest.mark.parametrize("endpoints", [False, True], ids=["", "endpoints"])
@pytest.mark.parametrize("seed", seeds(2, 12))
def test_batch_of_services_and_anonymous_equals_single_calls(seed: int, endpoints: bool) -> None:
    rng = random.Random(seed)
    directory = an_organization(rng, endpoints=endpoints)
    engine, alone = directory.compile(), directory.compile()
    keys = rng.sample(sorted(CONTEXT), rng.randrange(1, len(CONTEXT)))
    rows = some_rows(rng, 800, keys)

    def decide(some: list[Any], **more: Any) -> fastiam.Decisions:
        context = {key: [row[3][key] for row in some] for key in keys}
        return engine.decide_many(*([row[i] for row in some] for i in range(3)), context, on_error="deny", **more)

    def explained(who: str, action: str, arn: str, given: Any) -> tuple[int, str | None, bool]:
        try:
            found = explained_decision(alone, who, action, arn, {key: value for key, value in given.items() if value is not None})
        except RequestValueError:
            return fastiam.Outcome.ERROR, None, False
        return found.outcome, str(found.layer), found.assumed_owner

    expected = [explained(*row) for row in rows]
    for callers, least in ((SERVICES, 10), (["*"], 2)):
        outcomes = Counter(outcome for row, (outcome, *_) in zip(rows, expected, strict=True) if row[0] in callers)
        assert outcomes[fastiam.Outcome.ALLOW] > least < outcomes[fastiam.Outcome.IMPLICIT_DENY]
    assert decide(rows).outcome.tolist() == [outcome for outcome, *_ in expected]  # new entries take the general path
    counted: Counter[str] = Counter()
    for at in range(0, len(rows), 100):  # batches this small memoize no truths
        counted.update(decide(rows[at : at + 100]).missing_keys)
    for _ in range(3):
        found = decide(rows)
        assert found.outcome.tolist() == [outcome for outcome, *_ in expected]
        assert [row.assumed_owner for row in found] == [assumed for *_, assumed in expected]
        assert found.missing_keys == counted
    explained_rows = decide(rows, reasons=True)
    assert [layer and str(layer) for layer in explained_rows.layer] == [layer for _, layer, _ in expected]


@pytest.mark.parametrize("accounts", [B, [A, B]], ids=["one account", "two accounts"])
def test_principal_element_of_accounts_and_service_matches_each(accounts: Any) -> None:
    """3.3: in vectorised steps, which skip an allow for other accounts."""
    queue, other = f"arn:aws:sqs:eu-west-1:{A}:q", f"arn:aws:iam::{B}:role/other"
    allow = {"Effect": "Allow", "Action": "sqs:*", "Resource": "*"}
    shared = allow | {"Principal": {"AWS": accounts, "Service": "sns.amazonaws.com"}}
    directory = fastiam.Directory(quotas=None)
    directory.add_resource(queue, policy={"Version": "2012-10-17", "Statement": [shared]})
    directory.add_principal(other, identity_policies=[{"Version": "2012-10-17", "Statement": [allow]}])
    engine = directory.compile()
    asking = ["sns.amazonaws.com", other, "events.amazonaws.com"]
    alone = [int(explained_decision(engine, who, "sqs:SendMessage", queue).outcome) for who in asking]
    assert alone == [Outcome.ALLOW, Outcome.ALLOW, Outcome.IMPLICIT_DENY]
    for _ in range(3):
        assert engine.decide_many(asking * 700, "sqs:SendMessage", queue).outcome.tolist() == alone * 700
