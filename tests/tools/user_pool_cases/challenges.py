"""Challenges, custom authentication and triggers (F112 to F119, F138)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from cognito_world import PASSWORD, POOL, C, World, claims, responding

from user_pool_cases.registry import case, outcome


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
