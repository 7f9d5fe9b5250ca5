"""Authorization of STS calls: the engine decides each action (spec 6.6, D30), and a denial becomes an error."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from fastiam.credentials.sts_errors import AccessDeniedError
from fastiam.model.decision import Decision, Layer, Outcome, Reason
from fastiam.model.key_registry import fold
from fastiam.model.protocols import SnapshotEngine
from fastiam.model.session import Session
from fastiam.resolve.derived_keys import organization_keys, single
from fastiam.simulation.ad_hoc_engine import decide_profiles

ASSUME_ROLE, TAG_SESSION, SET_SOURCE = "sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"
_TAG = "aws:resourcetag/"


@dataclass(frozen=True, slots=True)
class CallKeys:
    """What a server knows of a call for a role beside its parameters.

    Attributes
    ----------
    context
        condition keys, such as `aws:SourceIp`.
    unknown
        keys that AWS has a value for and the server does not know: a decision that depends on one is a denial (6.11).
    """

    context: Mapping[str, Any] = field(default_factory=dict)
    unknown: Collection[str] = ()


NO_KEYS: Final = CallKeys()


@dataclass(frozen=True, kw_only=True)
class AuthorizationRequest:
    """The request that STS makes to the engine.

    Attributes
    ----------
    principal
        a provider's name, a service, an ARN or a `Session`.
    actions
        the call itself first, then what it needs beside (D30).
    call
        the call by which `principal` is the name of an identity provider (N3), "" for other principals.
    inherited
        transitive tags, which replace equal keys among the tags of the role (S25).
    unknown
        keys whose values are not known (6.11), unless they are given or have a default in the engine.
    is_own_side
        no policy of the resource has to allow, as within one account, though it is of another one: AssumeRoot (7.2).
    """

    principal: str | Session
    actions: tuple[str, ...]
    resource: str
    context: Mapping[str, Any]
    now: datetime
    call: str = ""
    inherited: Mapping[str, str] = field(default_factory=dict)
    unknown: Collection[str] = ()
    is_own_side: bool = False

    @property
    def principal_text(self) -> str:
        """The principal ARN, or name."""
        return self.principal if isinstance(self.principal, str) else self.principal.arn


def require(engine: SnapshotEngine, request: AuthorizationRequest) -> None:
    """Raise at the first action that is refused.

    Raises
    ------
    AccessDeniedError
        says which layer refuses, which statement and which rule.
    RequestValueError
        the context contradicts what the directory or the session knows (K1).
    """
    for action in request.actions:
        decision = decide_action(engine, request, action)
        if decision.outcome is not Outcome.ALLOW:
            raise _refusal(request, action, decision)


def role_actions(call: str, *, tags: Iterable[str], source_identity: str | None) -> tuple[str, ...]:
    """A call that gives out a role, with the permissions that it needs beside its own (D30)."""
    extra = (SET_SOURCE,) if source_identity is not None else ()
    return (call, *extra, TAG_SESSION) if any(True for _ in tags) else (call, *extra)


def decide_action(engine: SnapshotEngine, request: AuthorizationRequest, action: str) -> Decision:
    """Decide one action of a request.

    Raises
    ------
    RequestValueError
        as `require`.
    """
    is_renamed = bool(request.call) and action != request.call and not request.principal_text.startswith("arn:")
    if request.inherited or is_renamed or request.is_own_side:
        return _decide_profiles(engine, request, action)
    return engine.decide(
        request.principal, action, request.resource, request.context, unknown=_unknown(engine, request), now=request.now
    )


def _unknown(engine: SnapshotEngine, request: AuthorizationRequest) -> list[str]:
    known = engine.context_defaults.keys() | set(map(fold, request.context))
    return [key for key in request.unknown if fold(key) not in known]


def _decide_profiles(engine: SnapshotEngine, request: AuthorizationRequest, action: str) -> Decision:
    """Decide a request that `Engine.decide` cannot express: another action names the caller, or tags or owner are replaced.

    Compiles the profiles of this request, and decides with the compiled engine.
    """
    snapshot = engine.snapshot
    read = engine.read_request(action, request.context, unknown=_unknown(engine, request), now=request.now)
    context = read.context
    principal = snapshot.principal(request.principal, request.call or action)
    resource = snapshot.resource(request.resource, action, principal)
    endpoint_id = context.get("aws:sourcevpce")
    endpoint = None if endpoint_id is None else snapshot.endpoint(endpoint_id.values[0])
    snapshot.check_context(principal, resource, endpoint, context)
    inherited = {_TAG + fold(key): single(value) for key, value in request.inherited.items()}
    tags = {key: value for key, value in inherited.items() if key in resource.keys}  # S25: in place of equal keys
    if request.is_own_side:
        resource = replace(resource, account=principal.account)
    source = context.get("aws:sourceaccount")
    facts = None if source is None or len(source.values) != 1 else snapshot.account_facts(source.values[0])
    derived = {} if facts is None else organization_keys("source", facts.org_id, facts.org_path)
    return decide_profiles(
        principal,
        replace(resource, keys={**resource.keys, **tags}),
        replace(read, context={**derived, **context}),
        endpoint,
        engine.settings,
    )


# -- errors of denials ----------------------------------------------------------------------------------------------------

_WHY = {
    Layer.RCP: ("a resource control policy does not allow it", "D13"),
    Layer.SCP: ("a service control policy on the path of the caller's account does not allow it", "D10"),
    Layer.VPCE: ("the policy of the VPC endpoint does not allow it", "6.8"),
    Layer.RESOURCE: ("the trust policy does not allow it", "6.6"),
    Layer.IDENTITY: ("no identity policy of the caller allows it", "7.2"),
    Layer.BOUNDARY: ("the permissions boundary of the caller does not allow it", "D3"),
    Layer.SESSION: ("the session policies of the caller do not allow it", "D4"),
    Layer.SERVICE: ("the service does not do that", "6.3"),
    Layer.CREDENTIAL: ("such credentials cannot make this call", "7.4"),
}


def _refusal(request: AuthorizationRequest, action: str, decision: Decision) -> AccessDeniedError:
    principal = request.principal_text
    why, rule = _WHY[decision.layer]
    if decision.outcome is Outcome.EXPLICIT_DENY:
        rule = "6.4"
        why = "it is denied" if decision.statement is None else f"{_named(decision)} denies it"
    elif decision.outcome is Outcome.DEPENDS:
        why, rule = f"it depends on keys that are not known: {', '.join(decision.depends_on)}", "D70"
    elif decision.reason is Reason.UNKNOWN_PRINCIPAL:
        why, rule = "the caller is unknown", "6.7"
    if action != request.actions[0]:
        rule = "D30"
    return AccessDeniedError(
        f"`{principal}` may not `{action}` on `{request.resource}`: {why} - layer `{decision.layer}`",
        principal=principal,
        action=action,
        resource=request.resource,
        layer=str(decision.layer),
        decision=decision,
        rule=rule,
    )


def _named(decision: Decision) -> str:
    ref = decision.statement
    assert ref is not None
    return f"statement `{ref.label}` of `{ref.policy}`"


def inherited_tags(session: Session) -> dict[str, str]:
    """The tags of a session that one chained to it takes over (S22, S24)."""
    keys = {fold(key) for key in session.transitive_tags}
    return {key: value for key, value in session.tags.items() if fold(key) in keys}
