"""The run-time cache next to the tables is bounded: adversarial requests leave memory constant and decisions right.

Distinct requests to an engine with a small cache, which is dropped many times.
`bench/adversarial.py` does the same with ten million and the default cache.
"""

from __future__ import annotations

import gc
import json
import resource
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from surroundings import skip_where_sanitized

import fastiam
from fastiam import Engine, Outcome, Session
from fastiam.compile.memory_estimates import ENTRY_BYTES

ACCOUNT = "111111111111"
APP = f"arn:aws:iam::{ACCOUNT}:role/app"
QUEUE = f"arn:aws:sqs:eu-west-1:{ACCOUNT}:q"
NOW = datetime(2030, 1, 1, tzinfo=UTC)
CACHE = 1 << 20
OK, NO, DENY = Outcome.ALLOW, Outcome.IMPLICIT_DENY, Outcome.EXPLICIT_DENY


def document(*statements):
    return {"Version": "2012-10-17", "Statement": list(statements)}


POLICY = document(
    {"Effect": "Allow", "Action": ["s3:Get*", "sqs:Send*", "sns:*"], "Resource": "*"},
    {"Effect": "Deny", "Action": "s3:GetSecret*", "Resource": "*"},
    {"Effect": "Deny", "Action": "sns:*", "Resource": "*", "Condition": {"ForAnyValue:StringLike": {"aws:TagKeys": "*7"}}},
)


@pytest.fixture(scope="module")
def snapshot():
    directory = fastiam.Directory()
    directory.add_principal(APP, identity_policies=[("Work", POLICY)])
    directory.add_resource("arn:aws:s3:::b", account=ACCOUNT, tags={"env": "a"})
    directory.add_resource(QUEUE)
    return directory.snapshot()


@pytest.fixture
def engine(snapshot):
    return Engine.from_snapshot(snapshot, cache_bytes=CACHE)


def resident() -> int:
    """Bytes of memory that the process holds."""
    skip_where_sanitized()
    if not Path("/proc/self/statm").exists():
        pytest.skip("no /proc/self/statm here")
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def action_of(i: int) -> tuple[str, Outcome]:
    """An action that never comes again, and its outcome."""
    return (
        (f"s3:GetObject{i}", OK),
        (f"s3:GetSecret{i}", DENY),
        (f"s3:Put{i}", NO),
        (f"sqs:SendX{i}", OK),
        (f"made{i}:Up", NO),
    )[i % 5]


def principal_of(i: int) -> str:
    return f"arn:aws:sts::{ACCOUNT}:assumed-role/app/s{i}"


def resource_of(i: int) -> str:
    return f"arn:aws:s3:::b/{i}" if i % 2 else f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:f{i}"


