"""Values of a context as Python has them: a single call reads what the reference does, or it is the same error."""

from __future__ import annotations

import gc
from collections import UserDict
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any

import pytest
from specification import explained_decision

import fastiam
from fastiam import Outcome
from fastiam.errors import RequestValueError

ACCOUNT = "111111111111"
USER = f"arn:aws:iam::{ACCOUNT}:user/ann"
CONDITIONS: list[dict[str, Any]] = [
    {"ForAllValues:StringLike": {"app:list": ["${aws:username}*", "t-*"]}},
    {"ForAnyValue:StringEquals": {"aws:TagKeys": ["a", "7"]}},
    {"StringEquals": {"app:list": "t-1"}},
    {"NumericLessThanIfExists": {"s3:max-keys": "10"}},
    {"StringEquals": {"app:list": "-9223372036854775808"}},
    {"Bool": {"aws:SecureTransport": "true"}},
    {"StringEquals": {"aws:UserAgent": "x"}},
    {"StringLike": {"aws:CurrentTime": ["2026-11-27T12:00:00Z", "0007-11-27T12:00:00.000001Z"]}},
    {
        "StringEquals": {
            "app:list": ["1", "-0", "0.1", "-0.00012345678901234567", "123456789012345.6", "10000000000000000", "0.00001", "2.5"]
        }
    },
]
CONDITIONS += [{"Null": {"app:list": "true"}}, {"Null": {"aws:TagKeys": "false"}}, {"StringNotEquals": {"app:list": "t-1"}}]
NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
CONTEXTS: list[dict[str, Any]] = [
    {},
    {"app:list": ["t-1"]},
    {"app:list": "t-1"},
    {"app:list": ("t-1", "ann-2", "t-3")},
    {"app:list": ["t-1", "b"]},
    {"app:list": []},
    {"app:list": [1, 2]},
    {"app:list": -(2**63)},
    {"app:list": 2**63 - 1},
    {"app:list": 2**70},
    {"app:list": [2**70, "t-1"]},
    {"app:list": [["t-1"]]},
    {"app:list": [None]},
    {"app:list": ["\ud800"]},
    {"app:list": None},
    {"app:list": None, "App:List": "t-1"},
    {"app:list": "t-1", "App:List": None},
    {"aws:TagKeys": None, "app:list": "t-1"},
    {"aws:RequestTag/a": None, "aws:RequestTag/b": "1"},
    {"s3:max-keys": None, "aws:SecureTransport": None},
    {"aws:PrincipalTag/x": None, "aws:MultiFactorAuthPresent": None},
    {"app:unused": None},
    {"aws:TagKeys": ["b", "a"]},
    {"aws:TagKeys": ("a",)},
    {"aws:TagKeys": [True, 7]},
    {"aws:TagKeys": "a"},
    {"s3:max-keys": 9},
    {"s3:max-keys": [9]},
    {"s3:max-keys": 0},
    {"s3:max-keys": -3},
    {"s3:max-keys": 10.0},
    {"aws:SecureTransport": [True]},
    {"aws:SecureTransport": [True, False]},
    {"aws:SecureTransport": True, "aws:TagKeys": ["a"], "app:list": ["t-1", "t-2"], "s3:max-keys": 1},
    {"aws:UserAgent": ["x", "x"]},
    {"aws:UserAgent": ("x",)},
    {"app:unused": [1, 2, 3]},
    {"app:unused": []},
    {"app:unused": NOON},
    {"app:unused": NOON.replace(tzinfo=None)},
    {"app:unused": float("nan")},
    {"aws:CurrentTime": NOON},
    {"aws:CurrentTime": NOON.replace(year=7, microsecond=1)},
    {"aws:CurrentTime": NOON.astimezone(timezone(timedelta(hours=1)))},
    {"app:list": [NOON, 1.5, "t-1"]},
    *({"app:list": number} for number in (1.0, -0.0, 0.1, -0.00012345678901234567, 123456789012345.6, 1e16, 1e-5, 1e300, 2.50)),
    {"app:unused": [None]},
    {"app:unused": 7, "app:list": ["t-1", "t-2"]},
    {"aws:Referer": ["two", "values"]},
    {"aws:ResourceTag/unused": ["of", "one value"]},
    {"aws:ResourceTag/unused": ["of one value"]},
    {"aws:Referer": ["two values"]},
    {"aws:CalledVia": ["read.amazonaws.com", "by.amazonaws.com"]},
    {f"app:{i}": i for i in range(12)} | {"app:list": 3},
    {"app:list": [str(i) for i in range(60)], "aws:TagKeys": list(range(60))},
]


