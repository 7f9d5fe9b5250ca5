"""The layers that apply to a request (spec 6.1, 6.2, 6.8), and the verdict of each."""

from __future__ import annotations

from dataclasses import dataclass

from fastiam.model.arn import split_arn
from fastiam.model.decision import Layer
from fastiam.model.policy import Effect
from fastiam.model.profile import EndpointProfile, Levels, Policies, PrincipalKind, PrincipalProfile, ResourceProfile, Settings
from fastiam.spec.service_rules import is_trust_request
from fastiam.spec.statement import EvaluationContext, StatementLocation, StatementResult, evaluate_statement

WITH_IDENTITY = frozenset({PrincipalKind.USER, PrincipalKind.ROLE, PrincipalKind.SLR, PrincipalKind.FED})
WITH_BOUNDARY = frozenset({PrincipalKind.USER, PrincipalKind.ROLE, PrincipalKind.FED})
WITH_SESSION = frozenset({PrincipalKind.ROLE, PrincipalKind.SLR, PrincipalKind.FED, PrincipalKind.AROOT})
WITHOUT_ACCOUNT = frozenset({PrincipalKind.SVC, PrincipalKind.OIDC, PrincipalKind.SAML, PrincipalKind.ANON})


@dataclass(frozen=True, slots=True)
class LayerInput:
    """One layer of a decision.

    Attributes
    ----------
    levels
        its policies by level, one level except for SCPs and RCPs; None if the layer does not apply.
    note
        the reason why it does not apply.
    grants
        its Allows count; False for RCPs (D13) and for identity policies that the kind cannot have (D6).
    names_principals
        its statements have a principal element.
    gateway
        the policy of a gateway endpoint (N17).
    """

    layer: Layer
    levels: Levels | None
    note: str = ""
    grants: bool = True
    names_principals: bool = False
    gateway: bool = False


def applicable_layers(
    principal: PrincipalProfile,
    resource: ResourceProfile,
    endpoint: EndpointProfile | None,
    action: tuple[str, str],
    settings: Settings,
) -> tuple[LayerInput, ...]:
    """The seven layers of policies in the order of D50. Layers that the kind cannot have still deny (D6)."""
    scp_note = _scp_note(principal, action, settings)
    rcp_note = _rcp_note(principal, resource, action, settings)
    endpoint_note = _endpoint_note(principal, endpoint)
    # only identity policies decide `iam:PassRole` (6.3)
    policies = None if action == ("iam", "passrole") else resource.policies
    gateway = endpoint is not None and endpoint.gateway
    endpoint_policies = None if endpoint is None else endpoint.policies
    has_identity = principal.kind in WITH_IDENTITY
    return (
        LayerInput(Layer.RCP, None if rcp_note else resource.rcps, rcp_note, grants=False, names_principals=True),
        LayerInput(Layer.SCP, None if scp_note else principal.scps, scp_note),
        LayerInput(Layer.VPCE, _one_level(None if endpoint_note else endpoint_policies), endpoint_note, True, True, gateway),
        LayerInput(Layer.RESOURCE, _one_level(policies), "" if policies else "none", names_principals=True),
        LayerInput(Layer.IDENTITY, (principal.identity_policies,), grants=has_identity),
        LayerInput(Layer.BOUNDARY, _one_level(principal.boundary), "none"),
        LayerInput(Layer.SESSION, _one_level(principal.session_policies), "none"),
    )


def _one_level(policies: Policies | None) -> Levels | None:
    return None if policies is None else (policies,)


def _scp_note(principal: PrincipalProfile, action: tuple[str, str], settings: Settings) -> str:
    """The reason why no SCP applies, or "" (D11, D12)."""
    if principal.kind is PrincipalKind.SLR:
        return "service_linked_role"
    if principal.kind in WITHOUT_ACCOUNT:
        return "no_account"
    if ":".join(action) in settings.scp_exempt_actions:
        return "exempt_action"
    return (principal.scp_note or "none") if principal.scps is None else ""


