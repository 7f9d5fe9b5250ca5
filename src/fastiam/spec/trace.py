"""The explanation of a decision (spec 6.9): statements that applied, missing layers, near misses, limits.

Nothing here changes a decision: each function reads the results, and repeats tests of statements where it needs more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from fastiam.model.decision import Layer, MatchClass, Outcome, Reason
from fastiam.model.explanation import LayerResult, MatchedStatement, NearMiss, ResidualStatement
from fastiam.model.key_registry import fold
from fastiam.model.policy import ConditionEntry, Effect
from fastiam.model.profile import PrincipalKind, PrincipalProfile
from fastiam.spec.combining import (
    DecisionInputs,
    boundary_ok,
    bypasses_limits,
    identity_ok,
    limits_of_other_kinds,
    session_ok,
)
from fastiam.spec.determining import first_applicable
from fastiam.spec.layers import WITHOUT_ACCOUNT, LayerInput, LayerVerdicts
from fastiam.spec.partial import PolicyDecision
from fastiam.spec.statement import EvaluationContext, StatementResult, StatementTest, statement_tests
from fastiam.spec.three_valued import T

_LIMITS = (Layer.RCP, Layer.SCP, Layer.VPCE, Layer.BOUNDARY, Layer.SESSION)
_MAX_VALUES = 20  # of an element in a near miss


def matched_statement(result: StatementResult) -> MatchedStatement:
    """A statement that applies, as the explanation shows it."""
    statement, rules = result.statement, tuple(dict.fromkeys(result.result.rules))
    classes = tuple(map(MatchClass, result.classes))
    return MatchedStatement(result.ref, statement.effect, classes, result.result is not T, rules, statement.conditions)


def residual_statement(result: StatementResult, keys: tuple[str, ...], entries: tuple[ConditionEntry, ...]) -> ResidualStatement:
    """A statement that a `DEPENDS` depends on, as the explanation shows it."""
    return ResidualStatement(result.ref, result.statement.effect, keys, entries)


def near_misses(results: Iterable[StatementResult], context: EvaluationContext) -> tuple[NearMiss, ...]:
    """Allow statements with exactly one test that is not `T`."""
    candidates = (each for each in results if each.statement.effect is Effect.ALLOW and not each.applies)
    failed = ((each, list(islice(_failed_tests(each, context), 2))) for each in candidates)
    return tuple(_near_miss(each, tests[0], context) for each, tests in failed if len(tests) == 1)


def _failed_tests(result: StatementResult, context: EvaluationContext) -> Iterator[StatementTest]:
    return (test for test in statement_tests(result.statement, result.location, context) if test.result is not T)


def _near_miss(result: StatementResult, test: StatementTest, context: EvaluationContext) -> NearMiss:
    statement, entry, element = result.statement, test.entry, test.element
    key, operator = ("", "") if entry is None else (entry.key, entry.operator_text)
    actual: tuple[str, ...] | None = None
    if entry is not None:
        value = context.context.get(fold(entry.key))
        expected, actual = entry.values, None if value is None else value.values
    elif element.endswith("Action"):
        expected, actual = statement.actions or (), (":".join(context.action),)
    elif element.endswith("Resource"):
        expected, actual = statement.resources or (), (context.resource,)
    elif element.endswith("Principal"):
        expected, actual = tuple(entry.value for entry in statement.principals or ()), (context.principal.profile.name,)
    else:
        expected = statement.undetermined
    return NearMiss(result.ref, element, key, operator, _shown_values(expected, context), actual, len(expected))


def _shown_values(values: tuple[str, ...], context: EvaluationContext) -> tuple[str, ...]:
    """At most 20 values, since a statement may list thousands of actions; those of the service of the request come first."""
    if len(values) <= _MAX_VALUES:
        return values
    service = context.action[0] + ":"
    return tuple(sorted(values, key=lambda value: not value.lower().startswith(service))[:_MAX_VALUES])


def bypassed_layers(inputs: DecisionInputs, verdicts: LayerVerdicts, outcome: Outcome) -> tuple[Layer, ...]:
    """Layers with an implicit deny that a grant of class D or `*` bypassed (6.5)."""
    if outcome is not Outcome.ALLOW or not _is_bypass(inputs, verdicts):
        return ()
    states = (
        (Layer.IDENTITY, identity_ok(inputs, verdicts)),
        (Layer.BOUNDARY, boundary_ok(inputs, verdicts)),
        (Layer.SESSION, session_ok(inputs, verdicts)),
    )
    return tuple(layer for layer, ok in states if not ok)


def _is_bypass(inputs: DecisionInputs, verdicts: LayerVerdicts) -> bool:
    if not inputs.same_account or inputs.chained_identity or inputs.kind in WITHOUT_ACCOUNT:
        return False
    return inputs.kind not in (PrincipalKind.ROOT, PrincipalKind.AROOT) and bypasses_limits(inputs, verdicts)


def missing_layers(inputs: DecisionInputs, verdicts: LayerVerdicts, action: tuple[str, str]) -> tuple[tuple[str, ...], ...]:
    """The smallest sets of layers that would have to allow; () if a rule denies that no policy changes."""
    if inputs.service_refusal is not None:
        return ()
    always = [f"scp:{level}" for level in verdicts.scp_failing] or ([] if verdicts.scp else ["scp"])
    always += [] if verdicts.vpce else ["vpce"]
    always += map(str, limits_of_other_kinds(inputs, verdicts))
    alternatives = list(map(frozenset, _alternatives(inputs, verdicts, action)))
    smallest = [one for one in dict.fromkeys(alternatives) if not any(other < one for other in alternatives)]
    return tuple((*always, *sorted(one, key=_order)) for one in smallest)


def _order(name: str) -> int:
    return list(Layer).index(Layer(name.partition(":")[0]))


def _alternatives(inputs: DecisionInputs, verdicts: LayerVerdicts, action: tuple[str, str]) -> list[list[str]]:
    """The layers that each path of 6.4 to an ALLOW still lacks."""
    if inputs.kind in WITHOUT_ACCOUNT:
        return [[] if verdicts.match else ["resource"]]
    limits = [] if boundary_ok(inputs, verdicts) else ["boundary"]
    limits += [] if session_ok(inputs, verdicts) else ["session"]
    identity = [] if identity_ok(inputs, verdicts) else ["identity"]
    is_cross_account = not inputs.same_account or inputs.chained_identity
    resource = ["resource"] if (is_cross_account or inputs.required) and not verdicts.match else []
    through_identity = resource + identity + limits
    if is_cross_account or not inputs.identity_needed and inputs.kind is not PrincipalKind.FED:
        return [through_identity]
    named = [limits] if "R" in verdicts.match or "P" in verdicts.match else []
    direct = [] if action == ("iam", "passrole") or resource == through_identity else [["resource:D"]]
    return [through_identity, *named, *([[]] if _is_bypass(inputs, verdicts) else direct)]


def limits(principal: PrincipalProfile, layers: Sequence[LayerInput], decided: PolicyDecision) -> tuple[LayerResult, ...]:
    """The result of each limiting layer, and the reason if it does not apply."""
    return tuple(_limit(principal, layer, decided) for layer in layers if layer.layer in _LIMITS)


def _limit(principal: PrincipalProfile, given: LayerInput, decided: PolicyDecision) -> LayerResult:
    layer, verdicts = given.layer, decided.verdicts
    level = verdicts.scp_failing[0] if layer is Layer.SCP and verdicts.scp_failing else None
    if layer in verdicts.denied:
        denied = first_applicable(decided.results, layer, Effect.DENY)
        has_levels = layer in (Layer.SCP, Layer.RCP)
        reason = Reason.UNKNOWN_ENDPOINT if denied is None else ""
        return LayerResult(layer, "explicit_deny", reason, denied.location.level if denied and has_levels else None)
    is_none = not principal.session_policies if principal.kind is PrincipalKind.AROOT else given.levels is None
    if layer is Layer.SESSION and is_none and principal.kind in (PrincipalKind.FED, PrincipalKind.AROOT):
        return LayerResult(layer, "implicit_deny", "mandatory")
    if given.levels is None:
        return LayerResult(layer, "not_applicable", given.note)
    allows = {
        Layer.SCP: verdicts.scp,
        Layer.VPCE: verdicts.vpce,
        Layer.BOUNDARY: verdicts.boundary,
        Layer.SESSION: verdicts.session,
    }
    return LayerResult(layer, "allow" if allows.get(layer, True) else "implicit_deny", "", level)
