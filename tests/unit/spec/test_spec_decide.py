"""Decisions of the specification evaluator over hand-written profiles: the algorithm and tables of 6.4, explanations (6.9)."""

from dataclasses import replace
from typing import Any

import pytest

from fastiam.model.decision import Layer, Outcome
from fastiam.model.explanation import Explanation
from fastiam.model.key_registry import fold
from fastiam.model.policy import ConditionEntry, Effect, Policy, PolicyKind, PrincipalEntry, Statement
from fastiam.model.profile import AccountFacts, EndpointProfile, PrincipalKind, PrincipalProfile, ResourceProfile, Settings
from fastiam.model.request import ContextValue, Request, read_context
from fastiam.spec import decide

A, B = "111111111111", "222222222222"
ANA = f"arn:aws:iam::{A}:user/eng/ana"
DEP = f"arn:aws:iam::{A}:role/ops/Dep"
RUN1 = f"arn:aws:sts::{A}:assumed-role/Dep/run1"
KIO = f"arn:aws:sts::{A}:federated-user/kio"
ROOT = f"arn:aws:iam::{A}:root"
KEY = f"arn:aws:kms:eu-west-1:{A}:key/k"
OK, IMPLICIT, EXPLICIT, DEPENDS = Outcome.ALLOW, Outcome.IMPLICIT_DENY, Outcome.EXPLICIT_DENY, Outcome.DEPENDS

OF_A = {"partition": "aws", "account": A}
USER = PrincipalProfile(
    PrincipalKind.USER,
    ANA,
    user_arn=ANA,
    keys={"aws:principalarn": ContextValue((ANA,)), "aws:username": ContextValue(("ana",))},
    **OF_A,
)
ROLE = PrincipalProfile(PrincipalKind.ROLE, RUN1, role_name="Dep", session_arn=RUN1, **OF_A)
FED = PrincipalProfile(PrincipalKind.FED, KIO, user_arn=ANA, **OF_A)
FED_ROOT = PrincipalProfile(PrincipalKind.FED, KIO, issuer_root=True, **OF_A)
ROOT_A = PrincipalProfile(PrincipalKind.ROOT, ROOT, **OF_A)
AROOT = PrincipalProfile(PrincipalKind.AROOT, ROOT, **OF_A)
SLR = PrincipalProfile(PrincipalKind.SLR, RUN1, role_name="Dep", session_arn=RUN1, **OF_A)
SVC = PrincipalProfile(PrincipalKind.SVC, "s3.amazonaws.com", service_names=("s3.amazonaws.com",))
ANON = PrincipalProfile(PrincipalKind.ANON, "*")


def statement(effect: str, action: str = "*", resource: str | None = "*", who: str | None = None, **condition: Any) -> Statement:
    """A statement; a condition is `Operator=(key, value, ...)`, with `_` for the colon of a set operator."""
    principals = None
    if who is not None:
        principals = (PrincipalEntry("*" if who == "*" else "Service" if who.endswith(".com") else "AWS", who),)
    entries = []
    for name, (key, *values) in condition.items():
        qualifier, _, base = name.rpartition("_")
        entries.append(ConditionEntry(base.removesuffix("IfExists"), qualifier, base.endswith("IfExists"), key, tuple(values)))
    resources = None if resource is None else (resource,)
    return Statement(0, None, Effect(effect), (action,), resources=resources, principals=principals, conditions=tuple(entries))


def policy(*statements: Statement, name: str = "p", kind: PolicyKind = PolicyKind.IDENTITY) -> Policy:
    return Policy(kind, True, tuple(replace(s, index=i) for i, s in enumerate(statements)), name=name)


ALLOW, DENY = policy(statement("Allow"), name="+"), policy(statement("Deny"), name="-")
NOTHING = policy(statement("Allow", action="none:Such"), name="0")
YES, NO, ZERO = (ALLOW,), (DENY,), (NOTHING,)


def grant(*names: str) -> Policy:
    """A resource policy with one Allow for each name."""
    return policy(*(statement("Allow", who=name) for name in names), name="rp", kind=PolicyKind.RESOURCE)


def a_bucket(*policies: Policy, account: str | None = A, arn: str = "arn:aws:s3:::bkt/x", **parts: Any) -> ResourceProfile:
    return ResourceProfile(arn, "aws" if arn != "*" else None, account, policies=policies or None, **parts)


