"""Names of sessions, and the owner of `*`, in counterexamples: a request that is shown is one of the scope."""

from __future__ import annotations

from typing import Any

import pytest
from trap_world import ANA, BKT, DEP, A, allow, deny, grant, world

from fastiam.analysis.invariants.model import Invariant, InvariantOutcome
from fastiam.analysis.invariants.prove_invariant import prove_invariant

HOLDS, FAILS, UNDECIDED = InvariantOutcome.HOLDS, InvariantOutcome.FAILS, InvariantOutcome.UNDECIDED
SESSION = f"arn:aws:sts::{A}:assumed-role/Dep/"
OF_BOB = {"StringLike": {"aws:userid": "*:bob"}}


@pytest.mark.parametrize(
    ("quantifier", "principals", "dep", "expected"),
    [
        ("never", {"principals": f"{SESSION}alice"}, [allow("s3:*", when=OF_BOB)], {HOLDS}),
        ("never", {"principals": f"{SESSION}bob"}, [allow("s3:*", when=OF_BOB)], {FAILS}),
        ("never", {"principals": f"{SESSION}a*"}, [allow("s3:*", when=OF_BOB)], {HOLDS, UNDECIDED}),
        ("never", {"principals": DEP, "except": f"{SESSION}alice"}, [allow("s3:*", when=OF_BOB)], {FAILS}),
        ("never", {"principals": DEP, "except": f"{SESSION}b*"}, [allow("s3:*", when=OF_BOB)], {HOLDS, UNDECIDED}),
        ("sometimes", {"principals": f"{SESSION}alice"}, [allow("s3:*", when=OF_BOB)], {FAILS}),
        ("sometimes", {"principals": f"{SESSION}a*"}, [allow("s3:*", when=OF_BOB)], {FAILS, UNDECIDED}),
        ("always", {"principals": f"{SESSION}alice"}, [allow("s3:*"), deny("s3:*", when=OF_BOB)], {HOLDS}),
        ("always", {"principals": f"{SESSION}a*"}, [allow("s3:*"), deny("s3:*", when=OF_BOB)], {HOLDS, UNDECIDED}),
    ],
)
def test_a_session_of_another_name_decides_nothing(
    quantifier: str, principals: dict[str, Any], dep: list[Any], expected: set[InvariantOutcome]
) -> None:
    scope = {**principals, "actions": "s3:*", "resources": f"{BKT}/*"}
    result = prove_invariant(world(dep=dep), Invariant(**{quantifier: scope}))
    assert result.result in expected, (result.request, result.reason)


def test_no_other_account_owns_the_resource_without_an_arn() -> None:
    scope = {"principals": ANA, "actions": "iam:ListUsers", "given": {"Bool": {"aws:MultiFactorAuthPresent": "true"}}}
    result = prove_invariant(world(ana=[allow("*")]), Invariant(always=scope))
    assert result.result is HOLDS, (result.request, result.reason)


def test_keys_that_an_engine_derives_are_not_left_out_in_silence() -> None:
    """A service may call without `aws:SourceOrgID`; an engine adds it for an account of the organization."""
    on_behalf = [{"StringEquals": {"aws:SourceOrgID": "o-1"}}, {"Null": {"aws:SourceAccount": "true"}}]
    scope = {"principals": "service:sns.amazonaws.com", "actions": "sqs:SendMessage", "only_if": on_behalf}
    of_account = {"StringEquals": {"aws:SourceAccount": A}}
    engine = world(queue=[grant({"Service": "sns.amazonaws.com"}, "sqs:*", "*", of_account)])
    result = prove_invariant(engine, Invariant(never=scope))
    assert result.result is FAILS
    assert result.request is not None
    assert "aws:SourceOrgID" not in (result.request.context or {})
    assert result.note == "the engine derives the organization of `aws:SourceAccount`"
