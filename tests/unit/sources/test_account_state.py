"""Enforcement over the IAM state of moto, in the process and as a server. Cases TD, by number."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

import fastiam.boto3
from fastiam.boto3 import account_state, enforce, record
from fastiam.boto3.call_errors import UncheckedCall

A = "123456789012"
APP = f"arn:aws:iam::{A}:role/app"
REGION = "eu-west-1"


def statement(effect: str, action: Any, resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": effect, "Action": action, "Resource": resource, **more}


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


TRUST = document({"Effect": "Allow", "Principal": {"AWS": A}, "Action": ["sts:AssumeRole", "sts:TagSession"]})


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """moto with a role that reads buckets, a user that may assume it, and a bucket."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    with mock_aws():
        fill()
        yield


def fill(**options: Any) -> None:
    iam = boto3.client("iam", region_name=REGION, **options)
    iam.create_role(RoleName="app", AssumeRolePolicyDocument=TRUST)
    iam.put_role_policy(RoleName="app", PolicyName="read", PolicyDocument=document(statement("Allow", "s3:ListBucket")))
    iam.create_user(UserName="ana")
    iam.put_user_policy(UserName="ana", PolicyName="assume", PolicyDocument=document(statement("Allow", "sts:AssumeRole")))
    s3 = boto3.client("s3", region_name=REGION, **options)
    s3.create_bucket(Bucket="bkt", CreateBucketConfiguration={"LocationConstraint": REGION})


def client(service: str, **options: Any) -> Any:
    return boto3.client(service, region_name=REGION, **options)


def keys_of(user: str, **options: Any) -> dict[str, str]:
    key = client("iam", **options).create_access_key(UserName=user)["AccessKey"]
    return {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}


def session_keys(credentials: dict[str, Any]) -> dict[str, str]:
    return {
        "aws_access_key_id": credentials["AccessKeyId"],
        "aws_secret_access_key": credentials["SecretAccessKey"],
        "aws_session_token": credentials["SessionToken"],
    }


def assumed(policy: str | None = None, **keys: Any) -> dict[str, str]:
    more = {"Policy": policy} if policy else {}
    answer = client("sts", **keys).assume_role(RoleArn=APP, RoleSessionName="run", **more)
    return session_keys(answer["Credentials"])


def test_session_of_a_role_is_decided_with_its_policies(aws: None) -> None:
    """TD1, TD2."""
    ana = keys_of("ana")
    with enforce(account_state()) as calls:
        client("s3", **assumed(**ana)).list_objects_v2(Bucket="bkt")
        limited = client("s3", **assumed(document(statement("Allow", "s3:GetObject")), **ana))
        with pytest.raises(ClientError, match="no session policy allows the s3:ListBucket action"):
            limited.list_objects_v2(Bucket="bkt")
        with pytest.raises(ClientError, match="no identity-based policy allows the s3:ListBucket action"):
            client("s3", **ana).list_objects_v2(Bucket="bkt")
    assert [each.principal for each in calls.requests][0] == f"arn:aws:iam::{A}:user/ana"


def test_write_inside_of_the_block_is_read_again(aws: None) -> None:
    """TD3."""
    s3, iam = client("s3"), client("iam")
    with enforce(account_state(), principal=APP) as calls:
        with pytest.raises(ClientError):
            s3.put_object(Bucket="bkt", Key="k", Body=b"")
        n = calls._state.n_read  # type: ignore[union-attr]
        with calls.suspended():
            allow = document(statement("Allow", "s3:PutObject"))
            iam.put_role_policy(RoleName="app", PolicyName="write", PolicyDocument=allow)
        s3.put_object(Bucket="bkt", Key="k", Body=b"")
        s3.put_object(Bucket="bkt", Key="k", Body=b"")
        assert calls._state.n_read == n + 1  # type: ignore[union-attr]


def test_bucket_policy_denies(aws: None) -> None:
    """TD4."""
    s3 = client("s3")
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::bkt"}
    with enforce(account_state(), principal=APP) as calls:
        s3.list_objects_v2(Bucket="bkt")
        with calls.suspended():
            s3.put_bucket_policy(Bucket="bkt", Policy=document(deny))
        with pytest.raises(ClientError, match="with an explicit deny in a resource-based policy"):
            s3.list_objects_v2(Bucket="bkt")


def test_default_credentials_of_moto_need_a_principal(aws: None) -> None:
    """TD5, T134."""
    s3 = client("s3")
    with enforce(account_state(), principal=APP):
        s3.list_objects_v2(Bucket="bkt")
    with pytest.raises(fastiam.boto3.UnknownCredentials, match="suspended"), enforce(account_state()) as calls:
        with calls.suspended():
            s3.list_objects_v2(Bucket="bkt")
        s3.list_objects_v2(Bucket="bkt")