def ask(
    principal: PrincipalProfile,
    resource: ResourceProfile | None = None,
    action: str = "s3:GetObject",
    context: dict[str, Any] | None = None,
    *,
    now: int = 0,
    unknown: tuple[str, ...] = (),
    **parts: Any,
) -> Explanation:
    request = Request(action, read_context(context or {}, strict=False), now, frozenset(map(fold, unknown)))
    return decide(principal, resource or a_bucket(), request, **parts)


def verdict(*args: Any, **parts: Any) -> tuple[Outcome, str]:
    decision = ask(*args, **parts).decision
    return decision.outcome, str(decision.layer)


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


# -- what is reported (D50, D51, 6.9) -----------------------------------------------------------------------------------


def test_explicit_deny_reports_first_layer_and_statement() -> None:  # D50, D51, E259, E340, E345
    scps = (YES, (ALLOW, policy(statement("Allow"), statement("Deny"), name="ou")), NO)
    resource = a_bucket(policy(statement("Deny", who="*"), name="rp", kind=PolicyKind.RESOURCE))
    explanation = ask(replace(USER, identity_policies=YES + NO, scps=scps), resource)
    ref = explanation.decision.statement
    assert ref is not None and (ref.layer, ref.level, ref.policy, ref.index) == (Layer.SCP, 1, "ou", 1)
    assert [(each.ref.layer, each.ref.level) for each in explanation.denies] == [
        (Layer.SCP, 1),
        (Layer.SCP, 2),
        (Layer.RESOURCE, 0),
        (Layer.IDENTITY, 0),
    ]
    first, second = policy(statement("Allow"), name="one"), policy(statement("Allow"), name="two")
    for order in ((first, second), (second, first)):
        decision = ask(replace(USER, identity_policies=order)).decision
        assert decision.statement is not None and decision.statement.policy == order[0].name


def test_reported_grant_has_a_sufficient_class() -> None:  # D51, E344
    decision = ask(replace(USER, identity_policies=YES), a_bucket(grant(A, ANA))).decision
    assert decision.statement is not None and (decision.layer, decision.statement.index) == (Layer.RESOURCE, 1)
    decision = ask(replace(USER, identity_policies=YES), a_bucket(grant(A, ANA), account=B)).decision
    assert decision.statement is not None and decision.statement.layer is Layer.IDENTITY
    decision = ask(ROOT_A, a_bucket(grant(A))).decision
    assert decision.statement is not None and decision.statement.index == 0
    assert ask(ROOT_A).decision.statement is None


MISSING = [  # principal, layers, resource, missing
    (USER, {}, a_bucket(), (("identity",), ("resource:D",))),  # E258
    (USER, {"identity_policies": YES, "boundary": ZERO}, a_bucket(), (("boundary",), ("resource:D",))),
    (USER, {}, a_bucket(account=B), (("resource", "identity"),)),
    (USER, {"identity_policies": YES}, a_bucket(account=B), (("resource",),)),
    (USER, {"scps": (YES, ZERO, ZERO)}, a_bucket(), (("scp:1", "scp:2", "identity"), ("scp:1", "scp:2", "resource:D"))),
    (USER, {"scps": (), "identity_policies": YES}, a_bucket(), (("scp",),)),
    (ROLE, {"boundary": ZERO, "session_policies": ZERO}, a_bucket(grant(DEP)), (("boundary", "session"), ("resource:D",))),
    (SVC, {}, a_bucket(), (("resource",),)),
    (USER, {"identity_policies": YES}, a_bucket(arn=KEY), (("resource",),)),
    (USER, {}, a_bucket(arn=KEY), (("resource", "identity"), ("resource:D",))),
    (AROOT, {}, a_bucket(), (("session",),)),
    (USER, {"identity_policies": YES, "session_policies": ZERO}, a_bucket(), (("session",),)),
    (USER, {}, a_bucket(unknown_owner=True), ()),
]


