"""The ARNs that a record governs in proofs: no more and no fewer than those at which its policy is in force."""

from __future__ import annotations

from typing import Any

import pytest
from filter_records import ENDS, OTHERS, RECORDS
from trap_world import A, B, M

import fastiam
from fastiam.analysis.invariants.model import Invariant, InvariantOutcome
from fastiam.analysis.invariants.places import Records
from fastiam.analysis.invariants.prove_invariant import prove_invariant
from fastiam.analysis.proof.cells import PatternAutomaton

SERVICE = {"Service": "delivery.amazonaws.com"}
AT = f"eu-west-1:{A}"
GROUP, ALL_GROUPS = f"arn:aws:logs:{AT}:log-group:g", f"arn:aws:logs:{AT}:*"
FUNCTION, DOMAIN = f"arn:aws:lambda:{AT}:function:f", f"arn:aws:codeartifact:{AT}:domain/dom"
INVOKE = "lambda:InvokeFunction"


def statement(effect: str, action: str, resource: str) -> dict[str, Any]:
    return {"Effect": effect, "Principal": SERVICE, "Action": action, "Resource": resource}


def engine_with(records: dict[str, dict[str, Any]]) -> fastiam.Engine:
    made = fastiam.Directory()
    made.set_organization("o-1", management_account=M, accounts={A: None})
    made.add_principal(f"arn:aws:iam::{A}:user/u", identity_policies=[])
    for arn, one in records.items():
        made.add_resource(arn, account=A, policy={"Version": "2012-10-17", "Statement": [one]})
    return made.compile()


@pytest.mark.parametrize(
    ("record", "action", "pattern", "below"),
    [
        (GROUP, "logs:PutLogEvents", f"{GROUP}:*", f"{GROUP}:log-stream:s"),
        (ALL_GROUPS, "logs:PutLogEvents", f"{GROUP}:*", f"{GROUP}:log-stream:s"),
        (ALL_GROUPS, "logs:PutLogEvents", f"{GROUP[:-1]}/aws/*:*", f"{GROUP[:-1]}/aws/x:log-stream:s"),
        (DOMAIN, "codeartifact:DescribePackage", f"arn:aws:codeartifact:{AT}:package/dom/*",
         f"arn:aws:codeartifact:{AT}:package/dom/repo/npm/ns/p"),
    ],
)  # fmt: skip
def test_a_grant_below_a_record_is_found(record: str, action: str, pattern: str, below: str) -> None:
    engine = engine_with({record: statement("Allow", action, pattern)})
    assert engine.decide(SERVICE["Service"], action, below).allowed
    result = prove_invariant(engine, Invariant(never={"principals": "services", "actions": action, "resources": f"account:{A}"}))
    assert result.result is InvariantOutcome.FAILS


def test_records_below_hide_no_other_resource() -> None:
    """Versions with policies of their own, with the names that a proof tries first."""
    versions = {f"{FUNCTION}:{name}": statement("Deny", INVOKE, "*") for name in ("", "x", "y", "z", "xx")}
    engine = engine_with({FUNCTION: statement("Allow", INVOKE, "*"), **versions})
    assert engine.decide(SERVICE["Service"], INVOKE, f"{FUNCTION}:k").allowed
    scope = {"principals": "services", "actions": INVOKE, "resources": f"{FUNCTION}:*"}
    assert prove_invariant(engine, Invariant(never=scope)).result is InvariantOutcome.FAILS


def test_an_object_of_another_owner_is_a_resource_of_its_own() -> None:
    made = fastiam.Directory()
    made.set_organization("o-1", management_account=M, accounts={A: None, B: None})
    user = f"arn:aws:iam::{B}:user/u"
    reads = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
    made.add_principal(user, identity_policies=[{"Version": "2012-10-17", "Statement": reads}])
    made.add_principal(f"arn:aws:iam::{A}:user/v", identity_policies=[])
    made.add_resource("arn:aws:s3:::bkt", account=A)
    made.add_resource("arn:aws:s3:::bkt/a", account=B)
    engine = made.compile()
    for resource, expected in (("arn:aws:s3:::bkt/*", InvariantOutcome.FAILS), ("arn:aws:s3:::bkt/b*", InvariantOutcome.HOLDS)):
        scope = {"principals": user, "actions": "s3:GetObject", "resources": resource}
        assert prove_invariant(engine, Invariant(never=scope)).result is expected
    assert engine.decide(user, "s3:GetObject", "arn:aws:s3:::bkt/a").allowed


def test_the_place_of_a_record_has_the_ARNs_that_it_governs() -> None:
    engine = engine_with({arn: statement("Allow", "*", "*") for arn in RECORDS})
    records = Records(engine.snapshot)
    for record in RECORDS:
        automaton = PatternAutomaton([records.place(record).patterns])
        for arn in (*OTHERS, *(f"{one}{end}" for one in RECORDS for end in ENDS)):
            assert bool(automaton.match(arn)) is (record in records.of(arn)), (record, arn)
