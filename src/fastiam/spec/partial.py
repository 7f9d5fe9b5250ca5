"""Unknown keys (spec 6.11): an optimistic and a pessimistic decision, and the keys that distinguish them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fastiam.model.decision import Layer, Outcome
from fastiam.model.policy import ConditionEntry, Effect
from fastiam.spec import conditions, principal_elements
from fastiam.spec import resource_patterns as resources
from fastiam.spec.combining import Verdict
from fastiam.spec.layers import LayerVerdicts
from fastiam.spec.statement import EvaluationContext, StatementResult

ENDPOINT_KEY = "aws:sourcevpce"


@dataclass(frozen=True, slots=True)
class PolicyDecision:
    """One decision by 6.4 with everything that it depends on."""

    context: EvaluationContext
    results: list[StatementResult]
    verdicts: LayerVerdicts
    verdict: Verdict


def choose(best: PolicyDecision, worst: PolicyDecision) -> PolicyDecision | None:
    """The decision that holds for all values of the unknown keys, or None for `DEPENDS` (D70, D73)."""
    if worst.verdict.outcome is Outcome.ALLOW:
        return worst
    return None if best.verdict.outcome is Outcome.ALLOW else best


def deciding_statements(best: PolicyDecision, worst: PolicyDecision) -> list[StatementResult]:
    """The statements that apply in only one of the two decisions, in layers with different states (D74).

    A grant of a resource policy that applies in both with different classes (3.3) is one of them: it changes `M`.
    """
    states = _layer_states(best), _layer_states(worst)
    differing = {layer for layer in Layer if states[0].get(layer) != states[1].get(layer)}
    return [
        one if one.applies else other
        for one, other in zip(best.results, worst.results, strict=True)
        if _differ(one, other) and one.location.layer in differing
    ]


def keys_that_decide(keys: Iterable[Iterable[str]], *, endpoint_is_unknown: bool) -> tuple[str, ...]:
    """The unknown keys of the deciding statements, and `aws:SourceVpce` if the endpoint depends on it (D71, D74)."""
    names = {ENDPOINT_KEY} if endpoint_is_unknown else set()
    return tuple(sorted(names.union(*keys)))


def residual_keys(result: StatementResult, context: EvaluationContext) -> tuple[str, ...]:
    """The unknown keys of the residual tests of a statement (D72), sorted."""
    statement, location = result.statement, result.location
    keys, variables = context.keys_for(statement.effect), location.policy.variables
    names: set[str] = set()
    if location.names_principals:
        names.update(principal_elements.residual_keys(statement, location.policy, context.principal, location.gateway, keys))
    for text in statement.resources or ():
        names.update(resources.residual_keys(text, statement.not_resource, context.resource, variables, keys))
    for entry in statement.conditions:
        names.update(conditions.residual_keys(entry, variables, keys))
    return tuple(sorted(names))


def residual_entries(result: StatementResult, context: EvaluationContext) -> tuple[ConditionEntry, ...]:
    """The condition entries of a statement that are residual tests (D72), each once."""
    keys, variables = context.keys_for(result.statement.effect), result.location.policy.variables
    entries = (entry for entry in result.statement.conditions if conditions.residual_keys(entry, variables, keys))
    return tuple(dict.fromkeys(entries))


def _differ(one: StatementResult, other: StatementResult) -> bool:
    if one.applies is not other.applies:
        return True
    is_grant = one.location.layer is Layer.RESOURCE and one.statement.effect is Effect.ALLOW
    return is_grant and one.applies and one.classes != other.classes


def _layer_states(decision: PolicyDecision) -> dict[Layer, set[object]]:
    """The state of each layer: a Deny applies, an Allow applies on a level, the classes of its grants (D74)."""
    states: dict[Layer, set[object]] = {}
    for each in decision.results:
        if not each.applies:
            continue
        state = states.setdefault(each.location.layer, set())
        if each.statement.effect is Effect.DENY:
            state.add("deny")
        elif each.location.layer is Layer.RESOURCE:
            state.update(each.classes)
        else:
            state.add(each.location.level)
    return states
