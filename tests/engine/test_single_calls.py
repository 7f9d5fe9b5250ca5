"""Single calls and lists of requests: common requests take the fast path on Python objects, others the general path.

Invariant: the path changes only the time. A new engine takes the general path for each request, because names, plans and keys
are new to it. A repeated request takes the fast path. Lists prefetch later requests.
"""

from __future__ import annotations

import gc
import inspect
import sys
import threading
import weakref
from collections import UserDict
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from differential import World, difference_between
from hypothesis import given, settings
from policy_generators import directories

import fastiam
from fastiam import Engine, LiveEngine, Outcome, Session
from fastiam._core import Core
from fastiam.errors import FastiamError, LimitError, RequestValueError

A, B = "111111111111", "222222222222"
ADMIN, BOUND = f"arn:aws:iam::{A}:user/admin", f"arn:aws:iam::{A}:user/bound"
ANA, APP, GUEST = f"arn:aws:iam::{A}:user/ana", f"arn:aws:iam::{A}:role/app", f"arn:aws:iam::{A}:user/guest"
RUN = f"arn:aws:sts::{A}:assumed-role/app/run"
OBJECT, QUEUE, THEIRS = "arn:aws:s3:::bucket/key", f"arn:aws:sqs:eu-west-1:{A}:q", f"arn:aws:sqs:eu-west-1:{B}:q"
NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)


CONTEXT_OF_41_KEYS = {f"x:{i}": "1" for i in range(40)} | {"app:stage": "live"}


def document(*statements):
    return {"Version": "2012-10-17", "Statement": list(statements)}


def statement(effect, action, resource="*", **condition):
    return {"Effect": effect, "Action": action, "Resource": resource, **({"Condition": condition} if condition else {})}


WORK = document(
    {"Sid": "Read", **statement("Allow", ["s3:Get*", "iam:*"])},
    {"Sid": "NoSecrets", **statement("Deny", "s3:GetSecret*")},
    {"Sid": "Live", **statement("Allow", "sqs:*", StringEquals={"app:stage": ["live", "7", "true", "2.5", "é"]})},
    {"Sid": "Any", **statement("Allow", "sqs:*", **{"ForAnyValue:StringEquals": {"app:stages": "live"}})},
    {"Sid": "Tags", **statement("Allow", "sqs:*", **{"ForAnyValue:StringEquals": {"aws:TagKeys": "Team"}})},
    {"Sid": "Gone", **statement("Allow", "sqs:Purge*", Null={"app:stage": "true"})},
    {"Sid": "Late", **statement("Allow", "sns:*", DateGreaterThan={"aws:CurrentTime": "2029-01-01T00:00:00Z"})},
    {"Sid": "Own", **statement("Allow", "dynamodb:*", f"arn:aws:dynamodb:*:{A}:table/${{aws:username}}")},
)


@pytest.fixture(scope="module")
def directory():
    directory = fastiam.Directory()
    directory.add_principal(ANA, identity_policies=[("Work", WORK)], tags={"team": "red"})
    directory.add_principal(APP, identity_policies=[("Work", WORK)])
    directory.add_principal(GUEST)
    directory.add_principal(ADMIN, identity_policies=[("All", document(statement("Allow", "*")))])
    everything = document(statement("Allow", "*"))
    directory.add_principal(BOUND, identity_policies=[("All", everything)], permissions_boundary=("Some", WORK))
    directory.add_resource("arn:aws:s3:::theirs", account=B)
    return directory


class Text(str):
    """Text of another type."""

    __slots__ = ()


