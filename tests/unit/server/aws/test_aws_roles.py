"""IAM roles and managed policies through boto3."""

from __future__ import annotations

import json

import pytest
from aws_world import BO, A, refused
from sts_fixture import ALL, document, trusting

TRUST = json.dumps(trusting(BO))
READ = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}]}'
POLICY = f"arn:aws:iam::{A}:policy/p"


@pytest.fixture
def iam(world):
    return world.client("iam")


def test_role_has_the_life_of_a_record(world, iam):
    made = iam.create_role(
        RoleName="dep",
        Path="/ops/",
        AssumeRolePolicyDocument=TRUST,
        Description='deploys <all> & "more"\r\n',
        MaxSessionDuration=7200,
        Tags=[{"Key": "team", "Value": "red"}],
    )["Role"]
    assert made["Arn"] == f"arn:aws:iam::{A}:role/ops/dep" and made["RoleId"].startswith("AROA")
    assert made["AssumeRolePolicyDocument"] == json.loads(TRUST)
    assert iam.get_role(RoleName="dep")["Role"] == made | {"MaxSessionDuration": 7200, "RoleLastUsed": {}}
    assert made["Description"] == 'deploys <all> & "more"\r\n'
    iam.update_role(RoleName="dep", Description="rests", MaxSessionDuration=3600)
    assert iam.update_role_description(RoleName="dep", Description="sleeps")["Role"]["Description"] == "sleeps"
    assert iam.get_role(RoleName="dep")["Role"]["MaxSessionDuration"] == 3600
    iam.tag_role(RoleName="dep", Tags=[{"Key": "cost", "Value": "1"}])
    iam.untag_role(RoleName="dep", TagKeys=["team"])
    assert iam.list_role_tags(RoleName="dep")["Tags"] == [{"Key": "cost", "Value": "1"}]
    assert [role["RoleName"] for role in iam.list_roles(PathPrefix="/ops/")["Roles"]] == ["dep"]
    assert refused(iam.create_role, RoleName="DEP", AssumeRolePolicyDocument=TRUST)["Code"] == "EntityAlreadyExists"
    iam.delete_role(RoleName="dep")
    assert refused(iam.get_role, RoleName="dep")["Status"] == 404


def test_trust_in_an_absent_user_is_refused_until_it_exists(iam):
    """GC189."""
    trust = json.dumps(trusting(f"arn:aws:iam::{A}:user/eve"))
    error = refused(iam.create_role, RoleName="r", AssumeRolePolicyDocument=trust)
    assert error["Code"] == "MalformedPolicyDocument" and "Invalid principal in policy" in error["Message"]
    iam.create_user(UserName="eve")
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=trust)
    iam.update_assume_role_policy(RoleName="r", PolicyDocument=TRUST)
    assert iam.get_role(RoleName="r")["Role"]["AssumeRolePolicyDocument"] == json.loads(TRUST)


def test_boundary_of_a_role_is_set_and_removed(world, iam):
    world.directory.add_managed_policy(POLICY, document(ALL))
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=TRUST, PermissionsBoundary=POLICY)
    assert iam.get_role(RoleName="r")["Role"]["PermissionsBoundary"]["PermissionsBoundaryArn"] == POLICY
    iam.delete_role_permissions_boundary(RoleName="r")
    assert "PermissionsBoundary" not in iam.get_role(RoleName="r")["Role"]
    iam.put_role_permissions_boundary(RoleName="r", PermissionsBoundary=POLICY)
    assert iam.get_policy(PolicyArn=POLICY)["Policy"]["PermissionsBoundaryUsageCount"] == 1


LINKED = {"RoleName": "AWSServiceRoleForX"}


@pytest.mark.parametrize(
    ("operation", "more"),
    [
        ("delete_role", {}),
        ("update_role", {"MaxSessionDuration": 7200}),
        ("update_assume_role_policy", {"PolicyDocument": TRUST}),
        ("put_role_permissions_boundary", {"PermissionsBoundary": POLICY}),
        ("delete_role_permissions_boundary", {}),
        ("put_role_policy", {"PolicyName": "p", "PolicyDocument": READ}),
        ("delete_role_policy", {"PolicyName": "own"}),
        ("attach_role_policy", {"PolicyArn": POLICY}),
        ("detach_role_policy", {"PolicyArn": "arn:aws:iam::aws:policy/aws-service-role/X"}),
        ("add_role_to_instance_profile", {"InstanceProfileName": "i"}),
    ],
)
def test_service_linked_role_is_changed_by_its_service_only(world, iam, operation, more):
    arn = f"arn:aws:iam::{A}:role/aws-service-role/x.amazonaws.com/AWSServiceRoleForX"
    given = "arn:aws:iam::aws:policy/aws-service-role/X"
    world.directory.add_managed_policy(given, READ)
    world.directory.add_principal(arn, identity_policies=[given, ("own", READ)])
    iam.create_policy(PolicyName="p", PolicyDocument=READ)
    iam.create_instance_profile(InstanceProfileName="i")
    before = world.directory.to_json()
    error = refused(getattr(iam, operation), **LINKED, **more)
    # of some actions the engine allows none on such a role (D3)
    assert (error["Code"], error["Status"]) in (("UnmodifiableEntity", 400), ("AccessDenied", 403))
    assert "AWSServiceRoleForX" in error["Message"] and world.directory.to_json() == before


