"""AssumeRole, and what each call for a role is made of: a draft of the session, a question to the engine, the session."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from fastiam.credentials.mfa import MfaDevices
from fastiam.credentials.results import AssumedRole, Caller
from fastiam.credentials.sts_errors import AccessDeniedError, AuthenticationError, ValidationError
from fastiam.credentials.text_rules import check_form
from fastiam.directory.principal_refs import parse_principal
from fastiam.errors import RequestValueError
from fastiam.model.key_registry import fold
from fastiam.model.profile import ROLES
from fastiam.model.request import check_key, shorten
from fastiam.model.session import Session
from fastiam.sts import parameter_limits as limits
from fastiam.sts.authorization import ASSUME_ROLE, AuthorizationRequest, inherited_tags, require, role_actions
from fastiam.sts.parameter_limits import read_duration, read_session_tags
from fastiam.sts.session_issuer import Issuer, PolicyText, RoleSession, request_tags

NO_ROLE = "S20"  # rule of the refusal: a trust policy is there without its role
_OF_THE_CALL = ("sts:", "aws:requesttag/", "aws:tagkeys", "aws:multifactorauth")  # keys that STS itself says of a call


@dataclass(frozen=True)
class RoleRequest:
    """The parameters that all calls for a role have, in the order of `STS.assume_role`."""

    role: str
    name: str
    duration: int | None = None
    policy: PolicyText | None = None
    policy_arns: Sequence[str] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    transitive_tag_keys: Collection[str] = ()
    source_identity: str | None = None


def assume_role(
    issuer: Issuer,
    mfa: MfaDevices,
    caller: Caller,
    wanted: RoleRequest,
    external_id: str | None,
    mfa_serial: str | None,
    mfa_code: str | None,
    context: Mapping[str, Any],
) -> AssumedRole:
    """AssumeRole. An MFA code is used up, so that it is checked once the call is known to be well-formed."""
    engine, now = issuer.state.engine(), issuer.state.now()
    session = caller.principal if isinstance(caller.principal, Session) else None
    is_chained = engine.snapshot.principal(caller.principal).kind in ROLES
    inherited = {} if session is None else inherited_tags(session)
    draft = draft_session(
        issuer,
        wanted,
        limits.CHAINED if is_chained else limits.ROLE,
        inherited=inherited,
        source_identity=None if session is None else session.source_identity,
    )
    context_keys = {**further(context), **call_context(wanted, draft)}
    if external_id is not None:
        context_keys["sts:ExternalId"] = check_form(external_id, limits.EXTERNAL_ID)
    context_keys |= verify_mfa(mfa, caller, mfa_serial, mfa_code, ASSUME_ROLE, wanted.role)
    request = AuthorizationRequest(
        principal=caller.principal,
        actions=role_actions(ASSUME_ROLE, tags=draft.tags, source_identity=draft.source_identity),
        resource=wanted.role,
        context=context_keys,
        now=now,
        inherited=inherited,
    )
    require(engine, request)
    return issue_session(issuer, wanted.role, replace(draft, chained=is_chained), now)


# -- what every call for a role does --------------------------------------------------------------------------------------


def draft_session(
    issuer: Issuer,
    wanted: RoleRequest,
    span: limits.DurationRange,
    *,
    inherited: Mapping[str, str] = {},
    source_identity: str | None = None,
    context: Mapping[str, Any] = {},
) -> RoleSession:
    """The session that a call asks for, checked as far as possible without a decision.

    `inherited` tags and `source_identity` are those of the caller's own session, `context` what the new one carries (5.3).

    Raises
    ------
    ValidationError
        a parameter is wrong.
    PolicyError
        the inline session policy is rejected.
    """
    check_role(wanted.role)
    tags, transitive = read_session_tags(wanted.tags, wanted.transitive_tag_keys, inherited)
    seconds = read_duration(wanted.duration, span)
    policies, packed = issuer.policies(wanted.policy, wanted.policy_arns, wanted.role.split(":")[4])
    return RoleSession(
        name=check_form(wanted.name, limits.SESSION_NAME),
        seconds=seconds,
        tags=tags,
        transitive_tags=transitive,
        source_identity=_source_identity(wanted.source_identity, source_identity),
        policies=policies,
        packed=packed,
        context=context,
    )


def call_context(wanted: RoleRequest, draft: RoleSession) -> dict[str, Any]:
    """The keys that every call for a role brings (5.5, S25): of tags, those that it passes."""
    context: dict[str, Any] = {"sts:RoleSessionName": draft.name, **request_tags(wanted.tags)}
    if draft.source_identity is not None:
        context["sts:SourceIdentity"] = draft.source_identity
    if wanted.transitive_tag_keys:
        context["sts:TransitiveTagKeys"] = list(wanted.transitive_tag_keys)
    return context


def issue_session(
    issuer: Issuer, role_arn: str, draft: RoleSession, now: datetime, *, not_after: datetime | None = None, limited: bool = True
) -> AssumedRole:
    """A session of the role, which a policy has just allowed to assume.

    Only principals that may assume the role learn its maximum; the default stays an hour (S1). Where a service assumes
    the role for itself it is not `limited` (S3).

    Raises
    ------
    ValidationError
        a trust policy is there without its role, or the session would last too long.
    """
    role = issuer.state.entity(role_arn)
    if role is None:
        raise ValidationError(f"there is no role `{role_arn}`", rule=NO_ROLE, code="NoSuchEntity")
    if limited and draft.seconds > role.max_session_duration:
        message = f"a duration of {draft.seconds} seconds is beyond the maximum of `{role.arn}`, {role.max_session_duration}"
        raise ValidationError(message, rule="S1")
    return issuer.role_session(role, draft, now, not_after=not_after)


def verify_mfa(
    mfa: MfaDevices, caller: Caller, serial: str | None, code: str | None, action: str, resource: str
) -> dict[str, Any]:
    """The MFA keys of a call that passes a code (7.6), none for one that does not.

    Raises
    ------
    ValidationError
        half of it is given, or the caller is no user or root with a long-term key.
    AccessDeniedError
        the code is wrong, used already, or not of a device of the caller.
    """
    if serial is None and code is None:
        return {}
    if serial is None or code is None:
        raise ValidationError("an MFA code needs its device, and a device a code", rule="7.1")
    if isinstance(caller.principal, Session):
        raise ValidationError(
            "only a long-term key takes an MFA code with the call", rule="7.6", hint="give the code to `get_session_token`"
        )
    try:
        mfa.verify(caller.principal, serial, code)
    except AuthenticationError as error:
        raise AccessDeniedError(
            error.message, principal=caller.principal, action=action, resource=resource, layer="credential", rule=error.rule
        ) from None
    return {"aws:MultiFactorAuthPresent": True, "aws:MultiFactorAuthAge": 0}


def further(context: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a caller says of the call beside its parameters: never what STS has to find out itself, such as MFA.

    Raises
    ------
    ValidationError
        a key that follows from the parameters.
    """
    for key in context:
        if fold(check_key(key)).startswith(_OF_THE_CALL):
            raise ValidationError(f"`{shorten(key)}` follows from the parameters of the call", rule="K1")
    return context


def check_role(arn: object) -> None:
    """Check that an ARN is that of a role, existing or not."""
    try:
        kind = parse_principal(arn).kind
    except RequestValueError:
        kind = None
    if kind not in ROLES or ":sts:" in str(arn):
        raise ValidationError(f"`{shorten(str(arn))}` is not a role", hint="write `arn:aws:iam::111111111111:role/Name`")


def _source_identity(passed: str | None, inherited: str | None) -> str | None:
    """The source identity of the new session (S26)."""
    if passed is None:
        return inherited
    check_form(passed, limits.SOURCE_IDENTITY)
    if inherited not in (None, passed):
        raise ValidationError("the source identity of a session cannot be changed", rule="S26")
    return passed
