"""Profiles from ad-hoc policies: the arguments of `fastiam.simulate` (spec D6, D16, D18, D23, K1, N3 to N6).

There is no directory: every principal counts as known, no organisation is known, and the resource policy is an argument. The
context decides conditions as it is given (K1), so nothing is checked against it; derived keys fill in the rest.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fastiam.directory.principal_refs import PrincipalRef, parse_principal, role_arn, role_kind
from fastiam.directory.stored_policies import Mode, PolicyLike
from fastiam.errors import Hint, RequestValueError
from fastiam.model.arguments import check_choice
from fastiam.model.arn import split_arn
from fastiam.model.policy import Policy, PolicyKind
from fastiam.model.profile import (
    PROVIDERS,
    ROLES,
    ROOTS,
    WITH_BOUNDARY,
    WITH_IDENTITY_POLICIES,
    WITH_LONG_TERM_KEYS,
    WITH_SESSION_POLICIES,
    EndpointProfile,
    Levels,
    Policies,
    PrincipalKind,
    PrincipalProfile,
    ResourceProfile,
)
from fastiam.model.request import (
    Context,
    ContextValue,
    Request,
    absent_keys,
    check_action,
    check_context,
    check_resource,
    check_root,
    epoch_seconds,
    read_context,
    read_unknown,
    shorten,
)
from fastiam.model.session import Session
from fastiam.policy.document import read_policy
from fastiam.resolve.derived_keys import (
    FALSE,
    MFA,
    OPEN_OF_BARE_FEDERATED_USER,
    OPEN_OF_BARE_SESSION,
    OPEN_OF_SERVICE,
    TRUE,
    UNKNOWN_ISSUE_TIME,
    Keys,
    keys_without_account,
    principal_keys,
    session_keys,
    single,
)
from fastiam.resolve.resource_profiles import find_owner
from fastiam.resolve.sessions import SessionParts, mfa_seconds, read_session


@dataclass(frozen=True, slots=True)
class AdHocPrincipal:
    """The principal of a request without its policies: its reference, its kind, and the session if there is one."""

    kind: PrincipalKind
    subject: PrincipalRef
    session: Session | None = None
    issuer: PrincipalRef | None = None


def profiles_from_documents(
    principal: str | Session,
    action: str,
    resource: str,
    *,
    context: Context = {},  # noqa: B006  (a mapping that is only read)
    now: datetime | None = None,
    resource_account: str | None = None,
    identity_policies: Sequence[PolicyLike] = (),
    resource_policy: PolicyLike | None = None,
    permissions_boundary: PolicyLike | Sequence[PolicyLike] | None = None,
    session_policies: Sequence[PolicyLike] | None = None,
    scps: Sequence[Sequence[PolicyLike]] | None = None,
    rcps: Sequence[Sequence[PolicyLike]] | None = None,
    vpc_endpoint_policies: Sequence[PolicyLike] | None = None,
    unknown: Collection[str] = (),
    mode: Mode = "strict",
) -> tuple[PrincipalProfile, ResourceProfile, EndpointProfile | None, Request]:
    """Return the profiles and the request for the arguments of `fastiam.simulate`.

    Raises
    ------
    RequestValueError
        an argument cannot be read; in mode strict, a layer that the kind of the principal cannot have (D6).
    PolicyError
        a document is rejected.
    """
    check_choice(mode, "mode", "mode", "strict", "lenient")
    context = check_context(context)
    given = read_context(context, strict=mode == "strict")
    declared = read_unknown(unknown, context)
    request = Request(check_action(action), given, epoch_seconds(now), declared, absent_keys(context))
    ad_hoc = _read_principal(principal, action, given)
    if ad_hoc.kind in ROOTS:
        check_root(declared)
    own = _principal_policies(mode, ad_hoc, identity_policies, permissions_boundary, session_policies)
    target, account = _read_target(check_resource(resource), resource_account, ad_hoc.subject.account)
    profile = _principal(ad_hoc, given, own, _levels(mode, scps, PolicyKind.SCP, "scps"))
    kind = PolicyKind.TRUST if _is_trust(action, resource) else PolicyKind.RESOURCE
    governing = None if resource_policy is None else _policies(mode, resource_policy, kind, "resource_policy", numbered=False)
    limits = _levels(mode, rcps, PolicyKind.RCP, "rcps")
    applies = limits is not None and not (resource == "*" and account is None)  # D16
    target_profile = ResourceProfile(
        resource,
        policies=governing,
        rcps=limits if applies else None,
        rcp_note="" if applies else "not_given" if limits is None else "no_account",
        **target,
    )
    endpoint = _endpoint(mode, vpc_endpoint_policies, given)
    return profile, target_profile, endpoint, request


# -- the principal ----------------------------------------------------------------------------------------------------


def _read_principal(principal: object, action: str, given: Mapping[str, ContextValue]) -> AdHocPrincipal:
    """Return the principal with its kind: by the form of a string (N3), or by the fields of a session."""
    if not isinstance(principal, Session):
        subject = parse_principal(principal, action)
        is_assumed = subject.kind is PrincipalKind.ROOT and _is_true(given.get("aws:assumedroot"))
        return AdHocPrincipal(PrincipalKind.AROOT if is_assumed else subject.kind, subject)
    parts = read_session(principal)
    return AdHocPrincipal(_kind_of_session(parts), parts.ref, principal, parts.issuer)


def _kind_of_session(parts: SessionParts) -> PrincipalKind:
    """A role session is SLR only if its role's path is known (N6)."""
    if parts.kind not in ROLES:
        return parts.kind
    return role_kind(parts.issuer.path) if parts.issuer is not None else PrincipalKind.ROLE


