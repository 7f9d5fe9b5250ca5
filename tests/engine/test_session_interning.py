"""Equal sessions are interned as one principal; sessions with any difference are distinct principals."""

from __future__ import annotations

import copy
import pickle
import weakref
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from types import MappingProxyType
from typing import Any

import pytest

from fastiam import Directory, Engine, PrincipalKind, Session
from fastiam.model.session import session_content_key

ACCOUNT = "111111111111"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/app"
RUN = f"arn:aws:sts::{ACCOUNT}:assumed-role/app/run"
OBJECT = "arn:aws:s3:::bucket/blue/key"
NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)


def policy(*resources: str, effect: str = "Allow", **condition: Any) -> dict[str, Any]:
    statement = {
        "Effect": effect,
        "Action": "s3:*",
        "Resource": list(resources),
        **({"Condition": condition} if condition else {}),
    }
    return {"Version": "2012-10-17", "Statement": [statement]}


def session(**more: Any) -> Session:
    """Return a session that shares no object with another one."""
    arguments: dict[str, Any] = {
        "kind": "ROLE",
        "issuer": ROLE,
        "policies": [policy("arn:aws:s3:::bucket/blue/*")],
        "tags": {"team": "blue", "cost": "1"},
        "transitive_tags": ("team",),
        "issued_at": NOON,
        "source_identity": "ana",
        "context": {"saml:sub": "ana", "app:level": 1, "app:list": ["a", "b"], "app:since": NOON, "app:none": None},
    }
    return Session("".join(RUN), **arguments | more)


@pytest.fixture
def engine() -> Engine:
    directory = Directory()
    directory.add_principal(ROLE, identity_policies=[policy("*")])
    return directory.compile()


def test_equal_sessions_are_interned_once(engine: Engine) -> None:
    def ask(n: int) -> Mapping[str, Any]:
        for _ in range(n):
            assert engine.is_allowed(session(), "s3:GetObject", OBJECT) is True
            assert engine.decide(session(), "s3:GetObject", "arn:aws:s3:::bucket/red/key").layer == "session"
        sessions = {f"s{i}": session() for i in range(100)}
        assert engine.decide_many(list(sessions), "s3:GetObject", OBJECT, sessions=sessions).allowed.all()
        return engine.stats()

    before, after = ask(10), ask(1_000)
    assert after["principals"] == before["principals"]
    assert after["bytes"] - before["bytes"] < 4096


def test_only_the_last_equal_session_is_kept(engine: Engine) -> None:
    """A reused `id` would refer to another session."""
    narrow = [policy("arn:aws:s3:::bucket/red/*")]
    made = []
    for i in range(3_000):
        one = session() if i % 3 else session(policies=narrow)
        assert engine.is_allowed(one, "s3:GetObject", OBJECT) is bool(i % 3)
        made.append(weakref.ref(one))
        del one
    assert sum(one() is not None for one in made) < 1_100  # a thread caches 1,024


