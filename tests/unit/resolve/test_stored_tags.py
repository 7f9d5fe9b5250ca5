"""Tags that are stored about resources, and those that columns give: which counts, and what contradicts the other (K1)."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from seeds import seeds
from specification import explained_decision

from fastiam import Decisions, Directory, Engine, Outcome
from fastiam.errors import RequestValueError

A, B = "111111111111", "222222222222"
CALLERS = [f"arn:aws:iam::{A}:role/own", f"arn:aws:iam::{B}:role/other", f"arn:aws:iam::{A}:user/ana"]
TABLE = f"arn:aws:dynamodb:eu-west-1:{A}:table/"
STORED = {
    "arn:aws:s3:::tagged": {"x": "1"},
    "arn:aws:s3:::bare": {},
    f"{TABLE}one": {"x": "1", "y": "a"},
    f"{TABLE}two": {"x": "2"},
}
RESOURCES = [
    "arn:aws:s3:::tagged",
    "arn:aws:s3:::tagged/k",  # the tags of its bucket are not its own
    "arn:aws:s3:::tagged/deep/k",
    "arn:aws:s3:::bare",
    "arn:aws:s3:::bare/k",
    "arn:aws:s3:::unknown/k",
    f"{TABLE}one",
    f"{TABLE}two",
    f"{TABLE}three",
    "*",
]
TAGS = {"aws:ResourceTag/x": ["1", "2", None], "aws:ResourceTag/y": ["a", None, None], "aws:PrincipalTag/x": ["1", None, None]}
ENTRIES: list[dict[str, dict[str, Any]]] = [
    {"StringEquals": {"aws:ResourceTag/x": "1"}},
    {"StringNotEquals": {"aws:ResourceTag/x": "1"}},
    {"StringEqualsIfExists": {"aws:ResourceTag/y": "a"}},
    {"StringLike": {"aws:ResourceTag/y": ["b", "a*"]}},
    {"Null": {"aws:ResourceTag/x": "true"}},
    {"Null": {"aws:ResourceTag/y": "false"}},
    {"StringEquals": {"aws:ResourceTag/x": "${aws:PrincipalTag/x}"}},
]


def statement(rng: random.Random, **more: Any) -> dict[str, Any]:
    resource = rng.choice(["*", "*", "arn:aws:s3:::*", f"{TABLE}*", "arn:aws:s3:::tagged/*"])
    condition = {"Condition": rng.choice(ENTRIES)} if rng.random() < 0.8 else {}
    return {"Effect": rng.choice(["Allow", "Allow", "Deny"]), "Action": "*", "Resource": resource, **condition, **more}


def policy(rng: random.Random, n: int, **more: Any) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [statement(rng, **more) for _ in range(n)]}


def an_engine(rng: random.Random) -> Engine:
    directory = Directory(quotas=None)
    for caller in CALLERS:
        tags = {"x": rng.choice("12")} if rng.random() < 0.6 else {}
        directory.add_principal(caller, identity_policies=[policy(rng, rng.randrange(1, 7))], tags=tags)
    for arn, tags in STORED.items():
        own = policy(rng, rng.randrange(1, 4), Principal=rng.choice(["*", {"AWS": [A, B]}])) if rng.random() < 0.5 else None
        directory.add_resource(arn, account=A, tags=tags, policy=own)
    return directory.compile()


def as_texts(values: list[Any]) -> Any:
    return pa.array(values, pa.string())


def as_dictionary(values: list[Any]) -> Any:
    return as_texts(values).dictionary_encode()


@pytest.mark.parametrize("form", [as_texts, as_dictionary])
@pytest.mark.parametrize("seed", seeds(5, 10))
def test_tags_of_columns_and_resources_agree_with_the_spec(seed: int, form: Any) -> None:
    rng = random.Random(seed)
    engine = an_engine(rng)
    keys = rng.sample(sorted(TAGS), rng.randrange(1, 4))
    kinds = [(who, arn, {key: rng.choice(TAGS[key]) for key in keys}) for who in CALLERS for arn in RESOURCES for _ in range(6)]

    def expected(who: str, arn: str, given: dict[str, Any]) -> int:
        try:
            return int(explained_decision(engine, who, f"{'s3' if arn == '*' else arn.split(':')[2]}:Do", arn, given).outcome)
        except RequestValueError:
            return int(Outcome.ERROR)

    outcomes = np.array([expected(*kind) for kind in kinds])
    picked = np.array([rng.randrange(len(kinds)) for _ in range(3_000)])
    rows = [kinds[i] for i in picked]

    def decide(**more: Any) -> Decisions:
        actions = [f"{'s3' if arn == '*' else arn.split(':')[2]}:Do" for _, arn, _ in rows]
        columns = (form([row[0] for row in rows]), form(actions), form([row[1] for row in rows]))
        context = {key: form([given[key] for *_, given in rows]) for key in keys}
        return engine.decide_many(*columns, context, on_error="deny", **more)

    for _ in range(3):
        assert np.array_equal(decide().outcome, outcomes[picked])
    assert np.array_equal(decide(reasons=True).outcome, outcomes[picked])


def test_objects_of_a_tagged_bucket_have_none_of_its_tags() -> None:
    """A given tag does not contradict it, and a condition on one that is stored does not hold."""
    directory = Directory(quotas=None)
    own = {"Effect": "Allow", "Action": "s3:*", "Resource": "*", "Condition": {"StringEquals": {"aws:ResourceTag/x": "1"}}}
    directory.add_principal(CALLERS[0], identity_policies=[{"Version": "2012-10-17", "Statement": [own]}])
    directory.add_resource("arn:aws:s3:::tagged", account=A, tags={"x": "1"})
    engine = directory.compile()
    arns = ["arn:aws:s3:::tagged", "arn:aws:s3:::tagged/k"] * 600
    without = engine.decide_many(as_dictionary([CALLERS[0]] * 1200), as_dictionary(["s3:Do"] * 1200), as_dictionary(arns))
    assert without.allowed.tolist() == [True, False] * 600
    tags = ["2", "2", "1", "1", None, None] * 200
    given = engine.decide_many(
        as_dictionary([CALLERS[0]] * 1200),
        as_dictionary(["s3:Do"] * 1200),
        as_dictionary(arns),
        {"aws:ResourceTag/x": as_dictionary(tags)},
        on_error="deny",
    )
    error, allow, deny = int(Outcome.ERROR), int(Outcome.ALLOW), int(Outcome.IMPLICIT_DENY)
    assert given.outcome.tolist() == [error, deny, allow, allow, allow, deny] * 200
