"""Invariants of random small organizations, against the decisions of all requests of their universe."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from seeds import seeds
from small_worlds import RESOURCES, TEAM, Caller, SmallWorld

import fastiam
from fastiam.analysis.invariants.model import Invariant, InvariantOutcome, InvariantResult
from fastiam.analysis.invariants.prove import prove_invariant
from fastiam.analysis.proof.key_values import KeyTest
from fastiam.model.key_registry import fold
from fastiam.model.policy import PolicyKind
from fastiam.model.request import ContextValue, read_context
from fastiam.policy.document import read_policy
from fastiam.spec.three_valued import T

HOLDS, FAILS, UNDECIDED = InvariantOutcome.HOLDS, InvariantOutcome.FAILS, InvariantOutcome.UNDECIDED
Row = tuple[Caller, str, str, dict[str, Any]]


def rows_of(world: SmallWorld, callers: Any) -> list[Row]:
    return [
        (caller, action, arn, context)
        for caller in callers
        for context in world.contexts(caller)
        for action, arns in RESOURCES.items()
        for arn in arns
    ]


def allowed_rows(world: SmallWorld) -> list[Row]:
    """Return the requests of the universe that are allowed."""
    found = []
    for engine, callers in ((world.engine, world.callers()), (world.engine_with_strangers(), world.strangers())):
        rows = rows_of(world, callers)
        decisions = engine.decide_each([(one.principal, action, arn, context) for one, action, arn, context in rows])
        found += [row for row, decision in zip(rows, decisions, strict=True) if decision.allowed]
    return found


def is_true(block: dict[str, Any], caller: Caller, context: dict[str, Any], world: SmallWorld) -> bool:
    """Whether a block of conditions is true of a request, for keys that the request or a tag gives."""
    document = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": block}}
    entries = read_policy(document, PolicyKind.IDENTITY).statements[0].conditions
    keys = read_context(context)
    keys.setdefault("aws:securetransport", ContextValue(("false",)))
    keys.setdefault("aws:viaawsservice", ContextValue(("false",)))
    recorded = next((tags for arn, tags in world.tags.items() if arn in caller.names), {})
    tags = {**recorded, **(caller.principal.tags if isinstance(caller.principal, fastiam.Session) else {})}
    if "team" in tags and caller.kind in ("USER", "ROLE", "FED", "SLR"):
        keys[fold(TEAM)] = ContextValue((tags["team"],))
    return all(KeyTest(entry, True).check(keys.get(fold(entry.key))) is T for entry in entries)


def violates(scope: dict[str, Any], row: Row, world: SmallWorld) -> bool:
    caller, action, arn, context = row
    if not world.has_principal(scope["principals"], caller) or world.has_principal(scope.get("except"), caller):
        return False
    if action not in scope["actions"] or not world.has_resource(scope["resources"], arn, caller):
        return False
    if "given" in scope and not is_true(scope["given"], caller, context, world):
        return False
    return not ("only_if" in scope and is_true(scope["only_if"], caller, context, world))


def check_world(seed: int, counts: Counter[str]) -> None:
    world = SmallWorld(seed)
    allowed = allowed_rows(world)
    for _ in range(3):
        scope = world.invariant()
        try:
            result = prove_invariant(world.engine, Invariant(never=scope), timeout=None)
        except fastiam.RequestValueError as failed:
            raise AssertionError((seed, scope)) from failed
        against = [row for row in allowed if violates(scope, row, world)]
        counts[result.result.value] += 1
        counts["violated"] += bool(against)
        if result.result is HOLDS:
            assert not against, (seed, scope, against[0], world._steps)
        if result.result is FAILS:
            check_counterexample(world, scope, result)
            counts["unlisted"] += not against
        if result.result is UNDECIDED:
            counts["undecided violated"] += bool(against)


def check_counterexample(world: SmallWorld, scope: dict[str, Any], result: InvariantResult) -> None:
    request = result.request
    assert request is not None
    assert result.explanation is not None
    assert result.explanation.decision.allowed
    if not result.note:
        caller = request.session or request.principal
        decision = world.engine.decide(
            caller, request.action, request.resource, request.context, resource_account=request.resource_account, now=request.now
        )
        assert decision.allowed, (scope, request)


@pytest.mark.parametrize("first", [2 * number for number in seeds(50, 500)])
def test_no_request_contradicts_a_proof(first: int) -> None:
    counts: Counter[str] = Counter()
    for seed in range(first, first + 2):
        check_world(seed, counts)
    assert counts["holds"] + counts["fails"] >= 5, counts
