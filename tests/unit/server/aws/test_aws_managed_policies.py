"""The managed policies of AWS through boto3: they exist for each account, without an import."""

from __future__ import annotations

import pytest
from aws_world import BO, AwsWorld, refused

from fastiam.aws_data import managed_policies

READ_ONLY, ADMIN = (f"arn:aws:iam::aws:policy/{name}" for name in ("ReadOnlyAccess", "AdministratorAccess"))
LAMBDA = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
READ = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}]}'
LINKED = "arn:aws:iam::aws:policy/aws-service-role/AWSSupportServiceRolePolicy"


@pytest.fixture
def iam(world: AwsWorld):
    return world.client("iam")


def test_attached_policy_of_aws_decides(world, iam):
    assert not world.directory.compile().is_allowed(BO, "ec2:DescribeInstances", "*")
    for arn in (READ_ONLY, LAMBDA):
        iam.attach_user_policy(UserName="bo", PolicyArn=arn)
    engine = world.directory.compile()
    assert engine.is_allowed(BO, "ec2:DescribeInstances", "*") and not engine.is_allowed(BO, "ec2:RunInstances", "*")
    assert engine.is_allowed(BO, "logs:PutLogEvents", "arn:aws:logs:eu-west-1:111111111111:log-group:g:log-stream:s")
    found = iam.list_attached_user_policies(UserName="bo")["AttachedPolicies"]
    assert [each["PolicyArn"] for each in found] == [READ_ONLY, LAMBDA]


def test_boundary_may_be_a_policy_of_aws(world, iam):
    world.allow("*")
    iam.put_user_permissions_boundary(UserName="bo", PermissionsBoundary=READ_ONLY)
    engine = world.directory.compile()
    assert engine.is_allowed(BO, "ec2:DescribeInstances", "*") and not engine.is_allowed(BO, "ec2:RunInstances", "*")


def test_policies_of_aws_are_listed_and_read(world, iam):
    listed = [each for page in iam.get_paginator("list_policies").paginate(Scope="AWS") for each in page["Policies"]]
    assert {each["Arn"] for each in listed} == set(managed_policies.arns()) and len(listed) == 1_569
    policy = iam.get_policy(PolicyArn=ADMIN)["Policy"]
    assert next(each for each in listed if each["Arn"] == ADMIN)["PolicyId"] == policy["PolicyId"]
    version = iam.get_policy_version(PolicyArn=ADMIN, VersionId=policy["DefaultVersionId"])["PolicyVersion"]
    assert version["Document"]["Statement"] == [{"Effect": "Allow", "Action": "*", "Resource": "*"}]
    assert [each["VersionId"] for each in iam.list_policy_versions(PolicyArn=ADMIN)["Versions"]] == [policy["DefaultVersionId"]]
    iam.attach_user_policy(UserName="bo", PolicyArn=ADMIN)
    assert iam.get_policy(PolicyArn=ADMIN)["Policy"] == policy | {"AttachmentCount": 1}
    assert len(iam.list_policies(Scope="AWS", MaxItems=1000)["Policies"]) == 1_000
    assert [each["Arn"] for each in iam.list_policies(Scope="AWS", OnlyAttached=True)["Policies"]] == [ADMIN]


@pytest.mark.parametrize(
    ("arn", "code"),
    [
        ("arn:aws:iam::aws:policy/NewAccess", "NoSuchEntity"),
        ("arn:aws-cn:iam::aws:policy/ReadOnlyAccess", "NoSuchEntity"),  # China has documents of its own
        ("arn:aws:iam::aws:policy/AWSLambdaBasicExecutionRole", "NoSuchEntity"),
        (LINKED, "PolicyNotAttachable"),
        ("longpolicynamebutnoarn", "ValidationError"),
    ],
)
def test_policy_that_cannot_be_attached_is_refused(iam, arn, code):
    assert refused(iam.attach_user_policy, UserName="bo", PolicyArn=arn)["Code"] == code
    assert refused(iam.put_user_permissions_boundary, UserName="bo", PermissionsBoundary=arn)["Code"] == code


def test_policy_of_aws_does_not_change(iam):
    """D17, also without a record."""
    for call, more in (
        (iam.delete_policy, {}),
        (iam.create_policy_version, {"PolicyDocument": READ}),
        (iam.tag_policy, {"Tags": [{"Key": "k", "Value": "v"}]}),
    ):
        assert refused(call, PolicyArn=ADMIN, **more)["Code"] == "AccessDenied"


def test_session_policy_may_be_one_of_aws(world, iam):
    world.allow("*")
    sts = world.client("sts", world.bo)
    keys = sts.get_federation_token(Name="session", PolicyArns=[{"arn": READ_ONLY}])["Credentials"]
    assert refused(sts.get_federation_token, Name="session", PolicyArns=[{"arn": ADMIN + "X"}])["Code"] == "NoSuchEntity"
    caller = world.sts.secret_of(keys["AccessKeyId"], keys["SessionToken"])[0]
    engine = world.directory.compile()
    assert engine.is_allowed(caller.principal, "ec2:DescribeInstances", "*")
    assert not engine.is_allowed(caller.principal, "ec2:RunInstances", "*")
