"""The combining algorithm (spec 6.4): from the verdicts of the layers to the outcome.

Each function has the name, the order and the conditions of its part of the algorithm in 6.4, so that a reader compares them
line by line. The explicit denies of all layers come first; then each layer that can only limit; then the grant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from fastiam.model.decision import Layer, Outcome, Reason
from fastiam.model.profile import PrincipalKind
from fastiam.spec.layers import WITH_BOUNDARY, WITH_SESSION, WITHOUT_ACCOUNT, LayerVerdicts

_ROOTS = (PrincipalKind.ROOT, PrincipalKind.AROOT)


@dataclass(frozen=True, slots=True)
class DecisionInputs:
    """The inputs of the algorithm that do not come from policies.

    Attributes
    ----------
    kind
        the kind of the principal.
    known
        the directory contains the principal.
    always_allowed, credential_forbids, public_access, service_refusal
        rules that no policy changes (6.3, 7.4, D33).
    required
        the service profile is `resource-policy-required` (6.3).
    same_account
        the principal's account owns the resource.
    chained_identity
        `sts:SetSourceIdentity` by a role session (D30).
    issued_by_root
        FED with a root user as issuer.
    """

    kind: PrincipalKind
    known: bool
    always_allowed: bool
    credential_forbids: bool
    public_access: bool
    service_refusal: Reason | None
    required: bool
    same_account: bool
    chained_identity: bool
    issued_by_root: bool

    @property
    def identity_needed(self) -> bool:
        """`ident_needed` of 6.4: root users, and federated users that a root user issued, need no identity Allow (6.1)."""
        return self.kind not in _ROOTS and not (self.kind is PrincipalKind.FED and self.issued_by_root)


class Verdict(NamedTuple):
    """An outcome with the layer that is reported (D50), and a reason if several rules of the layer give the outcome."""

    outcome: Outcome
    layer: Layer
    reason: Reason | None = None


ALLOW, IMPLICIT_DENY, EXPLICIT_DENY = Outcome.ALLOW, Outcome.IMPLICIT_DENY, Outcome.EXPLICIT_DENY


def decided_without_policies(inputs: DecisionInputs) -> Verdict | None:
    """The verdict if the decision does not depend on policies (6.3, 7.4), or None."""
    if not inputs.known:
        return Verdict(IMPLICIT_DENY, Layer.CREDENTIAL, Reason.UNKNOWN_PRINCIPAL)
    if inputs.always_allowed:
        return Verdict(ALLOW, Layer.SERVICE, Reason.ALWAYS_ALLOWED)
    if inputs.credential_forbids:
        return Verdict(IMPLICIT_DENY, Layer.CREDENTIAL, Reason.CREDENTIAL)
    return None


def combine(inputs: DecisionInputs, verdicts: LayerVerdicts) -> Verdict:
    """`decide` of 6.4 from the explicit denies on (D20), with D6 applied to the result."""
    if verdicts.denied:
        return Verdict(EXPLICIT_DENY, verdicts.denied[0])
    if inputs.public_access:
        return Verdict(EXPLICIT_DENY, Layer.SERVICE, Reason.PUBLIC_ACCESS)
    if not verdicts.scp:
        return Verdict(IMPLICIT_DENY, Layer.SCP)
    if not verdicts.vpce:
        return Verdict(IMPLICIT_DENY, Layer.VPCE)
    if inputs.service_refusal is not None:
        return Verdict(IMPLICIT_DENY, Layer.SERVICE, inputs.service_refusal)
    verdict = _grant(inputs, verdicts)
    foreign = limits_of_other_kinds(inputs, verdicts)
    return Verdict(IMPLICIT_DENY, foreign[0]) if verdict.outcome is ALLOW and foreign else verdict


def _grant(inputs: DecisionInputs, verdicts: LayerVerdicts) -> Verdict:
    """The branches of 6.4 by principal and account."""
    if inputs.kind in WITHOUT_ACCOUNT:
        return Verdict(ALLOW if verdicts.match else IMPLICIT_DENY, Layer.RESOURCE)
    if not inputs.same_account or inputs.chained_identity:
        return _cross_account(inputs, verdicts)
    return _same_account(inputs, verdicts)


def _same_account(inputs: DecisionInputs, verdicts: LayerVerdicts) -> Verdict:
    """`same_account` of 6.4, with the rows of 6.5 (D24)."""
    match = verdicts.match
    if inputs.kind in _ROOTS:
        if inputs.required and not match:
            return Verdict(IMPLICIT_DENY, Layer.RESOURCE)
        if not session_ok(inputs, verdicts):
            return Verdict(IMPLICIT_DENY, Layer.SESSION)
        return Verdict(ALLOW, Layer.RESOURCE if match else Layer.IDENTITY)
    if bypasses_limits(inputs, verdicts):
        return Verdict(ALLOW, Layer.RESOURCE)
    if "R" in match or "P" in match:
        return _failed_limit(inputs, verdicts) or Verdict(ALLOW, Layer.RESOURCE)
    if inputs.required and not match:
        return Verdict(IMPLICIT_DENY, Layer.RESOURCE)
    if not identity_ok(inputs, verdicts):
        return Verdict(IMPLICIT_DENY, Layer.IDENTITY)
    layer = Layer.RESOURCE if inputs.required and not inputs.identity_needed else Layer.IDENTITY
    return _failed_limit(inputs, verdicts) or Verdict(ALLOW, layer)


def _cross_account(inputs: DecisionInputs, verdicts: LayerVerdicts) -> Verdict:
    """`cross_account` of 6.4: no bypass of any kind (D21, D22, D25)."""
    if not verdicts.match:
        return Verdict(IMPLICIT_DENY, Layer.RESOURCE)
    if not identity_ok(inputs, verdicts):
        return Verdict(IMPLICIT_DENY, Layer.IDENTITY)
    return _failed_limit(inputs, verdicts) or Verdict(ALLOW, Layer.IDENTITY if inputs.identity_needed else Layer.RESOURCE)


def bypasses_limits(inputs: DecisionInputs, verdicts: LayerVerdicts) -> bool:
    """Whether a grant of the same account needs neither identity, boundary nor session Allow: `D`, or `*` unless FED (6.5)."""
    return "D" in verdicts.match or "*" in verdicts.match and inputs.kind is not PrincipalKind.FED


def identity_ok(inputs: DecisionInputs, verdicts: LayerVerdicts) -> bool:
    """`ident_ok` of 6.4."""
    return not inputs.identity_needed or verdicts.identity


def boundary_ok(inputs: DecisionInputs, verdicts: LayerVerdicts) -> bool:
    """`bound_ok` of 6.4."""
    return inputs.kind not in WITH_BOUNDARY or verdicts.boundary


def session_ok(inputs: DecisionInputs, verdicts: LayerVerdicts) -> bool:
    """`session_ok` of 6.4."""
    return inputs.kind not in WITH_SESSION or verdicts.session


def _failed_limit(inputs: DecisionInputs, verdicts: LayerVerdicts) -> Verdict | None:
    """The implicit deny of the boundary or of the session policies, or None."""
    if not boundary_ok(inputs, verdicts):
        return Verdict(IMPLICIT_DENY, Layer.BOUNDARY)
    return None if session_ok(inputs, verdicts) else Verdict(IMPLICIT_DENY, Layer.SESSION)


def limits_of_other_kinds(inputs: DecisionInputs, verdicts: LayerVerdicts) -> tuple[Layer, ...]:
    """Layers without an applicable Allow that the request has and that its kind of principal cannot have (D6)."""
    boundary = (Layer.BOUNDARY,) if inputs.kind not in WITH_BOUNDARY and not verdicts.boundary else ()
    return boundary + ((Layer.SESSION,) if inputs.kind not in WITH_SESSION and not verdicts.session else ())
