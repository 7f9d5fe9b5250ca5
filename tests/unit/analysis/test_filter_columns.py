"""Columns and the time of a filter: the edge cases H68 to H73 of docs/frames-spec.md, section 3.4."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from filter_forms import allow, checked, deny, engine_of, policy

import fastiam
from fastiam.analysis.filter import apply

A, B, X = "111111111111", "222222222222", "333333333333"
ROLE, BUCKET = f"arn:aws:iam::{A}:role/etl", "arn:aws:s3:::data"
NOW = datetime(2026, 11, 29, tzinfo=UTC)


def test_column_that_contradicts_the_directory_is_not_allowed() -> None:
    """H68: also if no statement reads the key."""
    engine = engine_of(allow(), tags={"team": "red"})
    rows = {"resource": [BUCKET] * 4, "team": [None, "red", "blue", ""]}
    asked, allowed = checked(engine, ROLE, "s3:GetObject", rows, columns={"aws:PrincipalTag/team": "team"})
    assert (asked.columns, allowed) == (("resource", "team"), [True, True, False, False])
    assert checked(engine, ROLE, "s3:GetObject", rows, columns={"aws:username": "team"})[1] == [True, False, False, False]


def test_column_that_contradicts_a_tag_on_record_is_not_allowed() -> None:
    """H68, K1: the tags and the owner of a resource."""
    directory = fastiam.Directory()
    directory.add_account(A)
    directory.add_principal(ROLE, identity_policies=[policy(allow())])
    directory.add_resource(BUCKET, account=A, tags={"env": "dev"})
    rows = {"resource": [BUCKET] * 3 + [f"{BUCKET}2"] * 2, "x": ["dev", "prod", None, "prod", A]}
    for key in ("aws:ResourceTag/env", "iam:ResourceTag/env", "aws:ResourceAccount"):
        assert checked(directory.compile(), ROLE, "s3:ListBucket", rows, columns={key: "x"})[0].exact


def test_template_tests_the_concatenated_text() -> None:
    """H71: a value with `:` shifts the fields, and a null in any column makes a null ARN."""
    rows = {
        "region": ["us-east-1", f"us-east-1:{A}:table/t:x", "", None, "us-east-1", "*"],
        "account": [A, B, A, A, f"{A}:table/t/x", A],
        "t": ["t", "t", "t", "t", "u", "t"],
    }
    resources = [
        None if None in values else "arn:aws:dynamodb:{}:{}:table/{}".format(*values)
        for values in zip(*rows.values(), strict=True)
    ]
    engine = engine_of(allow("arn:aws:dynamodb:*:*:table/t"), deny("arn:aws:dynamodb:us-*:*:table/t:*"))
    template = "arn:aws:dynamodb:{region}:{account}:table/{t}"
    asked, allowed = checked(
        engine, ROLE, "dynamodb:GetItem", rows, forms=["json", "polars", "duckdb"], resources=resources, resource=template
    )
    assert asked.exact
    assert allowed[0] and not allowed[3]


@pytest.mark.parametrize(
    ("condition", "until"),
    [
        ({"DateLessThan": {"aws:CurrentTime": "2026-12-01T00:00:00Z"}}, datetime(2026, 12, 1, tzinfo=UTC)),
        ({"DateLessThanEquals": {"aws:CurrentTime": "2026-12-01T00:00:00Z"}}, datetime(2026, 12, 1, tzinfo=UTC)),
        ({"DateLessThan": {"aws:CurrentTime": "2026-12-01T00:00:00.5Z"}}, datetime(2026, 12, 1, 0, 0, 1, tzinfo=UTC)),
        ({"NumericGreaterThan": {"aws:EpochTime": "1796083200"}}, datetime(2026, 12, 1, tzinfo=UTC)),
        ({"DateLessThan": {"aws:CurrentTime": "2026-11-01T00:00:00Z"}}, None),
        ({"StringLike": {"aws:CurrentTime": "2026-*"}}, datetime(2026, 11, 29, 0, 0, 1, tzinfo=UTC)),
        ({"Null": {"aws:CurrentTime": "false"}}, None),
        ({"Bool": {"aws:SecureTransport": "false"}}, None),
    ],
)
def test_valid_until_is_the_first_change_of_a_date_test(condition: Any, until: datetime | None) -> None:
    """H72."""
    engine = engine_of(allow(Condition=condition))
    asked = engine.filter(ROLE, "s3:GetObject", now=NOW)
    assert asked.valid_until == until
    assert engine.filter(ROLE, "s3:GetObject", context={"aws:CurrentTime": NOW}, now=NOW).valid_until is None


def test_valid_until_follows_the_age_of_mfa() -> None:
    """H72: the age of a session's MFA counts from the session, not from the epoch."""
    user = f"arn:aws:iam::{A}:user/lea"
    recent = {"NumericLessThan": {"aws:MultiFactorAuthAge": "3600"}}
    engine = engine_of(allow(Condition=recent), name=user)
    session = fastiam.Session(arn=user, kind="USER", issuer=user, issued_at=NOW, mfa_at=NOW)
    asked = engine.filter(session, "s3:GetObject", now=NOW + timedelta(minutes=10))
    assert (asked.kind, asked.valid_until) == ("conditional", NOW + timedelta(hours=1))
    assert engine.filter(session, "s3:GetObject", now=NOW + timedelta(hours=1)).kind == "never"