def _is_true(value: ContextValue | None) -> bool:
    return value is not None and [text.lower() for text in value.values] == ["true"]


def _principal(
    ad_hoc: AdHocPrincipal, given: Mapping[str, ContextValue], own: _PrincipalPolicies, scps: Levels | None
) -> PrincipalProfile:
    subject, kind, session = ad_hoc.subject, ad_hoc.kind, ad_hoc.session
    is_role, has_account = kind in ROLES, subject.account is not None and kind not in PROVIDERS
    note = _scp_note(kind, has_account, scps)
    is_token = session is not None and kind in WITH_LONG_TERM_KEYS
    keys = _keys(ad_hoc)
    return PrincipalProfile(
        kind,
        subject.text,
        subject.partition,
        subject.account if has_account else None,
        user_arn=_user_arn(ad_hoc),
        role_name=subject.name if is_role else None,
        session_arn=subject.text if is_role and subject.session else None,
        unique_id=_unique_id(kind, given),
        issuer_known=kind is not PrincipalKind.FED or ad_hoc.issuer is not None,
        issuer_root=kind is PrincipalKind.FED and ad_hoc.issuer is not None and ad_hoc.issuer.kind is PrincipalKind.ROOT,
        service_names=_service_names(ad_hoc, given),
        temporary=is_token,
        mfa=is_token and keys[MFA] == TRUE,
        mfa_at=None if session is None else mfa_seconds(session, kind),
        keys=keys,
        open_keys=_assumed_keys(ad_hoc),
        identity_policies=own.identity,
        boundary=own.boundary,
        session_policies=own.session,
        bounded=own.boundary is not None and kind in WITH_IDENTITY_POLICIES,
        scps=None if note else scps,
        scp_note=note,
    )


def _scp_note(kind: PrincipalKind, has_account: bool, scps: Levels | None) -> str:
    """Why SCPs do not apply (D11), or ""."""
    if not has_account:
        return "no_account"
    if kind is PrincipalKind.SLR:
        return "service_linked_role"
    return "not_given" if scps is None else ""


