"""Trap cases of `always` and `sometimes`, each with the answer that both evaluators give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from test_trap_cases import ASSUME, GET, OBJECTS, OBJECTS_B, OF_TEAM, RED, ROOT_A, S3, TAG_SESSION, TRAIL, not_principal, when
from trap_world import ANA, BKT, DEP, FULL, RUN1, A, M, X, allow, deny, grant, world

import fastiam
from fastiam.analysis.invariants.model import Invariant, InvariantOutcome
from fastiam.analysis.invariants.prove_invariant import prove_invariant

HOLDS, FAILS, UNDECIDED = InvariantOutcome.HOLDS, InvariantOutcome.FAILS, InvariantOutcome.UNDECIDED
LONG_TERM = when("Null", "aws:TokenIssueTime", "true")
READS = "iam:GetUser"


@dataclass(frozen=True)
class Trap:
    """A world, a quantifier with its scope, and the answer."""

    world: Mapping[str, Any]
    quantifier: str
    scope: Mapping[str, Any]
    expected: InvariantOutcome


def scope(principals: Any, actions: Any, resources: Any = None, given: Any = None) -> dict[str, Any]:
    found = {"principals": principals, "actions": actions, "resources": resources, "given": given}
    return {name: value for name, value in found.items() if value is not None}


RED_TEAM = allow(GET, when=when("StringEquals", "aws:PrincipalTag/team", "red"))
VPCE_FOR_OBJECTS = [grant("*", "s3:PutObject", "*")]

TRAPS: dict[str, Trap] = {
    "TB8 a bounded user is never exempt": Trap(
        {"ana": [allow(S3)], "boundaries": {ANA: [allow()]}, "bucket": [not_principal(S3, ANA, ROOT_A)]},
        "always", scope(ANA, GET, OBJECTS), FAILS,
    ),
    "TB34 without session policies": Trap({"dep": [allow(GET, OBJECTS)]}, "always", scope(DEP, GET, OBJECTS), HOLDS),
    "TB34 GetSessionToken without MFA cannot call IAM": Trap(
        {"ana": [allow(READS)]}, "always", scope(ANA, READS, f"arn:aws:iam::{A}:*"), FAILS
    ),
    "TB34 of long-term keys": Trap(
        {"ana": [allow(READS)]}, "always", scope(ANA, READS, f"arn:aws:iam::{A}:*", LONG_TERM), HOLDS
    ),
    "TB34 of MFA": Trap(
        {"ana": [allow(READS)]}, "always",
        scope(ANA, READS, f"arn:aws:iam::{A}:*", when("Bool", "aws:MultiFactorAuthPresent", "true")), HOLDS,
    ),
    "TB44 a tag that no session replaces": Trap(
        {"dep": [RED_TEAM], "tags": {DEP: RED}, "trust": [ASSUME]}, "always", scope(DEP, GET, OBJECTS), HOLDS
    ),
    "TB44 a tag that a session replaces": Trap(
        {"dep": [RED_TEAM], "tags": {DEP: RED}, "trust": [TAG_SESSION]}, "always", scope(DEP, GET, OBJECTS), FAILS
    ),
    "another account has to allow too": Trap({"dep": [allow(S3)]}, "always", scope(DEP, GET, OBJECTS_B), FAILS),
    "another account that allows": Trap(
        {"dep": [allow(S3)], "bucket_b": [grant({"AWS": A}, GET, OBJECTS_B)]}, "always", scope(DEP, GET, OBJECTS_B), HOLDS
    ),
    "all resources of the organization": Trap({"dep": [allow(S3)]}, "always", scope(DEP, GET), FAILS),
    "a grant to one session": Trap({"bucket": [grant({"AWS": RUN1}, GET, OBJECTS)]}, "always", scope(DEP, GET, OBJECTS), FAILS),
    "of that session": Trap({"bucket": [grant({"AWS": RUN1}, GET, OBJECTS)]}, "always", scope(RUN1, GET, OBJECTS), HOLDS),
    "an endpoint that does not allow": Trap(
        {"dep": [allow(S3)], "endpoint": VPCE_FOR_OBJECTS}, "always", scope(DEP, GET, OBJECTS), FAILS
    ),
    "not through an endpoint": Trap(
        {"dep": [allow(S3)], "endpoint": VPCE_FOR_OBJECTS}, "always",
        scope(DEP, GET, OBJECTS, when("Null", "aws:SourceVpce", "true")), HOLDS,
    ),
    "a change that AWS forbids": Trap(
        {"dep": [allow("iam:*")]}, "always", scope(DEP, "iam:AttachRolePolicy", f"arn:aws:iam::{A}:role/*"), FAILS
    ),
    "a change beside it": Trap(
        {"dep": [allow("iam:*")]}, "always", scope(DEP, "iam:AttachRolePolicy", f"arn:aws:iam::{A}:role/ops/*"), HOLDS
    ),
    "one action of two that AWS forbids": Trap(
        {"dep": [allow("iam:*")]}, "always",
        scope(DEP, ["iam:GetRole", "iam:DeleteRolePolicy"], f"arn:aws:iam::{A}:role/aws-reserved/*"), FAILS,
    ),
    "credentials that cannot call": Trap({"dep": [allow()]}, "always", scope(DEP, "sts:GetFederationToken"), FAILS),
    "unsigned requests for a public object": Trap(
        {"bucket": [grant("*", GET, OBJECTS)]}, "always", scope("anonymous", GET, OBJECTS), HOLDS
    ),
    "unsigned requests that a condition limits": Trap(
        {"bucket": [grant("*", GET, OBJECTS, when("Bool", "aws:SecureTransport", "true"))]},
        "always", scope("anonymous", GET, OBJECTS), FAILS,
    ),
    "a value that cannot be read denies": Trap(
        {"ana": [allow(GET), deny(GET, when=when("NumericGreaterThan", "s3:max-keys", "10"))]},
        "always", scope(ANA, GET, OBJECTS, when("StringEquals", "s3:max-keys", "many")), FAILS,
    ),
    "own policies of an account without a record": Trap(
        {"bucket": [grant({"AWS": X}, GET, OBJECTS)]}, "always", scope(f"account:{X}", GET, OBJECTS), UNDECIDED
    ),
    "a variable that the name resolves": Trap(
        {"ana": [allow(GET, f"{BKT}/${{aws:username}}/*")]}, "always", scope(ANA, GET, f"{BKT}/ana/*"), HOLDS
    ),
    "a tag in a pattern": Trap(
        {"dep": [OF_TEAM], "tags": {DEP: RED}, "trust": [TAG_SESSION]}, "always", scope(DEP, GET, f"{BKT}/red/*"), FAILS
    ),
    "break-glass can stop the trail": Trap(
        {"dep": [allow()], "scps": {A: [FULL, deny(TRAIL, when=when("ArnNotLike", "aws:PrincipalArn", DEP))]}},
        "sometimes", scope(DEP, TRAIL), HOLDS,
    ),
    "an SCP has no exception for it": Trap(
        {"dep": [allow()], "scps": {A: [FULL, deny(TRAIL)]}}, "sometimes", scope(DEP, TRAIL), FAILS
    ),
    "the root user is one of everyone": Trap({}, "sometimes", scope(f"account:{A}", TRAIL), HOLDS),
    "of strangers only their own policies decide": Trap(
        {"bucket": [grant({"AWS": X}, GET, OBJECTS)]}, "sometimes", scope("outside", GET, OBJECTS), UNDECIDED
    ),
    "strangers without a grant": Trap({}, "sometimes", scope("outside", GET, OBJECTS), FAILS),
    "an unknown policy of another account": Trap({"ana": [allow()]}, "sometimes", scope(ANA, GET, "outside"), UNDECIDED),
}  # fmt: skip


@pytest.mark.parametrize("trap", TRAPS.values(), ids=TRAPS.keys())
def test_the_answer_of_a_quantifier_is_that_of_the_rules(trap: Trap) -> None:
    engine = world(**trap.world)
    result = prove_invariant(engine, Invariant(**{trap.quantifier: trap.scope}))
    assert result.result is trap.expected, (result.reason, result.request)
    if result.request is not None:
        assert result.explanation is not None
        assert result.explanation.decision.allowed is (trap.quantifier == "sometimes")
    assert not result.vacuous


def test_always_of_no_request_of_AWS_is_vacuous() -> None:
    """The action has no resources, and is decided on the resource `*` alone."""
    result = prove_invariant(world(ana=[]), Invariant(always=scope(ANA, "iam:ListUsers", f"arn:aws:iam::{A}:*", LONG_TERM)))
    assert result.result is HOLDS
    assert "no request" in result.vacuous


def test_always_assumes_that_no_other_policy_denies() -> None:
    made = fastiam.Directory()
    made.add_principal(ANA, identity_policies=[{"Version": "2012-10-17", "Statement": [allow(GET)]}])
    made.add_resource(BKT, account=A)
    engine = made.compile()
    result = prove_invariant(engine, Invariant(always=scope(ANA, GET, OBJECTS)))
    assert result.result is HOLDS
    assert any("no SCPs" in one for one in result.assumptions)
    assert any("VPC endpoints" in one for one in result.assumptions)
    assert prove_invariant(engine, Invariant(always=scope(ANA, GET, OBJECTS)), strict=True).result is UNDECIDED


def test_management_account_and_members_are_in_always() -> None:
    """SCPs do not reach the one."""
    opened = [grant({"AWS": [A, M]}, GET, OBJECTS)]
    engine = world(ana=[allow(GET)], max_=[allow(GET)], bucket=opened, scps={"r-1": [FULL, deny(GET)]})
    of_max = f"arn:aws:iam::{M}:user/max"
    assert prove_invariant(engine, Invariant(always=scope(of_max, GET, OBJECTS))).result is HOLDS
    assert prove_invariant(engine, Invariant(always=scope(ANA, GET, OBJECTS))).result is FAILS
