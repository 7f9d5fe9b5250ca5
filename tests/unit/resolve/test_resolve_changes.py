"""`changes_between` over random sequences of writes: it may report too much, never too little."""

from __future__ import annotations

import json
import pickle
import time

import pytest
from directory_changes import (
    ASKED,
    OPERATIONS,
    A,
    Writer,
    statement,
    trust,
)

import fastiam
from fastiam import Directory, DirectoryError
from fastiam.resolve.changes import Changes, changes_between
from fastiam.resolve.snapshot import Snapshot


def check_unreported_is_equal(old: Snapshot, new: Snapshot) -> Changes:
    changes = changes_between(old, new)
    both = (old, new)
    for name in {p.name for s in both for p in s.principals()} - changes.principals:
        assert old.principal(name) == new.principal(name), name
    noted = {arn for s in both for arn in (*(arn for arn, _ in s.resources()), *s.entity_resources())}
    for arn in noted.union(ASKED) - changes.resources:
        # a resource without a record gets its facts from a governing resource, which is reported
        if arn in noted or arn == ASKED[-1]:
            assert old.facts(arn) == new.facts(arn), arn
    for id_ in {facts.id for s in both for facts in s.accounts()} - changes.accounts:
        assert old.account_facts(id_) == new.account_facts(id_), id_
        ghost = f"arn:aws:iam::{id_}:user/ghost"
        assert old.principal(ghost) == new.principal(ghost)
    for id_ in {endpoint.id for s in both for endpoint in s.endpoints()} - changes.endpoints:
        assert old.endpoint(id_) == new.endpoint(id_), id_
    if not changes.everything:
        assert old.endpoint("vpce-unknown") == new.endpoint("vpce-unknown")
    return changes


@pytest.mark.parametrize("seed", range(30))
def test_all_that_is_not_reported_is_equal(seed):
    writer = Writer(seed)
    moments = [writer.directory.snapshot()]
    for _ in range(12):
        for _ in range(writer.rng.randrange(1, 8)):
            writer.write()
        moments.append(writer.directory.snapshot())
    for old, new in [*zip(moments, moments[1:], strict=False), *(writer.rng.sample(moments, 2) for _ in range(8))]:
        by_journal = check_unreported_is_equal(old, new)
        by_records = check_unreported_is_equal(old, pickle.loads(pickle.dumps(new)))
        assert by_records.principals <= by_journal.principals  # what was undone needs no report


def test_most_operations_are_done_and_each_of_them_is():
    done = dict.fromkeys(range(len(OPERATIONS)), 0)
    writer = Writer(7)
    for _ in range(3_000):
        writer.write()
        at = writer.rng.randrange(len(OPERATIONS))
        try:
            OPERATIONS[at](writer, writer.directory)
        except DirectoryError:
            continue
        done[at] += 1
    assert writer.n_done > writer.n_refused
    assert min(done.values()) > 0, done


def test_changes_between_equal_snapshots_are_empty():
    writer = Writer(1)
    for _ in range(60):
        writer.write()
    snapshot = writer.directory.snapshot()
    assert not changes_between(snapshot, snapshot)
    assert not changes_between(snapshot, pickle.loads(pickle.dumps(snapshot)))


def test_a_change_of_one_user_reports_that_user_alone():
    directory = Directory()
    for n in range(3):
        directory.add_principal(f"arn:aws:iam::{A}:user/u{n}", tags={"a": "b"})
    old = directory.snapshot()
    directory.put_inline_policy(f"arn:aws:iam::{A}:user/u1", "own", statement(1))
    assert changes_between(old, directory.snapshot()) == Changes(principals=frozenset({f"arn:aws:iam::{A}:user/u1"}))


def test_trust_policy_change_affects_the_resource_only():
    directory = Directory()
    role = f"arn:aws:iam::{A}:role/r"
    directory.add_principal(role, trust_policy=trust(0))
    old = directory.snapshot()
    directory.set_trust_policy(role, trust(1))
    assert changes_between(old, directory.snapshot()) == Changes(resources=frozenset({role}))


def test_snapshot_is_unaffected_by_later_writes():
    directory = Directory()
    user = f"arn:aws:iam::{A}:user/u"
    directory.add_principal(user)
    old = directory.snapshot()
    directory.put_inline_policy(user, "own", statement(1))
    assert old.principal(user).identity_policies == ()
    assert directory.snapshot().principal(user).identity_policies != ()


def test_one_change_among_many_principals_costs_little():
    directory = Directory()
    for n in range(20_000):
        directory.add_principal(f"arn:aws:iam::{A}:user/u{n}")
    times = []
    for n in range(9):
        old = directory.snapshot()
        directory.put_inline_policy(f"arn:aws:iam::{A}:user/u{n}", "own", statement(1))
        new = directory.snapshot()
        began = time.perf_counter()
        changes_between(old, new)
        times.append(time.perf_counter() - began)
    assert min(times) < 0.001


def sections(text: str) -> dict[str, object]:
    """A directory as written, its records in an order of their own."""
    return {
        name: sorted(map(json.dumps, section)) if isinstance(section, list) else section
        for name, section in json.loads(text).items()
    }


def reached(directory: Directory) -> dict[str, object]:
    """The indexes, without the order of what they hold."""
    return {
        name: {k: set(v) if isinstance(v, dict) else v for k, v in index.items()}
        for name, index in vars(directory._store.indexes).items()
    }


@pytest.mark.parametrize(("seed", "mode"), [(1, "strict"), (2, "lenient")])
def test_store_reader_and_file_have_all_writes(tmp_path, seed, mode):
    writer = Writer(seed)
    writer.directory = Directory.open(tmp_path / "d.db", mode=mode)
    second = Directory.open(tmp_path / "d.db", mode=mode)
    for _ in range(150):
        writer.write()
    assert writer.n_done > 30
    second.refresh()
    writer.directory.dump(tmp_path / "d.json")
    with Directory.open(tmp_path / "d.db") as third:
        for other in (second, third, fastiam.load(tmp_path / "d.json")):
            assert sections(other.to_json()) == sections(writer.directory.to_json())
            assert reached(other) == reached(writer.directory)
    second.close()
    writer.directory.close()
