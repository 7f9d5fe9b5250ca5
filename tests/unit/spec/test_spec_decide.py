"""Decisions of the specification evaluator over hand-written profiles: the algorithm and tables of 6.4, explanations (6.9)."""

from dataclasses import replace
from typing import Any

import pytest
from spec_profiles import (
    ANA,
    AROOT,
    DEP,
    EXPLICIT,
    FED,
    IMPLICIT,
    KEY,
    KIO,
    NO,
    OF_A,
    OK,
    ROLE,
    ROOT_A,
    RUN1,
    SVC,
    USER,
    YES,
    ZERO,
    A,
    B,
    a_bucket,
    ask,
    grant,
    policy,
    statement,
    verdict,
)

from fastiam.model.decision import Layer, Outcome
from fastiam.model.policy import PolicyKind
from fastiam.model.profile import EndpointProfile, PrincipalKind, PrincipalProfile, ResourceProfile, Settings

FED_ROOT = PrincipalProfile(PrincipalKind.FED, KIO, issuer_root=True, **OF_A)
SLR = PrincipalProfile(PrincipalKind.SLR, RUN1, role_name="Dep", session_arn=RUN1, **OF_A)
ANON = PrincipalProfile(PrincipalKind.ANON, "*")


# -- one account (6.4, 6.5, 8.7) ---------------------------------------------------------------------------------------


SAME_ACCOUNT = [  # principal, its layers, names that the resource policy grants, expected
    (USER, {}, (), (IMPLICIT, "identity")),  # E200
    (ROOT_A, {}, (), (OK, "identity")),
    (USER, {"identity_policies": YES}, (), (OK, "identity")),
    (USER, {"identity_policies": YES + NO}, (), (EXPLICIT, "identity")),  # E201
    (USER, {"identity_policies": YES, "boundary": ZERO}, (), (IMPLICIT, "boundary")),  # E203
    (USER, {"boundary": YES}, (), (IMPLICIT, "identity")),
    (USER, {"identity_policies": YES, "boundary": NO}, (), (EXPLICIT, "boundary")),  # E204
    (USER, {"boundary": ZERO}, (ANA,), (OK, "resource")),  # E205
    (ROLE, {"boundary": ZERO}, (DEP,), (IMPLICIT, "boundary")),  # E206
    (ROLE, {"session_policies": ZERO}, (DEP,), (IMPLICIT, "session")),  # E207
    (ROLE, {"session_policies": ()}, (DEP,), (IMPLICIT, "session")),
    (ROLE, {}, (DEP,), (OK, "resource")),
    (ROLE, {"boundary": ZERO, "session_policies": ZERO}, (RUN1,), (OK, "resource")),  # E208
    (ROLE, {"session_policies": NO}, (RUN1,), (EXPLICIT, "session")),  # E209
    (ROLE, {"boundary": ZERO, "session_policies": ZERO}, ("*",), (OK, "resource")),  # E210
    (ROLE, {"identity_policies": YES, "session_policies": ZERO}, (A,), (IMPLICIT, "session")),  # E211
    (ROLE, {}, (A,), (IMPLICIT, "identity")),  # D24
    (ROLE, {"session_policies": YES}, (), (IMPLICIT, "identity")),  # E213
    (FED, {"identity_policies": YES}, (), (IMPLICIT, "session")),  # E214
    (FED, {"identity_policies": YES, "session_policies": YES}, (), (OK, "identity")),  # E215
    (FED, {}, (KIO,), (OK, "resource")),  # E216
    (FED, {"session_policies": YES, "boundary": ZERO}, (ANA,), (IMPLICIT, "boundary")),  # E217
    (FED, {"session_policies": YES}, (ANA,), (OK, "resource")),
    (FED, {}, (ANA,), (IMPLICIT, "session")),
    (FED, {"session_policies": YES}, ("*",), (IMPLICIT, "identity")),  # E232
    (FED, {"identity_policies": YES}, ("*",), (IMPLICIT, "session")),
    (FED, {"session_policies": YES, "identity_policies": YES}, ("*",), (OK, "identity")),
    (FED_ROOT, {"session_policies": YES}, (), (OK, "identity")),  # E218
    (FED_ROOT, {"session_policies": ZERO}, (), (IMPLICIT, "session")),
    (ROOT_A, {}, (A,), (OK, "resource")),
    (AROOT, {}, (), (IMPLICIT, "session")),  # 6.1
    (AROOT, {"session_policies": ()}, (), (IMPLICIT, "session")),
    (AROOT, {"session_policies": ZERO}, (), (OK, "identity")),  # its task policy needs no Allow
    (AROOT, {"session_policies": NO}, (), (EXPLICIT, "session")),
    (AROOT, {}, ("*",), (IMPLICIT, "session")),
    (SVC, {}, ("s3.amazonaws.com",), (OK, "resource")),
    (SVC, {}, (A,), (IMPLICIT, "resource")),
    (ANON, {}, ("*",), (OK, "resource")),
    # D6, lenient: what restricts still limits, what grants does not
    (ROOT_A, {"boundary": ZERO}, (), (IMPLICIT, "boundary")),  # E236
    (ROOT_A, {"boundary": NO}, (), (EXPLICIT, "boundary")),
    (ROOT_A, {"boundary": YES}, (), (OK, "identity")),
    (USER, {"identity_policies": YES, "session_policies": ZERO}, (), (IMPLICIT, "session")),  # E235
    (USER, {"identity_policies": YES, "session_policies": YES}, (), (OK, "identity")),
    (USER, {"session_policies": ZERO}, (ANA,), (IMPLICIT, "session")),
    (ANON, {"identity_policies": YES}, (), (IMPLICIT, "resource")),
    (ANON, {"identity_policies": NO}, ("*",), (EXPLICIT, "identity")),
    (SLR, {"identity_policies": YES, "boundary": ZERO}, (), (IMPLICIT, "boundary")),
    (SLR, {"boundary": ZERO}, ("*",), (IMPLICIT, "boundary")),  # no grant bypasses it
]


