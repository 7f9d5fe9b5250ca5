"""Decisions and explanations as text and as JSON (spec 6.9). The verdict comes first, then why."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from fastiam.cli.console import Piece
from fastiam.model import Decision, Explanation, Layer, LayerResult, MatchedStatement, NearMiss, Outcome, StatementRef
from fastiam.positions import Origin

_VERDICTS = {
    Outcome.ALLOW: ("ALLOWED", "bold green"),
    Outcome.IMPLICIT_DENY: ("DENIED, nothing allows it", "bold red"),
    Outcome.EXPLICIT_DENY: ("DENIED by a statement", "bold red"),
    Outcome.DEPENDS: ("DEPENDS on unknown keys", "bold yellow"),
}
_EFFECT_STYLES = {"Allow": "green", "Deny": "red"}
_REASONS = {
    "unknown_owner": "nothing tells who owns the resource",
    "unknown_endpoint": "the directory does not know the VPC endpoint",
    "unknown_principal": "the directory does not know the principal",
    "always_allowed": "no policy restricts this action",
    "hard_rule": "the service itself forbids the change",
    "anonymous": "the service takes no unsigned requests",
    "pass_role_account": "a role can only be passed within its own account",
    "partition": "principal and resource are in different partitions",
    "credential": "these credentials may not make this call",
    "public_access": "public access to the bucket is blocked",
}


def decision_lines(decision: Decision) -> Iterator[list[Piece]]:
    """The verdict, and what it rests on."""
    verdict, style = _VERDICTS[decision.outcome]
    yield [(verdict, style), (f"  layer {decision.layer}", "")]
    if decision.statement is not None:
        yield [("  ", ""), *_statement(decision.statement)]
    if decision.reason:
        yield [(f"  {_REASONS.get(decision.reason, decision.reason)}", "")]
    if decision.indeterminate:
        yield [("  decided by a test that could not be evaluated, on the safe side", "yellow")]
    if decision.depends_on:
        yield [(f"  it depends on {', '.join(decision.depends_on)}", "")]
    if decision.assumed_owner:
        yield [("  the owner of the resource is assumed to be the principal's account", "yellow")]
    if decision.owner_override:
        yield [("  the owner given is not the account in the ARN", "yellow")]


def explanation_lines(explanation: Explanation) -> Iterator[list[Piece]]:
    """The whole story, layer by layer."""
    yield from decision_lines(explanation.decision)
    yield []
    side = "the same account" if explanation.same_account else "another account"
    yield [(f"principal  {explanation.principal_kind}, account {explanation.principal_account or 'none'}", "")]
    yield [(f"resource   account {explanation.resource_account or 'unknown'}, {side}", "")]
    yield []
    for layer in Layer:
        yield from _layer(layer, explanation)
    yield from _missing(explanation)
    yield from _near_misses(explanation.near_misses)
    yield from _names("keys without a value", explanation.absent_keys)
    yield from _names("variables without a value", explanation.unresolved_variables)


def _layer(layer: Layer, explanation: Explanation) -> Iterator[list[Piece]]:
    """A layer that had a say: its results, level by level, and its statements."""
    results = [result for result in explanation.limits if result.layer is layer]
    matched = [one for one in explanation.statements if one.ref.layer is layer]
    if not results and not matched:
        return
    notes = ["bypassed"] if layer in explanation.bypassed else []
    notes += [_result(result) for result in results]
    yield [(f"{layer:<10} ", "bold"), ("; ".join(notes), "")]
    for one in matched:
        yield [("  ", ""), *_matched(one)]


def _result(result: LayerResult) -> str:
    where = f"level {result.level}: " if result.level is not None else ""
    why = f" ({result.reason})" if result.reason else ""
    return where + result.result.replace("_", " ") + why


def _matched(one: MatchedStatement) -> list[Piece]:
    effect = one.effect.value
    pieces: list[Piece] = [(f"{effect:<6}", _EFFECT_STYLES[effect]), *_statement(one.ref)]
    if one.match_classes:
        pieces.append((f", principal class {one.match_classes}", ""))
    if one.indeterminate:
        pieces.append((f", undetermined: {', '.join(one.reasons) or 'a test could not be evaluated'}", "yellow"))
    return pieces


def _statement(ref: StatementRef) -> list[Piece]:
    name = ref.sid or f"#{ref.index}"
    position = ref.position
    if position is None:
        return [(f"{name} of {ref.policy}", "")]
    policy = "" if position.source == ref.policy else f" of {ref.policy}"
    return [(f"{name}{policy}", ""), (f"  {position}", "dim")]


def _missing(explanation: Explanation) -> Iterator[list[Piece]]:
    if not explanation.missing:
        return
    yield [("it would take an allow in", "bold")]
    for number, layers in enumerate(explanation.missing):
        yield [("  " if number == 0 else "  or ", ""), (" and ".join(layers), "")]


def _near_misses(misses: Sequence[NearMiss]) -> Iterator[list[Piece]]:
    if misses:
        yield [("near misses", "bold")]
    for miss in misses:
        test = f"{miss.operator} {miss.key}" if miss.key else miss.element
        expected = ", ".join(miss.expected)
        actual = "no value" if miss.actual is None else ", ".join(miss.actual)
        yield [("  ", ""), *_statement(miss.ref)]
        yield [(f"      {test} wants {expected}, got {actual}", "")]


def _names(title: str, names: Sequence[str]) -> Iterator[list[Piece]]:
    if names:
        yield [(title, "bold"), (f"  {', '.join(names)}", "")]


def as_json(record: Decision | Explanation) -> str:
    """A record as JSON: fields by name, outcomes by name, a statement with its place."""
    return json.dumps(_plain(record), indent=2)


def _plain(value: Any) -> Any:
    if isinstance(value, Outcome):
        return value.name
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, StatementRef):
        position = value.position
        named = {field.name: _plain(getattr(value, field.name)) for field in fields(value) if field.name != "origin"}
        return named | {"position": None if position is None else str(position)}
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list, frozenset)):
        return [_plain(item) for item in value]
    return None if isinstance(value, Origin) else value