def test_user_has_the_policies_of_groups_after_a_rename(aws: None) -> None:
    """TD6."""
    iam = client("iam")
    iam.create_group(GroupName="readers")
    iam.put_group_policy(GroupName="readers", PolicyName="p", PolicyDocument=document(statement("Allow", "s3:ListBucket")))
    iam.add_user_to_group(GroupName="readers", UserName="ana")
    s3 = client("s3", **keys_of("ana"))
    with enforce(account_state(), principal=APP) as calls:
        s3.list_objects_v2(Bucket="bkt")
        with calls.suspended():
            iam.update_user(UserName="ana", NewUserName="bea")
        s3.list_objects_v2(Bucket="bkt")
    assert [each.principal for each in calls.requests] == [f"arn:aws:iam::{A}:user/{name}" for name in ("ana", "bea")]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """moto as a server."""
    from moto.server import ThreadedMotoServer

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


def test_server_is_read_as_the_process_is(server: str) -> None:
    """TD7, T103: two threads; `http` of an emulator counts as secure."""
    at = {"endpoint_url": server}
    fill(**at)
    secure = {"Bool": {"aws:SecureTransport": "true"}}
    client("iam", **at).put_role_policy(
        RoleName="app", PolicyName="read", PolicyDocument=document(statement("Allow", "s3:ListBucket", Condition=secure))
    )
    outcomes: list[str] = []

    def work() -> None:
        s3 = client("s3", **at)
        s3.list_objects_v2(Bucket="bkt")
        try:
            s3.put_object(Bucket="bkt", Key="k", Body=b"")
        except ClientError as denied:
            outcomes.append(denied.response["Error"]["Code"])

    with enforce(account_state(**at), principal=APP) as calls:
        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert outcomes == ["AccessDenied"] * 2 and len(calls.requests) == 4


@pytest.mark.slow
def test_role_of_a_stack_is_known_after_it(aws: None) -> None:
    """TD8."""
    allow = json.loads(document(statement("Allow", "s3:ListBucket")))
    role = {"RoleName": "made", "AssumeRolePolicyDocument": json.loads(TRUST)}
    policy = {"PolicyName": "p", "PolicyDocument": allow, "Roles": [{"Ref": "R"}]}
    types = {"R": ("AWS::IAM::Role", role), "P": ("AWS::IAM::Policy", policy)}
    template = json.dumps({"Resources": {name: {"Type": type_, "Properties": of} for name, (type_, of) in types.items()}})
    with enforce(account_state()) as calls:
        with calls.suspended():
            ana = keys_of("ana")
            client("cloudformation").create_stack(StackName="s", TemplateBody=template)
        made = client("sts", **ana).assume_role(RoleArn=f"arn:aws:iam::{A}:role/made", RoleSessionName="run")
        client("s3", **session_keys(made["Credentials"])).list_objects_v2(Bucket="bkt")
    assert [each.decision.outcome.name for each in calls.requests] == ["ALLOW", "ALLOW"]


def test_state_that_cannot_be_read_lets_nothing_pass(aws: None) -> None:
    """TD9."""
    at = {"endpoint_url": "http://127.0.0.1:1"}
    with pytest.raises(fastiam.boto3.UncheckedCall, match="cannot be read"), enforce(account_state(**at), principal=APP):
        raise AssertionError("the block began without a state")
    session = boto3.session.Session()
    with pytest.raises(fastiam.boto3.UncheckedCall, match="cannot be read"):
        with enforce(account_state(session, refresh="call"), principal=APP) as calls:
            client("s3").list_objects_v2(Bucket="bkt")
            calls._state._source.endpoint_url = at["endpoint_url"]  # type: ignore[union-attr]  # the emulator has ended
            client("s3").list_objects_v2(Bucket="bkt")
    assert len(calls.requests) == 1


@pytest.mark.slow
def test_many_calls_read_the_state_once(aws: None) -> None:
    """TD10."""
    s3 = client("s3")
    allow = document(statement("Allow", "s3:GetObject"))
    client("iam").put_role_policy(RoleName="app", PolicyName="get", PolicyDocument=allow)
    s3.put_object(Bucket="bkt", Key="k", Body=b"")
    with enforce(account_state(), principal=APP) as calls:
        for _ in range(1_000):
            s3.get_object(Bucket="bkt", Key="k")
        assert calls._state.n_read == 1  # type: ignore[union-attr]
    assert len(calls.requests) == 1_000


