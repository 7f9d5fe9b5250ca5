"""Members, codes and messages of answers are those of AWS, since programs compare them."""

from __future__ import annotations

import json

import pytest
from aws_world import BO, A, AwsWorld, refused

READ = {"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}
TRUST = {"Effect": "Allow", "Principal": {"AWS": BO}, "Action": ["sts:AssumeRole", "sts:TagSession"]}


def text(*statements: dict, version: str | None = "2012-10-17") -> str:
    return json.dumps(({} if version is None else {"Version": version}) | {"Statement": statements})


@pytest.fixture
def iam(world: AwsWorld):
    return world.client("iam")


def test_new_role_and_policy_have_the_members_of_aws(iam):
    made = iam.create_role(RoleName="r", AssumeRolePolicyDocument=text(TRUST))["Role"]
    role = iam.get_role(RoleName="r")["Role"]
    assert "MaxSessionDuration" not in made and role == made | {"MaxSessionDuration": 3600, "RoleLastUsed": {}}
    policy = iam.create_policy(PolicyName="p", Description="d", PolicyDocument=text(READ))["Policy"]
    assert "Description" not in policy and "Tags" not in policy
    assert iam.get_policy(PolicyArn=policy["Arn"])["Policy"] == policy | {"Description": "d", "Tags": []}
    tagged = iam.create_policy(PolicyName="t", PolicyDocument=text(READ), Tags=[{"Key": "k", "Value": "v"}])["Policy"]
    assert tagged["Tags"] == [{"Key": "k", "Value": "v"}]
    user = iam.create_user(UserName="x", PermissionsBoundary=policy["Arn"])["User"]
    assert user["PermissionsBoundary"] == {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": policy["Arn"]}


@pytest.mark.parametrize("version", [None, "2008-10-17"])
def test_managed_policy_of_the_old_version_is_refused(iam, version):
    """Inline policies and trust policies may have it."""
    arn = iam.create_policy(PolicyName="new", PolicyDocument=text(READ))["Policy"]["Arn"]
    old = text(READ, version=version)
    for error in (
        refused(iam.create_policy, PolicyName="p", PolicyDocument=old),
        refused(iam.create_policy_version, PolicyArn=arn, PolicyDocument=old),
    ):
        assert error["Code"] == "MalformedPolicyDocument"
        assert error["Message"] == "Policy document must be version 2012-10-17 or greater."
    iam.put_user_policy(UserName="bo", PolicyName="p", PolicyDocument=old)
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=text(TRUST, version=version))


MESSAGES = {
    "no JSON": ("create_policy", {"PolicyName": "p", "PolicyDocument": "x"}, "Syntax errors in policy."),
    "no resource": (
        "create_policy",
        {"PolicyName": "p", "PolicyDocument": text({"Effect": "Allow", "Action": "s3:*"})},
        "Policy statement must contain resources.",
    ),
    "no action": (
        "put_user_policy",
        {"UserName": "bo", "PolicyName": "p", "PolicyDocument": text({"Effect": "Allow", "Resource": "*"})},
        "Policy statement must contain actions.",
    ),
    "principal": (
        "create_policy",
        {"PolicyName": "p", "PolicyDocument": text(READ | {"Principal": "*"})},
        "Policy document should not specify a principal.",
    ),
    "provider": (
        "get_open_id_connect_provider",
        {"OpenIDConnectProviderArn": f"arn:aws:iam::{A}:oidc-provider/x.example"},
        f"OpenIDConnect Provider not found for arn arn:aws:iam::{A}:oidc-provider/x.example",
    ),
    "second provider": (
        "create_open_id_connect_provider",
        {"Url": "https://twice.example"},
        "Provider with url https://twice.example already exists.",
    ),
    "taken alias": ("create_account_alias", {"AccountAlias": "taken-one"}, "The account alias taken-one already exists."),
    "policy size": (
        "create_policy",
        {"PolicyName": "p", "PolicyDocument": text(READ | {"Action": "s3:" + "G" * 6_145})},
        "Cannot exceed quota for PolicySize: 6144",
    ),
}


@pytest.mark.parametrize(("call", "arguments", "message"), MESSAGES.values(), ids=MESSAGES)
def test_message_is_the_one_of_aws(world, iam, call, arguments, message):
    world.directory.create_oidc_provider(f"arn:aws:iam::{A}:oidc-provider/twice.example", client_ids=(), thumbprints=())
    world.directory.add_account("222222222222", alias="taken-one")
    assert refused(getattr(iam, call), **arguments)["Message"] == message


def test_quota_is_named_as_aws_names_it(iam):
    iam.create_access_key(UserName="bo")
    error = refused(iam.create_access_key, UserName="bo")
    assert (error["Code"], error["Message"]) == ("LimitExceeded", "Cannot exceed quota for AccessKeysPerUser: 2")
    iam.create_virtual_mfa_device(VirtualMFADeviceName="d")
    error = refused(iam.create_virtual_mfa_device, VirtualMFADeviceName="d")
    assert error["Message"] == "MFADevice entity at the same path and name already exists."
    arn = iam.create_policy(PolicyName="p", PolicyDocument=text(READ))["Policy"]["Arn"]
    for _ in range(4):
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=text(READ))
    error = refused(iam.create_policy_version, PolicyArn=arn, PolicyDocument=text(READ))
    assert error["Message"].startswith("A managed policy can have up to 5 versions.")
    for number in range(10):
        made = iam.create_policy(PolicyName=f"p{number}", PolicyDocument=text(READ))["Policy"]["Arn"]
        iam.attach_user_policy(UserName="bo", PolicyArn=made)
    error = refused(iam.attach_user_policy, UserName="bo", PolicyArn=arn)
    assert (error["Code"], error["Message"]) == ("LimitExceeded", "Cannot exceed quota for PoliciesPerUser: 10")


