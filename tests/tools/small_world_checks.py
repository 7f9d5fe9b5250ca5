"""Checks of proofs of invariants over small organizations: against the decisions of all requests of their universe."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from typing import Any

from invariant_scopes import ScopeTest
from seeds import few_or_all
from small_worlds import RESOURCES, TEAM, Caller, SmallWorld
from template_worlds import OWNERS_OF_BUCKETS, TemplateWorld

import fastiam
from fastiam.analysis.invariants.model import Invariant, InvariantOutcome, InvariantResult
from fastiam.analysis.invariants.prove_invariant import prove_invariant
from fastiam.analysis.proof.key_values import KeyTest
from fastiam.model.key_registry import fold
from fastiam.model.policy import ConditionEntry, PolicyKind
from fastiam.model.request import ContextValue, read_context
from fastiam.policy.document import read_policy
from fastiam.spec.three_valued import T
from fastiam.testing.templates import expanded, find_template, without_empty_blocks

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


def decided_rows(world: SmallWorld) -> list[tuple[Row, bool]]:
    """Return the requests of the universe, and whether each is allowed."""
    found: list[tuple[Row, bool]] = []
    for engine, callers in ((world.engine, world.callers()), (world.engine_with_strangers(), world.strangers())):
        rows = rows_of(world, callers)
        decisions = engine.decide_each([(one.principal, action, arn, context) for one, action, arn, context in rows])
        found += [(row, decision.allowed) for row, decision in zip(rows, decisions, strict=True)]
    return found


def allowed_rows(world: SmallWorld) -> list[Row]:
    """Return the requests of the universe that are allowed."""
    return [row for row, allowed in decided_rows(world) if allowed]


@lru_cache(maxsize=4096)
def _entries(block: str) -> tuple[ConditionEntry, ...]:
    statement = {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": json.loads(block)}
    return read_policy({"Version": "2012-10-17", "Statement": statement}, PolicyKind.IDENTITY).statements[0].conditions


def is_true(block: dict[str, Any], caller: Caller, context: dict[str, Any], world: SmallWorld) -> bool:
    """Whether a block of conditions is true of a request, for keys that the request or a tag gives."""
    keys = read_context(context)
    keys.setdefault("aws:securetransport", ContextValue(("false",)))
    keys.setdefault("aws:viaawsservice", ContextValue(("false",)))
    recorded = next((tags for arn, tags in world.tags.items() if arn in caller.names), {})
    tags = {**recorded, **(caller.principal.tags if isinstance(caller.principal, fastiam.Session) else {})}
    if "team" in tags and caller.kind in ("USER", "ROLE", "FED", "SLR"):
        keys[fold(TEAM)] = ContextValue((tags["team"],))
    return all(KeyTest(entry, True).check(keys.get(fold(entry.key))) is T for entry in _entries(json.dumps(block)))


def violations(scope: dict[str, Any], rows: Iterable[Row], world: SmallWorld) -> list[Row]:
    """Return the requests of a scope for which no exception is true."""

    @cache
    def has_caller(number: int) -> bool:
        caller = callers[number]
        return world.has_principal(scope["principals"], caller) and not world.has_principal(scope.get("except"), caller)

    @cache
    def has_resource(number: int, arn: str) -> bool:
        return world.has_resource(scope["resources"], arn, callers[number])

    @cache
    def has_context(number: int, of_context: int) -> bool:
        caller, context = callers[number], contexts[of_context]
        if "given" in scope and not is_true(scope["given"], caller, context, world):
            return False
        return not ("only_if" in scope and is_true(scope["only_if"], caller, context, world))

    callers: dict[int, Caller] = {}
    contexts: dict[int, dict[str, Any]] = {}
    found = []
    for row in rows:
        caller, action, arn, context = row
        number, of_context = id(caller), id(context)  # of objects that many requests share
        callers[number], contexts[of_context] = caller, context
        if action in scope["actions"] and has_caller(number) and has_resource(number, arn) and has_context(number, of_context):
            found.append(row)
    return found


def check_world(seed: int, counts: Counter[str]) -> None:
    world = SmallWorld(seed)
    decided = decided_rows(world)
    allowed = [row for row, is_allowed in decided if is_allowed]
    for _ in range(3):
        scope = world.invariant()
        try:
            result = prove_invariant(world.engine, Invariant(never=scope), timeout=None)
        except fastiam.RequestValueError as failed:
            raise AssertionError((seed, scope)) from failed
        against = violations(scope, allowed, world)
        counts[result.result.value] += 1
        counts["violated"] += bool(against)
        if result.result is HOLDS:
            assert not against, (seed, scope, against[0], world._steps)
        if result.result is FAILS:
            check_counterexample(world, scope, result)
            counts["unlisted"] += not against
        if result.result is UNDECIDED:
            counts["undecided violated"] += bool(against)
    if few_or_all(0, 1) or seed % 4 == 0:
        check_other_quantifiers(seed, world, decided, counts)


def check_other_quantifiers(seed: int, world: SmallWorld, decided: list[tuple[Row, bool]], counts: Counter[str]) -> None:
    """Check `always` and `sometimes`, about all of a scope and about what is near one request."""
    rows = [row for row, _ in decided if row[0].kind != "FED"]
    # an engine with an endpoint denies the requests through all others (D40), which a proof takes as not restricted
    denied = [row for row, is_allowed in decided if not is_allowed and row[0].kind != "FED"]
    denied = [row for row in denied if not world.has_endpoint or row[3].get("aws:SourceVpce") != "vpce-9"]
    allowed = [row for row, is_allowed in decided if is_allowed and row[0].kind != "FED"]
    scopes = [world.invariant(), world.scope_near(world.random.choice(rows))]
    scopes += [world.scope_near(world.random.choice(allowed)) for _ in range(2) if allowed]
    for scope in scopes:
        scope.pop("only_if", None)
        always, sometimes = (
            prove_invariant(world.engine, Invariant(**{name: scope}), timeout=None) for name in ("always", "sometimes")
        )
        counts[f"always {always.result.value}"] += 1
        counts[f"sometimes {sometimes.result.value}"] += 1
        against = violations(scope, denied, world)
        if always.result is HOLDS and not always.vacuous:
            assert not against, (seed, "always", scope, against[0], world._steps)
        if always.result is FAILS:
            check_counterexample(world, scope, always, allowed=False)
            counts["always unlisted"] += not against
        shown = violations(scope, allowed, world)
        if sometimes.result is FAILS:
            assert not shown, (seed, "sometimes", scope, shown[0], world._steps)
        if sometimes.result is HOLDS:
            check_counterexample(world, scope, sometimes)


def check_counterexample(world: SmallWorld, scope: dict[str, Any], result: InvariantResult, *, allowed: bool = True) -> None:
    request = result.request
    assert request is not None
    assert result.explanation is not None
    assert result.explanation.decision.allowed is allowed
    if not result.note:
        caller = request.session or request.principal
        decision = world.engine.decide(
            caller, request.action, request.resource, request.context, resource_account=request.resource_account, now=request.now
        )
        assert decision.allowed is allowed, (scope, request)


def check_templates(seed: int, names: Sequence[str], counts: Counter[str]) -> None:
    world = TemplateWorld(seed)
    asked = [(action, arn) for action, arns in world.requests.items() for arn in arns]
    rows = [(one.principal, *call, context) for one in world.everyone() for context in world.contexts(one) for call in asked]
    decisions = world.engine_with_strangers().decide_each(rows)
    allowed = [row for row, decision in zip(rows, decisions, strict=True) if decision.allowed]
    for name in names:
        template = find_template(name)
        assert template is not None
        for content in template.invariants:
            made = expanded(content, world.parameters(name))
            quantifier = "never" if "never" in made else "sometimes"
            scope = without_empty_blocks(made[quantifier])
            result = prove_invariant(world.engine, Invariant(**{quantifier: scope}), timeout=None)
            in_scope = ScopeTest(scope, world.members, OWNERS_OF_BUCKETS)
            counts[f"{name} {result.result.value}"] += 1
            if result.result is (HOLDS if quantifier == "never" else FAILS):
                against = next((row for row in allowed if in_scope.has(row)), None)
                assert against is None, (seed, name, scope, against, world._steps)
            elif result.request is not None:
                check_counterexample(world, scope, result)
                request = result.request
                row = request.session or request.principal, request.action, request.resource, request.context
                if not result.note:
                    assert in_scope.has(row, request.resource_account), (seed, name, scope, request)
