"""The pointer cache: a (principal, action) pair that is passed as the same two objects again is not resolved again.

Invariant: a hit equals a full lookup. The key is both objects, and an entry is valid no longer than its tables. An object is
cached when it is passed twice, a pair when both objects are.
"""

from __future__ import annotations

import gc
import sys

import pytest

import fastiam
from fastiam import Outcome, Session

ACCOUNT = "111111111111"
USERS = [f"arn:aws:iam::{ACCOUNT}:user/u{i}" for i in range(40)]
ACTIONS = [
    f"s3:{verb}{what}" for verb in ("Get", "Put", "List") for what in ("Object", "Secret", "Acl", "Tagging", *map(str, range(8)))
]
ROUNDS = 6  # the general path, two rounds that fill the cache, and hits


def document(*statements):
    return {
        "Version": "2012-10-17",
        "Statement": [dict(zip(("Effect", "Action", "Resource"), one, strict=True)) for one in statements],
    }


def bucket(i):
    return f"arn:aws:s3:::bucket-{i}/"


@pytest.fixture
def directory():
    """Each user may get objects of a bucket, every third may also put them; secrets are denied."""
    made = fastiam.Directory()
    for i, arn in enumerate(USERS):
        allowed = ["s3:Get*", "s3:Put*"] if i % 3 == 0 else ["s3:Get*"]
        own = document(("Allow", allowed, bucket(i) + "*"), ("Deny", "s3:*Secret", "*"))
        made.add_principal(arn, identity_policies=[("Own", own)])
    return made


def expected(i, action, owner):
    if action.endswith("Secret"):
        return Outcome.EXPLICIT_DENY
    may = action.startswith("s3:Get") or (action.startswith("s3:Put") and i % 3 == 0)
    return Outcome.ALLOW if may and i == owner else Outcome.IMPLICIT_DENY


def test_pointer_cache_hit_returns_the_same_decision(directory):
    """More pairs than there are places, so that some take the place of others."""
    engine = directory.compile()
    for _ in range(ROUNDS):
        for i, user in enumerate(USERS):
            for action in ACTIONS:
                for owner in (i, i + 1):
                    for _ in range(3):
                        wanted = expected(i, action, owner)
                        assert engine.is_allowed(user, action, f"{bucket(owner)}x") is (wanted is Outcome.ALLOW)
                        assert engine.decide(user, action, f"{bucket(owner)}x").outcome is wanted


def test_pointer_cache_key_is_both_objects(directory):
    """Every user with every action, each pair many times in a row, while other pairs are cached already."""
    engine = directory.compile()
    for action in ACTIONS:
        for i, user in enumerate(USERS):
            assert [engine.is_allowed(user, action, f"{bucket(i)}x") for _ in range(ROUNDS)] == [
                expected(i, action, i) is Outcome.ALLOW
            ] * ROUNDS


def test_pointer_cache_place_of_two_actions_is_that_of_one(directory):
    """One user with more actions than there are places: some share one, by their addresses."""
    engine, user = directory.compile(), USERS[1]
    actions = [f"s3:{('Get', 'Put')[k % 2]}{k}" for k in range(2_000)]
    for _ in range(2):
        for k, action in enumerate(actions):
            assert [engine.is_allowed(user, action, f"{bucket(1)}x") for _ in range(ROUNDS)] == [k % 2 == 0] * ROUNDS


def test_pointer_cache_freed_objects_are_not_reused(directory):
    """Each text is freed after some calls, so that the next one may have its address."""
    engine = directory.compile()
    for k in range(1_500):
        i, action = k % len(USERS), "".join(("s3:", ("Get", "Put")[k % 2], "Object"))
        user = "".join((USERS[i][:-2], USERS[i][-2:]))
        for _ in range(ROUNDS):
            assert engine.is_allowed(user, action, f"{bucket(i)}x") is (expected(i, action, i) is Outcome.ALLOW)