@pytest.mark.parametrize(("principal", "layers", "resource", "expected"), MISSING)
def test_missing_lists_the_smallest_alternatives(
    principal: PrincipalProfile, layers: dict, resource: ResourceProfile, expected: tuple
) -> None:
    explanation = ask(replace(principal, **layers), resource)
    assert (explanation.decision.outcome, explanation.missing) == (IMPLICIT, expected)  # 6.9


def test_bypassed_lists_layers_that_a_grant_overrides() -> None:  # E205, 6.9
    layers = {"boundary": ZERO, "session_policies": ZERO}
    assert ask(replace(ROLE, **layers), a_bucket(grant(RUN1))).bypassed == (Layer.IDENTITY, Layer.BOUNDARY, Layer.SESSION)
    assert ask(replace(USER, boundary=ZERO), a_bucket(grant(ANA))).bypassed == (Layer.IDENTITY, Layer.BOUNDARY)
    assert ask(replace(ROLE, identity_policies=YES), a_bucket(grant(DEP))).bypassed == ()


def test_limits_give_the_reason_of_layers_that_do_not_apply() -> None:  # 6.9
    principal = replace(USER, identity_policies=YES, boundary=ZERO, scp_note="management_account")
    limits = {each.layer: (each.result, each.reason, each.level) for each in ask(principal, a_bucket(rcps=((),))).limits}
    assert limits == {
        Layer.RCP: ("allow", "", None),
        Layer.SCP: ("not_applicable", "management_account", None),
        Layer.VPCE: ("not_applicable", "no_endpoint", None),
        Layer.BOUNDARY: ("implicit_deny", "", None),
        Layer.SESSION: ("not_applicable", "none", None),
    }
    limits = {each.layer: (each.result, each.level) for each in ask(replace(FED, scps=(YES, ZERO))).limits}
    assert limits[Layer.SCP] == ("implicit_deny", 1)
    assert limits[Layer.SESSION] == ("implicit_deny", None)


def test_near_miss_names_the_failed_test() -> None:  # 6.9
    statements = (
        statement("Allow", "s3:Put*"),
        statement("Allow", resource="arn:aws:s3:::other"),
        statement("Allow", StringEquals=("aws:RequestedRegion", "eu-west-1"), ForAnyValue_StringLike=("k:list", "a")),
        statement("Allow", ForAnyValue_StringLikeIfExists=("K:list", "a", "b")),
    )
    explanation = ask(replace(USER, identity_policies=(policy(*statements),)), context={"k:list": ["c"]})
    assert [(each.ref.index, each.element, each.operator, each.expected, each.actual) for each in explanation.near_misses] == [
        (0, "Action", "", ("s3:Put*",), ("s3:getobject",)),
        (1, "Resource", "", ("arn:aws:s3:::other",), ("arn:aws:s3:::bkt/x",)),
        (3, "Condition", "ForAnyValue:StringLikeIfExists", ("a", "b"), ("c",)),
    ]


def test_explanation_lists_absent_keys_and_unresolved_variables() -> None:  # 6.9
    statements = (
        statement("Allow", resource="arn:aws:s3:::bkt/${aws:PrincipalTag/Team}"),
        statement("Allow", StringEquals=("aws:SourceVpc", "${aws:PrincipalTag/vpc}")),
        statement("Allow", "ec2:*", StringEquals=("k:other", "a")),
        statement("Allow", resource="arn:aws:s3:::other", StringEquals=("k:another", "a")),
    )
    explanation = ask(replace(USER, identity_policies=(policy(*statements),)))
    assert explanation.unresolved_variables == ("aws:principaltag/team",)
    assert explanation.absent_keys == ("aws:principaltag/team", "aws:sourcevpc")


# -- indeterminate (F3, F6, F7) -----------------------------------------------------------------------------------------


def test_denial_by_undetermined_test_is_indeterminate() -> None:  # F3, F6, E046
    doubtful = policy(statement("Deny", "s3:GetObject "))
    explanation = ask(replace(USER, identity_policies=(ALLOW, doubtful)))
    assert explanation.decision.outcome is EXPLICIT and explanation.decision.indeterminate
    assert explanation.denies[0].indeterminate and explanation.denies[0].reasons == ("V24",)
    assert not ask(replace(USER, identity_policies=(ALLOW, DENY, doubtful))).decision.indeterminate  # the reported one is T
    granted = ask(replace(USER, identity_policies=(policy(statement("Allow", "s3:GetObject ")),))).decision
    assert granted.outcome is IMPLICIT and granted.indeterminate
    assert not ask(USER).decision.indeterminate


