"""The calls that give out a role: AssumeRole, its kin for identity providers and certificates, and the role of an instance."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastiam.account.records import Entity
from fastiam.account.subjects import read_subject
from fastiam.arn import split_arn
from fastiam.errors import RequestValueError
from fastiam.keys import fold
from fastiam.profile import PrincipalKind
from fastiam.request import check_key, shorten
from fastiam.session import Session
from fastiam.sts import limits
from fastiam.sts.errors import AccessDeniedError, AuthenticationError, ValidationError
from fastiam.sts.issuing import Issuer, PolicyText, RoleSession, request_tags
from fastiam.sts.limits import check_form, read_duration, read_session_tags
from fastiam.sts.mfa import MfaDevices
from fastiam.sts.results import Assertion, AssumedRole, Caller
from fastiam.sts.trust import ASSUME_ROLE, SET_SOURCE, TAG_SESSION, Question, inherited_tags, require, role_actions

_ROLES = (PrincipalKind.ROLE, PrincipalKind.SLR)
_RESERVED = "AWSReservedSSO_"  # roles that no SAML call gives out (7.1)
_KEPT_OF_SAML = ("saml:namequalifier", "saml:sub", "saml:sub_type")  # S43, 5.3
_KEPT_OF_OIDC = ("amr", "aud", "sub", "id")
SAML, OIDC = "sts:AssumeRoleWithSAML", "sts:AssumeRoleWithWebIdentity"
_PROVIDERS = {SAML: PrincipalKind.SAML, OIDC: PrincipalKind.OIDC}
_OF_THE_CALL = ("sts:", "aws:requesttag/", "aws:tagkeys", "aws:multifactorauth")  # keys that STS itself says of a call
_ANYWHERE, _EC2 = "rolesanywhere.amazonaws.com", "ec2.amazonaws.com"


@dataclass(frozen=True, kw_only=True)
class RoleRequest:
    """The parameters of AssumeRole, see `STS.assume_role`."""

    role: str
    name: str
    duration: int | None = None
    external_id: str | None = None
    policy: PolicyText | None = None
    policy_arns: Sequence[str] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    transitive_tag_keys: Collection[str] = ()
    source_identity: str | None = None
    mfa_serial: str | None = None
    mfa_code: str | None = None
    context: Mapping[str, Any] = field(default_factory=dict)


def assume_role(issuer: Issuer, mfa: MfaDevices, caller: Caller, wanted: RoleRequest) -> AssumedRole:
    """AssumeRole: the call is checked, the engine decides on the trust policy, and a session is issued."""
    engine, now = issuer.state.engine(), issuer.state.now()
    session = caller.principal if isinstance(caller.principal, Session) else None
    kind = engine.snapshot.principal(caller.principal).kind
    inherited = {} if session is None else inherited_tags(session)
    name, seconds, tags, transitive = _read(wanted, inherited, limits.CHAINED if kind in _ROLES else limits.ROLE)
    source = _source_identity(wanted.source_identity, None if session is None else session.source_identity)
    context = {**_further(wanted.context), **_role_context(name, source, wanted.tags, wanted.transitive_tag_keys)}
    if wanted.external_id is not None:
        context["sts:ExternalId"] = check_form(wanted.external_id, limits.EXTERNAL_ID)
    policies, packed = _policies(issuer, wanted.policy, wanted.policy_arns, wanted.role)
    context |= verify_mfa(mfa, caller, wanted.mfa_serial, wanted.mfa_code, ASSUME_ROLE, wanted.role)
    actions = role_actions(ASSUME_ROLE, tags=tags, source_identity=source)
    require(
        engine,
        Question(subject=caller.principal, actions=actions, resource=wanted.role, context=context, now=now, inherited=inherited),
    )
    role = _role(issuer, wanted.role)
    _check_maximum(role, seconds)
    carried = RoleSession(
        role=role,
        name=name,
        tags=tags,
        transitive_tags=transitive,
        source_identity=source,
        policies=policies,
        packed=packed,
    )
    return issuer.role_session(carried, now, seconds)


def assume_role_asserted(
    issuer: Issuer,
    assertion: Assertion,
    role_arn: str,
    call: str,
    *,
    duration: int | None = None,
    policy: PolicyText | None = None,
    policy_arns: Sequence[str] = (),
) -> AssumedRole:
    """What AssumeRoleWithSAML and AssumeRoleWithWebIdentity share: trust evaluated over a verified assertion (7.7)."""
    now = issuer.state.now()
    if assertion.not_after is not None and assertion.not_after <= now:
        raise AuthenticationError("the assertion has expired", reason="expired", code="ExpiredTokenException")
    wanted = _asserted(assertion, role_arn, duration)
    name, seconds, tags, transitive = _read(wanted, {}, limits.ROLE)
    source = _source_identity(assertion.source_identity, None)
    if call == SAML and role_arn.rpartition("/")[2].startswith(_RESERVED):
        raise ValidationError(f"`{role_arn}` is given out by IAM Identity Center alone", rule="7.1")
    policies, packed = _policies(issuer, policy, policy_arns, role_arn)
    context = {**assertion.keys, **_role_context(name, source, assertion.tags, assertion.transitive_tag_keys)}
    engine = issuer.state.engine()
    if engine.snapshot.principal(assertion.provider, call).kind is not _PROVIDERS[call]:
        raise ValidationError(f"`{shorten(assertion.provider)}` is no identity provider for `{call}`", rule="3.1")
    actions = role_actions(call, tags=tags, source_identity=source)
    question = Question(subject=assertion.provider, actions=actions, resource=role_arn, context=context, now=now, call=call)
    require(engine, question)
    role = _role(issuer, role_arn)
    _check_maximum(role, seconds)
    carried = RoleSession(
        role=role,
        name=name,
        tags=tags,
        transitive_tags=transitive,
        source_identity=source,
        policies=policies,
        packed=packed,
        context=_kept(assertion, call),
    )
    return issuer.role_session(carried, now, seconds, not_after=assertion.not_after)


def create_session(
    issuer: Issuer,
    assertion: Assertion,
    role_arn: str,
    *,
    duration: int | None = None,
    policy: PolicyText | None = None,
    policy_arns: Sequence[str] = (),
) -> AssumedRole:
    """What Roles Anywhere does once a certificate is verified: all three actions have to be allowed (S61)."""
    now = issuer.state.now()
    wanted = _asserted(assertion, role_arn, duration)
    name, seconds, tags, transitive = _read(wanted, {}, limits.ROLE)
    source = _source_identity(assertion.source_identity, None)
    policies, packed = _policies(issuer, policy, policy_arns, role_arn)
    context = {
        **assertion.keys,
        **{f"aws:PrincipalTag/{key}": value for key, value in tags.items()},
        **_role_context(name, source, assertion.tags, assertion.transitive_tag_keys),
    }
    actions = (ASSUME_ROLE, TAG_SESSION, SET_SOURCE)
    require(issuer.state.engine(), Question(subject=_ANYWHERE, actions=actions, resource=role_arn, context=context, now=now))
    role = _role(issuer, role_arn)
    _check_maximum(role, seconds)
    carried = RoleSession(
        role=role, name=name, tags=tags, transitive_tags=transitive, source_identity=source, policies=policies, packed=packed
    )
    return issuer.role_session(carried, now, seconds, not_after=assertion.not_after)


def instance_session(
    issuer: Issuer, profile_arn: str, instance_arn: str, keys: Mapping[str, Any], *, duration: int | None = None
) -> AssumedRole:
    """The role of an instance profile for one machine: EC2 assumes it, and no maximum of the role counts (S2, S3)."""
    now, profile = issuer.state.now(), issuer.state.tables.instance_profiles.get(profile_arn)
    if profile is None or profile.role is None:
        what = "there is no instance profile" if profile is None else "no role is in the instance profile"
        raise ValidationError(f"{what} `{shorten(profile_arn)}`", code="NoSuchEntity")
    arn = split_arn(instance_arn)
    if arn is None or arn.service != "ec2" or not arn.rest.startswith("instance/"):
        raise ValidationError(
            f"`{shorten(instance_arn)}` is not an instance", hint="write its ARN, `arn:aws:ec2:...:instance/i-...`"
        )
    name = check_form(arn.rest.partition("/")[2], limits.SESSION_NAME)
    context = {"sts:RoleSessionName": name}
    question = Question(subject=_EC2, actions=(ASSUME_ROLE,), resource=profile.role, context=context, now=now)
    require(issuer.state.engine(), question)
    kept = {"ec2:SourceInstanceArn": instance_arn, **keys}
    seconds = read_duration(duration, limits.INSTANCE)
    return issuer.role_session(RoleSession(role=_role(issuer, profile.role), name=name, context=kept), now, seconds)


# -- parts ----------------------------------------------------------------------------------------------------------------


def verify_mfa(
    mfa: MfaDevices, caller: Caller, serial: str | None, code: str | None, action: str, resource: str
) -> dict[str, Any]:
    """The MFA keys of a call that passes a code (7.6), none for one that does not.

    Raises
    ------
    ValidationError: half of it is given, or the caller is no user or root with a long-term key.
    AccessDeniedError: the code is wrong, used already, or not of a device of the caller.
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


