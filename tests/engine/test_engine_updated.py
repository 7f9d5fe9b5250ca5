"""`Engine.updated`: what changed is recompiled, everything else is shared, and the old engine decides as before."""

from __future__ import annotations

import pickle
import random
from concurrent.futures import ThreadPoolExecutor

import pytest
from directory_changes import ACCOUNTS, WRITES, A, statement
from engine_changes import (
    GOVERNED,
    USERS,
    Changer,
    answers,
    requests,
)
from seeds import seeds
from specification import explained_decision

import fastiam
from fastiam import Directory, Engine, Outcome, Session


def in_bulk(engine: Engine, asked: list[tuple[str, str, str, dict[str, str]]]) -> list[int]:
    columns = [[request[i] for request in asked] for i in range(3)]
    endpoints = [request[3].get("aws:SourceVpce") for request in asked]
    return engine.decide_many(*columns, {"aws:SourceVpce": endpoints}, on_error="deny").outcome.tolist()


@pytest.mark.parametrize("seed", seeds(4, 25))
def test_updated_engine_equals_new_engine_and_keeps_the_old(seed):
    changer = Changer(seed)
    for _ in range(30):
        changer.write()
    engine = changer.directory.compile()
    asked = requests(changer.rng, 150)
    for _ in range(6):
        before = answers(engine, asked)
        for _ in range(changer.rng.randrange(1, 5)):
            changer.write()
        updated, anew = engine.updated(changer.directory), changer.directory.compile()
        assert answers(updated, asked) == answers(anew, asked)
        assert in_bulk(updated, asked) == in_bulk(anew, asked)
        assert answers(engine, asked) == before
        engine = updated if changer.rng.random() < 0.8 else engine  # updates may branch


def small() -> Directory:
    directory = Directory(quotas=None)
    directory.add_principal(f"arn:aws:iam::{A}:user/u", identity_policies=[("own", statement(0))])
    directory.add_principal(f"arn:aws:iam::{A}:role/r", identity_policies=[("own", statement(1))])
    directory.add_resource("arn:aws:s3:::bkt", account=A)
    return directory


def test_updated_engine_shares_tables_and_plans():
    directory = small()
    engine = directory.compile()
    assert engine.is_allowed(f"arn:aws:iam::{A}:role/r", "s3:Get1", "arn:aws:s3:::bkt/x")
    directory.put_inline_policy(f"arn:aws:iam::{A}:user/u", "own", statement(5))
    updated = engine.updated(directory)
    rows = updated.stats()["rows"]
    assert rows > 0 and updated.names.tables is engine.names.tables
    assert updated.is_allowed(f"arn:aws:iam::{A}:role/r", "s3:Get1", "arn:aws:s3:::bkt/x")
    assert updated.stats()["rows"] == rows
    assert updated.is_allowed(f"arn:aws:iam::{A}:user/u", "s3:Get5", "arn:aws:s3:::bkt/x")
    assert not engine.is_allowed(f"arn:aws:iam::{A}:user/u", "s3:Get5", "arn:aws:s3:::bkt/x")


def test_updates_without_changes_share_tables():
    directory = small()
    engine = directory.compile()
    again = small()
    again.put_inline_policy(f"arn:aws:iam::{A}:user/u", "more", statement(3))
    assert engine.updated(directory).names.tables is engine.names.tables
    updated = engine.updated(again)
    assert updated.names.tables is engine.names.tables
    assert updated.is_allowed(f"arn:aws:iam::{A}:user/u", "s3:Get3", "arn:aws:s3:::bkt/x")


def test_session_is_decided_by_each_engine_separately():
    directory = small()
    engine = directory.compile()
    role = f"arn:aws:iam::{A}:role/r"
    session = Session(f"arn:aws:sts::{A}:assumed-role/r/run", kind="role", issuer=role)
    asked = (session, "s3:Get4", "arn:aws:s3:::bkt/x")
    assert not engine.is_allowed(*asked)
    directory.put_inline_policy(role, "more", statement(4))
    updated = engine.updated(directory)
    for _ in range(2):
        assert updated.is_allowed(*asked)
        assert not engine.is_allowed(*asked)
    bulk = [e.decide_many("s", *asked[1:], sessions={"s": session}).allowed.tolist() for e in (engine, updated)]
    assert bulk == [[False], [True]]


def test_drop_in_one_engine_leaves_the_others_usable():
    directory = small()
    engine = Engine.from_snapshot(directory.snapshot(), cache_bytes=1 << 14)
    directory.put_inline_policy(f"arn:aws:iam::{A}:role/r", "more", statement(4))
    updated = engine.updated(directory)
    session = Session(f"arn:aws:sts::{A}:assumed-role/r/run", kind="role", issuer=f"arn:aws:iam::{A}:role/r")
    dropped = engine.stats()["generation"]
    for n in range(3_000):
        assert updated.is_allowed(session, "s3:Get4", "arn:aws:s3:::bkt/x")
        engine.is_allowed(f"arn:aws:iam::{A}:user/nobody{n}", f"s3:Made{n}", "arn:aws:s3:::bkt/x")
        assert not engine.is_allowed(session, "s3:Get4", "arn:aws:s3:::bkt/x")
    assert updated.stats()["generation"] == engine.stats()["generation"] > dropped


