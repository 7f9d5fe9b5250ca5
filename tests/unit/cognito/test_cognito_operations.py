"""Names, parameters and limits of the calls are those of AWS's service model, read through botocore."""

from __future__ import annotations

import inspect

import pytest
from cognito_world import ACCOUNT, PASSWORD, POOL, C, World

from fastiam.cognito.identity_pools import IdentityPools
from fastiam.cognito.user_pools import CognitoError, UserPools
from fastiam.cognito.user_pools.operations import OPERATIONS, model, snake
from fastiam.sts import AccessDeniedError

xform_name = pytest.importorskip("botocore").xform_name
ADDED = {  # parameters that AWS does not have
    "create_user_pool": {"account", "region", "user_pool_id", "issuer"},
    "create_user_pool_client": {"client_id"},
    "list_user_pools": {"account", "region"},
}
REFUSED = {  # parameters for what is out of scope (4.1)
    "AnalyticsMetadata", "AnalyticsConfiguration", "DeviceConfiguration", "DeviceKey", "EmailConfiguration", "SmsConfiguration",
    "UserPoolAddOns", "DcrConfiguration", "KeyConfiguration", "IssuerConfiguration", "AcrConfiguration", "AcrMapping",
    "EnablePropagateAdditionalUserContextData", "PublishSecretsInAWSSecretsManager", "CustomDomainConfig", "Routing",
    "ClientType",
    "WebAuthnMfaSettings", "WebAuthnConfiguration",
}  # fmt: skip


@pytest.mark.parametrize("service", [UserPools, IdentityPools])
def test_groups_of_calls_do_not_inherit_from_each_other(service):
    bases = {group.__bases__ for group in service.__bases__}
    assert len(bases) == 1 and len(service.__bases__) > 2
    names = [name for group in service.__bases__ for name in vars(group) if not name.startswith("__")]
    assert sorted(names) == sorted(set(names))  # no group replaces a method of another one


def test_names_of_parameters_are_those_of_boto3():
    names = [*model().operations, *(name for each in OPERATIONS.values() for name in each.input.members)]
    assert {name: snake(name) for name in names} == {name: xform_name(name) for name in names}


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_method_takes_the_parameters_of_the_call(operation):
    described = OPERATIONS[operation]
    method = getattr(UserPools, described.method)
    taken = set(inspect.signature(method).parameters) - {"self"}
    refused = {member for name, member in described.parameters.items() if name not in taken}
    if operation in ("InitiateAuth", "AdminInitiateAuth"):
        refused -= {"Session"}  # of choice-based sign-in
    if operation in ("ConfirmSignUp",):
        refused -= {"Session"}
    assert taken - described.parameters.keys() == ADDED.get(described.method, set())
    assert refused <= REFUSED


def test_calls_out_of_scope_are_refused():
    pools = World().pools
    for operation, described in model().operations.items():
        if operation not in OPERATIONS:
            with pytest.raises(CognitoError) as error:
                pools.call(operation, {})
            is_known = "OperationNotEnabledException" in described.errors
            assert error.value.code == ("OperationNotEnabledException" if is_known else "InvalidParameterException")
    with pytest.raises(CognitoError, match="not supported"):
        pools.call("DropAllTables", {})


def test_settings_out_of_scope_are_refused():
    pools = World().pools
    for given in ({"DeviceConfiguration": {}}, {"EmailConfiguration": {"From": "x"}}, {"Unknown": 1}, {"UserPoolTier": "PLUS"}):
        admin = admin_of(pools)
        with pytest.raises(CognitoError) as error:
            pools.call("CreateUserPool", {"PoolName": "x", **given}, caller=admin)
        assert error.value.code == "InvalidParameterException"


def admin_of(pools: UserPools) -> str:
    arn = f"arn:aws:iam::{ACCOUNT}:user/admin"
    directory = pools._state.base.directory
    if arn not in directory.tables.entities:
        allow = {"Effect": "Allow", "Action": "cognito-idp:*", "Resource": "*"}
        directory.add_principal(arn, identity_policies=[{"Version": "2012-10-17", "Statement": [allow]}])
    return arn


