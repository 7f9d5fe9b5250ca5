"""Derived keys that a request gives, about the owner of the resource, the endpoint and the source account (K1)."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import pyarrow as pa
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


@pytest.mark.parametrize("n", [2, 1_000])
def test_batch_of_another_derived_key_compares_that_key(n):
    """K1: what batches leave of a principal is used by batches of the same keys alone."""
    engine, request = organization_engine(), (WHO, "s3:GetObject", "arn:aws:s3:::near/k")
    fixed = {"aws:username": "ana", "aws:PrincipalAccount": ACCOUNT, "aws:PrincipalArn": WHO}
    for key, value in (*fixed.items(), *fixed.items()):
        for other in fixed.values():
            found = engine.decide_many([WHO] * n, *request[1:], {key: [other] * n}, on_error="deny", now=NOW)
            assert found.allowed.tolist() == [other == value] * n, (key, other)
            assert len(found.errors) == (other != value) * n


def request_with(key, value):
    return {"aws:SourceVpce": "vpce-1", "aws:SourceAccount": B, key: value}


@pytest.mark.parametrize("key", AGREEING)
def test_derived_key_that_agrees_needs_no_check_in_python(organization, monkeypatch, key):
    """Rows and single calls: a check in Python takes some hundred times as long as a row."""
    session = fastiam.Session(WHO, kind="USER", issuer=WHO, issued_at=NOW, mfa_at=NOW)
    context, request = request_with(key, AGREEING[key]), ("s3:GetObject", "arn:aws:s3:::near/k")
    organization.decide(session, *request, context, now=NOW)
    monkeypatch.setattr(organization.resolver, "check_request", lambda *_: pytest.fail("checked in Python"))
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


ANA, RUN, BARE = WHO, f"arn:aws:sts::{ACCOUNT}:assumed-role/app/run", f"arn:aws:iam::{B}:user/bare"
NEAR, ENTRY, AWAY, STAR = "arn:aws:s3:::near", "arn:aws:s3:::near/k", "arn:aws:s3:::far", "*"
Facts = dict[str, dict[str, object]]  # key -> principal or resource -> the value that is known
KNOWN: Facts = {
    "aws:PrincipalTag/team": {ANA: "red", RUN: "blue"},
    "aws:PrincipalOrgID": {ANA: "o-x", RUN: "o-x", BARE: "o-x"},
    "aws:PrincipalOrgPaths": {ANA: ["o-x/r-1/ou-a/"], RUN: ["o-x/r-1/ou-a/"], BARE: ["o-x/r-1/ou-b/"]},
    "aws:MultiFactorAuthAge": {RUN: "60"},
    "aws:ResourceTag/stage": {NEAR: "prod"},
    "aws:ResourceAccount": {NEAR: ACCOUNT, ENTRY: ACCOUNT, AWAY: FAR},
    "aws:ResourceOrgID": {NEAR: "o-x", ENTRY: "o-x"},
    "aws:ResourceOrgPaths": {NEAR: ["o-x/r-1/ou-a/"], ENTRY: ["o-x/r-1/ou-a/"]},
}


def tagged_engine():
    directory = fastiam.Directory(quotas=None)
    directory.set_organization("o-x", management_account="999999999999", accounts={ACCOUNT: "ou-a", B: "ou-b"})
    directory.add_account(FAR)
    directory.add_resource(NEAR, account=ACCOUNT, tags={"stage": "prod"})
    directory.add_resource(AWAY, account=FAR)
    allow = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    deny = {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"StringEquals": {"aws:ResourceOrgID": "o-z"}}}
    own = [{"Version": "2012-10-17", "Statement": [allow, deny]}]
    directory.add_principal(ANA, identity_policies=own, tags={"team": "red"})
    directory.add_principal(f"arn:aws:iam::{ACCOUNT}:role/app", identity_policies=own, tags={"team": "blue"})
    directory.add_principal(BARE, identity_policies=own)
    return directory.compile()


def drawn_rows(rng: random.Random, n: int, wrong: float):
    """Principals, resources and columns; of the values some are as known, some are null and some are wrong."""
    who = [rng.choice([ANA, RUN, BARE]) for _ in range(n)]
    what = [rng.choice([NEAR, ENTRY, AWAY, STAR]) for _ in range(n)]
    columns = {}
    for key in rng.sample(list(KNOWN), 5):
        values = []
        for principal, resource in zip(who, what, strict=True):
            known = KNOWN[key].get(principal, KNOWN[key].get(resource))
            if rng.random() < wrong:
                values.append(["o-y/r-1/"] if key.endswith("Paths") else rng.choice(["o-z", "green", B]))
            else:
                values.append(known if rng.random() < 0.8 else None)
        columns[key] = values
    return who, what, columns


@pytest.mark.parametrize("form", ["dictionary", "plain"])
@pytest.mark.parametrize("seed", range(6))
def test_columns_that_contradict_fail_their_rows_alone(seed, form):
    """K1: several columns at once, each row as a single call has it."""
    engine, rng = tagged_engine(), random.Random(seed)
    who, what, columns = drawn_rows(rng, 700, 0.03)
    arrays = {key: pa.array(values) for key, values in columns.items()}
    if form == "dictionary":
        arrays = {key: array if pa.types.is_list(array.type) else array.dictionary_encode() for key, array in arrays.items()}
    for _ in range(2):
        found = engine.decide_many(who, "s3:GetObject", what, arrays, now=NOW, on_error="deny")
        for i, (principal, resource) in enumerate(zip(who, what, strict=True)):
            context = {key: values[i] for key, values in columns.items()}
            try:
                expected = engine.decide(principal, "s3:GetObject", resource, context, now=NOW).outcome
            except fastiam.RequestValueError as error:
                assert found.errors[i].column == error.column, (principal, resource, context)
                expected = fastiam.Outcome.ERROR
            assert found.outcome[i] == expected, (principal, resource, context)
        assert 0 < len(found.errors) < 350


@pytest.mark.parametrize("seed", range(4))
def test_rows_that_agree_run_no_python(monkeypatch, seed):
    """K1: whatever columns are given together."""
    engine = tagged_engine()
    who, what, columns = drawn_rows(random.Random(seed), 700, 0.0)
    rows = who, "s3:GetObject", what
    engine.decide_many(*rows, now=NOW)  # the plans are there
    monkeypatch.setattr(engine.resolver, "check_request", lambda *_: pytest.fail("checked in Python"))
    assert len(engine.decide_many(*rows, columns, now=NOW).outcome) == 700