def assert_memory_is_bounded(ask, n: int, *, growth: int) -> None:
    """Ask for rows 0 to n; after a third, memory may not grow by more than `growth` bytes, a fraction of what was asked."""
    ask(range(n // 3))
    before = resident()
    ask(range(n // 3, n))
    assert resident() - before < growth


def test_distinct_single_requests_use_bounded_memory(engine):
    def ask(rows):
        for i in rows:
            action, outcome = action_of(i)
            assert engine.is_allowed(principal_of(i), action, resource_of(i), now=NOW) is (outcome is OK)

    assert_memory_is_bounded(ask, 60_000, growth=12 << 20)
    stats = engine.stats()
    assert stats["generation"] > 5 and stats["bytes"] <= stats["compiled_bytes"] + 2 * CACHE


def test_distinct_batch_requests_use_bounded_memory(engine):
    def ask(rows):
        for first in range(rows[0], rows[-1] + 1, 20_000):
            part = range(first, min(first + 20_000, rows[-1] + 1))
            actions, outcomes = zip(*map(action_of, part), strict=True)
            got = engine.decide_many(
                list(map(principal_of, part)), list(actions), list(map(resource_of, part)), now=NOW, reasons=True
            )
            assert np.array_equal(got.outcome, np.array(outcomes, np.uint8))

    assert_memory_is_bounded(ask, 120_000, growth=24 << 20)
    assert engine.stats()["generation"] > 5


def test_unused_context_keys_use_bounded_memory(engine):
    """A request tag counts as a tag key whatever its name, so that every name must be known while it is asked about."""

    def ask(rows):
        for i in rows:
            decision = engine.decide(APP, "sns:Publish", "*", {f"aws:RequestTag/t{i}": "v", f"made:up{i}": "v"}, now=NOW)
            assert decision.outcome is (DENY if i % 10 == 7 else OK)

    assert_memory_is_bounded(ask, 60_000, growth=6 << 20)
    assert engine.stats()["generation"] > 5


def test_distinct_sessions_use_bounded_memory(engine):
    """Sessions with policies: the text of a policy is kept while the session is, and dropped with it."""

    def session(i):
        narrow = document({"Sid": f"P{i}", "Effect": "Allow", "Action": "s3:*", "Resource": f"arn:aws:s3:::b/{i}/*"})
        return Session(principal_of(i), kind="ROLE", issuer=APP, policies=[narrow])

    def ask(rows):
        for i in rows:
            caller = session(i)
            assert engine.is_allowed(caller, "s3:GetObject", f"arn:aws:s3:::b/{i}/x", now=NOW) is True
            assert engine.is_allowed(caller, "s3:GetObject", f"arn:aws:s3:::b/{i + 1}/x", now=NOW) is False

    assert_memory_is_bounded(ask, 6_000, growth=12 << 20)
    assert engine.stats()["generation"] > 1


def narrow_document(i, n=1):
    return document(
        {"Sid": f"P{i}", "Effect": "Allow", "Action": "s3:*", "Resource": [f"arn:aws:s3:::b/{i}/{k}/*" for k in range(n)]},
        {"Effect": "Deny", "Action": "s3:Put*", "Resource": "*", "Condition": {"StringNotEquals": {"aws:username": f"u{i}"}}},
    )


DOCUMENTS = {
    "mappings": lambda i: [narrow_document(i)],
    "texts": lambda i: [json.dumps(narrow_document(i))],
    "long ones": lambda i: [narrow_document(i, 40)],
    "several": lambda i: [narrow_document(i), narrow_document(10**6 + i)],
}


@pytest.mark.parametrize("documents", DOCUMENTS.values(), ids=DOCUMENTS)
def test_memory_of_sessions_counts_towards_the_limit(snapshot, documents):
    """Most of the memory is Python objects outside of the tables."""
    engine, n = Engine.from_snapshot(snapshot), 150
    tracemalloc.start()
    try:
        before, counted = tracemalloc.get_traced_memory()[0], engine.stats()["bytes"]
        for i in range(n):
            caller = Session(principal_of(i), kind="ROLE", issuer=APP, policies=documents(i))
            engine.is_allowed(caller, "s3:GetObject", "arn:aws:s3:::b/x", now=NOW)
        objects = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    counted_objects = engine.resolver.compiler.cached_objects
    assert objects / 2 < counted_objects < 2 * objects
    assert engine.stats()["bytes"] - counted > counted_objects


def test_context_values_are_not_cached(engine):
    """Values of context keys are read in place and not stored."""
    before = engine.stats()["bytes"]
    for i in range(2_000):
        engine.is_allowed(APP, "s3:GetObject", "arn:aws:s3:::b/k", {"aws:UserAgent": f"agent {i} " * 100}, now=NOW)
    assert engine.stats()["bytes"] - before < 64 << 10


def test_a_drop_leaves_compiled_names_in_place(engine, snapshot):
    fresh = Engine.from_snapshot(snapshot)
    for i in range(40_000):
        engine.is_allowed(principal_of(i), action_of(i)[0], "*", now=NOW)
    assert engine.stats()["generation"] > 0
    for action in ("s3:GetObject", "s3:GetSecret", "sqs:SendMessage", "sns:Publish", "ec2:Run"):
        for target in ("*", "arn:aws:s3:::b/k", QUEUE):
            assert engine.decide(APP, action, target, now=NOW) == fresh.decide(APP, action, target, now=NOW)


@pytest.mark.parametrize("cache_bytes", [0, 1, 1_000, 20_000])
def test_cache_too_small_for_one_request_decides_correctly(snapshot, cache_bytes):
    """Entries that a call adds are kept until it ends, so that each call ends."""
    engine, fresh = Engine.from_snapshot(snapshot, cache_bytes=cache_bytes), Engine.from_snapshot(snapshot)
    for i in range(300):
        action, outcome = action_of(i % 50)
        assert engine.decide(principal_of(i % 20), action, resource_of(i), now=NOW).outcome is outcome
    rows = [principal_of(i % 20) for i in range(600)], [action_of(i % 50)[0] for i in range(600)], "arn:aws:s3:::b/k"
    assert np.array_equal(engine.decide_many(*rows, now=NOW).outcome, fresh.decide_many(*rows, now=NOW).outcome)


def test_batch_with_more_sessions_than_the_cache_is_decided(snapshot):
    """A drop between two chunks numbers sessions anew; names of statements are of the session that was asked."""
    engine, fresh = Engine.from_snapshot(snapshot, cache_bytes=20_000), Engine.from_snapshot(snapshot)
    sessions = {
        f"s{i}": Session(
            principal_of(i),
            kind="ROLE",
            issuer=APP,
            policies=[
                document(
                    {"Sid": f"Allow{i}", "Effect": "Allow", "Action": "s3:*", "Resource": f"arn:aws:s3:::b/{i}/*"},
                    {"Sid": f"Deny{i}", "Effect": "Deny", "Action": "s3:GetX", "Resource": f"arn:aws:s3:::b/{i}/*"},
                )
            ],
        )
        for i in range(200)
    }
    n = 140_000  # three chunks
    picks = np.random.default_rng(5).integers(0, 200, (n, 2)).tolist()
    rows = (
        [f"s{one}" for one, _ in picks],
        ["s3:GetX" if i % 3 else "s3:GetObject" for i in range(n)],
        [f"arn:aws:s3:::b/{one if i % 2 else two}/{i}" for i, (one, two) in enumerate(picks)],
    )
    got = engine.decide_many(*rows, sessions=sessions, now=NOW, reasons=True)
    expected = fresh.decide_many(*rows, sessions=sessions, now=NOW, reasons=True)
    assert engine.stats()["generation"] > 0
    assert np.array_equal(got.outcome, expected.outcome) and {OK, NO, DENY} <= set(got.outcome.tolist())
    assert list(got.statement) == list(expected.statement)
    assert got.statement[int(np.flatnonzero(got.outcome == DENY)[0])].startswith("Deny")


def test_sessions_of_a_batch_are_kept_until_it_ends(snapshot):
    """Else every chunk would enter all of them again."""
    engine = Engine.from_snapshot(snapshot, cache_bytes=60_000)
    sessions = {f"s{i}": Session(principal_of(i), kind="ROLE", issuer=APP, policies=[narrow_document(i)]) for i in range(50)}
    n = 330_000  # six chunks
    principals = pa.array([f"s{i % 50}" for i in range(n)]).dictionary_encode()
    got = engine.decide_many(principals, "s3:GetX", "arn:aws:s3:::b/7/0/x", sessions=sessions, now=NOW)
    assert np.flatnonzero(got.outcome == OK).tolist() == list(range(7, n, 50))
    assert engine.stats()["generation"] == 1  # when it ended


def reads(*keys):
    """A session whose policy reads these keys, in this order."""
    conditions = {"StringEqualsIfExists": {f"app:{key}": "x" for key in keys}}
    return Session(
        principal_of(len(keys)),
        kind="ROLE",
        issuer=APP,
        policies=[document({"Effect": "Allow", "Action": "s3:*", "Resource": "*", "Condition": conditions})],
    )


def test_missing_keys_keep_their_names_after_a_drop(snapshot, monkeypatch):
    """Another caller drops the cache between two chunks, and its session takes the ids of the keys."""

    engine = Engine.from_snapshot(snapshot)

    def drop_and_ask(needed=0):
        with monkeypatch.context() as patch:
            patch.setattr(engine.resolver, "enforce_cache_bound", lambda: None)
            engine.resolver.compiler.drop()
            engine.decide(reads("c", "b", "a", "d"), "s3:GetObject", "*", now=NOW)

    monkeypatch.setattr(engine.resolver, "enforce_cache_bound", drop_and_ask)
    n = 140_000  # three chunks
    got = engine.decide_many(["s"] * n, "s3:GetObject", "*", sessions={"s": reads("a", "b")}, now=NOW)
    assert engine.stats()["generation"] >= 3
    missing = got.summary().missing_keys
    assert {name: rows for name, rows in missing.items() if name.startswith("app:")} == {"app:a": n, "app:b": n}


def test_ad_hoc_simulation_frees_its_memory():
    """`simulate` compiles for one request and frees the tables with it."""

    def ask(rows):
        for i in rows:
            fastiam.simulate(APP, f"s3:Get{i}", "*", identity_policies=[POLICY], now=NOW)

    assert_memory_is_bounded(ask, 1_500, growth=12 << 20)


def test_unreferenced_engine_is_freed(snapshot):
    """Tables are allocated outside of Python's heap and are freed with the engine."""

    def ask(rows):
        for _ in rows:
            engine = Engine.from_snapshot(snapshot)
            engine.decide_many(APP, [f"s3:Get{i}" for i in range(2_000)], "*", now=NOW)

    assert_memory_is_bounded(ask, 120, growth=12 << 20)


def test_index_build_frees_its_temporary_memory():
    """Otherwise it would count as cache and cause useless drops."""
    letters = "abcdefghijklmnop"
    patterns = [f"arn:aws:s3:::*{'-'.join(letters[i >> k & 15] for k in range(12))}*" for i in range(3000)]
    directory = fastiam.Directory(quotas=None)
    directory.add_principal(APP, identity_policies=[document({"Effect": "Allow", "Action": "s3:*", "Resource": patterns})])
    engine = directory.compile()
    assert engine.decide(APP, "s3:GetObject", "arn:aws:s3:::x").outcome == NO
    engine.resolver.compiler.drop()
    assert engine.resolver.compiler.cache_bytes_used < 1 << 20


def test_interned_classes_and_keys_count_towards_the_limit():
    """Dictionaries find action classes by their patterns, and sets of keys that plans read (D75) by these."""
    n = 100
    each = [
        {"Effect": "Allow", "Action": f"made:A{i}", "Resource": "*", "Condition": {"StringEquals": {f"app:k{i}": "v"}}}
        for i in range(n)
    ]
    directory = fastiam.Directory(quotas=None)
    directory.add_principal(APP, identity_policies=[document(*each)])
    engine = directory.compile()
    compiler = engine.resolver.compiler
    before = compiler.cached_objects
    assert not engine.decide_many(APP, [f"made:A{i}" for i in range(n)], "*").allowed.any()
    assert compiler.cached_objects - before == 2 * n * ENTRY_BYTES
    compiler.drop()
    assert compiler.cached_objects == before


def test_principal_without_policies_builds_no_plan():
    """Unknown principals can request any action; no plan of it is cached."""
    everything = document({"Effect": "Allow", "Action": "*", "Resource": "*"})
    directory = fastiam.Directory()
    directory.set_organization("o-1", management_account="999999999999", accounts={ACCOUNT: "r-1"}, scps={"r-1": [everything]})
    directory.add_principal(APP, identity_policies=[everything])
    engine = directory.compile()
    unknown = f"arn:aws:iam::{ACCOUNT}:user/nobody"
    for name, made in ((unknown, 0), (APP, 2)):  # one plan of its own and one of SCPs, to which all of these actions are equal
        for _ in range(2):
            engine.decide_many([name] * 50, [f"made{i}:Up" for i in range(50)], "arn:aws:s3:::b/k")
        assert engine.stats()["rows"] == made


def test_finalizer_that_decides_drops_no_interned_session(snapshot):
    """Otherwise interning would repeat without end, or ids would have their former meaning."""
    engine = Engine.from_snapshot(snapshot, cache_bytes=0)
    names = [f"s{i}" for i in range(8)]
    sessions = {}
    for name in names:
        own = document({"Effect": "Allow", "Action": "*", "Resource": f"arn:aws:s3:::b/{name}"})
        arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/app/{name}"
        sessions[name] = Session(arn, kind="ROLE", issuer=APP, policies=[own])
    decided = []

    class Garbage:
        def __init__(self):
            self.itself = self

        def __del__(self):
            if goes_on:
                Garbage()
            decided.append(
                engine.is_allowed(f"arn:aws:iam::{ACCOUNT}:user/u{len(decided)}", "s3:Get", f"arn:aws:s3:::b/{len(decided)}")
            )

    goes_on, before = True, gc.get_threshold()
    try:
        gc.set_threshold(20)
        Garbage()
        for _ in range(3):
            found = engine.decide_many(names, "s3:Get", [f"arn:aws:s3:::b/{name}" for name in names], sessions=sessions)
            assert set(found.outcome.tolist()) == {OK}
    finally:
        goes_on = False
        gc.set_threshold(*before)
    assert len(decided) > 3