@pytest.mark.parametrize("operation", [n for n, o in sorted(OPERATIONS.items()) if not o.is_public])
def test_admin_call_without_a_caller_or_permission_is_denied(operation):
    """UP1: nothing is read or changed before the engine allows the call."""
    world = World()
    world.directory.add_principal(f"arn:aws:iam::{ACCOUNT}:user/eve")
    parameters = {"UserPoolId": POOL, "Username": "ana"}
    names = OPERATIONS[operation].input.members
    given = {name: value for name, value in parameters.items() if name in names}
    before = dict(world.pools._state.tables.users)
    for caller in (None, f"arn:aws:iam::{ACCOUNT}:user/eve", "nonsense"):
        with pytest.raises(AccessDeniedError):
            world.pools.call(operation, given, caller=caller)
    if "UserPoolId" in given:
        with pytest.raises(CognitoError, match="does not exist") as error:
            world.pools.call(operation, given, caller="arn:aws:iam::222222222222:root")
        assert error.value.code == "ResourceNotFoundException"
    assert world.pools._state.tables.users == before


@pytest.mark.parametrize(
    ("operation", "given", "action"),
    [
        ("CreateGroup", {"GroupName": "g", "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/power"}, "iam:PassRole"),
        ("UpdateUserPool", {"UserPoolTags": {"k": "v"}}, "cognito-idp:TagResource"),
    ],
)
def test_call_needs_the_permissions_of_its_parameters(operation, given, action):
    """As on the server: who may create groups does not choose the role of their users."""
    world, caller = World(), f"arn:aws:iam::{ACCOUNT}:user/eve"
    allow = {"Effect": "Allow", "NotAction": action, "Resource": "*"}
    world.directory.add_principal(caller, identity_policies=[{"Version": "2012-10-17", "Statement": allow}])
    with pytest.raises(AccessDeniedError) as error:
        world.pools.call(operation, {"UserPoolId": POOL, **given}, caller=caller)
    assert (error.value.action, error.value.rule, error.value.code) == (action, "UP1", "AccessDeniedException")
    with pytest.raises(CognitoError, match="must be of type"):
        world.pools.call(operation, {"UserPoolId": POOL, **dict.fromkeys(given, 5)}, caller=caller)


def test_public_calls_ask_no_policy():
    world = World()
    given = {"USERNAME": "ana", "PASSWORD": "Correct-Horse7"}
    answer = world.pools.call("InitiateAuth", {"ClientId": C, "AuthFlow": "USER_PASSWORD_AUTH", "AuthParameters": given})
    assert world.pools.call("GetUser", {"AccessToken": answer["AuthenticationResult"]["AccessToken"]})["Username"] == "ana"


@pytest.mark.parametrize(
    ("called", "message"),
    [
        (lambda p: p.create_user_pool(pool_name=""), "PoolName"),
        (lambda p: p.create_user_pool(pool_name="x" * 129), "PoolName"),
        (lambda p: p.create_user_pool(pool_name="x", policies={"PasswordPolicy": {"MinimumLength": 5}}), "MinimumLength"),
        (lambda p: p.create_user_pool(pool_name="x", policies={"PasswordPolicy": {"Minimum": 5}}), "no member"),
        (lambda p: p.create_user_pool(pool_name="x", mfa_configuration="on"), "MfaConfiguration"),
        (lambda p: p.create_user_pool(pool_name="x", alias_attributes=["email"], username_attributes=["email"]), "Only one"),
        (lambda p: p.create_user_pool(pool_name="x", alias_attributes="email"), "list"),
        (lambda p: p.create_group(user_pool_id=POOL, group_name="g", precedence=-1), "Precedence"),
        (lambda p: p.create_group(user_pool_id=POOL, group_name="g", precedence=True), "Precedence"),
        (lambda p: p.create_group(user_pool_id=POOL, group_name="g", role_arn="arn:aws:iam::111111111111:user/x"), "role"),
        (lambda p: p.admin_get_user(user_pool_id=POOL), "missing"),
        (lambda p: p.sign_up(client_id=C, username="a b", password="Correct-Horse7"), "Username"),
        (lambda p: p.list_user_pools(max_results=0), "MaxResults"),
    ],
)
def test_wrong_parameters_are_refused_by_name(called, message):
    with pytest.raises(CognitoError, match=message) as error:
        called(World().pools)
    assert error.value.code == "InvalidParameterException"


# -- request rates ----------------------------------------------------------------------------------------------------------


def test_hook_for_rates_refuses_a_call_before_it_writes():
    seen = []

    def admit(call, details):
        seen.append((call, dict(details)))
        return call != "SignUp"

    world = World(admit=admit)
    seen.clear()
    given = {"client_id": C, "username": "bob", "password": PASSWORD}
    with pytest.raises(CognitoError) as error:
        world.pools.sign_up(**given)
    assert (error.value.code, error.value.rule) == ("TooManyRequestsException", "UP101")
    assert seen == [("SignUp", {"client_id": C, "username": "bob"})]
    assert world.events[-1].code == "TooManyRequestsException" and len(world.pools._state.tables.users) == 1
    assert "AuthenticationResult" in world.password_sign_in()
