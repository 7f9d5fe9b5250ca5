"""What users hold travels between processes: engines, directories, sessions, decisions, batches and errors pickle.

What comes out of a pickle answers as what went in, whatever the engine had cached by then.
"""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context

import numpy as np
import pyarrow as pa
import pytest

import fastiam
from fastiam import Engine, Outcome, PrincipalKind, Session, Settings
from fastiam.errors import (
    DirectoryError,
    Finding,
    LimitError,
    PolicyError,
    RequestValueError,
    Severity,
    ShapeError,
    SourceError,
)

A = "111111111111"
ANA, APP = f"arn:aws:iam::{A}:user/ana", f"arn:aws:iam::{A}:role/app"
NOW = datetime(2030, 1, 1, tzinfo=UTC)
PROTOCOLS = range(2, pickle.HIGHEST_PROTOCOL + 1)


def document(*statements):
    return {"Version": "2012-10-17", "Statement": list(statements)}


READ = {"Sid": "Read", "Effect": "Allow", "Action": "s3:Get*", "Resource": "arn:aws:s3:::b/*"}
STAGE = {"Effect": "Deny", "Action": "s3:GetX", "Resource": "*", "Condition": {"StringNotEquals": {"app:stage": "live"}}}
SESSION = Session(
    f"arn:aws:sts::{A}:assumed-role/app/run",
    kind=PrincipalKind.ROLE,
    issuer=APP,
    policies=[document(READ)],
    tags={"team": "red"},
    transitive_tags=("team",),
    issued_at=NOW,
    source_identity="ana",
    context={"saml:sub": "x"},
)


def make_directory():
    directory = fastiam.Directory(mode="lenient")
    directory.add_principal(ANA, identity_policies=[("Work", document(READ, STAGE))], tags={"team": "red"})
    directory.add_principal(APP, identity_policies=[("Work", document(READ))])
    directory.add_resource("arn:aws:s3:::b", account=A)
    directory.set_scps(A, [[document({"Effect": "Allow", "Action": "*", "Resource": "*"})]])
    return directory


REQUESTS = [
    (who, action, target, context)
    for who in (ANA, APP, SESSION, SESSION.arn, "*", f"arn:aws:iam::{A}:user/nobody")
    for action in ("s3:GetObject", "s3:GetX", "s3:PutObject")
    for target in ("arn:aws:s3:::b/k", "arn:aws:s3:::other/k")
    for context in ({}, {"app:stage": "live"})
]


def answers(engine):
    return [engine.decide(*request, now=NOW) for request in REQUESTS]


def copied(value, protocol=pickle.HIGHEST_PROTOCOL):
    return pickle.loads(pickle.dumps(value, protocol))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_unpickled_engine_decides_equally(protocol):
    engine = make_directory().compile()
    expected = answers(engine)
    assert {decision.outcome for decision in expected} == {Outcome.ALLOW, Outcome.IMPLICIT_DENY, Outcome.EXPLICIT_DENY}
    twin = copied(engine, protocol)
    assert answers(twin) == expected
    assert [twin.explain(*r, now=NOW).decision for r in REQUESTS] == expected
    assert 0 < twin.stats()["compiled_bytes"] <= engine.stats()["compiled_bytes"]


def test_pickled_engine_keeps_its_options():
    settings = Settings(resource_policy_services=frozenset({"sqs"}))
    engine = Engine.from_snapshot(
        make_directory().snapshot(),
        unknown_owner="deny",
        context_defaults={"app:stage": "live"},
        settings=settings,
        cache_bytes=12_345,
    )
    twin = copied(engine)
    assert twin.stats()["cache_limit"] == 12_345
    assert twin.decide(ANA, "s3:GetObject", "arn:aws:s3:::other/k").reason == "unknown_owner"
    assert twin.is_allowed(ANA, "s3:GetX", "arn:aws:s3:::b/k")
    queue = f"arn:aws:sqs:eu-west-1:{A}:q"
    assert twin.decide(ANA, "sqs:SendMessage", queue) == engine.decide(ANA, "sqs:SendMessage", queue)
    assert twin.decide(ANA, "sqs:SendMessage", queue).layer == "resource"
    assert answers(twin) == answers(engine)