@pytest.mark.parametrize(
    "wrong",
    [
        {"Tags": [{"Key": "k", "Value": "v"}], "TransitiveTagKeys": ["z"]},
        {"Tags": [{"Key": "k", "Value": "v"}, {"Key": "K", "Value": "v"}]},
    ],
)
def test_session_tags_that_do_not_fit_have_the_code_of_sts(world, iam, wrong):
    role = iam.create_role(RoleName="r", AssumeRolePolicyDocument=text(TRUST))["Role"]["Arn"]
    world.allow("sts:*")
    sts = world.client("sts", world.bo)
    assert refused(sts.assume_role, RoleArn=role, RoleSessionName="xx", **wrong)["Code"] == "InvalidParameterValue"


def test_identity_pools_answer_broken_constraints_by_their_code(world):
    pools = world.client("cognito-identity")
    make = pools.create_identity_pool
    error = refused(make, IdentityPoolName="pool#name", AllowUnauthenticatedIdentities=False)
    assert (error["Code"], error["Status"]) == ("ValidationException", 400)
    assert refused(pools.get_id, IdentityPoolId="us-east-1_foo")["Code"] == "ValidationException"


@pytest.mark.parametrize(
    ("call", "arguments", "reason", "message"),
    [
        (
            "tag_resource",
            {"ResourceId": "0A000000X000", "Tags": [{"Key": "k", "Value": "v"}]},
            "INVALID_PATTERN",
            "You provided a value that does not match the required pattern.",
        ),
        ("list_policies", {"Filter": "MOTO"}, "INVALID_ENUM", "You specified an invalid value."),
        (
            "create_organizational_unit",
            {"ParentId": "r-abcd", "Name": "n" * 129},
            "MAX_LENGTH_EXCEEDED",
            "You provided a string parameter that is longer than allowed.",
        ),
    ],
)
def test_organizations_report_the_reason(world, call, arguments, reason, message):
    with pytest.raises(world.client("organizations").exceptions.InvalidInputException) as caught:
        getattr(world.client("organizations"), call)(**arguments)
    answer = caught.value.response
    assert (answer["Reason"], answer["Error"]["Message"]) == (reason, message)