def test_memory_over_many_updates_is_bounded(monkeypatch):
    monkeypatch.setattr("fastiam.compile.compiler._MAX_UNUSED", 1 << 20)
    directory = small()
    engine = directory.compile()
    sizes = []
    for n in range(200):
        document = {"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": f"s3:Get{n}-{i}", "Resource": f"arn:aws:s3:::bkt/{'x' * 200}{n}/{i}"} for i in range(40)
        ]}  # fmt: skip
        directory.put_inline_policy(f"arn:aws:iam::{A}:user/u", "own", document)
        engine = engine.updated(directory)
        sizes.append(engine.stats()["bytes"])
    assert max(sizes) < 3 * (1 << 20)
    assert sizes[-1] < max(sizes)  # once at least, everything was compiled anew


def test_threads_use_all_generations_during_updates():
    directory = small()
    user = f"arn:aws:iam::{A}:user/u"
    engines = [Engine.from_snapshot(directory.snapshot(), cache_bytes=1 << 16)]
    wrong: list[tuple[int, int]] = []
    is_over = False

    def ask(seed: int) -> None:
        rng = random.Random(seed)
        while not is_over:
            number = rng.randrange(len(engines))
            n = rng.randrange(len(engines) + 2)
            # generation k allows Get0..Get(k) to the user, by one policy each
            if engines[number].is_allowed(user, f"s3:Get{n}", f"arn:aws:s3:::bkt/{rng.randrange(1000)}") != (n <= number):
                wrong.append((number, n))
            if rng.random() < 0.02:
                actions = [f"s3:Get{i}" for i in range(40)]
                if engines[number].decide_many(user, actions, "arn:aws:s3:::bkt/x").allowed.sum() != min(40, number + 1):
                    wrong.append((number, -1))

    with ThreadPoolExecutor(8) as pool:
        asking = [pool.submit(ask, seed) for seed in range(8)]
        try:
            for n in range(1, 120):
                directory.put_inline_policy(user, f"p{n}", statement(n))
                engines.append(engines[-1].updated(directory))
        finally:
            is_over = True
        for one in asking:
            one.result()
    assert not wrong


def test_generated_writes_cover_each_kind():
    assert {"add_user", "add_endpoint", "set_organization", "set_resource", "set_trust"} <= set(WRITES)


def test_partial_secret_arn_matches_a_secret_added_later():
    """6.10: a Deny on the whole ARN counts, alone, in columns, and from a file."""
    secret = f"arn:aws:secretsmanager:us-east-1:{ACCOUNTS[0]}:secret:db"
    directory = fastiam.Directory(quotas=None)
    allowed = {"Effect": "Allow", "Action": "secretsmanager:*", "Resource": "*"}
    denied = {**allowed, "Effect": "Deny", "Resource": secret + "-AbCdEf"}
    directory.add_principal(USERS[0], identity_policies=[{"Version": "2012-10-17", "Statement": [allowed, denied]}])
    engine, asked = directory.compile(), (USERS[0], "secretsmanager:GetSecretValue", secret)
    writes = (
        lambda: directory.add_resource(secret + "-AbCdEf"),
        lambda: directory.tag(secret + "-AbCdEf", {"a": "b"}),
        lambda: directory.add_resource(secret + "-GhIjKl"),
        lambda: directory.delete_resource(secret + "-GhIjKl"),
        lambda: directory.delete_resource(secret + "-AbCdEf"),
    )
    for write in writes:
        write()
        engine = engine.updated(directory)
        outcome = explained_decision(engine, *asked).outcome
        for twin in (engine, pickle.loads(pickle.dumps(engine))):
            for _ in range(2):
                assert twin.decide(*asked).outcome is outcome
                assert twin.decide_many(*[[text] * 600 for text in asked]).outcome.tolist() == [outcome] * 600
    assert outcome is Outcome.ALLOW


@pytest.mark.parametrize("is_asked", [False, True], ids=["asked at the end", "asked all the time"])
@pytest.mark.parametrize(("resource", "governing"), GOVERNED, ids=[resource.split(":")[2] for resource, _ in GOVERNED])
def test_governing_policy_of_a_deleted_resource_can_change(resource, governing, is_asked):
    """D60 to D62: entries of its name are evicted, also those that requests added, and are resolved again."""
    granted = {"Effect": "Allow", "Principal": {"AWS": USERS[0]}, "Action": "*", "Resource": "*"}
    policy, denied = ({"Version": "2012-10-17", "Statement": one} for one in (granted, {**granted, "Effect": "Deny"}))
    directory = fastiam.Directory(quotas=None)
    directory.add_principal(USERS[0])
    directory.add_resource(governing, account=A, policy=policy)
    directory.add_resource(resource, account=A)
    engine, asked = directory.compile(), (USERS[0], f"{resource.split(':')[2]}:Do", resource)
    writes = (
        lambda: directory.delete_resource(resource),
        lambda: directory.set_resource_policy(governing, None),
        lambda: directory.set_resource_policy(governing, policy),
        lambda: directory.set_resource_policy(governing, denied),
        lambda: directory.add_resource(resource, account=A),
        lambda: directory.delete_resource(resource),
        lambda: directory.delete_resource(governing),
    )
    for number, write in enumerate(writes, 1):
        write()
        engine = engine.updated(directory)
        if is_asked or number in (2, len(writes)):
            expected = explained_decision(directory.compile(), *asked)
            for twin in (engine, pickle.loads(pickle.dumps(engine))):
                for _ in range(2):
                    assert twin.decide(*asked) == expected
                    assert twin.decide_many(*[[text] * 600 for text in asked]).outcome.tolist() == [expected.outcome] * 600


