"""Groups, tokens, refresh and revocation (F124 to F130, F227 to F232)."""

from __future__ import annotations

from typing import Any

from cognito_world import ACCOUNT, CS, POOL, SECRET, C, World, claims
from joserfc import jwt as joserfc_jwt
from joserfc.jwk import KeySet

from user_pool_cases.registry import case, outcome


@case
def f124_roles_of_groups(row):
    world = World()
    for name, (role, precedence) in row["groups"].items():
        arn = f"arn:aws:iam::{ACCOUNT}:role/{role}" if role else None
        world.pools.create_group(user_pool_id=POOL, group_name=name, role_arn=arn, precedence=precedence)
        world.pools.admin_add_user_to_group(user_pool_id=POOL, username="ana", group_name=name)
    given = claims(world.tokens()["IdToken"])
    yield " ".join(arn.rpartition("/")[2] for arn in given["cognito:roles"])
    yield given.get("cognito:preferred_role", "none").rpartition("/")[2]


@case
def f125_kinds_of_tokens(row):
    world = World()
    tokens = world.tokens()
    yield outcome(lambda: world.pools.get_user(access_token=tokens["IdToken"]))
    pool = {"user_pool_id": POOL, "client_id": C}
    yield outcome(lambda: world.pools.verify_id_token(tokens["AccessToken"], **pool))
    yield outcome(lambda: world.pools.verify_id_token(tokens["IdToken"], **pool))


def refresh(world: World, token: str, client: str = C) -> dict[str, Any]:
    given = {"REFRESH_TOKEN": token}
    return world.pools.initiate_auth(client_id=client, auth_flow="REFRESH_TOKEN_AUTH", auth_parameters=given)


@case
def f126_revoked(row):
    world = World()
    tokens = world.tokens()
    world.pools.revoke_token(token=tokens["RefreshToken"], client_id=C)
    yield outcome(lambda: refresh(world, tokens["RefreshToken"]))
    yield outcome(lambda: world.pools.get_user(access_token=tokens["AccessToken"]))
    key_set = KeySet.import_key_set(world.pools.get_jwks(POOL))
    read = joserfc_jwt.decode(tokens["AccessToken"], key_set, algorithms=["RS256"])
    yield "valid outside" if read.claims["exp"] > world.now.timestamp() else read


@case
def f127_revoke_token(row):
    world = World()
    tokens = world.tokens()
    if row["token"] == "access":
        yield outcome(lambda: world.pools.revoke_token(token=tokens["AccessToken"], client_id=C))
    elif row["token"] == "other client":
        given = {"token": tokens["RefreshToken"], "client_id": CS, "client_secret": SECRET}
        yield outcome(lambda: world.pools.revoke_token(**given))
    else:
        for _ in range(2):
            yield outcome(lambda: world.pools.revoke_token(token=tokens["RefreshToken"], client_id=C))


@case
def f128_global_sign_out(row):
    world = World()
    old = world.tokens()
    world.pools.global_sign_out(access_token=old["AccessToken"])
    world.pass_time(0.001)
    new = world.tokens()
    yield outcome(lambda: world.pools.get_user(access_token=new["AccessToken"]))
    yield outcome(lambda: world.pools.get_user(access_token=old["AccessToken"]))
    yield outcome(lambda: refresh(world, old["RefreshToken"]))


@case
def f129_refresh(row):
    world = World()
    tokens = world.tokens()
    world.pools.create_group(user_pool_id=POOL, group_name="staff")
    world.pools.admin_add_user_to_group(user_pool_id=POOL, username="ana", group_name="staff")
    world.pass_time(600)
    answer = refresh(world, tokens["RefreshToken"])["AuthenticationResult"]
    assert "RefreshToken" not in answer
    old, new = claims(tokens["IdToken"]), claims(answer["IdToken"])
    yield "new jti" if old["jti"] != new["jti"] else "same jti"
    for name in ("origin_jti", "auth_time"):
        yield f"{'same' if old[name] == new[name] else 'other'} {name}"
    yield "group in the token" if new["cognito:groups"] == ["staff"] else new
    world.pools.admin_disable_user(user_pool_id=POOL, username="ana")
    yield outcome(lambda: refresh(world, tokens["RefreshToken"]))


def rotating(grace: int) -> World:
    flows = ["ALLOW_USER_PASSWORD_AUTH"]
    rotation = {"Feature": "ENABLED", "RetryGracePeriodSeconds": grace}
    return World(client={"explicit_auth_flows": flows, "refresh_token_rotation": rotation})


def rotate(world: World, token: str) -> dict[str, Any]:
    return world.pools.get_tokens_from_refresh_token(refresh_token=token, client_id=C)["AuthenticationResult"]


@case
def f130_rotation(row):
    world = rotating(10)
    old = world.tokens()["RefreshToken"]
    new = rotate(world, old)
    world.pass_time(5)
    yield outcome(lambda: rotate(world, old))
    world.pass_time(6)
    yield outcome(lambda: rotate(world, old))
    yield outcome(lambda: rotate(world, new["RefreshToken"]))
    yield outcome(lambda: world.pools.get_user(access_token=new["AccessToken"]))


@case
def f228_rotation_with_grace(row):
    world = rotating(row["grace"])
    old = world.tokens()["RefreshToken"]
    if row["grace"] == 0:
        yield outcome(lambda: rotate(world, old))
        yield outcome(lambda: rotate(world, old))
        return
    made = []
    for wait in (2, 3):
        world.pass_time(wait)
        yield outcome(lambda: made.append(rotate(world, old)["RefreshToken"]))
    assert len(set(made)) == 2
    for token in made:
        yield outcome(lambda token=token: rotate(world, token))


@case
def f227_client_secret(row):
    world = World()
    token = world.tokens(client=CS)["RefreshToken"]
    if row["call"] == "RevokeToken":
        yield outcome(lambda: world.pools.revoke_token(token=token, client_id=CS))
        given = {"refresh_token": token, "client_id": CS, "client_secret": SECRET}
        works = outcome(lambda: world.pools.get_tokens_from_refresh_token(**given))
        yield "nothing was revoked" if works == "OK" else works
    else:
        given = {"refresh_token": token, "client_id": CS, "client_secret": "x" * 30}
        yield outcome(lambda: world.pools.get_tokens_from_refresh_token(**given))


@case
def f229_without_revocation(row):
    world = World(client={"enable_token_revocation": False})
    access = world.tokens()["AccessToken"]
    yield "no origin_jti" if "origin_jti" not in claims(access) else "origin_jti"
    world.pools.global_sign_out(access_token=access)
    yield outcome(lambda: world.pools.get_user(access_token=access))


@case
def f232_deleted_users(row):
    world = World()
    tokens, old = world.tokens(), world.pools.admin_get_user(user_pool_id=POOL, username="ana")
    world.pools.admin_delete_user(user_pool_id=POOL, username="ana")
    yield outcome(lambda: refresh(world, tokens["RefreshToken"]))
    sub = world.add_user("ana")
    yield "other sub" if {"Name": "sub", "Value": sub} not in old["UserAttributes"] else sub
    yield outcome(lambda: world.pools.get_user(access_token=tokens["AccessToken"]))


@case
def f230_callbacks(row):
    world = World()
    given = {
        "user_pool_id": POOL,
        "client_name": "web",
        "callback_urls": [row["url"]],
        "allowed_o_auth_flows": ["code"],
        "allowed_o_auth_scopes": ["openid"],
        "allowed_o_auth_flows_user_pool_client": True,
    }
    yield outcome(lambda: world.pools.create_user_pool_client(**given))
