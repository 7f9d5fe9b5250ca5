"""Operations whose requests do not follow from their name, in records of CloudTrail."""

from __future__ import annotations

import pytest
from cloudtrail_calls import calls_of
from cloudtrail_records import ACCOUNT, record

TABLE = f"arn:aws:dynamodb:eu-west-1:{ACCOUNT}:table"
DELETE = {"bucketName": "b", "delete": {"objects": [{"key": "k1"}, {"key": "k2", "versionId": "v"}]}}
TRANSACTION = {"transactItems": [{"put": {"tableName": "t1"}}, {"conditionCheck": {"tableName": "t2"}}]}
LAUNCH = {
    "instancesSet": {"items": [{"imageId": "ami-1"}]}, "subnetId": "subnet-1", "groupSet": {"items": [{"groupId": "sg-1"}]},
    "tagSpecificationSet": {"items": [{"resourceType": "instance", "tags": [{"key": "a", "value": "b"}]}]},
}  # fmt: skip
CASES = [
    ("sqs:SendMessage", {"queueUrl": "https://sqs.eu-west-1.amazonaws.com/222222222222/q"},
     [("sqs:SendMessage", "arn:aws:sqs:eu-west-1:222222222222:q")]),
    ("sqs:DeleteMessageBatch", {"queueUrl": f"https://sqs.eu-west-1.amazonaws.com/{ACCOUNT}/q"},
     [("sqs:DeleteMessage", f"arn:aws:sqs:eu-west-1:{ACCOUNT}:q")]),
    ("s3:DeleteObjects", DELETE, [("s3:DeleteObject", "arn:aws:s3:::b/k1"), ("s3:DeleteObjectVersion", "arn:aws:s3:::b/k2")]),
    ("dynamodb:BatchWriteItem", {"requestItems": {"t1": [], "t2": []}},
     [("dynamodb:BatchWriteItem", f"{TABLE}/t1"), ("dynamodb:BatchWriteItem", f"{TABLE}/t2")]),
    ("dynamodb:TransactWriteItems", TRANSACTION,
     [("dynamodb:PutItem", f"{TABLE}/t1"), ("dynamodb:ConditionCheckItem", f"{TABLE}/t2")]),
    ("dynamodb:ExecuteStatement", {"statement": 'DELETE FROM "t" WHERE a = 1'}, [("dynamodb:PartiQLDelete", f"{TABLE}/t")]),
    ("lambda:Invoke", {"functionName": "f", "qualifier": "live"},
     [("lambda:InvokeFunction", f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:f:live")]),
    ("ssm:GetParametersByPath", {"path": "/app/"},
     [("ssm:GetParametersByPath", f"arn:aws:ssm:eu-west-1:{ACCOUNT}:parameter/app/")]),
    ("bedrock:InvokeModel", {"modelId": "amazon.nova-lite-v1:0"},
     [("bedrock:InvokeModel", "arn:aws:bedrock:eu-west-1::foundation-model/amazon.nova-lite-v1:0")]),
    ("ecs:RunTask", {"taskDefinition": "f:1"}, [("ecs:RunTask", f"arn:aws:ecs:eu-west-1:{ACCOUNT}:task-definition/f:1")]),
    ("ec2:RunInstances", LAUNCH,
     [("ec2:RunInstances", "arn:aws:ec2:eu-west-1::image/ami-1"),
      *(("ec2:RunInstances", f"arn:aws:ec2:eu-west-1:{ACCOUNT}:{each}") for each in (
          "instance/*", "network-interface/*", "security-group/sg-1", "subnet/subnet-1", "volume/*")),
      ("ec2:CreateTags", f"arn:aws:ec2:eu-west-1:{ACCOUNT}:instance/*")]),
    ("sts:GetFederationToken", {"name": "ana", "tags": [{"key": "a", "value": "b"}]},
     [("sts:GetFederationToken", f"arn:aws:sts::{ACCOUNT}:federated-user/ana"),
      ("sts:TagSession", f"arn:aws:sts::{ACCOUNT}:federated-user/ana")]),
]  # fmt: skip


@pytest.mark.parametrize(("event", "parameters", "expected"), CASES, ids=[event for event, _, _ in CASES])
def test_record_has_the_requests_of_its_parameters(tmp_path, event, parameters, expected):
    calls = calls_of(tmp_path, record(event, parameters=parameters))
    found = [(calls.actions[action], resource) for action, resource in zip(calls.row_action, calls.resources, strict=True)]
    assert found == expected