def agree(engine, directory, asked):
    """Check that an engine equals a new one, in single calls and batches, also after pickling."""
    fresh = directory.compile()
    for twin in (engine, pickle.loads(pickle.dumps(engine))):
        for _ in range(2):
            expected = [explained_decision(fresh, *request) for request in asked]
            assert [twin.decide(*request) for request in asked] == expected
            columns = [[request[i] for request in asked] * 200 for i in range(3)]
            assert twin.decide_many(*columns).outcome.tolist() == [decision.outcome for decision in expected] * 200


@pytest.mark.parametrize("is_asked", [False, True], ids=["asked at the end", "asked all the time"])
def test_principal_of_a_deleted_record_can_change(is_asked):
    """N11: the ARN of a role that was moved means the one of its name that there is, with what that has now."""
    old, new, session = (
        f"arn:aws:iam::{A}:role/deploy",
        f"arn:aws:iam::{A}:role/ci/deploy",
        f"arn:aws:sts::{A}:assumed-role/deploy/x",
    )
    everything = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
    directory = fastiam.Directory(quotas=None)
    directory.add_principal(old)
    directory.put_inline_policy(old, "all", everything)
    engine = directory.compile()

    def give(who):
        directory.put_inline_policy(who, "all", everything)

    def take(who):
        directory.delete_inline_policy(who, "all")

    def move(was, is_):
        take(was)
        directory.delete_principal(was)
        directory.add_principal(is_)
        give(is_)

    writes = (
        lambda: move(old, new),
        lambda: take(new),
        lambda: give(new),
        lambda: move(new, old),
        lambda: take(old),
        lambda: give(old),
        lambda: move(old, new),
        lambda: take(new),
        lambda: directory.delete_principal(new),
    )
    for number, write in enumerate(writes, 1):
        write()
        engine = engine.updated(directory)
        if is_asked or number in (2, len(writes)):
            agree(engine, directory, [(who, "s3:GetObject", "*") for who in (old, new, session)])


def test_root_of_a_changed_partition_has_its_scps():
    """D11: by the name that it had, too."""
    directory = fastiam.Directory(quotas=None, mode="lenient")
    directory.add_account(A)
    engine = directory.compile()
    denied = {"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "sqs:*", "Resource": "*"}}
    writes = (
        lambda: directory.add_account(A, partition="aws-cn"),
        lambda: directory.set_scps(A, [[("No", denied)]]),
        lambda: directory.add_account(A, partition="aws"),
    )
    for write in writes:
        write()
        engine = engine.updated(directory)
        agree(engine, directory, [(f"arn:{partition}:iam::{A}:root", "sqs:Send", "*") for partition in ("aws", "aws-cn")])


def test_an_engine_can_be_kept_after_another_was_updated_from_it():
    """They share their principals, but not their accounts."""
    directory = fastiam.Directory(quotas=None)
    everything = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
    directory.add_principal(USERS[0], identity_policies=[everything])
    engine = directory.compile()
    other = f"arn:aws:iam::{ACCOUNTS[1]}:user/new"
    directory.add_principal(other, identity_policies=[everything])
    updated = engine.updated(directory)
    for twin, allowed in ((engine, [True, False]), (updated, [True, True])):
        kept = pickle.loads(pickle.dumps(twin))
        assert [kept.is_allowed(who, "s3:GetObject", "*") for who in (USERS[0], other)] == allowed
        assert kept.decide_many([USERS[0], other], "s3:GetObject", "*").allowed.tolist() == allowed


def test_session_of_a_deleted_ambiguous_role_is_unknown():
    """N11: of two roles of one name, which a lenient directory may have, the last one is found; once it is deleted, none is."""
    directory = fastiam.Directory(quotas=None, mode="lenient")
    everything = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
    first, last = f"arn:aws:iam::{A}:role/r", f"arn:aws:iam::{A}:role/p/r"
    directory.add_principal(first, identity_policies=[everything])
    directory.add_principal(last)
    engine = directory.compile()
    asked = [(who, "s3:GetObject", "*") for who in (f"arn:aws:sts::{A}:assumed-role/r/x", first, last)]
    agree(engine, directory, asked)
    directory.delete_principal(last)
    agree(engine.updated(directory), directory, asked)
    agree(directory.compile(), directory, asked)
