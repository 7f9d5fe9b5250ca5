"""IAM users through boto3."""

from __future__ import annotations

import pytest
from aws_world import BO, A, AwsWorld, refused
from sts_fixture import ALL, document

import fastiam
from fastiam.sts import Credentials


@pytest.fixture
def iam(world):
    return world.client("iam")


def test_user_has_the_life_of_a_record(iam):
    made = iam.create_user(UserName="eve", Path="/x/", Tags=[{"Key": "team", "Value": "blé"}])["User"]
    assert made["Arn"] == f"arn:aws:iam::{A}:user/x/eve" and made["UserId"].startswith("AIDA")
    assert made["CreateDate"].isoformat().startswith("2026-11-29T09:00:00")
    assert iam.get_user(UserName="eve")["User"] == made
    iam.update_user(UserName="eve", NewUserName="eva", NewPath="/y/")
    assert iam.get_user(UserName="eva")["User"]["Arn"] == f"arn:aws:iam::{A}:user/y/eva"
    assert refused(iam.get_user, UserName="eve")["Code"] == "NoSuchEntity"
    iam.delete_user(UserName="eva")
    assert refused(iam.get_user, UserName="eva") | {"Type": ""} == {
        "Type": "",
        "Code": "NoSuchEntity",
        "Message": "The user with name eva cannot be found.",
        "Status": 404,
    }


def test_create_user_lists_all_violations_in_one_message(iam):
    """GC179."""
    error = refused(iam.create_user, UserName="a b" + "x" * 70, Path="x")
    assert (error["Code"], error["Status"]) == ("ValidationError", 400)
    assert "3 validation errors detected" in error["Message"]
    assert "at 'userName'" in error["Message"] and "at 'path'" in error["Message"]


def test_create_user_is_decided_on_the_requested_path(world):
    """GC180."""
    bo = world.client("iam", world.bo)
    error = refused(bo.create_user, UserName="n", Path="/x/")
    assert error["Status"] == 403
    assert error["Message"] == (
        f"User: {BO} is not authorized to perform: iam:CreateUser on resource: arn:aws:iam::{A}:user/x/n"
        " because no identity-based policy allows the iam:CreateUser action"
    )
    world.allow("iam:CreateUser", resource=f"arn:aws:iam::{A}:user/x/*")
    assert bo.create_user(UserName="n", Path="/x/")["User"]["Path"] == "/x/"
    assert refused(bo.create_user, UserName="m")["Code"] == "AccessDenied"


def test_get_user_that_is_absent_answers_permission_first(world):
    """GC181."""
    bo = world.client("iam", world.bo)
    assert refused(bo.get_user, UserName="nobody")["Code"] == "AccessDenied"
    world.allow("iam:GetUser")
    assert refused(bo.get_user, UserName="nobody")["Code"] == "NoSuchEntity"


def test_get_user_without_a_name_is_of_the_caller(world):
    """GC182."""
    assert world.client("iam").get_user()["User"]["UserName"] == "admin"
    role = f"arn:aws:iam::{A}:role/r"
    trust = document({"Effect": "Allow", "Principal": {"AWS": A}, "Action": "sts:AssumeRole"})
    world.directory.add_principal(role, trust_policy=trust, identity_policies=[("all", document(ALL))])
    made = world.client("sts").assume_role(RoleArn=role, RoleSessionName="s1")["Credentials"]
    session = Credentials(made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])
    error = refused(world.client("iam", session).get_user)
    assert error["Message"] == "Must specify userName when calling with non-User credentials"


def test_create_user_with_tags_needs_permission_to_tag(world):
    """GC183."""
    world.allow("iam:CreateUser")
    error = refused(world.client("iam", world.bo).create_user, UserName="n", Tags=[{"Key": "k", "Value": "v"}])
    assert error["Code"] == "AccessDenied" and "iam:TagUser" in error["Message"]


