"""Decisions and explanations as text (spec 6.9), in lines of styled pieces: the outcome first, then the reasons.

Invariant: the text is enough to find the statement to change, in its file, and the change that it needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from fastiam.model.decision import Decision, Layer, MatchClass, Outcome, Reason, StatementRef
from fastiam.model.key_registry import fold, spelled

if TYPE_CHECKING:
    from fastiam.model.explanation import Explanation, LayerResult, MatchedStatement, NearMiss, ResidualStatement
    from fastiam.model.policy import ConditionEntry

Piece = tuple[str, str]  # text and its style, "" for none
Line = list[Piece]

_VERDICTS = {
    Outcome.ALLOW: ("ALLOWED", "bold green"),
    Outcome.IMPLICIT_DENY: ("DENIED, nothing allows it", "bold red"),
    Outcome.EXPLICIT_DENY: ("DENIED by a statement", "bold red"),
    Outcome.DEPENDS: ("DEPENDS on unknown keys", "bold yellow"),
}
_EFFECT_STYLES = {"Allow": "green", "Deny": "red"}
_REASONS: dict[str, str] = {
    Reason.UNKNOWN_OWNER: "the owner of the resource is unknown",
    Reason.UNKNOWN_ENDPOINT: "the directory does not know the VPC endpoint",
    Reason.UNKNOWN_PRINCIPAL: "the directory does not know the principal",
    Reason.ALWAYS_ALLOWED: "no policy restricts this action",
    Reason.HARD_RULE: "the service itself forbids the change",
    Reason.ANONYMOUS: "the service takes no unsigned requests",
    Reason.PASS_ROLE_ACCOUNT: "a role can only be passed within its own account",
    Reason.PARTITION: "principal and resource are in different partitions",
    Reason.CREDENTIAL: "these credentials may not make this call",
    Reason.PUBLIC_ACCESS: "public access to the bucket is blocked",
}
NOTES = {  # why a layer does not apply
    "none": "none",
    "no_account": "the principal has no account",
    "no_endpoint": "the request names no VPC endpoint",
    "full_access": "the endpoint has no policy",
    "service_principal": "endpoints do not limit services",
    "management_account": "it does not reach the management account",
    "outside_organization": "the account is in no organization",
    "policy_type_disabled": "the organization has not enabled it",
    "service_linked_role": "it does not reach service-linked roles",
    "service_linked_role_trust": "it does not reach trust policies of service-linked roles",
    "unsupported_service": "the service does not support it",
    "exempt_action": "the action is exempt from it",
    "mandatory": "this kind of session needs session policies, and has none",
}
RESULTS = {
    "allow": "allows",
    "implicit_deny": "does not allow it",
    "explicit_deny": "denies",
    "not_applicable": "does not apply",
}
WAYS = {
    "identity": "an identity policy of the principal",
    "resource": "the policy of the resource",
    "resource:D": "the policy of the resource, naming the principal itself",
    "boundary": "the permissions boundary",
    "session": "the session policies",
    "scp": "an SCP on every level of the account's path",
    "vpce": "the policy of the VPC endpoint",
}
_CLASSES = {
    MatchClass.PRINCIPAL: "the principal itself",
    MatchClass.ROLE: "its role",
    MatchClass.ISSUER: "its issuer",
    MatchClass.ACCOUNT: "its account",
    MatchClass.ANYONE: "everybody",
}
_CLOSENESS = ("Condition", "Principal", "Resource", "Action")
_SHOWN = 8  # near misses that are shown in full
_VALUES = 4  # values of an element that are shown


def explanation_lines(explanation: Explanation) -> Iterator[Line]:
    """The whole explanation: the outcome and its reasons, what would change it, then layer by layer."""
    yield from _verdict(explanation)
    yield []
    yield from _parties(explanation)
    yield []
    yield from _open(explanation.residual_statements)
    yield from _missing(explanation)
    yield from _near_misses(explanation)
    yield [("layer by layer", "bold")]
    for layer in Layer:
        yield from _layer(layer, explanation)
    yield from _names("keys that statements ask for and the request does not have", explanation.absent_keys)
    yield from _names("policy variables without a value", explanation.unresolved_variables)


def decision_lines(decision: Decision) -> Iterator[Line]:
    """The outcome and its reasons."""
    verdict, style = _VERDICTS[decision.outcome]
    yield [(verdict, style), (f"  layer {decision.layer}", "")]
    yield from _grounds(decision)


def _verdict(explanation: Explanation) -> Iterator[Line]:
    first, *rest = decision_lines(explanation.decision)
    yield first
    if explanation.principal:
        yield [(f"  {explanation.principal}", "")]
        yield [(f"  {explanation.action} on {explanation.resource}", "")]
    yield from rest


def _grounds(decision: Decision) -> Iterator[Line]:
    if decision.statement is not None:
        yield [("  by ", ""), *_statement(decision.statement)]
    if decision.reason:
        yield [(f"  {_REASONS[decision.reason]}", "")]
    if decision.indeterminate:
        yield [("  decided by a test that could not be evaluated, on the safe side", "yellow")]
    if decision.depends_on:
        yield [(f"  it depends on {', '.join(map(spelled, decision.depends_on))}", "")]
    if decision.assumed_owner:
        yield [("  the owner of the resource is assumed to be the principal's account", "yellow")]
    if decision.owner_override:
        yield [("  the owner given is not the account in the ARN", "yellow")]


def _parties(explanation: Explanation) -> Iterator[Line]:
    side = "the same account" if explanation.same_account else "another account"
    yield [(f"principal  {explanation.principal_kind}, account {explanation.principal_account or 'none'}", "")]
    yield [(f"resource   account {explanation.resource_account or 'unknown'}, {side}", "")]


# -- what would change it ------------------------------------------------------------------------------------------------


def _open(statements: Sequence[ResidualStatement]) -> Iterator[Line]:
    """The statements on which a `DEPENDS` depends, and their conditions."""
    if statements:
        yield [("it depends on these statements", "bold")]
    for one in statements:
        yield [("  ", ""), *_with_heading(one.effect.value, one.ref)]
        for entry in one.conditions:
            yield [(f"      if {condition_text(entry)}", "")]
        named = {fold(entry.key) for entry in one.conditions}
        others = [key for key in one.keys if key not in named]
        if others:
            yield [(f"      by the value of {', '.join(map(spelled, others))}", "")]
    if statements:
        yield []


def _missing(explanation: Explanation) -> Iterator[Line]:
    if not explanation.missing:
        return
    yield [("it would take an allow in", "bold")]
    for number, layers in enumerate(explanation.missing):
        yield [("  " if number == 0 else "  or ", ""), (", and in ".join(map(_way, layers)), "")]
    yield []


def _way(name: str) -> str:
    """A place where an allow is missing, such as `identity`, `resource:D` or `scp:1`."""
    layer, _, level = name.partition(":")
    text = WAYS.get(name) or f"an SCP of level {level} on the account's path (0 is the root)"
    return f"{layer}: {text}"


def _near_misses(explanation: Explanation) -> Iterator[Line]:
    """The statements that failed on one test, in layers that have to allow; those about something else are only counted."""
    needed = {layer.partition(":")[0] for way in explanation.missing for layer in way}
    candidates = [miss for miss in explanation.near_misses if miss.ref.layer in needed]
    close = sorted((miss for miss in candidates if _is_close(miss, explanation.action)), key=_closeness)
    if close:
        yield [("near misses: statements that would allow it except for one test", "bold")]
    for miss in close[:_SHOWN]:
        yield [("  ", ""), *_statement(miss.ref), (f"  ({miss.ref.layer})", "")]
        yield [(f"      {_wanted(miss, explanation.action)}", "")]
    rest = len(candidates) - len(close[:_SHOWN])
    if rest:
        yield [(f"  {'and ' if close else ''}{rest} more that are about other actions or resources", "dim")]
    if candidates:
        yield []


def _is_close(miss: NearMiss, action: str) -> bool:
    """Whether a near miss is shown: not if its actions are of another service."""
    service = action.partition(":")[0].lower() + ":"
    return miss.element != "Action" or any(pattern.lower().startswith(service) for pattern in miss.expected)


def _closeness(miss: NearMiss) -> int:
    return _CLOSENESS.index(miss.element) if miss.element in _CLOSENESS else len(_CLOSENESS)


def _wanted(miss: NearMiss, action: str) -> str:
    has = (action,) if miss.element.endswith("Action") else miss.actual
    actual = "no value" if has is None else _values(has)
    if miss.key:
        return f"Condition {miss.operator} {miss.key} wants {_values(miss.expected, miss.n_expected)}; the request has {actual}"
    if miss.element == "Statement":
        return f"it cannot be evaluated (rule {', '.join(miss.expected)})"
    verb = "excludes" if miss.element.startswith("Not") else "wants"
    return f"{miss.element} {verb} {_values(miss.expected, miss.n_expected)}; the request has {actual}"


# -- layer by layer ------------------------------------------------------------------------------------------------------


def _layer(layer: Layer, explanation: Explanation) -> Iterator[Line]:
    """One layer: its result, and the statements that match."""
    results = [result for result in explanation.limits if result.layer is layer]
    matched = [one for one in explanation.statements if one.ref.layer is layer]
    if not (results or matched or layer in (Layer.IDENTITY, Layer.RESOURCE)):
        return
    notes = [_result(result) for result in results] or [_effects_text(matched)]
    if layer is Layer.IDENTITY and not matched and _is_allowed_root(explanation):
        notes = ["the root user of the account needs no statement"]
    notes += ["bypassed: the resource's policy grants by itself"] if layer in explanation.bypassed else []
    yield [(f"  {layer:<10} ", "bold"), ("; ".join(notes), "")]
    for one in matched:
        yield [("      ", ""), *_matched(one)]
        for entry in one.conditions:
            actual = explanation.context.get(fold(entry.key))
            has = "no value" if actual is None else _values(actual)
            yield [(f"          {condition_text(entry)}; the request has {has}", "dim")]


def _is_allowed_root(explanation: Explanation) -> bool:
    """Whether a root user is allowed by being root."""
    decision = explanation.decision
    is_identity = decision.layer is Layer.IDENTITY and decision.statement is None
    return explanation.principal_kind == "ROOT" and decision.allowed and is_identity


def _effects_text(matched: Sequence[MatchedStatement]) -> str:
    """The result of a layer by its matching statements."""
    effects = {one.effect.value for one in matched}
    return "denies" if "Deny" in effects else "allows" if effects else "no statement matches"


def _result(result: LayerResult) -> str:
    where = f" on level {result.level}" if result.level is not None else ""
    why = NOTES.get(result.reason) or _REASONS.get(result.reason) or result.reason
    if result.result == "not_applicable" and result.reason == "none":
        return "none"
    return RESULTS[result.result] + where + (f": {why}" if why else "")


def _matched(one: MatchedStatement) -> Line:
    pieces = _with_heading(one.effect.value, one.ref)
    if one.match_classes:
        pieces.append((f"  names {', '.join(_CLASSES[each] for each in one.match_classes)}", ""))
    if one.indeterminate:
        pieces.append((f"  undetermined: {', '.join(one.reasons) or 'a test could not be evaluated'}", "yellow"))
    return pieces


def _with_heading(effect: str, ref: StatementRef) -> Line:
    level: Line = [(f"level {ref.level} ", "")] if ref.layer in (Layer.SCP, Layer.RCP) else []
    return [*level, (f"{effect:<6}", _EFFECT_STYLES[effect]), *_statement(ref)]


def _statement(ref: StatementRef) -> Line:
    """Name and position of a statement."""
    if ref.position is None:
        return [(f"{ref.label} of {ref.policy}", "")]
    policy = "" if ref.file == ref.policy else f" of {ref.policy}"
    return [(f"{ref.label}{policy}", ""), (f"  {ref.position}", "dim")]


def condition_text(entry: ConditionEntry) -> str:
    """An entry of a condition block as one line: `StringEquals aws:PrincipalTag/team blue`."""
    return f"{entry.operator_text} {entry.key} {_values(entry.values)}"


def residual_text(one: ResidualStatement) -> str:
    """What a statement asks for that is not known, as one line: `Allow Office of Ana: IpAddress aws:SourceIp 10.0.0.0/8`."""
    named = {fold(entry.key) for entry in one.conditions}
    others = [spelled(key) for key in one.keys if key not in named]
    asked = [condition_text(entry) for entry in one.conditions] + ([f"the value of {', '.join(others)}"] if others else [])
    return f"{one.effect.value} {one.ref.label} of {one.ref.policy}: {' and '.join(asked)}"


def _values(values: Sequence[str], n: int = 0) -> str:
    """Some of `n` values, quoted where they could be misread."""
    is_plain = (bool(value) and value == value.strip() and "," not in value for value in values)
    text = ", ".join(value if ok else f'"{value}"' for value, ok in zip(values[:_VALUES], is_plain, strict=False))
    more = max(n, len(values)) - _VALUES
    return f"{text} and {more} more" if more > 0 else text or "nothing"


def _names(title: str, names: Iterable[str]) -> Iterator[Line]:
    text = ", ".join(map(spelled, names))
    if text:
        yield [(title, "bold"), (f"  {text}", "")]
