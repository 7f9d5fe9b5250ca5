"""Service-linked roles through boto3."""

from __future__ import annotations

import pytest
from aws_world import A, AwsWorld, refused

from fastiam.directory.aws_policies import aws_policy
from fastiam.server.protocols.aws.iam_linked_roles import KNOWN

ELB = "elasticloadbalancing.amazonaws.com"
NAME = "AWSServiceRoleForElasticLoadBalancing"


@pytest.fixture
def iam(world: AwsWorld):
    return world.client("iam")


def test_linked_role_has_its_life(iam):
    made = iam.create_service_linked_role(AWSServiceName=ELB, Description="of load balancers")["Role"]
    assert made["Arn"] == f"arn:aws:iam::{A}:role/aws-service-role/{ELB}/{NAME}"
    (statement,) = made["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": ELB}
    (policy,) = iam.list_attached_role_policies(RoleName=NAME)["AttachedPolicies"]
    assert policy["PolicyName"] == "AWSElasticLoadBalancingServiceRolePolicy"
    error = refused(iam.create_service_linked_role, AWSServiceName=ELB)
    assert error["Code"] == "InvalidInput" and "has been taken in this account" in error["Message"]
    assert refused(iam.delete_role, RoleName=NAME)["Code"] == "UnmodifiableEntity"
    task = iam.delete_service_linked_role(RoleName=NAME)["DeletionTaskId"]
    assert task.startswith(f"task/aws-service-role/{ELB}/{NAME}/")
    assert iam.get_service_linked_role_deletion_status(DeletionTaskId=task)["Status"] == "SUCCEEDED"
    assert refused(iam.get_role, RoleName=NAME)["Code"] == "NoSuchEntity"
    assert refused(iam.delete_service_linked_role, RoleName=NAME)["Code"] == "NoSuchEntity"


def test_linked_roles_of_one_service_have_suffixes(iam):
    for suffix in ("a", "b"):
        made = iam.create_service_linked_role(AWSServiceName="autoscaling.amazonaws.com", CustomSuffix=suffix)["Role"]
        assert made["RoleName"] == f"AWSServiceRoleForAutoScaling_{suffix}"


@pytest.mark.parametrize(
    ("service", "name"),
    [
        ("workmail.amazonaws.com", "AWSServiceRoleForWorkmail"),
        ("custom.resource-groups.amazonaws.com", "AWSServiceRoleForCustomResourceGroups"),
        ("no-such-service.amazonaws.com", None),
        ("elasticloadbalancing.example.com", None),
    ],
)
def test_linked_role_is_of_a_service_of_aws(iam, service, name):
    if name is None:
        assert refused(iam.create_service_linked_role, AWSServiceName=service)["Code"] == "InvalidInput"
    else:
        assert iam.create_service_linked_role(AWSServiceName=service)["Role"]["RoleName"] == name


def test_linked_role_is_decided_by_its_arn_and_service(world):
    bo = world.client("iam", world.bo)
    world.allow("iam:*ServiceLinkedRole", StringEquals={"iam:AWSServiceName": ELB})
    bo.create_service_linked_role(AWSServiceName=ELB)
    error = refused(bo.create_service_linked_role, AWSServiceName="ecs.amazonaws.com")
    assert error["Code"] == "AccessDenied"
    assert "role/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS" in error["Message"]
    assert bo.delete_service_linked_role(RoleName=NAME)["DeletionTaskId"]


def test_role_that_is_not_linked_is_not_deleted(world, iam):
    arn = f"arn:aws:iam::{A}:role/r"
    world.directory.add_principal(arn)
    assert refused(iam.delete_service_linked_role, RoleName="r")["Code"] == "InvalidInput"
    assert arn in world.directory.tables.entities


def test_policies_of_known_services_are_shipped():
    missing = [name for _, name in KNOWN.values() if aws_policy(f"arn:aws:iam::aws:policy/aws-service-role/{name}") is None]
    assert missing == []