# pairs that differ, though they are equal in Python or as text
OTHERS: Mapping[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "another name": ({}, {"source_identity": "bob"}),
    "no name": ({}, {"source_identity": None}),
    "no policies and none at all": ({"policies": None}, {"policies": []}),
    "another policy": ({}, {"policies": [policy("arn:aws:s3:::bucket/red/*")]}),
    "policies in another order": (
        {"policies": [policy("arn:aws:s3:::a/*"), policy("arn:aws:s3:::b/*")]},
        {"policies": [policy("arn:aws:s3:::b/*"), policy("arn:aws:s3:::a/*")]},
    ),
    "a policy and its text": ({"policies": ["{}"]}, {"policies": [b"{}"]}),
    "another tag": ({}, {"tags": {"team": "red", "cost": "1"}}),
    "tags that go round": ({"tags": {"a": "b", "c": "d"}}, {"tags": {"a": "d", "c": "b"}}),
    "a tag more": ({}, {"tags": {"team": "blue", "cost": "1", "x": ""}}),
    "another instant": ({}, {"issued_at": NOON + timedelta(microseconds=1)}),
    "MFA": ({}, {"mfa_at": NOON}),
    "a number and a truth": ({"context": {"k": 1}}, {"context": {"k": True}}),
    "an integer and a float": ({"context": {"k": 1}}, {"context": {"k": 1.0}}),
    "the two zeros": ({"context": {"k": 0.0}}, {"context": {"k": -0.0}}),
    "the two zeros in a policy": (
        {"policies": [policy("*", StringEquals={"app:x": 0.0})]},
        {"policies": [policy("*", StringEquals={"app:x": -0.0})]},
    ),
    "a value and a list of it": ({"context": {"k": "a"}}, {"context": {"k": ["a"]}}),
    "a list and one in a list": ({"context": {"k": ["a", "b"]}}, {"context": {"k": [["a", "b"]]}}),
    "nothing and no key": ({"context": {"k": None}}, {"context": {}}),
    "an instant and its text": ({"context": {"k": NOON}}, {"context": {"k": NOON.isoformat()}}),
    "an instant in another time zone": (
        {"context": {"k": NOON}},
        {"context": {"k": NOON.astimezone(timezone(timedelta(hours=1)))}},
    ),
    "a kind and its name": ({"context": {"k": "ROLE"}}, {"context": {"k": PrincipalKind.ROLE}}),
    "text and bytes": ({"context": {"k": "a"}}, {"context": {"k": b"a"}}),
    "a type and what has its name": ({"context": {"k": "a"}}, {"context": {"k": (str, "a")}}),
    "a key of a list and two": ({"context": {"a": ["b"], "c": "d"}}, {"context": {"a": "b", "c": ["d"]}}),
}


