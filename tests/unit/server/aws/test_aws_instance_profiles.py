"""IAM instance profiles through boto3."""

from __future__ import annotations

import json

import pytest
from aws_world import BO, A, refused
from sts_fixture import document, trusting

WEB = f"arn:aws:iam::{A}:instance-profile/web"
ROLE = f"arn:aws:iam::{A}:role/x/dep"


@pytest.fixture
def iam(world):
    client = world.client("iam")
    client.create_role(RoleName="dep", Path="/x/", AssumeRolePolicyDocument=json.dumps(trusting(BO)))
    return client


def test_instance_profile_has_the_life_of_a_record(iam):
    tags = [{"Key": "team", "Value": "red"}]
    made = iam.create_instance_profile(InstanceProfileName="web", Path="/x/", Tags=tags)["InstanceProfile"]
    assert made["Arn"] == f"arn:aws:iam::{A}:instance-profile/x/web" and made["InstanceProfileId"].startswith("AIPA")
    assert made["CreateDate"].isoformat().startswith("2026-11-29T09:00:00") and made["Roles"] == []
    assert iam.get_instance_profile(InstanceProfileName="web")["InstanceProfile"] == made and made["Tags"] == tags
    assert refused(iam.create_instance_profile, InstanceProfileName="WEB")["Code"] == "EntityAlreadyExists"
    listed = iam.list_instance_profiles(PathPrefix="/x/")["InstanceProfiles"]
    assert listed == [{name: value for name, value in made.items() if name != "Tags"}]
    iam.delete_instance_profile(InstanceProfileName="web")
    error = refused(iam.get_instance_profile, InstanceProfileName="web")
    assert (error["Code"], error["Status"]) == ("NoSuchEntity", 404)


def test_instance_profile_has_one_role_at_most(iam):
    iam.create_role(RoleName="other", AssumeRolePolicyDocument=json.dumps(trusting(BO)))
    iam.create_instance_profile(InstanceProfileName="web")
    iam.create_instance_profile(InstanceProfileName="batch")
    iam.add_role_to_instance_profile(InstanceProfileName="web", RoleName="dep")
    assert refused(iam.add_role_to_instance_profile, InstanceProfileName="web", RoleName="other")["Code"] == "LimitExceeded"
    found = iam.get_instance_profile(InstanceProfileName="web")["InstanceProfile"]
    assert [role["Arn"] for role in found["Roles"]] == [ROLE]
    assert found["Roles"][0]["AssumeRolePolicyDocument"] == trusting(BO)
    profiles = iam.list_instance_profiles_for_role(RoleName="dep")["InstanceProfiles"]
    assert [profile["InstanceProfileName"] for profile in profiles] == ["web"]
    assert refused(iam.delete_instance_profile, InstanceProfileName="web")["Code"] == "DeleteConflict"
    assert refused(iam.delete_role, RoleName="dep")["Code"] == "DeleteConflict"
    refusal = refused(iam.remove_role_from_instance_profile, InstanceProfileName="web", RoleName="other")
    assert refusal["Code"] == "NoSuchEntity"
    iam.remove_role_from_instance_profile(InstanceProfileName="web", RoleName="dep")
    assert iam.list_instance_profiles_for_role(RoleName="dep")["InstanceProfiles"] == []
    iam.delete_role(RoleName="dep")


def test_absent_profile_or_role_is_not_linked(iam):
    iam.create_instance_profile(InstanceProfileName="web")
    for given in ({"InstanceProfileName": "web", "RoleName": "none"}, {"InstanceProfileName": "none", "RoleName": "dep"}):
        assert refused(iam.add_role_to_instance_profile, **given)["Code"] == "NoSuchEntity"
    assert refused(iam.list_instance_profiles_for_role, RoleName="none")["Code"] == "NoSuchEntity"


def test_role_is_added_by_who_may_pass_it_to_ec2(world, iam):
    """GC185."""
    bo, link = world.client("iam", world.bo), {"InstanceProfileName": "web", "RoleName": "dep"}
    iam.create_instance_profile(InstanceProfileName="web")
    add = {"Effect": "Allow", "Action": "iam:AddRoleToInstanceProfile", "Resource": WEB}
    allow = {"Effect": "Allow", "Action": "iam:PassRole", "Resource": ROLE}
    world.directory.put_inline_policy(BO, "test", document(add))
    error = refused(bo.add_role_to_instance_profile, **link)
    assert error["Code"] == "AccessDenied" and f"perform: iam:PassRole on resource: {ROLE} because" in error["Message"]
    to_lambda = allow | {"Condition": {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}}}
    world.directory.put_inline_policy(BO, "test", document(add, to_lambda))
    assert refused(bo.add_role_to_instance_profile, **link)["Code"] == "AccessDenied"
    to_ec2 = allow | {"Condition": {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}}
    world.directory.put_inline_policy(BO, "test", document(add, to_ec2))
    bo.add_role_to_instance_profile(**link)
    assert len(iam.list_instance_profiles_for_role(RoleName="dep")["InstanceProfiles"]) == 1


def test_conditions_on_tags_of_a_profile_are_decided(world, iam):
    """G143."""
    bo = world.client("iam", world.bo)
    iam.create_instance_profile(InstanceProfileName="web", Tags=[{"Key": "team", "Value": "red"}])
    iam.create_instance_profile(InstanceProfileName="batch")
    world.allow("iam:*InstanceProfile", StringEquals={"iam:ResourceTag/team": "red"})  # a key of users and roles (5.5)
    assert refused(bo.get_instance_profile, InstanceProfileName="web")["Code"] == "AccessDenied"
    world.allow("iam:*InstanceProfile", StringEquals={"aws:ResourceTag/team": "red"})
    bo.tag_instance_profile(InstanceProfileName="web", Tags=[{"Key": "cost", "Value": "1"}])
    assert refused(bo.get_instance_profile, InstanceProfileName="batch")["Code"] == "AccessDenied"
    bo.untag_instance_profile(InstanceProfileName="web", TagKeys=["cost", "team"])
    assert iam.list_instance_profile_tags(InstanceProfileName="web")["Tags"] == []
    assert refused(bo.get_instance_profile, InstanceProfileName="web")["Code"] == "AccessDenied"


def test_profiles_are_given_in_pages_of_the_account(world, iam):
    """G150."""
    world.directory.create_instance_profile("arn:aws:iam::222222222222:instance-profile/foreign")
    for name in ("c", "a", "b"):
        iam.create_instance_profile(InstanceProfileName=name)
    pages = list(iam.get_paginator("list_instance_profiles").paginate(PaginationConfig={"PageSize": 2}))
    names = [[profile["InstanceProfileName"] for profile in page["InstanceProfiles"]] for page in pages]
    assert names == [["a", "b"], ["c"]]
    assert f"resource: arn:aws:iam::{A}:instance-profile/ because" in denial(world)


def denial(world) -> str:
    return refused(world.client("iam", world.bo).list_instance_profiles)["Message"]
