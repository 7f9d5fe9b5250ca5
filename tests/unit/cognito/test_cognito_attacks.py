"""Attacks on user pools: each is refused, does not reveal which users exist, and leaves no secret in messages and events."""

from __future__ import annotations

import base64
import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from cognito_world import PASSWORD, POOL, C, World, refusal

from fastiam.cognito.user_pools import NotAuthorizedError, srp
from fastiam.sts import StsError

ENABLED = {"prevent_user_existence_errors": "ENABLED"}


# -- SRP ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "public", ["0", "00", f"{srp.N:x}", f"{2 * srp.N:x}", f"{srp.N + 1:X}", "-1", "0x5", "5 ", "", "g", "1_0"]
)
def test_srp_public_number_out_of_range_is_refused(public):
    given = {"USERNAME": "ana", "SRP_A": public}
    world = World()
    code = refusal(lambda: world.pools.initiate_auth(client_id=C, auth_flow="USER_SRP_AUTH", auth_parameters=given))
    assert code.startswith("InvalidParameterException")


def test_srp_with_public_number_one_needs_the_password():
    """A = 1 makes the secret known up to the verifier: (1 * v^u)^b."""
    world = World()
    given = {"USERNAME": "ana", "SRP_A": "1"}
    challenge = world.pools.initiate_auth(client_id=C, auth_flow="USER_SRP_AUTH", auth_parameters=given)
    proof = world.srp_proof(challenge, 0, "Wrong-Horse7")
    assert refusal(lambda: world.answer(challenge, proof)).startswith("NotAuthorizedException: Incorrect")


@pytest.mark.parametrize(
    "timestamp",
    ["Sun Nov 8 09:00:02 UTC 2026", "Sun Nov 8 09:10:04 UTC 2026", "Mon Nov 8 09:05:03 UTC 2026", "Sun Nov 8 09:05:03 CET 2026",
     "2026-11-08T09:05:03Z", "So Nov 8 09:05:03 UTC 2026", "Sun Nov  8 09:05:03 UTC 2026", "Sun Nov 31 09:05:03 UTC 2026"],
)  # fmt: skip
def test_srp_timestamp_of_another_time_or_form_is_refused(timestamp):
    world = World()
    challenge, a = world.srp_start()
    proof = world.srp_proof(challenge, a, timestamp=timestamp)
    assert refusal(lambda: world.answer(challenge, proof)).startswith("NotAuthorizedException")


def test_srp_proof_for_another_timestamp_is_refused():
    world = World()
    challenge, a = world.srp_start()
    proof = world.srp_proof(challenge, a) | {"TIMESTAMP": "Sun Nov 8 09:05:04 UTC 2026"}
    assert refusal(lambda: world.answer(challenge, proof)).startswith("NotAuthorizedException: Incorrect")


def test_secret_block_of_another_purpose_is_refused():
    """ST11: a refresh token is sealed under the same keyring, and opens nothing else."""
    world = World()
    token = str(world.tokens()["RefreshToken"])
    block = base64.b64encode(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))).decode()
    challenge, a = world.srp_start()
    proof = world.srp_proof(challenge, a) | {"PASSWORD_CLAIM_SECRET_BLOCK": block}
    assert refusal(lambda: world.answer(challenge, proof)).startswith("NotAuthorizedException")


# -- user enumeration -----------------------------------------------------------------------------------------------------


def test_unknown_user_costs_the_same_work(monkeypatch):
    world = World(client=ENABLED)
    powers = []
    monkeypatch.setattr(srp, "pow", lambda *numbers: powers.append(numbers[0]) or pow(*numbers), raising=False)
    counts = {}
    for name in ("ana", "bob"):
        powers.clear()
        with pytest.raises(NotAuthorizedError):
            world.password_sign_in(name, "Wrong-Horse7")
        challenge, a = world.srp_start(name)
        with pytest.raises(NotAuthorizedError):
            world.answer(challenge, world.srp_proof(challenge, a, "Wrong-Horse7"), name)
        counts[name] = len(powers)
    assert counts["ana"] == counts["bob"] > 3