@pytest.mark.parametrize(("principal", "layers", "names", "expected"), SAME_ACCOUNT)
def test_combining_same_account(principal: PrincipalProfile, layers: dict, names: tuple, expected: tuple) -> None:
    resource = a_bucket(grant(*names)) if names else a_bucket()
    assert verdict(replace(principal, **layers), resource) == expected


CROSS_ACCOUNT = [
    (USER, {"identity_policies": YES}, (), (IMPLICIT, "resource")),  # E270
    (USER, {}, (ANA,), (IMPLICIT, "identity")),  # E271
    (USER, {"identity_policies": YES}, (A,), (OK, "identity")),  # E272
    (ROLE, {"identity_policies": YES, "session_policies": ZERO}, (RUN1,), (IMPLICIT, "session")),  # E273, D25
    (ROLE, {"identity_policies": YES, "boundary": ZERO}, (DEP,), (IMPLICIT, "boundary")),  # E274
    (USER, {}, ("*",), (IMPLICIT, "identity")),  # E275
    (ROOT_A, {}, (A,), (OK, "resource")),  # E276, D22
    (ROOT_A, {}, (ANA,), (IMPLICIT, "resource")),
    (FED, {"identity_policies": YES}, (A,), (IMPLICIT, "session")),  # E277
    (FED_ROOT, {"session_policies": YES}, (A,), (OK, "resource")),
]


@pytest.mark.parametrize(("principal", "layers", "names", "expected"), CROSS_ACCOUNT)
def test_combining_cross_account(principal: PrincipalProfile, layers: dict, names: tuple, expected: tuple) -> None:
    resource = a_bucket(grant(*names), account=B) if names else a_bucket(account=B)
    assert verdict(replace(principal, **layers), resource) == expected


