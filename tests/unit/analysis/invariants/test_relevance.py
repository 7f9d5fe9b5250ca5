"""Which statements and records a proof of an invariant leaves out: none that can match a resource of the scope."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from seeds import few_or_all
from trap_world import ANA, BKT, A, allow, grant, world

from fastiam.analysis.invariants.model import Invariant, InvariantOutcome
from fastiam.analysis.invariants.prove_invariant import prove_invariant
from fastiam.analysis.invariants.scope import InvariantScope
from fastiam.analysis.invariants.worlds import Relevance
from fastiam.model.policy import Effect, Statement
from fastiam.model.request import ContextValue
from fastiam.spec.resource_patterns import check_resources
from fastiam.spec.statement_keys import StatementKeys
from fastiam.spec.three_valued import F, T

FIELDS = ("s3", "s*", "*", "sqs", "iam", ""), ("", "*", "eu-west-1", "eu-*"), ("", "*", A, "1*1")
RESTS = (
    "b/a",
    "b/*",
    "*",
    "b",
    "b/${aws:username}",
    "${aws:username}/a",
    "${*}/a",
    "${",
    "b/${x}*",
    "?/a",
    "b/a:c",
    "role/*",
    "*/a",
)
NAMES = ("ana", "a", "b", "*", "b/a:c")
ARNS = [
    f"arn:aws:{service}:{region}:{account}:{rest}"
    for service in ("s3", "sqs", "iam")
    for region in ("", "eu-west-1")
    for account in ("", A)
    for rest in ("b/a", "b/ana", "b", "b/a:c", "a/a", "ana/a", "*/a", "role/a", "b/${aws:username}")
]


def pattern(draw: random.Random) -> str:
    """Return a pattern of resources, sometimes with fewer than six fields, or none at all."""
    if draw.random() < 0.1:
        return draw.choice(["*", "**", "b/a", "arn:*", "arn:aws:s3*", "arn:aws:s3", "arn:aws:s3:::b:${aws:username}"])
    text = ":".join(("arn", "aws", *map(draw.choice, FIELDS), draw.choice(RESTS)))
    n_fields = draw.choice([6, 6, 6, 5, 4, 3])
    return ":".join(text.split(":")[:n_fields]) + draw.choice(["", "", "*"]) * (n_fields < 6)


def matches(text: str, arn: str, variables: bool) -> bool:
    """Whether a pattern may match an ARN, for some value of its variables."""
    values = [ContextValue((name,)) for name in (NAMES if "${" in text else NAMES[:1])]
    found = (StatementKeys({"aws:username": one, "x": one}, (), T) for one in values)
    return any(check_resources((text,), False, arn, variables, keys) is not F for keys in found)


def test_statement_that_can_match_the_scope_is_relevant() -> None:
    draw = random.Random(1)
    n_relevant = n_others = 0
    for _ in range(few_or_all(800, 60_000)):
        texts = (pattern(draw), pattern(draw)) if draw.random() < 0.3 else (pattern(draw),)
        asked = draw.choice([arn.replace("b/a", "b/*") for arn in ARNS] + ARNS)
        scope = InvariantScope(Invariant(never={"principals": "everyone", "actions": "*", "resources": asked}), None)
        statement = Statement(0, None, draw.choice(list(Effect)), ("*",), resources=texts)
        is_relevant = Relevance(scope.actions, scope.resources)(statement)
        n_relevant, n_others = n_relevant + is_relevant, n_others + (not is_relevant)
        if is_relevant:
            continue
        of_scope = [arn for arn in ARNS if check_resources((asked,), False, arn, False, StatementKeys({}, (), T)) is T]
        asked_about = [(text, arn, variables) for arn in of_scope for text in texts for variables in (True, False)]
        wrong = [one for one in asked_about if matches(*one)]
        assert not wrong, (asked, wrong[0])
        assert Relevance(scope.actions, scope.resources)(replace(statement, not_resource=True))
    assert n_relevant > 100
    assert n_others > 100


@pytest.mark.parametrize(
    ("policies", "resources", "expected"),
    [
        ({"ana": [allow("s3:*", "arn:aws:s3:::b*/a")]}, f"{BKT}/a", InvariantOutcome.FAILS),
        ({"ana": [allow("s3:*", "arn:aws:s3:::b*")]}, f"{BKT}/a", InvariantOutcome.FAILS),
        ({"ana": [allow("s3:*", "arn:aws:s3:::other/*")]}, f"{BKT}/a", InvariantOutcome.HOLDS),
        ({"ana": [allow("s3:*", "arn:aws:s3:::other/*")]}, [f"{BKT}/a", "known"], InvariantOutcome.FAILS),
        ({"ana": [allow("s3:*", "arn:aws:s3:::other/*")]}, {"all": ["known", f"{BKT}/a"]}, InvariantOutcome.HOLDS),
        ({"ana": [allow("s3:*", f"{BKT}/${{aws:username}}")]}, f"{BKT}/ana", InvariantOutcome.FAILS),
        (
            {"bucket": [grant({"AWS": A}, "s3:*", [BKT, f"{BKT}/*"])], "ana": [allow("s3:*", BKT)]},
            f"{BKT}/a",
            InvariantOutcome.HOLDS,
        ),
        ({"bucket": [grant({"AWS": ANA}, "s3:*", f"{BKT}/*")]}, f"{BKT}/a*", InvariantOutcome.FAILS),
    ],
)
def test_scope_of_some_resources_reads_what_reaches_them(
    policies: dict[str, Any], resources: Any, expected: InvariantOutcome
) -> None:
    scope = {"principals": ANA, "actions": "s3:GetObject", "resources": resources}
    result = prove_invariant(world(**policies), Invariant(never=scope))
    assert result.result is expected, (result.request, result.reason)
