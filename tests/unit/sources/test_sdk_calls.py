"""The requests of calls of botocore's clients. Cases TC of the mapping, by number."""

from __future__ import annotations

from typing import Any

import botocore.session
import pytest
from botocore.exceptions import ClientError

import fastiam.boto3

A = "111111111111"
R = f"eu-west-1:{A}"
USER = f"arn:aws:iam::{A}:user/ana"
SESSION = botocore.session.Session()
SESSION.set_credentials("AKIAEXAMPLE", "secret")


@pytest.fixture(scope="module")
def nothing() -> fastiam.Engine:
    """Policies that allow nothing, so that no call is sent."""
    directory = fastiam.Directory()
    directory.add_account(A)
    directory.add_principal(USER)
    return directory.compile()


def client(service: str, **options: Any) -> Any:
    return SESSION.create_client(service, region_name="eu-west-1", **options)


def requests_of(
    engine: fastiam.Engine, service: str, operation: str, parameters: dict[str, Any], **options: Any
) -> list[fastiam.boto3.CheckedRequest]:
    with fastiam.boto3.enforce(engine, principal=USER, depends="deny") as calls:
        try:
            getattr(client(service, **options), operation)(**parameters)
        except ClientError:
            pass
        else:
            assert operation == "delete_objects"
    return list(calls.requests)