def test_pointer_cache_is_invalidated_with_its_tables(directory):
    """What an updated engine, and one whose cache was dropped, say of the same objects."""
    engine = directory.compile()
    user, action, resource = USERS[1], "s3:PutObject", f"{bucket(1)}x"
    assert not any(engine.is_allowed(user, action, resource) for _ in range(ROUNDS))
    directory.put_inline_policy(user, "More", document(("Allow", "s3:Put*", "*")))
    newer = engine.updated(directory)
    assert all(newer.is_allowed(user, action, resource) for _ in range(ROUNDS))
    assert not engine.is_allowed(user, action, resource)
    tight = fastiam.Engine.from_snapshot(directory.snapshot(), cache_bytes=20_000)
    for i in range(300):  # what requests bring is dropped again and again
        assert tight.is_allowed(user, action, resource)
        assert not tight.is_allowed(user, f"s3:Put{i}Secret", f"{bucket(i)}{i}")


def test_pointer_cache_applies_limits_of_session_and_role(directory):
    """A boundary and an SCP for a cached principal; a session, which is not cached."""
    bounded, limited = f"arn:aws:iam::{ACCOUNT}:role/bounded", "arn:aws:iam::222222222222:role/limited"
    everything, gets = document(("Allow", "*", "*")), document(("Allow", "s3:Get*", "*"))
    directory.add_principal(bounded, identity_policies=[everything], permissions_boundary=gets)
    directory.add_principal(limited, identity_policies=[everything])
    directory.set_organization(
        "o-acme123456",
        management_account="999999999999",
        organizational_units={},
        accounts={"222222222222": "r-1"},
        scps={"r-1": [("Gets", gets)]},
        rcps={},
    )
    session = Session(f"arn:aws:sts::{ACCOUNT}:assumed-role/bounded/run", kind="ROLE", issuer=bounded)
    engine = directory.compile()
    for who in (bounded, limited, session):
        for _ in range(ROUNDS):
            assert engine.is_allowed(who, "s3:GetObject", "arn:aws:s3:::b/k")
            assert not engine.is_allowed(who, "s3:PutObject", "arn:aws:s3:::b/k")


def test_pointer_cache_unknown_owner_is_denied(directory):
    """D23: with `unknown_owner="deny"`; the owner may be in the ARN, too."""
    user = f"arn:aws:iam::{ACCOUNT}:user/all"
    directory.add_principal(user, identity_policies=[document(("Allow", "*", "*"))])
    engine = directory.compile(unknown_owner="deny")
    for _ in range(ROUNDS):
        assert not engine.is_allowed(user, "s3:GetObject", "arn:aws:s3:::nobodys/k")
        assert engine.is_allowed(user, "s3:GetObject", f"arn:aws:s3:eu-west-1:{ACCOUNT}:accesspoint/own")


def test_pointer_cache_hit_evaluates_the_context(directory):
    """Contexts with the same keys in another order, other keys, and one that contradicts the directory (K1)."""
    user = f"arn:aws:iam::{ACCOUNT}:user/late"
    when = {"StringEquals": {"app:stage": "live"}, "Bool": {"aws:SecureTransport": "true"}}
    statement = {"Effect": "Allow", "Action": "s3:*", "Resource": "*", "Condition": when}
    directory.add_principal(user, identity_policies=[{"Version": "2012-10-17", "Statement": statement}], tags={"team": "red"})
    engine = directory.compile()
    contexts = [
        ({"app:stage": "live", "aws:SecureTransport": True}, True),
        ({"aws:SecureTransport": True, "app:stage": "live"}, True),
        ({"app:other": "live", "app:stage": "live", "aws:SecureTransport": "true"}, True),
        ({"app:stage": "live"}, False),
        ({"app:stage": "test", "aws:SecureTransport": True}, False),
        ({}, False),
        (None, False),
    ]
    for _ in range(ROUNDS):
        for context, allowed in contexts:
            assert engine.is_allowed(user, "s3:GetObject", "arn:aws:s3:::b/k", context) is allowed
        with pytest.raises(fastiam.RequestValueError):
            engine.is_allowed(user, "s3:GetObject", "arn:aws:s3:::b/k", {"aws:PrincipalTag/team": "blue"})
        with pytest.raises(fastiam.RequestValueError):
            engine.is_allowed(user, "s3:GetObject", "arn:aws:s3:::b/k", {"app:stage": object()})