def _keys(ad_hoc: AdHocPrincipal) -> Keys:
    """Return the derived keys. Only the id of the account is known."""
    subject, kind, session = ad_hoc.subject, ad_hoc.kind, ad_hoc.session
    if subject.account is None or kind in PROVIDERS:
        return keys_without_account(kind, subject.text)
    own = session_keys(session, kind) if session else _keys_of_bare_session(kind)
    shared = {"aws:principalaccount": single(subject.account), "aws:principalisawsservice": FALSE}
    user_id = {PrincipalKind.FED: f"{subject.account}:{subject.name}"}.get(kind, subject.account if kind in ROOTS else None)
    return own | principal_keys(
        kind,
        _principal_arn(ad_hoc),
        shared,
        user_id=user_id,
        user_name=subject.name if kind is PrincipalKind.USER else None,
        tags=session.tags if session else None,
    )


def _keys_of_bare_session(kind: PrincipalKind) -> Keys:
    """Return what is known of the session keys of a role or federated user that is named by ARN."""
    if kind in ROLES:
        return {MFA: FALSE} | UNKNOWN_ISSUE_TIME
    return UNKNOWN_ISSUE_TIME if kind is PrincipalKind.FED else {}


def _principal_arn(ad_hoc: AdHocPrincipal) -> str:
    """Return the value of `aws:PrincipalArn`: for role sessions the role, if it is known (N6)."""
    if ad_hoc.kind not in ROLES:
        return ad_hoc.subject.text
    if ad_hoc.issuer is not None:
        return ad_hoc.issuer.text
    return role_arn(ad_hoc.subject) if ad_hoc.subject.session else ad_hoc.subject.text


def _user_arn(ad_hoc: AdHocPrincipal) -> str | None:
    """The user, or the user that issued the federated session."""
    user = ad_hoc.subject if ad_hoc.kind is PrincipalKind.USER else ad_hoc.issuer if ad_hoc.kind is PrincipalKind.FED else None
    return user.text if user is not None and user.kind is PrincipalKind.USER else None


def _unique_id(kind: PrincipalKind, given: Mapping[str, ContextValue]) -> str | None:
    """The id of the user or role, from a given `aws:userid` (K1)."""
    value = given.get("aws:userid")
    if value is None or len(value.values) != 1:
        return None
    if kind is PrincipalKind.USER:
        return value.values[0]
    return value.values[0].partition(":")[0] if kind in ROLES else None


def _service_names(ad_hoc: AdHocPrincipal, given: Mapping[str, ContextValue]) -> tuple[str, ...]:
    """All names of a service, the primary one first (N12)."""
    if ad_hoc.kind is not PrincipalKind.SVC:
        return ()
    more = given.get("aws:principalservicenameslist")
    return tuple(dict.fromkeys((ad_hoc.subject.text, *(more.values if more else ()))))


def _assumed_keys(ad_hoc: AdHocPrincipal) -> frozenset[str]:
    if ad_hoc.kind is PrincipalKind.SVC:
        return OPEN_OF_SERVICE
    if ad_hoc.session is not None:
        return frozenset()
    if ad_hoc.kind in ROLES:
        return OPEN_OF_BARE_SESSION
    return OPEN_OF_BARE_FEDERATED_USER if ad_hoc.kind is PrincipalKind.FED else frozenset()


# -- layers -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _PrincipalPolicies:
    identity: Policies
    boundary: Policies | None
    session: Policies | None