def test_undetermined_statement_with_a_false_test_is_false() -> None:  # F7, E035
    whole = replace(statement("Deny", "ec2:*"), undetermined=("V4",))
    assert verdict(replace(USER, identity_policies=(ALLOW, policy(whole)))) == (OK, "identity")
    assert verdict(replace(USER, identity_policies=(ALLOW, policy(replace(whole, actions=None))))) == (EXPLICIT, "identity")


def test_reasons_omit_rules_of_tests_without_effect() -> None:  # F2
    mixed = replace(statement("Deny", "bad"), actions=("bad", "s3:*"), resources=("bkt", "*"))
    doubt = replace(mixed, conditions=statement("Deny", NumericEquals=("k:n", "1")).conditions)
    explanation = ask(replace(USER, identity_policies=(ALLOW, policy(doubt))), context={"k:n": "x"})
    assert explanation.denies[0].reasons == ("C22",)
    assert ask(replace(USER, identity_policies=(ALLOW, policy(mixed)))).denies[0].reasons == ()


# -- derived context (section 5) ----------------------------------------------------------------------------------------


def context_of(principal: PrincipalProfile = USER, resource: ResourceProfile | None = None, **parts: Any) -> dict[str, Any]:
    return dict(ask(principal, resource, **parts).context)


def test_defaults_fill_keys_that_the_request_lacks() -> None:  # K1, K2, K5
    context = context_of(now=1893456000)
    assert context == {
        "aws:principalarn": (ANA,),
        "aws:username": ("ana",),
        "aws:securetransport": ("false",),
        "aws:useragent": ("",),
        "aws:viaawsservice": ("false",),
        "aws:epochtime": ("1893456000",),
        "aws:currenttime": ("2030-01-01T00:00:00Z",),
    }
    assert context_of(context={"AWS:SecureTransport": True, "aws:username": "bo"})["aws:username"] == ("bo",)


@pytest.mark.parametrize(
    ("given", "current", "epoch"),
    [
        ({"aws:EpochTime": 1893456000}, "2030-01-01T00:00:00Z", "1893456000"),  # E355
        ({"aws:CurrentTime": "2030-01-01"}, "2030-01-01", "1893456000"),
        ({"aws:CurrentTime": "soon"}, "soon", "soon"),
        ({"aws:CurrentTime": "2030-01-01T00:00:00.5Z"}, "2030-01-01T00:00:00.5Z", "2030-01-01T00:00:00.5Z"),
        ({"aws:EpochTime": "99999999999999"}, "99999999999999", "99999999999999"),
        ({"aws:EpochTime": "5", "aws:CurrentTime": "2000-01-01"}, "2000-01-01", "5"),
    ],
)
def test_one_clock_key_determines_the_other(given: dict, current: str, epoch: str) -> None:  # K5
    context = context_of(context=given)
    assert (context["aws:currenttime"], context["aws:epochtime"]) == ((current,), (epoch,))


@pytest.mark.parametrize(
    ("arn", "action", "expected"),
    [
        (f"arn:aws:sqs:eu-west-1:{A}:q", "sqs:SendMessage", ("eu-west-1",)),  # E356
        ("*", "iam:ListUsers", ("us-east-1",)),
        ("arn:aws:s3:::bkt", "s3:ListBucket", None),
        ("*", "ec2:DescribeInstances", None),
        ("arn:aws-cn:iam::1:user/x", "iam:GetUser", None),  # K6: partition `aws`
    ],
)
def test_requested_region_default(arn: str, action: str, expected: Any) -> None:  # K6
    assert context_of(resource=a_bucket(arn=arn), action=action).get("aws:requestedregion") == expected


