"""Rows of a batch that cannot be read: `raise` names the first, `deny` says what is wrong with each and decides the others."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import fastiam
from fastiam import Outcome, Session
from fastiam.errors import RequestValueError
from fastiam.resolve.snapshot import Snapshot

A, B = "111111111111", "222222222222"
ANA, APP = f"arn:aws:iam::{A}:user/ana", f"arn:aws:iam::{A}:role/app"
OBJECT = "arn:aws:s3:::bucket/key"
OK, ERROR = Outcome.ALLOW, Outcome.ERROR
READ = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["s3:Get*", "sts:*"], "Resource": "*"}]}


@pytest.fixture(scope="module")
def engine():
    directory = fastiam.Directory()
    for name in (ANA, APP):
        directory.add_principal(name, identity_policies=[READ], tags={"team": "red"})
    directory.add_resource("arn:aws:s3:::bucket", account=A)
    return directory.compile()


BROKEN = {
    "an action with a wildcard": ({"actions": ["s3:GetObject", "s3:*"]}, "actions"),
    "no action": ({"actions": ["s3:GetObject", "s3"]}, "actions"),
    "no resource": ({"resources": [OBJECT, "bucket"]}, "resources"),
    "no principal": ({"principals": [ANA, "arn:aws:iam::1:user/x"]}, "principals"),
    "a null principal": ({"principals": [ANA, None]}, "principals"),
    "an owner that is not an account": ({"resource_accounts": [None, "12"]}, "resource_accounts"),
    "an owner that contradicts": ({"resource_accounts": [None, B]}, "resource_accounts"),
    "a context that contradicts": ({"context": {"aws:username": [None, "bo"]}}, "aws:username"),
    "two values of a single-valued key": ({"context": {"aws:UserAgent": [None, ["a", "b"]]}}, "aws:UserAgent"),
}


CODES = {f"{name}s": f"bad_{name}" for name in ("principal", "action", "resource")} | {"resource_accounts": "bad_owner"}


@pytest.mark.parametrize("forms", [list, pa.array], ids=["lists", "Arrow"])
@pytest.mark.parametrize(("broken", "column"), BROKEN.values(), ids=BROKEN)
def test_unreadable_row_raises_or_is_an_error_outcome(engine, broken, column, forms):
    """`raise` decides nothing and names row and column; `deny` decides the others."""
    arguments = {"principals": [ANA, ANA], "actions": ["s3:GetObject"] * 2, "resources": [OBJECT] * 2} | broken
    given = {name: forms(value) if isinstance(value, list) else value for name, value in arguments.items()}
    if "context" in given:
        given["context"] = {key: forms(value) for key, value in given["context"].items()} if forms is list else given["context"]
    with pytest.raises(RequestValueError) as caught:
        engine.decide_many(**given)
    assert (caught.value.row, caught.value.column) == (1, column)
    got = engine.decide_many(**given, on_error="deny", reasons=True)
    assert got.outcome.tolist() == [OK, ERROR] and got.allowed.tolist() == [True, False]
    assert list(got.errors) == [1] and str(got.errors[1]) == str(caught.value)
    assert (got[1].layer, got[1].statement, got[1].reason, got[1].error) == (None, None, None, got.errors[1].text)
    assert str(got.errors[1]).startswith(f"{got[1].error}, row 1") and got[1].error.endswith(f" - at `{column}`")
    assert got[1].error_code == got.error_code[1] == CODES.get(column, "bad_value") and got[0].error_code is None
    assert got.layer[1] is None and got.statement[1] is None
    summary = got.summary()
    assert summary.outcomes == {OK: 1, ERROR: 1} and summary.first_errors == (str(caught.value),)


def test_error_of_a_row_keeps_its_code(monkeypatch):
    """`error_code` is that of the error, not that of the column."""

    def refuse(*_: Any) -> None:
        raise RequestValueError("the directory is locked", column="principal", code="locked")

    directory = fastiam.Directory()
    directory.add_principal(ANA, identity_policies=[READ])
    engine, new = directory.compile(), f"arn:aws:iam::{B}:user/new"
    monkeypatch.setattr(Snapshot, "principal", refuse)
    rows = [(ANA, "s3:GetObject", OBJECT), (new, "s3:GetObject", OBJECT)]
    got = engine.decide_many(*([row[i] for row in rows] for i in range(3)), on_error="deny")
    assert list(got.error_code) == [None, "locked"] and got.errors[1].column == "principals"
    for ask in (
        engine.are_allowed,
        engine.decide_each,
        lambda rows: engine.decide_many(*([row[i] for row in rows] for i in range(3))),
    ):
        with pytest.raises(RequestValueError, match="locked") as caught:
            ask(rows)
        assert (caught.value.row, caught.value.code) == (1, "locked")


def test_the_first_broken_row_is_named(engine):
    n = 70_000
    actions = np.array(["s3:GetObject"] * n, dtype=object)
    actions[[69_000, 66_000, 69_999]] = "broken"
    with pytest.raises(RequestValueError) as caught:
        engine.decide_many(ANA, actions, OBJECT)
    assert caught.value.row == 66_000
    got = engine.decide_many(ANA, actions, OBJECT, on_error="deny", threads=2)
    assert sorted(got.errors) == [66_000, 69_000, 69_999] == np.flatnonzero(got.outcome == ERROR).tolist()
    assert [error.row for _, error in sorted(got.errors.items())] == [66_000, 69_000, 69_999]


SESSION = Session(f"arn:aws:sts::{A}:assumed-role/app/run", kind="ROLE", issuer=APP, tags={"cost": "7"})
GOOD: dict[str, Any] = {"principals": ANA, "actions": "s3:GetObject", "resources": OBJECT} | dict.fromkeys(
    ["resource_accounts", "aws:PrincipalAccount", "aws:PrincipalTag/team", "aws:ResourceAccount", "aws:MultiFactorAuthPresent"]
)
FAULTS: list[dict[str, Any]] = [
    {"principals": None},
    {"principals": "arn:aws:iam::1:user/x"},
    {"principals": "www.example.com"},  # none: a service, or a provider (N3)
    {"principals": "broken"},
    {"actions": "s3:*"},
    {"actions": None},
    {"resources": "bucket"},
    {"resources": ""},
    {"aws:PrincipalAccount": B},
    {"aws:PrincipalTag/team": "blue"},
    {"principals": "run", "aws:PrincipalTag/team": "blue"},
    {"resource_accounts": "12"},
    {"resource_accounts": B},
    {"aws:ResourceAccount": B},  # contradicts what is known of one resource alone
    {"principals": "*", "aws:MultiFactorAuthPresent": "true", "aws:PrincipalAccount": None, "aws:PrincipalTag/team": None},
]
CHANCES: dict[str, list[Any]] = {  # what leaves a row as good as it is, or as bad
    "principals": [ANA, APP, "run"],
    "actions": ["s3:GetObject", "s3:GetObjectAcl", "sts:AssumeRoleWithWebIdentity"],
    "resources": [OBJECT, "arn:aws:s3:::bucket/other", "arn:aws:s3:::elsewhere/key"],
    "aws:PrincipalAccount": [A, None],
    "aws:PrincipalTag/team": ["red", None],
}


def test_errors_of_many_rows_are_reported_per_row(engine):
    """Each error equals that of a batch of its row; a row with two errors has one. Some rows share only the value."""
    rng, rows = random.Random(1), []
    for _ in range(600):
        chance = {name: rng.choice(values) for name, values in CHANCES.items() if rng.random() < 0.5}
        rows.append(GOOD | chance | (rng.choice(FAULTS) if rng.random() < 0.6 else {}))
    both = [GOOD | one | other for one in FAULTS for other in FAULTS if not one.keys() & other.keys()]
    sessions = {"run": SESSION, "broken": Session(f"arn:aws:iam::{A}:root", kind="ROLE")}

    def decide(some: list[dict[str, Any]]) -> fastiam.Decisions:
        columns = {name: [row[name] for row in some] for name in GOOD}
        parts = [columns.pop(name) for name in ("principals", "actions", "resources")]
        owners = pa.array(columns.pop("resource_accounts"), pa.string())
        context = {name: pa.array(values, pa.string()) for name, values in columns.items()}
        return engine.decide_many(*parts, context, resource_accounts=owners, sessions=sessions, on_error="deny")

    found, columns_seen = decide(rows + both), set()
    assert list(found.errors) == np.flatnonzero(found.outcome == ERROR).tolist()
    assert (found.outcome[len(rows) :] == [decide([row]).outcome[0] for row in both]).all()
    for i, row in enumerate(rows):
        alone = decide([row])
        assert found.outcome[i] == alone.outcome[0], row
        if found.outcome[i] == ERROR:
            error, other = found.errors[i], alone.errors[0]
            assert (error.message, error.column, error.hint, error.row) == (other.message, other.column, other.hint, i), row
            columns_seen.add(error.column)
    assert columns_seen == GOOD.keys()
    assert 200 < np.count_nonzero(found.outcome[: len(rows)] == ERROR) < 400


@pytest.mark.parametrize("key", ["aws:OriginIdentity/x", "aws:PrincipalTag/missing", "app:unused"])
def test_error_of_a_row_does_not_affect_others(key):
    """Both rows need a check of the key; the first row is an error for another reason (K1)."""
    table = f"arn:aws:dynamodb:eu-west-1:{A}:table/"
    directory = fastiam.Directory()
    directory.add_principal(ANA, identity_policies=[READ])
    directory.add_resource(table + "t", tags={"a": "b"})

    def decide(resources: list[str], names: list[str | None]) -> list[int]:
        values = {key: pa.array(["v"] * len(names)), "aws:username": pa.array(names)}
        found = directory.compile().decide_many(ANA, "s3:GetObject", resources, values, on_error="deny")
        return found.outcome.tolist()

    assert decide([table + "t", table + "u/index/z"], ["bo", None])[1:] == decide([table + "u/index/z"], [None])


def test_error_count_exceeds_the_stored_errors(engine):
    """In several chunks of rows, by several threads."""
    n = 140_000
    resources = [f"bucket{i % 9000}" if i % 7 == 0 else OBJECT for i in range(n)]
    found = engine.decide_many(ANA, "s3:GetObject", pa.array(resources), on_error="deny", threads=2)
    assert list(found.errors) == list(range(0, n, 7))
    assert all(error.message == f"`{resources[row]}` is not a resource" for row, error in found.errors.items())
    assert (found.outcome == OK).sum() == n - len(found.errors)


def test_errors_are_in_row_order(engine):
    """One row has invalid text, the others have an invalid action."""
    resources = pa.Array.from_buffers(
        pa.string(), 3, [None, pa.py_buffer(np.array([0, 1, 2, 3], np.int32)), pa.py_buffer(b"\xff**")]
    )
    found = engine.decide_many(ANA, ["s3:GetObject", "s3:*", "s3:*"], resources, on_error="deny")
    assert list(found.errors) == [0, 1, 2]


def test_contradicting_key_fails_only_its_row():
    """K1. The last row comes in another chunk, with an action that is new to the engine."""
    directory = fastiam.Directory()
    directory.add_principal(ANA, identity_policies=[READ])
    directory.add_resource("arn:aws:s3:::bucket", account=A)
    n = 1 << 16
    actions = ["s3:GetObject"] * n + ["s3:GetObjectAcl"]
    owners = pa.array([B, *[None] * (n - 1), B], pa.string())
    resources = [OBJECT] * n + ["arn:aws:s3:::elsewhere/key"]
    found = directory.compile().decide_many(ANA, actions, resources, {"aws:ResourceAccount": owners}, on_error="deny")
    assert list(found.errors) == [0] and (found.outcome[1:] == OK).all()
