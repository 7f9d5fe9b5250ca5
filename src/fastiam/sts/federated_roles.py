"""Roles for identities that another program has verified: SAML and web identities, certificates, and the machines of EC2.

Nothing is verified here. What an `Assertion` says becomes the context in which the trust policy is decided (7.7, 7.8).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from fastiam.credentials.results import Assertion, AssumedRole
from fastiam.credentials.sts_errors import AuthenticationError, ValidationError
from fastiam.directory.principal_refs import is_principal, parse_principal
from fastiam.model.arn import split_arn
from fastiam.model.key_registry import fold
from fastiam.model.profile import PROVIDER_CALLS
from fastiam.model.request import shorten
from fastiam.policy.principal_entries import WEB_PROVIDERS
from fastiam.sts import parameter_limits as limits
from fastiam.sts.authorization import (
    ASSUME_ROLE,
    NO_KEYS,
    SET_SOURCE,
    TAG_SESSION,
    AuthorizationRequest,
    CallKeys,
    require,
    role_actions,
)
from fastiam.sts.roles import RoleRequest, call_context, draft_session, further, issue_session
from fastiam.sts.session_issuer import Issuer, PolicyText

SAML, OIDC = PROVIDER_CALLS
_ANYWHERE, _EC2 = "rolesanywhere.amazonaws.com", "ec2.amazonaws.com"
RESERVED = "AWSReservedSSO_"  # roles that no SAML call gives out (7.1)
_KEPT_OF_SAML: tuple[str, ...] = ("saml:namequalifier", "saml:sub", "saml:sub_type")  # S43, 5.3
_KEPT_OF_OIDC = ("amr", "aud", "sub", "id")
_NO_MFA: Mapping[str, Any] = {"aws:MultiFactorAuthPresent": None}  # of federated identities, unless it is given (7.6)

BY_A_SERVICE: Final = CallKeys(unknown=("aws:SourceIp", "aws:UserAgent", "aws:SecureTransport", "aws:RequestedRegion"))
"""A service calls STS for its client: these keys are of the service's call, and AWS does not say what they contain."""


def with_provider(
    issuer: Issuer,
    call: str,
    assertion: Assertion,
    wanted: RoleRequest,
    *,
    now: datetime | None = None,
    limited: bool = True,
    keys: CallKeys = NO_KEYS,
) -> AssumedRole:
    """AssumeRoleWithSAML and AssumeRoleWithWebIdentity (7.7).

    `now` is the instant of the verification, where there was one. The maximum of the role counts where the call is `limited`.
    `keys` are those of the call itself: the assertion's own win.
    """
    engine, now = issuer.state.engine(), now or issuer.state.now()
    draft = draft_session(issuer, wanted, limits.ROLE, context=_kept(assertion, call))
    if call == SAML and wanted.role.rpartition("/")[2].startswith(RESERVED):
        raise ValidationError(f"`{wanted.role}` is given out by IAM Identity Center alone", rule="7.1")
    require_provider(issuer, call, assertion.provider, wanted.role)
    _check_time(assertion, now)
    request = AuthorizationRequest(
        principal=assertion.provider,
        actions=role_actions(call, tags=draft.tags, source_identity=draft.source_identity),
        resource=wanted.role,
        context={**further(keys.context), **assertion.keys, **call_context(wanted, draft)},
        now=now,
        call=call,
        unknown=keys.unknown,
    )
    require(engine, request)
    return issue_session(issuer, wanted.role, draft, now, not_after=assertion.not_after, limited=limited)


def require_provider(issuer: Issuer, call: str, provider: str, role: str) -> None:
    """Check that the provider exists now in the account of the role (IP41, IP42). Trust policies are not read here.

    The built-in web identity providers exist in every account of partition `aws` (IP40).

    Raises
    ------
    ValidationError
        not an identity provider, or one of the other call.
    AuthenticationError
        the provider does not exist in the account of the role.
    """
    kind = parse_principal(provider, call).kind if is_principal(provider, call) else None
    if kind is not PROVIDER_CALLS[call] or not (provider in WEB_PROVIDERS or split_arn(provider)):
        raise ValidationError(f"`{shorten(provider)}` is not an identity provider for `{call}`", rule="3.1")
    partition, account = role.split(":")[1], role.split(":")[4]
    if provider in WEB_PROVIDERS:
        exists = call == OIDC and partition == "aws"
    else:
        tables = issuer.state.tables
        record = (tables.saml_providers if call == SAML else tables.oidc_providers).get(provider)
        exists = record is not None and (provider.split(":")[1], record.account) == (partition, account)
    if not exists:
        raise AuthenticationError(
            f"identity provider not found in account `{account}`: `{shorten(provider)}`",
            reason="unknown_provider",
            rule="IP41",
            code="InvalidIdentityToken",
        )