def _rcp_note(principal: PrincipalProfile, resource: ResourceProfile, action: tuple[str, str], settings: Settings) -> str:
    """The reason why no RCP applies, or "" (D14 to D16)."""
    if principal.kind is PrincipalKind.SLR:
        return "service_linked_role"
    arn = split_arn(resource.arn)
    if arn is not None and is_trust_request(arn, action) and arn.rest.startswith("role/aws-service-role/"):
        return "service_linked_role_trust"
    if action[0] not in settings.rcp_services:
        return "unsupported_service"
    if action == ("kms", "retiregrant"):
        return "exempt_action"
    return (resource.rcp_note or "none") if resource.rcps is None else ""


def _endpoint_note(principal: PrincipalProfile, endpoint: EndpointProfile | None) -> str:
    """The reason why no endpoint policy applies, or "" (6.1, D40, G4)."""
    if endpoint is None:
        return "no_endpoint"
    if principal.kind is PrincipalKind.SVC:
        return "service_principal"
    return "full_access" if endpoint.policies is None and endpoint.known else ""


def evaluate_layers(layers: tuple[LayerInput, ...], context: EvaluationContext) -> list[StatementResult]:
    """The result of each statement that counts, in the order of D50 and D51: layer, level, policy, index."""
    return [
        evaluate_statement(statement, location, context)
        for layer in layers
        for level, policies in enumerate(layer.levels or ())
        for policy in policies
        for location in [StatementLocation(layer.layer, level, policy, layer.names_principals, layer.gateway)]
        for statement in policy.statements
        if layer.grants or statement.effect is Effect.DENY
    ]


@dataclass(frozen=True, slots=True)
class LayerVerdicts:
    """The verdicts of the layers, as the algorithm of 6.4 reads them.

    Attributes
    ----------
    denied
        the layers with an applicable Deny, in the order of D50.
    scp
        the layer does not apply, or each level has an applicable Allow and there is a level (D10).
    scp_failing
        the levels without an applicable Allow.
    vpce, boundary
        the layer does not apply or has an applicable Allow.
    match
        the classes of the applicable Allows of the resource policies, `M`.
    identity
        an identity Allow applies.
    session
        `session_ok` of 6.4, for any kind.
    """

    denied: tuple[Layer, ...]
    scp: bool
    scp_failing: tuple[int, ...]
    vpce: bool
    match: frozenset[str]
    identity: bool
    boundary: bool
    session: bool


def session_allows(principal: PrincipalProfile, allowed: bool) -> bool:
    """FED needs a session policy with an Allow; AROOT needs its task policy, without Allow (6.1, D4)."""
    if principal.kind is PrincipalKind.AROOT:
        return bool(principal.session_policies)
    return allowed or principal.session_policies is None and principal.kind is not PrincipalKind.FED


def summarize_layers(
    principal: PrincipalProfile,
    layers: tuple[LayerInput, ...],
    results: list[StatementResult],
    *,
    endpoint_denies: bool = False,
    optimistic: bool = False,
) -> LayerVerdicts:
    """The verdict of each layer (G13, D3, D10).

    Parameters
    ----------
    endpoint_denies
        the endpoint is unknown (D40).
    optimistic
        each `U` is taken towards an allow (F6).
    """
    applied = [each for each in results if (each.applies_optimistically if optimistic else each.applies)]
    allows = [each for each in applied if each.statement.effect is Effect.ALLOW]
    denied = {each.location.layer for each in applied if each.statement.effect is Effect.DENY}
    if endpoint_denies:
        denied.add(Layer.VPCE)
    levels = {layer.layer: layer.levels for layer in layers}
    allowed = {(each.location.layer, each.location.level) for each in allows}
    scps = levels[Layer.SCP]
    scp_failing = tuple(level for level in range(len(scps or ())) if (Layer.SCP, level) not in allowed)
    matches = (each.possible if optimistic else each.classes for each in allows if each.location.layer is Layer.RESOURCE)
    return LayerVerdicts(
        denied=tuple(layer.layer for layer in layers if layer.layer in denied),
        scp=scps is None or bool(scps) and not scp_failing,
        scp_failing=scp_failing,
        vpce=levels[Layer.VPCE] is None or (Layer.VPCE, 0) in allowed,
        match=frozenset("".join(matches)),
        identity=(Layer.IDENTITY, 0) in allowed,
        boundary=levels[Layer.BOUNDARY] is None or (Layer.BOUNDARY, 0) in allowed,
        session=session_allows(principal, (Layer.SESSION, 0) in allowed),
    )
