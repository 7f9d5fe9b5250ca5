"""One engine decides equally in one thread and in eight, while plans are built, sessions interned and caches dropped.

The interpreter switches threads as often as possible, so that an id that outlives a drop causes a wrong decision, an exception
or a crash. Each decision is compared with that of an unshared engine.
"""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from seeds import few_or_all

import fastiam
from fastiam import Engine, Outcome, Session

ACCOUNT = "111111111111"
NOW = datetime(2030, 1, 1, tzinfo=UTC)
THREADS, ROLES, SESSIONS = 8, 6, 120
CACHES = {"never dropped": 1 << 28, "dropped now and then": 300_000, "dropped all the time": 100_000}


@pytest.fixture(autouse=True)
def switching():
    """Threads take turns after a microsecond instead of five milliseconds."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def document(*statements):
    return {"Version": "2012-10-17", "Statement": list(statements)}


def role(i: int) -> str:
    return f"arn:aws:iam::{ACCOUNT}:role/r{i % ROLES}"


def session(i: int) -> Session:
    """A session that may do something only under its own prefix; its statements have names of their own."""
    own = f"arn:aws:s3:::b/{i}/*"
    return Session(
        f"arn:aws:sts::{ACCOUNT}:assumed-role/r{i % ROLES}/s{i}",
        kind="ROLE",
        issuer=role(i),
        policies=[
            document(
                {"Sid": f"Allow{i}", "Effect": "Allow", "Action": "*", "Resource": [own, f"arn:aws:sqs:*:{ACCOUNT}:q*"]},
                {"Sid": f"Deny{i}", "Effect": "Deny", "Action": "s3:GetX*", "Resource": own},
            )
        ],
        context={f"made:up{i % 30}": "v"},
    )


@pytest.fixture(scope="module")
def snapshot():
    directory = fastiam.Directory()
    for i in range(ROLES):
        work = document(
            {"Effect": "Allow", "Action": ["s3:*", f"sqs:S{'abcdef'[i]}*"], "Resource": "*"},
            {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"StringEquals": {"made:up7": "v"}}},
            {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"ForAnyValue:StringEquals": {"aws:TagKeys": "t3"}}},
        )
        directory.add_principal(role(i), identity_policies=[(f"Work{i}", work)])
    directory.add_resource("arn:aws:s3:::b", account=ACCOUNT)
    for i in range(20):
        open_to_all = {"Effect": "Allow", "Principal": "*", "Action": "sqs:*", "Resource": "*"}
        directory.add_resource(f"arn:aws:sqs:eu-west-1:{ACCOUNT}:q{i}", policy=document(open_to_all) if i % 2 else None)
    return directory.snapshot()


@pytest.fixture(scope="module")
def requests():
    """Requests, most of them new to an engine after a drop: (principal, action, resource, context)."""
    rng, sessions = random.Random(11), [session(i) for i in range(SESSIONS)]
    rows = []
    for k in range(few_or_all(300, 2_000)):
        i = rng.randrange(SESSIONS)
        j = i if rng.random() < 0.6 else rng.randrange(SESSIONS)
        who = rng.choice([sessions[i], sessions[i], f"arn:aws:sts::{ACCOUNT}:assumed-role/r{i % ROLES}/bare{k % 400}", role(i)])
        action = rng.choice(["s3:GetObject", "s3:GetX", f"s3:GetX{k}", f"sqs:S{'abcdefgh'[k % 8]}{k % 50}", f"made{k}:Up"])
        queue = f"arn:aws:sqs:eu-west-1:{ACCOUNT}:q{rng.randrange(40)}"
        function = f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:f{k // 2}:{k}"  # the directory is asked what governs it
        what = queue if action.startswith("sqs") else function if action.startswith("made") else f"arn:aws:s3:::b/{j}/{k}"
        rows.append((who, action, what, {f"aws:RequestTag/t{k % 500}": "v"} if k % 3 == 0 else {}))
    return rows


@pytest.fixture(scope="module")
def expected(snapshot, requests):
    engine = Engine.from_snapshot(snapshot)
    decisions = [engine.decide(*row, now=NOW) for row in requests]
    assert {d.outcome for d in decisions} == {Outcome.ALLOW, Outcome.IMPLICIT_DENY, Outcome.EXPLICIT_DENY}
    return decisions


def together(*work: Callable[[], None]) -> None:
    """Run all at once; the first exception of any is raised."""
    errors: list[BaseException] = []
    start = threading.Barrier(len(work))

    def run(task: Callable[[], None]) -> None:
        try:
            start.wait()
            task()
        except BaseException as error:  # an assertion of a thread must not get lost
            errors.append(error)

    threads = [threading.Thread(target=run, args=(task,)) for task in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def singles(engine, requests, expected, seed: int) -> Callable[[], None]:
    """All requests one by one, in an order of its own."""

    def ask() -> None:
        order = list(range(len(requests)))
        random.Random(seed).shuffle(order)
        for k in order:
            if seed % 2:
                assert engine.decide(*requests[k], now=NOW) == expected[k], requests[k]
            else:
                assert engine.is_allowed(*requests[k], now=NOW) is expected[k].allowed, requests[k]

    return ask


def batches(engine, requests, expected, seed: int, threads: int) -> Callable[[], None]:
    """All requests in batches, in an order of its own, so often that a batch has rows for several threads (8,192)."""
    order = list(range(len(requests))) * (10_000 // len(requests) + 1)
    random.Random(seed).shuffle(order)
    sessions = {who.arn + "!": who for who, *_ in requests if isinstance(who, Session)}
    names = [requests[k][0].arn + "!" if isinstance(requests[k][0], Session) else requests[k][0] for k in order]
    columns = [names, [requests[k][1] for k in order], [requests[k][2] for k in order]]
    if seed % 2:
        columns = [pa.array(columns[0]).dictionary_encode(), pa.array(columns[1]).dictionary_encode(), pa.array(columns[2])]
    tags = sorted({key for *_, context in requests for key in context})[:6]
    plain = [k for k in order if not set(requests[k][3]) - set(tags)]
    context = {tag: [requests[k][3].get(tag) for k in order] for tag in tags}
    asked = np.isin(order, plain)  # rows whose whole context is among the columns
    outcomes = np.array([expected[k].outcome for k in order], np.uint8)
    statements = [(d.statement.sid or f"#{d.statement.index}") if d.statement else None for d in (expected[k] for k in order)]

    def ask() -> None:
        for _ in range(2):
            got = engine.decide_many(*columns, context, sessions=sessions, now=NOW, reasons=True, threads=threads)
            assert np.array_equal(got.outcome[asked], outcomes[asked])
            named = list(got.statement)
            assert all(named[i] == statements[i] for i in np.flatnonzero(asked).tolist())

    return ask


@pytest.mark.parametrize("cache_bytes", CACHES.values(), ids=CACHES)
def test_single_calls_of_eight_threads_are_right(snapshot, requests, expected, cache_bytes):
    engine = Engine.from_snapshot(snapshot, cache_bytes=cache_bytes)
    together(*(singles(engine, requests, expected, seed) for seed in range(THREADS)))
    assert (engine.stats()["generation"] > 0) == (cache_bytes < 1 << 28)


@pytest.mark.parametrize("cache_bytes", CACHES.values(), ids=CACHES)
def test_concurrent_batches_are_right(snapshot, requests, expected, cache_bytes):
    engine = Engine.from_snapshot(snapshot, cache_bytes=cache_bytes)
    together(*(batches(engine, requests, expected, seed, threads) for seed, threads in enumerate((1, 2, 3, 4))))


@pytest.mark.slow
@pytest.mark.parametrize("cache_bytes", CACHES.values(), ids=CACHES)
def test_concurrent_batches_and_single_calls_are_right(snapshot, requests, expected, cache_bytes):
    """What single calls drop and build under a running batch does not reach it."""
    engine = Engine.from_snapshot(snapshot, cache_bytes=cache_bytes)
    together(
        *(batches(engine, requests, expected, seed, threads) for seed, threads in enumerate((1, 4))),
        *(singles(engine, requests, expected, seed) for seed in range(THREADS - 2)),
    )


def test_sessions_are_interned_while_other_threads_decide(snapshot, requests, expected):
    """Sessions are made in the thread, are asked about once, and go: their place in memory is taken by the next one."""
    engine = Engine.from_snapshot(snapshot, cache_bytes=100_000)

    def arrivals(seed: int) -> Callable[[], None]:
        def ask() -> None:
            for i in range(seed, few_or_all(600, 1_500), THREADS):
                caller = session(i)
                assert engine.is_allowed(caller, "s3:PutObject", f"arn:aws:s3:::b/{i}/x", now=NOW) is (i % 30 != 7)
                denied = engine.decide(caller, "s3:GetX", f"arn:aws:s3:::b/{i}/x", now=NOW)
                assert denied.statement.sid in ((None,) if i % 30 == 7 else (f"Deny{i}",))
                assert engine.is_allowed(caller, "s3:PutObject", f"arn:aws:s3:::b/{i + 1}/x", now=NOW) is False

        return ask

    together(*(arrivals(seed) for seed in range(THREADS - 2)), *(singles(engine, requests, expected, seed) for seed in range(2)))


@pytest.mark.parametrize("part", ["", ":live"], ids=["a function", "an alias"])
def test_resource_that_two_threads_miss_is_added_once(snapshot, part):
    """What a running batch may read of it does not change."""
    engine, arn = Engine.from_snapshot(snapshot), f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:f{part}"
    engine.resolver.add_resource(arn)
    added = engine.stats()["resources"]
    engine.resolver.add_resource(arn)
    assert engine.stats()["resources"] == added
    engine.resolver.add_resource(arn.replace("function:f", "function:g"))
    assert engine.stats()["resources"] == added + 1


@pytest.mark.parametrize("coded", [False, True], ids=["lists", "a dictionary"])  # which all threads read at once
def test_a_batch_is_the_same_for_any_number_of_threads(snapshot, coded):
    n = 70_001  # 8,192 rows for each of eight threads
    rng = np.random.default_rng(3)
    rows = (
        np.array([role(i) for i in range(ROLES)])[rng.integers(0, ROLES, n)],
        np.array([f"{service}:{name}{i}" for i in range(40) for service, name in (("s3", "Get"), ("sqs", "Sa"))])[
            rng.integers(0, 80, n)
        ],
        pa.array([f"arn:aws:s3:::b/{i}" for i in range(n)]).dictionary_encode()
        if coded
        else [f"arn:aws:s3:::b/{i}" for i in range(n)],
        {"made:up7": np.array(["v", "w", "x"])[rng.integers(0, 3, n)], "made:unread": ["v"] * n},
    )
    one = Engine.from_snapshot(snapshot).decide_many(*rows, now=NOW, reasons=True)
    statements, policies = list(one.statement), list(one.policy)
    for threads in (2, 3, 4, 8):
        several = Engine.from_snapshot(snapshot).decide_many(*rows, now=NOW, reasons=True, threads=threads)
        assert np.array_equal(one.outcome, several.outcome)
        assert list(several.statement) == statements and list(several.policy) == policies
        assert one.summary() == several.summary()


def test_concurrent_dictionary_numbering_keeps_codes() -> None:
    """A thread may find the numbers that another one has just found, too; neither reads what the other one gave back."""
    names = [f"arn:aws:iam::{ACCOUNT}:user/u{i}" for i in range(20_000)]
    directory = fastiam.Directory(quotas=None)
    for name in names[::2]:
        directory.add_principal(name, identity_policies=[document({"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"})])
    engine = directory.compile()
    codes = np.random.default_rng(1).integers(0, len(names), 1 << 16).astype(np.int32)
    for _ in range(25):
        column = pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(names))
        found = engine.decide_many(column, "s3:GetObject", "arn:aws:s3:::b/k", threads=2)
        assert np.array_equal(found.allowed, codes % 2 == 0)
