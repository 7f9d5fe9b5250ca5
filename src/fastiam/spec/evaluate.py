"""`decide`: one request against profiles, as section 6 of the specification says."""

from __future__ import annotations

from dataclasses import dataclass, replace

from fastiam.model.decision import Decision, Layer, Outcome, Reason, StatementRef
from fastiam.model.explanation import Explanation
from fastiam.model.policy import Effect
from fastiam.model.profile import EndpointProfile, PrincipalKind, PrincipalProfile, ResourceProfile, Settings
from fastiam.model.request import Request
from fastiam.spec import trace as explain
from fastiam.spec.actions import split_action
from fastiam.spec.combining import Case, Verdict, combine, settled_early
from fastiam.spec.context import Keys, Sources, derive_context
from fastiam.spec.layers import LayerInput, applicable_layers, check_layers, listen
from fastiam.spec.partial import ENDPOINT_KEY, Run, choose, keys_that_matter, statements_that_matter
from fastiam.spec.principals import make_asker
from fastiam.spec.service_rules import (
    credential_forbids,
    is_always_allowed,
    is_restricted_public,
    needs_resource_policy,
    service_refusal,
)
from fastiam.spec.statement import Scene
from fastiam.spec.three_valued import U

_DEFAULTS = Settings()


def decide(
    principal: PrincipalProfile,
    resource: ResourceProfile,
    request: Request,
    *,
    endpoint: EndpointProfile | None = None,
    settings: Settings = _DEFAULTS,
    sources: Sources | None = None,
) -> Explanation:
    """The decision with its whole record (spec 6.4, 6.9, 6.11).

    Parameters
    ----------
    principal, resource, endpoint : who asks, for what, through what. An endpoint with `known=False` denies (D40); with
        `aws:sourcevpce` in `request.unknown` it leaves the layer open (D71).
    request : action, the caller's context and `now`. Its values come before those of the profiles (K1).
    settings : what the specification leaves configurable.
    sources : facts of the account in `aws:SourceAccount`, for `aws:SourceOrgID` and `aws:SourceOrgPaths`; None: nothing known.

    Returns
    -------
    Explanation: `.decision` is the answer. Where a rule answers before any policy is read (always allowed, credentials), the
    lists of statements are empty.
    """
    action = split_action(request.action)
    case = _case(principal, resource, action, settings)
    context, unknown = derive_context(principal, resource, endpoint, request, settings, sources)
    early = settled_early(case)
    if early is not None:
        return replace(_record(principal, resource, case, context, _decision(resource, early)), action=request.action)
    inquiry = _Inquiry(
        principal=principal,
        case=case,
        layers=applicable_layers(principal, resource, endpoint, action, settings),
        scene=Scene(make_asker(principal, resource.partition, request.context, action), action, resource.arn, context, unknown),
        endpoint_denies=endpoint is not None and not endpoint.known and principal.kind is not PrincipalKind.SVC,
    )
    return replace(_answer(inquiry, resource), action=request.action)


@dataclass(frozen=True, slots=True)
class _Inquiry:
    """A request made ready: what the two runs of 6.11 have in common."""

    principal: PrincipalProfile
    case: Case
    layers: tuple[LayerInput, ...]
    scene: Scene
    endpoint_denies: bool

    @property
    def endpoint_is_open(self) -> bool:
        """The endpoint is not known because the caller does not say which it is (D71)."""
        return self.endpoint_denies and ENDPOINT_KEY in self.scene.unknown

    def run(self, best: bool) -> Run:
        """One decision by 6.4, with the open tests in the caller's favour or against it (D73)."""
        tested = check_layers(self.layers, self.scene, best)
        denies = self.endpoint_denies and not (best and self.endpoint_is_open)
        said = listen(self.principal, self.layers, tested, endpoint_denies=denies)
        return Run(tested, said, combine(self.case, said))


def _case(principal: PrincipalProfile, resource: ResourceProfile, action: tuple[str, str], settings: Settings) -> Case:
    return Case(
        kind=principal.kind,
        known=principal.known,
        always_allowed=is_always_allowed(principal, action),
        credential_forbids=credential_forbids(principal, action),
        public_access=is_restricted_public(principal, resource),
        service_refusal=service_refusal(principal, resource, action, settings),
        required=needs_resource_policy(resource, action, settings),
        same_account=principal.account is not None and principal.account == resource.account,
        chained_identity=action == ("sts", "setsourceidentity") and principal.kind in (PrincipalKind.ROLE, PrincipalKind.SLR),
        issued_by_root=principal.issuer_root,
    )