def test_manual_state_is_read_again_when_asked(aws: None) -> None:
    s3, iam = client("s3"), client("iam")
    with enforce(account_state(refresh="manual"), principal=APP) as calls:
        with calls.suspended():
            iam.put_role_policy(RoleName="app", PolicyName="w", PolicyDocument=document(statement("Allow", "s3:PutObject")))
        with pytest.raises(ClientError):
            s3.put_object(Bucket="bkt", Key="k", Body=b"")
        calls.refresh()
        s3.put_object(Bucket="bkt", Key="k", Body=b"")
    with enforce(fastiam.Directory(), principal="*") as calls, pytest.raises(fastiam.RequestValueError, match="account_state"):
        calls.refresh()
    with pytest.raises(fastiam.RequestValueError, match="none of writes"):
        account_state(refresh="often")  # type: ignore[arg-type]


def test_policies_of_queues_topics_and_keys_are_read(aws: None) -> None:
    """T132, TC20."""
    url = client("sqs").create_queue(QueueName="q")["QueueUrl"]
    topic = client("sns").create_topic(Name="t")["TopicArn"]
    key = client("kms").create_key()["KeyMetadata"]["Arn"]
    client("kms").create_alias(AliasName="alias/app", TargetKeyId=key)
    grant = {"Effect": "Allow", "Principal": {"AWS": APP}}
    queue = f"arn:aws:sqs:{REGION}:{A}:q"
    policy = document({**grant, "Action": "sqs:SendMessage", "Resource": queue})
    client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    policy = document({**grant, "Action": "sns:Publish", "Resource": topic})
    client("sns").set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=policy)
    policy = document({**grant, "Action": "kms:Encrypt", "Resource": "*"})
    client("kms").put_key_policy(KeyId=key, PolicyName="default", Policy=policy)
    with enforce(account_state(), principal=APP) as calls:
        client("sqs").send_message(QueueUrl=url, MessageBody="x")
        client("sns").publish(TopicArn=topic, Message="x")
        client("kms").encrypt(KeyId="alias/app", Plaintext=b"x")
        with pytest.raises(ClientError, match=f"kms:GenerateDataKey on resource: {key}"):
            client("kms").generate_data_key(KeyId="alias/app", KeySpec="AES_256")
        with pytest.raises(ClientError, match="sqs:ReceiveMessage"):
            client("sqs").receive_message(QueueUrl=url)
    assert [each.resource for each in calls.requests] == [queue, topic, key, key, queue]


def test_session_from_before_the_block_has_unknown_policies(aws: None) -> None:
    """T135."""
    keys = assumed(**keys_of("ana"))
    with pytest.raises(fastiam.boto3.UndecidedCall) as failed, enforce(account_state()):
        client("s3", **keys).list_objects_v2(Bucket="bkt")
    assert failed.value.depends_on == ("session policies",)
    with enforce(account_state()), pytest.raises(ClientError, match="no identity-based policy"):
        client("s3", **keys).put_object(Bucket="bkt", Key="k", Body=b"")


def test_answer_that_the_endpoint_lacks_is_reported(aws: None) -> None:
    """T132: the policy is none, and the report says so."""
    session = boto3.session.Session()

    def refuse(**_: Any) -> None:
        raise NotImplementedError("get_topic_attributes is not implemented")

    session.events.register("before-call.sns.GetTopicAttributes", refuse)
    topic = client("sns").create_topic(Name="t")["TopicArn"]
    with enforce(account_state(session), principal=APP) as calls:
        with pytest.raises(ClientError):
            client("sns").publish(TopicArn=topic, Message="x")
    assert "not read from the endpoint:" in calls.report() and "get_topic_attributes is not implemented" in calls.report()


def test_policy_that_must_not_be_read_stops_the_call(aws: None) -> None:
    """T132: a policy that is there and is not read may deny."""
    session = boto3.session.Session()

    def refuse(**_: Any) -> None:
        answer: Any = {"Error": {"Code": "AccessDenied", "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": 403}}
        raise ClientError(answer, "GetBucketPolicy")

    session.events.register("before-call.s3.GetBucketPolicy", refuse)
    with (
        pytest.raises(UncheckedCall, match="the state of the endpoint cannot be read"),
        enforce(account_state(session), principal=APP),
    ):
        client("s3").list_objects_v2(Bucket="bkt")


def test_recorded_calls_become_a_policy_of_the_state(aws: None) -> None:
    """T121."""
    with record(account_state(), APP) as calls:
        client("s3").list_objects_v2(Bucket="bkt")
    assert calls.policy().lost == 0
