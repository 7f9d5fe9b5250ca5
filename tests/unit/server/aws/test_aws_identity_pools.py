"""Cognito identity pools through boto3."""

from __future__ import annotations

import json

import pytest
from aws_world import BO, REGION, A, refused
from botocore import UNSIGNED
from botocore.config import Config
from sts_fixture import ALL, document

from fastiam.server.http import Request
from fastiam.sts import Credentials

OWN = "cognito-identity.amazonaws.com"
GUEST, OTHER = f"arn:aws:iam::{A}:role/guest", "222222222222"
SETTINGS = {"IdentityPoolName": "p", "AllowUnauthenticatedIdentities": True}


@pytest.fixture
def pools(world):
    return world.client("cognito-identity")


@pytest.fixture
def public(world):
    return world.client("cognito-identity", config=Config(signature_version=UNSIGNED))


def trust(pool: str) -> dict:
    condition = {"StringEquals": {f"{OWN}:aud": pool}, "ForAnyValue:StringLike": {f"{OWN}:amr": "unauthenticated"}}
    statement = {"Effect": "Allow", "Principal": {"Federated": OWN}, "Action": "sts:AssumeRoleWithWebIdentity"}
    return document(statement | {"Condition": condition})


def guests(world, pools, **more) -> str:
    """A pool whose guests get a role."""
    pool = pools.create_identity_pool(**SETTINGS, **more)["IdentityPoolId"]
    world.directory.add_principal(GUEST, trust_policy=trust(pool), identity_policies=[("all", document(ALL))])
    pools.set_identity_pool_roles(IdentityPoolId=pool, Roles={"unauthenticated": GUEST})
    return pool


def test_pool_has_the_life_of_a_record(pools):
    user_pool = {"ProviderName": f"cognito-idp.{REGION}.amazonaws.com/{REGION}_abc", "ClientId": "c1"}
    made = pools.create_identity_pool(**SETTINGS, CognitoIdentityProviders=[user_pool], IdentityPoolTags={"k": "v"})
    pool = made.pop("IdentityPoolId")
    made.pop("ResponseMetadata")
    assert pool.startswith(f"{REGION}:")
    assert made == {
        **SETTINGS,
        "AllowClassicFlow": False,
        "CognitoIdentityProviders": [{**user_pool, "ServerSideTokenCheck": False}],
        "IdentityPoolTags": {"k": "v"},
    }
    changed = pools.update_identity_pool(**SETTINGS | {"IdentityPoolName": "q"}, IdentityPoolId=pool)
    assert changed["IdentityPoolName"] == "q" and "CognitoIdentityProviders" not in changed
    assert changed["IdentityPoolTags"] == {"k": "v"}
    found = pools.describe_identity_pool(IdentityPoolId=pool)
    assert (found["IdentityPoolName"], found["IdentityPoolTags"]) == ("q", {"k": "v"})
    assert pools.list_identity_pools(MaxResults=1)["IdentityPools"] == [{"IdentityPoolId": pool, "IdentityPoolName": "q"}]
    pools.delete_identity_pool(IdentityPoolId=pool)
    error = refused(pools.describe_identity_pool, IdentityPoolId=pool)
    assert (error["Code"], error["Status"]) == ("ResourceNotFoundException", 400)


def test_pools_are_listed_in_pages(pools):
    for number in range(3):
        pools.create_identity_pool(**SETTINGS | {"IdentityPoolName": f"p{number}"})
    pages = list(pools.get_paginator("list_identity_pools").paginate(PaginationConfig={"PageSize": 2}))
    assert [len(page["IdentityPools"]) for page in pages] == [2, 1]
    assert refused(pools.list_identity_pools, MaxResults=2, NextToken="x")["Code"] == "InvalidParameterException"


def test_roles_and_mappings_are_set_and_read(pools):
    pool = pools.create_identity_pool(**SETTINGS)["IdentityPoolId"]
    rule = {"Claim": "team", "MatchType": "Equals", "Value": "red", "RoleARN": GUEST}
    mapping = {"Type": "Rules", "AmbiguousRoleResolution": "Deny", "RulesConfiguration": {"Rules": [rule]}}
    mappings = {"idp.example": mapping}
    pools.set_identity_pool_roles(IdentityPoolId=pool, Roles={"authenticated": GUEST}, RoleMappings=mappings)
    found = pools.get_identity_pool_roles(IdentityPoolId=pool)
    assert (found["Roles"], found["RoleMappings"]) == ({"authenticated": GUEST}, mappings)
    wrong = refused(pools.set_identity_pool_roles, IdentityPoolId=pool, Roles={"other": GUEST})
    assert (wrong["Code"], wrong["Status"]) == ("ValidationException", 400)


def test_guest_gets_credentials_without_a_signature(world, pools, public):
    pool = guests(world, pools)
    identity = public.get_id(IdentityPoolId=pool)["IdentityId"]
    assert b"authorization" not in dict(world.requests[-1].headers)
    found = public.get_credentials_for_identity(IdentityId=identity)
    assert found["IdentityId"] == identity
    keys = found["Credentials"]
    session = Credentials(keys["AccessKeyId"], keys["SecretKey"], keys["SessionToken"])
    arn = world.client("sts", session).get_caller_identity()["Arn"]
    assert arn == f"arn:aws:sts::{A}:assumed-role/guest/CognitoIdentityCredentials"
    assert refused(world.client("iam", session).list_users)["Code"] == "AccessDenied", "the guest policy limits the role"


