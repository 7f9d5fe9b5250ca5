"""The pair cache of single calls with many principals: decisions equal those of a full lookup.

Invariant: an entry is valid for exactly its name and action, and no longer than its tables. Each call gets new text objects,
because the pointer cache resolves objects that are passed again before the pair cache.
"""

from __future__ import annotations

import pytest
from differential import World, difference_between, renewed
from policy_generators import directory as made
from runners import compile_snapshot
from seeds import seeds

import fastiam
from fastiam import Engine
from fastiam.kernel import testing

ACCOUNT = "999999999999"
CROWD = [f"arn:aws:iam::{ACCOUNT}:user/u{i}" for i in range(8_200)]  # enough to enable the pair cache
BUCKET = "arn:aws:s3:::bucket/"


def document(effect, action, resource):
    return {"Version": "2012-10-17", "Statement": [{"Effect": effect, "Action": action, "Resource": resource}]}


def ask(engine, principal, action, resource):
    return engine.is_allowed(renewed(principal), renewed(action), renewed(resource))


def pair_cache_bytes(engine):
    """The memory of the pair cache."""
    stats = engine.stats()
    return stats["bytes"] - stats["compiled_bytes"] - engine.resolver.cache_bytes_used()


@pytest.fixture(scope="module")
def crowd():
    directory = fastiam.Directory()
    for i, arn in enumerate(CROWD):
        one = document("Allow", "s3:Get*", f"{BUCKET}{i}/*"), document("Deny", "s3:GetSecret*", f"{BUCKET}{i}/*")
        directory.add_principal(arn, identity_policies=list(zip(("Own", "No"), one, strict=True)) if i % 2 else [])
    return directory


@pytest.fixture
def engine(crowd):
    return crowd.compile()


def answers(engine):
    """Of some principals with actions that cross: own things, others' and secrets."""
    return [
        ask(engine, CROWD[i], action, f"{BUCKET}{i + beside}/x")
        for action in ("s3:GetObject", "s3:GetSecretThing", "s3:PutObject")
        for beside in (0, 1)
        for i in range(500)
    ]


def test_pair_cache_hit_returns_the_same_decision(engine):
    expected = [
        i % 2 == 1 and beside == 0 and action == "s3:GetObject"
        for action in ("s3:GetObject", "s3:GetSecretThing", "s3:PutObject")
        for beside in (0, 1)
        for i in range(500)
    ]
    for _ in range(4):  # the general path, the principal-only path, and two hits of the pair cache
        assert answers(engine) == expected
    assert pair_cache_bytes(engine) > 1 << 20


def test_pair_cache_skips_principals_of_the_general_path(engine):
    """A root user and a service: their decisions depend on more than principal policies."""
    for who in (f"arn:aws:iam::{ACCOUNT}:root", "ec2.amazonaws.com"):
        expected = engine.explain(who, "s3:GetObject", f"{BUCKET}x").decision.allowed
        assert expected is who.endswith("root")
        assert [ask(engine, who, "s3:GetObject", f"{BUCKET}x") for _ in range(6)] == [expected] * 6


def test_pair_cache_few_principals_stays_empty():
    directory = fastiam.Directory()
    directory.add_principal(CROWD[0], identity_policies=[document("Allow", "s3:Get*", "*")])
    engine = directory.compile()
    for _ in range(4):
        assert ask(engine, CROWD[0], "s3:GetObject", f"{BUCKET}x")
    assert pair_cache_bytes(engine) == 0


def same_hash():
    """Two names that tables know by the same hash: of 2^31 there are, of some 100,000 two agree."""
    seen = {}
    for i in range(1_000_000):
        name = f"arn:aws:iam::{ACCOUNT}:user/twin{i}"
        other = seen.setdefault(testing.hash_bytes(name.encode(), 0) & 0xFFFFFFFF | 1, name)
        if other != name:
            return other, name
    raise AssertionError("no hash comes twice")


def test_pair_cache_equal_hashes_keep_separate_decisions(crowd):
    one, other = same_hash()
    crowd.add_principal(one, identity_policies=[document("Allow", "s3:*", "*")])
    crowd.add_principal(other)
    engine = crowd.compile()
    for _ in range(5):
        assert ask(engine, one, "s3:GetObject", f"{BUCKET}x")
        assert not ask(engine, other, "s3:GetObject", f"{BUCKET}x")


def test_pair_cache_adjacent_actions_keep_separate_decisions(engine):
    """A name with actions whose numbers are 24,226 apart: their places are next to each other."""
    names = [f"s3:{'Get' if i < 20_000 else 'Put'}Thing{i}" for i in range(25_000)]
    for name in names:
        ask(engine, CROWD[1], name, f"{BUCKET}1/x")
    for one, other in zip(names, names[24_226:], strict=False):
        for _ in range(3):
            assert ask(engine, CROWD[1], one, f"{BUCKET}1/x")
            assert not ask(engine, CROWD[1], other, f"{BUCKET}1/x")


def test_pair_cache_is_invalidated_with_its_tables(crowd):
    """The cache is smaller than the set of requests, so that it is dropped now and then, with the ids of actions."""
    engine = Engine.from_snapshot(crowd.snapshot(), cache_bytes=50_000)
    for i in range(3_000):
        action = ("Get", "Put")[i % 3 % 2] + f"Thing{i}"
        for who in (0, 1, 3) * 3:
            assert ask(engine, CROWD[who], f"s3:{action}", f"{BUCKET}{who}/x") is (who % 2 == 1 and action.startswith("Get"))
    assert engine.stats()["generation"] > 1


def test_pair_cache_of_an_engine_is_not_reused_by_the_next(crowd, engine):
    for _ in range(3):
        assert ask(engine, CROWD[1], "s3:GetObject", f"{BUCKET}1/x")
    crowd.put_inline_policy(CROWD[1], "Own", document("Deny", "s3:*", "*"))
    after = engine.updated(crowd)
    crowd.put_inline_policy(CROWD[1], "Own", document("Allow", "s3:Get*", f"{BUCKET}1/*"))
    for _ in range(3):
        assert not ask(after, CROWD[1], "s3:GetObject", f"{BUCKET}1/x")
        assert ask(engine, CROWD[1], "s3:GetObject", f"{BUCKET}1/x")


@pytest.mark.parametrize("seed", seeds(1, 4))
def test_pair_cache_generated_directory_equals_spec(seed):
    case = made(seed, 60)
    world = World(case)
    expected = [world.reference(row) for row in world.rows]
    for arn in CROWD:
        world.directory.add_principal(arn)
    engine = compile_snapshot(world.directory.snapshot(), world.check)
    for _ in range(4):
        for row, one in zip(world.rows, expected, strict=True):
            assert difference_between(one, world.again(engine, renewed(row))) is None