def test_keys_derived_from_other_keys() -> None:  # 5.4
    given = {"aws:RequestTag/CostCenter": "1", "aws:CalledVia": ["athena.amazonaws.com", "glue.amazonaws.com"]}
    context = context_of(context=given)
    assert context["aws:tagkeys"] == ("CostCenter",)
    assert context["aws:calledviafirst"] == ("athena.amazonaws.com",)
    assert context["aws:calledvialast"] == ("glue.amazonaws.com",)
    assert context["aws:viaawsservice"] == ("true",)
    facts = AccountFacts(B, org_id="o-1", org_path="o-1/r-1/ou-b/")
    context = context_of(SVC, context={"aws:SourceAccount": B}, sources={B: facts}.get)
    assert (context["aws:sourceorgid"], context["aws:sourceorgpaths"]) == (("o-1",), ("o-1/r-1/ou-b/",))
    assert "aws:sourceorgid" not in context_of(SVC, context={"aws:SourceAccount": A}, sources={B: facts}.get)
    assert context_of(replace(USER, mfa_at=40), now=100)["aws:multifactorauthage"] == ("60",)


def test_iam_resource_tags_are_an_alias_except_in_pass_role() -> None:  # 5.4, 5.5, E228
    keys = {"aws:resourcetag/k": ContextValue(("v",))}
    role = a_bucket(arn=DEP, keys=keys)
    context = context_of(resource=role, action="iam:GetRole")
    assert (context["iam:resourcetag/k"], context["aws:resourcetag/k"]) == (("v",), ("v",))
    passed = context_of(resource=role, action="iam:PassRole", context={"aws:ResourceTag/j": "w"})
    assert not [key for key in passed if "resourcetag" in key]
    assert "iam:resourcetag/k" not in context_of(resource=a_bucket(keys=keys))


def test_conditions_read_derived_keys() -> None:  # C44, E167
    secure = policy(statement("Allow", Bool=("aws:SecureTransport", "true")))
    assert verdict(replace(USER, identity_policies=(secure,))) == (IMPLICIT, "identity")
    assert verdict(replace(USER, identity_policies=(secure,)), context={"aws:SecureTransport": True}) == (OK, "identity")
    early = policy(statement("Allow", DateLessThan=("aws:EpochTime", "1970-01-02"), NumericLessThan=("aws:EpochTime", "86400")))
    assert verdict(replace(USER, identity_policies=(early,)), now=86399) == (OK, "identity")
    assert verdict(replace(USER, identity_policies=(early,)), now=86400) == (IMPLICIT, "identity")


# -- unknown keys (6.11) ------------------------------------------------------------------------------------------------

FROM_OFFICE = statement("Allow", IpAddress=("aws:SourceIp", "203.0.113.0/24"))
NOT_HERE = statement("Deny", StringNotEquals=("aws:RequestedRegion", "eu-west-1"))
NO_MFA = statement("Deny", BoolIfExists=("aws:MultiFactorAuthPresent", "false"))
TEAM = statement("Allow", resource="arn:aws:s3:::bkt/${aws:PrincipalTag/team}")


def depends(*args: Any, **parts: Any) -> tuple[Outcome, str, tuple[str, ...]]:
    decision = ask(*args, **parts).decision
    return decision.outcome, str(decision.layer), decision.depends_on


UNKNOWN = [  # layers, unknown keys, expected
    ({"identity_policies": (policy(FROM_OFFICE),)}, ["aws:SourceIp"], (DEPENDS, "identity", ("aws:sourceip",))),  # E346
    ({"identity_policies": (policy(FROM_OFFICE), ALLOW)}, ["aws:SourceIp"], (OK, "identity", ())),
    (
        {"identity_policies": YES, "scps": ((ALLOW, policy(NOT_HERE)),)},  # E347
        ["aws:RequestedRegion"],
        (DEPENDS, "scp", ("aws:requestedregion",)),
    ),
    ({"scps": ((ALLOW, policy(NOT_HERE)),)}, ["aws:RequestedRegion"], (IMPLICIT, "identity", ())),
    (
        {"identity_policies": (ALLOW, policy(NO_MFA)), "scps": (NO,)},
        ["aws:MultiFactorAuthPresent"],
        (EXPLICIT, "scp", ()),
    ),  # E348
    (
        {"identity_policies": (policy(TEAM),)},
        ["aws:PrincipalTag/team"],
        (DEPENDS, "identity", ("aws:principaltag/team",)),
    ),  # E349
    ({"identity_policies": (policy(FROM_OFFICE),)}, ["k:other"], (IMPLICIT, "identity", ())),
    # both could be false, and each is named although one of them is enough
    (
        {"identity_policies": (ALLOW, policy(NO_MFA, NOT_HERE))},
        ["aws:MultiFactorAuthPresent", "aws:RequestedRegion"],
        (DEPENDS, "identity", ("aws:multifactorauthpresent", "aws:requestedregion")),
    ),
    # the state of the boundary is the same in both runs
    (
        {"identity_policies": (policy(FROM_OFFICE),), "boundary": (ALLOW, policy(statement("Allow", Null=("k:x", "true"))))},
        ["aws:SourceIp", "k:x"],
        (DEPENDS, "identity", ("aws:sourceip",)),
    ),
]


