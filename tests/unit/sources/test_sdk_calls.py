"""The requests of calls of botocore's clients. Cases TC of the mapping, by number."""

from __future__ import annotations

import contextlib
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from sdk_operations import THIRTY, TWELVE, kinds

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
    ("TC24", "ssm", "get_parameters_by_path", {"Path": "/app/"},
     [("ssm:GetParametersByPath", f"arn:aws:ssm:{R}:parameter/app/")]),
    ("TC25", "secretsmanager", "get_secret_value", {"SecretId": "db"},
     [("secretsmanager:GetSecretValue", f"arn:aws:secretsmanager:{R}:secret:db")]),
    ("TC27", "iam", "create_role", {"RoleName": "r", "Path": "/svc/", "AssumeRolePolicyDocument": "{}",
                                    "PermissionsBoundary": "arn:aws:iam::aws:policy/ReadOnlyAccess"},
     [("iam:CreateRole", f"arn:aws:iam::{A}:role/svc/r")]),
    ("TC28", "iam", "get_user", {}, [("iam:GetUser", USER)]),
    ("TC29", "ecs", "register_task_definition",
     {"family": "f", "containerDefinitions": [], "taskRoleArn": ROLE, "executionRoleArn": f"{ROLE}2"},
     [("ecs:RegisterTaskDefinition", f"arn:aws:ecs:{R}:task-definition/f:*"),
      ("iam:PassRole", f"{ROLE}2"), ("iam:PassRole", ROLE)]),
    ("TC29 run", "ecs", "run_task", {"taskDefinition": "f:1"}, [("ecs:RunTask", f"arn:aws:ecs:{R}:task-definition/f:1")]),
    ("T107 cluster", "ecs", "delete_service", {"cluster": "c", "service": "s"},
     [("ecs:DeleteService", f"arn:aws:ecs:{R}:service/c/s")]),
    ("T107 default cluster", "ecs", "describe_tasks", {"tasks": ["t1", "t2"]},
     [("ecs:DescribeTasks", f"arn:aws:ecs:{R}:task/default/{each}") for each in ("t1", "t2")]),
    ("T107 catalog", "glue", "get_partitions", {"DatabaseName": "d", "TableName": "t"},
     [("glue:GetPartitions", f"arn:aws:glue:{R}:{each}") for each in ("database/d", "catalog", "table/d/t")]),
    ("T107 zone", "route53", "list_vpc_association_authorizations", {"HostedZoneId": "Z1"},
     [("route53:ListVPCAssociationAuthorizations", "arn:aws:route53:::hostedzone/Z1")]),
    ("T107 layer", "lambda", "get_layer_version", {"LayerName": "l", "VersionNumber": 3},
     [("lambda:GetLayerVersion", LAYER)]),
    ("T107 workgroup", "athena", "start_query_execution", {"QueryString": "x", "WorkGroup": "w"},
     [("athena:StartQueryExecution", f"arn:aws:athena:{R}:workgroup/w")]),
    ("TC29 family", "ecs", "run_task", {"taskDefinition": "f"}, [("ecs:RunTask", None)]),
    ("TC26", "ec2", "run_instances",
     {**MINIMAL, "SubnetId": "subnet-1", "SecurityGroupIds": ["sg-1"], "KeyName": "k", "IamInstanceProfile": {"Name": "p"},
      "TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "a", "Value": "b"}]}]},
     [("ec2:RunInstances", "arn:aws:ec2:eu-west-1::image/ami-1"),
      *(("ec2:RunInstances", f"arn:aws:ec2:{R}:{each}") for each in (
          "instance/*", "key-pair/k", "network-interface/*", "security-group/sg-1", "subnet/subnet-1", "volume/*")),
      ("ec2:CreateTags", f"arn:aws:ec2:{R}:instance/*"), ("iam:PassRole", None)]),
    ("TC26 interfaces", "ec2", "run_instances",
     {**MINIMAL, "NetworkInterfaces": [{"DeviceIndex": 0, "SubnetId": "subnet-1", "Groups": ["sg-1"]}]},
     [("ec2:RunInstances", "arn:aws:ec2:eu-west-1::image/ami-1"),
      *(("ec2:RunInstances", f"arn:aws:ec2:{R}:{each}") for each in (
          "instance/*", "network-interface/*", "security-group/sg-1", "subnet/subnet-1", "volume/*"))]),
    ("TC30", "bedrock-runtime", "invoke_model", {"modelId": "anthropic.claude-3-haiku-20240307-v1:0", "body": b""},
     [("bedrock:InvokeModel", "arn:aws:bedrock:eu-west-1::foundation-model/anthropic.claude-3-haiku-20240307-v1:0")]),
    ("TC30 profile", "bedrock-runtime", "converse",
     {"modelId": "eu.amazon.nova-lite-v1:0", "guardrailConfig": {"guardrailIdentifier": "g1", "guardrailVersion": "1"}},
     [("bedrock:InvokeModel", f"arn:aws:bedrock:{R}:inference-profile/eu.amazon.nova-lite-v1:0"),
      ("bedrock:InvokeModel", None), ("bedrock:ApplyGuardrail", f"arn:aws:bedrock:{R}:guardrail/g1")]),
    ("TC30 provisioned", "bedrock-runtime", "invoke_model", {"modelId": "abcdefabcdef", "body": b""},
     [("bedrock:InvokeModel", None)]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "expected"), [case[1:] for case in CASES], ids=[c[0] for c in CASES]
)
def test_call_has_its_requests(nothing, service, operation, parameters, expected):
    assert [(each.action, each.resource) for each in requests_of(nothing, service, operation, parameters)] == expected


