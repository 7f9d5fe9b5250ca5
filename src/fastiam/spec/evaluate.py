"""`decide`: one request over profiles, as section 6 of the specification defines it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from fastiam.model.decision import Decision, Layer, Outcome, Reason, StatementRef
from fastiam.model.explanation import Explanation
from fastiam.model.policy import Effect
from fastiam.model.profile import EndpointProfile, PrincipalKind, PrincipalProfile, ResourceProfile, Settings
from fastiam.model.request import Request
from fastiam.spec import trace
from fastiam.spec.actions import split_action
from fastiam.spec.combining import DecisionInputs, Verdict, combine, decided_without_policies
from fastiam.spec.context import Keys, Sources, derive_context
from fastiam.spec.determining import determining_statement
from fastiam.spec.layers import LayerInput, applicable_layers, evaluate_layers, summarize_layers
from fastiam.spec.names_read import names_read
from fastiam.spec.partial import (
    ENDPOINT_KEY,
    PolicyDecision,
    choose,
    deciding_statements,
    keys_that_decide,
    residual_entries,
    residual_keys,
)
from fastiam.spec.principal_entries import make_request_principal
from fastiam.spec.service_rules import (
    credential_forbids,
    is_always_allowed,
    is_restricted_public,
    needs_resource_policy,
    service_refusal,
)
from fastiam.spec.statement import EvaluationContext, StatementResult
from fastiam.spec.three_valued import T

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
    """The decision with its explanation (spec 6.4, 6.9, 6.11).

    Parameters
    ----------
    principal, resource, endpoint
        the profiles of the request. An endpoint with `known=False` denies (D40); with `aws:sourcevpce` in `request.unknown` the
        state of its layer is unknown (D71).
    request
        action, the context of the request and `now`. Its values take precedence over those of the profiles (K1).
    settings
        what the specification leaves configurable.
    sources
        facts of the account in `aws:SourceAccount`, for `aws:SourceOrgID` and `aws:SourceOrgPaths`; None: none known.

    Returns
    -------
    Explanation
        Explanation, with the decision in `.decision`. The lists of statements are empty if the decision does not depend on
        policies (always allowed, credentials).
    """
    action = split_action(request.action)
    inputs = decision_inputs(principal, resource, action, settings)
    context, unknown = derive_context(principal, resource, endpoint, request, settings, sources)
    early = decided_without_policies(inputs)
    if early is not None:
        explanation = _explanation(principal, resource, inputs, context, _decision(resource, early))
        return replace(explanation, action=request.action)
    evaluation = _Evaluation(
        principal=principal,
        resource=resource,
        inputs=inputs,
        layers=applicable_layers(principal, resource, endpoint, action, settings),
        context=EvaluationContext(
            principal=make_request_principal(principal, resource.partition, request.context, action),
            action=action,
            resource=resource.arn,
            context=context,
            unknown=unknown,
        ),
        endpoint_denies=endpoint is not None and not endpoint.known and principal.kind is not PrincipalKind.SVC,
    )
    return replace(_explain_policies(evaluation), action=request.action)


@dataclass(frozen=True, slots=True)
class _Evaluation:
    """A request with everything that its one or two decisions have in common (6.11)."""

    principal: PrincipalProfile
    resource: ResourceProfile
    inputs: DecisionInputs
    layers: tuple[LayerInput, ...]
    context: EvaluationContext
    endpoint_denies: bool

    @property
    def endpoint_is_unknown(self) -> bool:
        """The endpoint is unknown because the caller declares its key unknown (D71)."""
        return self.endpoint_denies and ENDPOINT_KEY in self.context.unknown

    def decide(self, optimistic: bool) -> PolicyDecision:
        """One decision by 6.4, with the residual tests taken towards an allow or against it (D73)."""
        context = replace(self.context, optimistic=optimistic)
        results = evaluate_layers(self.layers, context)
        denies = self.endpoint_denies and not (optimistic and self.endpoint_is_unknown)
        verdicts = summarize_layers(self.principal, self.layers, results, endpoint_denies=denies)
        return PolicyDecision(context, results, verdicts, combine(self.inputs, verdicts))


def decision_inputs(
    principal: PrincipalProfile, resource: ResourceProfile, action: tuple[str, str], settings: Settings
) -> DecisionInputs:
    return DecisionInputs(
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


def _explain_policies(evaluation: _Evaluation) -> Explanation:
    """One decision if no key is unknown; else two, and the part that they have in common (D73, D74)."""
    worst = evaluation.decide(optimistic=False)
    if not evaluation.context.unknown:
        return _explain(evaluation, worst)
    best = evaluation.decide(optimistic=True)
    chosen = choose(best, worst)
    if chosen is not None:
        return _explain(evaluation, chosen)
    deciding = [(each, residual_keys(each, evaluation.context)) for each in deciding_statements(best, worst)]
    depends_on = keys_that_decide((keys for _, keys in deciding), endpoint_is_unknown=evaluation.endpoint_is_unknown)
    residual_statements = (
        trace.residual_statement(each, keys, residual_entries(each, evaluation.context)) for each, keys in deciding
    )
    return replace(_explain(evaluation, worst, depends_on), residual_statements=tuple(residual_statements))


def _explain(evaluation: _Evaluation, decided: PolicyDecision, depends_on: tuple[str, ...] | None = None) -> Explanation:
    inputs, verdicts, context = evaluation.inputs, decided.verdicts, decided.context
    applied = [each for each in decided.results if each.applies]
    is_implicit_deny = decided.verdict.outcome is Outcome.IMPLICIT_DENY and depends_on is None
    decision = _decide(evaluation, decided, depends_on)
    names = names_read(decided.results, context)
    return replace(
        _explanation(evaluation.principal, evaluation.resource, inputs, context.context, decision),
        statements=tuple(map(trace.matched_statement, applied)),
        denies=tuple(trace.matched_statement(each) for each in applied if each.statement.effect is Effect.DENY),
        missing=trace.missing_layers(inputs, verdicts, context.action) if is_implicit_deny else (),
        near_misses=trace.near_misses(decided.results, context) if is_implicit_deny else (),
        unresolved_variables=names.unresolved,
        absent_keys=names.absent,
        bypassed=trace.bypassed_layers(inputs, verdicts, decision.outcome),
        limits=trace.limits(evaluation.principal, evaluation.layers, decided),
    )


def _decide(evaluation: _Evaluation, decided: PolicyDecision, depends_on: tuple[str, ...] | None) -> Decision:
    """The decision with the determining statement (D51) and the flag of F6."""
    resource, reported = evaluation.resource, determining_statement(evaluation.inputs, decided)
    statement = None if reported is None else reported.ref
    outcome, layer, _ = decided.verdict
    if depends_on is not None:
        return _decision(resource, Verdict(Outcome.DEPENDS, layer), statement=statement, depends_on=depends_on)
    if outcome is Outcome.EXPLICIT_DENY and layer is Layer.VPCE and reported is None:
        return _decision(resource, Verdict(outcome, layer, Reason.UNKNOWN_ENDPOINT), indeterminate=True)
    indeterminate = _is_indeterminate(evaluation, decided, reported)
    return _decision(resource, decided.verdict, statement=statement, indeterminate=indeterminate)


def _is_indeterminate(evaluation: _Evaluation, decided: PolicyDecision, reported: StatementResult | None) -> bool:
    """Whether the denial rests on a `U`: of the reported Deny, or in that each `U` taken towards an allow gives `ALLOW` (F6)."""
    outcome = decided.verdict.outcome
    if outcome is Outcome.IMPLICIT_DENY:
        optimistic = summarize_layers(evaluation.principal, evaluation.layers, decided.results, optimistic=True)
        return combine(evaluation.inputs, optimistic).outcome is Outcome.ALLOW
    return outcome is Outcome.EXPLICIT_DENY and reported is not None and reported.result is not T


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


def _explanation(
    principal: PrincipalProfile, resource: ResourceProfile, inputs: DecisionInputs, context: Keys, decision: Decision
) -> Explanation:
    """The fields that every explanation has."""
    return Explanation(
        decision,
        principal_kind=str(principal.kind),
        principal_account=principal.account,
        resource_account=resource.account,
        same_account=inputs.same_account,
        principal=principal.name,
        resource=resource.arn,
        context={key: value.values for key, value in context.items()},
    )