def _further(context: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a caller says of the call beside its parameters: never what STS has to find out itself, such as MFA."""
    for key in context:
        if fold(check_key(key)).startswith(_OF_THE_CALL):
            raise ValidationError(f"`{shorten(key)}` follows from the parameters of the call", rule="K1")
    return context


def _asserted(assertion: Assertion, role_arn: str, duration: int | None) -> RoleRequest:
    return RoleRequest(
        role=role_arn,
        name=assertion.session_name,
        duration=duration,
        tags=assertion.tags,
        transitive_tag_keys=assertion.transitive_tag_keys,
    )


def _read(
    wanted: RoleRequest, inherited: Mapping[str, str], span: limits.Span
) -> tuple[str, int, dict[str, str], tuple[str, ...]]:
    """Session name, seconds, tags and transitive keys of a call."""
    try:
        kind = read_subject(wanted.role).kind
    except RequestValueError:
        kind = None
    if kind not in _ROLES or ":sts:" in wanted.role:
        raise ValidationError(f"`{shorten(str(wanted.role))}` is not a role", hint="write `arn:aws:iam::111111111111:role/Name`")
    name = check_form(wanted.name, limits.SESSION_NAME)
    tags, transitive = read_session_tags(wanted.tags, wanted.transitive_tag_keys, inherited)
    return name, read_duration(wanted.duration, span), tags, transitive


def _policies(
    issuer: Issuer, policy: PolicyText | None, arns: Sequence[str], role_arn: str
) -> tuple[tuple[str, ...] | None, int]:
    return issuer.policies(policy, arns, role_arn.split(":")[4])


def _source_identity(passed: str | None, inherited: str | None) -> str | None:
    """The source identity of the new session (S26)."""
    if passed is None:
        return inherited
    check_form(passed, limits.SOURCE_IDENTITY)
    if inherited not in (None, passed):
        raise ValidationError("the source identity of a session cannot be changed", rule="S26")
    return passed


def _role_context(name: str, source: str | None, tags: Mapping[str, str], transitive: Collection[str]) -> dict[str, Any]:
    """The keys that every call for a role brings (5.5, S25)."""
    context: dict[str, Any] = {"sts:RoleSessionName": name, **request_tags(tags)}
    if source is not None:
        context["sts:SourceIdentity"] = source
    if transitive:
        context["sts:TransitiveTagKeys"] = list(transitive)
    return context


def _role(issuer: Issuer, arn: str) -> Entity:
    """The role, which a policy has just allowed to assume."""
    role = issuer.state.entity(arn)
    if role is None:
        raise ValidationError(f"there is no role `{arn}`", code="NoSuchEntity")
    return role


def _check_maximum(role: Entity, seconds: int) -> None:
    """The role's own maximum, told to those alone who may assume it. The default stays an hour (S1)."""
    if seconds > role.max_session_duration:
        raise ValidationError(
            f"a duration of {seconds} seconds is beyond the maximum of `{role.arn}`, {role.max_session_duration}", rule="S1"
        )


def _kept(assertion: Assertion, call: str) -> dict[str, Any]:
    """The federation keys of a call that all later requests keep (S43)."""
    if call == SAML:
        return {key: assertion.keys[key] for key in _KEPT_OF_SAML if key in assertion.keys}
    issuer = assertion.provider.partition(":oidc-provider/")[2] or assertion.provider
    names = (f"{issuer}:{name}" for name in _KEPT_OF_OIDC)
    return {
        "aws:FederatedProvider": assertion.provider,
        **{name: assertion.keys[name] for name in names if name in assertion.keys},
    }
