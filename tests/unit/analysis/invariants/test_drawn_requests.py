"""Proofs over larger organizations, against requests that are drawn within the universe of each invariant."""

from __future__ import annotations

import random
from typing import Any

import pytest
from seeds import few_or_all
from small_world_checks import allowed_rows, violations
from small_worlds import SmallWorld
from surroundings import SHARED
from trap_world import ANA, BKT, DEP, FULL, A, B, M, allow, deny, grant, world

import fastiam
from fastiam.analysis.invariants.model import Invariant, InvariantOutcome
from fastiam.analysis.invariants.prove_invariant import prove_invariant

REGIONS = ["eu-west-1", "eu-central-1"]
GLOBAL = ["iam:*", "sts:*", "organizations:*", "route53:*", "cloudfront:*"]
SERVICES = ("s3", "ec2", "iam", "kms", "sqs", "lambda", "dynamodb", "cloudtrail", "logs")
N_REQUESTS = 1_000


def laboratory() -> tuple[fastiam.Engine, str]:
    """Return the account of a laboratory as a member of an organization with SCPs."""
    path = SHARED / "gaad-lab-account.json.gz"
    if not path.exists():
        pytest.skip("the data of real accounts is not here")
    made = fastiam.load(path)
    account = "200611803367"  # of most of its principals
    elsewhere = {"StringNotEquals": {"aws:RequestedRegion": REGIONS}}
    denials = [
        deny("cloudtrail:*", when={"ArnNotLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/*Admin*"}}),
        {"Effect": "Deny", "NotAction": GLOBAL, "Resource": "*", "Condition": elsewhere},
        deny("kms:*", when={"Bool": {"aws:MultiFactorAuthPresent": "false"}}),
    ]  # fmt: skip
    scps = {"r-1": [{"Version": "2012-10-17", "Statement": [FULL, *denials]}]}
    made.set_organization("o-1", management_account=M, accounts={account: None}, scps=scps)
    return made.compile(), account


def scopes(draw: random.Random, principals: list[str], account: str) -> list[dict[str, Any]]:
    """Return scopes of many actions, some of which are never allowed."""
    found: list[dict[str, Any]] = [
        {
            "principals": f"account:{account}",
            "except": "kind:SLR",
            "actions": "*",
            "except_actions": GLOBAL,
            "resources": "all",
            "only_if": {"StringEquals": {"aws:RequestedRegion": REGIONS}},
        },
        {"principals": f"account:{account}", "except": ["arn:aws:iam::*:role/*Admin*", "kind:SLR"], "actions": "cloudtrail:*"},
    ]
    for _ in range(few_or_all(12, 100)):
        service = draw.choice(SERVICES)
        found.append(
            {"principals": draw.sample(principals, 3), "actions": f"{service}:{draw.choice(['*', 'Get*', 'Put*', 'Delete*'])}"}
        )
    return found


@pytest.mark.slow
def test_drawn_requests_of_a_real_account_contradict_no_proof() -> None:
    engine, account = laboratory()
    draw = random.Random(1)
    users = [arn for arn, _ in engine.snapshot.names() if f"::{account}:" in arn and ":root" not in arn]
    n_proved = 0
    for scope in scopes(draw, users, account):
        result = prove_invariant(engine, Invariant(never=scope), timeout=None)
        assert result.result is not InvariantOutcome.UNDECIDED, (scope, result.reason)
        if result.result is not InvariantOutcome.HOLDS:
            continue
        n_proved += 1
        rows = [drawn_request(draw, scope, users, account) for _ in range(N_REQUESTS)]
        decisions = engine.decide_each(rows)
        wrong = [row for row, decision in zip(rows, decisions, strict=True) if decision.allowed and is_in_scope(row, scope)]
        assert not wrong, (scope, wrong[0])
    assert n_proved > 3


def drawn_request(
    draw: random.Random, scope: dict[str, Any], users: list[str], account: str
) -> tuple[Any, str, str, dict[str, Any]]:
    """Return a request of a principal and an action that the scope has."""
    named = scope["principals"] if isinstance(scope["principals"], list) else users
    arn = draw.choice(named)
    principal: Any = arn
    if ":role/" in arn:
        session = f"arn:aws:sts::{arn.split(':')[4]}:assumed-role/{arn.rpartition('/')[2]}/{draw.choice(['run', 'i-1'])}"
        kind = "SLR" if "/aws-service-role/" in arn else "ROLE"
        tags = draw.choice([{}, {}, {"team": "red"}])
        principal = fastiam.Session(session, kind=kind, issuer=arn, tags=tags)
    service, _, name = scope["actions"].partition(":") if scope["actions"] != "*" else (draw.choice(SERVICES), ":", "*")
    verb = draw.choice(["Get", "Put", "Delete", "List", "Create"]) if name == "*" else name.removesuffix("*")
    action = f"{service}:{verb}{draw.choice(['Object', 'Item', 'User', 'Policy', 'Key', 'Trail', 'Function', 'Bucket'])}"
    resources = ["*", "arn:aws:s3:::b/x", f"arn:aws:iam::{account}:role/x", f"arn:aws:kms:eu-west-1:{account}:key/1",
                 f"arn:aws:lambda:eu-west-1:{account}:function:f"]  # fmt: skip
    context = {
        "aws:RequestedRegion": draw.choice([*REGIONS, "us-east-1"]),
        "aws:SourceIp": draw.choice(["198.51.100.7", "10.0.0.1"]),
    }
    return principal, action, draw.choice(resources), context


def is_in_scope(row: tuple[Any, str, str, dict[str, Any]], scope: dict[str, Any]) -> bool:
    principal, action, _, context = row
    name = principal.issuer if isinstance(principal, fastiam.Session) else principal
    if "except" in scope and ("/aws-service-role/" in name or "Admin" in name and "cloudtrail" in str(scope["actions"])):
        return False
    if any(action.startswith(text.removesuffix("*")) for text in scope.get("except_actions", ())):
        return False
    return not ("only_if" in scope and context["aws:RequestedRegion"] in REGIONS)


@pytest.mark.parametrize("first", range(0, few_or_all(10, 200), 10))
def test_requests_of_one_principal_contradict_no_proof(first: int) -> None:
    """One principal and one resource at a time: no other one hides a violation."""
    for seed in range(10_000 + first, 10_000 + first + 3):
        small = SmallWorld(seed)
        rows = allowed_rows(small)
        for principal in (ANA, DEP, f"arn:aws:iam::{B}:user/eve", "anonymous", "services"):
            scope = {"principals": principal, "actions": ["s3:GetObject"], "resources": f"{BKT}/*"}
            result = prove_invariant(small.engine, Invariant(never=scope), timeout=None)
            against = violations(scope, rows, small)
            assert (result.result is InvariantOutcome.HOLDS) is False or not against, (seed, scope, against[0])


def test_monotone_worlds_keep_their_violations() -> None:
    """More Allows never turn a violation into a proof."""
    less = world(ana=[allow("s3:GetObject", f"{BKT}/a")])
    more = world(ana=[allow("s3:*")], bucket=[grant({"AWS": A}, "s3:*", [BKT, f"{BKT}/*"])])
    scope = {"principals": ANA, "actions": "s3:GetObject", "resources": f"{BKT}/*"}
    for engine in (less, more):
        assert prove_invariant(engine, Invariant(never=scope)).result is InvariantOutcome.FAILS
