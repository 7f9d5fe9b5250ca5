"""IAM operations that simulate requests, and that list the context keys of policies (G152, G153)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from fastiam.model.decision import Layer, Outcome, StatementRef
from fastiam.model.explanation import Explanation
from fastiam.model.key_registry import fold
from fastiam.model.policy import Effect
from fastiam.model.source_map import locate, position_of
from fastiam.server.protocols.aws.aws_errors import ApiError
from fastiam.server.protocols.aws.calls import Call, Result
from fastiam.server.protocols.aws.documents import without_nones
from fastiam.server.protocols.aws.operations import Operation
from fastiam.server.protocols.aws.pages import page
from fastiam.server.protocols.aws.simulation import (
    Simulation,
    context_keys,
    given_policies,
    policy_source,
    simulate_custom,
    simulate_stored,
    stored_policies,
)
from fastiam.sts import signed_calls as p
from fastiam.sts.signed_calls import Permission

_MAX_STEPS = 20_000_000  # of the evaluator for one answer: a few seconds at worst
_WORDS = {Outcome.ALLOW: "allowed", Outcome.EXPLICIT_DENY: "explicitDeny", Outcome.IMPLICIT_DENY: "implicitDeny"}
_EFFECTS = {Outcome.ALLOW: Effect.ALLOW, Outcome.EXPLICIT_DENY: Effect.DENY}
_STRICTEST_FIRST = ("explicitDeny", "implicitDeny", "allowed")
_OF_CALL = (Layer.IDENTITY, Layer.RESOURCE, Layer.BOUNDARY)  # the layers whose policies a result may name
_DETAILS = {Layer.IDENTITY: "IAM Policy", Layer.RESOURCE: "Resource Policy"}


def simulate_principal_policy(call: Call) -> Result:
    """SimulatePrincipalPolicy."""
    return _results(call, simulate_stored(call), is_stored=True)


def simulate_custom_policy(call: Call) -> Result:
    """SimulateCustomPolicy."""
    return _results(call, simulate_custom(call))


def get_context_keys_for_custom_policy(call: Call) -> Result:
    """GetContextKeysForCustomPolicy."""
    return {"ContextKeyNames": context_keys(given_policies(call, "PolicyInputList"))}


def get_context_keys_for_principal_policy(call: Call) -> Result:
    """GetContextKeysForPrincipalPolicy: of a user, group or role, and of the documents of the call."""
    tables = call.engine.snapshot.tables
    stored = stored_policies(tables, policy_source(call, tables))
    return {"ContextKeyNames": context_keys([*stored, *given_policies(call, "PolicyInputList")])}


def _results(call: Call, simulation: Simulation, *, is_stored: bool = False) -> Result:
    """A page of results, one for each action. The work of an answer is bounded: a page may be shorter than `MaxItems`.

    Of a stored principal, AWS always gives the results of each resource, and details.
    """
    resources = call.parameters.get("ResourceArns") or ["*"]
    most = _MAX_STEPS // simulation.steps(resources)
    if most == 0:
        raise ApiError(
            "InvalidInput", "Policies and context values are too large to compare them with so many resources in one call."
        )
    keys = {fold(name): name for name in context_keys(simulation.sources)}
    actions = list(enumerate(call.parameters["ActionNames"]))

    def result(action: str) -> dict[str, Any]:
        shown = [_one(simulation, action, resource, keys) for resource in resources]
        if is_stored:
            shown = [{"EvalDecisionDetails": {}} | each for each in shown]
        return _overall(action, resources, shown, with_resources=is_stored)

    return page(call, "EvaluationResults", actions, lambda each: f"{each[0]:04d}", lambda each: result(each[1]), most=most)


def _overall(action: str, resources: Sequence[str], results: list[dict[str, Any]], *, with_resources: bool) -> dict[str, Any]:
    """The result of an action: that of its one resource, or the strictest one and those of all resources."""
    strictest = min(results, key=lambda each: _STRICTEST_FIRST.index(each["EvalDecision"]))
    overall = {"EvalActionName": action} | strictest
    if len(resources) == 1:
        overall["EvalResourceName"] = resources[0]
        if not with_resources:
            return overall
    missing = dict.fromkeys(name for each in results for name in each["MissingContextValues"])
    each_resource = [
        {name: value for name, value in each.items() if name not in ("EvalDecision", "OrganizationsDecisionDetail")}
        | {"EvalResourceName": resource, "EvalResourceDecision": each["EvalDecision"]}
        for resource, each in zip(resources, results, strict=True)
    ]
    return overall | {"MissingContextValues": list(missing), "ResourceSpecificResults": each_resource}


def _one(simulation: Simulation, action: str, resource: str, keys: dict[str, str]) -> dict[str, Any]:
    """The result of one action on one resource. `keys` are those that the policies of the call read: SCPs stay hidden."""
    explanation = simulation.explain(action, resource)
    outcome = explanation.decision.outcome
    return without_nones(
        {
            "EvalDecision": _WORDS[outcome],
            "MatchedStatements": [_statement(simulation, ref) for ref in _matched(explanation)],
            "MissingContextValues": [keys[name] for name in explanation.absent_keys if name in keys],
            "OrganizationsDecisionDetail": _limit(explanation, Layer.SCP, "AllowedByOrganizations"),
            "PermissionsBoundaryDecisionDetail": _limit(explanation, Layer.BOUNDARY, "AllowedByPermissionsBoundary"),
            "EvalDecisionDetails": None if explanation.same_account else _details(explanation),
        }
    )


def _matched(explanation: Explanation) -> Iterator[StatementRef]:
    """The statements that the decision rests on, as far as they are of policies that the caller named."""
    wanted = _EFFECTS.get(explanation.decision.outcome)
    return (each.ref for each in explanation.statements if each.effect is wanted and each.ref.layer in _OF_CALL)


def _statement(simulation: Simulation, ref: StatementRef) -> dict[str, Any]:
    """A statement by its policy, and by its positions: AWS counts the columns behind its braces."""
    source = simulation.sources[int(ref.policy)]
    span = locate(source.text, ("Statement", ref.index))
    found: dict[str, Any] = {"SourcePolicyId": source.id, "SourcePolicyType": source.type}
    if span is None:
        return found
    return found | {
        "StartPosition": _position(source.text, span[0] + 1),
        "EndPosition": _position(source.text, span[1]),
    }


def _position(text: str, offset: int) -> dict[str, int]:
    position = position_of("", text, offset, offset)
    return {"Line": position.line, "Column": position.column}


def _limit(explanation: Explanation, layer: Layer, member: str) -> dict[str, bool] | None:
    """Whether a limiting layer allows the request; None where the layer does not apply."""
    results = [each.result for each in explanation.limits if each.layer is layer and each.result != "not_applicable"]
    return {member: all(result == "allow" for result in results)} if results else None


def _details(explanation: Explanation) -> dict[str, str]:
    """What the policies of each side say to a request to another account."""
    details = {}
    for layer, name in _DETAILS.items():
        effects = {each.effect for each in explanation.statements if each.ref.layer is layer}
        details[name] = "explicitDeny" if Effect.DENY in effects else "allowed" if Effect.ALLOW in effects else "implicitDeny"
    return details


def _prepared(call: Call) -> Result:
    """What `prepare` made, outside of the lock: a simulation decides many requests."""
    result: Result = call.prepared
    return result


def _operation(run: Callable[[Call], Result], resource: p.Resource) -> Operation:
    return Operation(_prepared, (Permission(resource),), prepare=run)


OPERATIONS = {
    "SimulatePrincipalPolicy": _operation(simulate_principal_policy, p.given("PolicySourceArn")),
    "SimulateCustomPolicy": _operation(simulate_custom_policy, p.everything),
    "GetContextKeysForPrincipalPolicy": _operation(get_context_keys_for_principal_policy, p.given("PolicySourceArn")),
    "GetContextKeysForCustomPolicy": _operation(get_context_keys_for_custom_policy, p.everything),
}
