"""`fastiam.boto3`: enforcement and recording with botocore's Stubber and with moto."""

from __future__ import annotations

import contextlib
import json
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import boto3
import botocore.client
import botocore.session
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from moto import mock_aws

import fastiam.boto3
from fastiam.sources.cloudtrail.outcomes import refusal_in

A = "111111111111"
APP, ADMIN = f"arn:aws:iam::{A}:role/svc/app", f"arn:aws:iam::{A}:role/admin"
MANAGED = f"arn:aws:iam::{A}:policy/guard"


def statement(effect: str, action: Any, resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": effect, "Action": action, "Resource": resource, **more}


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def directory_of(*statements: dict[str, Any]) -> fastiam.Directory:
    """An account with the role `app`, which has these statements, and `admin`, which app may assume."""
    directory = fastiam.Directory()
    directory.add_account(A)
    trust = document({"Effect": "Allow", "Principal": {"AWS": A}, "Action": ["sts:AssumeRole", "sts:TagSession"]})
    directory.add_principal(APP, trust_policy=trust)
    directory.add_principal(ADMIN, trust_policy=trust)
    directory.put_inline_policy(APP, "app", document(*statements))
    directory.put_inline_policy(ADMIN, "admin", document(statement("Allow", "*")))
    return directory


READS = statement("Allow", ["s3:GetObject", "s3:ListBucket"], ["arn:aws:s3:::bkt1", "arn:aws:s3:::bkt1/*"])


@pytest.fixture
def reader() -> fastiam.Directory:
    return directory_of(READS)


def client(service: str = "s3", key: str = "AKIAEXAMPLE", **options: Any) -> Any:
    session = botocore.session.Session()
    session.set_credentials(key, "secret")
    return session.create_client(service, region_name="eu-west-1", **options)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """moto with two buckets."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        for bucket in ("bkt1", "bkt2"):
            client().create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        yield


def code_of(failed: pytest.ExceptionInfo[ClientError]) -> str:
    return failed.value.response["Error"]["Code"]


# -- refusals (T116, T117)

REFUSALS = [
    ("s3", "get_object", {"Bucket": "bkt2", "Key": "k"}, "AccessDenied", 403),
    ("s3", "head_object", {"Bucket": "bkt2", "Key": "k"}, "403", 403),
    ("ec2", "describe_instances", {}, "UnauthorizedOperation", 403),
    ("iam", "list_users", {}, "AccessDenied", 403),
    ("dynamodb", "get_item", {"TableName": "t", "Key": {"id": {"S": "1"}}}, "AccessDeniedException", 400),
    ("lambda", "list_functions", {}, "AccessDeniedException", 403),
    ("sns", "list_topics", {}, "AuthorizationError", 403),
    ("sqs", "list_queues", {}, "AccessDenied", 403),
]


@pytest.mark.parametrize(("service", "operation", "parameters", "code", "status"), REFUSALS)
def test_denied_call_has_the_answer_of_the_service(reader, service, operation, parameters, code, status):
    """T116; TC4."""
    with fastiam.boto3.enforce(reader, principal=APP), pytest.raises(ClientError) as failed:
        getattr(client(service), operation)(**parameters)
    assert (code_of(failed), failed.value.response["ResponseMetadata"]["HTTPStatusCode"]) == (code, status)
    if code == "403":
        assert failed.value.response["Error"]["Message"] == "Forbidden"


def test_message_names_principal_action_resource_and_layer():
    """T117: replay reads the message back."""
    denied = directory_of(statement("Allow", "s3:*"))
    denied.add_managed_policy(MANAGED, document(statement("Deny", "s3:PutObject")))
    denied.attach_policy(APP, MANAGED)
    with fastiam.boto3.enforce(denied, principal=APP):
        with pytest.raises(ClientError) as implicit:
            client("iam").list_users()
        with pytest.raises(ClientError) as explicit:
            client().put_object(Bucket="b", Key="a b", Body=b"")
    text = implicit.value.response["Error"]["Message"]
    assert text.endswith("because no identity-based policy allows the iam:ListUsers action")
    text = explicit.value.response["Error"]["Message"]
    assert text.endswith(f"with an explicit deny in an identity-based policy: {MANAGED}")
    read = refusal_in(text)
    assert read is not None
    assert (read.user, read.action, read.resource) == (APP, "s3:PutObject", "arn:aws:s3:::b/a b")


def test_key_of_an_object_is_used_by_s3_for_the_caller(aws):
    """T110, TC5: `kms:ViaService` of the request that S3 makes."""
    key = f"arn:aws:kms:eu-west-1:{A}:key/11111111-2222-3333-4444-555555555555"
    via = {"StringEquals": {"kms:ViaService": "s3.eu-west-1.amazonaws.com"}}
    writes = directory_of(statement("Allow", "s3:PutObject"), statement("Allow", "kms:GenerateDataKey", key, Condition=via))
    writes.add_resource(key)
    writes.set_resource_policy(key, document({"Effect": "Allow", "Principal": {"AWS": A}, "Action": "kms:*", "Resource": "*"}))
    with fastiam.boto3.enforce(writes, principal=APP):
        client().put_object(Bucket="bkt1", Key="k", Body=b"", ServerSideEncryption="aws:kms", SSEKMSKeyId=key)
        with pytest.raises(ClientError, match="kms:GenerateDataKey"):
            client("kms").generate_data_key(KeyId=key, KeySpec="AES_256")


def test_each_layer_is_read_back():
    """T117."""
    from fastiam.analysis.access.call_decisions import CallDecision
    from fastiam.boto3.refusals import refusal_message
    from fastiam.model.decision import Layer, Outcome

    for layer in Layer:
        for outcome in (Outcome.IMPLICIT_DENY, Outcome.EXPLICIT_DENY):
            read = refusal_in(refusal_message(APP, "s3:GetObject", "arn:aws:s3:::b/k", CallDecision(outcome, layer)))
            assert read is not None
            assert (read.user, read.action, read.resource) == (APP, "s3:GetObject", "arn:aws:s3:::b/k")


# -- where calls are caught (T100 to T104)


def test_method_of_botocore_is_put_back(reader):
    """T100."""
    before = botocore.client.BaseClient._make_api_call
    with fastiam.boto3.enforce(reader, principal=APP), fastiam.boto3.record():
        assert botocore.client.BaseClient._make_api_call is not before
    assert botocore.client.BaseClient._make_api_call is before


def test_wrapper_of_another_library_stays(reader, aws, monkeypatch):
    """T100, TC35: X-Ray patches inside the block."""
    before = botocore.client.BaseClient._make_api_call
    seen = []
    try:
        with fastiam.boto3.enforce(reader, principal=APP):
            ours = botocore.client.BaseClient._make_api_call

            def traced(self: Any, name: str, parameters: Any) -> Any:
                seen.append(name)
                return ours(self, name, parameters)

            botocore.client.BaseClient._make_api_call = traced
            client().list_objects_v2(Bucket="bkt1")
        assert botocore.client.BaseClient._make_api_call is traced
        client().list_objects_v2(Bucket="bkt2")  # ours calls through
        with fastiam.boto3.enforce(reader, principal=APP) as calls:
            client().list_objects_v2(Bucket="bkt1")
            with pytest.raises(ClientError):
                client().list_objects_v2(Bucket="bkt2")
        assert len(calls.requests) == 2
        assert seen == ["ListObjectsV2"] * 4
    finally:
        botocore.client.BaseClient._make_api_call = before


def test_old_clients_pages_waiters_and_resources_are_checked(reader, aws):
    """T101, TC31."""
    old = client()
    for number in range(5):
        old.put_object(Bucket="bkt1", Key=f"k{number}", Body=b"")
    with fastiam.boto3.enforce(reader, principal=APP) as calls:
        pages = list(old.get_paginator("list_objects_v2").paginate(Bucket="bkt1", PaginationConfig={"PageSize": 2}))
        assert len(pages) == len(calls.requests) == 3
        bucket = boto3.resource("s3", region_name="eu-west-1").Bucket("bkt1")
        assert len(list(bucket.objects.all())) == 5
        with pytest.raises(botocore.exceptions.WaiterError):
            old.get_waiter("object_exists").wait(Bucket="bkt2", Key="k", WaiterConfig={"Delay": 0, "MaxAttempts": 2})
    assert {each.decision.outcome.name for each in calls.requests} == {"ALLOW", "IMPLICIT_DENY"}


def test_refusal_wins_over_a_stubber(reader):
    """T101."""
    stubbed = client()
    with Stubber(stubbed) as stubber, fastiam.boto3.enforce(reader, principal=APP):
        stubber.add_response("list_objects_v2", {}, {"Bucket": "bkt1"})
        stubber.add_response("list_objects_v2", {}, {"Bucket": "bkt2"})
        stubbed.list_objects_v2(Bucket="bkt1")
        with pytest.raises(ClientError, match="not authorized"):
            stubbed.list_objects_v2(Bucket="bkt2")


def test_call_that_a_handler_answers_before_the_check_raises(reader):
    """T102."""
    answered = client()
    answer = (botocore.awsrequest.AWSResponse("https://x", 200, {}, None), {})
    answered.meta.events.register_first("before-call.*.*", lambda **_: answer)
    block = fastiam.boto3.enforce(reader, principal=APP)
    with pytest.raises(fastiam.boto3.UncheckedCall, match="without a check"), block:
        answered.get_object(Bucket="bkt2", Key="k")


def test_final_parameters_decide(reader, aws):
    """T105, TC34: another library's handler returns other parameters."""
    changed = client()
    changed.meta.events.register("provide-client-params.s3.*", lambda params, **_: {**params, "Bucket": "bkt2"})
    with fastiam.boto3.enforce(reader, principal=APP) as calls, pytest.raises(ClientError):
        changed.list_objects_v2(Bucket="bkt1")
    assert [each.resource for each in calls.requests] == ["arn:aws:s3:::bkt2"]


def test_call_inside_of_a_handler_is_a_call_of_its_own(reader, aws):
    """T102: a handler calls with the same client; both calls are decided."""
    nested = client()

    def nest(params: Any, **_: Any) -> None:
        if params["Bucket"] == "bkt2":
            nested.list_objects_v2(Bucket="bkt1")

    nested.meta.events.register("provide-client-params.s3.*", nest)
    with fastiam.boto3.enforce(reader, principal=APP) as calls, pytest.raises(ClientError, match="bkt2"):
        nested.list_objects_v2(Bucket="bkt2")
    assert [each.resource for each in calls.requests] == ["arn:aws:s3:::bkt1", "arn:aws:s3:::bkt2"]


def test_threads_of_a_transfer_are_checked(aws, tmp_path):
    """TC10, TC32, T103."""
    writer = directory_of(statement("Allow", "s3:PutObject", "arn:aws:s3:::bkt1/*"))
    (tmp_path / "large").write_bytes(bytes(9 << 20))
    s3 = boto3.client("s3", region_name="eu-west-1")
    with fastiam.boto3.enforce(writer, principal=APP) as calls:
        s3.upload_file(str(tmp_path / "large"), "bkt1", "k")
        names = [each.operation for each in calls.requests]
        assert sorted(names) == ["CompleteMultipartUpload", "CreateMultipartUpload", "UploadPart", "UploadPart"]
        with pytest.raises(boto3.exceptions.S3UploadFailedError, match="AccessDenied"):
            s3.upload_file(str(tmp_path / "large"), "bkt2", "k")
    with fastiam.boto3.enforce(writer, principal=APP) as calls, calls.suspended():
        s3.upload_file(str(tmp_path / "large"), "bkt2", "k")
    assert calls.requests == () and "calls while suspended" in calls.report()


def test_blocks_of_several_threads_are_not_guessed(reader, aws):
    """T103: a thread without a block, beside blocks of two threads."""
    entered, done = threading.Event(), threading.Event()
    failures: list[BaseException] = []

    def other_block() -> None:
        with contextlib.suppress(fastiam.boto3.UncheckedCall), fastiam.boto3.enforce(reader, principal=ADMIN):
            entered.set()
            done.wait(10)

    def without_block() -> None:
        try:
            client().list_objects_v2(Bucket="bkt1")
        except fastiam.boto3.UncheckedCall as failed:
            failures.append(failed)

    thread = threading.Thread(target=other_block)
    with pytest.raises(fastiam.boto3.UncheckedCall), fastiam.boto3.enforce(reader, principal=APP):
        thread.start()
        assert entered.wait(10)
        client().list_objects_v2(Bucket="bkt1")  # this thread has its own
        alone = threading.Thread(target=without_block)
        alone.start()
        alone.join(10)
        done.set()
        thread.join(10)
    assert len(failures) == 1 and "2 blocks" in str(failures[0])


def test_live_engine_decides_with_its_policies_of_now(aws):
    directory = directory_of(statement("Allow", "s3:GetObject"))
    with fastiam.LiveEngine(directory) as live, fastiam.boto3.enforce(live, principal=APP):
        with pytest.raises(ClientError):
            client().list_objects_v2(Bucket="bkt1")
        directory.put_inline_policy(APP, "app", document(READS))
        live.refresh()
        client().list_objects_v2(Bucket="bkt1")


def test_inner_block_decides(reader, aws):
    with fastiam.boto3.enforce(reader, principal=APP) as outer, fastiam.boto3.enforce(reader, principal=ADMIN) as inner:
        client().list_objects_v2(Bucket="bkt2")
    assert (len(outer.requests), len(inner.requests)) == (0, 1)


@mock_aws
def test_calls_under_the_decorator_of_moto_are_checked():
    """T104, TD11."""
    with fastiam.boto3.enforce(directory_of(READS), principal=APP), pytest.raises(ClientError, match="not authorized"):
        client().list_objects_v2(Bucket="bkt2")


def test_call_of_an_emulator_is_not_checked(reader, aws):
    """T104: the innermost frame outside of SDKs is one of moto."""
    namespace = {"__name__": "moto.example.models"}
    exec("def call(s3):\n    return s3.list_objects_v2(Bucket='bkt2')", namespace)
    with fastiam.boto3.enforce(reader, principal=APP) as calls:
        namespace["call"](client())  # type: ignore[operator]
    assert calls.requests == () and "1 calls of emulators" in calls.report()


def test_presigned_urls_are_recorded_or_checked(reader):
    """T115."""
    get = ("get_object", {"Bucket": "bkt1", "Key": "k"})
    with fastiam.boto3.enforce(reader, principal=APP) as calls:
        client().generate_presigned_url(*get)
        client().generate_presigned_url("put_object", {"Bucket": "bkt1", "Key": "k"})
        client().generate_presigned_post("bkt1", "k")
    assert [(each.action, each.resource, each.presigned) for each in calls.requests] == [
        ("s3:GetObject", "arn:aws:s3:::bkt1/k", True),
        ("s3:PutObject", "arn:aws:s3:::bkt1/k", True),
        ("s3:PutObject", None, True),
    ]
    assert [each.decision.outcome.name for each in calls.requests] == ["ALLOW", "IMPLICIT_DENY", "DEPENDS"]
    assert "3 presigned URLs" in calls.report()
    with fastiam.boto3.enforce(reader, principal=APP, presigned="check"):
        assert client().generate_presigned_url(*get).startswith("https://bkt1.s3")
        with pytest.raises(ClientError, match="not authorized to perform: s3:PutObject"):
            client().generate_presigned_url("put_object", {"Bucket": "bkt1", "Key": "k"})
    with pytest.raises(fastiam.boto3.UndecidedCall), fastiam.boto3.enforce(reader, principal=APP, presigned="check"):
        client().generate_presigned_post("bkt1", "k")


def test_url_is_used_by_another_program(reader):
    """T115: the user agent of its request is not that of the signer."""
    agent = statement("Allow", "s3:GetObject", Condition={"StringLike": {"aws:UserAgent": "Boto3*"}})
    with fastiam.boto3.enforce(directory_of(agent), principal=APP) as calls:
        client().generate_presigned_url("get_object", {"Bucket": "bkt1", "Key": "k"})
    assert calls.requests[0].decision.depends_on == ("aws:useragent",)


def test_client_of_a_block_signs_after_it(reader):
    """T100, T115: handlers do nothing outside of a block, and the method of botocore is put back."""
    before = botocore.client.BaseClient.__init__
    with fastiam.boto3.enforce(reader, principal=APP) as calls:
        kept = client()
        with calls.suspended():
            kept.generate_presigned_url("put_object", {"Bucket": "bkt1", "Key": "k"})
    kept.generate_presigned_url("put_object", {"Bucket": "bkt1", "Key": "k"})
    assert calls.requests == () and botocore.client.BaseClient.__init__ is before


# -- undecided calls (T113) and principals (T114)

NETWORK = statement("Allow", "s3:ListBucket", Condition={"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}})


def test_unknown_key_is_not_guessed(aws):
    """T113, TC33."""
    by_network = directory_of(NETWORK)
    with pytest.raises(fastiam.boto3.UndecidedCall, match='context={"aws:SourceIp": ...}') as failed:
        with fastiam.boto3.enforce(by_network, principal=APP):
            client().list_objects_v2(Bucket="bkt1")
    assert failed.value.depends_on == ("aws:sourceip",)
    with fastiam.boto3.enforce(by_network, principal=APP, context={"aws:SourceIp": "203.0.113.9"}):
        client().list_objects_v2(Bucket="bkt1")
    with fastiam.boto3.enforce(by_network, principal=APP, context={"aws:SourceIp": "198.51.100.1"}), pytest.raises(ClientError):
        client().list_objects_v2(Bucket="bkt1")


def test_undecided_call_that_is_caught_is_raised_at_the_end(aws):
    """T113, TC33."""
    with pytest.raises(fastiam.boto3.UndecidedCall) as failed, fastiam.boto3.enforce(directory_of(NETWORK), principal=APP):
        for _ in range(2):
            with contextlib.suppress(Exception):
                client().list_objects_v2(Bucket="bkt1")
    assert "2 calls" in failed.value.__notes__[0]


def test_answer_to_undecided_calls_is_a_choice(aws):
    """T113."""
    by_network = directory_of(NETWORK)
    with fastiam.boto3.enforce(by_network, principal=APP, depends="deny"), pytest.raises(ClientError):
        client().list_objects_v2(Bucket="bkt1")
    with fastiam.boto3.enforce(by_network, principal=APP, depends="allow"):
        client().list_objects_v2(Bucket="bkt1")
    with fastiam.boto3.enforce(by_network, principal=APP, depends="warn"), pytest.warns(UserWarning, match="undecided"):
        client().list_objects_v2(Bucket="bkt1")
    with pytest.raises(fastiam.RequestValueError, match="none of"), fastiam.boto3.enforce(by_network, depends="no"):  # type: ignore[arg-type]
        pass


def test_unmapped_call_is_a_choice():
    """T108."""
    express = client()
    with Stubber(express) as stubber:
        for _ in range(2):
            stubber.add_response("head_bucket", {})
        everything = directory_of(statement("Allow", "*"))
        with fastiam.boto3.enforce(everything, principal=APP, unmapped="allow") as calls:
            express.head_bucket(Bucket="b--euw1-az1--x-s3")
        assert "s3:HeadBucket" in calls.report()
        with fastiam.boto3.enforce(everything, principal=APP, unmapped="warn"), pytest.warns(UserWarning, match="not mapped"):
            express.head_bucket(Bucket="b--euw1-az1--x-s3")


def test_principal_is_never_guessed(reader, aws):
    """T114."""
    with pytest.raises(fastiam.boto3.UnknownCredentials, match="AKIAEXAMPLE"), fastiam.boto3.enforce(reader):
        client().list_objects_v2(Bucket="bkt1")
    with fastiam.boto3.enforce(reader, principals={"AKIAADMIN": ADMIN}, principal=APP) as calls:
        client(key="AKIAADMIN").list_objects_v2(Bucket="bkt2")
        with pytest.raises(ClientError, match=r"User: anonymous"):
            client(config=Config(signature_version=UNSIGNED)).list_objects_v2(Bucket="bkt1")
    assert [each.principal for each in calls.requests] == [ADMIN, "*"]
    with pytest.raises(fastiam.RequestValueError, match="no principal"), fastiam.boto3.enforce(reader, principal=f"{APP}x"):
        pass


def test_assumed_role_has_its_session_policy_and_tags(aws):
    """T114, TC22, TD2."""
    red = {"StringEquals": {"aws:PrincipalTag/team": "red"}}
    directory = directory_of(statement("Allow", ["sts:AssumeRole", "sts:TagSession"]))
    directory.put_inline_policy(ADMIN, "tags", document(statement("Deny", "s3:ListBucket", "arn:aws:s3:::bkt2", Condition=red)))
    narrow = json.dumps(document(statement("Allow", "s3:ListBucket")))
    with fastiam.boto3.enforce(directory, principal=APP) as calls:
        issued = client("sts").assume_role(
            RoleArn=ADMIN, RoleSessionName="run", Policy=narrow, Tags=[{"Key": "team", "Value": "red"}]
        )["Credentials"]
        session = botocore.session.Session()
        session.set_credentials(issued["AccessKeyId"], issued["SecretAccessKey"], issued["SessionToken"])
        s3 = session.create_client("s3", region_name="eu-west-1")
        s3.list_objects_v2(Bucket="bkt1")
        with pytest.raises(ClientError, match="explicit deny"):
            s3.list_objects_v2(Bucket="bkt2")
        with pytest.raises(ClientError, match="no session policy allows"):
            s3.get_object(Bucket="bkt1", Key="k")
    assert [each.action for each in calls.requests[:2]] == ["sts:AssumeRole", "sts:TagSession"]


def test_tags_of_a_session_need_their_permission(aws):
    """T110, TC22."""
    with fastiam.boto3.enforce(directory_of(statement("Allow", "sts:AssumeRole")), principal=APP):
        client("sts").assume_role(RoleArn=f"arn:aws:iam::{A}:role/admin", RoleSessionName="run")
        with pytest.raises(ClientError, match="sts:TagSession"):
            client("sts").assume_role(RoleArn=ADMIN, RoleSessionName="run", Tags=[{"Key": "a", "Value": "b"}])


def test_web_identity_is_undecided(reader):
    """T114: the claims of the token decide."""
    with pytest.raises(fastiam.boto3.UndecidedCall, match="identity token"), fastiam.boto3.enforce(reader, principal=APP):
        client("sts").assume_role_with_web_identity(RoleArn=ADMIN, RoleSessionName="run", WebIdentityToken="t.o.k.e.n")


# -- DeleteObjects (T118)


def keys_in(bucket: str) -> list[str]:
    return [each["Key"] for each in client().list_objects_v2(Bucket=bucket).get("Contents", [])]


def test_denied_keys_are_not_deleted(aws):
    """T118, TC8: the call succeeds, with an error for each denied key; the caller's objects stay as they are."""
    for key in ("free/a", "kept/b"):
        client().put_object(Bucket="bkt1", Key=key, Body=b"")
    deletes = directory_of(statement("Allow", "s3:DeleteObject", "arn:aws:s3:::bkt1/free/*"))
    asked = {"Objects": [{"Key": "free/a"}, {"Key": "kept/b"}]}
    with fastiam.boto3.enforce(deletes, principal=APP):
        answer = client().delete_objects(Bucket="bkt1", Delete=asked)
        assert [each["Key"] for each in answer["Deleted"]] == ["free/a"]
        assert [(each["Key"], each["Code"]) for each in answer["Errors"]] == [("kept/b", "AccessDenied")]
        only = client().delete_objects(Bucket="bkt1", Delete={"Objects": [{"Key": "kept/b"}]})
        assert [each["Key"] for each in only["Errors"]] == ["kept/b"] and "Deleted" not in only
    assert asked == {"Objects": [{"Key": "free/a"}, {"Key": "kept/b"}]}
    assert keys_in("bkt1") == ["kept/b"]


# -- recording (T120, T121)


def test_recorded_calls_become_a_smaller_policy(aws, tmp_path):
    """T120, T121."""
    wide = directory_of(statement("Allow", ["s3:*", "sqs:*"]), statement("Deny", "s3:DeleteBucket"))
    with fastiam.boto3.record(wide, APP) as calls:
        client().put_object(Bucket="bkt1", Key="k", Body=b"")
        client().get_object(Bucket="bkt1", Key="k")
        with pytest.raises(ClientError):
            client().get_object(Bucket="bkt1", Key="missing")
    found = calls.policy()
    assert (found.principal, found.lost, found.proof.result.value) == (APP, 0, "proved")
    allows = [each for each in found.document["Statement"] if each["Effect"] == "Allow"]
    assert [each["Action"] for each in allows] == [["s3:GetObject", "s3:PutObject"]]
    assert calls.save(tmp_path / "calls.jsonl") == 3
    rows = [json.loads(line) for line in (tmp_path / "calls.jsonl").read_text().splitlines()]
    assert {row["resource"] for row in rows} == {"arn:aws:s3:::bkt1/k", "arn:aws:s3:::bkt1/missing"}


def test_denied_call_of_the_endpoint_is_not_in_the_policy():
    """T120."""
    stubbed = client()
    with Stubber(stubbed) as stubber, fastiam.boto3.record(directory_of(statement("Allow", "s3:*")), APP) as calls:
        stubber.add_client_error("get_object", "AccessDenied", http_status_code=403)
        stubber.add_client_error("put_object", "SlowDown", http_status_code=503)
        for operation in ("get_object", "put_object"):
            with pytest.raises(ClientError):
                getattr(stubbed, operation)(Bucket="b", Key="k")
    assert calls.policy().calls == 0


def test_recording_needs_no_policies(aws):
    with fastiam.boto3.record() as calls, warnings.catch_warnings():
        client().list_objects_v2(Bucket="bkt1")
    (request,) = calls.requests
    assert (request.action, request.resource, request.decision) == ("s3:ListBucket", "arn:aws:s3:::bkt1", None)
    with (
        fastiam.boto3.record(directory_of(READS).compile(), APP) as calls,
        pytest.raises(fastiam.RequestValueError, match="policies"),
    ):
        calls.policy()


def test_recorded_calls_alone_become_a_draft(aws):
    """T121: exact resources, with each unknown one listed in place of a wildcard."""
    with fastiam.boto3.record() as calls:
        client().put_object(Bucket="bkt1", Key="a*b", Body=b"")
        client().put_object(Bucket="bkt2", Key="k", Body=b"")
        client().get_object(Bucket="bkt2", Key="k")
        client("sqs").create_queue(QueueName="q", tags={"team": "red"})
        client().list_objects_v2(Bucket="bkt2")
        with contextlib.suppress(ClientError):
            client("kms").decrypt(KeyId="alias/app", CiphertextBlob=b"x")
        with contextlib.suppress(ClientError):
            client().head_bucket(Bucket="b--euw1-az1--x-s3")
    draft = calls.policy()
    assert isinstance(draft, fastiam.boto3.Draft)
    queue = "arn:aws:sqs:eu-west-1:*:q"  # no principal and no `account` is known
    assert [(each["Action"], each["Resource"]) for each in draft.document["Statement"]] == [
        (["s3:GetObject"], ["arn:aws:s3:::bkt2/k"]),
        (["s3:ListBucket"], ["arn:aws:s3:::bkt2"]),
        (["s3:PutObject"], ["arn:aws:s3:::bkt1/a${*}b", "arn:aws:s3:::bkt2/k"]),
        (["sqs:CreateQueue"], [queue]),
    ]
    limited = calls.policy(conditions=True).document["Statement"]
    assert all(each["Condition"]["StringEquals"]["aws:RequestedRegion"] == "eu-west-1" for each in limited)
    assert limited[-1]["Condition"]["StringEquals"]["aws:RequestTag/team"] == "red"


def test_draft_lists_what_it_cannot_allow():
    """T121."""
    kms, s3 = client("kms"), client()
    with Stubber(kms) as one, Stubber(s3) as two, fastiam.boto3.record() as calls:
        one.add_response("decrypt", {})
        two.add_response("head_bucket", {})
        kms.decrypt(KeyId="alias/app", CiphertextBlob=b"x")
        s3.head_bucket(Bucket="b--euw1-az1--x-s3")
    draft = calls.policy()
    assert (draft.unresolved, draft.unmapped) == ((("kms:Decrypt", "Decrypt"),), ("s3:HeadBucket",))
    assert "not in the policy: `kms:Decrypt` of Decrypt" in str(draft) and draft.document["Statement"] == []


# -- blocks


def test_functions_are_decorated(reader, aws):
    @fastiam.boto3.enforce(reader, principal=APP)
    def code(bucket: str) -> Any:
        return client().list_objects_v2(Bucket=bucket)

    assert code("bkt1")["KeyCount"] == 0
    with pytest.raises(ClientError):
        code("bkt2")
    with pytest.raises(TypeError, match="only functions"):
        fastiam.boto3.enforce(reader)(type("T", (), {}))