def test_role_of_an_instance_profile_comes_from_the_policies(nothing):
    """TC26."""
    directory = fastiam.Directory()
    directory.add_account(A)
    directory.add_principal(USER, identity_policies=[{"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "iam:PassRole", "Resource": "*"}]}])  # fmt: skip
    directory.add_principal(ROLE)
    profile = f"arn:aws:iam::{A}:instance-profile/web/p"
    directory.create_instance_profile(profile)
    directory.add_role_to_instance_profile(profile, ROLE)
    engine = directory.compile()
    for given, role in (({"Name": "p"}, ROLE), ({"Arn": profile}, ROLE), ({"Name": "q"}, None)):
        found = requests_of(engine, "ec2", "run_instances", {**MINIMAL, "IamInstanceProfile": given})[-1]
        assert (found.action, found.resource) == ("iam:PassRole", role)
    with fastiam.boto3.record() as calls, Stubber(ec2 := client("ec2")) as stubber:
        stubber.add_response("run_instances", {})
        ec2.run_instances(**MINIMAL, IamInstanceProfile={"Arn": profile})
    assert (calls.requests[-1].action, calls.requests[-1].resource) == ("iam:PassRole", None)


def test_service_asks_for_the_caller_with_a_forward_session(nothing):
    """TC5, T110: S3 asks KMS for the caller, from its own network; the call itself comes from the caller."""

    def directory(**condition: Any) -> fastiam.Engine:
        found = fastiam.Directory()
        found.add_account(A)
        statement = {"Effect": "Allow", "Action": ["s3:PutObject", "kms:GenerateDataKey"], "Resource": "*"}
        deny = {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": condition}
        found.add_principal(USER, identity_policies=[{"Version": "2012-10-17", "Statement": [statement, deny]}])
        found.add_resource(KEY_ARN)
        grant = {"Effect": "Allow", "Principal": {"AWS": A}, "Action": "kms:*", "Resource": "*"}
        found.set_resource_policy(KEY_ARN, {"Version": "2012-10-17", "Statement": [grant]})
        return found.compile()

    def outcomes(condition: dict[str, Any], **options: Any) -> list[str]:
        with fastiam.boto3.enforce(directory(**condition), principal=USER, depends="deny", **options) as calls:
            with contextlib.suppress(ClientError), Stubber(s3 := client("s3")) as stubber:
                stubber.add_response("put_object", {})
                s3.put_object(Bucket="b", Key="k", SSEKMSKeyId=KEY_ARN)
        return [each.decision.outcome.name for each in calls.requests]

    inside = {"aws:SourceIp": "203.0.113.9"}
    network = {"NotIpAddress": {"aws:SourceIp": "203.0.113.0/24"}}
    assert outcomes({"Bool": {"aws:ViaAWSService": "true"}}) == ["ALLOW", "EXPLICIT_DENY"]
    assert outcomes({"Bool": {"aws:ViaAWSService": "false"}}) == ["EXPLICIT_DENY", "ALLOW"]
    assert outcomes({"StringEquals": {"aws:CalledViaLast": "s3.amazonaws.com"}}) == ["ALLOW", "EXPLICIT_DENY"]
    assert outcomes(network, context=inside) == ["ALLOW", "DEPENDS"]
    assert outcomes({**network, "Bool": {"aws:ViaAWSService": "false"}}, context=inside) == ["ALLOW", "ALLOW"]
    assert outcomes({"StringLike": {"aws:UserAgent": "*oto*"}}) == ["EXPLICIT_DENY", "DEPENDS"]
    assert outcomes({"Bool": {"aws:ViaAWSService": "true"}}, unknown=["aws:CalledVia"]) == ["DEPENDS", "EXPLICIT_DENY"]


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


@pytest.mark.slow
def test_most_operations_have_an_action_and_a_full_arn():
    """T107: the share must not fall; the goal is higher, and `--list` of the tool shows what is missing."""
    for services, with_action, exact, right in ((TWELVE, 0.93, 0.91, 0.92), (THIRTY, 0.94, 0.82, 0.85)):
        found = [kind for _, _, kind in kinds(services)]
        n_exact = sum(kind in ("full ARN", "no resource type") for kind in found)
        assert sum(kind != "no action" for kind in found) / len(found) > with_action
        assert n_exact / len(found) > exact
        assert (n_exact + found.count("created")) / len(found) > right
