"""The assertions of `fastiam.testing` for tests in Python."""

from __future__ import annotations

import pytest

import fastiam
from fastiam import testing

ANA, KEY = "arn:aws:iam::111111111111:user/ana", "arn:aws:s3:::b/k"
READ = {"Sid": "Read", "Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
OFFICE = {"NotIpAddress": {"aws:SourceIp": "198.51.100.0/24"}}
DENY = {"Sid": "Office", "Effect": "Deny", "Action": "*", "Resource": "*", "Condition": OFFICE}
INSIDE, OUTSIDE = {"aws:SourceIp": "198.51.100.1"}, {"aws:SourceIp": "203.0.113.1"}


@pytest.fixture(scope="module")
def engine() -> fastiam.Engine:
    directory = fastiam.Directory()
    directory.add_principal(ANA, identity_policies=[{"Version": "2012-10-17", "Statement": [READ, DENY]}])
    return directory.compile()


def test_assertions_that_hold_are_silent(engine: fastiam.Engine) -> None:
    testing.assert_allowed(engine, ANA, "s3:GetObject", KEY, INSIDE, layer="identity", sid="Read")
    testing.assert_denied(engine, ANA, "s3:PutObject", KEY, INSIDE)
    testing.assert_denied(engine, ANA, "s3:GetObject", KEY, OUTSIDE)
    testing.assert_explicitly_denied(engine, ANA, "s3:GetObject", KEY, OUTSIDE, sid="Office")
    testing.assert_depends(engine, ANA, "s3:GetObject", KEY, on={"aws:SourceIp"})


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda e: testing.assert_allowed(e, ANA, "s3:PutObject", KEY, INSIDE), "expected ALLOW, got IMPLICIT_DENY"),
        (lambda e: testing.assert_allowed(e, ANA, "s3:GetObject", KEY, INSIDE, sid="Write"), "sid is Read, not Write"),
        (lambda e: testing.assert_allowed(e, ANA, "s3:GetObject", KEY, INSIDE, layer="scp"), "layer is identity, not scp"),
        (
            lambda e: testing.assert_denied(e, ANA, "s3:GetObject", KEY, INSIDE),
            "IMPLICIT_DENY or EXPLICIT_DENY, got ALLOW",
        ),
        (
            lambda e: testing.assert_explicitly_denied(e, ANA, "s3:PutObject", KEY, INSIDE),
            "EXPLICIT_DENY, got IMPLICIT_DENY",
        ),
        (lambda e: testing.assert_depends(e, ANA, "s3:GetObject", KEY, INSIDE), "expected DEPENDS, got ALLOW"),
        (lambda e: testing.assert_depends(e, ANA, "s3:GetObject", KEY, on={"aws:UserAgent"}), "not on aws:sourceip"),
    ],
)
def test_failing_assertion_gives_the_reason(engine: fastiam.Engine, call, text: str) -> None:
    with pytest.raises(AssertionError) as failed:
        call(engine)
    assert text in str(failed.value)


def test_request_that_cannot_be_read_is_not_a_denial(engine: fastiam.Engine) -> None:
    with pytest.raises(fastiam.RequestValueError):
        testing.assert_denied(engine, ANA, "s3:GetObject", "b/k")


def test_an_invariant_is_asserted() -> None:
    made = fastiam.Directory()
    arn = "arn:aws:iam::111111111111:user/u"
    statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
    made.add_principal(arn, identity_policies=[{"Version": "2012-10-17", "Statement": statement}])
    engine = made.compile()
    testing.assert_invariant(engine, fastiam.Invariant(never={"principals": arn, "actions": "s3:PutObject"}))
    with pytest.raises(AssertionError, match="(?s)`reads` fails.*s3:GetObject.*ALLOW"):
        testing.assert_invariant(engine, fastiam.Invariant(name="reads", never={"principals": arn, "actions": "s3:GetObject"}))
    with pytest.raises(AssertionError, match="no request of the scope is allowed"):
        testing.assert_invariant(engine, fastiam.Invariant(sometimes={"principals": arn, "actions": "s3:PutObject"}))
    with pytest.raises(AssertionError, match="undecided"):
        testing.assert_invariant(engine, fastiam.Invariant(never={"principals": "everyone", "actions": "*"}), limit=1)
