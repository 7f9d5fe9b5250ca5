"""Derived keys that a request gives, about the owner of the resource, the endpoint and the source account (K1)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

import fastiam

ACCOUNT, B, FAR, UNKNOWN = "111111111111", "222222222222", "333333333333", "444444444444"
NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
WHO = f"arn:aws:iam::{ACCOUNT}:user/ana"
AGREEING: dict[str, object] = {
    "aws:ResourceOrgID": "o-x",
    "aws:ResourceOrgPaths": ["o-x/r-1/ou-a/"],
    "aws:SourceOrgID": "o-x",
    "aws:SourceOrgPaths": ["o-x/r-1/ou-b/"],
    "aws:VpceAccount": B,
    "aws:VpceOrgID": "o-x",
    "aws:VpceOrgPaths": ["o-x/r-1/ou-b/"],
    "aws:MultiFactorAuthAge": "60",
}


def organization_engine():
    directory = fastiam.Directory(quotas=None)
    directory.set_organization("o-x", management_account="999999999999", accounts={ACCOUNT: "ou-a", B: "ou-b"})
    directory.add_account(FAR)
    directory.add_resource("arn:aws:s3:::near", account=ACCOUNT)
    directory.add_resource("arn:aws:s3:::far", account=FAR)
    directory.add_endpoint("vpce-1", account=B)
    directory.add_endpoint("vpce-2", account=FAR)
    statement = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    directory.add_principal(WHO, identity_policies=[{"Version": "2012-10-17", "Statement": [statement]}])
    return directory.compile()


@pytest.fixture(scope="module")
def organization():
    return organization_engine()


def request_with(key, value):
    return {"aws:SourceVpce": "vpce-1", "aws:SourceAccount": B, key: value}


@pytest.mark.parametrize("key", AGREEING)
def test_derived_key_that_agrees_needs_no_check_in_python(organization, monkeypatch, key):
    """Rows and single calls: a check in Python takes some hundred times as long as a row."""
    session = fastiam.Session(WHO, kind="USER", issuer=WHO, issued_at=NOW, mfa_at=NOW)
    context, request = request_with(key, AGREEING[key]), ("s3:GetObject", "arn:aws:s3:::near/k")
    organization.decide(session, *request, context, now=NOW)
    monkeypatch.setattr(type(organization), "_check_request", lambda *_: pytest.fail("checked in Python"), raising=False)
    assert organization.decide(session, *request, context, now=NOW).allowed
    columns = {name: [value] * 100 for name, value in context.items()}
    assert organization.decide_many("me", *request, columns, sessions={"me": session}, now=NOW).allowed.all()


@pytest.mark.parametrize(
    ("bucket", "endpoint", "source"), [("near", "vpce-1", B), ("far", "vpce-2", FAR), ("near", "vpce-9", UNKNOWN)]
)
@pytest.mark.parametrize("key", AGREEING)
@pytest.mark.parametrize("other", [False, True], ids=["as derived", "another"])
def test_derived_key_is_refused_as_by_the_reference(organization, key, bucket, endpoint, source, other):
    """K1: also of an account that is known to be in no organization, and not of one of which nothing is known."""
    value = AGREEING[key]
    if other:
        value = ["o-y/r-1/"] if isinstance(value, list) else "o-y"
    context = {"aws:SourceVpce": endpoint, "aws:SourceAccount": source, key: value}
    request = WHO, "s3:GetObject", f"arn:aws:s3:::{bucket}/k"
    answers = []
    for ask in (organization.explain, organization.decide):
        try:
            ask(*request, context, now=NOW)
        except fastiam.RequestValueError as error:
            answers.append(error.column)
        else:
            answers.append(None)
    rows = organization.decide_many(*request, {name: [one] * 40 for name, one in context.items()}, now=NOW, on_error="deny")
    assert answers[0] == answers[1]
    assert {error.column for error in rows.errors.values()} == ({answers[0]} if answers[0] else set())
    assert len(rows.errors) == (40 if answers[0] else 0)