def _principal_policies(
    mode: Mode, ad_hoc: AdHocPrincipal, identity: object, boundary: object, session: object
) -> _PrincipalPolicies:
    """Return the principal policies. Strict mode refuses layers that its kind cannot have (D6)."""
    if ad_hoc.session is not None and ad_hoc.session.policies is not None:
        if session is not None:
            raise RequestValueError("a Session has its own session policies", column="session_policies")
        session = ad_hoc.session.policies
    layers = _PrincipalPolicies(
        _policies(mode, identity, PolicyKind.IDENTITY, "identity_policies"),
        None if boundary is None else _policies(mode, boundary, PolicyKind.BOUNDARY, "permissions_boundary"),
        None if session is None else _policies(mode, session, PolicyKind.SESSION, "session_policies"),
    )
    if mode == "strict":
        _check_layer(ad_hoc, bool(layers.identity), WITH_IDENTITY_POLICIES, "identity_policies")
        _check_layer(ad_hoc, layers.boundary is not None, WITH_BOUNDARY, "permissions_boundary")
        _check_layer(ad_hoc, layers.session is not None, WITH_SESSION_POLICIES, "session_policies")
    return layers


def _check_layer(ad_hoc: AdHocPrincipal, is_there: bool, kinds: tuple[PrincipalKind, ...], name: str) -> None:
    if is_there and ad_hoc.kind not in kinds:
        raise RequestValueError(
            f"`{shorten(ad_hoc.subject.text)}` is a principal of kind {ad_hoc.kind}, which cannot have this layer",
            column=name,
            hint=Hint(
                'leave it out, or decide with `mode="lenient"` (spec D6)', "leave it out, or decide with `--lenient` (spec D6)"
            ),
        )


def _policies(mode: Mode, given: object, kind: PolicyKind, name: str, *, numbered: bool = True) -> Policies:
    return tuple(_policy(mode, item, kind, f"{name}[{i}]" if numbered else name) for i, item in enumerate(_items(given, name)))


def _items(given: object, name: str) -> tuple[Any, ...]:
    """Return the documents of an argument; a single document is a list of one."""
    if isinstance(given, (str, bytes, Mapping, Sequence)):
        return (given,) if isinstance(given, (str, bytes, Mapping)) else tuple(given)
    raise RequestValueError(f"policies come as a list of documents, not `{type(given).__name__}`", column=name)


def _policy(mode: Mode, given: object, kind: PolicyKind, name: str) -> Policy:
    if not isinstance(given, (str, bytes, Mapping)):
        raise RequestValueError(f"a policy is JSON text, bytes or a mapping, not `{type(given).__name__}`", column=name)
    return read_policy(given, kind, mode=mode, name=name)


def _levels(mode: Mode, given: object, kind: PolicyKind, name: str) -> Levels | None:
    """One tuple of policies per level, root first; None without the layer."""
    if given is None:
        return None
    if isinstance(given, (str, bytes, Mapping)):
        raise RequestValueError("levels come as a list of lists of documents", column=name, hint=f"pass `{name}=[[policy]]`")
    return tuple(_policies(mode, level, kind, f"{name}[{i}]") for i, level in enumerate(_items(given, name)))


def _is_trust(action: str, resource: str) -> bool:
    """D18: `sts:*` on an IAM role."""
    arn = split_arn(resource)
    is_role = arn is not None and arn.service == "iam" and arn.rest.startswith("role/")
    return is_role and action.lower().startswith("sts:")


def _read_target(resource: str, resource_account: str | None, own: str | None) -> tuple[dict[str, Any], str | None]:
    """Owner, flags and keys of the resource (D23), as arguments of its profile; and the owner."""
    arn = split_arn(resource)
    field = arn.account if arn is not None else ""
    owner, is_known_owner = find_owner(None, field, resource_account, own, resource)
    return {
        "partition": arn.partition if arn is not None else None,
        "account": owner,
        "assumed_owner": not is_known_owner and owner is not None,
        "owner_override": resource_account is not None and field not in ("", resource_account),
        "keys": {} if owner is None else {"aws:resourceaccount": single(owner)},
    }, owner


def _endpoint(mode: Mode, given: object, context: Mapping[str, ContextValue]) -> EndpointProfile | None:
    if given is None:
        return None
    id_ = context.get("aws:sourcevpce")
    policies = _policies(mode, given, PolicyKind.VPCE, "vpc_endpoint_policies")
    return EndpointProfile(id_.values[0] if id_ else "", policies)
