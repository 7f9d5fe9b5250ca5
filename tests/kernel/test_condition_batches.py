"""Several conditions of a statement, evaluated for many rows together, equal the specification evaluator for each row.

Statements have one to four conditions over columns of every kind: dictionaries, plain text, one with more values than truths are
kept of, lists, and keys that no column gives. Some rows have no value.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pyarrow as pa
import pytest
from seeds import seeds
from specification import decision

import fastiam
from fastiam import Outcome, StatementRef
from fastiam.model.request import Request, read_context
from fastiam.resolve.snapshot import Snapshot

ACCOUNT = "111111111111"
ROLES = [f"arn:aws:iam::{ACCOUNT}:role/r{i}" for i in range(12)]
MANY = 70_000  # values: more than truths are kept of
CONDITIONS: tuple[tuple[str, str, Any], ...] = (
    ("StringEquals", "app:stage", ["live", "test"]),
    ("StringNotEquals", "app:stage", "test"),
    ("StringEqualsIfExists", "app:stage", "live"),
    ("Bool", "aws:SecureTransport", "true"),
    ("IpAddress", "aws:SourceIp", ["10.0.0.0/8", "192.0.2.0/24"]),
    ("NotIpAddress", "aws:SourceIp", "10.1.0.0/16"),
    ("StringLike", "app:number", ["1*", "*7"]),
    ("NumericLessThan", "app:number", "40000"),
    ("Null", "app:label", "true"),
    ("ForAllValues:StringEquals", "app:labels", ["a", "b"]),
    ("ForAnyValue:StringEquals", "app:labels", "a"),
    ("Null", "app:labels", "true"),
    ("StringEquals", "aws:PrincipalTag/team", "red"),
    ("StringEquals", "app:team", "${aws:PrincipalTag/team}"),
    ("DateGreaterThan", "aws:CurrentTime", "2020-01-01T00:00:00Z"),
    ("NumericEquals", "app:odd", "7"),
)
TEXTS: dict[str, tuple[str | None, ...]] = {
    "app:stage": ("live", "test", "old", None),
    "aws:SecureTransport": ("true", "false", None),
    "aws:SourceIp": ("10.0.0.1", "10.1.2.3", "192.0.2.9", "203.0.113.5", None),
    "app:team": ("red", "blue", None),
    "app:odd": ("7", "seven", "7.0", None),  # a text that is not a number is undetermined (F3)
}
N = 3_000
NOW = 1_764_000_000
AT = datetime.fromtimestamp(NOW, UTC)


def statement(rng: random.Random, i: int) -> dict[str, Any]:
    condition: dict[str, dict[str, Any]] = {}
    for op, key, values in rng.sample(CONDITIONS, rng.choice((1, 2, 2, 3, 4))):
        condition.setdefault(op, {})[key] = values
    resource = rng.choice(("*", "arn:aws:s3:::data/*", f"arn:aws:s3:::data/{i % 5}/*", "arn:aws:s3:::*/x"))
    return {
        "Effect": "Deny" if rng.random() < 0.2 else "Allow",
        "Action": "s3:Get*",
        "Resource": resource,
        "Condition": condition,
    }


def columns(rng: random.Random) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {key: rng.choices(values, k=N) for key, values in TEXTS.items()}
    found["app:number"] = [str(rng.randrange(MANY)) if rng.random() < 0.9 else None for _ in range(N)]
    found["app:labels"] = [rng.choice((["a"], ["a", "b"], ["c"], [], None)) for _ in range(N)]
    return found


def session(role: str) -> fastiam.Session:
    """One that carries a key which a column of lists gives, too (5.3)."""
    arn = f"{role.replace(':iam:', ':sts:').replace(':role/', ':assumed-role/')}/s"
    return fastiam.Session(arn, kind="ROLE", issuer=role, context={"app:labels": ["a"]})


SESSIONS = {one.arn: one for one in map(session, ROLES[:4])}


def coded(rng: random.Random, key: str, values: list[Any]) -> Any:
    """A dictionary; of numbers one with all values that there are, in another order."""
    if key != "app:number":
        return pa.array(values).dictionary_encode()
    order = rng.sample(range(MANY), MANY)
    places = {str(number): place for place, number in enumerate(order)}
    codes = pa.array([None if value is None else places[value] for value in values], pa.int32())
    return pa.DictionaryArray.from_arrays(codes, pa.array(list(map(str, order))))


Answer = tuple[Outcome, StatementRef | None]


@cache
def decided_rows(seed: int) -> tuple[Snapshot, list[str], list[str], dict[str, list[Any]], list[Answer]]:
    """A snapshot, principals, resources and context of rows, and what the reference says of each: once for all forms."""
    rng = random.Random(seed)
    directory = fastiam.Directory(quotas=None)
    for i, role in enumerate(ROLES):
        document = {"Version": "2012-10-17", "Statement": [statement(rng, i) for _ in range(rng.choice((1, 2, 3, 6)))]}
        directory.add_principal(role, identity_policies=[document], tags={"team": rng.choice(("red", "blue"))})
    who = rng.choices([*ROLES, *SESSIONS], k=N)
    asked = [f"arn:aws:s3:::data/{rng.randrange(5)}/{rng.choice('xyz')}" for _ in range(N)]
    given = columns(rng)
    given["app:labels"] = [
        None if name in SESSIONS else labels for name, labels in zip(who, given["app:labels"], strict=True)
    ]  # K1
    snapshot, expected = directory.snapshot(), []
    for i in range(N):
        context = read_context({key: values[i] for key, values in given.items() if values[i] is not None})
        subject, target, endpoint = snapshot.profiles(SESSIONS.get(who[i], who[i]), "s3:GetObject", asked[i], context)
        request = Request("s3:GetObject", context, NOW)
        answer = decision(subject, target, request, endpoint=endpoint, sources=snapshot.account_facts)
        expected.append((answer.outcome, answer.statement))
    assert {outcome for outcome, _ in expected} == {Outcome.ALLOW, Outcome.IMPLICIT_DENY, Outcome.EXPLICIT_DENY}
    return snapshot, who, asked, given, expected


@pytest.mark.parametrize("form", ["coded", "plain", "views"])
@pytest.mark.parametrize("seed", seeds(1, 4))
def test_condition_batch_equals_single_calls(seed: int, form: str) -> None:
    """C1, F3, D51: outcome and statement are those of the reference, for new and for memoized truths."""
    snapshot, who, asked, given, expected = decided_rows(seed)
    rng = random.Random(seed)
    made: dict[str, Any] = {}
    for key, values in given.items():
        if key == "app:labels":
            made[key] = pa.array(values, pa.list_(pa.string()))
        elif form == "coded":
            made[key] = coded(rng, key, values)
        else:
            made[key] = pa.array(values, pa.string_view() if form == "views" else pa.string())
    engine = fastiam.Engine.from_snapshot(snapshot)
    for _ in range(3):  # plans are built, row by row; truths are new; truths are memoized
        plain = engine.decide_many(who, "s3:GetObject", asked, made, sessions=SESSIONS, now=AT)
    found = engine.decide_many(who, "s3:GetObject", asked, made, sessions=SESSIONS, now=AT, reasons=True)
    for i, (wanted, one) in enumerate(expected):
        assert (plain.outcome[i], found[i].outcome, found[i].statement) == (int(wanted), wanted, one), i


def test_statement_with_any_number_of_conditions_decides() -> None:
    """More conditions than a step queue counts; only quotas forbid that."""
    operators = {
        "StringEquals": "live",
        "StringLike": "l*",
        "StringEqualsIgnoreCase": "LIVE",
        "StringNotEquals": "x",
        "StringNotLike": "x*",
    }
    forms = [
        (quantor + name + end, value)
        for quantor in ("", "ForAnyValue:")
        for name, value in operators.items()
        for end in ("", "IfExists")
    ]
    keys = [f"app:k{i}" for i in range(65_700 // len(forms) + 1)]
    condition = {operator: dict.fromkeys(keys, value) for operator, value in forms}
    directory = fastiam.Directory(quotas=None)
    statement = {"Effect": "Allow", "Action": "s3:*", "Resource": "*", "Condition": condition}
    directory.add_principal(ROLES[0], identity_policies=[{"Version": "2012-10-17", "Statement": [statement]}])
    engine, live = directory.compile(), pa.array(["live"] * 600).dictionary_encode()
    dead = pa.array(["live"] * 599 + ["x"]).dictionary_encode()
    for _ in range(2):
        found = engine.decide_many(ROLES[0], "s3:GetObject", "*", dict.fromkeys(keys, live) | {keys[-1]: dead}).outcome
        assert (found == Outcome.ALLOW).tolist() == [True] * 599 + [False]
