"""Profiles and policies for decisions of the specification evaluator."""

from dataclasses import replace
from typing import Any

from fastiam.model.decision import Outcome
from fastiam.model.explanation import Explanation
from fastiam.model.key_registry import fold
from fastiam.model.policy import ConditionEntry, Effect, Policy, PolicyKind, PrincipalEntry, Statement
from fastiam.model.profile import PrincipalKind, PrincipalProfile, ResourceProfile
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
ROOT_A = PrincipalProfile(PrincipalKind.ROOT, ROOT, **OF_A)
AROOT = PrincipalProfile(PrincipalKind.AROOT, ROOT, **OF_A)
SVC = PrincipalProfile(PrincipalKind.SVC, "s3.amazonaws.com", service_names=("s3.amazonaws.com",))


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
