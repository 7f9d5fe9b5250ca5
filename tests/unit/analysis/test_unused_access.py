"""Unused access and suggested policies (frames specification 5.3)."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cloudtrail_records import ACCOUNT, ANA, OPS, record, session, user, write_log
from hypothesis import given, settings
from hypothesis import strategies as st
from seeds import few_or_all

import fastiam
from fastiam.analysis.access.call_decisions import DELETED
from fastiam.analysis.access.decision_changes import Change
from fastiam.analysis.access.log_usage import usage_of, used_calls
from fastiam.aws_data.action_patterns import all_actions, matching_actions
from fastiam.aws_data.log_events import data_events, not_recorded

LIST, TABLES, BUCKET = record("s3:ListBuckets"), record("dynamodb:ListTables"), "arn:aws:s3:::data"


def statement(action: Any, resource: Any = "*", effect: str = "Allow", **more: Any) -> dict[str, Any]:
    return {"Effect": effect, "Action": action, "Resource": resource, **more}


def directory_of(*statements: dict[str, Any], **more: Any) -> fastiam.Directory:
    out = fastiam.Directory()
    document = {"Version": "2012-10-17", "Statement": list(statements)}
    for arn in (ANA, OPS):
        out.add_principal(arn, identity_policies=[("own", document)] if statements else [], **more)
    return out


class Log:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, *records: dict[str, Any]) -> fastiam.CloudTrail:
        return fastiam.read_cloudtrail(write_log(self._folder / "log.json", *records))


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path)


def of(found: list[fastiam.Unused], principal: str = ANA) -> fastiam.Unused:
    (row,) = (row for row in found if row.principal == principal)
    return row


# -- the actions of AWS ---------------------------------------------------------------------------------------------------


def test_action_patterns_match_the_actions_of_aws() -> None:
    assert {"s3:GetObject", "s3:GetObjectAcl"} <= matching_actions("S3:getobj*") < matching_actions("s3:*")
    assert matching_actions("s?:GetObject") == {"s3:GetObject"} and matching_actions("*") == all_actions()
    assert matching_actions("s3") == matching_actions("nothing:*") == frozenset()


def test_log_event_groups_are_separate_actions_of_aws() -> None:
    known = {action.lower() for action in all_actions()}
    assert data_events() <= known and not_recorded() <= known and not data_events() & not_recorded()
    assert {"s3:getobject", "lambda:invokefunction", "dynamodb:getitem", "s3:listbucket"} <= data_events()
    assert {"iam:passrole", "s3:replicateobject", "sts:tagsession"} <= not_recorded()
    assert not {"iam:createuser", "s3:listallmybuckets", "kms:decrypt", "ec2:runinstances"} & (data_events() | not_recorded())


# -- unused ---------------------------------------------------------------------------------------------------------------


def test_unused_groups_granted_actions_by_what_a_log_shows(log: Log) -> None:
    actions = ["s3:ListAllMyBuckets", "s3:CreateBucket", "s3:GetObject", "s3:ReplicateObject", "dynamodb:ListTables"]
    engine = directory_of(statement(actions)).compile()
    row = of(engine.unused(log(LIST, TABLES, LIST), since=None))
    assert row.used == ("dynamodb:ListTables", "s3:ListAllMyBuckets") and row.unused == ("s3:CreateBucket",)
    assert row.not_visible == ("s3:GetObject",) and row.not_recorded == ("s3:ReplicateObject",)
    assert (row.granted, row.calls, row.last_call) == (5, 3, "2026-03-01T09:00:00Z")
    assert engine.unused(log(LIST), since=None)[0].principal == OPS  # more unused actions first


def test_unused_data_events_count_if_the_trail_writes_them(log: Log) -> None:
    engine = directory_of(statement(["s3:GetObject", "lambda:InvokeFunction"])).compile()
    row = of(engine.unused(log(LIST), since=None, data_events=["s3"]))
    assert row.unused == ("s3:GetObject",) and row.not_visible == ("lambda:InvokeFunction",)
    with pytest.raises(fastiam.RequestValueError, match="`iam` has no data events"):
        engine.unused(log(LIST), since=None, data_events=["iam"])


def test_unused_ignores_calls_before_the_start(log: Log) -> None:
    engine = directory_of(statement(["s3:ListAllMyBuckets"])).compile()
    late = datetime(2026, 3, 1, 9, 0, 1, tzinfo=UTC)
    assert of(engine.unused(log(LIST), since=late)).unused == ("s3:ListAllMyBuckets",)
    assert of(engine.unused(log(LIST), since=late.replace(second=0))).unused == ()
    with pytest.raises(fastiam.RequestValueError, match="needs a time zone"):
        engine.unused(log(LIST), since=datetime(2026, 3, 1))


@pytest.mark.parametrize(("error", "is_used"), [("AccessDenied", False), ("ThrottlingException", False), ("NoSuchBucket", True)])
def test_unused_counts_calls_that_policies_allowed(error: str, is_used: bool, log: Log) -> None:
    engine = directory_of(statement("s3:ListAllMyBuckets")).compile()
    row = of(engine.unused(log({**LIST, "errorCode": error}), since=None))
    assert bool(row.used) is is_used and row.calls == int(is_used)


def test_unused_combines_the_sessions_of_a_role(log: Log) -> None:
    engine = directory_of(statement("s3:ListAllMyBuckets")).compile()
    found = engine.unused(log(record("s3:ListBuckets", session())), since=None)
    assert of(found, OPS).used == ("s3:ListAllMyBuckets",) and of(found).unused == ("s3:ListAllMyBuckets",)


def with_ids() -> fastiam.Directory:
    """A user and a role whose unique ids are known."""
    out = fastiam.Directory()
    document = {"Version": "2012-10-17", "Statement": [statement(["s3:ListAllMyBuckets", "dynamodb:ListTables"])]}
    out.add_principal(ANA, identity_policies=[("own", document)], unique_id="AIDA1111111111111111A")
    out.add_principal(OPS, identity_policies=[("own", document)], unique_id="AROA1111111111111111A")
    return out


IDS = [  # the caller, its `principalId`, and whether the call counts
    (user(), "AIDA1111111111111111A", True),
    (user(), "AIDA2222222222222222B", False),
    (user(), "", True),
    (session(), "AROA1111111111111111A:s1", True),
    (session(), "AROA2222222222222222B:s1", False),
]


@pytest.mark.parametrize(("identity", "unique_id", "is_used"), IDS, ids=[str(each[1]) for each in IDS])
def test_calls_of_a_deleted_principal_do_not_count(identity: dict[str, Any], unique_id: str, is_used: bool, log: Log) -> None:
    principal = ANA if identity["type"] == "IAMUser" else OPS
    calls = log(record("s3:ListBuckets", identity | {"principalId": unique_id}))
    row = of(with_ids().compile().unused(calls, since=None), principal)
    assert ("s3:ListAllMyBuckets" in row.used, row.calls, row.former_calls) == (is_used, int(is_used), int(not is_used))
    found = fastiam.suggest_policy(with_ids(), principal, calls)
    assert (bool(found.document["Statement"]), found.calls, found.former_calls) == (is_used, int(is_used), int(not is_used))


def test_replay_does_not_decide_calls_of_a_deleted_principal(log: Log) -> None:
    former = user() | {"principalId": "AIDA2222222222222222B"}
    calls = log(LIST | {"userIdentity": former}, record("s3:GetObject", former, None), LIST)
    engine = with_ids().compile()
    found = {group.verdict.value: (group.calls, group.note) for group in engine.replay(calls).groups if group.calls}
    assert found == {"undecided": (1, DELETED), "agrees": (1, "")}
    compared = fastiam.diff(engine, directory_of().compile(), log=calls)
    assert (compared.n_errors, compared.counts) == (2, {Change.LOST: 1})


def test_made_unique_ids_compare_with_none_in_a_log(log: Log) -> None:
    made = directory_of(statement("s3:*")).compile()
    calls = log(record("s3:ListBuckets", user() | {"principalId": "AIDA2222222222222222B"}))
    assert of(made.unused(calls, since=None)).used == ("s3:ListAllMyBuckets",)


def test_unused_leaves_out_actions_that_a_layer_denies(log: Log) -> None:
    denied = statement("s3:Delete*", effect="Deny")
    limited = directory_of(statement(["s3:DeleteBucket", "s3:CreateBucket", "ec2:RunInstances"]), denied)
    limited.set_permissions_boundary(ANA, [{"Version": "2012-10-17", "Statement": [statement("s3:*")]}])
    found = limited.compile().unused(log(LIST), since=None)
    assert of(found).unused == ("s3:CreateBucket",) and of(found, OPS).unused == ("ec2:RunInstances", "s3:CreateBucket")


def test_unused_keeps_actions_of_a_conditional_deny(log: Log) -> None:
    some = statement("s3:*", effect="Deny", Condition={"Bool": {"aws:SecureTransport": "false"}})
    part = statement("s3:*", f"{BUCKET}/*", effect="Deny")
    assert of(directory_of(statement("s3:CreateBucket"), some, part).compile().unused(log(LIST), since=None)).unused


def test_unused_expands_not_action(log: Log) -> None:
    row = of(directory_of({"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}).compile().unused(log(LIST), since=None))
    assert "s3:CreateBucket" in row.unused and not any(action.startswith("iam:") for action in row.unused)
    assert row.granted == len(all_actions() - matching_actions("iam:*"))


def test_unused_lists_used_actions_without_a_grant(log: Log) -> None:
    assert of(directory_of().compile().unused(log(LIST), since=None)).not_granted == ("s3:listallmybuckets",)


def test_used_calls_are_those_of_one_principal(log: Log) -> None:
    calls = log(LIST, {**TABLES, "errorCode": "AccessDenied"}, record("s3:ListBuckets", session()), TABLES)
    (batch,) = used_calls(calls, ANA)
    assert [batch.actions[code] for code in batch.row_action] == ["s3:ListAllMyBuckets", "dynamodb:ListTables"]
    assert len(batch) == 2 and list(batch.numbers) == [1, 4] and batch.row_call.tolist() == [0, 1]
    assert usage_of(calls).principals[ANA].calls == 2


# -- suggested policies ---------------------------------------------------------------------------------------------------


def objects(key: str = "k", bucket: str = "data", **more: Any) -> dict[str, Any]:
    return record("s3:GetObject", None, {"bucketName": bucket, "key": key}, **more)


def suggested(log: fastiam.CloudTrail, *statements: dict[str, Any], principal: str = ANA) -> fastiam.Suggestion:
    return fastiam.suggest_policy(directory_of(*statements), principal, log)


def test_suggestion_has_the_used_actions_and_narrow_resources(log: Log) -> None:
    wide = statement("s3:*", ["*", f"{BUCKET}/*", "arn:aws:s3:::other/*"])
    found = suggested(log(objects(), LIST), wide)
    assert found.document["Statement"] == [
        statement(["s3:ListAllMyBuckets"], ["*"]),
        statement(["s3:GetObject"], [f"{BUCKET}/*"]),
    ]
    assert (found.calls, found.lost, found.not_covered) == (2, 0, ()) and "s3:PutObject" in found.removed_unseen
    assert found.proof.proved


def test_suggestion_uses_the_narrowest_statement(log: Log) -> None:
    found = suggested(log(objects()), statement("*"), statement("s3:Get*", f"{BUCKET}/*"))
    assert found.document["Statement"] == [statement(["s3:GetObject"], [f"{BUCKET}/*"])]


def test_suggestion_keeps_conditions_and_denies(log: Log) -> None:
    office = {"IpAddress": {"aws:SourceIp": ["198.51.100.0/24"]}}
    deny = statement(["s3:Delete*"], ["*"], "Deny", Condition={"Null": {"aws:TokenIssueTime": ["true"]}})
    found = suggested(log(objects()), statement("s3:*", Condition=office), deny)
    assert found.document["Statement"] == [statement(["s3:GetObject"], ["*"], Condition=office), deny] and found.lost == 0


def test_suggestion_uses_all_statements_with_conditions(log: Log) -> None:
    one, two = ({"StringEquals": {"aws:RequestedRegion": [region]}} for region in ("eu-west-1", "us-east-1"))
    found = suggested(log(objects()), statement("s3:*", Condition=one), statement("s3:Get*", Condition=two))
    assert [each["Condition"] for each in found.document["Statement"]] == [one, two]


def test_suggestion_keeps_all_resources_of_an_unknown_one(log: Log) -> None:
    unknown = record("s3:GetObject", None, None)
    found = suggested(log(unknown), statement("s3:Get*", [f"{BUCKET}/*", "arn:aws:s3:::other/*"]))
    assert found.document["Statement"] == [statement(["s3:GetObject"], [f"{BUCKET}/*", "arn:aws:s3:::other/*"])]


def test_suggestion_keeps_excluded_resources_of_not_resource(log: Log) -> None:
    excluding = {"Effect": "Allow", "Action": "s3:Get*", "NotResource": ["arn:aws:s3:::secret/*"]}
    found = suggested(log(objects()), excluding)
    assert found.document["Statement"] == [{**excluding, "Action": ["s3:GetObject"]}] and found.lost == 0


def test_suggestion_replaces_policies_of_groups(log: Log) -> None:
    directory = directory_of()
    directory.add_group("team", [("team", {"Version": "2012-10-17", "Statement": [statement("s3:*")]})], account=ACCOUNT)
    directory.add_user_to_group(ANA, f"arn:aws:iam::{ACCOUNT}:group/team")
    found = fastiam.suggest_policy(directory, ANA, log(LIST))
    assert found.document["Statement"] == [statement(["s3:ListAllMyBuckets"], ["*"])] and found.lost == 0
    assert directory.tables.entities[ANA].groups  # unchanged


def test_suggestion_names_used_actions_without_an_allow(log: Log) -> None:
    found = suggested(log(LIST, TABLES), statement("s3:*"))
    assert found.not_covered == ("dynamodb:listtables",) and found.lost == 0


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"Version": "2008-10-17", "Statement": [statement("s3:*", "arn:aws:s3:::${aws:username}")]}, "not a variable"),
        (
            {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*", "Extra": 1}]},
            "cannot be read",
        ),
    ],
)
def test_suggestion_refuses_policies_without_an_exact_copy(document: dict[str, Any], message: str, log: Log) -> None:
    directory = fastiam.Directory("lenient")
    directory.add_principal(ANA, identity_policies=[("own", document)])
    used = record("s3:ListBucket", None, {"bucketName": "${aws:username}"})
    with pytest.raises(fastiam.RequestValueError, match=message):
        fastiam.suggest_policy(directory, ANA, log(used))


def test_suggestion_for_an_unknown_principal_is_an_error(log: Log) -> None:
    with pytest.raises(fastiam.RequestValueError, match="did you mean"):
        fastiam.suggest_policy(directory_of(), f"{ANA}a", log(LIST))


ACTIONS = ["s3:*", "s3:Get*", "s3:GetObject", "s3:ListAllMyBuckets", "*", "dynamodb:List*", "s3:*Object"]
RESOURCES = ["*", f"{BUCKET}/*", f"{BUCKET}/k?", "arn:aws:s3:::*", f"{BUCKET}/${{aws:username}}", "arn:aws:s3:::other/*"]
CONDITIONS: list[dict[str, Any]] = [
    {},
    {"Condition": {"IpAddress": {"aws:SourceIp": ["198.51.100.0/24"]}}},
    {"Condition": {"StringEquals": {"aws:RequestedRegion": ["us-east-1"]}}},
    {"Condition": {"Bool": {"aws:MultiFactorAuthPresent": ["true"]}}},
]
STATEMENTS = st.builds(
    lambda effect, action, element, resources, condition: {"Effect": effect, "Action": action, element: resources, **condition},
    st.sampled_from(["Allow", "Allow", "Allow", "Deny"]),
    st.lists(st.sampled_from(ACTIONS), min_size=1, max_size=2),
    st.sampled_from(["Resource", "Resource", "NotResource"]),
    st.lists(st.sampled_from(RESOURCES), min_size=1, max_size=3, unique=True),
    st.sampled_from(CONDITIONS),
)
RECORDS = st.lists(
    st.sampled_from([LIST, TABLES, objects("k1"), objects("ana"), objects("x/y", "other"), record("s3:GetObject", user(), None)]),
    min_size=1,
    max_size=4,
)


@settings(max_examples=few_or_all(8, 12), deadline=None)
@given(st.lists(STATEMENTS, min_size=1, max_size=4), RECORDS)
def test_suggestion_loses_no_call_and_allows_nothing_new(
    tmp_path_factory: pytest.TempPathFactory, statements: list[dict[str, Any]], records: list[dict[str, Any]]
) -> None:
    path = write_log(tmp_path_factory.mktemp("log") / "log.json", *records)
    directory = directory_of(*statements)
    found = fastiam.suggest_policy(directory, ANA, fastiam.read_cloudtrail(path))
    assert found.lost == 0 and found.proof.proved
    other = fastiam.Directory()
    other.add_principal(ANA, identity_policies=[("s", found.document)] if found.document["Statement"] else [])
    old, new = directory.compile(), other.compile()
    asked = [(a, r) for a in ("s3:GetObject", "s3:PutObject", "s3:ListAllMyBuckets", "dynamodb:ListTables", "ec2:RunInstances")
             for r in ("*", f"{BUCKET}/k1", f"{BUCKET}/ana", "arn:aws:s3:::other/z", "arn:aws:s3:::new/z")]  # fmt: skip
    for ip in ("198.51.100.7", "203.0.113.1"):
        context = {"aws:SourceIp": ip, "aws:RequestedRegion": "us-east-1", "aws:MultiFactorAuthPresent": ip == "203.0.113.1"}
        before, after = (e.decide_many(ANA, [a for a, _ in asked], [r for _, r in asked], context) for e in (old, new))
        assert not (after.allowed & ~before.allowed).any()