KEYS = [  # 6.3: a KMS key needs its policy
    (USER, {"identity_policies": YES}, (), (IMPLICIT, "resource")),  # E222
    (ROOT_A, {}, (), (IMPLICIT, "resource")),
    (USER, {"identity_policies": YES}, (A,), (OK, "identity")),  # E223
    (USER, {}, (A,), (IMPLICIT, "identity")),
    (ROOT_A, {}, (A,), (OK, "resource")),
    (USER, {}, (ANA,), (OK, "resource")),  # E224
    (FED_ROOT, {"session_policies": YES}, (A,), (OK, "resource")),
]


@pytest.mark.parametrize(("principal", "layers", "names", "expected"), KEYS)
def test_kms_key_requires_its_key_policy(principal: PrincipalProfile, layers: dict, names: tuple, expected: tuple) -> None:
    resource = a_bucket(*([grant(*names)] if names else []), arn=KEY)
    assert verdict(replace(principal, **layers), resource, "kms:Decrypt") == expected


def test_configured_service_requires_its_resource_policy() -> None:  # 6.3
    settings = Settings(resource_policy_services=frozenset({"s3"}))
    assert verdict(replace(USER, identity_policies=YES), settings=settings) == (IMPLICIT, "resource")


def test_assume_role_requires_the_trust_policy() -> None:  # 6.6, D30, E291, E293, E297
    def assume(names: tuple[str, ...], principal: PrincipalProfile, action: str = "sts:AssumeRole") -> tuple[Outcome, str]:
        trust = policy(*(statement("Allow", "sts:*", None, name) for name in names), kind=PolicyKind.TRUST)
        return verdict(principal, a_bucket(trust, arn=DEP), action)

    able = replace(USER, identity_policies=YES)
    assert assume((), able) == (IMPLICIT, "resource")
    assert assume((A,), able) == (OK, "identity")
    assert assume((ANA,), USER) == (OK, "resource")
    assert assume((RUN1,), ROLE, "sts:SetSourceIdentity") == (IMPLICIT, "identity")
    assert assume((RUN1,), ROLE, "sts:TagSession") == (OK, "resource")
    assert assume((A,), ROOT_A) == (IMPLICIT, "credential")  # D31, E300


# -- organisations and endpoints (6.2, 6.8, 8.8) ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scps", "expected"),
    [
        (None, (OK, "identity")),
        ((YES, YES), (OK, "identity")),
        ((YES, ZERO), (IMPLICIT, "scp")),  # E240
        ((YES, YES + NO), (EXPLICIT, "scp")),  # E241
        ((), (IMPLICIT, "scp")),  # E260
        (((),), (IMPLICIT, "scp")),
    ],
)
def test_scps_must_allow_at_every_level(scps: Any, expected: tuple) -> None:  # D10
    assert verdict(replace(USER, identity_policies=YES, scps=scps)) == expected


def test_scps_do_not_apply_to_exempt_principals() -> None:  # D11, D12, E244
    assert verdict(replace(SLR, identity_policies=YES, scps=(NO,))) == (OK, "identity")
    assert verdict(replace(SVC, scps=(NO,)), a_bucket(grant("*"))) == (OK, "resource")
    settings = Settings(scp_exempt_actions=frozenset({"s3:getobject"}))
    assert verdict(replace(USER, identity_policies=YES, scps=(NO,)), settings=settings) == (OK, "identity")


def test_rcps_only_deny() -> None:  # D13 to D15, E249, E252, E253, E261
    rcp = (policy(statement("Deny", who="*"), kind=PolicyKind.RCP),)
    able = replace(USER, identity_policies=YES)
    assert verdict(able, a_bucket(rcps=(rcp,))) == (EXPLICIT, "rcp")
    assert verdict(able, a_bucket(rcps=((),))) == (OK, "identity")
    assert verdict(ANON, a_bucket(grant("*"), rcps=(rcp,))) == (EXPLICIT, "rcp")
    assert verdict(replace(SLR, identity_policies=YES), a_bucket(rcps=(rcp,))) == (OK, "identity")
    assert verdict(able, a_bucket(rcps=(rcp,)), "ec2:RunInstances") == (OK, "identity")
    assert verdict(able, a_bucket(grant(A), arn=KEY, rcps=(rcp,)), "kms:RetireGrant") == (OK, "identity")
    trust = a_bucket(grant(ANA), arn=f"arn:aws:iam::{A}:role/aws-service-role/x/R", rcps=(rcp,))
    assert verdict(able, trust, "sts:AssumeRole") == (OK, "resource")


