"""The decision (spec 6.4): from what the layers say to the answer. Written to be compared with the specification line by line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from fastiam.model.decision import Layer, Outcome, Reason
from fastiam.model.profile import PrincipalKind
from fastiam.spec.layers import WITH_BOUNDARY, WITH_SESSION, WITHOUT_ACCOUNT, Said

_ROOTS = (PrincipalKind.ROOT, PrincipalKind.AROOT)
_ROLES = (PrincipalKind.ROLE, PrincipalKind.SLR)


@dataclass(frozen=True, slots=True)
class Case:
    """What the algorithm asks of a request beside its policies.

    Attributes
    ----------
    kind : who asks.
    known : there is a record of who asks.
    always_allowed, credential_forbids, public_access, service_refusal : rules that no policy changes (6.3, 7.4, D33).
    required : the profile `resource-policy-required` (6.3).
    same_account : the principal's account owns the resource.
    chained_identity : `sts:SetSourceIdentity` by a role session (D30).
    issued_by_root : FED whose issuer is a root user.
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
        """Root users, and federated users that a root user issued, may do everything (6.1)."""
        return self.kind not in _ROOTS and not (self.kind is PrincipalKind.FED and self.issued_by_root)


class Verdict(NamedTuple):
    """An outcome with the layer that is reported (D50) and a reason where the layer does not tell."""

    outcome: Outcome
    layer: Layer
    reason: Reason | None = None


ALLOW, IMPLICIT_DENY, EXPLICIT_DENY = Outcome.ALLOW, Outcome.IMPLICIT_DENY, Outcome.EXPLICIT_DENY


def settled_early(case: Case) -> Verdict | None:
    """The answers for which no policy is read."""
    if not case.known:
        return Verdict(IMPLICIT_DENY, Layer.CREDENTIAL, Reason.UNKNOWN_PRINCIPAL)
    if case.always_allowed:
        return Verdict(ALLOW, Layer.SERVICE, Reason.ALWAYS_ALLOWED)
    return Verdict(IMPLICIT_DENY, Layer.CREDENTIAL, Reason.CREDENTIAL) if case.credential_forbids else None


def combine(case: Case, said: Said) -> Verdict:
    """`decide` of 6.4, from the explicit denies on. D6 is applied to the result."""
    if said.denied:
        return Verdict(EXPLICIT_DENY, said.denied[0])
    if case.public_access:
        return Verdict(EXPLICIT_DENY, Layer.SERVICE, Reason.PUBLIC_ACCESS)
    if not said.scp:
        return Verdict(IMPLICIT_DENY, Layer.SCP)
    if not said.vpce:
        return Verdict(IMPLICIT_DENY, Layer.VPCE)
    if case.service_refusal is not None:
        return Verdict(IMPLICIT_DENY, Layer.SERVICE, case.service_refusal)
    return _limit_strays(case, said, _grant(case, said))


def _grant(case: Case, said: Said) -> Verdict:
    if case.kind in WITHOUT_ACCOUNT:
        return Verdict(ALLOW if said.match else IMPLICIT_DENY, Layer.RESOURCE)
    if not case.same_account or case.chained_identity:
        return _cross_account(case, said)
    return _same_account(case, said)


def _bound_ok(case: Case, said: Said) -> bool:
    return case.kind not in WITH_BOUNDARY or said.boundary


def _session_ok(case: Case, said: Said) -> bool:
    return case.kind not in WITH_SESSION or said.session


def _identity_ok(case: Case, said: Said) -> bool:
    return not case.identity_needed or said.identity


def _same_account(case: Case, said: Said) -> Verdict:
    """6.4, with the rows of 6.5."""
    match = said.match
    if case.kind in _ROOTS:
        if case.required and not match:
            return Verdict(IMPLICIT_DENY, Layer.RESOURCE)
        if not _session_ok(case, said):
            return Verdict(IMPLICIT_DENY, Layer.SESSION)
        return Verdict(ALLOW, Layer.RESOURCE if match else Layer.IDENTITY)
    if "D" in match or "*" in match and case.kind is not PrincipalKind.FED:
        return Verdict(ALLOW, Layer.RESOURCE)
    if "R" in match or "P" in match:
        return _limits(case, said) or Verdict(ALLOW, Layer.RESOURCE)
    if case.required and not match:
        return Verdict(IMPLICIT_DENY, Layer.RESOURCE)
    if not _identity_ok(case, said):
        return Verdict(IMPLICIT_DENY, Layer.IDENTITY)
    layer = Layer.RESOURCE if case.required and not case.identity_needed else Layer.IDENTITY
    return _limits(case, said) or Verdict(ALLOW, layer)


def _cross_account(case: Case, said: Said) -> Verdict:
    """6.4: no bypass of any kind (D21, D22, D25)."""
    if not said.match:
        return Verdict(IMPLICIT_DENY, Layer.RESOURCE)
    if not _identity_ok(case, said):
        return Verdict(IMPLICIT_DENY, Layer.IDENTITY)
    return _limits(case, said) or Verdict(ALLOW, Layer.IDENTITY if case.identity_needed else Layer.RESOURCE)


def _limits(case: Case, said: Said) -> Verdict | None:
    """The boundary and the session policies, where the kind has them."""
    if not _bound_ok(case, said):
        return Verdict(IMPLICIT_DENY, Layer.BOUNDARY)
    return None if _session_ok(case, said) else Verdict(IMPLICIT_DENY, Layer.SESSION)


def stray_limits(case: Case, said: Said) -> tuple[Layer, ...]:
    """Layers that the kind cannot have but that are there and allow nothing (D6)."""
    boundary = (Layer.BOUNDARY,) if case.kind not in WITH_BOUNDARY and not said.boundary else ()
    return boundary + ((Layer.SESSION,) if case.kind not in WITH_SESSION and not said.session else ())


def _limit_strays(case: Case, said: Said, verdict: Verdict) -> Verdict:
    strays = stray_limits(case, said)
    return Verdict(IMPLICIT_DENY, strays[0]) if verdict.outcome is ALLOW and strays else verdict
