"""Logs of CloudTrail: parts that a record does not contain stay open, and parts that are not read are counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cloudtrail_records import ACCOUNT, ANA, OPS, assume_role, record, session, temporary, user, write_log

import fastiam
from fastiam import Outcome
from fastiam.aws_data.catalog import actions_of
from fastiam.cli.main import run
from fastiam.model.logged_calls import Calls, LoggedOutcome
from fastiam.sources.cloudtrail.named_resources import resource_finder
from fastiam.sources.cloudtrail.outcomes import logged_of
from fastiam.sources.sdk_calls.arn_templates import RequestOrigin

OTHER = "222222222222"


def calls_of(tmp_path: Path, *records: dict[str, Any]) -> Calls:
    (calls,) = fastiam.read_cloudtrail(write_log(tmp_path / "log.json", *records))
    return calls


# -- files ------------------------------------------------------------------------------------------------------------


def test_records_and_events_in_one_document_are_refused(tmp_path):
    event = {"CloudTrailEvent": json.dumps(record("kms:ListKeys"))}
    (path := tmp_path / "log.json").write_text(json.dumps({"Records": [record("s3:ListBuckets")], "Events": [event]}))
    with pytest.raises(fastiam.SourceError, match="both `Records` and `Events`"):
        list(fastiam.read_cloudtrail(path))


def folder_of(tmp_path: Path) -> Path:
    folder = tmp_path / "logs"
    write_log(folder / "a.JSON", record("s3:ListBuckets"))
    (folder / "CloudTrail-Digest").mkdir()
    for name in ("b.json.zst", "c.txt", "d.txt", "e", ".hidden.txt", "CloudTrail-Digest/f.txt"):
        (folder / name).write_text("x")
    return folder


def test_files_of_a_folder_that_are_not_read_are_counted(tmp_path):
    log = fastiam.read_cloudtrail(folder_of(tmp_path))
    for _ in range(2):
        assert sum(map(len, log)) == 1
        assert dict(log.skipped) == {".json.zst": 1, ".txt": 2, "no suffix": 1}


def test_replay_summary_lists_files_that_are_not_read(tmp_path, capsys):
    directory = fastiam.Directory()
    directory.add_principal(ANA)
    directory.dump(tmp_path / "policies.json")
    run(["replay", "--policies", str(tmp_path / "policies.json"), str(folder_of(tmp_path))])
    err = capsys.readouterr().err
    assert "4 files in the folders are not logs" in err and "2  .txt" in err


# -- resources --------------------------------------------------------------------------------------------------------

PARTITIONS = [
    # the ARN of the caller, the Region, the partition
    ("arn:aws-cn:iam::111111111111:user/ana", "cn-north-1", "aws-cn"),
    ("arn:aws-iso:iam::111111111111:user/ana", "us-iso-east-1", "aws-iso"),
    ("arn:aws-eusc:iam::111111111111:user/ana", "eusc-de-east-1", "aws-eusc"),
    ("", "us-gov-west-1", "aws-us-gov"),
    ("", "us-isob-east-1", "aws-iso-b"),
    ("", "eu-isoe-west-1", "aws-iso-e"),
    ("", "us-isof-south-1", "aws-iso-f"),
    ("", "us-east-1", "aws"),
]


@pytest.mark.parametrize(("arn", "region", "partition"), PARTITIONS, ids=[region for _, region, _ in PARTITIONS])
def test_resource_arns_have_the_partition_of_the_caller(tmp_path, arn, region, partition):
    identity = user(arn) if arn else {"type": "AWSService", "invokedBy": "ec2.amazonaws.com"}
    call = record("sqs:SendMessage", identity, {"queueUrl": f"https://sqs.{region}.example/{ACCOUNT}/q"}, awsRegion=region)
    assert calls_of(tmp_path, call).resources == [f"arn:{partition}:sqs:{region}:{ACCOUNT}:q"]


def test_callers_of_two_partitions_are_distinguished(tmp_path):
    arns = [f"arn:{partition}:iam::{ACCOUNT}:user/ana" for partition in ("aws", "aws-cn")]
    calls = calls_of(tmp_path, *(record("kms:Decrypt", user(arn), {"keyId": "k"}) for arn in arns))
    assert [resource.split(":")[1] for resource in calls.resources] == ["aws", "aws-cn"]


BUCKETS = [
    {"ARN": "arn:aws:s3:::to", "accountId": ACCOUNT, "type": "AWS::S3::Bucket"},
    {"ARN": "arn:aws:s3:::from", "accountId": OTHER, "type": "AWS::S3::Bucket"},
]
POINT = f"arn:aws:s3:eu-west-1:{ACCOUNT}:accesspoint/p/object/k"
COPIES = [
    # the source of the copy, the request to read it, its owner
    ("/from/k", "s3:GetObject", "arn:aws:s3:::from/k", OTHER),
    ("from/k?versionId=v", "s3:GetObjectVersion", "arn:aws:s3:::from/k", OTHER),
    ("elsewhere/k", "s3:GetObject", "arn:aws:s3:::elsewhere/k", None),
    (POINT, "s3:GetObject", POINT, None),
    ("unreadable", "s3:GetObject", None, None),
]


@pytest.mark.parametrize(("source", "action", "resource", "owner"), COPIES, ids=[source for source, *_ in COPIES])
def test_copies_need_to_read_their_source(tmp_path, source, action, resource, owner):
    parameters = {"bucketName": "to", "key": "k", "x-amz-copy-source": source}
    calls = calls_of(tmp_path, record("s3:CopyObject", parameters=parameters, resources=BUCKETS))
    rows = zip(calls.row_action, calls.resources, calls.owners, strict=True)
    found = [(calls.actions[row[0]], *row[1:]) for row in rows]
    assert found == [("s3:PutObject", "arn:aws:s3:::to/k", ACCOUNT), (action, resource, owner)]


def test_owners_of_buckets_belong_to_their_own_bucket(tmp_path):
    call = record("s3:GetObject", parameters={"bucketName": "third", "key": "k"}, resources=BUCKETS)
    assert calls_of(tmp_path, call).owners == [None]


SEVERAL = [
    # names of tables, names of indexes, the resources; None if the log does not contain which belong together
    (["t"], ["a", "b"], ["table/t/index/a", "table/t/index/b"]),
    (["t", "u"], ["a"], ["table/t/index/a", "table/u/index/a"]),
    (["t", "u"], ["a", "b"], [None]),
]


@pytest.mark.parametrize(("tables", "indexes", "expected"), SEVERAL)
def test_resources_of_two_names_need_a_single_one(tables, indexes, expected):
    names = {"tablename": tables, "indexname": indexes}
    found = resource_finder(actions_of("dynamodb")["query"]).find(names, [], RequestOrigin("aws", "eu-west-1", ACCOUNT))
    prefix = f"arn:aws:dynamodb:eu-west-1:{ACCOUNT}:"
    assert [arn and arn.removeprefix(prefix) for arn in found if arn is None or "/index/" in arn] == expected


def test_more_resources_than_are_read_are_unknown(tmp_path):
    ids = [{"instanceId": f"i-{i}"} for i in range(1_001)]
    call = record("ec2:TerminateInstances", parameters={"instancesSet": {"items": ids}})
    assert calls_of(tmp_path, call).resources == [None]


# -- sessions ---------------------------------------------------------------------------------------------------------

HIDDEN = "HIDDEN_DUE_TO_SECURITY_REASONS"
GUEST = f"arn:aws:sts::{ACCOUNT}:federated-user/guest"
EVERYTHING = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}


def federated() -> dict[str, Any]:
    identity = {"type": "FederatedUser", "arn": GUEST, "accountId": ACCOUNT} | temporary(key="ASIA9")
    identity["sessionContext"]["sessionIssuer"] = {"type": "IAMUser", "arn": ANA}
    return identity


def issued(**parameters: Any) -> dict[str, Any]:
    passed = {"name": "guest", "policy": json.dumps(EVERYTHING), **parameters}
    return record("sts:GetFederationToken", None, passed, responseElements={"credentials": {"accessKeyId": "ASIA9"}})


def answer(
    tmp_path: Path, condition: dict[str, Any], *records: dict[str, Any], **options: Any
) -> tuple[Outcome, tuple[str, ...]]:
    """Outcome and open keys of the last record, if users and roles may do everything under a condition."""
    directory = fastiam.Directory()
    statement = {"Effect": "Allow", "Action": "*", "Resource": "*"} | ({"Condition": condition} if condition else {})
    for arn in (ANA, OPS):
        directory.add_principal(arn, identity_policies=[{"Version": "2012-10-17", "Statement": statement}])
    log = fastiam.read_cloudtrail(write_log(tmp_path / "log.json", *records), **options)
    group = next(group for group in directory.compile().replay(log).groups if group.number == len(records))
    return group.outcome, group.depends_on


RED = {"StringEquals": {"aws:PrincipalTag/team": "red"}}
TAGS = [
    # the issue of the credentials, the condition, the answer
    ([], RED, (Outcome.DEPENDS, ("session tags",))),
    ([], {}, (Outcome.DEPENDS, ("session policies",))),
    ([issued(tags=[{"key": HIDDEN, "value": HIDDEN}])], RED, (Outcome.DEPENDS, ("session tags",))),
    ([issued(tags=[{"key": HIDDEN, "value": HIDDEN}])], {}, (Outcome.ALLOW, ())),
    ([issued(tags=[{"key": "team", "value": "red"}])], RED, (Outcome.ALLOW, ())),
    ([issued()], RED, (Outcome.IMPLICIT_DENY, ())),
]  # fmt: skip


@pytest.mark.parametrize(("before", "condition", "expected"), TAGS)
def test_federated_user_with_unknown_tags_depends_on_them(tmp_path, before, condition, expected):
    assert answer(tmp_path, condition, *before, record("s3:ListBuckets", federated())) == expected


def test_role_session_of_unknown_issue_depends_on_its_tags(tmp_path):
    """A session tag may replace the tag of the role (K1, S22)."""
    found = answer(tmp_path, RED, record("s3:ListBuckets", session()), assume_no_session_policies=True)
    assert found == (Outcome.DEPENDS, ("aws:principaltag/team",))


def test_session_policies_in_the_log_are_not_assumed_away(tmp_path):
    """The tags are hidden, so the session is not rebuilt; its policy is in the log all the same."""
    issue = assume_role(policy=json.dumps(EVERYTHING), tags=[{"key": HIDDEN, "value": HIDDEN}])
    found = answer(tmp_path, {}, issue, record("s3:ListBuckets", session()), assume_no_session_policies=True)
    assert found == (Outcome.DEPENDS, ("session policies",))


# -- outcomes ---------------------------------------------------------------------------------------------------------

UNAUTHENTICATED = "UnrecognizedClientException InvalidAccessKeyId MissingAuthenticationTokenException InvalidToken"
UNREADABLE = "InvalidSignatureException IncompleteSignature RequestExpired RequestTimeTooSkewed SerializationException"


@pytest.mark.parametrize("code", f"{UNAUTHENTICATED} {UNREADABLE} Server.Unavailable".split())
def test_failure_before_authorization_is_unknown(code):
    assert logged_of(code) is LoggedOutcome.UNKNOWN
