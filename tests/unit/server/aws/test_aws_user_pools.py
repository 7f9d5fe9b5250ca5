"""Cognito user pools through boto3; `cognito` has the rules of the calls themselves."""

from __future__ import annotations

import json

import jwt
import pytest
from aws_world import REGION, A, refused
from botocore import UNSIGNED
from botocore.config import Config

from fastiam.cognito.user_pools.operations import OPERATIONS
from fastiam.server.http import Request
from fastiam.server.protocols.aws.operations import operations

PASSWORD, OTHER = "Correct-Horse7!", "222222222222"
FLOWS = ["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]


@pytest.fixture
def pools(world):
    return world.client("cognito-idp")


@pytest.fixture
def public(world):
    return world.client("cognito-idp", config=Config(signature_version=UNSIGNED))


@pytest.fixture
def pool(pools) -> str:
    return pools.create_user_pool(PoolName="P")["UserPool"]["Id"]


@pytest.fixture
def client(pools, pool) -> str:
    made = pools.create_user_pool_client(UserPoolId=pool, ClientName="c", ExplicitAuthFlows=FLOWS)
    return made["UserPoolClient"]["ClientId"]


def add_user(pools, pool, name="ana"):
    pools.admin_create_user(UserPoolId=pool, Username=name, MessageAction="SUPPRESS")
    pools.admin_set_user_password(UserPoolId=pool, Username=name, Password=PASSWORD, Permanent=True)


def sign_in(public, client, name="ana", password=PASSWORD):
    parameters = {"USERNAME": name, "PASSWORD": password}
    return public.initiate_auth(AuthFlow="USER_PASSWORD_AUTH", ClientId=client, AuthParameters=parameters)


def test_trigger_of_a_pool_is_refused_with_the_reason(pools):
    config = {"PreSignUp": "arn:aws:lambda:eu-west-1:111111111111:function:f"}
    error = refused(pools.create_user_pool, PoolName="Q", LambdaConfig=config)
    assert "the trigger PreSignUp names" in error["Message"] and "the server and the command line run none" in error["Message"]


def test_operations_are_those_of_the_library():
    """Those of outside providers are left out."""
    served = operations("cognito-idp")
    left_out = OPERATIONS.keys() - served.keys()
    words = ("IdentityProvider", "ProviderForUser")
    assert all(any(word in name for word in words) for name in left_out), left_out
    for name, operation in served.items():
        assert OPERATIONS[name].is_public is operation.library_decides, name


def test_pool_and_client_have_the_life_of_a_record(pools, pool, client):
    found = pools.describe_user_pool(UserPoolId=pool)["UserPool"]
    assert found["Arn"] == f"arn:aws:cognito-idp:{REGION}:{A}:userpool/{pool}" and pool.startswith(f"{REGION}_")
    assert [each["Id"] for each in pools.list_user_pools(MaxResults=10)["UserPools"]] == [pool]
    pools.update_user_pool(UserPoolId=pool, UserPoolTags={"k": "v"})
    assert pools.list_tags_for_resource(ResourceArn=found["Arn"])["Tags"] == {"k": "v"}
    described = pools.describe_user_pool_client(UserPoolId=pool, ClientId=client)["UserPoolClient"]
    assert sorted(described["ExplicitAuthFlows"]) == sorted(FLOWS)
    assert [each["ClientId"] for each in pools.list_user_pool_clients(UserPoolId=pool, MaxResults=5)["UserPoolClients"]] == [
        client
    ]
    pools.delete_user_pool_client(UserPoolId=pool, ClientId=client)
    pools.delete_user_pool(UserPoolId=pool)
    error = refused(pools.describe_user_pool, UserPoolId=pool)
    assert (error["Code"], error["Status"]) == ("ResourceNotFoundException", 400)


def test_users_and_groups_are_administered(pools, pool):
    add_user(pools, pool)
    pools.create_group(UserPoolId=pool, GroupName="staff", Precedence=1)
    pools.admin_add_user_to_group(UserPoolId=pool, Username="ana", GroupName="staff")
    assert [user["Username"] for user in pools.list_users_in_group(UserPoolId=pool, GroupName="staff")["Users"]] == ["ana"]
    assert [each["GroupName"] for each in pools.admin_list_groups_for_user(UserPoolId=pool, Username="ana")["Groups"]] == [
        "staff"
    ]
    found = pools.admin_get_user(UserPoolId=pool, Username="ana")
    assert (found["UserStatus"], found["Enabled"]) == ("CONFIRMED", True)
    assert found["UserCreateDate"].isoformat().startswith("2026-11-29T09:00:00")
    assert [user["Username"] for user in pools.list_users(UserPoolId=pool)["Users"]] == ["ana"]
    assert refused(pools.admin_create_user, UserPoolId=pool, Username="ana")["Code"] == "UsernameExistsException"
    pools.admin_delete_user(UserPoolId=pool, Username="ana")
    assert refused(pools.admin_get_user, UserPoolId=pool, Username="ana")["Code"] == "UserNotFoundException"


def test_user_signs_in_refreshes_and_signs_out(world, pools, public, pool, client):
    add_user(pools, pool)
    tokens = sign_in(public, client)["AuthenticationResult"]
    assert b"authorization" not in dict(world.requests[-1].headers)
    assert dict(world.responses[-1].headers)[b"cache-control"] == b"no-store"
    assert public.get_user(AccessToken=tokens["AccessToken"])["Username"] == "ana"
    refresh = {"AuthFlow": "REFRESH_TOKEN_AUTH", "ClientId": client}
    again = public.initiate_auth(**refresh, AuthParameters={"REFRESH_TOKEN": tokens["RefreshToken"]})["AuthenticationResult"]
    assert public.get_user(AccessToken=again["AccessToken"])["Username"] == "ana"
    public.revoke_token(Token=tokens["RefreshToken"], ClientId=client)
    error = refused(public.initiate_auth, **refresh, AuthParameters={"REFRESH_TOKEN": tokens["RefreshToken"]})
    assert (error["Code"], error["Status"]) == ("NotAuthorizedException", 400)
    last = sign_in(public, client)["AuthenticationResult"]
    public.global_sign_out(AccessToken=last["AccessToken"])
    assert refused(public.get_user, AccessToken=last["AccessToken"])["Code"] == "NotAuthorizedException"


def test_temporary_password_is_changed_at_sign_in(pools, public, pool, client):
    temporary = {"TemporaryPassword": PASSWORD, "MessageAction": "SUPPRESS"}
    pools.admin_create_user(UserPoolId=pool, Username="bob", **temporary)
    challenge = sign_in(public, client, "bob")
    assert challenge["ChallengeName"] == "NEW_PASSWORD_REQUIRED"
    answers = {"USERNAME": "bob", "NEW_PASSWORD": "Other-Horse8!"}
    done = public.respond_to_auth_challenge(
        ClientId=client, ChallengeName="NEW_PASSWORD_REQUIRED", Session=challenge["Session"], ChallengeResponses=answers
    )
    assert public.get_user(AccessToken=done["AuthenticationResult"]["AccessToken"])["Username"] == "bob"


def test_wrong_password_is_refused(pools, public, pool, client):
    add_user(pools, pool)
    for name in ("ana", "nobody"):
        error = refused(sign_in, public=public, client=client, name=name, password="Wrong-Horse7!")
        assert error["Code"] in ("NotAuthorizedException", "UserNotFoundException") and error["Status"] == 400
    assert refused(public.initiate_auth, AuthFlow="NONE", ClientId=client)["Code"] == "InvalidParameterException"
    assert refused(public.get_user, AccessToken="x")["Code"] == "NotAuthorizedException"


def key_set(world, path: str):
    return world.handle(Request("GET", f"/aws{path}".encode(), b"", ((b"host", b"127.0.0.1"),)))


def test_tokens_verify_with_the_published_keys(world, pools, public, pool, client):
    add_user(pools, pool)
    token = sign_in(public, client)["AuthenticationResult"]["IdToken"]
    answer = key_set(world, f"/{pool}/.well-known/jwks.json")
    keys = json.loads(answer.body)["keys"]
    assert answer.status == 200 and all("d" not in key for key in keys)
    kid = jwt.get_unverified_header(token)["kid"]
    key = jwt.PyJWK(next(each for each in keys if each["kid"] == kid)).key
    options = {"verify_exp": False, "verify_iat": False}
    issuer = f"https://cognito-idp.{REGION}.amazonaws.com/{pool}"
    assert jwt.decode(token, key, ["RS256"], audience=client, issuer=issuer, options=options)["cognito:username"] == "ana"
    assert key_set(world, f"/{pool}x/.well-known/jwks.json").status == 400


def test_user_signs_up_and_is_confirmed_by_an_administrator(pools, public, pool, client):
    public.sign_up(ClientId=client, Username="joe", Password=PASSWORD)
    assert refused(sign_in, public=public, client=client, name="joe")["Code"] == "UserNotConfirmedException"
    pools.admin_confirm_sign_up(UserPoolId=pool, Username="joe")
    assert "AuthenticationResult" in sign_in(public, client, "joe")


# -- schemas and settings ---------------------------------------------------------------------------------------------------


def test_pool_is_described_with_the_limits_of_aws(pools):
    """Terraform leaves only attributes out of its state that are AWS's to the letter."""
    made = pools.create_user_pool(PoolName="P")["UserPool"]
    limits = {
        each["Name"]: each.get("StringAttributeConstraints") or each.get("NumberAttributeConstraints")
        for each in made["SchemaAttributes"]
    }
    own = {"sub": ("1", "2048"), "birthdate": ("10", "10")}
    for name, found in limits.items():
        if name in ("email_verified", "phone_number_verified"):
            assert found is None
        elif name == "updated_at":
            assert found == {"MinValue": "0"}
        else:
            low, high = own.get(name, ("0", "2048"))
            assert found == {"MinLength": low, "MaxLength": high}
    assert len(limits) == 20
    assert made["EmailConfiguration"] == {"EmailSendingAccount": "COGNITO_DEFAULT"}
    assert made["VerificationMessageTemplate"] == {"DefaultEmailOption": "CONFIRM_WITH_CODE"}
    assert "AccountRecoverySetting" not in made


def test_chosen_settings_are_described(pools):
    recovery = {
        "RecoveryMechanisms": [{"Priority": 1, "Name": "verified_phone_number"}, {"Priority": 2, "Name": "verified_email"}]
    }
    schema = [{"Name": "email", "AttributeDataType": "String", "Required": True, "Mutable": True}]
    made = pools.create_user_pool(
        PoolName="P", AccountRecoverySetting=recovery, Schema=schema, EmailVerificationMessage="code {####}"
    )["UserPool"]
    assert made["AccountRecoverySetting"] == recovery
    assert made["EmailVerificationMessage"] == "code {####}" == made["VerificationMessageTemplate"]["EmailMessage"]
    email = next(each for each in made["SchemaAttributes"] if each["Name"] == "email")
    assert email["Required"] and email["StringAttributeConstraints"] == {"MinLength": "0", "MaxLength": "2048"}


@pytest.mark.parametrize(
    "attribute",
    [
        {"Name": "a"},
        {"Name": "email", "AttributeDataType": "String", "DeveloperOnlyAttribute": True},
        {"Name": "email", "AttributeDataType": "Number"},
        {"Name": "a", "AttributeDataType": "String", "StringAttributeConstraints": {"MaxLength": "2049"}},
        {"Name": "a", "AttributeDataType": "String", "StringAttributeConstraints": {"MinLength": "2", "MaxLength": "1"}},
        {"Name": "a", "AttributeDataType": "String", "StringAttributeConstraints": {"MinLength": "-1"}},
        {"Name": "a", "AttributeDataType": "Number", "NumberAttributeConstraints": {"MinValue": "2", "MaxValue": "1"}},
    ],
)
def test_schema_that_aws_refuses_is_refused(pools, pool, attribute):
    assert refused(pools.create_user_pool, PoolName="P", Schema=[attribute])["Code"] == "InvalidParameterException"
    if attribute["Name"] == "a":
        error = refused(pools.add_custom_attributes, UserPoolId=pool, CustomAttributes=[attribute])
        assert error["Code"] == "InvalidParameterException"


@pytest.mark.parametrize(("value", "stored"), [("true", "true"), ("True", "true"), ("FALSE", "false"), ("yes", None)])
def test_verified_is_a_boolean_in_any_case(pools, pool, value, stored):
    attributes = [{"Name": "email", "Value": "a@x.example"}, {"Name": "email_verified", "Value": value}]
    make = {"UserPoolId": pool, "Username": "ana", "MessageAction": "SUPPRESS", "UserAttributes": attributes}
    if stored is None:
        assert refused(pools.admin_create_user, **make)["Code"] == "InvalidParameterException"
        return
    made = pools.admin_create_user(**make)["User"]
    assert {"Name": "email_verified", "Value": stored} in made["Attributes"]


@pytest.mark.parametrize("text", ['custom:foo = "bar"', 'foo = "x"', 'locale = "x"', "username = foo", "username="])
def test_filter_that_aws_refuses_is_refused_for_an_empty_pool(pools, pool, text):
    assert refused(pools.list_users, UserPoolId=pool, Filter=text)["Code"] == "InvalidParameterException"


def test_users_are_found_by_a_filter(pools, pool):
    add_user(pools, pool)
    for text in ('username = "ana"', 'username ^= "a"', 'cognito:user_status = "confirmed"', 'status = "Enabled"'):
        assert len(pools.list_users(UserPoolId=pool, Filter=text)["Users"]) == 1, text
    assert pools.list_users(UserPoolId=pool, Filter='email ^= "b"')["Users"] == []


# -- who may ----------------------------------------------------------------------------------------------------------------


def test_pool_of_another_account_or_region_is_not_found(world, pools):
    library = world.protocol.services_of(world.sts).user_pools
    for account, region in ((OTHER, REGION), (A, "us-east-1")):
        made = library.create_user_pool(pool_name="theirs", account=account, region=region)["UserPool"]
        for call, more in (
            (pools.describe_user_pool, {}),
            (pools.delete_user_pool, {}),
            (pools.admin_create_user, {"Username": "eve", "MessageAction": "SUPPRESS"}),
            (pools.list_users, {}),
            (pools.create_user_pool_client, {"ClientName": "c"}),
        ):
            error = refused(call, UserPoolId=made["Id"], **more)
            assert error["Code"] in ("ResourceNotFoundException", "AccessDeniedException")
        for call, more in ((pools.list_tags_for_resource, {}), (pools.tag_resource, {"Tags": {"k": "v"}})):
            error = refused(call, ResourceArn=made["Arn"], **more)
            assert error["Code"] in ("ResourceNotFoundException", "AccessDeniedException")
        library.create_user_pool_domain(domain=f"of-{account}-{region}", user_pool_id=made["Id"])
        error = refused(pools.describe_user_pool_domain, Domain=f"of-{account}-{region}")
        assert error["Code"] == "ResourceNotFoundException"
        assert pools.list_user_pools(MaxResults=10)["UserPools"] == []
        assert library.describe_user_pool(user_pool_id=made["Id"])["UserPool"].get("UserPoolTags", {}) == {}


def test_denial_does_not_show_whose_a_foreign_pool_is(world):
    made = world.protocol.services_of(world.sts).user_pools.create_user_pool(
        pool_name="theirs", account=OTHER, region=REGION, user_pool_tags={"team": "red"}
    )["UserPool"]
    describe = world.client("cognito-idp", world.bo).describe_user_pool
    message = refused(describe, UserPoolId=made["Id"])["Message"]
    assert OTHER not in message and f"arn:aws:cognito-idp:{REGION}:{A}:userpool/{made['Id']}" in message
    world.allow("cognito-idp:*", StringEquals={"aws:ResourceTag/team": "red"})
    assert refused(describe, UserPoolId=made["Id"])["Code"] == "AccessDeniedException", "its tags are not decided on"
    world.allow("cognito-idp:*")
    assert refused(describe, UserPoolId=made["Id"])["Code"] == "ResourceNotFoundException"


def test_role_of_a_group_must_be_passed(world, pool):
    world.allow("cognito-idp:*")
    client, role = world.client("cognito-idp", world.bo), f"arn:aws:iam::{A}:role/r"
    client.create_group(UserPoolId=pool, GroupName="g")
    for call in (client.create_group, client.update_group):
        error = refused(call, UserPoolId=pool, GroupName="g", RoleArn=role)
        assert error["Code"] == "AccessDeniedException" and f"iam:PassRole on resource: {role}" in error["Message"]


def test_pool_is_decided_by_its_arn_and_tags(world, pools, pool):
    client = world.client("cognito-idp", world.bo)
    world.allow("cognito-idp:*", resource=f"arn:aws:cognito-idp:{REGION}:{A}:userpool/{pool}")
    assert client.describe_user_pool(UserPoolId=pool)["UserPool"]["Id"] == pool
    assert refused(client.describe_user_pool, UserPoolId=pool + "x")["Code"] == "AccessDeniedException"
    world.allow("cognito-idp:*User*", StringEquals={"aws:ResourceTag/team": "red"})
    assert refused(client.list_users, UserPoolId=pool)["Code"] == "AccessDeniedException"
    pools.update_user_pool(UserPoolId=pool, UserPoolTags={"team": "red"})
    assert client.list_users(UserPoolId=pool)["Users"] == []
    for tags in ({"team": "blue"}, {}):
        error = refused(client.update_user_pool, UserPoolId=pool, UserPoolTags=tags)
        assert "cognito-idp:TagResource" in error["Message"]