def with_certificate(issuer: Issuer, assertion: Assertion, wanted: RoleRequest, *, now: datetime | None = None) -> AssumedRole:
    """CreateSession of Roles Anywhere: the trust policy has to allow all three actions, whatever the certificate says (S61).

    `now` is the instant of the verification, where there was one.
    """
    engine, now = issuer.state.engine(), now or issuer.state.now()
    if assertion.source_identity is None:
        raise ValidationError("a session of Roles Anywhere has a source identity", rule="RW53")
    _check_time(assertion, now)
    draft = draft_session(issuer, wanted, limits.ROLE, context=_NO_MFA)
    tags = {f"aws:PrincipalTag/{key}": value for key, value in draft.tags.items()}
    request = AuthorizationRequest(
        principal=_ANYWHERE,
        actions=(ASSUME_ROLE, TAG_SESSION, SET_SOURCE),
        resource=wanted.role,
        context={**_account_of_anchor(assertion.keys), **assertion.keys, **tags, **call_context(wanted, draft)},
        now=now,
        unknown=BY_A_SERVICE.unknown,
    )
    require(engine, request)
    return issue_session(issuer, wanted.role, draft, now, not_after=assertion.not_after)


def with_instance(
    issuer: Issuer, profile_arn: str, instance_arn: str, keys: Mapping[str, Any], duration: int | None
) -> AssumedRole:
    """The role of an instance profile for one machine: EC2 assumes it, and the session is named after the machine (S3, S21)."""
    engine, now = issuer.state.engine(), issuer.state.now()  # first: it reads what other processes have written
    profile = issuer.state.tables.instance_profiles.get(profile_arn)
    if profile is None or profile.role is None:
        what = "there is no instance profile" if profile is None else "no role is in the instance profile"
        raise ValidationError(f"{what} `{shorten(profile_arn)}`", code="NoSuchEntity")
    arn = split_arn(instance_arn)
    if arn is None or arn.service != "ec2" or not arn.rest.startswith("instance/"):
        hint = "write its ARN, `arn:aws:ec2:...:instance/i-...`"
        raise ValidationError(f"`{shorten(instance_arn)}` is not an instance", hint=hint)
    wanted = RoleRequest(role=profile.role, name=arn.rest.partition("/")[2], duration=duration)
    draft = draft_session(issuer, wanted, limits.INSTANCE, context={"ec2:SourceInstanceArn": instance_arn, **keys})
    request = AuthorizationRequest(
        principal=_EC2,
        actions=(ASSUME_ROLE,),
        resource=wanted.role,
        context=call_context(wanted, draft),
        now=now,
        unknown=BY_A_SERVICE.unknown,
    )
    require(engine, request)
    return issue_session(issuer, wanted.role, draft, now, limited=False)


def _check_time(assertion: Assertion, now: datetime) -> None:
    if assertion.not_after is not None and assertion.not_after.tzinfo is None:
        raise ValidationError("`not_after` needs a time zone", hint="pass an aware datetime")
    if assertion.not_after is not None and assertion.not_after <= now:
        raise AuthenticationError("the assertion has expired", reason="expired", code="ExpiredTokenException")


def request_of(
    assertion: Assertion, role: str, duration: int | None, policy: PolicyText | None, policy_arns: Sequence[str]
) -> RoleRequest:
    """The parameters of a call, of which the assertion says the most."""
    tags, keys = assertion.tags, assertion.transitive_tag_keys
    return RoleRequest(role, assertion.session_name, duration, policy, policy_arns, tags, keys, assertion.source_identity)


def _account_of_anchor(keys: Mapping[str, Any]) -> dict[str, str]:
    """`aws:SourceAccount`, of the trust anchor (S61), unless it is given."""
    given = {fold(key): value for key, value in keys.items()}
    anchor = split_arn(str(given.get("aws:sourcearn", "")))
    return {} if anchor is None or "aws:sourceaccount" in given else {"aws:SourceAccount": anchor.account}


def _kept(assertion: Assertion, call: str) -> dict[str, Any]:
    """The federation keys of a call that all later requests keep (S43), however they are spelled (K4)."""
    kept: dict[str, Any] = {}
    names = _KEPT_OF_SAML
    if call == OIDC:
        kept["aws:FederatedProvider"] = assertion.provider
        issuer = assertion.provider.partition(":oidc-provider/")[2] or assertion.provider
        names = tuple(fold(f"{issuer}:{name}") for name in _KEPT_OF_OIDC)
    kept |= {key: value for key, value in assertion.keys.items() if fold(key) in names}
    return kept or dict(_NO_MFA)