def test_sql_has_the_instant_until_which_it_holds() -> None:
    """H72: as a comment, or enforced."""
    duckdb = pytest.importorskip("duckdb", reason="the expression is run")
    in_time = {"DateLessThan": {"aws:CurrentTime": "2026-12-01T00:00:00Z"}}
    asked = engine_of(allow(Condition=in_time)).filter(ROLE, "s3:GetObject", now=NOW)
    assert asked.sql().startswith("/* valid until 2026-12-01T00:00:00Z */ ")
    query = "SELECT {} FROM (VALUES ('arn:aws:s3:::data/x')) AS t(resource)"
    assert duckdb.sql(query.format(asked.sql())).fetchall() == [(True,)]
    past = engine_of(allow(Condition={"DateLessThan": {"aws:CurrentTime": "2020-01-01"}}))
    old = past.filter(ROLE, "s3:GetObject", now=datetime(2019, 1, 1, tzinfo=UTC))
    assert duckdb.sql(query.format(old.sql())).fetchall() == [(True,)]
    assert duckdb.sql(query.format(old.sql(enforce_until=True))).fetchall() == [(False,)]
    with pytest.raises(fastiam.NotExpressible, match="time of the query"):
        old.sql("polars", enforce_until=True)


def test_apply_after_valid_until_decides_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """H72: without `now` the clock of `apply` decides, and the prefilter of an earlier time drops no row."""
    pl = pytest.importorskip("polars", reason="its frames are prefiltered")
    later = {"DateGreaterThan": {"aws:CurrentTime": "2100-01-01"}}
    asked, frame = engine_of(allow(Condition=later)).filter(ROLE, "s3:GetObject"), pl.DataFrame({"resource": [BUCKET]})
    assert (asked.kind, asked.valid_until, asked.apply(frame).height) == ("never", datetime(2100, 1, 1, tzinfo=UTC), 0)
    monkeypatch.setattr(apply, "epoch_seconds", lambda now: int(datetime(2101, 1, 1, tzinfo=UTC).timestamp()))
    assert asked.apply(frame).height == 1


def test_owner_in_a_column_decides_unless_it_contradicts() -> None:
    """H73: an owner that contradicts the record is an error, one that contradicts the ARN wins (D23)."""
    directory = fastiam.Directory()
    for account in (A, B):
        directory.add_account(account)
    directory.add_principal(ROLE, identity_policies=[policy(allow())])
    directory.add_resource(f"{BUCKET}a", account=A)
    directory.add_resource(f"{BUCKET}b", account=B, policy=policy(allow(f"{BUCKET}b", Principal={"AWS": ROLE})))
    arns = [f"{BUCKET}a", f"{BUCKET}b", f"{BUCKET}c", f"arn:aws:sqs:us-east-1:{B}:q", f"arn:aws:sqs:us-east-1:{A}:q", "*"]
    owners = [None, A, B, X, "12", ""]
    rows = {"resource": [arn for arn in arns for _ in owners], "owner": owners * len(arns)}
    asked, allowed = checked(directory.compile(), ROLE, "s3:ListBucket", rows, resource_account="owner")
    assert asked.exact
    assert allowed[:6] == [True, True, False, False, False, False]
    for owner in (A, B, X):
        checked(directory.compile(), ROLE, "s3:ListBucket", rows, resource_account=fastiam.lit(owner))


def test_live_engine_filters_by_its_current_engine() -> None:
    directory = fastiam.Directory()
    directory.add_principal(ROLE, identity_policies=[policy(allow(f"{BUCKET}/*"))])
    live = fastiam.LiveEngine(directory)
    assert live.filter(ROLE, "s3:GetObject").apply([{"resource": f"{BUCKET}/x"}, {"resource": BUCKET}]) == [
        {"resource": f"{BUCKET}/x"}
    ]