def _answer(inquiry: _Inquiry, resource: ResourceProfile) -> Explanation:
    """One run where everything is known; else two, and what they have in common (D73, D74)."""
    worst = inquiry.run(best=False)
    if not inquiry.scene.unknown:
        return _explain(inquiry, resource, worst)
    best = inquiry.run(best=True)
    chosen = choose(best, worst)
    if chosen is not None:
        return _explain(inquiry, resource, chosen)
    matter = statements_that_matter(best, worst)
    keys = keys_that_matter(matter, endpoint_is_open=inquiry.endpoint_is_open)
    record = _explain(inquiry, resource, worst, depends_on=keys)
    return replace(record, open_statements=tuple(map(explain.opened, matter)))


def _explain(inquiry: _Inquiry, resource: ResourceProfile, run: Run, depends_on: tuple[str, ...] | None = None) -> Explanation:
    case, said = inquiry.case, run.said
    applied = [each for each in run.tested if each.applies]
    is_implicit_deny = run.verdict.outcome is Outcome.IMPLICIT_DENY and depends_on is None
    decision = _decide(inquiry, resource, run, depends_on)
    return replace(
        _record(inquiry.principal, resource, case, inquiry.scene.context, decision),
        statements=tuple(map(explain.matched, applied)),
        denies=tuple(explain.matched(each) for each in applied if each.statement.effect is Effect.DENY),
        missing=explain.missing(case, said, inquiry.scene.action) if is_implicit_deny else (),
        near_misses=explain.near_misses(run.tested, inquiry.scene) if is_implicit_deny else (),
        unresolved_variables=explain.names(each.unresolved for each in run.tested),
        absent_keys=explain.names(each.absent for each in run.tested),
        bypassed=explain.bypassed(case, said, decision.outcome),
        limits=explain.limits(inquiry.principal, inquiry.layers, run),
    )


def _decide(inquiry: _Inquiry, resource: ResourceProfile, run: Run, depends_on: tuple[str, ...] | None) -> Decision:
    """The answer with the reported statement (D51) and the flag of F6."""
    reported = explain.reported_statement(inquiry.case, run)
    statement = None if reported is None else reported.ref
    outcome, layer, reason = run.verdict
    if depends_on is not None:
        verdict = Verdict(Outcome.DEPENDS, layer)
        return _decision(resource, verdict, statement=statement, depends_on=depends_on)
    if outcome is Outcome.EXPLICIT_DENY and layer is Layer.VPCE and reported is None:
        return _decision(resource, Verdict(outcome, layer, Reason.UNKNOWN_ENDPOINT), indeterminate=True)
    if outcome is Outcome.IMPLICIT_DENY:
        hopeful = listen(inquiry.principal, inquiry.layers, run.tested, hopefully=True)
        indeterminate = combine(inquiry.case, hopeful).outcome is Outcome.ALLOW
    else:
        indeterminate = outcome is Outcome.EXPLICIT_DENY and reported is not None and reported.result is U
    return _decision(resource, Verdict(outcome, layer, reason), statement=statement, indeterminate=indeterminate)


def _decision(
    resource: ResourceProfile,
    verdict: Verdict,
    *,
    statement: StatementRef | None = None,
    indeterminate: bool = False,
    depends_on: tuple[str, ...] = (),
) -> Decision:
    return Decision(
        verdict.outcome,
        verdict.layer,
        statement=statement,
        reason=verdict.reason,
        indeterminate=indeterminate,
        assumed_owner=resource.assumed_owner,
        owner_override=resource.owner_override,
        depends_on=depends_on,
    )


def _record(principal: PrincipalProfile, resource: ResourceProfile, case: Case, context: Keys, decision: Decision) -> Explanation:
    """The part of the record that every answer has."""
    return Explanation(
        decision,
        principal_kind=str(principal.kind),
        principal_account=principal.account,
        resource_account=resource.account,
        same_account=case.same_account,
        principal=principal.name,
        resource=resource.arn,
        context={key: value.values for key, value in context.items()},
    )
