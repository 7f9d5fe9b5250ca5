"""Sign-in by SRP and password, existence errors and lock-out (F100 to F111)."""

from __future__ import annotations

import base64
import hashlib

from cognito_world import ACCOUNT, CS, PASSWORD, POOL, C, World, secret_hash

from fastiam.cognito.user_pools import srp
from fastiam.sts import StsError
from user_pool_cases.registry import case, outcome


@case
def f100_srp_vector(row):
    if row["step"] == "vector":
        a, b = (int.from_bytes(hashlib.sha512(text).digest() * 2) for text in (b"fastiam a", b"fastiam b"))
        v = srp.verifier("AbCdEf123", "ana", PASSWORD, 0xA1B2C3D4E5F60718293A4B5C6D7E8F90)
        public = pow(2, a, srp.N)
        key = srp.session_key(public, v, srp.answer(public, v, b))
        assert key.hex() == "8f5b72a5484a93633cf87e1c59844798"
        yield srp.signature(key, "AbCdEf123", "ana", b"secret-block-0001", "Sun Nov 8 09:05:03 UTC 2026").decode()
        return
    world = World()
    challenge, a = world.srp_start()
    proof = world.srp_proof(challenge, a, timestamp=f"Sun Nov {row['day']} 09:05:03 UTC 2026")
    yield outcome(lambda: world.answer(challenge, proof))


@case
def f101_srp_a_out_of_range(row):
    given = {"USERNAME": "ana", "SRP_A": f"{row['times'] * srp.N:x}"}
    yield outcome(lambda: World().pools.initiate_auth(client_id=C, auth_flow="USER_SRP_AUTH", auth_parameters=given))


@case
def f102_secret_block(row):
    world = World()
    challenge, a = world.srp_start()
    proof = world.srp_proof(challenge, a)
    client = C
    if row["block"] == "altered":
        raw = bytearray(base64.b64decode(proof["PASSWORD_CLAIM_SECRET_BLOCK"]))
        raw[-1] ^= 1
        proof["PASSWORD_CLAIM_SECRET_BLOCK"] = base64.b64encode(raw).decode()
    elif row["block"] == "other client":
        client = CS
    elif row["block"] == "old":
        world.pass_time(61)
        proof = world.srp_proof(challenge, a)
    yield outcome(lambda: world.answer(challenge, proof, client=client))
    if row["block"] == "reused":
        yield outcome(lambda: world.answer(challenge, proof))


@case
def f103_alias(row):
    email = {"email": "ana@x.example", "email_verified": row["verified"]}
    world = World(pool={"alias_attributes": ["email"]}, user=email)
    try:
        challenge, a = world.srp_start("ana@x.example")
    except StsError as error:
        yield error.code
        return
    yield challenge["ChallengeParameters"]["USER_ID_FOR_SRP"]
    yield outcome(lambda: world.answer(challenge, world.srp_proof(challenge, a)))


@case
def f104_secret_hash(row):
    world = World(pool={"alias_attributes": ["email"]})
    looked_up = []
    find = world.pools._state.store.user
    world.pools._state.store.user = lambda *names: looked_up.append(names) or find(*names)
    given = {"USERNAME": "ana@x.example", "PASSWORD": PASSWORD}
    if row["hash"] != "none":
        given["SECRET_HASH"] = secret_hash("ana@x.example" if row["hash"] == "alias" else "ana")
    yield outcome(lambda: world.pools.initiate_auth(client_id=CS, auth_flow="USER_PASSWORD_AUTH", auth_parameters=given))
    if row["hash"] != "alias":
        yield "no user was looked up" if not looked_up else looked_up


@case
def f105_flow_not_enabled(row):
    world = World(client={"explicit_auth_flows": []})
    yield outcome(world.password_sign_in)


@case
def f106_admin_flow(row):
    world = World()
    given = {"USERNAME": "ana", "PASSWORD": PASSWORD}
    flow = "ADMIN_USER_PASSWORD_AUTH"
    yield outcome(lambda: world.pools.initiate_auth(client_id=C, auth_flow=flow, auth_parameters=given))
    parameters = {"UserPoolId": POOL, "ClientId": C, "AuthFlow": flow, "AuthParameters": given}
    allow = {"Effect": "Allow", "Action": "cognito-idp:AdminInitiateAuth", "Resource": world.pools._state.pool(POOL).arn}
    world.directory.add_principal(f"arn:aws:iam::{ACCOUNT}:user/eve")
    policy = {"Version": "2012-10-17", "Statement": [allow]}
    world.directory.add_principal(f"arn:aws:iam::{ACCOUNT}:user/server", identity_policies=[policy])
    for name in ("eve", "server"):
        caller = f"arn:aws:iam::{ACCOUNT}:user/{name}"
        yield outcome(lambda caller=caller: world.pools.call("AdminInitiateAuth", parameters, caller=caller))


# -- existence errors, lock-out -------------------------------------------------------------------------------------------


@case
def f107_unknown_or_disabled(row):
    world = World(client={"prevent_user_existence_errors": row["mode"]})
    world.pools.admin_disable_user(user_pool_id=POOL, username="ana")
    yield outcome(lambda: world.password_sign_in(row["name"]))


@case
def f108_unknown_user_srp(row):
    world = World(client={"prevent_user_existence_errors": "ENABLED"})
    first, second = (world.srp_start("bob")[0]["ChallengeParameters"] for _ in range(2))
    for name in ("SALT", "USER_ID_FOR_SRP", "SRP_B"):
        yield f"{'same' if first[name] == second[name] else 'other'} {name}"


@case
def f109_unconfirmed(row):
    world = World()
    world.pools.sign_up(client_id=C, username="bob", password=PASSWORD)
    yield outcome(lambda: world.password_sign_in("bob", "Wrong-Horse7"))
    yield outcome(lambda: world.password_sign_in("bob"))


def fail(world: World, times: int, name: str = "ana") -> None:
    """Wrong passwords, each as soon as it counts."""
    for n in range(times):
        assert outcome(lambda: world.password_sign_in(name, "Wrong-Horse7")).startswith("NotAuthorizedException: Incorrect")
        if n >= 4 and n < times - 1:
            world.pass_time(min(2 ** (n - 4), 900))


@case
def f110_five_wrong_passwords(row):
    world = World()
    fail(world, 5)
    yield outcome(world.password_sign_in)
    world.pass_time(1)
    yield outcome(world.password_sign_in)


@case
def f111_longer_locks(row):
    world = World()
    fail(world, row["failures"])
    for wait in (row["seconds"] / 2, row["seconds"] / 2 - 0.001, 0.001):
        world.pass_time(wait)
        found = outcome(world.password_sign_in)
        yield "locked" if "exceeded" in found else found