def test_description_of_a_service_linked_role_can_be_changed(world, iam):
    world.directory.add_principal(f"arn:aws:iam::{A}:role/aws-service-role/x.amazonaws.com/AWSServiceRoleForX")
    iam.update_role(**LINKED, Description="of x")
    assert iam.get_role(**LINKED)["Role"]["Description"] == "of x"
    iam.tag_role(**LINKED, Tags=[{"Key": "k", "Value": "v"}])


def test_service_linked_role_cannot_be_created(world, iam):
    """SCPs do not apply to it, so that a caller whom they limit could assume it and leave them."""
    path = "/aws-service-role/x.amazonaws.com/"
    error = refused(iam.create_role, RoleName="r", Path=path, AssumeRolePolicyDocument=TRUST)
    assert (error["Code"], error["Status"]) == ("InvalidInput", 400) and path in error["Message"]
    assert world.directory.find("role", "r", A, "aws") is None


def test_policy_has_the_life_of_its_versions(world, iam):
    made = iam.create_policy(PolicyName="p", PolicyDocument=READ, Description="reads", Tags=[{"Key": "k", "Value": "v"}])[
        "Policy"
    ]
    assert made["Arn"] == POLICY and made["PolicyId"].startswith("ANPA") and made["DefaultVersionId"] == "v1"
    assert iam.get_policy(PolicyArn=POLICY)["Policy"] == made | {"Description": "reads"}
    world.clock.tick(60)
    version = iam.create_policy_version(PolicyArn=POLICY, PolicyDocument=READ, SetAsDefault=True)["PolicyVersion"]
    assert (version["VersionId"], version["IsDefaultVersion"], version["CreateDate"]) == ("v2", True, world.clock())
    for _ in range(3):
        iam.create_policy_version(PolicyArn=POLICY, PolicyDocument=READ)
    assert refused(iam.create_policy_version, PolicyArn=POLICY, PolicyDocument=READ)["Code"] == "LimitExceeded"
    listed = iam.list_policy_versions(PolicyArn=POLICY)["Versions"]
    assert [each["VersionId"] for each in listed] == ["v5", "v4", "v3", "v2", "v1"]
    assert iam.get_policy_version(PolicyArn=POLICY, VersionId="v1")["PolicyVersion"]["Document"] == json.loads(READ)
    assert refused(iam.delete_policy_version, PolicyArn=POLICY, VersionId="v2")["Code"] == "DeleteConflict"
    world.clock.tick(60)
    iam.set_default_policy_version(PolicyArn=POLICY, VersionId="v3")
    after = iam.get_policy(PolicyArn=POLICY)["Policy"]
    assert (after["DefaultVersionId"], after["UpdateDate"], after["CreateDate"]) == ("v3", world.clock(), made["CreateDate"])
    assert refused(iam.delete_policy, PolicyArn=POLICY)["Code"] == "DeleteConflict"
    for name in ("v1", "v2", "v4", "v5"):
        iam.delete_policy_version(PolicyArn=POLICY, VersionId=name)
    assert refused(iam.get_policy_version, PolicyArn=POLICY, VersionId="v1")["Code"] == "NoSuchEntity"
    iam.delete_policy(PolicyArn=POLICY)
    assert refused(iam.get_policy, PolicyArn=POLICY)["Code"] == "NoSuchEntity"


def test_policy_names_are_unique_whatever_the_path(iam):
    iam.create_policy(PolicyName="p", Path="/x/", PolicyDocument=READ)
    assert refused(iam.create_policy, PolicyName="P", PolicyDocument=READ)["Code"] == "EntityAlreadyExists"


@pytest.mark.parametrize(
    ("text", "code", "status"),
    [
        ("{", "MalformedPolicyDocument", 400),
        (READ.replace('"Effect"', '"Principal":"*","Effect"'), "MalformedPolicyDocument", 400),
        (READ.replace("s3:GetObject", "s3:" + "G" * 6_145), "LimitExceeded", 409),
    ],
)
def test_document_that_is_not_acceptable_is_refused(iam, text, code, status):
    """GC187."""
    error = refused(iam.create_policy, PolicyName="p", PolicyDocument=text)
    assert (error["Code"], error["Status"]) == (code, status), error


