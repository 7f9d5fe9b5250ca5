"""IAM groups through boto3."""

from __future__ import annotations

import json

import pytest
from aws_world import BO, A, refused
from sts_fixture import ALL, document

POLICY = f"arn:aws:iam::{A}:policy/p"
READ = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}]}'


@pytest.fixture
def iam(world):
    return world.client("iam")


def test_group_has_the_life_of_a_record(iam):
    made = iam.create_group(GroupName="devs", Path="/x/")["Group"]
    assert made["Arn"] == f"arn:aws:iam::{A}:group/x/devs" and made["GroupId"].startswith("AGPA")
    assert made["CreateDate"].isoformat().startswith("2026-11-29T09:00:00")
    assert iam.get_group(GroupName="devs")["Group"] == made and iam.get_group(GroupName="devs")["Users"] == []
    assert refused(iam.create_group, GroupName="DEVS")["Code"] == "EntityAlreadyExists"
    iam.create_group(GroupName="ops")
    assert refused(iam.update_group, GroupName="ops", NewGroupName="Devs")["Code"] == "EntityAlreadyExists"
    assert [group["GroupName"] for group in iam.list_groups()["Groups"]] == ["devs", "ops"]
    assert [group["GroupName"] for group in iam.list_groups(PathPrefix="/x/")["Groups"]] == ["devs"]
    iam.delete_group(GroupName="devs")
    error = refused(iam.get_group, GroupName="devs")
    assert (error["Code"], error["Status"]) == ("NoSuchEntity", 404)


def test_group_keeps_its_users_when_it_is_renamed(iam):
    iam.create_group(GroupName="devs")
    iam.add_user_to_group(GroupName="devs", UserName="bo")
    iam.add_user_to_group(GroupName="devs", UserName="bo")
    iam.update_group(GroupName="devs", NewGroupName="DEVS", NewPath="/y/")
    found = iam.get_group(GroupName="DEVS")
    assert found["Group"]["Arn"] == f"arn:aws:iam::{A}:group/y/DEVS"
    assert [user["UserName"] for user in found["Users"]] == ["bo"]
    assert [group["GroupName"] for group in iam.list_groups_for_user(UserName="bo")["Groups"]] == ["DEVS"]
    assert refused(iam.delete_group, GroupName="DEVS")["Code"] == "DeleteConflict"
    iam.remove_user_from_group(GroupName="DEVS", UserName="bo")
    assert refused(iam.remove_user_from_group, GroupName="DEVS", UserName="bo")["Code"] == "NoSuchEntity"
    assert iam.list_groups_for_user(UserName="bo")["Groups"] == []


def test_absent_user_or_group_cannot_be_joined(iam):
    iam.create_group(GroupName="devs")
    assert refused(iam.add_user_to_group, GroupName="devs", UserName="nobody")["Code"] == "NoSuchEntity"
    assert refused(iam.add_user_to_group, GroupName="none", UserName="bo")["Code"] == "NoSuchEntity"
    assert refused(iam.list_groups_for_user, UserName="nobody")["Code"] == "NoSuchEntity"


def test_user_is_in_ten_groups_at_most(iam):
    for number in range(11):
        iam.create_group(GroupName=f"g{number}")
    for number in range(10):
        iam.add_user_to_group(GroupName=f"g{number}", UserName="bo")
    error = refused(iam.add_user_to_group, GroupName="g10", UserName="bo")
    assert (error["Code"], error["Status"]) == ("LimitExceeded", 409)


def test_policies_of_a_group_reach_its_users(world, iam):
    bo = world.client("iam", world.bo)
    iam.create_group(GroupName="devs")
    iam.put_group_policy(GroupName="devs", PolicyName="all", PolicyDocument=json.dumps(document(ALL)))
    assert refused(bo.list_users)["Code"] == "AccessDenied"
    iam.add_user_to_group(GroupName="devs", UserName="bo")
    assert len(bo.list_users()["Users"]) == 2
    iam.remove_user_from_group(GroupName="devs", UserName="bo")
    assert refused(bo.list_users)["Code"] == "AccessDenied"


