"""Filters of rows: the edge cases of docs/frames-spec.md, section 3.4, by their numbers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from filter_forms import allow, checked, decisions, deny, engine_of, json_form, policy

import fastiam
from fastiam.analysis.filter import build

A, B, X = "111111111111", "222222222222", "333333333333"
ROLE, USER = f"arn:aws:iam::{A}:role/etl", f"arn:aws:iam::{A}:user/lea"
BUCKET, KEY = "arn:aws:s3:::data", f"arn:aws:kms:us-east-1:{A}:key/k"
NOW = datetime(2026, 11, 29, tzinfo=UTC)


def test_kind_is_never_without_an_allow() -> None:
    asked, allowed = checked(
        engine_of(allow(f"{BUCKET}/*")), ROLE, "sqs:SendMessage", {"resource": [f"arn:aws:sqs:us-east-1:{A}:q"]}
    )
    assert (asked.kind, asked.exact, asked.columns) == ("conditional", True, ("resource",))
    never = engine_of(allow(Action="s3:*")).filter(ROLE, "sqs:SendMessage")
    assert (never.kind, never.columns, never.sql(), never.prefilter.kind) == ("never", (), "FALSE", "never")
    assert allowed == [False]
    assert (repr(never), repr(asked)) == ("<Filter: never>", "<Filter: conditional, reads resource>")


def test_kind_is_always_for_calls_that_no_policy_changes() -> None:
    """H51: `always` means of each ARN that a request accepts; a null is none."""
    asked, allowed = checked(engine_of(deny()), ROLE, "sts:GetCallerIdentity", {"resource": ["*", BUCKET, None, "x"]})
    assert (asked.kind, allowed) == ("always", [True, True, False, False])


def test_unknown_principal_is_never_allowed() -> None:
    assert engine_of(allow()).filter(f"arn:aws:iam::{A}:role/nobody", "s3:GetObject").kind == "never"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"action": "s3:*"}, "is not an action"),
        ({"principal": "arn:aws:s3:::x"}, "arn:aws:s3:::x"),
        ({"resource": "arn:aws:s3:::data"}, "is not the name of a column"),
        ({"columns": {"aws:SourceIp": 3}}, "is not the name of a column"),
        ({"columns": {"aws:SourceIp": "a", "AWS:sourceip": "b"}}, "are one key"),
        ({"columns": {"aws:SourceIp": "a"}, "context": {"aws:SourceIp": "10.0.0.1"}}, "are one key"),
        ({"columns": {"aws:ResourceTag/a": "a"}, "context": {"iam:ResourceTag/a": "x"}}, "second name"),
        ({"columns": ["aws:SourceIp"]}, "is not a mapping"),
        ({"context": {"aws:PrincipalAccount": X}}, "contradicts"),
        ({"resource_account": fastiam.lit("12")}, "is not an account id"),
    ],
)
def test_unreadable_argument_is_an_error(arguments: dict[str, Any], message: str) -> None:
    given = {"principal": ROLE, "action": "s3:GetObject"} | arguments
    with pytest.raises(fastiam.RequestValueError, match=message):
        engine_of(allow()).filter(given.pop("principal"), given.pop("action"), **given)


# -- H41 to H43 -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operator", ["StringEquals", "StringNotEquals", "StringEqualsIfExists", "StringNotLike", "Null"])
@pytest.mark.parametrize("effect", ["Allow", "Deny"])
def test_null_is_the_absent_case_of_an_operator(operator: str, effect: str) -> None:
    """H41: positive false, negated true, `IfExists` true; the filter is never null."""
    condition = {operator: {"app:x": "true" if operator == "Null" else "a"}}
    asked, _ = checked(
        engine_of(allow(), {"Effect": effect, "Condition": condition}),
        ROLE, "s3:GetObject", {"resource": [BUCKET] * 4, "x": [None, "a", "b", ""]}, columns={"app:x": "x"},
    )  # fmt: skip
    assert asked.exact


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("aws:SecureTransport", "false"),
        ("aws:RequestedRegion", "us-east-1"),
        ("aws:RequestedRegion", "eu-west-1"),
        ("aws:UserAgent", ""),
    ],
)
def test_null_in_a_column_of_a_derived_key_has_its_default(key: str, value: str) -> None:
    """H42: what `derive_context` makes of a null."""
    condition = {"StringEquals": {key: value}}
    rows = {
        "resource": [f"arn:aws:sqs:{region}:{A}:q" for region in ("eu-west-1", "us-east-1", "", "eu-west-1")],
        "x": [None] * 3 + [value],
    }
    asked, allowed = checked(engine_of(allow(Condition=condition)), ROLE, "sqs:SendMessage", rows, columns={key: "x"})
    assert asked.exact
    assert True in allowed


def test_global_service_has_a_default_region() -> None:
    """H42, K6."""
    rows = {"resource": ["*", USER, f"arn:aws:iam:eu-west-1:{A}:user/x"]}
    in_virginia = {"StringEquals": {"aws:RequestedRegion": "us-east-1"}}
    assert checked(engine_of(allow(Condition=in_virginia)), ROLE, "iam:GetUser", rows)[1] == [True, True, False]


def test_owner_of_the_resource_is_a_key_of_each_row() -> None:
    """H42: `aws:ResourceAccount` depends on the ARN."""
    own = {"StringEquals": {"aws:ResourceAccount": "${aws:PrincipalAccount}"}}
    rows = {"resource": [f"arn:aws:sqs:us-east-1:{account}:q" for account in (A, B, "", "12")]}
    assert checked(engine_of(allow(Condition=own)), ROLE, "sqs:SendMessage", rows)[1] == [True, False, True, True]


def test_tag_keys_follow_the_nulls_of_tag_columns() -> None:
    """H42: `aws:TagKeys` derives from the columns of request tags, in their spelling."""
    listed = {"ForAnyValue:StringEquals": {"aws:TagKeys": "Team"}}
    only = {"ForAllValues:StringEquals": {"aws:TagKeys": ["Team", "env"]}}
    rows = {"resource": [BUCKET] * 4, "team": [None, "x", None, ""], "other": [None, None, "x", None]}
    columns = {"aws:RequestTag/Team": "team", "aws:RequestTag/other": "other"}
    asked, allowed = checked(engine_of(allow(Condition=listed)), ROLE, "s3:PutObject", rows, columns=columns)
    assert (asked.exact, allowed) == (True, [False, True, False, True])
    assert checked(engine_of(allow(Condition=only)), ROLE, "s3:PutObject", rows, columns=columns)[1] == [True, True, False, True]


def test_endpoint_in_a_column_chooses_its_policy() -> None:
    """H42, D40: a column `aws:SourceVpce` with a policy that allows nothing, and an endpoint that is unknown."""
    directory = fastiam.Directory()
    directory.add_account(A)
    directory.add_principal(ROLE, identity_policies=[policy(allow())])
    directory.add_endpoint("vpce-none", account=A, policy=policy(allow("arn:aws:s3:::other", Principal="*")))
    directory.add_endpoint("vpce-full", account=A)
    rows = {"resource": [BUCKET] * 4, "vpce": ["vpce-none", "vpce-full", "vpce-x", None]}
    asked, allowed = checked(directory.compile(), ROLE, "s3:ListBucket", rows, columns={"aws:SourceVpce": "vpce"})
    assert (asked.exact, allowed) == (True, [False, True, False, True])


def test_context_defaults_do_not_fill_a_column() -> None:
    """H42: a default of the engine holds where a key has no column, as in `decide_many`."""
    inside = {"StringEquals": {"app:x": "a"}}
    engine = engine_of(allow(Condition=inside), options={"context_defaults": {"app:x": "a"}})
    rows = {"resource": [BUCKET] * 2, "x": [None, "a"]}
    assert checked(engine, ROLE, "s3:GetObject", rows)[1] == [True, True]
    assert checked(engine, ROLE, "s3:GetObject", rows, columns={"app:x": "x"})[1] == [False, True]


def test_inexpressible_leaf_is_taken_towards_an_allow() -> None:
    """H43: under a Deny it is false in the prefilter, which would drop every allowed row otherwise."""
    outside = {"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}
    rows = {"resource": [BUCKET] * 3, "ip": ["10.1.2.3", "192.0.2.1", None]}
    engine = engine_of(allow(), deny(Condition=outside))
    asked, allowed = checked(engine, ROLE, "s3:GetObject", rows, forms=["json"], columns={"aws:SourceIp": "ip"})
    assert (asked.exact, allowed) == (True, [True, False, False])
    assert asked.prefilter.kind == "conditional"


@pytest.mark.parametrize(
    ("operator", "value"),
    [
        ("IpAddress", "10.0.0.0/8"),
        ("DateLessThan", "2027-01-01"),
        ("NumericEquals", "1"),
        ("StringEqualsIgnoreCase", "ä"),
        ("BinaryEquals", "QUJD"),
    ],
)
def test_inexpressible_leaf_names_key_and_operator(operator: str, value: str) -> None:
    """H43: the filter is exact, and each renderer that cannot say the leaf raises."""
    asked = engine_of(allow(Condition={operator: {"app:x": value}})).filter(ROLE, "s3:GetObject", columns={"app:x": "x"})
    assert asked.exact
    for write in (asked.polars, asked.sql, lambda: asked.sql("sqlite")):
        with pytest.raises(fastiam.NotExpressible, match=f"`{operator}` of `app:x`") as caught:
            write()
        assert (caught.value.key, caught.value.operator) == ("app:x", operator)


def test_set_operator_over_a_list_is_not_exact() -> None:
    """H43: a column of a key with several values is a text or a list."""
    listed = {"ForAnyValue:StringEquals": {"aws:CalledVia": "athena.amazonaws.com"}}
    asked = engine_of(allow(Condition=listed)).filter(ROLE, "s3:GetObject", columns={"aws:CalledVia": "via"})
    assert not asked.exact
    with pytest.raises(fastiam.NotExpressible, match="ForAnyValue:StringEquals` of `aws:CalledVia"):
        asked.to_dict()
    rows = [{"resource": BUCKET, "via": via} for via in (["athena.amazonaws.com", "x"], ["x"], None)]
    assert asked.apply(rows) == rows[:1]


# -- H47 to H53 -----------------------------------------------------------------------------------------------------------------


def test_row_without_an_arn_is_not_allowed() -> None:
    """H47: except `*`, by patterns that are stars."""
    rows = {"resource": [None, "", "x", "arn:aws:s3", "*", BUCKET, f"{BUCKET}/x\n"]}
    asked, allowed = checked(engine_of(allow()), ROLE, "s3:GetObject", rows)
    assert (asked.kind, allowed) == ("conditional", [False] * 4 + [True] * 3)
    assert checked(engine_of(allow("arn:aws:s3:::*")), ROLE, "s3:GetObject", rows)[1] == [False] * 5 + [True] * 2


def test_apply_raises_for_a_row_that_cannot_be_read_if_asked() -> None:
    """H47: `apply` follows `on_error`, and the prefilter hides no row then."""
    pl = pytest.importorskip("polars", reason="its frames are prefiltered")
    frame = pl.DataFrame({"resource": [BUCKET, "x"]})
    asked = engine_of(allow(BUCKET)).filter(ROLE, "s3:ListBucket")
    assert asked.apply(frame).height == 1
    with pytest.raises(fastiam.RequestValueError, match="is not a resource"):
        asked.apply(frame, on_error="raise")


def test_records_of_all_services_are_cases() -> None:
    """H48: an action of EC2 on the bucket of another account."""
    directory = fastiam.Directory()
    for account in (A, B):
        directory.add_account(account)
    directory.add_principal(ROLE, identity_policies=[policy(allow())])
    directory.add_resource(BUCKET, account=B)
    directory.add_resource(f"{BUCKET}2", account=A, policy=policy(deny(f"{BUCKET}2/secret/*", Principal="*")))
    rows = {"resource": [BUCKET, f"{BUCKET}/x", f"{BUCKET}2", f"{BUCKET}2/x", f"{BUCKET}2/secret/x", f"{BUCKET}3"]}
    for action in ("ec2:RunInstances", "s3:GetObject"):
        assert checked(directory.compile(), ROLE, action, rows)[1] == [False, False, True, True, False, True]


@pytest.mark.parametrize("principal", [ROLE, "logs.amazonaws.com"])
def test_record_inside_the_arns_of_another_record_decides(principal: str) -> None:
    """H48: a log group of one account among those that a record of another account governs, and aliases of a function."""
    group, function = f"arn:aws:logs:us-east-1:{A}:log-group:g", f"arn:aws:lambda:us-east-1:{A}:function:f"
    directory = fastiam.Directory(mode="lenient")
    directory.add_account(A)
    directory.add_account(B)
    directory.add_principal(ROLE, identity_policies=[policy(allow())])
    grant, refusal = (policy(one | {"Principal": {"Service": "logs.amazonaws.com", "AWS": ROLE}}) for one in (allow(), deny()))
    other = policy(deny(Principal={"AWS": f"arn:aws:iam::{A}:user/x"}))
    directory.add_resource(f"arn:aws:logs:us-east-1:{A}:*", account=B, policy=grant)
    directory.add_resource(group, account=A)
    directory.add_resource(function, account=A, policy=refusal)
    directory.add_resource(f"{function}:live", account=A, policy=other)
    rows = {"resource": [group, f"{group}:*", f"{group}:log-stream:s", f"{group}2", f"{group}2:log-stream:s", f"{group}:x",
                         function, f"{function}:live", f"{function}:7", f"{function}2"]}  # fmt: skip
    asked, allowed = checked(directory.compile(), principal, "logs:PutLogEvents", rows, forms=["json", "polars", "duckdb"])
    assert asked.exact
    assert True in allowed and False in allowed


def test_partial_secret_arn_is_decided_with_the_full_one() -> None:
    """H48: its patterns are tested against the full ARN."""
    secret = f"arn:aws:secretsmanager:us-east-1:{A}:secret:db"
    directory = fastiam.Directory()
    directory.add_account(A)
    directory.add_principal(ROLE, identity_policies=[policy(allow(f"{secret}-??????"))])
    directory.add_resource(f"{secret}-AbCdEf", account=A)
    rows = {"resource": [secret, f"{secret}-AbCdEf", f"{secret}-AbCdE", f"{secret}x"]}
    assert checked(directory.compile(), ROLE, "secretsmanager:GetSecretValue", rows)[1] == [True, True, False, False]


@pytest.mark.parametrize(
    ("resource", "condition"),
    [
        (f"{BUCKET}/${{aws:PrincipalTag/team}}/*", {}),
        (f"{BUCKET}/${{aws:RequestTag/team}}/*", {}),
        (f"{BUCKET}/${{aws:RequestTag/team, 'none'}}/*", {}),
        (f"{BUCKET}/${{aws:RequestTag/team}}", {}),
        ("*", {"StringEquals": {"aws:RequestTag/team": "${aws:PrincipalTag/team}"}}),
        ("*", {"StringEquals": {"aws:PrincipalTag/team": "${aws:RequestTag/team}"}}),
        ("*", {"StringEquals": {"aws:RequestTag/team": "${aws:RequestTag/other}"}}),
        ("*", {"StringLike": {"aws:RequestTag/team": "${aws:RequestTag/other}*"}}),
        ("*", {"StringNotEquals": {"aws:RequestTag/team": "${aws:RequestTag/other}"}}),
    ],
)
@pytest.mark.parametrize("effect", ["Allow", "Deny"])
def test_variable_over_a_column_is_a_comparison_of_texts(resource: str, condition: Any, effect: str) -> None:
    """H49: known keys are put in, columns are concatenated."""
    rows = {
        "resource": [f"{BUCKET}/{path}" for path in ("red/x", "red", "blue/x", "*/x", "none/x", "/x", "red/", "re/x")],
        "team": ["red", "red", "red", "*", None, "", "red", "r"],
        "other": ["red", "r", "blue", "*", "x", "", None, "re"],
    }
    engine = engine_of(allow(), {"Effect": effect, "Resource": resource, "Condition": condition}, tags={"team": "red"})
    columns = {"aws:RequestTag/team": "team", "aws:RequestTag/other": "other"}
    assert checked(engine, ROLE, "s3:GetObject", rows, columns=columns)[0].exact
    only = engine_of({"Effect": effect, "Resource": resource, "Condition": condition}, tags={"team": "red"})
    checked(only, ROLE, "s3:GetObject", rows, columns=columns)


def test_variable_between_wildcards_is_not_expressible() -> None:
    """H49."""
    asked = engine_of(allow(f"{BUCKET}/*/${{aws:RequestTag/team}}/*")).filter(
        ROLE, "s3:GetObject", columns={"aws:RequestTag/team": "t"}
    )
    assert not asked.exact
    with pytest.raises(fastiam.NotExpressible, match="Resource"):
        asked.sql()
    rows = [{"resource": f"{BUCKET}/a/red/x", "t": "red"}, {"resource": f"{BUCKET}/a/red/x", "t": "blue"}]
    assert asked.apply(rows) == rows[:1]


@pytest.mark.parametrize("limit", ["MAX_NODES", "MAX_RESOURCES"])
def test_filter_beyond_a_limit_is_a_superset(monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    """H50: the prefilter only; `never` is still distinguished."""
    directory = fastiam.Directory()
    directory.add_account(A)
    directory.add_account(B)
    directory.add_principal(ROLE, identity_policies=[policy(allow("arn:aws:s3:::*", Action="s3:*"))])
    for at in range(4):
        grants = [allow(f"{BUCKET}{at}/{at}*", Principal={"AWS": ROLE}), deny(f"{BUCKET}{at}/secret*", Principal="*")]
        directory.add_resource(f"{BUCKET}{at}", account=B, policy=policy(*grants))
    engine = directory.compile()
    monkeypatch.setattr(build, limit, 2)
    asked = engine.filter(ROLE, "s3:GetObject")
    rows = {"resource": [f"{BUCKET}{at}/{path}" for at in range(5) for path in ("0x", "1x", "secret", "2secret")]}
    allowed = decisions(engine, ROLE, "s3:GetObject", rows, rows["resource"])
    assert (asked.kind, asked.exact) == ("conditional", False)
    assert all(kept or not is_allowed for kept, is_allowed in zip(json_form(asked.prefilter, rows), allowed, strict=True))
    listed = [{"resource": arn} for arn in rows["resource"]]
    assert asked.apply(listed) == [row for row, is_allowed in zip(listed, allowed, strict=True) if is_allowed]
    assert engine.filter(ROLE, "sqs:SendMessage").kind == "never"


@pytest.mark.parametrize("limit", ["MAX_NODES", "MAX_RESOURCES"])
def test_denies_beyond_a_limit_make_a_filter_inexact(monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    """H50: where the identity policies alone allow, the Denies that are left out must not make an exact filter."""
    directory = fastiam.Directory()
    directory.add_account(A)
    directory.add_principal(ROLE, identity_policies=[policy(allow())])
    for at in range(4):
        own = deny(f"{BUCKET}{at}/secret/*", Principal="*", Condition={"Bool": {"aws:SecureTransport": "false"}})
        directory.add_resource(f"{BUCKET}{at}", account=A, policy=policy(own))
    engine = directory.compile()
    monkeypatch.setattr(build, limit, 2)
    asked = engine.filter(ROLE, "s3:GetObject")
    assert (asked.kind, asked.exact, asked.prefilter.exact) == ("conditional", False, False)
    for write in (asked.polars, asked.sql, asked.narwhals, asked.to_dict):
        with pytest.raises(fastiam.NotExpressible, match="too many resource policies"):
            write()
    assert asked.apply([{"resource": f"{BUCKET}1/secret/x"}, {"resource": f"{BUCKET}1/x"}]) == [{"resource": f"{BUCKET}1/x"}]


def test_equal_policies_of_buckets_are_one_group() -> None:
    """H50: policies that differ in the ARN of their own resource only."""
    directory = fastiam.Directory()
    directory.add_account(A)
    directory.add_principal(ROLE, identity_policies=[policy(allow())])
    for at in range(300):
        bucket = f"{BUCKET}{at}"
        own = [deny(f"{bucket}/*", Principal="*", Condition={"Bool": {"aws:SecureTransport": "false"}})]
        directory.add_resource(bucket, account=A, policy=policy(*own))
    arns = [f"{BUCKET}{at}/x" for at in (0, 7, 300)] + [f"{BUCKET}7", f"{BUCKET.upper()}7/x", f"{BUCKET}7/x/y", f"{BUCKET}77x/"]
    rows = {"resource": arns, "tls": ["true", "false", "false", None, "false", "false", "false"]}
    asked, allowed = checked(directory.compile(), ROLE, "s3:GetObject", rows, columns={"aws:SecureTransport": "tls"})
    assert allowed == [True, False, True, True, False, False, True]
    assert build.size(asked._formula) < 200


@pytest.mark.parametrize(
    ("principal", "action", "resources"),
    [
        (ROLE, "iam:DeletePolicy", ["arn:aws:iam::aws:policy/P", f"arn:aws:iam::{A}:policy/P"]),  # D17
        (ROLE, "iam:AttachRolePolicy", [f"arn:aws:iam::{A}:role/aws-service-role/x/R", f"arn:aws:iam::{A}:role/R"]),
        (ROLE, "kms:UpdateAlias", [f"arn:aws:kms:us-east-1:{A}:alias/aws/s3", f"arn:aws:kms:us-east-1:{A}:alias/a"]),
        (ROLE, "kms:Decrypt", [KEY, f"arn:aws:kms:us-east-1:{A}:alias/a"]),  # 6.3
        (ROLE, "s3:GetObject", [KEY, "arn:aws-cn:s3:::data/x", "arn:aws:s3:::data/x"]),  # N16
        (ROLE, "iam:PassRole", [f"arn:aws:iam::{B}:role/R", f"arn:aws:iam::{A}:role/R"]),
        (ROLE, "sts:AssumeRole", [f"arn:aws:iam::{A}:role/R", f"arn:aws:sts::{A}:assumed-role/R/s"]),
        (ROLE, "sts:GetFederationToken", ["*", BUCKET]),  # 7.4
        ("*", "dynamodb:GetItem", [f"arn:aws:dynamodb:us-east-1:{A}:table/t"]),  # D19
        (f"arn:aws:iam::{A}:root", "s3:GetObject", [f"arn:aws:sqs:us-east-1:{B}:q", BUCKET, KEY]),
    ],
)
@pytest.mark.parametrize("unknown_owner", ["principal", "deny"])
def test_rules_of_services_are_cases_of_the_arn(principal: str, action: str, resources: list[str], unknown_owner: Any) -> None:
    """H51."""
    engine = engine_of(allow(), options={"unknown_owner": unknown_owner})
    assert checked(engine, principal, action, {"resource": resources})[0].exact


def test_public_bucket_policy_under_restriction_denies_others() -> None:
    """H51, D33."""
    directory = fastiam.Directory()
    for account in (A, B):
        directory.add_account(account)
    directory.add_principal(ROLE, identity_policies=[policy(allow())])
    directory.add_principal(f"arn:aws:iam::{B}:role/other", identity_policies=[policy(allow())])
    directory.add_resource(
        BUCKET, account=A, policy=policy(allow([BUCKET, f"{BUCKET}/*"], Principal="*")), restrict_public_buckets=True
    )
    engine, rows = directory.compile(), {"resource": [f"{BUCKET}/x", BUCKET]}
    assert checked(engine, ROLE, "s3:GetObject", rows)[1] == [True, True]
    assert checked(engine, f"arn:aws:iam::{B}:role/other", "s3:GetObject", rows)[1] == [False, False]


def test_template_that_covers_another_type_is_accepted() -> None:
    """H52: a value with `:` or `*` in it is text."""
    rows = {"bucket": ["data", "data/x", "a:b", "*", None, ""]}
    resources = [None if name is None else f"arn:aws:s3:::{name}" for name in rows["bucket"]]
    engine = engine_of(allow(["arn:aws:s3:::data*", "arn:aws:s3:::a?b"]))
    allowed = checked(engine, ROLE, "s3:GetObject", rows, resources=resources, resource="arn:aws:s3:::{bucket}")[1]
    assert allowed == [True, True, True, False, False, False]


def test_digest_changes_with_the_policies() -> None:
    """H53: the filter is of one generation of an engine."""
    one, same, other = (engine_of(allow(f"{BUCKET}/{path}*")).filter(ROLE, "s3:GetObject") for path in ("a", "a", "b"))
    assert one.digest == same.digest != other.digest
    assert one.digest != engine_of(allow(f"{BUCKET}/a*")).filter(ROLE, "s3:PutObject").digest
