"""Real clients of user pools against a local server: pycognito, boto3, and amazon-cognito-identity-js where there is node."""

from __future__ import annotations

import json
import shutil
import subprocess
import warnings
from pathlib import Path

import pytest
from cognito_server import serving
from cognito_world import ACCOUNT, CS, PASSWORD, POOL, SECRET, C, World

boto3 = pytest.importorskip("boto3")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of the client's own dependencies
    pycognito = pytest.importorskip("pycognito")

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "cognito_js" / "client.cjs"
KEYS = {"aws_access_key_id": "AKIAEXAMPLE", "aws_secret_access_key": "x", "region_name": "us-east-1"}


@pytest.fixture
def world():
    return World(real_clock=True)


def srp_client(address: str, client: str, name: str = "ana", password: str = PASSWORD):
    secret = {"client_secret": SECRET} if client == CS else {}
    return pycognito.aws_srp.AWSSRP(
        username=name,
        password=password,
        pool_id=POOL,
        client_id=client,
        client=boto3.client("cognito-idp", endpoint_url=address, **KEYS),
        **secret,
    )


@pytest.mark.parametrize("client", [C, CS])
def test_pycognito_signs_in_by_srp(world, client):
    with serving(world) as address:
        tokens = srp_client(address, client).authenticate_user()["AuthenticationResult"]
        assert world.pools.get_user(access_token=tokens["AccessToken"])["Username"] == "ana"
        boto = boto3.client("cognito-idp", endpoint_url=address, **KEYS)
        with pytest.raises(boto.exceptions.NotAuthorizedException):
            srp_client(address, client, password="Wrong-Horse7").authenticate_user()


def test_pycognito_answers_the_new_password_challenge(world):
    world.pools.admin_create_user(user_pool_id=POOL, username="bob", temporary_password=PASSWORD, message_action="SUPPRESS")
    with serving(world) as address:
        with pytest.raises(pycognito.exceptions.ForceChangePasswordException):
            srp_client(address, CS, "bob").authenticate_user()
        tokens = srp_client(address, CS, "bob").set_new_password_challenge("Other-Horse8")["AuthenticationResult"]
    assert world.pools.get_user(access_token=tokens["AccessToken"])["Username"] == "bob"


def test_pycognito_verifies_tokens_of_a_signed_up_user(world):
    with serving(world) as address:
        options = {"endpoint_url": address}
        user = pycognito.Cognito(POOL, C, user_pool_region="us-east-1", username="joe", boto3_client_kwargs=options)
        user.pool_jwk = world.pools.get_jwks(POOL)
        user.pool_domain_url = None  # the issuer is the address of AWS
        user.set_base_attributes(email="joe@x.example")
        user.register("joe", PASSWORD)
        user.confirm_sign_up(world.code())
        user.authenticate(PASSWORD)
        assert user.id_claims["email"] == "joe@x.example" and user.access_claims["username"] == "joe"
        user.renew_access_token()
        user.change_password(PASSWORD, "Other-Horse8")
        user.logout()


def test_boto3_runs_admin_calls_that_a_policy_allows(world):
    statement = {"Effect": "Allow", "Action": "cognito-idp:*", "Resource": "*"}
    admin = f"arn:aws:iam::{ACCOUNT}:user/admin"
    world.directory.add_principal(admin, identity_policies=[{"Version": "2012-10-17", "Statement": [statement]}])
    with serving(world, admin) as address:
        client = boto3.client("cognito-idp", endpoint_url=address, **KEYS)
        made = client.create_user_pool(PoolName="Second")["UserPool"]
        assert made["Arn"] == f"arn:aws:cognito-idp:us-east-1:{ACCOUNT}:userpool/{made['Id']}"
        assert {pool["Name"] for pool in client.list_user_pools(MaxResults=10)["UserPools"]} == {"P", "Second"}
        client.create_group(UserPoolId=POOL, GroupName="staff", Precedence=1)
        client.admin_add_user_to_group(UserPoolId=POOL, Username="ana", GroupName="staff")
        assert client.list_users_in_group(UserPoolId=POOL, GroupName="staff")["Users"][0]["Username"] == "ana"
        with pytest.raises(client.exceptions.InvalidParameterException):
            client.create_user_pool(PoolName="Third", DeviceConfiguration={"ChallengeRequiredOnNewDevice": True})
        with pytest.raises(client.exceptions.UserPoolAddOnNotEnabledException.__mro__[1]) as error:
            client.admin_list_user_auth_events(UserPoolId=POOL, Username="ana")
        assert error.value.response["Error"]["Code"] in ("OperationNotEnabledException", "InvalidParameterException")


def test_javascript_client_runs_a_story(world):
    node = shutil.which("node")
    if node is None or not (SCRIPT.parent / "node_modules").exists():
        pytest.skip(f"needs node and `npm install --prefix {SCRIPT.parent}`")
    world.pools.admin_create_user(user_pool_id=POOL, username="temporary", temporary_password=PASSWORD, message_action="SUPPRESS")
    with serving(world) as address:
        done = subprocess.run([node, str(SCRIPT), address, POOL, C], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    steps = json.loads(done.stdout)
    assert steps == {
        "signUp": False,
        "confirm": "SUCCESS",
        "wrong": "NotAuthorizedException",
        "username": "joe",
        "attributes": ["sub", "email", "email_verified"],
        "refresh": True,
        "change": "SUCCESS",
        "newPassword": True,
        "signedOut": True,
    }
