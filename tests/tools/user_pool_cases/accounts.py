"""Sign-up, recovery and passwords (F120 to F123, F139, F220 to F226, F233)."""

from __future__ import annotations

import re
from typing import Any

from cognito_world import PASSWORD, POOL, C, World

from fastiam.cognito.user_pools import srp
from user_pool_cases.registry import case, outcome

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
