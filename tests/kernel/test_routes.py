"""The routes by which rows of a batch and single calls are decided, which builds with checks count (`make debug`)."""

from __future__ import annotations

from collections import Counter

import pytest

import fastiam
from fastiam.kernel import testing

A, B = "111111111111", "222222222222"
ANA, ROOT, BEN = f"arn:aws:iam::{A}:user/ana", f"arn:aws:iam::{A}:root", f"arn:aws:iam::{A}:user/ben"
QUEUE = f"arn:aws:sqs:eu-west-1:{A}:q"
KEYED = {"Effect": "Deny", "Action": "sqs:Purge*", "Resource": "*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}
ROWS = ["flags", "own", "layers", "near", "far", "together", "alone"]

pytestmark = pytest.mark.skipif(not testing.has_checks(), reason="a build without checks counts no routes")


def allow(resource: str, **more: object) -> dict[str, object]:
    return {"Effect": "Allow", "Action": "sqs:*", "Resource": resource, **more}


def policy(*statements: dict[str, object]) -> dict[str, object]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


@pytest.fixture
def engine() -> fastiam.Engine:
    directory = fastiam.Directory(quotas=None)
    directory.add_principal(ANA, identity_policies=[policy(allow("*"), KEYED)])
    directory.add_principal(BEN, identity_policies=[policy(allow(f"{QUEUE}*"))])
    directory.add_resource(QUEUE, account=A, policy=policy(allow("*", Principal={"AWS": f"arn:aws:iam::{B}:root"})))
    return directory.compile()


def taken(call: object, *arguments: object) -> Counter[str]:
    """How many rows and calls took each route meanwhile."""
    before = Counter(testing.routes())
    call(*arguments)  # type: ignore[operator]
    return Counter(testing.routes()) - before


def test_each_row_of_a_batch_is_counted_under_one_route(engine: fastiam.Engine) -> None:
    rows = [(who, arn) for who in (ANA, BEN, ROOT, f"arn:aws:iam::{B}:user/x") for arn in (QUEUE, f"{QUEUE}2", "*")] * 100
    columns = [who for who, _ in rows], "sqs:Send", [arn for _, arn in rows]
    for _ in range(3):
        found = taken(engine.decide_many, *columns)
        assert sum(found[name] for name in ROWS) == len(rows) == sum(found.values())
    assert not found["together"] + found["alone"]  # nothing is missing any more


@pytest.mark.parametrize(
    ("who", "action", "arn", "route"),
    [
        (BEN, "sqs:Send", f"{QUEUE}2", "own"),
        (ANA, "sqs:Send", f"{QUEUE}2", "flags"),
        (ANA, "sqs:Purge", f"{QUEUE}2", "own"),
        (BEN, "sqs:Send", f"arn:aws:sqs:eu-west-1:{B}:q", "layers"),
        (ROOT, "sqs:Send", f"{QUEUE}2", "far"),
    ],
)
def test_row_takes_the_route_of_its_plan(engine: fastiam.Engine, who: str, action: str, arn: str, route: str) -> None:
    for _ in range(2):
        found = taken(engine.decide_many, [who] * 10, action, [arn] * 10)
    assert found == {route: 10}


@pytest.mark.parametrize(
    ("who", "arn", "ending"),
    [(BEN, f"{QUEUE}2", "call_own"), (BEN, QUEUE, "call_decide"), (ROOT, f"{QUEUE}2", "call_decide")],
)
def test_single_call_ends_as_its_request_demands(engine: fastiam.Engine, who: str, arn: str, ending: str) -> None:
    for _ in range(3):  # the plan is new, then what was entered
        assert sum(taken(engine.decide, who, "sqs:Send", arn).values()) == 1
    for call in (engine.decide, engine.is_allowed):
        assert taken(call, who, "sqs:Send", arn) == {ending: 1}
