"""Rules of user pools that no case of the specification covers: limits, secret hashes of refreshes, MFA of outside users."""

from __future__ import annotations

import pytest
from cognito_federated import CS, POOL, OAuthWorld, parameter_of
from cognito_world import World, secret_hash

from fastiam.sts import StsError

INVALID, LIMIT = "InvalidParameterException", "LimitExceededException"


def outcome(called) -> str:
    """`OK`, or the code of the error that a call raises."""
    try:
        called()
    except StsError as error:
        return error.code
    return "OK"


def test_outside_user_passes_no_mfa_of_the_pool():
    """UP48."""
    world = OAuthWorld()
    idp = world.add_oidc()
    factor = {"software_token_mfa_configuration": {"Enabled": True}, "mfa_configuration": "ON"}
    world.pools.set_user_pool_mfa_config(user_pool_id=POOL, **factor)
    assert parameter_of(world.oidc_sign_in(idp), "code")
    assert world.page_sign_in(world.authorize()).challenge["ChallengeName"] == "MFA_SETUP"  # a user of the pool itself


@pytest.mark.parametrize(("named", "hashed", "code"), [
    (None, "ana", "OK"),
    (None, "$sub", "OK"),
    (None, "bob", "NotAuthorizedException"),
    ("ana", "ana", "OK"),
    ("ana", "$sub", "NotAuthorizedException"),
    ("$sub", "$sub", "OK"),
    ("bob", "bob", "NotAuthorizedException"),
])  # fmt: skip
def test_secret_hash_of_a_refresh_is_over_its_user(named, hashed, code):
    """UP11: over the name as sent; without one over the real name or the `sub`."""
    world = World()
    attributes = world.pools.admin_get_user(user_pool_id=POOL, username="ana")["UserAttributes"]
    sub = next(each["Value"] for each in attributes if each["Name"] == "sub")
    world.add_user("bob")
    given = {"REFRESH_TOKEN": world.tokens(client=CS)["RefreshToken"], "SECRET_HASH": secret_hash(hashed.replace("$sub", sub))}
    if named is not None:
        given["USERNAME"] = named.replace("$sub", sub)
    call = {"client_id": CS, "auth_flow": "REFRESH_TOKEN_AUTH", "auth_parameters": given}
    assert outcome(lambda: world.pools.initiate_auth(**call)) == code


def test_user_is_in_a_hundred_groups_at_most():
    """UP65."""
    world = World()
    for number in range(101):
        world.pools.create_group(user_pool_id=POOL, group_name=f"g{number}")

    def join(number):
        return outcome(lambda: world.pools.admin_add_user_to_group(user_pool_id=POOL, username="ana", group_name=f"g{number}"))

    assert [join(number) for number in range(101)] == ["OK"] * 100 + [LIMIT]
    assert join(0) == "OK"  # a member already


def test_numbers_of_resource_servers_and_scopes_are_limited():
    """UP93."""
    world = World()
    many = [{"ScopeName": f"s{number}", "ScopeDescription": "x"} for number in range(101)]

    def create(name, n_scopes):
        given = {"user_pool_id": POOL, "name": "api", "identifier": name, "scopes": many[:n_scopes]}
        return outcome(lambda: world.pools.create_resource_server(**given))

    def use(n_scopes):
        flow = {"allowed_o_auth_flows": ["client_credentials"], "allowed_o_auth_flows_user_pool_client": True}
        scopes = [f"r0/s{number}" for number in range(n_scopes)]
        given = {"user_pool_id": POOL, "client_name": "n", "generate_secret": True, "allowed_o_auth_scopes": scopes, **flow}
        return outcome(lambda: world.pools.create_user_pool_client(**given))

    assert create("a", 101) == INVALID
    assert [create(f"r{number}", 100) for number in range(26)] == ["OK"] * 25 + [LIMIT]
    assert (use(50), use(51)) == ("OK", INVALID)


def test_identifiers_of_a_provider_are_limited_and_its_own():
    """UP114."""
    world = OAuthWorld()
    world.add_oidc("Corp")
    world.add_oidc("Other")
    many = [f"id{number}" for number in range(51)]

    def give(name, identifiers):
        given = {"user_pool_id": POOL, "provider_name": name, "idp_identifiers": identifiers}
        return outcome(lambda: world.pools.update_identity_provider(**given))

    assert (give("Corp", many), give("Corp", many[:50]), give("Other", ["id7"])) == (INVALID, "OK", "DuplicateProviderException")
    found = world.pools.get_identity_provider_by_identifier(user_pool_id=POOL, idp_identifier="id7")
    assert found["IdentityProvider"]["ProviderName"] == "Corp"
    assert world.authorize(idp_identifier="id7").location.startswith("https://idp.example/")
