"""Invariants where a rule of IAM decides that is easily overlooked, each with the answer that both evaluators give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from trap_world import (
    ANA,
    BKT,
    BKT_B,
    BO,
    DEP,
    DEP_ID,
    FULL,
    KEY,
    QUEUE,
    RUN1,
    A,
    B,
    M,
    X,
    allow,
    deny,
    grant,
    world,
)  # fmt: skip

import fastiam
from fastiam.analysis.invariants.model import Invariant, InvariantOutcome, InvariantResult
from fastiam.analysis.invariants.prove_invariant import prove_invariant

HOLDS, FAILS = InvariantOutcome.HOLDS, InvariantOutcome.FAILS
OBJECTS, OBJECTS_B = f"{BKT}/*", f"{BKT_B}/*"
S3, GET = "s3:*", "s3:GetObject"
ROOT_A, DEP_AND_ROOT = f"arn:aws:iam::{A}:root", [DEP, f"arn:aws:iam::{A}:root"]
ACCOUNT_A = f"account:{A}"
ASSUME = grant({"Service": "ec2.amazonaws.com"}, "sts:AssumeRole", "*")
ASSUME.pop("Resource")
TAG_SESSION = {**ASSUME, "Action": ["sts:AssumeRole", "sts:TagSession"]}
TEAM = "aws:PrincipalTag/team"


def when(operator: str, key: str, *values: str) -> dict[str, Any]:
    return {operator: {key: list(values)}}


def not_principal(action: str, *arns: str) -> dict[str, Any]:
    return {"Effect": "Deny", "NotPrincipal": {"AWS": list(arns)}, "Action": action, "Resource": [BKT, OBJECTS]}


@dataclass(frozen=True)
class Trap:
    """A world, a scope that is never allowed, and the answer; `assumes`: with an assumption."""

    world: Mapping[str, Any]
    never: Mapping[str, Any]
    expected: InvariantOutcome
    assumes: bool = False


VPC = when("StringEquals", "aws:SourceVpc", "vpc-1")
MFA, MFA_FALSE = when("Bool", "aws:MultiFactorAuthPresent", "true"), "aws:MultiFactorAuthPresent"
TAG_KEYS = "aws:TagKeys"
ONLY_TEAM = when("ForAllValues:StringEquals", TAG_KEYS, "team")
HAS_TAGS = when("Null", TAG_KEYS, "false")
SOURCE_A = when("StringEquals", "aws:SourceAccount", A)
SNS = {"Service": "sns.amazonaws.com"}
SEND = "sqs:SendMessage"
OF_ORG = when("StringEquals", "aws:PrincipalOrgID", "o-1")
VPCE_1 = when("StringEquals", "aws:SourceVpce", "vpce-1")
VPCE_FOR_A = [
    {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "*",
        "Resource": "*",
        "Condition": when("StringEquals", "aws:PrincipalAccount", A),
    }
]
AGE = "s3:signatureAge"
VIA = "aws:ViaAWSService"
OFFICE = when("IpAddress", "aws:SourceIp", "10.0.0.0/8")
NOT_OFFICE = when("NotIpAddress", "aws:SourceIp", "10.0.0.0/8")
HOME = allow("s3:PutObject", f"{BKT}/home/${{aws:username}}/*")
OF_TEAM = allow(GET, f"{BKT}/${{{TEAM}}}/*")
RED = {"team": "red"}
TRAIL = "cloudtrail:StopLogging"
RCP_ORG = "aws:PrincipalOrgID"


def never(principals: Any, actions: Any, resources: Any = None, **more: Any) -> dict[str, Any]:
    given = {"except_": "except"}
    scope = {"principals": principals, "actions": actions, **{given.get(name, name): value for name, value in more.items()}}
    return scope if resources is None else {**scope, "resources": resources}


TRAPS: dict[str, Trap] = {
    "TB1 a negated operator is true without the key": Trap(
        {"ana": [allow(S3)], "scps": {A: [FULL, deny(S3, when=when("StringNotEquals", "aws:SourceVpc", "vpc-1"))]}},
        never(ACCOUNT_A, S3, only_if=VPC),
        HOLDS,
    ),
    "TB2 IfExists changes nothing of a negated operator": Trap(
        {"ana": [allow(S3)], "scps": {A: [FULL, deny(S3, when=when("StringNotEqualsIfExists", "aws:SourceVpc", "vpc-1"))]}},
        never(ACCOUNT_A, S3, only_if=VPC),
        HOLDS,
    ),
    "TB3 a long-term key has no MFA key": Trap(
        {"ana": [allow(), deny(when=when("Bool", MFA_FALSE, "false"))]}, never(ANA, "iam:*", only_if=MFA), FAILS
    ),
    "TB4 BoolIfExists denies without the key": Trap(
        {"ana": [allow(), deny(when=when("BoolIfExists", MFA_FALSE, "false"))]}, never(ANA, "iam:*", only_if=MFA), HOLDS
    ),
    "TB5 ForAllValues is true without tags": Trap(
        {"ana": [allow("ec2:RunInstances", when=ONLY_TEAM)]}, never(ANA, "ec2:RunInstances", only_if=HAS_TAGS), FAILS
    ),
    "TB6 and Null asks for some": Trap(
        {"ana": [allow("ec2:RunInstances", when={**ONLY_TEAM, **HAS_TAGS})]},
        never(ANA, "ec2:RunInstances", only_if=HAS_TAGS),
        HOLDS,
    ),
    "a call that removes tags lists them without their values": Trap(
        {
            "ana": [
                allow("sqs:UntagQueue", when=when("ForAnyValue:StringEquals", TAG_KEYS, "team")),
                deny(when=when("Null", "aws:RequestTag/team", "false")),
            ]
        },
        never(ANA, "sqs:UntagQueue"),
        FAILS,
    ),
    "TB7 sessions lack a level that NotPrincipal lists": Trap(
        {"ana": [allow(S3)], "dep": [allow(S3)], "bucket": [not_principal(S3, ANA, ROOT_A)]},
        never("everyone", S3, [BKT, OBJECTS], except_=[ANA, ROOT_A]),
        HOLDS,
    ),
    "TB8 a boundary ends an exception of NotPrincipal": Trap(
        {"ana": [allow(S3)], "boundaries": {ANA: [allow()]}, "bucket": [not_principal(S3, ANA, ROOT_A)]},
        never(ANA, GET, OBJECTS),
        HOLDS,
    ),
    "TB9 a grant to the session bypasses the boundary": Trap(
        {"boundaries": {DEP: [allow("ec2:*")]}, "bucket": [grant({"AWS": RUN1}, GET, OBJECTS)]},
        never(DEP, GET, OBJECTS),
        FAILS,
    ),
    "TB10 one to the role does not": Trap(
        {"boundaries": {DEP: [allow("ec2:*")]}, "bucket": [grant({"AWS": DEP}, GET, OBJECTS)]},
        never(DEP, GET, OBJECTS),
        HOLDS,
    ),
    "TB11 nothing is bypassed in another account": Trap(
        {"boundaries": {DEP: [allow("ec2:*")]}, "dep": [allow(S3)], "bucket_b": [grant({"AWS": RUN1}, GET, OBJECTS_B)]},
        never(DEP, GET, OBJECTS_B),
        HOLDS,
    ),
    "TB12 any principal of an account that is granted": Trap(
        {"bucket": [grant({"AWS": X}, GET, OBJECTS)]}, never("outside", GET, OBJECTS), FAILS
    ),
    "TB13 the root user of an account needs no policy": Trap(
        {"bucket_b": [grant({"AWS": A}, GET, OBJECTS_B)], "dep": [allow(S3)]},
        never(ACCOUNT_A, GET, OBJECTS_B, except_=DEP),
        FAILS,
    ),
    "TB13 without its policies": Trap(
        {"bucket_b": [grant({"AWS": A}, GET, OBJECTS_B)]}, never({"all": [ACCOUNT_A, "kind:ROOT"]}, GET, OBJECTS_B), FAILS
    ),
    "TB13 users do": Trap(
        {"bucket_b": [grant({"AWS": A}, GET, OBJECTS_B)], "dep": [allow(S3)]},
        never({"all": [ACCOUNT_A, "kind:USER"]}, GET, OBJECTS_B, except_=DEP),
        HOLDS,
    ),
    "TB14 a service calls for any account": Trap(
        {"queue": [grant(SNS, SEND, QUEUE)]}, never("services", SEND, QUEUE, only_if=SOURCE_A), FAILS
    ),
    "TB15 the source account limits it": Trap(
        {"queue": [grant(SNS, SEND, QUEUE, SOURCE_A)]}, never("services", SEND, QUEUE, only_if=SOURCE_A), HOLDS
    ),
    "TB16 a source ARN comes without the source account": Trap(
        {"queue": [grant(SNS, SEND, QUEUE, when("ArnLike", "aws:SourceArn", f"arn:aws:sns:*:{A}:*"))]},
        never("services", SEND, QUEUE, only_if=SOURCE_A),
        FAILS,
    ),
    "TB17 delegation of a key needs an identity Allow": Trap(
        {"key": [grant({"AWS": ROOT_A}, "kms:*", "*")], "dep": [allow("kms:Decrypt")]},
        never("everyone", "kms:Decrypt", KEY, except_=DEP_AND_ROOT),
        HOLDS,
    ),
    "TB18 an identity Allow alone is not enough for a key": Trap(
        {"key": [grant({"AWS": DEP}, "kms:*", "*")], "ana": [allow("kms:*")]}, never(ANA, "kms:*", KEY), HOLDS
    ),
    "TB19 RCPs do not reach service-linked roles": Trap(
        {"rcps": {"r-1": [deny(GET, Principal="*")]}, "slr": [allow(S3)]}, never(ACCOUNT_A, GET, OBJECTS), FAILS
    ),
    "RCPs do not reach all services": Trap(
        {"rcps": {"r-1": [deny("*", Principal="*")]}, "ana": [allow("ec2:*")]}, never(ANA, "ec2:RunInstances"), FAILS
    ),
    "TB20 SCPs do not reach the management account": Trap(
        {"scps": {"r-1": [FULL, deny(TRAIL)]}, "max_": [allow()], "ana": [allow()]}, never("organization", TRAIL), FAILS
    ),
    "TB20 without it": Trap(
        {"scps": {"r-1": [FULL, deny(TRAIL)]}, "max_": [allow()], "ana": [allow()]},
        never("organization", TRAIL, except_=f"account:{M}"),
        HOLDS,
    ),
    "TB21 no principal outside has the id of the organization": Trap(
        {"bucket": [grant("*", GET, OBJECTS, OF_ORG)]}, never(["anonymous", "outside"], GET, OBJECTS), HOLDS
    ),
    "TB22 unsigned requests have no organization": Trap(
        {"bucket": [grant("*", GET, OBJECTS, when("StringNotEquals", "aws:PrincipalOrgID", "o-2"))]},
        never("anonymous", GET, OBJECTS),
        FAILS,
    ),
    "TB23 a user name is that of the user": Trap(
        {"ana": [HOME], "bo": [HOME], "dep": [HOME]},
        never("everyone", "s3:PutObject", f"{BKT}/home/ana/*", except_=[ANA, ROOT_A]),
        HOLDS,
    ),
    "TB23 the root user needs no policy": Trap(
        {"ana": [HOME], "bo": [HOME], "dep": [HOME]},
        never("everyone", "s3:PutObject", f"{BKT}/home/ana/*", except_=ANA),
        FAILS,
    ),
    "TB24 a session tag replaces that of the role": Trap(
        {"dep": [OF_TEAM], "tags": {DEP: RED}, "trust": [TAG_SESSION]}, never(DEP, GET, f"{BKT}/blue/*"), FAILS
    ),
    "TB24 a tag of a user is fixed": Trap(
        {"ana": [OF_TEAM], "tags": {ANA: RED}}, never({"all": [ANA, "kind:USER"]}, GET, f"{BKT}/blue/*"), HOLDS
    ),
    "TB25 a wildcard grant needs neither identity nor boundary": Trap(
        {
            "bucket": [grant({"AWS": "*"}, GET, OBJECTS, when("ArnLike", "aws:PrincipalArn", f"arn:aws:iam::{A}:role/*"))],
            "boundaries": {DEP: [allow("ec2:*")]},
        },
        never(DEP, GET, OBJECTS),
        FAILS,
    ),
    "TB26 unsigned requests through an endpoint": Trap(
        {"bucket": [grant("*", GET, OBJECTS, VPCE_1)]}, never("anonymous", GET, OBJECTS), FAILS
    ),
    "TB26 only through it": Trap(
        {"bucket": [grant("*", GET, OBJECTS, VPCE_1)]}, never("anonymous", GET, OBJECTS, only_if=VPCE_1), HOLDS
    ),
    "TB27 the policy of the endpoint": Trap(
        {"bucket": [grant("*", GET, OBJECTS, VPCE_1)], "endpoint": VPCE_FOR_A}, never("anonymous", GET, OBJECTS), HOLDS
    ),
    "TB27 a policy of the endpoint that allows": Trap(
        {"bucket": [grant("*", GET, OBJECTS, VPCE_1)], "endpoint": [grant("*", "*", "*")]},
        never("anonymous", GET, OBJECTS),
        FAILS,
    ),
    "TB28 a request without the age of its signature": Trap(
        {"ana": [allow(GET), deny(GET, when=when("NumericGreaterThan", AGE, "600000"))]},
        never(ANA, GET, only_if=when("NumericLessThanEquals", AGE, "600000")),
        FAILS,
    ),
    "TB28 with IfExists": Trap(
        {"ana": [allow(GET), deny(GET, when=when("NumericGreaterThan", AGE, "600000"))]},
        never(ANA, GET, only_if=when("NumericLessThanEqualsIfExists", AGE, "600000")),
        HOLDS,
    ),
    "TB29 Bool is false without the key": Trap(
        {
            "bucket": [grant("*", GET, OBJECTS)],
            "rcps": {
                "r-1": [
                    deny(
                        S3,
                        when={
                            **when("StringNotEqualsIfExists", RCP_ORG, "o-1"),
                            **when("Bool", "aws:PrincipalIsAWSService", "false"),
                        },
                        Principal="*",
                    )
                ]
            },
        },
        never(["anonymous", "outside"], GET, OBJECTS),
        FAILS,
    ),
    "TB29 BoolIfExists is true": Trap(
        {
            "bucket": [grant("*", GET, OBJECTS)],
            "rcps": {
                "r-1": [
                    deny(
                        S3,
                        when={
                            **when("StringNotEqualsIfExists", RCP_ORG, "o-1"),
                            **when("BoolIfExists", "aws:PrincipalIsAWSService", "false"),
                        },
                        Principal="*",
                    )
                ]
            },
        },
        never(["anonymous", "outside"], GET, OBJECTS),
        HOLDS,
    ),
    "TB30 the source account comes with services": Trap(
        {"bucket": [grant("*", GET, OBJECTS, SOURCE_A)]}, never("anonymous", GET, OBJECTS), HOLDS
    ),
    "one of two users with equal policies": Trap(
        {"bucket": [grant({"AWS": "*"}, GET, OBJECTS, when("ArnEquals", "aws:PrincipalArn", BO))]},
        never([ANA, BO], GET, OBJECTS),
        FAILS,
    ),
    "a Deny of all other actions": Trap(
        {"ana": [allow()], "scps": {A: [FULL, {"Effect": "Deny", "NotAction": "iam:*", "Resource": "*"}]}},
        never(ANA, GET),
        HOLDS,
    ),
    "an address after a range in a range": Trap(
        {"ana": [allow(GET, when=OFFICE), deny(GET, when=when("IpAddress", "aws:SourceIp", "10.0.0.0/9"))]},
        never(ANA, GET),
        FAILS,
    ),
    "only_if is not true of a value that cannot be read": Trap(
        {"ana": [allow(GET, when=when("StringEquals", "s3:max-keys", "many"))]},
        never(ANA, GET, only_if=when("NumericLessThan", "s3:max-keys", "10")),
        FAILS,
    ),
    "given is not true of it": Trap(
        {"ana": [allow(GET, when=when("StringEquals", "s3:max-keys", "many"))]},
        never(ANA, GET, given=when("NumericLessThan", "s3:max-keys", "10")),
        HOLDS,
    ),
    "TB31 each level of SCPs has to allow": Trap(
        {"scps": {"ou-a": [allow(S3)]}, "ana": [allow()]}, never(ACCOUNT_A, "ec2:*"), HOLDS
    ),
    "TB32 a call through a service": Trap(
        {
            "ana": [
                allow(S3),
                deny(
                    S3, when={**when("NotIpAddress", "aws:SourceIp", "10.0.0.0/8"), **when("Bool", "aws:ViaAWSService", "false")}
                ),
            ]
        },
        never(ANA, S3, only_if=OFFICE),
        FAILS,
    ),
    "TB32 few services write themselves into the chain": Trap(
        {"ana": [allow(S3, when=when("Bool", VIA, "true")), deny(when=when("Null", "aws:CalledVia", "false"))]},
        never(ANA, S3),
        FAILS,
    ),
    "TB33 roles are passed in their own account": Trap(
        {"ana": [allow()]}, never(ANA, "iam:PassRole", f"arn:aws:iam::{B}:role/*"), HOLDS
    ),
    "TB36 the owner outside has another organization": Trap(
        {
            "ana": [allow()],
            "scps": {"r-1": [FULL, deny(S3, when=when("StringNotEqualsIfExists", "aws:ResourceOrgID", "${aws:PrincipalOrgID}"))]},
        },
        never(ACCOUNT_A, "s3:PutObject", "outside"),
        HOLDS,
    ),
    "TB36 without the SCP": Trap({"ana": [allow()]}, never(ACCOUNT_A, "s3:PutObject", "outside"), FAILS),
    "TB37 an endpoint of another organization": Trap(
        {"bucket": [grant("*", GET, OBJECTS, when("Null", "aws:SourceVpce", "false"))], "endpoint": VPCE_FOR_A},
        never("anonymous", GET, OBJECTS),
        FAILS,
    ),
    "TB38 AWS sends no tag of an object": Trap(
        {
            "ana": [allow(S3), deny(GET, when=when("StringEquals", "aws:ResourceTag/env", "prod"))],
            "more": {f"{BKT}/a": {"account": A, "tags": {"env": "prod"}}},
        },
        never(ANA, GET, f"{BKT}/a"),
        FAILS,
    ),
    "TB39 sign-in to the console without MFA": Trap(
        {"ana": [allow("iam:*")]},
        never(ANA, "iam:*", only_if=[MFA, when("Null", "aws:TokenIssueTime", "true")]),
        FAILS,
    ),
    "TB39 of a call that a session without MFA cannot make": Trap(
        {"ana": [allow("iam:*")]},
        never(ANA, "iam:CreateUser", only_if=[MFA, when("Null", "aws:TokenIssueTime", "true")]),
        FAILS,
    ),
    "TB40 no caller can pass tags": Trap(
        {"dep": [OF_TEAM], "tags": {DEP: RED}, "trust": [ASSUME]}, never(DEP, GET, f"{BKT}/blue/*"), HOLDS
    ),
    "TB41 the id of a role in aws:userid": Trap(
        {
            "bucket": [deny(S3, [BKT, OBJECTS], when("StringNotLike", "aws:userid", f"{DEP_ID}:*"), Principal="*")],
            "ana": [allow(S3)],
            "bo": [allow(S3)],
            "dep": [allow(S3)],
        },
        never("everyone", S3, [BKT, OBJECTS], except_=DEP),
        HOLDS,
    ),
    "TB41 sessions of the role": Trap(
        {
            "bucket": [deny(S3, [BKT, OBJECTS], when("StringNotLike", "aws:userid", f"{DEP_ID}:*"), Principal="*")],
            "dep": [allow(S3)],
        },
        never(DEP, S3, OBJECTS),
        FAILS,
    ),
    "TB42 a wildcard for identities names no service": Trap(
        {"bucket": [grant({"AWS": "*"}, GET, OBJECTS)]}, never("services", GET, OBJECTS), HOLDS, assumes=True
    ),
    "TB42 and the unsigned": Trap({"bucket": [grant({"AWS": "*"}, GET, OBJECTS)]}, never("anonymous", GET, OBJECTS), FAILS),
    "TB43 a key without a policy": Trap(
        {"ana": [allow("kms:*")], "key": []}, never(ANA, "kms:Decrypt", KEY), HOLDS, assumes=True
    ),
    "TB45 a tag of a role after a change": Trap(
        {
            "dep": [allow(GET, when=when("StringEquals", TEAM, "blue"))],
            "tags": {DEP: {"team": "blue"}},
            "trust": [ASSUME],
        },
        never(DEP, GET, OBJECTS),
        FAILS,
    ),
    "TB47 the root user stops the trail": Trap({}, never("everyone", TRAIL), FAILS),
    "TB47 also a stranger": Trap({}, never("everyone", TRAIL, "all", except_=["organization"]), FAILS),
    "TB47 unsigned requests": Trap({}, never("anonymous", S3), HOLDS, assumes=True),
}


@pytest.mark.parametrize("trap", TRAPS.values(), ids=TRAPS.keys())
def test_the_answer_is_that_of_the_rules(trap: Trap) -> None:
    result = prove_invariant(world(**trap.world), Invariant(never=trap.never))
    assert result.result is trap.expected, (result.reason, result.request)
    assert bool(result.assumptions) >= trap.assumes
    assert not result.vacuous


def test_a_record_belongs_to_its_own_account_alone() -> None:
    made = fastiam.Directory()
    made.set_organization("o-1", management_account=M, accounts={A: None})
    made.add_principal(ANA, identity_policies=[{"Version": "2012-10-17", "Statement": [allow(S3)]}])
    made.add_resource(BKT, account=A)
    scope = never(ANA, S3, [BKT, OBJECTS], given=when("Null", "aws:SourceVpc", "true"))
    denied = {**scope, "resources": {"all": [f"account:{M}", OBJECTS]}}
    engine = made.compile()
    assert prove_invariant(engine, Invariant(never=scope)).result is FAILS
    assert prove_invariant(engine, Invariant(never=denied)).result is HOLDS


def test_TB35_that_a_provider_has_no_request_of_s3() -> None:
    issuer = "token.actions.githubusercontent.com"
    trust = {
        "Effect": "Allow",
        "Principal": {"Federated": f"arn:aws:iam::{A}:oidc-provider/{issuer}"},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": when("StringLike", f"{issuer}:sub", "repo:acme/*"),
    }
    result = prove_invariant(world(dep=[allow(S3)], trust=[trust]), Invariant(never=never("federated:*", S3)))
    assert result.result is HOLDS


def limits_of(roles: Sequence[str]) -> InvariantResult:
    denial = deny(TRAIL, when=when("ArnNotLike", "aws:PrincipalArn", f"arn:aws:iam::{A}:role/ops/Dep"))
    engine = world(dep=[allow()], scps={"r-1": [FULL, denial]}, roles={name: [allow()] for name in roles})
    return prove_invariant(engine, Invariant(never=never(ACCOUNT_A, TRAIL, except_=[DEP, "kind:SLR"])))


def test_TB46_an_exception_by_ARN_makes_no_class_of_each_role() -> None:
    few, many = limits_of(["one"]), limits_of([f"role{n}" for n in range(100)])
    assert few.result is many.result is HOLDS
    assert few.classes == many.classes
    assert few.combinations == many.combinations


@pytest.mark.parametrize(
    ("scope", "reason"),
    [
        (never("federated:x", S3), "no principal"),
        (never(ANA, S3, "ou:ou-other"), "no resource"),
        (never(ANA, "acme:*"), "no action"),
    ],
)
def test_a_scope_without_a_request_is_vacuous(scope: Mapping[str, Any], reason: str) -> None:
    result = prove_invariant(world(), Invariant(never=scope))
    assert result.result is HOLDS
    assert reason in result.vacuous


def test_undecidable_call_is_in_scope_if_it_is_named() -> None:
    engine = world(ana=[deny()])
    assert prove_invariant(engine, Invariant(never=never(ANA, "sts:Get*"))).result is HOLDS
    assert prove_invariant(engine, Invariant(never=never(ANA, "sts:GetCallerIdentity"))).result is FAILS


def test_classes_of_two_partitions_are_proved_apart() -> None:
    made = fastiam.Directory()
    for partition in ("aws", "aws-cn"):
        made.add_principal(f"arn:{partition}:iam::{A if partition == 'aws' else B}:user/u", identity_policies=[])
    grants = grant({"AWS": "*"}, GET, "arn:aws-cn:s3:::cn/*")
    made.add_resource("arn:aws-cn:s3:::cn", account=B, policy={"Version": "2012-10-17", "Statement": [grants]})
    result = prove_invariant(made.compile(), Invariant(never=never("kind:USER", GET, "known")))
    assert result.result is FAILS
    assert result.request is not None
    assert result.request.principal.startswith("arn:aws-cn:")
