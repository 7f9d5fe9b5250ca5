"""The determining statement: the one statement that a decision reports (spec D51)."""

from __future__ import annotations

from collections.abc import Iterable

from fastiam.model.decision import Layer, Outcome
from fastiam.model.policy import Effect
from fastiam.model.profile import PrincipalKind
from fastiam.spec.combining import DecisionInputs
from fastiam.spec.layers import WITHOUT_ACCOUNT
from fastiam.spec.partial import PolicyDecision
from fastiam.spec.statement import StatementResult


def determining_statement(inputs: DecisionInputs, decided: PolicyDecision) -> StatementResult | None:
    """The first statement of its kind in the order of evaluation, or None (D51)."""
    outcome, layer, _ = decided.verdict
    if outcome is Outcome.EXPLICIT_DENY:
        return first_applicable(decided.results, layer, Effect.DENY)
    if outcome is not Outcome.ALLOW or layer is Layer.IDENTITY and not inputs.identity_needed:
        return None
    return first_applicable(decided.results, layer, Effect.ALLOW, _sufficient_classes(inputs) if layer is Layer.RESOURCE else "")


def first_applicable(
    results: Iterable[StatementResult], layer: Layer, effect: Effect, classes: str = ""
) -> StatementResult | None:
    """The first applicable statement of a layer, with one of the classes if any are named."""
    for each in results:
        if each.location.layer is layer and each.statement.effect is effect and each.applies:
            if not classes or any(letter in classes for letter in each.classes):
                return each
    return None


def _sufficient_classes(inputs: DecisionInputs) -> str:
    """The classes that suffice if layer `resource` grants (D51); "" for any."""
    is_fed = inputs.kind is PrincipalKind.FED
    grants_alone = inputs.same_account and not inputs.chained_identity
    grants_alone = grants_alone and (inputs.identity_needed or (is_fed and not inputs.required))
    if inputs.kind in WITHOUT_ACCOUNT or not grants_alone:
        return ""
    return "DRP" if is_fed else "DRP*"