def test_entities_of_a_policy_are_those_of_the_account(world, iam):
    """And of a policy of AWS, which other accounts attach as well."""
    aws = "arn:aws:iam::aws:policy/ReadOnlyAccess"
    world.directory.add_managed_policy(aws, READ)
    world.directory.add_principal("arn:aws:iam::222222222222:user/x", identity_policies=[aws])
    world.directory.add_group("devs", [aws], account=A)
    iam.create_role(RoleName="r", Path="/x/", AssumeRolePolicyDocument=TRUST)
    iam.attach_role_policy(RoleName="r", PolicyArn=aws)
    iam.attach_user_policy(UserName="bo", PolicyArn=aws)
    found = iam.list_entities_for_policy(PolicyArn=aws)
    assert [user["UserName"] for user in found["PolicyUsers"]] == ["bo"]
    assert [role["RoleName"] for role in found["PolicyRoles"]] == ["r"]
    assert [group["GroupName"] for group in found["PolicyGroups"]] == ["devs"]
    assert iam.get_policy(PolicyArn=aws)["Policy"]["AttachmentCount"] == 3
    only = iam.list_entities_for_policy(PolicyArn=aws, EntityFilter="Role", PathPrefix="/x/")
    assert [role["RoleName"] for role in only["PolicyRoles"]] == ["r"] and only["PolicyUsers"] == []
    pages = list(iam.get_paginator("list_entities_for_policy").paginate(PolicyArn=aws, PaginationConfig={"PageSize": 1}))
    assert len(pages) == 3
    assert refused(iam.delete_policy, PolicyArn=aws)["Code"] == "AccessDenied"  # D17: policies of AWS do not change


def test_policies_are_listed_by_scope_usage_and_path(world, iam):
    aws = "arn:aws:iam::aws:policy/ReadOnlyAccess"
    world.directory.add_managed_policy(aws, READ)
    world.directory.add_managed_policy("arn:aws:iam::222222222222:policy/foreign", READ)
    iam.create_policy(PolicyName="a", Path="/x/", PolicyDocument=READ)
    iam.create_policy(PolicyName="b", PolicyDocument=READ)
    iam.attach_user_policy(UserName="bo", PolicyArn=f"arn:aws:iam::{A}:policy/b")

    def names(**filters):
        return [policy["PolicyName"] for policy in iam.list_policies(**filters)["Policies"]]

    assert names(Scope="Local") == ["a", "b"]
    assert names(OnlyAttached=True) == ["b"] and names(PathPrefix="/x/") == ["a"]
    assert names(PolicyUsageFilter="PermissionsBoundary") == [] and names(PolicyUsageFilter="PermissionsPolicy") == ["b"]


def test_listing_of_policies_is_decided_on_every_resource(world):
    """GC193, GC194."""
    bo = world.client("iam", world.bo)
    assert "resource: policy path / because" in refused(bo.list_policies)["Message"]
    world.allow("iam:ListPolicies", resource=f"arn:aws:iam::{A}:policy/*")
    assert refused(bo.list_policies, PathPrefix="/x/")["Code"] == "AccessDenied"
    world.allow("iam:ListPolicies")
    assert bo.list_policies(Scope="Local")["Policies"] == []


def test_markers_stay_short_with_long_paths(world, iam):
    """GC203."""
    path = "/" + "p" * 510 + "/"
    for number in range(3):
        iam.create_policy(PolicyName="n" * 127 + str(number), Path=path, PolicyDocument=READ)
    first = iam.list_policies(Scope="Local", MaxItems=1)
    assert len(first["Marker"]) <= 320
    rest = iam.list_policies(Scope="Local", Marker=first["Marker"])["Policies"]
    assert [policy["PolicyName"][-1] for policy in rest] == ["1", "2"]


def test_conditions_on_tags_of_a_policy_are_decided(world, iam):
    """G143: the engine has no tags of policies of its own."""
    iam.create_policy(PolicyName="p", PolicyDocument=READ, Tags=[{"Key": "team", "Value": "red"}])
    iam.create_policy(PolicyName="q", PolicyDocument=READ, Tags=[{"Key": "team", "Value": "blue"}])
    world.allow("iam:GetPolicy", StringEquals={"aws:ResourceTag/team": "red"})
    bo = world.client("iam", world.bo)
    assert bo.get_policy(PolicyArn=POLICY)["Policy"]["PolicyName"] == "p"
    assert refused(bo.get_policy, PolicyArn=f"arn:aws:iam::{A}:policy/q")["Code"] == "AccessDenied"
    iam.untag_policy(PolicyArn=POLICY, TagKeys=["team"])
    assert iam.list_policy_tags(PolicyArn=POLICY)["Tags"] == []
    assert refused(bo.get_policy, PolicyArn=POLICY)["Code"] == "AccessDenied"


def test_policy_of_another_account_is_out_of_reach(world, iam):
    foreign = "arn:aws:iam::222222222222:policy/foreign"
    world.directory.add_managed_policy(foreign, READ)
    assert refused(iam.get_policy, PolicyArn=foreign)["Code"] == "AccessDenied"
    assert refused(iam.delete_policy, PolicyArn=foreign)["Code"] == "AccessDenied"
    assert refused(iam.attach_user_policy, UserName="bo", PolicyArn=foreign)["Code"] == "NoSuchEntity"