ROLE, LAYER = f"arn:aws:iam::{A}:role/svc", f"arn:aws:lambda:{R}:layer:l:3"
KEY = "11111111-2222-3333-4444-555555555555"
KEY_ARN, TABLE = f"arn:aws:kms:{R}:key/{KEY}", f"arn:aws:dynamodb:{R}:table"
AP = f"arn:aws:s3:{R}:accesspoint/ap"
MINIMAL = {"ImageId": "ami-1", "MinCount": 1, "MaxCount": 1}
CASES: list[tuple[str, str, str, dict[str, Any], list[tuple[str, str | None]]]] = [
    ("TC1", "s3", "get_object", {"Bucket": "b", "Key": "a/k"}, [("s3:GetObject", "arn:aws:s3:::b/a/k")]),
    ("TC2", "s3", "get_object", {"Bucket": "b", "Key": "a/k", "VersionId": "v"},
     [("s3:GetObjectVersion", "arn:aws:s3:::b/a/k")]),
    ("TC3", "s3", "get_object", {"Bucket": AP, "Key": "k"}, [("s3:GetObject", f"{AP}/object/k")]),
    ("TC4", "s3", "head_object", {"Bucket": "b", "Key": "k"}, [("s3:GetObject", "arn:aws:s3:::b/k")]),
    ("TC5", "s3", "put_object", {"Bucket": "b", "Key": "k", "ACL": "private", "Tagging": "a=b", "SSEKMSKeyId": KEY},
     [("s3:PutObject", "arn:aws:s3:::b/k"), ("s3:PutObjectAcl", "arn:aws:s3:::b/k"),
      ("s3:PutObjectTagging", "arn:aws:s3:::b/k"), ("kms:GenerateDataKey", KEY_ARN)]),
    ("TC6", "s3", "copy_object", {"Bucket": "b", "Key": "k", "CopySource": "src/o o?versionId=v"},
     [("s3:PutObject", "arn:aws:s3:::b/k"), ("s3:GetObjectVersion", "arn:aws:s3:::src/o o")]),
    ("TC7", "s3", "copy_object", {"Bucket": "b", "Key": "k", "CopySource": {"Bucket": "src", "Key": "o o"}},
     [("s3:PutObject", "arn:aws:s3:::b/k"), ("s3:GetObject", "arn:aws:s3:::src/o o")]),
    ("TC8", "s3", "delete_objects", {"Bucket": "b", "Delete": {"Objects": [{"Key": "k1"}, {"Key": "k2", "VersionId": "v"}]}},
     [("s3:DeleteObject", "arn:aws:s3:::b/k1"), ("s3:DeleteObjectVersion", "arn:aws:s3:::b/k2")]),
    ("TC9", "s3", "list_objects_v2", {"Bucket": "b", "Prefix": "home/"}, [("s3:ListBucket", "arn:aws:s3:::b")]),
    ("TC10", "s3", "upload_part", {"Bucket": "b", "Key": "k", "UploadId": "u", "PartNumber": 1, "Body": b""},
     [("s3:PutObject", "arn:aws:s3:::b/k")]),
    ("TC11", "dynamodb", "query", {"TableName": "t", "IndexName": "idx", "KeyConditionExpression": "k = :v"},
     [("dynamodb:Query", f"{TABLE}/t/index/idx")]),
    ("TC11 ARN", "dynamodb", "query", {"TableName": f"{TABLE}/t", "IndexName": "idx", "KeyConditionExpression": "k = :v"},
     [("dynamodb:Query", f"{TABLE}/t/index/idx")]),
    ("TC12", "dynamodb", "batch_write_item",
     {"RequestItems": {t: [{"DeleteRequest": {"Key": {"k": {"S": "v"}}}}] for t in ("t1", "t2")}},
     [("dynamodb:BatchWriteItem", f"{TABLE}/t1"), ("dynamodb:BatchWriteItem", f"{TABLE}/t2")]),
    ("TC13", "dynamodb", "transact_write_items",
     {"TransactItems": [{"Put": {"TableName": "t1", "Item": {"TableName": {"S": "x"}}}},
                        {"ConditionCheck": {"TableName": "t2", "Key": {"k": {"S": "v"}}, "ConditionExpression": "x"}}]},
     [("dynamodb:PutItem", f"{TABLE}/t1"), ("dynamodb:ConditionCheckItem", f"{TABLE}/t2")]),
    ("TC14", "dynamodb", "execute_statement", {"Statement": 'SELECT * FROM "t"'}, [("dynamodb:PartiQLSelect", f"{TABLE}/t")]),
    ("TC14 index", "dynamodb", "execute_statement", {"Statement": 'select "a", b from "t"."idx" where a = 1'},
     [("dynamodb:PartiQLSelect", f"{TABLE}/t/index/idx")]),
    ("TC15", "sqs", "send_message", {"QueueUrl": "https://sqs.eu-west-1.amazonaws.com/222222222222/q",
                                     "MessageBody": f"arn:aws:sqs:{R}:other"},
     [("sqs:SendMessage", "arn:aws:sqs:eu-west-1:222222222222:q")]),
    ("TC16", "sqs", "send_message_batch",
     {"QueueUrl": "http://localhost:4566/000000000000/q", "Entries": [{"Id": "1", "MessageBody": "x"}]},
     [("sqs:SendMessage", "arn:aws:sqs:eu-west-1:000000000000:q")]),
    ("TC17", "sns", "publish", {"PhoneNumber": "+491", "Message": f"arn:aws:sns:{R}:other"}, [("sns:Publish", "*")]),
    ("TC18", "lambda", "invoke", {"FunctionName": "f", "Qualifier": "live"},
     [("lambda:InvokeFunction", f"arn:aws:lambda:{R}:function:f:live")]),
    ("TC18 name", "lambda", "invoke", {"FunctionName": "my-function:live"},
     [("lambda:InvokeFunction", f"arn:aws:lambda:{R}:function:my-function:live")]),
    ("TC19", "lambda", "create_function", {"FunctionName": "f", "Role": ROLE, "Layers": [LAYER], "Code": {}},
     [("lambda:CreateFunction", f"arn:aws:lambda:{R}:function:f"), ("lambda:GetLayerVersion", LAYER), ("iam:PassRole", ROLE)]),
    ("TC20", "kms", "decrypt", {"KeyId": "alias/app", "CiphertextBlob": b"x"}, [("kms:Decrypt", None)]),
    ("TC21", "kms", "re_encrypt", {"SourceKeyId": KEY, "DestinationKeyId": f"{KEY_ARN}0", "CiphertextBlob": b"x"},
     [("kms:ReEncryptFrom", KEY_ARN), ("kms:ReEncryptTo", f"{KEY_ARN}0")]),
    ("TC22", "sts", "assume_role", {"RoleArn": ROLE, "RoleSessionName": "se", "ExternalId": "ex", "SourceIdentity": "me",
                                    "Tags": [{"Key": "team", "Value": "red"}]},
     [("sts:AssumeRole", ROLE), ("sts:TagSession", ROLE), ("sts:SetSourceIdentity", ROLE)]),
    ("TC23", "ssm", "get_parameters", {"Names": ["/app/a", "b"]},
     [("ssm:GetParameters", f"arn:aws:ssm:{R}:parameter/app/a"), ("ssm:GetParameters", f"arn:aws:ssm:{R}:parameter/b")]),
    ("TC25", "secretsmanager", "get_secret_value", {"SecretId": "db"},
     [("secretsmanager:GetSecretValue", f"arn:aws:secretsmanager:{R}:secret:db")]),
    ("TC27", "iam", "create_role", {"RoleName": "r", "Path": "/svc/", "AssumeRolePolicyDocument": "{}",
                                    "PermissionsBoundary": "arn:aws:iam::aws:policy/ReadOnlyAccess"},
     [("iam:CreateRole", f"arn:aws:iam::{A}:role/svc/r")]),
    ("TC28", "iam", "get_user", {}, [("iam:GetUser", USER)]),
    ("TC29", "ecs", "register_task_definition",
     {"family": "f", "containerDefinitions": [], "taskRoleArn": ROLE, "executionRoleArn": f"{ROLE}2"},
     [("ecs:RegisterTaskDefinition", f"arn:aws:ecs:{R}:task-definition/*:*"),
      ("iam:PassRole", f"{ROLE}2"), ("iam:PassRole", ROLE)]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "expected"), [case[1:] for case in CASES], ids=[c[0] for c in CASES]
)
def test_call_has_its_requests(nothing, service, operation, parameters, expected):
    assert [(each.action, each.resource) for each in requests_of(nothing, service, operation, parameters)] == expected