def test_create_user_without_the_demanded_boundary_is_denied(world):
    """GC184."""
    boundary = f"arn:aws:iam::{A}:policy/edge"
    world.directory.add_managed_policy(boundary, document(ALL))
    world.allow("iam:CreateUser", StringEquals={"iam:PermissionsBoundary": boundary})
    bo = world.client("iam", world.bo)
    assert refused(bo.create_user, UserName="n")["Code"] == "AccessDenied"
    made = bo.create_user(UserName="n", PermissionsBoundary=boundary)["User"]
    assert made["PermissionsBoundary"]["PermissionsBoundaryArn"] == boundary


def test_boundary_of_several_policies_is_not_one_of_them():
    """A permission for users with one boundary does not reach a user whose boundary allows more."""
    world = AwsWorld(fastiam.Directory("lenient"))
    boundary, eve = f"arn:aws:iam::{A}:policy/edge", f"arn:aws:iam::{A}:user/eve"
    world.directory.add_managed_policy(boundary, DOCUMENT)
    world.directory.add_principal(eve, permissions_boundary=[boundary])
    world.allow("iam:AttachUserPolicy", StringEquals={"iam:PermissionsBoundary": boundary})
    bo = world.client("iam", world.bo)
    bo.attach_user_policy(UserName="eve", PolicyArn=boundary)
    world.directory.set_permissions_boundary(eve, [boundary, document(ALL)])
    assert refused(bo.attach_user_policy, UserName="eve", PolicyArn=boundary)["Code"] == "AccessDenied"


def test_conditions_on_tags_see_request_and_record(world):
    """G143."""
    iam, bo = world.client("iam"), world.client("iam", world.bo)
    iam.create_user(UserName="eve", Tags=[{"Key": "team", "Value": "red"}])
    iam.create_user(UserName="eva", Tags=[{"Key": "team", "Value": "blue"}])
    world.allow("iam:TagUser", StringEquals={"iam:ResourceTag/team": "red", "aws:RequestTag/cost": "1"})
    tags = [{"Key": "cost", "Value": "1"}]
    bo.tag_user(UserName="eve", Tags=tags)
    assert refused(bo.tag_user, UserName="eva", Tags=tags)["Code"] == "AccessDenied"
    assert refused(bo.tag_user, UserName="eve", Tags=[{"Key": "cost", "Value": "2"}])["Code"] == "AccessDenied"
    twice = [{"Key": "a", "Value": "1"}, {"Key": "A", "Value": "2"}]
    assert refused(iam.tag_user, UserName="eve", Tags=twice)["Code"] == "InvalidInput"
    assert iam.list_user_tags(UserName="eve")["Tags"] == [{"Key": "cost", "Value": "1"}, {"Key": "team", "Value": "red"}]
    iam.untag_user(UserName="eve", TagKeys=["cost"])
    assert [tag["Key"] for tag in iam.list_user_tags(UserName="eve")["Tags"]] == ["team"]


def test_conflicts_have_the_codes_of_aws(world, iam):
    """GC186."""
    iam.create_user(UserName="eve")
    assert refused(iam.create_user, UserName="EVE") | {"Message": ""} == {
        "Type": "Sender",
        "Code": "EntityAlreadyExists",
        "Message": "",
        "Status": 409,
    }
    world.sts.keys.create(f"arn:aws:iam::{A}:user/eve")
    assert refused(iam.delete_user, UserName="eve")["Code"] == "DeleteConflict"
    iam.put_user_policy(UserName="admin", PolicyName="p", PolicyDocument=DOCUMENT)
    assert refused(iam.delete_user, UserName="bo")["Code"] == "DeleteConflict"


DOCUMENT = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/%7Bx"}]}'


def test_inline_policy_is_stored_as_sent(iam, world):
    """GC188, GC192."""
    iam.put_user_policy(UserName="bo", PolicyName="p", PolicyDocument=DOCUMENT)
    answer = iam.get_user_policy(UserName="bo", PolicyName="p")
    assert answer["PolicyDocument"]["Statement"][0]["Resource"] == "arn:aws:s3:::b/%7Bx"
    assert b"%7B%22Version%22" in world.responses[-1].body
    assert world.directory.principal(BO).inline[0].text == DOCUMENT
    assert iam.list_user_policies(UserName="bo")["PolicyNames"] == ["p"]
    iam.delete_user_policy(UserName="bo", PolicyName="p")
    assert refused(iam.delete_user_policy, UserName="bo", PolicyName="p")["Code"] == "NoSuchEntity"