@pytest.fixture(scope="module")
def engine() -> fastiam.Engine:
    """An action for each condition."""
    statements = [
        {"Effect": "Allow", "Action": f"s3:Act{i}", "Resource": "*", "Condition": one} for i, one in enumerate(CONDITIONS)
    ]
    directory = fastiam.Directory(quotas=None)
    directory.add_principal(USER, identity_policies=[{"Version": "2012-10-17", "Statement": statements}])
    return directory.compile()


@pytest.mark.parametrize("context", CONTEXTS, ids=lambda one: repr(one)[:40])
def test_value_is_read_as_by_the_reference(engine: fastiam.Engine, context: dict[str, Any]) -> None:
    """C4, C5, C24; repeated, because the fast path reads the objects after their names are interned."""
    for i, condition in enumerate(CONDITIONS):
        request = USER, f"s3:Act{i}", "arn:aws:s3:::b/k", context
        try:
            expected = explained_decision(engine, *request)
        except RequestValueError as error:
            assert_is_refused(engine, request, str(error))
            continue
        for _ in range(3):
            found = engine.decide(*request)
            assert (found.outcome, found.indeterminate) == (expected.outcome, expected.indeterminate), condition
            answers = engine.are_allowed([request] * 3)
            assert answers == [engine.is_allowed(*request)] * 3 == [expected.allowed] * 3, condition


def assert_is_refused(engine: fastiam.Engine, request: tuple[Any, ...], message: str) -> None:
    for _ in range(3):
        for ask in (engine.decide, engine.is_allowed):
            with pytest.raises(RequestValueError) as raised:
                ask(*request)
            assert str(raised.value) == message, request[1]
        with pytest.raises(RequestValueError):
            engine.are_allowed([request, request])


# -- code of values that changes the context ------------------------------------------------------------------------------------

GIVEN, ALLOWED = "B" * 300, "A" * 300


class Meddler(tzinfo):
    """A time zone whose code replaces, or takes away, what the context of the same call holds."""

    def __init__(self, context: Any, *, removes: bool) -> None:
        self.context, self.removes = context, removes
        self.others: list[str] = []

    def utcoffset(self, when: datetime | None) -> timedelta:
        if self.removes:
            self.context.pop("aws:RequestTag/a", None)
        else:
            self.context["aws:RequestTag/a"] = "".join(["no"])
        gc.collect()
        self.others = ["".join(["A"] * 300) for _ in range(50)]  # where the text was, if it was freed
        return timedelta(0)

    def dst(self, when: datetime | None) -> timedelta:
        return timedelta(0)

    def tzname(self, when: datetime | None) -> str:
        return "x"


@pytest.mark.parametrize(
    ("kind", "removes", "text", "outcome"),
    [
        (dict, False, GIVEN, Outcome.IMPLICIT_DENY),
        (dict, False, ALLOWED, Outcome.ALLOW),
        (dict, True, GIVEN, Outcome.IMPLICIT_DENY),
        (dict, True, ALLOWED, Outcome.ALLOW),
        (UserDict, False, GIVEN, Outcome.IMPLICIT_DENY),
    ],
)
def test_context_changed_by_code_of_a_value_counts_as_given(
    kind: Any, removes: bool, text: str, outcome: fastiam.Outcome
) -> None:
    """No text is read that was not given: the slow path keeps what it points to."""
    condition = {"StringEquals": {"aws:RequestTag/a": ALLOWED}, "DateGreaterThan": {"custom:when": "2020-01-01T00:00:00Z"}}
    statement = {"Effect": "Allow", "Action": "s3:*", "Resource": "*", "Condition": condition}
    directory = fastiam.Directory()
    directory.add_principal(USER, identity_policies=[{"Version": "2012-10-17", "Statement": [statement]}])
    context = kind({"aws:RequestTag/a": "".join(list(text))})
    context["custom:when"] = datetime(2026, 1, 1, tzinfo=Meddler(context, removes=removes))
    assert directory.compile().decide(USER, "s3:GetObject", "arn:aws:s3:::b/k", context).outcome is outcome