@pytest.mark.parametrize(("layers", "unknown", "expected"), UNKNOWN)
def test_unknown_key_gives_depends(layers: dict, unknown: list, expected: tuple) -> None:  # D73, D74
    assert depends(replace(USER, **layers), unknown=tuple(unknown)) == expected


def test_depends_on_lists_the_keys_of_two_layers() -> None:  # E350
    layers = {
        "identity_policies": (policy(statement("Allow", StringEquals=("k:1", "a"))),),
        "session_policies": (policy(statement("Allow", StringEquals=("k:2", "a"))),),
    }
    principal = replace(ROLE, **layers)
    assert depends(principal, unknown=("k:1", "k:2")) == (DEPENDS, "identity", ("k:1", "k:2"))
    assert depends(principal, context={"k:1": "a"}, unknown=("k:2",)) == (DEPENDS, "session", ("k:2",))
    assert depends(principal, context={"k:1": "b"}, unknown=("k:2",)) == (IMPLICIT, "identity", ())


def test_keys_derived_from_an_unknown_key_are_unknown() -> None:  # D71
    def by(key: str, resource: ResourceProfile | None = None) -> Any:
        allow = policy(statement("Allow", StringEquals=(key, "a")))
        return lambda unknown, **parts: depends(replace(USER, identity_policies=(allow,)), resource, unknown=(unknown,), **parts)

    assert by("aws:CalledViaLast")("aws:CalledVia") == (DEPENDS, "identity", ("aws:calledvialast",))
    assert by("aws:EpochTime")("aws:CurrentTime") == (DEPENDS, "identity", ("aws:epochtime",))
    assert by("aws:TagKeys")("aws:RequestTag/x") == (DEPENDS, "identity", ("aws:tagkeys",))
    assert by("aws:SourceOrgID")("aws:SourceAccount") == (DEPENDS, "identity", ("aws:sourceorgid",))
    assert by("aws:SourceOrgID")("aws:SourceAccount", context={"aws:SourceOrgID": "a"}) == (OK, "identity", ())
    assert by("iam:ResourceTag/k", a_bucket(arn=DEP))("aws:ResourceTag/k") == (DEPENDS, "identity", ("iam:resourcetag/k",))
    assert by("aws:SecureTransport")("aws:SecureTransport") == (DEPENDS, "identity", ("aws:securetransport",))


def test_unknown_declaration_of_a_known_key_is_ignored() -> None:  # D71, K1
    allow = policy(statement("Allow", StringEquals=("aws:username", "bo")))
    assert depends(replace(USER, identity_policies=(allow,)), unknown=("aws:username",)) == (IMPLICIT, "identity", ())
    tagged = replace(USER, identity_policies=(policy(TEAM),), absent_keys=frozenset({"aws:principaltag/"}))
    assert depends(tagged, unknown=("aws:PrincipalTag/team",)) == (IMPLICIT, "identity", ())


def test_unknown_endpoint_key_gives_depends_of_its_layer() -> None:  # D71
    able, endpoint = replace(USER, identity_policies=YES), EndpointProfile("", known=False)
    assert depends(able, endpoint=endpoint, unknown=("aws:SourceVpce",)) == (DEPENDS, "vpce", ("aws:sourcevpce",))
    assert depends(USER, endpoint=endpoint, unknown=("aws:SourceVpce",)) == (IMPLICIT, "identity", ())


def test_unknown_user_id_gives_depends() -> None:  # D72, K1
    resource = a_bucket(grant("AIDAANA"))
    assert depends(USER, resource, unknown=("aws:userid",)) == (DEPENDS, "identity", ("aws:userid",))
