"""Each template over random small organizations, against the decisions of all requests of their universe."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest
from invariant_scopes import ScopeTest
from seeds import seeds
from template_worlds import OWNERS_OF_BUCKETS, TemplateWorld
from test_small_worlds import check_counterexample

from fastiam.analysis.invariants.model import Invariant, InvariantOutcome
from fastiam.analysis.invariants.prove_invariant import prove_invariant
from fastiam.testing.templates import expanded, find_template, template_names, without_empty_blocks

HOLDS, FAILS = InvariantOutcome.HOLDS, InvariantOutcome.FAILS


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


@pytest.mark.parametrize("seed", seeds(15, 3_000))
def test_no_request_contradicts_a_template(seed: int) -> None:
    counts: Counter[str] = Counter()
    check_templates(seed, template_names()[seed % 15 :: 15], counts)
    assert counts