def test_unknown_user_is_locked_out_like_a_known_one():
    world = World(client=ENABLED)
    found = {}
    for name in ("ana", "bob"):
        found[name] = [refusal(lambda name=name: world.password_sign_in(name, "Wrong-Horse7")) for _ in range(7)]
    assert found["ana"] == found["bob"] and "exceeded" in found["bob"][-1]


def test_answers_to_unknown_users_have_the_form_of_real_ones():
    world = World(client=ENABLED)
    real, unknown = (world.srp_start(name)[0]["ChallengeParameters"] for name in ("ana", "bob"))
    assert real.keys() == unknown.keys() and unknown["USERNAME"] == unknown["USER_ID_FOR_SRP"] == "bob"
    assert abs(len(real["SALT"]) - len(unknown["SALT"])) < 4 and abs(len(real["SRP_B"]) - len(unknown["SRP_B"])) < 8
    forms = {name: world.pools.forgot_password(client_id=C, username=name)["CodeDeliveryDetails"] for name in ("ana", "bob")}
    assert forms["ana"].keys() == forms["bob"].keys()
    assert forms["bob"] == world.pools.forgot_password(client_id=C, username="bob")["CodeDeliveryDetails"]
    assert len(world.sent) == 1


def test_failed_delivery_does_not_show_that_a_user_exists():
    world = World(client=ENABLED)
    world.pools._state.sender = None
    for name in ("ana", "bob"):
        assert world.pools.forgot_password(client_id=C, username=name)["CodeDeliveryDetails"]


def test_public_call_does_not_answer_an_admin_session():
    world = World()
    world.pools.admin_create_user(user_pool_id=POOL, username="bob", temporary_password=PASSWORD, message_action="SUPPRESS")
    given = {"USERNAME": "bob", "PASSWORD": PASSWORD}
    flow = {"user_pool_id": POOL, "client_id": C, "auth_flow": "ADMIN_USER_PASSWORD_AUTH", "auth_parameters": given}
    challenge = world.pools.admin_initiate_auth(**flow)
    answers = {"USERNAME": "bob", "NEW_PASSWORD": "Other-Horse8"}
    assert "Invalid session" in refusal(lambda: world.answer(challenge, answers, "bob"))
    done = world.pools.admin_respond_to_auth_challenge(
        user_pool_id=POOL,
        client_id=C,
        challenge_name="NEW_PASSWORD_REQUIRED",
        session=challenge["Session"],
        challenge_responses=answers,
    )
    assert "AuthenticationResult" in done


def test_events_do_not_contain_the_name_of_an_unknown_user():
    world = World(client=ENABLED)
    refusal(lambda: world.password_sign_in("secret-as-name", "Wrong-Horse7"))
    assert world.events[-1].details["user_hash"] and "secret-as-name" not in repr(world.events[-1])


def test_counts_of_unknown_names_are_bounded():
    from fastiam.cognito.user_pools import Settings

    world = World(client=ENABLED, settings=Settings(unknown_names=3))
    for n in range(6):
        refusal(lambda n=n: world.password_sign_in(f"nobody{n}", "Wrong-Horse7"))
    unknown = [key for key in world.pools._state.tables.attempts if "/~" in key]
    assert len(unknown) == 3
    world.pass_time(7200)
    refusal(lambda: world.password_sign_in("nobody9", "Wrong-Horse7"))
    assert len([key for key in world.pools._state.tables.attempts if "/~" in key]) == 1