@pytest.mark.parametrize(("one", "other"), OTHERS.values(), ids=OTHERS)
def test_sessions_with_any_difference_are_distinct(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert session_content_key(session(**one)) == session_content_key(session(**one))
    assert session_content_key(session(**one)) != session_content_key(session(**other))


class Text(str):
    """Text of another type, which may compare as it likes."""

    __slots__ = ()


INCOMPARABLE: Mapping[str, dict[str, Any]] = {
    "text of another type": {"context": {"app:text": Text("a")}},
    "text of another type in a list": {"context": {"app:list": ["a", Text("b")]}},
}


@pytest.mark.parametrize("more", INCOMPARABLE.values(), ids=INCOMPARABLE)
def test_session_without_content_key_is_decided(engine: Engine, more: dict[str, Any]) -> None:
    assert session_content_key(session(**more)) is None
    before = engine.stats()["principals"]
    for _ in range(3):
        assert engine.is_allowed(session(**more), "s3:GetObject", OBJECT) is True
    assert engine.stats()["principals"] == before + 3


def test_session_subclass_is_not_interned(engine: Engine) -> None:
    class Mine(Session):
        pass

    assert session_content_key(Mine(RUN, kind="ROLE", issuer=ROLE)) is None
    assert session_content_key(RUN) is None
    assert engine.is_allowed(Mine(RUN, kind="ROLE", issuer=ROLE), "s3:GetObject", OBJECT) is True


def test_unreadable_session_is_refused_on_each_call(engine: Engine) -> None:
    assert engine.is_allowed(session(), "s3:GetObject", OBJECT) is True
    for broken in (
        replace(session(), issuer=f"{ROLE}/other"),
        session(policies=["{"]),
    ):
        for _ in range(2):
            with pytest.raises(ValueError, match="app/other|session_policies"):
                engine.is_allowed(replace(broken), "s3:GetObject", OBJECT)
    assert engine.is_allowed(session(), "s3:GetObject", OBJECT) is True


def test_engine_of_the_next_directory_resolves_sessions_again() -> None:
    directory = Directory()
    directory.add_principal(ROLE, identity_policies=[policy("*")])
    engine = directory.compile()
    assert engine.is_allowed(session(), "s3:GetObject", OBJECT) is True
    directory.put_inline_policy(ROLE, "never", policy("*", effect="Deny", StringEquals={"aws:PrincipalTag/team": "blue"}))
    assert engine.updated(directory).is_allowed(session(), "s3:GetObject", OBJECT) is False
    assert engine.is_allowed(session(), "s3:GetObject", OBJECT) is True


def test_dropped_sessions_are_interned_again() -> None:
    directory = Directory()
    directory.add_principal(ROLE, identity_policies=[policy("*")])
    engine = Engine.from_snapshot(directory.snapshot(), cache_bytes=20_000)
    for i in range(400):
        assert engine.is_allowed(session(), "s3:GetObject", OBJECT) is True
        assert engine.is_allowed(session(source_identity=f"u{i}"), "s3:GetObject", "arn:aws:s3:::bucket/red/key") is False
    assert engine.stats()["generation"] > 1


def test_session_with_a_recursive_policy_is_refused(engine: Engine) -> None:
    deep: list[Any] = []
    deep.append(deep)
    assert session_content_key(session(policies=[{"Statement": deep}])) is None
    with pytest.raises(ValueError, match="session_policies"):
        engine.is_allowed(session(policies=[{"Statement": deep}]), "s3:GetObject", OBJECT)


def test_policy_shared_by_sessions_is_parsed_once(engine: Engine) -> None:
    """As text and as a mapping, each by itself; what is changed later is another one."""
    shared = policy("arn:aws:s3:::bucket/blue/*")
    assert engine.is_allowed(session(source_identity="a", policies=[shared]), "s3:GetObject", OBJECT) is True
    before = engine.stats()["bodies"]
    for i in range(20):
        assert engine.is_allowed(session(source_identity=f"b{i}", policies=[dict(shared)]), "s3:GetObject", OBJECT) is True
    assert engine.stats()["bodies"] == before
    shared["Statement"][0]["Effect"] = "Deny"
    assert engine.is_allowed(session(source_identity="c", policies=[shared]), "s3:GetObject", OBJECT) is False


def test_session_after_its_arguments_change_is_unchanged(engine: Engine) -> None:
    """Neither its `repr` nor its decisions change, before or after the first decision."""
    tags, context, list_ = {"team": "blue"}, {"app:list": ["a"]}, ["b"]
    shared = policy("*")
    context["app:other"] = list_
    made = [session(tags=tags, context=context, policies=[shared]) for _ in range(2)]
    proxied = session(tags=MappingProxyType(tags), policies=[MappingProxyType(shared)])
    shown = [repr(each) for each in (*made, proxied)]
    assert engine.is_allowed(made[0], "s3:GetObject", OBJECT) is True
    tags["team"] = "red"
    context["app:more"] = ["x"]
    list_.append("c")
    shared["Statement"][0]["Effect"] = "Deny"
    assert [repr(each) for each in (*made, proxied)] == shown
    assert [engine.is_allowed(each, "s3:GetObject", OBJECT) for each in (*made, proxied)] == [True] * 3
    assert made[0] == made[1] and session_content_key(made[0]) == session_content_key(made[1]) is not None


CHANGES = {
    "a tag": lambda made: made.tags.update(team="red"),
    "a new tag": lambda made: made.tags.__setitem__("x", "y"),
    "no tag": lambda made: made.tags.pop("team"),
    "another key": lambda made: made.context.setdefault("app:x", "y"),
    "a value of a list": lambda made: made.context["app:list"].append("b"),
    "a policy": lambda made: made.policies.append(policy("*")),
    "an effect": lambda made: made.policies[0]["Statement"][0].__setitem__("Effect", "Deny"),
    "joined tags": lambda made: made.tags.__ior__({"team": "red"}),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_session_cannot_be_changed(change: Any) -> None:
    """A change after the first decision would be ignored, one before it would count."""
    made = session(tags={"team": "blue"}, context={"app:list": ["a"]}, policies=[policy("*")])
    before = session_content_key(made)
    with pytest.raises((TypeError, AttributeError)):
        change(made)
    assert session_content_key(made) == before
    copies = [copy.deepcopy(made), pickle.loads(pickle.dumps(made)), replace(made)]
    assert copies == [made] * 3 and {session_content_key(each) for each in copies} == {before}
    for each in copies:
        with pytest.raises((TypeError, AttributeError)):
            change(each)
    assert dict(made.tags) | {"team": "red"} == {"team": "red"}