class Shouting(str):
    """Text whose comparison runs Python code."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other):
        gc.collect()
        return str.__eq__(self, other)


SESSION = Session(RUN, kind="ROLE", issuer=APP)
NARROW = Session(RUN, kind="ROLE", issuer=APP, policies=[document(statement("Allow", "s3:*", "arn:aws:s3:::bucket/*"))])
BROKEN = Session(RUN, kind="ROLE", issuer=APP, policies=[{"Version": "2012-10-17", "Statement": [{"Effect": "Maybe"}]}])

# requests and keywords: principal, action, resource, context, keywords
REQUESTS = {
    "nothing but the three": (ANA, "s3:GetObject", OBJECT),
    "an empty context": (ANA, "s3:GetObject", OBJECT, {}),
    "a context of None": (ANA, "s3:GetObject", OBJECT, None),
    "a Deny": (ANA, "s3:GetSecret", OBJECT, {}),
    "an action in another case": (ANA, "S3:getOBJECT", OBJECT, {}),
    "an action that is new": (ANA, "s3:GetUnheardOf", OBJECT, {}),
    "an action of no service": (ANA, "made:Up", OBJECT, {}),
    "no action": (ANA, "GetObject", OBJECT, {}),
    "an action with a wildcard": (ANA, "s3:Get*", OBJECT, {}),
    "an action that is not text": (ANA, 7, OBJECT, {}),
    "an action of another type": (ANA, Text("s3:GetObject"), OBJECT, {}),
    "an action with a lone surrogate": (ANA, "s3:Get\ud800", OBJECT, {}),
    "a principal of another type": (Text(ANA), "s3:GetObject", OBJECT, {}),
    "a principal without a record": (f"arn:aws:iam::{A}:user/missing", "s3:GetObject", OBJECT, {}),
    "a principal that is none": ("ana", "s3:GetObject", OBJECT, {}),
    "a principal that is not text": (None, "s3:GetObject", OBJECT, {}),
    "a principal with a lone surrogate": (ANA + "\ud800", "s3:GetObject", OBJECT, {}),
    "a user without policies": (GUEST, "s3:GetObject", OBJECT, {}),
    "the root of an account": (f"arn:aws:iam::{A}:root", "s3:GetObject", OBJECT, {}),
    "a service": ("lambda.amazonaws.com", "s3:GetObject", OBJECT, {}),
    "an anonymous principal": ("*", "s3:GetObject", OBJECT, {}),
    "a session": (SESSION, "s3:GetObject", OBJECT, {}),
    "a session that is narrowed": (NARROW, "s3:GetObject", "arn:aws:s3:::other/key", {}),
    "a session whose policy cannot be read": (BROKEN, "s3:GetObject", OBJECT, {}),
    "a resource of `*`": (ANA, "s3:GetObject", "*", {}),
    "a resource of another type": (ANA, "s3:GetObject", Text(OBJECT), {}),
    "a resource that is none": (ANA, "s3:GetObject", "bucket", {}),
    "a resource of five fields": (ANA, "s3:GetObject", "arn:aws:s3::bucket", {}),
    "a resource with a lone surrogate": (ANA, "s3:GetObject", OBJECT + "\ud800", {}),
    "a resource beyond ASCII": (ANA, "s3:GetObject", OBJECT + "ß\U0001f600", {}),
    "a resource of more colons": (ANA, "s3:GetObject", OBJECT + ":x:y", {}),
    "a long resource": (ANA, "s3:GetObject", OBJECT + "x" * 100_000, {}),
    "a resource of another account": (ANA, "sqs:SendMessage", THEIRS, {"app:stage": "live"}),
    "a bucket of another account": (ANA, "s3:GetObject", "arn:aws:s3:::theirs/key", {}),
    "a resource of another partition": (ANA, "s3:GetObject", "arn:aws-cn:s3:::bucket/key", {}),
    "a resource of AWS": (ANA, "iam:GetPolicy", "arn:aws:iam::aws:policy/ReadOnlyAccess", {}),
    "a policy that AWS owns": (ANA, "iam:DeletePolicy", "arn:aws:iam::aws:policy/ReadOnlyAccess", {}),
    "a role that is passed": (ANA, "iam:PassRole", APP, {}),
    "a service-linked role": (ANA, "iam:DeleteRole", f"arn:aws:iam::{A}:role/aws-service-role/x.amazonaws.com/R", {}),
    "a key of KMS, which needs a policy": (ADMIN, "kms:DescribeKey", f"arn:aws:kms:eu-west-1:{A}:key/k", {}),
    "an alias of KMS": (ADMIN, "kms:DescribeKey", f"arn:aws:kms:eu-west-1:{A}:alias/k", {}),
    "an alias that AWS owns": (ADMIN, "kms:DeleteAlias", f"arn:aws:kms:eu-west-1:{A}:alias/aws/s3", {}),
    "a policy of AWS and an administrator": (ADMIN, "iam:DeletePolicy", "arn:aws:iam::aws:policy/ReadOnlyAccess", {}),
    "within a boundary": (BOUND, "s3:GetObject", OBJECT, {}),
    "beyond a boundary": (BOUND, "s3:PutObject", OBJECT, {}),
    "a session token": (ADMIN, "sts:GetSessionToken", "*", {}),
    "a source identity": (ADMIN, "sts:SetSourceIdentity", APP, {}),
    "an administrator and another's queue": (ADMIN, "sqs:SendMessage", THEIRS, {}),
    "who am I": (ANA, "sts:GetCallerIdentity", "*", {}),
    "a role that is assumed": (ANA, "sts:AssumeRole", APP, {}),
    "federation, where a name may be a provider": ("accounts.google.com", "sts:AssumeRoleWithWebIdentity", APP, {}),
    "a variable": (ANA, "dynamodb:GetItem", f"arn:aws:dynamodb:eu-west-1:{A}:table/ana", {}),
    "a variable that says another": (ANA, "dynamodb:GetItem", f"arn:aws:dynamodb:eu-west-1:{A}:table/eva", {}),
    "a condition": (ANA, "sqs:SendMessage", QUEUE, {"app:stage": "live"}),
    "a condition that does not hold": (ANA, "sqs:SendMessage", QUEUE, {"app:stage": "test"}),
    "a key in another case": (ANA, "sqs:SendMessage", QUEUE, {"APP:Stage": "live"}),
    "a key in two spellings that agree": (ANA, "sqs:SendMessage", QUEUE, {"app:stage": "live", "App:Stage": "live"}),
    "a key in two spellings that do not": (ANA, "sqs:SendMessage", QUEUE, {"app:stage": "live", "App:Stage": "test"}),
    "a key with a null": (ANA, "sqs:PurgeQueue", QUEUE, {"app:stage": None}),
    "a key of another type": (ANA, "sqs:SendMessage", QUEUE, {Text("app:stage"): "live"}),
    "a key whose comparison runs code": (ANA, "sqs:SendMessage", QUEUE, {Shouting("app:stage"): "live"}),
    "a key that is not text": (ANA, "sqs:SendMessage", QUEUE, {7: "live"}),
    "a key with a lone surrogate": (ANA, "sqs:SendMessage", QUEUE, {"app:stage\ud800": "live"}),
    "a value beyond ASCII": (ANA, "sqs:SendMessage", QUEUE, {"app:stage": "é"}),
    "a value with a lone surrogate": (ANA, "sqs:SendMessage", QUEUE, {"app:stage": "\ud800"}),
    "an unused value with a lone surrogate": (ANA, "sqs:SendMessage", QUEUE, {"app:stage": "live", "x:y": "\ud800"}),
    "a value of another type": (ANA, "sqs:SendMessage", QUEUE, {"app:stage": Text("live")}),
    "a bool": (ANA, "sqs:SendMessage", QUEUE, {"app:stage": True}),
    "the other bool": (ANA, "sqs:SendMessage", QUEUE, {"app:stage": False}),
    "an int": (ANA, "sqs:SendMessage", QUEUE, {"app:stage": 7}),
    "a float": (ANA, "sqs:SendMessage", QUEUE, {"app:stage": 2.5}),
    "a decimal": (ANA, "sqs:SendMessage", QUEUE, {"app:stage": Decimal("2.5")}),
    "no number": (ANA, "sqs:SendMessage", QUEUE, {"app:stage": float("nan")}),
    "a time": (ANA, "sns:Publish", "*", {"aws:CurrentTime": datetime(2020, 1, 1, tzinfo=UTC)}),
    "a time without a zone": (ANA, "sns:Publish", "*", {"aws:CurrentTime": datetime(2020, 1, 1)}),
    "a list": (ANA, "sqs:SendMessage", QUEUE, {"app:stages": ["test", "live"]}),
    "an empty list": (ANA, "sqs:SendMessage", QUEUE, {"app:stages": []}),
    "a list for a key of one value": (ANA, "sqs:SendMessage", QUEUE, {"aws:PrincipalArn": [ANA, ANA]}),
    "a value that is nothing": (ANA, "sqs:SendMessage", QUEUE, {"app:stage": object()}),
    "unused keys": (ANA, "sqs:SendMessage", QUEUE, {"x:a": "1", "x:b": True, "app:stage": "live"}),
    "more keys than the fast path reads": (
        ANA,
        "sqs:SendMessage",
        QUEUE,
        {f"x:{i}": "1" for i in range(40)} | {"app:stage": "live"},
    ),
    "a request tag": (ANA, "sqs:TagQueue", QUEUE, {"aws:RequestTag/Team": "red"}),
    "a request tag in another case": (ANA, "sqs:TagQueue", QUEUE, {"aws:RequestTag/team": "red"}),
    "a tag of the directory": (ANA, "s3:GetObject", OBJECT, {"aws:PrincipalTag/team": "red"}),
    "a tag that contradicts the directory": (ANA, "s3:GetObject", OBJECT, {"aws:PrincipalTag/team": "blue"}),
    "a mapping that is not a dict": (ANA, "sqs:SendMessage", QUEUE, UserDict({"app:stage": "live"})),
    "a context that is none": (ANA, "sqs:SendMessage", QUEUE, [("app:stage", "live")]),
    "a context of text": (ANA, "sqs:SendMessage", QUEUE, "app:stage"),
}
KEYWORDS = {
    "an owner": {"resource_account": A},
    "another owner": {"resource_account": B},
    "an owner that is none": {"resource_account": "123"},
    "an owner that is not text": {"resource_account": 7},
    "an unknown key": {"unknown": ["app:stage"]},
    "unknown keys": {"unknown": ["app:*", "aws:RequestTag/*"]},
    "unknown of a type that it cannot have": {"unknown": 7},
    "a time before": {"now": datetime(2020, 1, 1, tzinfo=UTC)},
    "a time without a zone": {"now": datetime(2020, 1, 1)},
}


def result_of(call, *arguments, **keywords):
    """Return the result of a call, or class, message and column of its error."""
    try:
        return call(*arguments, **keywords)
    except (FastiamError, TypeError, ValueError) as error:
        return type(error), getattr(error, "message", str(error)), getattr(error, "column", None)


def decided_by_each_call(engine, request_, **keywords):
    """Return the decision of a request, which must be equal in each call."""
    found = result_of(engine.decide, *request_, **keywords)
    allowed = result_of(engine.is_allowed, *request_, **keywords)
    assert allowed == (found.allowed if isinstance(found, fastiam.Decision) else found)
    if "resource_account" in keywords:
        return found
    row = tuple(request_)
    for call, one in ((engine.decide_each, found), (engine.are_allowed, allowed)):
        several = result_of(call, [row, row], **keywords)
        assert several == ([one, one] if not isinstance(one, tuple) or isinstance(one, fastiam.Decision) else one)
    return found


# -- equal decisions on each path ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
def test_request_is_decided_as_by_a_new_engine(directory, engine, request_):
    for name, keywords in {"no keywords": {}, **KEYWORDS}.items():
        fresh = result_of(directory.compile().decide, *request_, **({"now": NOW} | keywords))
        for _ in range(3):
            assert decided_by_each_call(engine, request_, **({"now": NOW} | keywords)) == fresh, name


@pytest.fixture(scope="module")
def engine(directory):
    """One engine for all requests, so that each finds the cache entries of the others."""
    return directory.compile()


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(directories())
def test_lists_single_calls_and_batches_decide_equally(case):
    world = World(case)
    engine = world.compile()
    singles = [world.single(engine, row) for row in world.rows]
    for others in (world.listed(engine), world.listed(engine), world.batch(engine, "arrow")):
        for one, other in zip(singles, others, strict=True):
            assert difference_between(one, other) is None


def test_pointer_cache_is_not_shared_between_engines(directory):
    """An engine does not use the pointer cache of another one, even over the same tables."""
    first = directory.compile()
    assert first.is_allowed(ANA, "s3:GetObject", OBJECT)
    with_less = fastiam.Directory()
    with_less.add_principal(ANA)
    second = first.updated(with_less)
    assert not second.is_allowed(ANA, "s3:GetObject", OBJECT)
    assert first.is_allowed(ANA, "s3:GetObject", OBJECT)


def test_engine_defaults_apply_on_each_path(directory):
    engine = directory.compile(context_defaults={"app:stage": "live"})
    for _ in range(2):
        assert decided_by_each_call(engine, (ANA, "sqs:SendMessage", QUEUE)).allowed
        assert not decided_by_each_call(engine, (ANA, "sqs:SendMessage", QUEUE, {"app:stage": "test"})).allowed


# -- pointer cache -------------------------------------------------------------------------------------------------------


def spelled(*parts):
    """Return a new text object, equal to others."""
    return "".join(parts)


def test_texts_at_reused_addresses_are_distinguished(directory):
    """Each text is freed immediately, so that the next one can have its address."""
    engine = directory.compile()
    for i in range(3_000):
        own = f"arn:aws:dynamodb:eu-west-1:{A}:table/" + ("ana" if i % 3 else "eva")
        action = ("sqs:SendMessage", "dynamodb:GetItem")[i % 2]
        resource = own if i % 2 else QUEUE
        who = spelled(ANA[:-3], "ana") if i % 5 else spelled(ANA[:-3], "guest")
        key = spelled("app:", "stage" if i % 7 else "stagf")
        expected = who == ANA and (resource.endswith("ana") if i % 2 else bool(i % 7))
        assert engine.is_allowed(who, spelled(action), resource, {key: spelled("li", "ve")}) is expected


def test_sessions_at_reused_addresses_are_distinguished(directory):
    engine = directory.compile()
    for i in range(1_500):
        bucket = "bucket" if i % 3 else "other"
        policy = document(statement("Allow", "s3:*", f"arn:aws:s3:::{bucket}/*"))
        one = Session(RUN, kind="ROLE", issuer=APP, policies=[policy])
        assert engine.is_allowed(one, "s3:GetObject", OBJECT) is bool(i % 3)
        assert engine.is_allowed(one, "s3:GetObject", OBJECT) is bool(i % 3)


def test_session_with_the_id_of_an_evicted_one_has_its_own_tags():
    """Truths of conditions on principal tags are memoized by the id of the principal, and an eviction frees the id."""
    directory = fastiam.Directory()
    only_red = statement("Allow", "s3:*", StringEquals={"aws:PrincipalTag/team": "red"})
    directory.add_principal(APP, identity_policies=[document(only_red)])
    engine = directory.compile()
    sessions = {team: Session(RUN, kind="ROLE", issuer=APP, tags={"team": team}) for team in ("red", "blue")}
    for team in ("red", "blue", "red"):
        for _ in range(3):
            assert engine.is_allowed(sessions[team], "s3:GetObject", OBJECT) is (team == "red")
        engine.resolver.compiler.drop()


def test_pointer_cache_is_freed_with_the_engine(directory):
    engine = directory.compile()
    one = Session(RUN, kind="ROLE", issuer=APP)
    assert engine.are_allowed([(one, "s3:GetObject", OBJECT)] * 3) == [True] * 3
    watched = weakref.ref(engine)
    counts = sys.getrefcount(one)
    del engine
    gc.collect()
    assert watched() is None
    assert sys.getrefcount(one) < counts


def test_reference_counts_are_balanced(directory):
    engine = directory.compile()
    parts = [spelled(ANA), spelled("s3:", "GetObject"), spelled(OBJECT, "/x"), {spelled("app:", "stage"): spelled("li", "ve")}]
    row = tuple(parts)
    rows = [row] * 50
    engine.are_allowed(rows)
    before = [sys.getrefcount(part) for part in (*parts, *parts[3], *parts[3].values(), row, rows)]
    for _ in range(100):
        engine.are_allowed(rows)
        engine.decide_each(rows)
        engine.is_allowed(*row)
        engine.decide(*row)
    assert [sys.getrefcount(part) for part in (*parts, *parts[3], *parts[3].values(), row, rows)] == before


# -- lists ---------------------------------------------------------------------------------------------------------------------


def many(n):
    """Return requests of many kinds and their decisions."""
    kinds = [
        ((ANA, "s3:GetObject", OBJECT), True),
        ((ANA, "s3:GetSecret", OBJECT, None), False),
        ((ANA, "sqs:SendMessage", QUEUE, {"app:stage": "live"}), True),
        ((ANA, "sqs:SendMessage", QUEUE, {"app:stage": 7}), True),
        ((GUEST, "s3:GetObject", OBJECT, {}), False),
        ((SESSION, "s3:GetObject", OBJECT, {"x:y": True}), True),
        ((NARROW, "s3:GetObject", "arn:aws:s3:::other/k", {}), False),
        ((f"arn:aws:iam::{A}:user/missing", "s3:GetObject", OBJECT), False),
        ((ANA, "sqs:SendMessage", THEIRS, {"app:stage": ["live"]}), False),
    ]
    picked = [kinds[(i * i + i // 7) % len(kinds)] for i in range(n)]
    return [one for one, _ in picked], [answer for _, answer in picked]


@pytest.mark.parametrize("n", [0, 1, 2, 8, 9, 23, 24, 25, 31, 32, 33, 63, 64, 65, 500, 4_095, 4_096, 4_097, 10_000])
def test_a_list_of_any_length_is_answered_in_order(directory, n):
    engine = directory.compile()
    rows, expected = many(n)
    for _ in range(2):
        assert engine.are_allowed(rows) == expected
        assert [one.allowed for one in engine.decide_each(rows)] == expected


@pytest.mark.parametrize(
    "shape", [list, tuple, iter, lambda rows: (row for row in rows), lambda rows: dict.fromkeys(rows).keys()]
)
def test_requests_can_be_any_iterable(engine, shape):
    rows = [(ANA, "s3:GetObject", OBJECT), (ANA, "s3:GetSecret", OBJECT)]
    assert engine.are_allowed(shape(rows)) == [True, False]


def test_a_named_tuple_is_a_request(engine):
    from typing import NamedTuple

    class Asked(NamedTuple):
        who: str
        what: str
        on: str
        context: dict[str, str] | None = None

    assert engine.are_allowed([Asked(ANA, "s3:GetObject", OBJECT), Asked(ANA, "s3:GetSecret", OBJECT)] * 20) == [True, False] * 20


NO_LISTS = (
    *(None, 7, ANA, b"x", (None,), ["abc"], [()]),
    *([[ANA, "s3:GetObject", OBJECT]], [(ANA, "s3:GetObject")], [(ANA, "s3:GetObject", OBJECT, {}, A)]),
)


@pytest.mark.parametrize("requests", NO_LISTS)
def test_invalid_list_of_requests_is_refused(engine, requests):
    for call in (engine.are_allowed, engine.decide_each):
        with pytest.raises(RequestValueError, match="is no") as caught:
            call(requests)
        assert caught.value.column == "requests"
        assert "(principal, action, resource" in caught.value.hint


@pytest.mark.parametrize("place", [0, 1, 20, 39])
def test_an_error_names_its_row(engine, place):
    rows = [(ANA, "s3:GetObject", OBJECT)] * 40
    for broken, column in (((ANA, "Get", OBJECT), "action"), ((ANA, "s3:GetObject", "x"), "resource"), ((ANA,), "requests")):
        rows[place] = broken
        for call in (engine.are_allowed, engine.decide_each):
            with pytest.raises(RequestValueError) as caught:
                call(rows)
            assert (caught.value.row, caught.value.column) == (place, column)
            assert f"row {place}" in str(caught.value)


def test_session_error_names_its_row(engine):
    with pytest.raises(FastiamError) as caught:
        engine.are_allowed([(ANA, "s3:GetObject", OBJECT), (BROKEN, "s3:GetObject", OBJECT)])
    assert caught.value.__notes__ == ["row 1"]


class FullTables:
    """The lock of the tables, under which these are full from a moment on."""

    is_full = False

    def __enter__(self):
        if self.is_full:
            raise LimitError("a table of the engine is full")

    def __exit__(self, *_):
        pass


def test_plan_build_error_names_its_row(directory):
    resolver = directory.compile().resolver
    resolver.lock = lock = FullTables()
    core = Core(resolver)
    known = [(ANA, "s3:GetObject", OBJECT), (ADMIN, "iam:GetUser", "*")] * 2
    for call in (core.are_allowed, core.decide_each) * 2:
        call(known)  # from now on these need nothing of the tables that is not there
    lock.is_full = True
    for call in (core.are_allowed, core.decide_each):
        with pytest.raises(LimitError) as caught:
            call([*known, (ADMIN, "s3:GetObject", OBJECT)])  # its plan is missing
        assert caught.value.__notes__ == ["row 4"]


def test_unknown_keys_and_time_apply_to_all_requests(engine):
    rows = [(ANA, "sqs:SendMessage", QUEUE), (ANA, "s3:GetObject", OBJECT), (ANA, "sns:Publish", "*")]
    decisions = engine.decide_each(rows, unknown=["app:stage"], now=NOW)
    assert [one.outcome for one in decisions] == [Outcome.DEPENDS, Outcome.ALLOW, Outcome.ALLOW]
    assert decisions[0].depends_on == ("app:stage",)
    assert engine.are_allowed(rows, unknown=["app:stage"], now=NOW) == [False, True, True]
    assert engine.are_allowed(rows, now=NOW - timedelta(days=3_000)) == [False, True, False]
    with pytest.raises(RequestValueError) as caught:
        engine.are_allowed([*rows, (ANA, "sqs:SendMessage", QUEUE, {"app:stage": "live"})], unknown=["app:stage"])
    assert caught.value.row == 3


class Meddling(UserDict):
    """A context that changes the list while it is read, as another thread might."""

    def items(self):
        del self.rows[6:]
        gc.collect()
        return super().items()


def test_list_that_shrinks_is_decided_up_to_its_end(directory):
    rows = [(ANA, "s3:GetObject", spelled(OBJECT, str(i))) for i in range(60)]
    meddling = Meddling({"app:stage": "live"})
    meddling.rows = rows
    rows[3] = (ANA, "s3:GetObject", OBJECT, meddling)
    assert directory.compile().are_allowed(rows) == [True] * 6


def test_lists_and_single_calls_run_concurrently(directory):
    """Each decision is that of a single thread, while the interpreter switches as often as possible."""
    engine = Engine.from_snapshot(directory.snapshot(), cache_bytes=100_000)  # the run-time cache is dropped often
    rows, expected = many(3_000)
    wrong = []

    def ask_lists():
        for _ in range(4):
            if engine.are_allowed(rows) != expected:
                wrong.append("a list")

    def ask_singly():
        for i in range(4_000):
            if engine.is_allowed(*rows[i % 3_000]) is not expected[i % 3_000]:
                wrong.append("a single call")
            engine.is_allowed(ANA, f"s3:GetNew{i}", OBJECT)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=job) for job in (ask_lists, ask_lists, ask_singly, ask_singly)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert not wrong


def test_a_live_engine_answers_lists(directory):
    live = LiveEngine(directory)
    assert live.are_allowed([(ANA, "s3:GetObject", OBJECT)]) == [True]
    assert live.decide_each([(ANA, "s3:GetSecret", OBJECT)])[0].statement.sid == "NoSecrets"


@pytest.mark.parametrize("name", ["is_allowed", "decide", "are_allowed", "decide_each"])
def test_public_calls_document_their_arguments(name):
    signature = inspect.signature(getattr(Engine, name))
    assert list(signature.parameters)[0] == "self"
    assert "now" in signature.parameters
    assert inspect.getdoc(getattr(Engine, name))