def test_users_who_never_confirm_are_bounded():
    from fastiam.cognito.user_pools import Settings

    world = World(settings=Settings(unconfirmed_users=3, unconfirmed_age=timedelta(days=7)))
    world.pools.admin_create_user(user_pool_id=POOL, username="made", message_action="SUPPRESS")

    def sign_up(name):
        world.pools.sign_up(client_id=C, username=name, password=PASSWORD, user_attributes=[])

    def names():
        return {user.username for user in world.pools._state.store.users(POOL)} - {"ana", "made"}

    for n in range(3):
        sign_up(f"u{n}")
    assert refusal(lambda: sign_up("u3")).startswith("LimitExceededException")
    world.pools.admin_confirm_sign_up(user_pool_id=POOL, username="u0")
    sign_up("u3")
    assert refusal(lambda: sign_up("u4")).startswith("LimitExceededException") and names() == {"u0", "u1", "u2", "u3"}
    world.pass_time(7 * 86_400 + 1)
    for n in range(4, 6):
        sign_up(f"u{n}")
    assert names() == {"u0", "u3", "u4", "u5"}, "the oldest made room, and who confirmed did not"


# -- guessing -------------------------------------------------------------------------------------------------------------


def mfa_world() -> tuple[World, str]:
    world = World()
    world.pools.set_user_pool_mfa_config(
        user_pool_id=POOL, software_token_mfa_configuration={"Enabled": True}, mfa_configuration="OPTIONAL"
    )
    seed = world.add_software_token()
    world.pass_time(90)
    return world, seed


@pytest.mark.parametrize("existence", ["LEGACY", "ENABLED"])
@pytest.mark.parametrize("raises", [True, False])
def test_passwords_guessed_at_a_migration_trigger_lock_the_name(existence, raises):
    """Else a pool is a way to guess the passwords of the other system without limit."""
    asked = []

    def migrate(event):
        asked.append(event["request"]["password"])
        if raises:
            raise ValueError("wrong password")
        return event

    world = World(triggers={"UserMigration": migrate}, client={"prevent_user_existence_errors": existence})
    refusals = [refusal(lambda n=n: world.password_sign_in("old", f"Guess-{n}")) for n in range(8)]
    assert len(asked) == 5 and all("attempts exceeded" in text for text in refusals[5:])


def test_guessed_totp_codes_lock_the_user():
    world, seed = mfa_world()
    for n in range(5):
        challenge = world.password_sign_in()
        wrong = f"{(int(world.totp(seed)) + 500 + n) % 1_000_000:06d}"
        assert refusal(lambda c=challenge, w=wrong: world.answer(c, {"SOFTWARE_TOKEN_MFA_CODE": w})).startswith("CodeMismatch")
    assert "exceeded" in refusal(world.password_sign_in)
    assert "exceeded" in refusal(lambda: world.answer(challenge, {"SOFTWARE_TOKEN_MFA_CODE": world.totp(seed)}))


@pytest.mark.parametrize("change", ["by an administrator", "by the user", "by a code"])
def test_challenge_of_the_old_password_is_void_after_it_changed(change):
    """Else who knows the old password and has the second factor signs in after the password was changed because of it."""
    world, seed = mfa_world()

    def answer(challenge):
        world.pass_time(30)
        return world.answer(challenge, {"SOFTWARE_TOKEN_MFA_CODE": world.totp(seed)})

    access = answer(world.password_sign_in())["AuthenticationResult"]["AccessToken"]
    challenge = world.password_sign_in()
    if change == "by an administrator":
        world.pools.admin_set_user_password(user_pool_id=POOL, username="ana", password="Other-Horse8", permanent=True)
    elif change == "by the user":
        world.pools.change_password(access_token=access, previous_password=PASSWORD, proposed_password="Other-Horse8")
    else:
        world.pools.forgot_password(client_id=C, username="ana")
        given = {"client_id": C, "username": "ana", "confirmation_code": world.code(), "password": "Other-Horse8"}
        world.pools.confirm_forgot_password(**given)
    assert refusal(lambda: answer(challenge)).startswith("NotAuthorizedException")
    assert "AuthenticationResult" in answer(world.password_sign_in("ana", "Other-Horse8"))