def test_pointer_cache_first_session_with_a_key_is_evaluated(directory):
    """K1: the cached object that names the key does not cover its value."""
    role, key = f"arn:aws:iam::{ACCOUNT}:role/carried", "app:team"
    statement = {"Effect": "Allow", "Action": "s3:*", "Resource": "*", "Condition": {"StringEquals": {key: "red"}}}
    directory.add_principal(role, identity_policies=[{"Version": "2012-10-17", "Statement": statement}])
    session = Session(f"arn:aws:sts::{ACCOUNT}:assumed-role/carried/x", kind="ROLE", issuer=role, context={key: "blue"})
    engine, asked = directory.compile(), ("s3:GetObject", "arn:aws:s3:::b/k")
    for _ in range(ROUNDS):
        assert engine.is_allowed(role, *asked, {key: "red"})
    for _ in range(ROUNDS):
        assert not engine.is_allowed(session, *asked)
        assert engine.is_allowed(role, *asked, {key: "red"})
        for ask in (engine.is_allowed, engine.decide, lambda *request: engine.decide_each([request])):
            with pytest.raises(fastiam.RequestValueError, match="contradicts the known value `blue`"):
                ask(session, *asked, {key: "red"})


def test_pointer_cache_releases_its_objects(directory):
    engine = directory.compile()
    user, action = "".join((USERS[3][:-1], "3")), "".join(("s3:", "GetObject"))
    before = sys.getrefcount(user), sys.getrefcount(action)
    for _ in range(ROUNDS):
        assert engine.is_allowed(user, action, f"{bucket(3)}x")
    assert (sys.getrefcount(user), sys.getrefcount(action)) != before
    del engine
    gc.collect()
    assert (sys.getrefcount(user), sys.getrefcount(action)) == before


def test_authorize_accepts_named_and_positional_arguments(directory):
    """However a call names its arguments, and whatever it leaves out, it is the same call."""
    engine = directory.compile()
    user, action, resource = USERS[0], "s3:GetObject", f"{bucket(0)}x"
    for ask, answer in ((engine.is_allowed, True), (engine.decide, engine.decide(user, action, resource))):
        assert ask(user, action, resource) == ask(user, action, resource, None) == ask(user, action, resource, {}) == answer
        assert ask(user, action, resource=resource) == ask(principal=user, action=action, resource=resource, context={}) == answer
        assert ask(user, action, resource, unknown=("app:x",), now=None) == answer
        for wrong in ((), (user, action), (user, action, resource, {}, ())):
            with pytest.raises(TypeError, match="positional arguments"):
                ask(*wrong)
        with pytest.raises(TypeError, match="unexpected keyword argument"):
            ask(user, action, resource, where="here")


def test_principal_truths_are_memoized_per_principal_and_engine() -> None:
    users = [f"arn:aws:iam::111111111111:user/{name}" for name in ("ana", "bo", "cy")]
    directory = fastiam.Directory()
    unless_ana = {
        "Effect": "Deny",
        "Action": "s3:Put*",
        "Resource": "*",
        "Condition": {"StringNotEquals": {"aws:username": "ana"}},
    }
    unless_red = {
        "Effect": "Deny",
        "Action": "*",
        "Resource": "*",
        "Condition": {"StringNotEquals": {"aws:PrincipalTag/team": "red"}},
    }
    allow = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    for user in users:
        written = {"Version": "2012-10-17", "Statement": [allow, unless_ana, unless_red]}
        directory.add_principal(user, identity_policies=[written], tags={"team": "blue" if user.endswith("cy") else "red"})
    engine = directory.compile()

    def asked(some: fastiam.Engine) -> list[bool]:
        return [
            some.is_allowed(user, action, "arn:aws:s3:::b/k") for user in users for action in ("s3:PutObject", "s3:GetObject")
        ]

    assert [asked(engine) for _ in range(3)] == [[True, True, False, True, False, False]] * 3
    directory.untag(users[0], ["team"])
    directory.tag(users[2], {"team": "red"})
    later = engine.updated(directory)
    for _ in range(3):
        assert asked(later) == [False, False, False, True, False, True]
        assert asked(engine) == [True, True, False, True, False, False]
