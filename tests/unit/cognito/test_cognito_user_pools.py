"""The cases of the specification for user pools, on the public calls; expected outcomes: cases/cognito_user_pools.json."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cognito_federated import CALLBACK, VERIFIER, Idp, OAuthWorld, challenge_of, parameter_of
from cognito_world import ACCOUNT, CS, PASSWORD, POOL, SECRET, C, World, secret_hash
from joserfc import jwt as joserfc_jwt
from joserfc.jwk import KeySet

from fastiam.cognito.user_pools import UserPools, srp
from fastiam.sts import StsError

Row = dict[str, Any]
TABLE = json.loads((Path(__file__).parents[2] / "cases" / "cognito_user_pools.json").read_text())["cases"]
CASES: dict[str, Callable[[Row], Iterator[object]]] = {}


def case(function: Callable[[Row], Iterator[object]]) -> Callable[[Row], Iterator[object]]:
    CASES[function.__name__.partition("_")[0].upper()] = function
    return function


def outcome(called: Callable[[], object]) -> str:
    """`OK`, or the code of the error with its message."""
    try:
        called()
    except StsError as error:
        return f"{error.code}: {error.message}"
    return "OK"


def claims(token: str) -> dict[str, Any]:
    return jwt.decode(token, options={"verify_signature": False})


@pytest.mark.parametrize(
    ("name", "row"), [pytest.param(c["id"], row, id=f"{c['id']}-{n}") for c in TABLE for n, row in enumerate(c["rows"])]
)
def test_case_has_the_outcome_of_the_specification(name, row):
    outcomes = list(CASES[name](row))
    for given, expected in zip(outcomes, row["expect"], strict=True):
        assert given == expected or str(given).startswith(f"{expected}:"), (outcomes, row["expect"])


def test_every_case_of_the_specification_is_in_the_table():
    """10.4 is F100 to F139, and F220 to F233 of 10.8 are those of user pools."""
    wanted = {f"F{n}" for n in (*range(100, 140), *range(220, 234))}
    assert {c["id"] for c in TABLE} == wanted == CASES.keys()
    assert all(c["rule"] and c["rows"] for c in TABLE)


# -- SRP ------------------------------------------------------------------------------------------------------------------


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


# -- steps ----------------------------------------------------------------------------------------------------------------


@case
def f112_temporary_password(row):
    world = World()
    world.pools.admin_create_user(user_pool_id=POOL, username="bob", temporary_password=PASSWORD, message_action="SUPPRESS")
    world.pass_time(row["days"] * 86_400)
    if row["days"]:
        yield outcome(lambda: world.password_sign_in("bob"))
        return
    challenge = world.password_sign_in("bob")
    yield challenge["ChallengeName"]
    for password in ("weak", "Other-Horse8"):
        yield outcome(lambda password=password: world.answer(challenge, {"NEW_PASSWORD": password}, "bob"))


def mfa_world(mode: str = "OPTIONAL", **options: Any) -> World:
    world = World(**options)
    world.pools.set_user_pool_mfa_config(
        user_pool_id=POOL,
        software_token_mfa_configuration={"Enabled": True},
        sms_mfa_configuration={},
        email_mfa_configuration={},
        mfa_configuration=mode,
    )
    return world


@case
def f113_mfa_setup(row):
    world = mfa_world("ON")
    challenge = world.password_sign_in()
    yield challenge["ChallengeName"]
    yield outcome(lambda: world.answer(challenge, {}))
    made = world.pools.associate_software_token(session=challenge["Session"])
    assert outcome(lambda: world.answer({**challenge, **made}, {})).startswith("NotAuthorizedException")
    done = world.pools.verify_software_token(session=made["Session"], user_code=world.totp(made["SecretCode"]))
    yield "OK" if done["Status"] == "SUCCESS" else done
    answer = world.answer({"ChallengeName": "MFA_SETUP", "Session": done["Session"]}, {})
    yield "tokens" if "AccessToken" in answer["AuthenticationResult"] else answer


@case
def f114_totp(row):
    world = mfa_world()
    seed = world.add_software_token()
    world.pass_time(90)
    for seconds in row["codes"]:
        challenge = world.password_sign_in()
        code = {"SOFTWARE_TOKEN_MFA_CODE": world.totp(seed, seconds)}
        yield outcome(lambda challenge=challenge, code=code: world.answer(challenge, code))


@case
def f115_session_strings(row):
    world = mfa_world()
    world.add_user("eva")
    seed = world.add_software_token()
    world.pass_time(90)
    challenge = world.password_sign_in()
    if row["session"] == "late":
        world.pass_time(180)
    answers = {"SOFTWARE_TOKEN_MFA_CODE": world.totp(seed)}
    yield outcome(lambda: world.answer(challenge, answers, "eva" if row["session"] == "other user" else "ana"))
    if row["session"] == "spent":
        world.pass_time(30)
        answers = {"SOFTWARE_TOKEN_MFA_CODE": world.totp(seed)}
        yield outcome(lambda: world.answer(challenge, answers))


@case
def f116_other_challenge(row):
    world = World()
    challenge, a = world.srp_start()
    answers = world.srp_proof(challenge, a) | {"SMS_MFA_CODE": "123456"}
    yield outcome(lambda: world.answer({**challenge, "ChallengeName": "SMS_MFA"}, answers))


# -- custom authentication and triggers -----------------------------------------------------------------------------------


def responding(**response: object) -> Callable[[dict], dict]:
    """A trigger that always gives this response."""
    return lambda event: {**event, "response": response}


def custom_triggers(define: Callable[[dict], dict]) -> dict[str, Callable[[dict], dict]]:
    def verify(event: dict) -> dict:
        request = event["request"]
        event["response"]["answerCorrect"] = request["challengeAnswer"] == request["privateChallengeParameters"]["answer"]
        return event

    create = responding(publicChallengeParameters={"question": "6 x 7"}, privateChallengeParameters={"answer": "42"})
    return {"DefineAuthChallenge": define, "CreateAuthChallenge": create, "VerifyAuthChallengeResponse": verify}


def start_custom(world: World, name: str = "ana") -> dict[str, Any]:
    return world.pools.initiate_auth(client_id=C, auth_flow="CUSTOM_AUTH", auth_parameters={"USERNAME": name})


@case
def f117_custom_challenges(row):
    def define(event: dict) -> dict:
        steps = event["request"]["session"]
        is_right = bool(steps) and steps[-1]["challengeResult"]
        if row["define"] == "both":
            event["response"] = {"issueTokens": True, "failAuthentication": True}
        else:
            event["response"] = {"issueTokens": True} if is_right else {"challengeName": "CUSTOM_CHALLENGE"}
        return event

    world = World(triggers=custom_triggers(define))
    if row["define"] == "both":
        yield outcome(lambda: start_custom(world))
        return
    challenge = start_custom(world)
    assert challenge["ChallengeParameters"] == {"USERNAME": "ana", "question": "6 x 7"}
    assert "42" not in str(challenge["ChallengeParameters"])
    again = world.answer(challenge, {"ANSWER": "41"})
    yield again["ChallengeName"]
    yield outcome(lambda: world.answer(again, {"ANSWER": "42"}))


@case
def f118_issue_tokens(row):
    define = responding(issueTokens=row["issue"])
    world = World(triggers=custom_triggers(define), client={"prevent_user_existence_errors": "ENABLED"})
    yield outcome(lambda: start_custom(world, row["name"]))


@case
def f119_pre_authentication(row):
    def trigger(event: dict) -> dict:
        if row["trigger"] == "raises":
            raise ValueError("not today")
        time.sleep(0.5)
        return event

    yield outcome(World(triggers={"PreAuthentication": trigger}).password_sign_in)


@case
def f138_pre_token_generation(row):
    role = "arn:aws:iam::999999999999:role/Any"
    details = {"claimsToAddOrOverride": {"sub": "eve"}, "groupOverrideDetails": {"preferredRole": role}}
    world = World(triggers={"PreTokenGeneration": responding(claimsOverrideDetails=details)})
    given = claims(world.tokens()["IdToken"])
    yield "sub unchanged" if given["sub"] != "eve" else "sub changed"
    yield "event" if any("`sub`" in warning for warning in world.events[-1].warnings) else world.events[-1]
    yield "preferred role in the token" if given["cognito:preferred_role"] == role else given


# -- sign-up and recovery -------------------------------------------------------------------------------------------------


def sign_up(world: World, name: str, email: str = "") -> dict[str, Any]:
    attributes = [{"Name": "email", "Value": email}] if email else []
    return world.pools.sign_up(client_id=C, username=name, password=PASSWORD, user_attributes=attributes)


def confirm(world: World, name: str, code: str, **extra: Any) -> str:
    return outcome(lambda: world.pools.confirm_sign_up(client_id=C, username=name, confirmation_code=code, **extra))


@case
def f120_taken_names(row):
    world = World(pool={"alias_attributes": ["email"]})
    if row["taken"] == "name":
        yield outcome(lambda: sign_up(world, "ana"))
        return
    yield outcome(lambda: sign_up(world, "bob", "ana@x.example"))
    code = world.code()
    yield confirm(world, "bob", code)
    yield confirm(world, "bob", code, force_alias_creation=True)
    assert world.srp_start("ana@x.example")[0]["ChallengeParameters"]["USERNAME"] == "bob"
    attributes = world.pools.admin_get_user(user_pool_id=POOL, username="ana")["UserAttributes"]
    yield "ana lost the alias" if {"Name": "email_verified", "Value": "false"} in attributes else attributes


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06d}"


@case
def f121_sign_up_codes(row):
    world = World()
    sign_up(world, "bob", "bob@x.example")
    code = world.code()
    if row["code"] == "24 h":
        world.pass_time(86_400)
        yield confirm(world, "bob", code)
    elif row["code"] == "resent":
        while world.code() == code:
            world.pools.resend_confirmation_code(client_id=C, username="bob")
        yield confirm(world, "bob", code)
        yield confirm(world, "bob", world.code())
    elif row["code"] == "wrong":
        yield confirm(world, "bob", wrong(code))
    else:
        for _ in range(15):
            assert confirm(world, "bob", wrong(code)).startswith("CodeMismatchException")
        yield confirm(world, "bob", code)


def recover(world: World, name: str, code: str) -> str:
    given = {"client_id": C, "username": name, "confirmation_code": code, "password": "Other-Horse8"}
    return outcome(lambda: world.pools.confirm_forgot_password(**given))


@case
def f122_recovery_of_unknown_users(row):
    world = World(client={"prevent_user_existence_errors": "ENABLED"})
    if row["requested"]:
        yield outcome(lambda: world.pools.forgot_password(client_id=C, username="bob"))
        yield "nothing was sent" if not world.sent else world.sent
    yield recover(world, "bob", "123456")


@case
def f123_verified_flag(row):
    world = World()
    given = [{"Name": "email_verified", "Value": "true"}]
    access = world.tokens()["AccessToken"]
    yield outcome(lambda: world.pools.update_user_attributes(access_token=access, user_attributes=given))
    yield outcome(lambda: world.pools.admin_update_user_attributes(user_pool_id=POOL, username="ana", user_attributes=given))


@case
def f225_recovery_limit(row):
    world = World(client={"prevent_user_existence_errors": "ENABLED"})
    world.pools.forgot_password(client_id=C, username=row["name"])
    code = world.code() if world.sent else "123456"
    for _ in range(5):
        assert recover(world, row["name"], wrong(code)).startswith("CodeMismatchException")
    yield recover(world, row["name"], code)


@case
def f226_taken_preferred_username(row):
    world = World(pool={"alias_attributes": ["preferred_username"]})
    sub = world.add_user("bob")
    value = "bob" if row["value"] == "name" else sub
    given = [{"Name": "preferred_username", "Value": value}]
    access = world.tokens()["AccessToken"]
    yield outcome(lambda: world.pools.update_user_attributes(access_token=access, user_attributes=given))


@case
def f139_password_history(row):
    policy = {"PasswordPolicy": {"PasswordHistorySize": 2}}
    world = World(pool={"policies": policy})
    for password in ("Other-Horse8", PASSWORD, "Third-Horse9"):
        given = {"user_pool_id": POOL, "username": "ana", "password": password, "permanent": True}
        yield outcome(lambda given=given: world.pools.admin_set_user_password(**given))


@case
def f221_user_id_of_unknown_users(row):
    uses_addresses = row["pool"] == "addresses"
    pool = {"username_attributes": ["email"]} if uses_addresses else {}
    world = World(pool=pool, user=None, client={"prevent_user_existence_errors": "ENABLED"})
    name = "bob@x.example" if uses_addresses else "bob"
    found = [world.srp_start(name)[0]["ChallengeParameters"]["USER_ID_FOR_SRP"] for _ in range(2)]
    if not uses_addresses:
        yield found[0]
        return
    yield "UUID" if re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", found[0]) else found
    yield "same UUID" if found[0] == found[1] else found


@case
def f220_srp_a_over_n(row):
    given = {"USERNAME": "ana", "SRP_A": f"{srp.N + 1:x}"}
    yield outcome(lambda: World().pools.initiate_auth(client_id=C, auth_flow="USER_SRP_AUTH", auth_parameters=given))


@case
def f222_reserved_name(row):
    yield outcome(lambda: sign_up(World(), "google_123"))


@case
def f233_attributes_of_a_new_password(row):
    schema = [{"Name": "dept", "AttributeDataType": "String"}]
    world = World(pool={"schema": schema}, client={"write_attributes": ["email"]})
    world.pools.admin_create_user(user_pool_id=POOL, username="bob", temporary_password=PASSWORD, message_action="SUPPRESS")
    challenge = world.password_sign_in("bob")
    answers = {"NEW_PASSWORD": "Other-Horse8", f"userAttributes.{row['attribute']}": "true"}
    yield outcome(lambda: world.answer(challenge, answers, "bob"))
    name = world.password_sign_in("bob")["ChallengeName"]
    yield "the password is not changed" if name == "NEW_PASSWORD_REQUIRED" else name


# -- groups, tokens, revocation -------------------------------------------------------------------------------------------


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


# -- OAuth ----------------------------------------------------------------------------------------------------------------


@case
def f131_redirects(row):
    answer = OAuthWorld().authorize(redirect_uri=row["redirect"])
    assert answer.location == ""
    yield {"error": "page", "sign_in": "sign-in"}[answer.kind]


@case
def f132_pkce(row):
    world = OAuthWorld()
    challenge = {"code_challenge": challenge_of(), "code_challenge_method": "S256"}
    if row["pkce"] == "plain":
        answer = world.authorize(code_challenge=VERIFIER, code_challenge_method="plain")
        yield parameter_of(answer, "error")
        return
    code = world.code_for(**({} if row["pkce"] == "without challenge" else challenge))
    verifier = {"none": {}, "wrong": {"code_verifier": "w" * 50}}.get(row["pkce"], {"code_verifier": VERIFIER})
    yield outcome(lambda: world.redeem(code, **verifier))


@case
def f133_codes(row):
    world = OAuthWorld()
    code = world.code_for()
    if row["code"] == "twice":
        made: list[dict[str, Any]] = []
        yield outcome(lambda: made.append(world.redeem(code)))
        yield outcome(lambda: world.redeem(code))
        yield outcome(lambda: refresh(world, made[0]["refresh_token"]))
    elif row["code"] == "late":
        world.pass_time(300)
        yield outcome(lambda: world.redeem(code))
    else:
        yield outcome(lambda: world.redeem(code, CS, client_secret=SECRET))


@case
def f134_client_credentials(row):
    world = OAuthWorld()
    scopes = [{"ScopeName": "read", "ScopeDescription": "Read"}]
    world.pools.create_resource_server(user_pool_id=POOL, identifier="api", name="API", scopes=scopes)
    made = world.pools.create_user_pool_client(
        user_pool_id=POOL,
        client_name="service",
        generate_secret=True,
        allowed_o_auth_flows=["client_credentials"],
        allowed_o_auth_scopes=["api/read"],
        allowed_o_auth_flows_user_pool_client=True,
    )["UserPoolClient"]
    given = {"grant_type": "client_credentials", "client_id": made["ClientId"], "client_secret": made["ClientSecret"]}
    other = {**given, "client_id": CS, "client_secret": SECRET}
    for form in ({**given, "scope": "openid"}, other, {**given, "client_secret": "x" * 51}, given):
        yield outcome(lambda form=form: world.pools.oauth_token(form))
    token = claims(world.pools.oauth_token(given)["access_token"])
    assert (token["sub"], token["scope"], "username" in token) == (made["ClientId"], "api/read", False)


@case
def f135_user_info(row):
    world = OAuthWorld()
    try:
        world.pools.oauth_user_info(world.tokens()["AccessToken"])
    except StsError as error:
        yield f"{error.status} {error.code}"


# -- outside providers ----------------------------------------------------------------------------------------------------


def signed_in(called: Callable[[], Any]) -> str:
    """`OK` if the browser goes back to the application with a code, else `refused`."""
    try:
        answer = called()
    except StsError as error:
        return f"refused: {error.code} {error.rule}"
    assert answer.location.startswith(CALLBACK) and parameter_of(answer, "code")
    return "OK"


@case
def f136_saml(row):
    world = OAuthWorld()
    world.add_saml()
    if row["saml"] == "no InResponseTo":
        yield signed_in(lambda: world.saml_sign_in(request_id=None))
    elif row["saml"] == "audience of AWS":
        yield signed_in(lambda: world.saml_sign_in(audiences=[["urn:amazon:webservices"]]))
    else:
        sent, query = world.at_idp()
        for _ in range(2):
            response = world.saml_response(None)
            given = {"saml_response": response, "relay_state": query["RelayState"], "browser": sent.browser}
            assert signed_in(lambda given=given: world.pools.saml_idp_response(**given)).startswith("refused")
        yield signed_in(lambda: world.saml_sign_in())
        yield signed_in(lambda: world.saml_sign_in())


@case
def f137_oidc(row):
    world = OAuthWorld()
    idp = world.add_oidc(email="email")
    if row["oidc"] == "nonce":
        idp.claims["nonce"] = "other"
    elif row["oidc"] == "userinfo sub":
        idp.info = {"sub": "u2"}
    yield signed_in(lambda: world.oidc_sign_in(idp))
    if row["oidc"] == "email":
        user = world.pools.admin_get_user(user_pool_id=POOL, username="Corp_u1")
        attributes = {item["Name"]: item["Value"] for item in user["UserAttributes"]}
        assert (attributes["email"], user["UserStatus"]) == ("eve@idp.example", "EXTERNAL_PROVIDER")
        assert idp.forms[0]["client_secret"] == "hidden-at-idp"
        yield "not verified" if attributes["email_verified"] == "false" else attributes


@case
def f223_created_again(row):
    world = OAuthWorld()
    idp = world.add_oidc()
    yield signed_in(lambda: world.oidc_sign_in(idp))
    world.pools.delete_identity_provider(user_pool_id=POOL, provider_name="Corp")
    other = world.add_oidc("Corp", Idp("https://other.example", "RSA other"))
    n_sign_ins = len(world.pools._state.tables.sign_ins)
    yield signed_in(lambda: world.oidc_sign_in(other))
    yield "no tokens for the old user" if len(world.pools._state.tables.sign_ins) == n_sign_ins else n_sign_ins


@case
def f224_subjects_in_two_cases(row):
    world = OAuthWorld(pool={"username_configuration": {"CaseSensitive": row["case_sensitive"]}})
    world.add_saml()
    for n, name in enumerate(("Eve", "eve")):
        yield signed_in(lambda n=n, name=name: world.saml_sign_in(name_id=name, id=f"_a{n}"))


@case
def f231_answer_of_another_provider(row):
    world = OAuthWorld()
    x, y = Idp("https://x.example", "RSA x"), Idp("https://y.example", "RSA y")
    world.add_oidc("Xcorp", x)
    world.add_oidc("Ycorp", y)
    x.key, x.claims["iss"] = y.key, y.issuer
    yield signed_in(lambda: world.oidc_sign_in(x, "Xcorp"))


def test_user_pools_are_exported():
    import fastiam.cognito

    assert fastiam.cognito.UserPools is UserPools
