"""Calls of aiobotocore and aioboto3 over moto's server: recorded, and decided before they are sent (T100, T101).

aiobotocore pins a version of botocore of its own, so that the packages of the tests do not contain it. To run these tests:
`pip install aiobotocore aioboto3 "moto[server]"` into an environment of their own, with this package.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import ClientError

import fastiam
import fastiam.boto3

aiobotocore_session = pytest.importorskip("aiobotocore.session", reason="aiobotocore is not installed: it pins its own botocore")

A = "111111111111"
USER, ROLE = f"arn:aws:iam::{A}:user/ana", f"arn:aws:iam::{A}:role/app"
KEYS = {"aws_access_key_id": "AKIAEXAMPLE", "aws_secret_access_key": "secret"}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    session = botocore.session.Session()
    session.set_credentials("AKIAEXAMPLE", "secret")
    s3 = session.create_client("s3", "us-east-1", endpoint_url=url)
    s3.create_bucket(Bucket="reports")
    s3.put_object(Bucket="reports", Key="may.csv", Body=b"x")
    yield url
    server.stop()


def client(endpoint: str, service: str = "s3", **options: Any) -> Any:
    made = aiobotocore_session.get_session()
    return made.create_client(service, "us-east-1", endpoint_url=endpoint, **{**KEYS, **options})


def directory(*actions: str, **resources: str) -> fastiam.Directory:
    """Policies that allow actions on everything, and others of S3 on one resource."""
    made = fastiam.Directory()
    made.add_account(A)
    statements = [(action, "*") for action in actions] + [(f"s3:{name}", one) for name, one in resources.items()]
    allowed = [{"Effect": "Allow", "Action": action, "Resource": resource} for action, resource in statements]
    document = {"Version": "2012-10-17", "Statement": allowed}
    made.add_principal(USER, identity_policies=[document])
    trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:*", "Principal": {"AWS": USER}}]}
    made.add_principal(ROLE, identity_policies=[document], trust_policy=trust)
    return made


def test_call_is_decided_before_it_is_sent(endpoint: str) -> None:
    async def run() -> bytes:
        async with client(endpoint) as s3:
            with fastiam.boto3.enforce(directory("s3:GetObject"), principal=USER) as calls:
                answer = await s3.get_object(Bucket="reports", Key="may.csv")
                with pytest.raises(ClientError) as denied:
                    await s3.put_object(Bucket="reports", Key="new.csv", Body=b"y")
                assert denied.value.response["Error"]["Code"] == "AccessDenied"
                assert [each.action for each in calls.requests] == ["s3:GetObject", "s3:PutObject"]
            assert [each["Key"] for each in (await s3.list_objects_v2(Bucket="reports"))["Contents"]] == ["may.csv"]
            async with answer["Body"] as body:
                return await body.read()

    assert asyncio.run(run()) == b"x"


def test_tasks_of_a_block_and_beside_it(endpoint: str) -> None:
    async def run() -> tuple[int, int]:
        async with client(endpoint) as s3:

            async def read() -> None:
                await s3.get_object(Bucket="reports", Key="may.csv")

            async def enforced(*actions: str) -> int:
                with fastiam.boto3.enforce(directory(*actions), principal=USER) as calls:
                    found = await asyncio.gather(*(read() for _ in range(5)), return_exceptions=True)
                assert len(calls.requests) == 5
                return sum(isinstance(each, ClientError) for each in found)

            return tuple(await asyncio.gather(enforced("s3:*"), enforced("sqs:*")))

    assert asyncio.run(run()) == (0, 5)


def test_pages_and_deleted_objects(endpoint: str) -> None:
    async def run() -> list[str]:
        async with client(endpoint) as s3:
            for key in ("a/1", "a/2", "b/1"):
                await s3.put_object(Bucket="reports", Key=key, Body=b"")
            rules = directory("s3:ListBucket", DeleteObject="arn:aws:s3:::reports/a/*")
            with fastiam.boto3.enforce(rules, principal=USER) as calls:
                pages = s3.get_paginator("list_objects_v2").paginate(Bucket="reports", PaginationConfig={"PageSize": 1})
                keys = [each["Key"] async for page in pages for each in page["Contents"]]
                assert len(calls.requests) == len(keys) == 4
                objects = [{"Key": key} for key in keys if "/" in key]
                answer = await s3.delete_objects(Bucket="reports", Delete={"Objects": objects})
                assert [each["Key"] for each in answer["Errors"]] == ["b/1"]
            left = [each["Key"] for each in (await s3.list_objects_v2(Bucket="reports"))["Contents"]]
            await s3.delete_object(Bucket="reports", Key="b/1")
            return left

    assert asyncio.run(run()) == ["b/1", "may.csv"]


def test_session_of_an_assumed_role_is_decided_with_its_policies(endpoint: str) -> None:
    async def run() -> list[str]:
        with fastiam.boto3.enforce(directory("sts:AssumeRole", "s3:*"), principals={"AKIAEXAMPLE": USER}) as calls:
            async with client(endpoint, "sts") as sts:
                narrow = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}]}'
                made = (await sts.assume_role(RoleArn=ROLE, RoleSessionName="run", Policy=narrow))["Credentials"]
            keys = {"aws_access_key_id": made["AccessKeyId"], "aws_secret_access_key": made["SecretAccessKey"]}
            async with client(endpoint, aws_session_token=made["SessionToken"], **keys) as s3:
                await s3.get_object(Bucket="reports", Key="may.csv")
                with pytest.raises(ClientError, match="no session policy allows"):
                    await s3.put_object(Bucket="reports", Key="new.csv", Body=b"")
        return [each.decision.outcome.name for each in calls.requests]

    assert asyncio.run(run()) == ["ALLOW", "ALLOW", "IMPLICIT_DENY"]


def test_record_writes_a_policy_of_asynchronous_calls(endpoint: str) -> None:
    @fastiam.boto3.record(account=A)
    async def decorated(s3: Any) -> None:
        await s3.get_object(Bucket="reports", Key="may.csv")

    async def run() -> Any:
        async with client(endpoint) as s3:
            await decorated(s3)
            with fastiam.boto3.record(account=A) as calls:
                await s3.get_object(Bucket="reports", Key="may.csv")
                with calls.suspended():
                    await s3.list_buckets()
                await s3.generate_presigned_url("get_object", {"Bucket": "reports", "Key": "may.csv"})
            return calls

    calls = asyncio.run(run())
    assert [(each.action, each.presigned) for each in calls.requests] == [("s3:GetObject", False), ("s3:GetObject", True)]
    (statement,) = calls.policy().document["Statement"]
    assert statement == {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::reports/may.csv"]}


def test_resource_of_aioboto3_is_checked(endpoint: str) -> None:
    aioboto3 = pytest.importorskip("aioboto3", reason="aioboto3 is not installed")

    async def run() -> list[str]:
        with fastiam.boto3.enforce(directory("s3:GetObject"), principal=USER) as calls:
            async with aioboto3.Session(**KEYS).resource("s3", region_name="us-east-1", endpoint_url=endpoint) as s3:
                await (await s3.Object("reports", "may.csv")).get()
                with pytest.raises(ClientError):
                    await (await s3.Object("reports", "new.csv")).put(Body=b"")
        return [each.action for each in calls.requests]

    assert asyncio.run(run()) == ["s3:GetObject", "s3:PutObject"]


def test_methods_are_put_back_after_the_block(endpoint: str) -> None:
    from aiobotocore.client import AioBaseClient

    before = AioBaseClient._make_api_call
    with fastiam.boto3.record():
        assert AioBaseClient._make_api_call is not before
    assert AioBaseClient._make_api_call is before