def test_password_that_changes_during_a_sign_in_gives_no_tokens():
    """UP72: what a trigger changes is checked again before tokens are recorded."""
    worlds = []

    def change(event):
        worlds[0].pools.admin_set_user_password(user_pool_id=POOL, username="ana", password="Other-Horse8", permanent=True)
        return event

    worlds.append(World(triggers={"PreTokenGeneration": change}))
    assert refusal(worlds[0].password_sign_in).startswith("NotAuthorizedException")
    assert not worlds[0].pools._state.tables.sign_ins


@pytest.mark.parametrize("code", ["", "12345", "1234567", "١٢٣٤٥٦", "000000 ", "\ud800", "None"])
def test_totp_code_of_another_form_is_refused(code):
    world, _ = mfa_world()
    challenge = world.password_sign_in()
    assert refusal(lambda: world.answer(challenge, {"SOFTWARE_TOKEN_MFA_CODE": code})).startswith(
        ("CodeMismatchException", "InvalidParameterException")
    )


def test_parallel_guesses_get_no_more_attempts():
    """Of many guesses at once only those before the lock are judged; a right one after it is refused like a wrong one."""
    world = World()
    results: list[str] = []

    def guess(password: str) -> None:
        try:
            world.password_sign_in("ana", password)
            results.append("OK")
        except StsError as error:
            results.append(error.message)

    for _ in range(5):
        guess("Wrong-Horse7")
    threads = [threading.Thread(target=guess, args=(password,)) for password in ["Wrong-Horse7"] * 6 + [PASSWORD]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(results[5:]) == {"Password attempts exceeded"}


def test_custom_challenge_takes_one_answer():
    def trigger(**response):
        return lambda event: {**event, "response": response}

    triggers = {
        "DefineAuthChallenge": lambda event: {
            **event,
            "response": {"failAuthentication": True} if event["request"]["session"] else {"challengeName": "CUSTOM_CHALLENGE"},
        },
        "CreateAuthChallenge": trigger(privateChallengeParameters={"answer": "42"}),
        "VerifyAuthChallengeResponse": trigger(answerCorrect=False),
    }
    world = World(triggers=triggers)
    given = {"client_id": C, "auth_flow": "CUSTOM_AUTH", "auth_parameters": {"USERNAME": "ana"}}
    challenge = world.pools.initiate_auth(**given)
    assert refusal(lambda: world.answer(challenge, {"ANSWER": "1"})).startswith("NotAuthorizedException: Incorrect")
    assert "Invalid session" in refusal(lambda: world.answer(challenge, {"ANSWER": "42"}))
    for _ in range(4):
        again = world.pools.initiate_auth(**given)
        refusal(lambda again=again: world.answer(again, {"ANSWER": "1"}))
    assert "exceeded" in refusal(lambda: world.pools.initiate_auth(**given))


def test_code_for_an_old_address_does_not_verify_a_new_one():
    world = World(pool={"auto_verified_attributes": []}, user={"email": "ana@x.example"})
    access = world.tokens()["AccessToken"]
    world.pools.get_user_attribute_verification_code(access_token=access, attribute_name="email")
    code = world.code()
    new = [{"Name": "email", "Value": "victim@x.example"}]
    world.pools.update_user_attributes(access_token=access, user_attributes=new)
    given = {"access_token": access, "attribute_name": "email", "code": code}
    assert refusal(lambda: world.pools.verify_user_attribute(**given)).startswith("ExpiredCodeException")


FIRST = {"user_attribute_update_settings": {"AttributesRequireVerificationBeforeUpdate": ["email", "phone_number"]}}
BOTH = {"auto_verified_attributes": ["email", "phone_number"], **FIRST}
ADDRESSES = [("email", "victim@x.example", "eve@evil.example"), ("phone_number", "+15550001", "+15550002")]


def set_attribute(world: World, access: str | None, name: str, value: str) -> None:
    """A user, or without a token an admin, writes an attribute of `eve`."""
    given = [{"Name": name, "Value": value}]
    if access is None:
        world.pools.admin_update_user_attributes(user_pool_id=POOL, username="eve", user_attributes=given)
    else:
        world.pools.update_user_attributes(access_token=access, user_attributes=given)


@pytest.mark.parametrize(("name", "unproved", "own"), ADDRESSES)
@pytest.mark.parametrize("is_admin", [False, True])
def test_code_for_a_pending_address_does_not_verify_another(name, unproved, own, is_admin):
    world = World(pool={**BOTH, "alias_attributes": [name]}, user=None)
    world.add_user("eve", **{name: unproved})
    access = world.tokens("eve")["AccessToken"]
    set_attribute(world, access, name, own)
    assert world.sent[-1].destination == own
    set_attribute(world, None if is_admin else access, name, unproved)
    given = {"access_token": access, "attribute_name": name, "code": world.code()}
    assert refusal(lambda: world.pools.verify_user_attribute(**given)).startswith("ExpiredCodeException")
    shown = {item["Name"]: item["Value"] for item in world.pools.get_user(access_token=access)["UserAttributes"]}
    assert shown[name] == unproved and shown.get(f"{name}_verified") != "true"
    assert refusal(lambda: world.password_sign_in(unproved)).startswith("UserNotFoundException")
    world.add_user("victim", **{name: unproved, f"{name}_verified": "true"})
    assert "AuthenticationResult" in world.password_sign_in(unproved)


@pytest.mark.parametrize(("name", "unproved", "own"), ADDRESSES)
def test_code_for_a_removed_pending_address_is_void(name, unproved, own):
    world = World(pool=BOTH, user={})
    access = world.tokens()["AccessToken"]
    world.pools.update_user_attributes(access_token=access, user_attributes=[{"Name": name, "Value": own}])
    world.pools.delete_user_attributes(access_token=access, user_attribute_names=[name])
    given = {"access_token": access, "attribute_name": name, "code": world.code()}
    assert refusal(lambda: world.pools.verify_user_attribute(**given)).startswith("ExpiredCodeException")


@pytest.mark.parametrize(("name", "unproved", "own"), ADDRESSES)
@pytest.mark.parametrize("purpose", ["verify", "recover", "mfa"])
def test_code_proves_only_the_address_that_it_was_made_for(purpose, name, unproved, own):
    """Nothing but the hash ties the code to its address here."""
    world = World(user={name: own})
    state, codes = world.pools._state, world.pools._codes
    pool = state.pool(POOL)
    user = state.user(pool, "ana")
    with state.transaction():
        code = codes.make(pool, user, purpose, name, seconds=60)
    moved = replace(user, attributes={**user.attributes, name: unproved})
    with state.transaction():
        assert refusal(lambda: codes.use(pool, moved, purpose, name, code)).startswith("CodeMismatchException")
        codes.use(pool, user, purpose, name, code)


def test_mfa_code_is_void_after_the_address_changed():
    world = World()
    world.pools.set_user_pool_mfa_config(user_pool_id=POOL, email_mfa_configuration={}, mfa_configuration="OPTIONAL")
    access = world.tokens()["AccessToken"]
    world.pools.set_user_mfa_preference(access_token=access, email_mfa_settings={"Enabled": True, "PreferredMfa": True})
    challenge, code = world.password_sign_in(), world.code()
    given = [{"Name": "email", "Value": "new@x.example"}, {"Name": "email_verified", "Value": "true"}]
    world.pools.admin_update_user_attributes(user_pool_id=POOL, username="ana", user_attributes=given)
    assert refusal(lambda: world.answer(challenge, {"EMAIL_OTP_CODE": code})).startswith("ExpiredCodeException")


def test_recovery_code_is_void_after_the_address_changed():
    world = World()
    world.pools.forgot_password(client_id=C, username="ana")
    code = world.code()
    new = [{"Name": "email", "Value": "new@x.example"}, {"Name": "email_verified", "Value": "true"}]
    world.pools.admin_update_user_attributes(user_pool_id=POOL, username="ana", user_attributes=new)
    given = {"client_id": C, "username": "ana", "confirmation_code": code, "password": "Other-Horse8"}
    assert refusal(lambda: world.pools.confirm_forgot_password(**given)).startswith("ExpiredCodeException")
