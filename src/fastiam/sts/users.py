"""GetSessionToken, GetFederationToken, GetScopedCredentials, and AssumeRoot on a member account."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from fastiam.credentials.mfa import MfaDevices
from fastiam.credentials.results import Caller, FederatedUser, IssuedSession
from fastiam.credentials.sts_errors import AccessDeniedError, ValidationError
from fastiam.credentials.text_rules import check_form
from fastiam.directory.principal_refs import PrincipalRef, parse_principal
from fastiam.model.arn import is_account
from fastiam.model.profile import ROLES, PrincipalKind
from fastiam.model.request import shorten
from fastiam.model.session import Session
from fastiam.sts import parameter_limits as limits
from fastiam.sts.authorization import TAG_SESSION, AuthorizationRequest, require
from fastiam.sts.parameter_limits import read_duration, read_session_tags
from fastiam.sts.roles import verify_mfa
from fastiam.sts.session_issuer import Issuer, PolicyText, request_tags
from fastiam.sts.session_tokens import Claims
from fastiam.sts.task_policies import TASK_PATH, TASK_POLICIES

_SCOPE = "sts:GetScopedCredentials"
_GET_TOKEN, _FEDERATE, _ASSUME_ROOT = "sts:GetSessionToken", "sts:GetFederationToken", "sts:AssumeRoot"


def get_session_token(
    issuer: Issuer,
    mfa: MfaDevices,
    caller: Caller,
    duration: int | None,
    serial: str | None,
    code: str | None,
    context: Mapping[str, Any],
) -> IssuedSession:
    """GetSessionToken: the same user or root, with temporary credentials. No policy has a say (6.3)."""
    state, now = issuer.state, issuer.state.now()
    request = AuthorizationRequest(principal=caller.principal, actions=(_GET_TOKEN,), resource="*", context=context, now=now)
    require(state.engine(), request)
    ref = _long_term(caller, _GET_TOKEN)
    is_root = ref.kind is PrincipalKind.ROOT
    seconds = read_duration(duration, limits.ROOT_TOKEN if is_root else limits.TOKEN)
    has_mfa = bool(verify_mfa(mfa, caller, serial, code, _GET_TOKEN, "*"))
    session = Session(ref.text, kind=ref.kind, issuer=ref.text, issued_at=now, mfa_at=now if has_mfa else None)
    return IssuedSession(_issue(issuer, caller, ref, session, seconds), session)


def get_federation_token(
    issuer: Issuer,
    caller: Caller,
    name: str,
    duration: int | None,
    policy: PolicyText | None,
    policy_arns: Sequence[str],
    tags: Mapping[str, str],
    context: Mapping[str, Any],
) -> FederatedUser:
    """GetFederationToken: a session for a federated user. Without session policies nothing is allowed (6.1)."""
    state, now = issuer.state, issuer.state.now()
    check_form(name, limits.FEDERATION_NAME)
    tags, _ = read_session_tags(tags, (), {})
    account = state.engine().snapshot.principal(caller.principal).account or ""
    partition = caller.arn.split(":")[1]
    arn = f"arn:{partition}:sts::{account}:federated-user/{name}"
    actions = (_FEDERATE, TAG_SESSION) if tags else (_FEDERATE,)
    keys = {**context, **request_tags(tags)}
    request = AuthorizationRequest(principal=caller.principal, actions=actions, resource=arn, context=keys, now=now)
    require(state.engine(), request)
    ref = _long_term(caller, _FEDERATE)
    seconds = read_duration(duration, limits.ROOT_TOKEN if ref.kind is PrincipalKind.ROOT else limits.TOKEN)
    policies, packed = issuer.policies(policy, policy_arns, account)
    session = Session(arn, kind=PrincipalKind.FED, issuer=ref.text, policies=policies, tags=tags, issued_at=now)
    credentials = _issue(issuer, caller, ref, session, seconds)
    return FederatedUser(credentials, session, arn, f"{account}:{name}", packed)


def get_scoped_credentials(
    issuer: Issuer,
    claims: Claims,
    duration: int | None,
    policy: PolicyText | None,
    policy_arns: Sequence[str],
    context: Mapping[str, Any],
) -> IssuedSession:
    """GetScopedCredentials: the same session for less long, or with session policies that narrow it.

    It keeps its issue time, so that a revocation of the first one by time revokes this one.
    """
    state, now, session = issuer.state, issuer.state.now(), claims.session
    account = session.arn.split(":")[4]
    if duration is None and policy is None and not policy_arns:
        raise ValidationError("scoped credentials need a duration or session policies", rule="7.1")
    left = int((claims.expires_at - now).total_seconds())
    most = min(left, limits.TOKEN.high)
    seconds = read_duration(duration, limits.DurationRange(1, most, most))
    policies, _ = issuer.policies(policy, policy_arns, account)
    if policies is not None and (session.policies is not None or session.kind not in ROLES):
        raise ValidationError(
            "only a role session without session policies can be narrowed by some",
            rule="D4",
            hint="two sets of session policies would have to allow both, and a session has one layer of them",
        )
    request = AuthorizationRequest(principal=session, actions=(_SCOPE,), resource="*", context=context, now=now)
    require(state.engine(), request)
    scoped = session if policies is None else replace(session, policies=policies)
    made = Claims(scoped, now + timedelta(seconds=seconds), claims.issuer_id, claims.issuer_key, claims.chained)
    return IssuedSession(issuer.tokens.issue(made, account), scoped)


def _issue(issuer: Issuer, caller: Caller, ref: PrincipalRef, session: Session, seconds: int) -> Any:
    return issuer.user_session(
        session,
        ref.account or "",
        seconds,
        issuer_id=issuer.state.unique_id(ref),
        issuer_key=caller.access_key_id,
    )


def _long_term(caller: Caller, action: str) -> PrincipalRef:
    """The user or root behind a long-term key; the engine has refused all others already (7.4)."""
    assert isinstance(caller.principal, str), action
    return parse_principal(caller.principal)


# -- AssumeRoot -----------------------------------------------------------------------------------------------------------


def task_policy(arn: str, partition: str) -> str:
    """The session policy of a root task: AWS's own document, whose Deny statements limit the root user to the task (6.1).

    Raises
    ------
    ValidationError
        none of the five, or not exactly its ARN in the partition.
    """
    prefix = f"arn:{partition}:iam::aws:{TASK_PATH}"
    document = TASK_POLICIES.get(arn.removeprefix(prefix)) if arn.startswith(prefix) else None
    if document is None:
        hint = f"write `{prefix}{next(iter(TASK_POLICIES))}`"
        raise ValidationError(f"`{shorten(arn)}` is not a task policy", rule="7.1", hint=hint)
    return json.dumps(document)


def _member_of(target: str, partition: str) -> str:
    """The account of a target: its id, or exactly the ARN of its root. Policies name the target by this ARN."""
    prefix = f"arn:{partition}:iam::"
    account = target if is_account(target) else target.removeprefix(prefix).removesuffix(":root")
    if not is_account(account) or target not in (account, f"{prefix}{account}:root"):
        hint = f"write the account id, or `{prefix}111111111111:root`"
        raise ValidationError(f"`{shorten(target)}` is not a member account", rule="7.1", hint=hint)
    return account


def assume_root(
    issuer: Issuer, caller: Caller, target: str, task_policy_arn: str, duration: int | None, context: Mapping[str, Any]
) -> IssuedSession:
    """AssumeRoot: a root session on a member account of the caller's organisation, for one task."""
    state, now = issuer.state, issuer.state.now()
    partition = caller.arn.split(":")[1]
    policy = task_policy(task_policy_arn, partition)
    seconds = read_duration(duration, limits.ASSUME_ROOT)
    account = _member_of(target, partition)
    root = f"arn:{partition}:iam::{account}:root"
    profile = state.engine().snapshot.principal(caller.principal)
    request = AuthorizationRequest(
        principal=caller.principal,
        actions=(_ASSUME_ROOT,),
        resource=root,
        context={**context, "sts:TaskPolicyArn": task_policy_arn},
        now=now,
        is_own_side=True,
    )
    require(state.engine(), request)
    organization = state.tables.organization
    is_member = organization is not None and account in organization.parents and account != organization.management_account
    if not (profile.may_assume_root and is_member):
        raise AccessDeniedError(
            f"`{caller.arn}` may not `{_ASSUME_ROOT}` on `{shorten(root)}`: it takes the management account, or the delegated"
            " administrator for IAM, and a member account of the same organization - layer `service`",
            principal=caller.arn,
            action=_ASSUME_ROOT,
            resource=root,
            layer="service",
            rule="7.1",
        )
    source = caller.principal.source_identity if isinstance(caller.principal, Session) else None
    session = Session(root, kind=PrincipalKind.AROOT, policies=(policy,), issued_at=now, source_identity=source)
    return IssuedSession(issuer.user_session(session, account, seconds), session)