def test_endpoint_policy_must_allow() -> None:  # D40, D42, E255 to E257
    able = replace(USER, identity_policies=YES)
    closed = (policy(statement("Allow", "none:Such", who="*"), kind=PolicyKind.VPCE),)
    assert verdict(able, endpoint=EndpointProfile("vpce-1", closed)) == (IMPLICIT, "vpce")
    assert verdict(able, endpoint=EndpointProfile("vpce-1", ())) == (IMPLICIT, "vpce")
    assert verdict(able, endpoint=EndpointProfile("vpce-1")) == (OK, "identity")
    denying = (policy(statement("Deny", who="*"), kind=PolicyKind.VPCE),)
    assert verdict(ROOT_A, endpoint=EndpointProfile("vpce-1", denying)) == (EXPLICIT, "vpce")
    assert verdict(SVC, a_bucket(grant("*")), endpoint=EndpointProfile("vpce-1", denying)) == (OK, "resource")


def test_unknown_endpoint_denies_as_indeterminate() -> None:  # D40, E262
    decision = ask(replace(USER, identity_policies=YES), endpoint=EndpointProfile("vpce-9", known=False)).decision
    assert (decision.outcome, decision.layer, decision.reason) == (EXPLICIT, Layer.VPCE, "unknown_endpoint")
    assert decision.indeterminate and decision.statement is None
    scp = replace(USER, identity_policies=YES, scps=(NO,))
    assert verdict(scp, endpoint=EndpointProfile("vpce-9", known=False)) == (EXPLICIT, "scp")


# -- rules that no policy changes (6.3, 6.7, 7.4) -----------------------------------------------------------------------