def test_token_of_a_guest_assumes_a_role(world, pools, public):
    pool = guests(world, pools, AllowClassicFlow=True)
    identity = public.get_id(IdentityPoolId=pool)["IdentityId"]
    token = public.get_open_id_token(IdentityId=identity)["Token"]
    sts = world.client("sts", config=Config(signature_version=UNSIGNED))
    made = sts.assume_role_with_web_identity(RoleArn=GUEST, RoleSessionName="s1", WebIdentityToken=token)
    assert made["SubjectFromWebIdentityToken"] == identity
    request = Request("GET", b"/aws/.well-known/jwks_uri", b"", ((b"host", b"127.0.0.1"),))
    keys = json.loads(world.handle(request).body)["keys"]
    assert len(keys) == 1 and "d" not in keys[0]


@pytest.mark.parametrize(
    ("logins", "code"),
    [({"accounts.google.com": "x"}, "NotAuthorizedException"), ({"x": ""}, "ValidationException")],
)
def test_login_that_is_not_valid_gives_no_identity(world, pools, public, logins, code):
    pool = guests(world, pools)
    assert refused(public.get_id, IdentityPoolId=pool, Logins=logins)["Code"] == code


def test_pool_without_guests_gives_them_nothing(pools, public):
    pool = pools.create_identity_pool(IdentityPoolName="p", AllowUnauthenticatedIdentities=False)["IdentityPoolId"]
    assert refused(public.get_id, IdentityPoolId=pool)["Code"] == "NotAuthorizedException"
    absent = f"{REGION}:00000000-0000-0000-0000-000000000000"
    assert refused(public.get_id, IdentityPoolId=absent)["Code"] == "ResourceNotFoundException"
    assert refused(public.get_credentials_for_identity, IdentityId=absent)["Code"] == "ResourceNotFoundException"
    malformed = refused(public.get_id, IdentityPoolId="x")
    assert (malformed["Code"], malformed["Status"]) == ("ValidationException", 400)


# -- who may ----------------------------------------------------------------------------------------------------------------


def test_denial_does_not_show_whose_a_foreign_pool_is(world):
    service = world.protocol.services_of(world.sts).identity_pools
    pool = service.create_identity_pool("theirs", True, account=OTHER, region=REGION).identity_pool_id
    describe = world.client("cognito-identity", world.bo).describe_identity_pool
    message = refused(describe, IdentityPoolId=pool)["Message"]
    assert OTHER not in message and f"arn:aws:cognito-identity:{REGION}:{A}:identitypool/{pool}" in message
    world.allow("cognito-identity:*")
    assert refused(describe, IdentityPoolId=pool)["Code"] == "ResourceNotFoundException"


def test_pool_of_another_account_or_region_is_not_found(world, pools):
    service = world.protocol.services_of(world.sts).identity_pools
    for account, region in ((OTHER, REGION), (A, "us-east-1")):
        pool = service.create_identity_pool("theirs", True, account=account, region=region).identity_pool_id
        before = world.directory.to_json()
        for call, more in (
            (pools.describe_identity_pool, {}),
            (pools.update_identity_pool, SETTINGS),
            (pools.delete_identity_pool, {}),
            (pools.get_identity_pool_roles, {}),
            (pools.set_identity_pool_roles, {"Roles": {"unauthenticated": GUEST}}),
        ):
            error = refused(call, IdentityPoolId=pool, **more)
            assert error["Code"] in ("ResourceNotFoundException", "AccessDeniedException")
        assert pools.list_identity_pools(MaxResults=10)["IdentityPools"] == []
        assert world.directory.to_json() == before


def test_role_of_a_pool_must_be_passed(world, pools):
    pool = pools.create_identity_pool(**SETTINGS)["IdentityPoolId"]
    world.allow("cognito-identity:*")
    client = world.client("cognito-identity", world.bo)
    rule = {"Claim": "team", "MatchType": "Equals", "Value": "red", "RoleARN": GUEST}
    mapping = {"Type": "Rules", "AmbiguousRoleResolution": "Deny", "RulesConfiguration": {"Rules": [rule]}}
    for given in ({"Roles": {"unauthenticated": GUEST}}, {"Roles": {}, "RoleMappings": {"idp.example": mapping}}):
        error = refused(client.set_identity_pool_roles, IdentityPoolId=pool, **given)
        assert (error["Code"], error["Status"]) == ("AccessDeniedException", 400)
        assert f"perform: iam:PassRole on resource: {GUEST}" in error["Message"]
    client.set_identity_pool_roles(IdentityPoolId=pool, Roles={})


def test_tags_of_a_pool_decide_and_need_a_permission(world, pools):
    pool = pools.create_identity_pool(**SETTINGS, IdentityPoolTags={"team": "red"})["IdentityPoolId"]
    world.allow("cognito-identity:*IdentityPool", StringEquals={"aws:ResourceTag/team": "blue"})
    client = world.client("cognito-identity", world.bo)
    assert refused(client.describe_identity_pool, IdentityPoolId=pool)["Code"] == "AccessDeniedException"
    world.allow("cognito-identity:UpdateIdentityPool")
    client.update_identity_pool(**SETTINGS, IdentityPoolId=pool)
    for tags in ({"team": "blue"}, {}):
        error = refused(client.update_identity_pool, **SETTINGS, IdentityPoolId=pool, IdentityPoolTags=tags)
        assert "cognito-identity:TagResource" in error["Message"]
    arn = f"arn:aws:cognito-identity:{REGION}:{A}:identitypool/{pool}"
    world.directory.put_inline_policy(BO, "test", document({"Effect": "Allow", "Action": "*", "Resource": arn}))
    assert client.describe_identity_pool(IdentityPoolId=pool)["IdentityPoolTags"] == {"team": "red"}