def test_policies_of_a_group_are_put_and_attached(world, iam):
    world.directory.add_managed_policy(POLICY, READ)
    iam.create_group(GroupName="devs")
    iam.put_group_policy(GroupName="devs", PolicyName="in", PolicyDocument=READ)
    iam.attach_group_policy(GroupName="devs", PolicyArn=POLICY)
    assert iam.list_group_policies(GroupName="devs")["PolicyNames"] == ["in"]
    assert iam.get_group_policy(GroupName="devs", PolicyName="in")["PolicyDocument"] == json.loads(READ)
    attached = iam.list_attached_group_policies(GroupName="devs")["AttachedPolicies"]
    assert attached == [{"PolicyName": "p", "PolicyArn": POLICY}]
    assert refused(iam.delete_group, GroupName="devs")["Code"] == "DeleteConflict"
    iam.detach_group_policy(GroupName="devs", PolicyArn=POLICY)
    assert refused(iam.delete_group, GroupName="devs")["Code"] == "DeleteConflict"
    iam.delete_group_policy(GroupName="devs", PolicyName="in")
    assert refused(iam.delete_group_policy, GroupName="devs", PolicyName="in")["Code"] == "NoSuchEntity"
    assert refused(iam.detach_group_policy, GroupName="devs", PolicyArn=POLICY)["Code"] == "NoSuchEntity"
    iam.delete_group(GroupName="devs")


def test_group_calls_are_decided_on_the_group_alone(world, iam):
    bo = world.client("iam", world.bo)
    iam.create_group(GroupName="devs", Path="/x/")
    iam.create_group(GroupName="ops")
    world.allow("iam:AddUserToGroup", resource=f"arn:aws:iam::{A}:group/x/*")
    bo.add_user_to_group(GroupName="devs", UserName="bo")
    assert refused(bo.add_user_to_group, GroupName="ops", UserName="bo")["Code"] == "AccessDenied"
    assert f"resource: arn:aws:iam::{A}:group/ because" in refused(bo.list_groups)["Message"]
    assert f"resource: {BO} because" in refused(bo.list_groups_for_user, UserName="bo")["Message"]


def test_rename_of_a_group_is_decided_on_both_names(world, iam):
    """G144."""
    bo = world.client("iam", world.bo)
    iam.create_group(GroupName="devs")
    world.allow("iam:UpdateGroup", resource=f"arn:aws:iam::{A}:group/devs")
    error = refused(bo.update_group, GroupName="devs", NewGroupName="admins")
    assert error["Code"] == "AccessDenied" and f"resource: arn:aws:iam::{A}:group/admins" in error["Message"]
    assert iam.get_group(GroupName="devs")["Group"]["GroupName"] == "devs"


def test_attach_to_a_group_is_decided_with_the_policy(world, iam):
    other = f"arn:aws:iam::{A}:policy/q"
    for arn in (POLICY, other):
        world.directory.add_managed_policy(arn, READ)
    iam.create_group(GroupName="devs")
    world.allow("iam:AttachGroupPolicy", ArnEquals={"iam:PolicyARN": POLICY})
    bo = world.client("iam", world.bo)
    bo.attach_group_policy(GroupName="devs", PolicyArn=POLICY)
    assert refused(bo.attach_group_policy, GroupName="devs", PolicyArn=other)["Code"] == "AccessDenied"


def test_users_of_a_group_are_given_in_pages(iam):
    """G150."""
    iam.create_group(GroupName="devs")
    for name in ("c", "a", "b"):
        iam.create_user(UserName=name)
        iam.add_user_to_group(GroupName="devs", UserName=name)
    pages = list(iam.get_paginator("get_group").paginate(GroupName="devs", PaginationConfig={"PageSize": 2}))
    assert [[user["UserName"] for user in page["Users"]] for page in pages] == [["a", "b"], ["c"]]
    assert all(page["Group"]["GroupName"] == "devs" for page in pages)
    marker = iam.get_group(GroupName="devs", MaxItems=1)["Marker"]
    assert refused(iam.list_groups, Marker=marker)["Code"] == "ValidationError"