RULES = [  # principal, resource, action, outcome, layer, reason
    (
        replace(USER, known=False, identity_policies=YES),
        a_bucket(),
        "sts:GetCallerIdentity",
        IMPLICIT,
        "credential",
        "unknown_principal",
    ),
    (replace(USER, identity_policies=NO), a_bucket(arn="*"), "sts:GetCallerIdentity", OK, "service", "always_allowed"),  # E229
    (USER, a_bucket(arn="*"), "sts:GetSessionToken", OK, "service", "always_allowed"),  # E230
    (ANON, a_bucket(arn="*"), "sts:GetCallerIdentity", IMPLICIT, "service", "anonymous"),
    (ANON, a_bucket(grant("*")), "lambda:InvokeFunction", IMPLICIT, "service", "anonymous"),  # E234
    (ROLE, a_bucket(arn="*"), "sts:GetFederationToken", IMPLICIT, "credential", "credential"),  # E302
    (SLR, a_bucket(arn="*"), "sts:GetSessionToken", IMPLICIT, "credential", "credential"),
    (replace(USER, temporary=True), a_bucket(arn="*"), "sts:GetSessionToken", IMPLICIT, "credential", "credential"),
    (replace(USER, temporary=True), a_bucket(arn="*"), "iam:ListUsers", IMPLICIT, "credential", "credential"),  # E303
    (replace(USER, temporary=True, mfa=True, identity_policies=YES), a_bucket(arn="*"), "iam:ListUsers", OK, "identity", None),
    (replace(USER, temporary=True, identity_policies=YES), a_bucket(arn=DEP), "iam:PassRole", OK, "identity", None),  # S10
    (FED, a_bucket(arn=DEP), "sts:AssumeRole", IMPLICIT, "credential", "credential"),  # E301
    (FED, a_bucket(arn="*"), "iam:ListUsers", IMPLICIT, "credential", "credential"),  # E328
    (replace(FED, identity_policies=YES, session_policies=YES), a_bucket(arn=DEP), "iam:PassRole", OK, "identity", None),
    (USER, a_bucket(arn="*"), "sts:GetScopedCredentials", IMPLICIT, "credential", "credential"),
    (USER, a_bucket(arn="*"), "sts:AssumeRoot", IMPLICIT, "credential", "credential"),
    (replace(USER, may_assume_root=True, identity_policies=YES), a_bucket(arn="*"), "sts:AssumeRoot", OK, "identity", None),
    (ROOT_A, a_bucket(arn="*"), "sts:AssumeRoot", IMPLICIT, "credential", "credential"),  # E322
    (ROOT_A, a_bucket(arn="arn:aws:iam::aws:policy/X"), "iam:DeletePolicy", IMPLICIT, "service", "hard_rule"),  # E231
    (ROOT_A, a_bucket(arn="arn:aws:iam::aws:policy/X"), "iam:GetPolicy", OK, "identity", None),  # E233
    (ROOT_A, a_bucket(arn=f"arn:aws:iam::{A}:role/aws-reserved/sso/R"), "iam:TagRole", IMPLICIT, "service", "hard_rule"),
    (ROOT_A, a_bucket(arn=f"arn:aws:iam::{A}:role/aws-service-role/x/R"), "iam:TagRole", OK, "identity", None),
    (ROOT_A, a_bucket(arn=f"arn:aws:iam::{A}:role/aws-service-role/x/R"), "iam:PutRolePolicy", IMPLICIT, "service", "hard_rule"),
    (ROOT_A, a_bucket(arn=f"arn:aws:kms:r:{A}:alias/aws/s3"), "kms:DeleteAlias", IMPLICIT, "service", "hard_rule"),
    (ROOT_A, a_bucket(arn=f"arn:aws:kms:r:{A}:alias/own"), "kms:DeleteAlias", OK, "identity", None),
    (USER, a_bucket(arn=f"arn:aws:iam::{B}:role/R", account=B), "iam:PassRole", IMPLICIT, "service", "pass_role_account"),  # E227
    (replace(USER, partition="aws-cn"), a_bucket(grant("*")), "s3:GetObject", IMPLICIT, "service", "partition"),  # N16
    (USER, a_bucket(unknown_owner=True), "s3:GetObject", IMPLICIT, "service", "unknown_owner"),  # E279
    (ANON, a_bucket(grant("*"), blocks_public=True), "s3:GetObject", EXPLICIT, "service", "public_access"),  # D33
    (USER, a_bucket(grant("*"), blocks_public=True, account=B), "s3:GetObject", EXPLICIT, "service", "public_access"),
    (USER, a_bucket(grant("*"), blocks_public=True), "s3:GetObject", OK, "resource", None),
    (SVC, a_bucket(grant("*"), blocks_public=True), "s3:GetObject", OK, "resource", None),
]


@pytest.mark.parametrize(("principal", "resource", "action", "outcome", "layer", "reason"), RULES)
def test_service_rules_override_policies(
    principal: PrincipalProfile, resource: ResourceProfile, action: str, outcome: Outcome, layer: str, reason: str | None
) -> None:
    decision = ask(principal, resource, action).decision
    assert (decision.outcome, str(decision.layer), decision.reason) == (outcome, layer, reason)


def test_pass_role_ignores_resource_policies() -> None:  # 6.3, E226
    refusing = policy(statement("Deny", who="*"), kind=PolicyKind.RESOURCE)
    able = replace(USER, identity_policies=YES)
    assert verdict(able, a_bucket(refusing, arn=DEP), "iam:PassRole") == (OK, "identity")
    assert verdict(USER, a_bucket(grant("*"), arn=DEP), "iam:PassRole") == (IMPLICIT, "identity")