def test_pickled_engine_excludes_its_cache():
    engine = make_directory().compile()
    small = len(pickle.dumps(engine))
    engine.decide_many(ANA, [f"s3:Get{i}" for i in range(5_000)], "*")
    assert len(pickle.dumps(engine)) <= small + 100


def test_copied_engine_decides_equally():
    engine = make_directory().compile()
    assert answers(copy.copy(engine)) == answers(copy.deepcopy(engine)) == answers(engine)


def test_unpickled_directory_accepts_writes():
    directory = make_directory()
    twin = copied(directory)
    assert (twin.mode, twin.findings, repr(twin)) == (directory.mode, directory.findings, repr(directory))
    assert twin.to_json() == directory.to_json()
    assert answers(twin.compile()) == answers(directory.compile())
    twin.put_inline_policy(ANA, "More", document({"Effect": "Allow", "Action": "s3:Put*", "Resource": "*"}))
    assert twin.compile().is_allowed(ANA, "s3:PutObject", "arn:aws:s3:::b/k")
    assert not directory.compile().is_allowed(ANA, "s3:PutObject", "arn:aws:s3:::b/k")
    snapshot = copied(directory.snapshot())
    assert answers(Engine.from_snapshot(snapshot)) == answers(directory.compile())


def test_unpickled_results_and_sessions_are_equal():
    engine = make_directory().compile()
    for request, decision in zip(REQUESTS, answers(engine), strict=True):
        assert copied(decision) == decision
        explanation = copied(engine.explain(*request, now=NOW))
        assert (explanation.decision, explanation.statements, explanation.near_misses) == (
            decision,
            (whole := engine.explain(*request, now=NOW)).statements,
            whole.near_misses,
        )
    assert copied(SESSION) == SESSION
    assert answers(engine) == [engine.decide(copied(who), *rest, now=NOW) for who, *rest in REQUESTS]
    for outcome in Outcome:
        assert copied(outcome) is outcome


@pytest.mark.parametrize("reasons", [False, True])
def test_unpickled_batch_results_are_equal(reasons):
    engine = make_directory().compile()
    columns = [ANA, ANA, "nobody", APP], ["s3:GetObject", "s3:GetX", "s3:GetObject", "s3:Get*"], "arn:aws:s3:::b/k"
    batch = engine.decide_many(*columns, on_error="deny", reasons=reasons)
    twin = copied(batch)
    assert np.array_equal(twin.outcome, batch.outcome) and list(twin) == list(batch)
    assert twin.summary() == batch.summary() and twin.missing_keys == batch.missing_keys == {"app:stage": 1}
    assert {row: str(error) for row, error in twin.errors.items()} == {row: str(error) for row, error in batch.errors.items()}
    assert pa.table(twin).equals(pa.table(batch))
    with pytest.raises(ValueError, match="read-only"):
        twin.outcome[0] = 1


FINDING = Finding(
    "V24", Severity.ERROR, "`x` is not an action", "policy.json", "$.Statement[0].Action", 3, 7, hint="write `s3:Get`"
)
ERRORS = [
    PolicyError([FINDING, FINDING]),
    SourceError("is not an export", source="a.json", path="$.x", line=2, column=3, hint="look"),
    DirectoryError("the name is taken", rule="S1", hint="take another"),
    RequestValueError("is not an action", column="actions", row=7, hint="write `s3:Get`"),
    ShapeError("columns differ in length: `a` has 1 rows, `b` has 2 rows"),
    LimitError("a table is full"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_pickled_error_keeps_its_attributes(error, protocol):
    twin = copied(error, protocol)
    assert type(twin) is type(error) and str(twin) == str(error) and vars(twin) == vars(error)


def ask_elsewhere(engine):
    return answers(engine)


def test_an_engine_works_in_another_process():
    engine = make_directory().compile()
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert pool.submit(ask_elsewhere, engine).result(timeout=120) == answers(engine)


def test_engine_unpickles_in_a_process_without_imports(tmp_path):
    engine = make_directory().compile()
    path = tmp_path / "engine.pickle"
    path.write_bytes(pickle.dumps(engine))
    load = f"import pickle, pathlib; engine = pickle.loads(pathlib.Path({str(path)!r}).read_bytes())"
    code = f"{load}; print(engine.is_allowed({ANA!r}, 's3:GetObject', 'arn:aws:s3:::b/k'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "True"