def test_keys_come_from_the_parameters(nothing):
    """TC9, TC19, TC20, TC22, TC27: the keys of section 7.4."""

    def keys_of(service: str, operation: str, parameters: dict[str, Any], at: int = 0) -> dict[str, Any]:
        return dict(requests_of(nothing, service, operation, parameters)[at].context)

    listed = keys_of("s3", "list_objects_v2", {"Bucket": "b", "Prefix": "home/"})
    assert (listed["s3:prefix"], listed["s3:delimiter"]) == ("home/", None)
    role = {"FunctionName": "f", "Role": ROLE, "Layers": [LAYER], "Code": {}}
    assert keys_of("lambda", "create_function", role)["lambda:Layer"] == [LAYER]
    assert keys_of("lambda", "create_function", role, 2)["iam:PassedToService"] == "lambda.amazonaws.com"
    decrypt = {"KeyId": "alias/app", "CiphertextBlob": b"x", "EncryptionContext": {"tenant": "1"}}
    decrypted = keys_of("kms", "decrypt", decrypt)
    assert (decrypted["kms:RequestAlias"], decrypted["kms:EncryptionContext:tenant"]) == ("alias/app", "1")
    tags = [{"Key": "team", "Value": "red"}]
    assumed = keys_of("sts", "assume_role", {"RoleArn": ROLE, "RoleSessionName": "se", "ExternalId": "ex", "Tags": tags})
    assert (assumed["sts:ExternalId"], assumed["aws:RequestTag/team"]) == ("ex", "red")
    boundary = "arn:aws:iam::aws:policy/ReadOnlyAccess"
    made = {"RoleName": "r", "AssumeRolePolicyDocument": "{}", "PermissionsBoundary": boundary}
    assert keys_of("iam", "create_role", made)["iam:PermissionsBoundary"] == boundary
    item = keys_of("dynamodb", "get_item", {"TableName": "t", "Key": {"id": {"S": "7"}}})
    assert item["dynamodb:LeadingKeys"] == ["7"]


@pytest.mark.parametrize(
    ("service", "operation", "parameters"),
    [
        ("s3", "get_object", {"Bucket": "b--euw1-az1--x-s3", "Key": "k"}),  # S3 Express has actions of its own
        ("dynamodb", "execute_statement", {"Statement": "EXISTS(SELECT * FROM t)"}),  # TC14
    ],
)
def test_call_without_a_mapping_is_not_sent(nothing, service, operation, parameters):
    """T108."""
    with pytest.raises(fastiam.boto3.UnmappedCall, match="not mapped"), fastiam.boto3.enforce(nothing, principal=USER):
        getattr(client(service), operation)(**parameters)


def test_user_content_is_not_a_resource(nothing):
    """T122, and maps: metadata and items with the names of parameters, or ARNs as values."""
    put = {"Bucket": "b", "Key": "k", "Metadata": {"bucketname": "other", "key": "x"}, "Body": b""}
    assert [each.resource for each in requests_of(nothing, "s3", "put_object", put)] == ["arn:aws:s3:::b/k"]
    item = {"TableName": "t", "Item": {"TableName": {"S": "other"}}}
    assert [each.resource for each in requests_of(nothing, "dynamodb", "put_item", item)] == [f"{TABLE}/t"]


def test_secrets_are_not_kept(nothing, tmp_path):
    """T122."""
    marked = "MARKED"
    seen = [
        *requests_of(
            nothing, "s3", "put_object", {"Bucket": "b", "Key": "k", "Body": marked.encode(), "Metadata": {"m": marked}}
        ),
        *requests_of(nothing, "secretsmanager", "put_secret_value", {"SecretId": "db", "SecretString": marked}),
        *requests_of(nothing, "kms", "encrypt", {"KeyId": KEY, "Plaintext": marked.encode()}),
        *requests_of(nothing, "sqs", "send_message", {"QueueUrl": f"https://x/{A}/q", "MessageBody": marked}),
        *requests_of(nothing, "dynamodb", "put_item", {"TableName": "t", "Item": {"id": {"S": marked}}}),
        *requests_of(nothing, "sns", "publish", {"TopicArn": f"arn:aws:sns:{R}:t", "Message": marked}),
        *requests_of(nothing, "lambda", "invoke", {"FunctionName": "f", "Payload": marked.encode()}),
    ]
    assert len(seen) == 7 and marked not in repr(seen)