@pytest.mark.parametrize("text", ["{", "%7B%7D", "[]", '{"Version":"2012-10-17","Statement":[{"Effect":"Allow"}]}'])
def test_malformed_document_is_refused(iam, text):
    error = refused(iam.put_user_policy, UserName="bo", PolicyName="p", PolicyDocument=text)
    assert (error["Code"], error["Status"]) == ("MalformedPolicyDocument", 400)


def test_managed_policies_are_attached_and_detached(world, iam):
    arn = f"arn:aws:iam::{A}:policy/team/p"
    world.directory.add_managed_policy(arn, document(ALL))
    iam.attach_user_policy(UserName="bo", PolicyArn=arn)
    iam.attach_user_policy(UserName="bo", PolicyArn=arn)
    assert iam.list_attached_user_policies(UserName="bo")["AttachedPolicies"] == [{"PolicyName": "p", "PolicyArn": arn}]
    assert iam.list_attached_user_policies(UserName="bo", PathPrefix="/other/")["AttachedPolicies"] == []
    iam.detach_user_policy(UserName="bo", PolicyArn=arn)
    assert refused(iam.detach_user_policy, UserName="bo", PolicyArn=arn)["Code"] == "NoSuchEntity"
    missing = f"arn:aws:iam::{A}:policy/none"
    assert refused(iam.attach_user_policy, UserName="bo", PolicyArn=missing)["Code"] == "NoSuchEntity"
    iam.put_user_permissions_boundary(UserName="bo", PermissionsBoundary=arn)
    assert iam.get_user(UserName="bo")["User"]["PermissionsBoundary"]["PermissionsBoundaryArn"] == arn
    iam.delete_user_permissions_boundary(UserName="bo")
    assert refused(iam.delete_user_permissions_boundary, UserName="bo")["Code"] == "NoSuchEntity"


def test_attach_is_decided_with_the_arn_of_the_policy(world):
    allowed, other = f"arn:aws:iam::{A}:policy/a", f"arn:aws:iam::{A}:policy/b"
    for arn in (allowed, other):
        world.directory.add_managed_policy(arn, DOCUMENT)
    world.allow("iam:AttachUserPolicy", ArnEquals={"iam:PolicyARN": allowed})
    bo = world.client("iam", world.bo)
    bo.attach_user_policy(UserName="bo", PolicyArn=allowed)
    assert refused(bo.attach_user_policy, UserName="bo", PolicyArn=other)["Code"] == "AccessDenied"


def test_listing_is_given_in_pages_by_name(world, iam):
    """GC191."""
    for name in ("d", "c", "e"):
        iam.create_user(UserName=name)
    pages = list(iam.get_paginator("list_users").paginate(PaginationConfig={"PageSize": 2}))
    assert [[user["UserName"] for user in page["Users"]] for page in pages] == [["admin", "bo"], ["c", "d"], ["e"]]
    marker = iam.list_users(MaxItems=1)["Marker"]
    assert refused(iam.list_users, Marker=marker, PathPrefix="/x/")["Message"] == "Invalid Marker."
    assert refused(iam.list_user_policies, UserName="bo", Marker=marker)["Code"] == "ValidationError"
    for number in (0, 1001):
        assert refused(iam.list_users, MaxItems=number)["Code"] == "ValidationError"


def test_empty_listing_is_an_empty_element(world, iam):
    """GC192."""
    assert iam.list_users(PathPrefix="/none/")["Users"] == []
    assert b"<Users></Users><IsTruncated>false</IsTruncated></ListUsersResult>" in world.responses[-1].body


def test_listing_is_decided_on_the_path_prefix(world):
    """GC193, GC194."""
    bo = world.client("iam", world.bo)
    assert f"resource: arn:aws:iam::{A}:user/ because" in refused(bo.list_users)["Message"]
    assert f"resource: arn:aws:iam::{A}:user/x/ because" in refused(bo.list_users, PathPrefix="/x/")["Message"]
    world.allow("iam:ListUsers", resource=f"arn:aws:iam::{A}:user/*")
    assert [user["UserName"] for user in bo.list_users()["Users"]] == ["admin", "bo"]
