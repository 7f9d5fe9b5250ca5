"""Attacks on user pools: each is refused, does not reveal which users exist, and leaves no secret in messages and events."""

from __future__ import annotations

import base64
import hmac
import json
import threading
import traceback
from dataclasses import replace
from typing import Any

import jwt
import pytest
from cognito_federated import OAUTH, Idp, OAuthWorld, challenge_of
from cognito_world import ACCOUNT, CS, PASSWORD, POOL, C, World
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from fastiam.cognito.user_pools import CognitoError, NotAuthorizedError, keys, srp
from fastiam.federation.fetch import FetchError
from fastiam.sts import StsError

ENABLED = {"prevent_user_existence_errors": "ENABLED"}


def refusal(called) -> str:
    """Code and message of the error that a call raises."""
    with pytest.raises(StsError) as error:
        called()
    return f"{error.value.code}: {error.value.message}"


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


# -- tokens ---------------------------------------------------------------------------------------------------------------


def forged(world: World, header: dict[str, Any], sign, **changes: Any) -> str:
    """An access token with another header, signature or claims."""
    claims = jwt.decode(world.tokens()["AccessToken"], options={"verify_signature": False}) | changes

    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(value if isinstance(value, bytes) else json.dumps(value).encode()).decode().rstrip("=")

    text = f"{part(header)}.{part(claims)}"
    return f"{text}.{part(sign(text.encode()))}"


def test_token_with_another_algorithm_is_refused():
    world = World()
    kid, private = keys.signer(world.pools._state, world.pools._state.pool(POOL), "access")
    public = private.public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    for algorithm in ("none", "None", "NONE", "", None, 5):
        assert_refused(world, forged(world, {"alg": algorithm, "kid": kid}, lambda _: b""))
    for secret in (pem, der, b"", kid.encode()):
        assert_refused(world, forged(world, {"alg": "HS256", "kid": kid}, lambda text, s=secret: hmac.digest(s, text, "sha256")))
    for algorithm in ("RS384", "PS256"):
        method = jwt.get_algorithm_by_name(algorithm)
        assert_refused(world, forged(world, {"alg": algorithm, "kid": kid}, lambda text, m=method: m.sign(text, private)))
    sound = jwt.get_algorithm_by_name("RS256")
    token = forged(world, {"alg": "RS256", "kid": kid}, lambda text: sound.sign(text, private))
    assert world.pools.get_user(access_token=token)["Username"] == "ana"  # the forgeries differ by the algorithm alone


def assert_refused(world: World, token: str) -> None:
    found = refusal(lambda: world.pools.get_user(access_token=token))
    assert found.startswith(("NotAuthorizedException", "InvalidParameterException")), found


def test_token_with_a_key_of_the_attacker_is_refused():
    world = World()
    kid, _ = keys.signer(world.pools._state, world.pools._state.pool(POOL), "access")
    id_kid, id_key = keys.signer(world.pools._state, world.pools._state.pool(POOL), "id")
    own = generate_private_key(65_537, 2048)
    sound = jwt.get_algorithm_by_name("RS256")
    jwk = sound.to_jwk(own.public_key(), as_dict=True)
    for header in (
        {"kid": kid},
        {"kid": "x"},
        {"kid": None},
        {},
        {"kid": kid, "jwk": jwk},
        {"kid": kid, "jku": "https://evil.example"},
    ):
        assert_refused(world, forged(world, {"alg": "RS256", **header}, lambda text: sound.sign(text, own)))
    # the key of ID tokens does not sign access tokens
    assert_refused(world, forged(world, {"alg": "RS256", "kid": id_kid}, lambda text: sound.sign(text, id_key)))


@pytest.mark.parametrize(
    "changes",
    [{"iss": "https://evil.example"}, {"token_use": "id"}, {"client_id": "x"}, {"client_id": CS}, {"exp": 1},
     {"exp": "9999999999"}, {"event_id": "x"}, {"sub": "x"}, {"scope": "openid"}],
)  # fmt: skip
def test_token_with_other_claims_is_refused_even_if_well_signed(changes):
    world = World()
    kid, private = keys.signer(world.pools._state, world.pools._state.pool(POOL), "access")
    sound = jwt.get_algorithm_by_name("RS256")
    assert_refused(world, forged(world, {"alg": "RS256", "kid": kid}, lambda text: sound.sign(text, private), **changes))


def test_token_in_another_encoding_is_refused():
    """One token has one text, so that logs and deny lists of applications can name it."""
    world, letters = World(), "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    token = str(world.tokens()["AccessToken"])
    last = letters[letters.index(token[-1]) ^ 1]  # bits that no octet takes
    for other in (token + "=", token + "==", token[:-1] + last, token.replace(".", "=.", 1)):
        assert_refused(world, other)
    assert world.pools.get_user(access_token=token)["Username"] == "ana"


@pytest.mark.parametrize("header", [{"crit": ["exp"]}, {"crit": ["b64"], "b64": True}, {"cty": "JWT"}])
def test_token_with_a_header_that_changes_its_meaning_is_refused(header):
    world = World()
    kid, private = keys.signer(world.pools._state, world.pools._state.pool(POOL), "access")
    sound = jwt.get_algorithm_by_name("RS256")
    assert_refused(world, forged(world, {"alg": "RS256", "kid": kid, **header}, lambda text: sound.sign(text, private)))


def test_token_of_another_pool_is_refused():
    world = World()
    made = world.pools.create_user_pool(pool_name="Other")["UserPool"]["Id"]
    client = world.pools.create_user_pool_client(
        user_pool_id=made, client_name="o", explicit_auth_flows=["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]
    )["UserPoolClient"]["ClientId"]
    tokens = world.tokens()
    given = {"REFRESH_TOKEN": tokens["RefreshToken"]}
    assert refusal(
        lambda: world.pools.initiate_auth(client_id=client, auth_flow="REFRESH_TOKEN_AUTH", auth_parameters=given)
    ).startswith("NotAuthorizedException")
    with pytest.raises(NotAuthorizedError):
        world.pools.verify_id_token(tokens["IdToken"], user_pool_id=made, client_id=client)
    with pytest.raises(NotAuthorizedError):
        world.pools.verify_id_token(tokens["IdToken"], user_pool_id=POOL, client_id=CS)


def test_every_altered_character_of_a_refresh_token_is_refused():
    world = World()
    token = str(world.tokens()["RefreshToken"])
    for place in range(0, len(token), 7):
        other = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        given = {"REFRESH_TOKEN": other}
        with pytest.raises(NotAuthorizedError):
            world.pools.initiate_auth(client_id=C, auth_flow="REFRESH_TOKEN_AUTH", auth_parameters=given)


def test_rotated_keys_verify_for_a_day():
    world = World()
    old = world.tokens()["AccessToken"]
    world.pools.rotate_signing_keys(POOL)
    assert len(world.pools.get_jwks(POOL)["keys"]) == 4
    assert world.pools.get_user(access_token=old) and world.pools.get_user(access_token=world.tokens()["AccessToken"])
    world.pass_time(86_400)
    assert len(world.pools.get_jwks(POOL)["keys"]) == 2


# -- OAuth ----------------------------------------------------------------------------------------------------------------


def test_sign_in_page_of_another_browser_is_refused():
    world = OAuthWorld()
    page, other = world.authorize(), world.authorize()
    given = {"username": "ana", "password": PASSWORD}
    for browser in (None, "", str(other.browser)):
        with pytest.raises(NotAuthorizedError):
            world.pools.oauth_sign_in(request=page.request, browser=browser, **given)


def test_session_strings_of_api_and_pages_are_not_exchangeable():
    world = OAuthWorld()
    world.pools.admin_create_user(user_pool_id=POOL, username="bob", temporary_password=PASSWORD, message_action="SUPPRESS")
    page = world.authorize()
    challenge = world.page_sign_in(page, "bob").challenge
    assert "Invalid session" in refusal(lambda: world.answer(challenge, {"NEW_PASSWORD": "Other-Horse8"}, "bob"))
    api = world.password_sign_in("bob")
    answers = {"USERNAME": "bob", "NEW_PASSWORD": "Other-Horse8"}
    given = {"request": page.request, "browser": page.browser, "challenge_name": "NEW_PASSWORD_REQUIRED", "answers": answers}
    refusal(lambda: world.pools.oauth_answer(session=api["Session"], **given))
    done = world.pools.oauth_answer(session=challenge["Session"], **given)
    assert done.kind == "redirect" and done.cookie


def test_session_cookie_signs_in_until_the_user_signs_out():
    world = OAuthWorld()
    cookie = world.page_sign_in(world.authorize()).cookie
    given = {"response_type": "code", "client_id": C, "redirect_uri": "https://app.example/cb"}
    assert world.pools.oauth_authorize(given, cookie=cookie).kind == "redirect"
    assert world.pools.oauth_authorize(given, cookie=f"{cookie}A").kind == "sign_in"
    world.pools.admin_user_global_sign_out(user_pool_id=POOL, username="ana")
    assert world.pools.oauth_authorize(given, cookie=cookie).kind == "sign_in"


def test_session_cookie_needs_a_client_with_its_provider():
    world = OAuthWorld()
    idp = world.add_oidc("Corp")
    other = world.add_oidc("Other", Idp("https://other.example/oidc"))
    given = {"response_type": "code", "redirect_uri": "https://app.example/cb", "client_id": C}
    from_corp, native = world.oidc_sign_in(idp).cookie, world.page_sign_in(world.authorize()).cookie

    def kinds(*providers: str) -> list[str]:
        """What the cookies of the provider and of the pool itself lead to, if a client allows some providers."""
        world.pools.update_user_pool_client(user_pool_id=POOL, client_id=C, supported_identity_providers=list(providers), **OAUTH)
        return [world.pools.oauth_authorize(given, cookie=cookie).kind for cookie in (from_corp, native)]

    assert other is not idp and kinds("COGNITO", "Corp") == ["redirect", "redirect"]
    assert kinds("COGNITO") == ["sign_in", "redirect"]
    assert kinds("Other") == ["sign_in", "sign_in"]
    assert kinds("Corp") == ["redirect", "sign_in"]
    world.pools.delete_identity_provider(user_pool_id=POOL, provider_name="Corp")
    world.add_oidc("Corp", Idp())  # another provider of that name
    assert kinds("Corp") == ["sign_in", "sign_in"]


def test_code_is_void_after_the_user_signed_out():
    world = OAuthWorld()
    code = world.code_for(code_challenge=challenge_of(), code_challenge_method="S256")
    world.pools.admin_user_global_sign_out(user_pool_id=POOL, username="ana")
    assert refusal(lambda: world.redeem(code, code_verifier="v" * 50)).startswith("invalid_grant")


def test_parameter_given_twice_is_refused():
    world = OAuthWorld()
    given = [("response_type", "code"), ("client_id", C), ("redirect_uri", "https://app.example/cb"), ("redirect_uri", "x")]
    assert world.pools.oauth_authorize(given).kind == "error"
    with pytest.raises(CognitoError, match="twice"):
        world.pools.oauth_token([("grant_type", "refresh_token"), ("grant_type", "authorization_code")])


@pytest.mark.parametrize("name", ["state", "nonce", "scope", "code_challenge", "\ud800"])
def test_parameter_that_is_not_unicode_is_refused(name):
    world = OAuthWorld()
    assert world.authorize(**{name: "\ud800"}).kind == "error"
    for called in (world.pools.oauth_token, world.pools.oauth_revoke):
        assert refusal(lambda called=called: called({"client_id": C, name: "\ud800"})).startswith("invalid_request")
    assert refusal(lambda: world.pools.oauth_idp_response({name: "\ud800"}, browser=None)).startswith("NotAuthorized")


@pytest.mark.parametrize("extra", ["&state=\ud800", "&nonce=\ud800", "&state=a&state=b", "&a=b" * 30])
def test_relay_state_with_parameters_of_another_form_is_refused(extra):
    world = OAuthWorld()
    world.add_saml(IDPInit="true")
    relay = f"client_id={C}&redirect_uri=https://app.example/cb&response_type=code&scope=openid"

    def sign_in(relay_state: str) -> Any:
        response = world.saml_response(None)
        return world.pools.saml_idp_response(saml_response=response, relay_state=relay_state, user_pool_id=POOL)

    assert refusal(lambda: sign_in(relay + extra)).startswith("NotAuthorized")
    assert sign_in(relay).kind == "redirect"


@pytest.mark.parametrize("value", [{}, [], 5, True, {"a": []}])
@pytest.mark.parametrize(
    ("operation", "name", "others"),
    [("AdminGetUser", "UserPoolId", {"Username": "ana"}), ("DescribeUserPool", "UserPoolId", {}),
     ("DescribeUserPoolDomain", "Domain", {}), ("ListTagsForResource", "ResourceArn", {})],
)  # fmt: skip
def test_identifier_of_another_type_is_refused_first(operation, name, others, value):
    world = World()
    caller = f"arn:aws:iam::{ACCOUNT}:user/adm"
    allow = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
    world.directory.add_principal(caller, identity_policies=[allow])
    called = lambda: world.pools.call(operation, {name: value, **others}, caller=caller)  # noqa: E731
    assert refusal(called).startswith(f"InvalidParameterException: `{name}` must be of type string")


# -- secrets --------------------------------------------------------------------------------------------------------------


def assert_hidden(world: World, called, secrets: list[str]) -> None:
    """The call is refused, and neither its message, its tracebacks with local variables nor its event contain a secret."""
    with pytest.raises(StsError) as caught:
        called()
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    text = f"{caught.value} {world.events[-1]}"
    while shown is not None:
        text += str([frame.locals for frame in shown.stack if "/src/fastiam/" in frame.filename])
        shown = shown.__cause__ or shown.__context__
    assert not [secret for secret in secrets if secret in text]


HIDDEN = "Hidden-Horse7"


def test_tracebacks_messages_and_events_contain_no_secret():
    world = World()
    tokens = world.tokens()
    secrets = [HIDDEN, str(tokens["AccessToken"])[-40:], str(tokens["RefreshToken"])[-40:]]
    for called in (
        lambda: world.password_sign_in("ana", HIDDEN),
        lambda: world.pools.change_password(access_token=tokens["IdToken"], previous_password=HIDDEN, proposed_password=HIDDEN),
        lambda: world.pools.revoke_token(token=tokens["AccessToken"], client_id=C),
        lambda: world.pools.sign_up(client_id=C, username="ana", password=HIDDEN),
        lambda: world.pools.call("InitiateAuth", {"ClientId": C, "AuthFlow": 5, "AuthParameters": {"PASSWORD": HIDDEN}}),
    ):
        assert_hidden(world, called, secrets)


def test_tracebacks_of_software_tokens_contain_no_seed():
    world = World()
    factors = {"user_pool_id": POOL, "software_token_mfa_configuration": {"Enabled": True}}
    world.pools.set_user_pool_mfa_config(**factors, mfa_configuration="OPTIONAL")
    access = world.tokens()["AccessToken"]
    new = str(world.pools.associate_software_token(access_token=access)["SecretCode"])
    assert_hidden(world, lambda: world.pools.verify_software_token(access_token=access, user_code="x00000"), [new])
    seed = world.add_software_token()
    challenge = world.password_sign_in()
    assert_hidden(world, lambda: world.answer(challenge, {"SOFTWARE_TOKEN_MFA_CODE": "x00000"}), [seed])
    world.pools.set_user_pool_mfa_config(**factors, mfa_configuration="ON")
    world.add_user("bob")
    made = world.pools.associate_software_token(session=world.password_sign_in("bob")["Session"])
    given = {"session": made["Session"], "user_code": "000000"}
    assert_hidden(world, lambda: world.pools.verify_software_token(**given), [str(made["SecretCode"])])


def fail(event: dict[str, Any]) -> dict[str, Any]:
    """A trigger that refuses."""
    raise ValueError("no")


def test_traceback_of_a_failed_migration_has_no_password():
    world = World(triggers={"UserMigration": fail})
    assert_hidden(world, lambda: world.password_sign_in("bob", HIDDEN), [HIDDEN])


@pytest.mark.parametrize("failing", ["VerifyAuthChallengeResponse", "CreateAuthChallenge"])
def test_traceback_of_a_failed_custom_challenge_has_no_answer(failing):
    response = {"privateChallengeParameters": {"answer": HIDDEN}, "challengeMetadata": None}
    triggers = {
        "DefineAuthChallenge": lambda event: {**event, "response": {"challengeName": "CUSTOM_CHALLENGE"}},
        "CreateAuthChallenge": lambda event: {**event, "response": response},
        "VerifyAuthChallengeResponse": fail,
    }
    world = World(triggers=triggers)
    given = {"client_id": C, "auth_flow": "CUSTOM_AUTH", "auth_parameters": {"USERNAME": "ana"}}
    if failing == "CreateAuthChallenge":
        response["challengeMetadata"] = 5
        assert_hidden(world, lambda: world.pools.initiate_auth(**given), [HIDDEN])
    else:
        challenge = world.pools.initiate_auth(**given)
        assert_hidden(world, lambda: world.answer(challenge, {"ANSWER": "Given-Answer"}), [HIDDEN, "Given-Answer"])


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("form", "authorization"),
    [({"grant_type": "client_credentials"}, basic(f":{HIDDEN}")), ({}, basic(f"{CS}:{HIDDEN}")), ({}, basic(HIDDEN)),
     ({"client_id": CS, "client_secret": HIDDEN}, None), ([("client_secret", HIDDEN), ("client_secret", "x")], None),
     ({"client_id": C, "grant_type": "refresh_token", "refresh_token": HIDDEN}, None),
     ({"client_id": C, "grant_type": "authorization_code", "code": HIDDEN, "code_verifier": HIDDEN}, None),
     ({"client_id": C, "token": HIDDEN, "client_secret": HIDDEN}, None)],
)  # fmt: skip
def test_tracebacks_of_token_requests_contain_no_secret(form, authorization):
    world = OAuthWorld()
    secrets = [HIDDEN, *([] if authorization is None else [authorization.removeprefix("Basic ")])]
    for called in (world.pools.oauth_token, world.pools.oauth_revoke):
        assert_hidden(world, lambda called=called: called(form, authorization=authorization), secrets)


def test_traceback_of_a_challenge_on_a_page_contains_no_answer():
    world = OAuthWorld()
    page = world.authorize()
    answers = [("NEW_PASSWORD", HIDDEN), ("NEW_PASSWORD", HIDDEN)]
    given = {"request": page.request, "browser": page.browser, "session": HIDDEN, "challenge_name": "NEW_PASSWORD_REQUIRED"}
    for answered in (answers, dict(answers)):
        assert_hidden(world, lambda answered=answered: world.pools.oauth_answer(answers=answered, **given), [HIDDEN])


def failing_provider(idp: Idp, place: str) -> None:
    """Let a document of the provider fail."""
    answer = idp.answer

    def fetch(url: str, limits: Any) -> Any:
        if url.endswith(place):
            raise FetchError("down", is_reachable=False)
        return answer(url, limits)

    idp.answer = fetch


@pytest.mark.parametrize("failing", ["token_endpoint", "jwks_uri", "userinfo_endpoint", "nonce"])
def test_tracebacks_of_provider_sign_in_contain_no_secret(failing):
    world = OAuthWorld()
    idp = world.add_oidc()
    if failing == "nonce":
        idp.claims["nonce"] = "another"
    else:
        failing_provider(idp, failing)
    assert_hidden(world, lambda: world.oidc_sign_in(idp, code=HIDDEN), [HIDDEN, "hidden-at-idp", "'at-idp'", "Bearer at-idp"])


def test_tracebacks_of_provider_settings_contain_no_secret():
    world = OAuthWorld()
    world.add_oidc()
    details = {"client_id": "x", "client_secret": HIDDEN, "authorize_scopes": "openid", "oidc_issuer": "http://idp.example"}
    named = {"user_pool_id": POOL, "provider_details": details}
    assert_hidden(world, lambda: world.pools.update_identity_provider(provider_name="Corp", **named), [HIDDEN])
    new = {"provider_name": "New", "provider_type": "OIDC", **named}
    assert_hidden(world, lambda: world.pools.create_identity_provider(**new), [HIDDEN])


def test_representations_of_answers_and_records_hide_secrets():
    world = World()
    tokens = world.tokens()
    assert all(str(tokens[name]) not in repr(tokens) for name in ("AccessToken", "IdToken", "RefreshToken"))
    assert "sealed" not in repr(world.pools._state.tables)
    assert repr(world.pools) == "<UserPools: 1 pools, 1 users>"


@pytest.mark.parametrize("size", [1_000_000])
def test_oversize_inputs_are_refused(size):
    world = World()
    text = "A" * size
    for called in (
        lambda: world.pools.get_user(access_token=text),
        lambda: world.pools.get_user(access_token=f"{text}.{text}.{text}"),
        lambda: world.password_sign_in("ana", text),
        lambda: world.password_sign_in(text),
        lambda: world.pools.sign_up(client_id=C, username=text, password=PASSWORD),
        lambda: world.answer({"ChallengeName": "SMS_MFA", "Session": text}, {}),
        lambda: world.pools.list_users(user_pool_id=POOL, filter=text),
    ):
        assert refusal(called).split(":")[0] in ("NotAuthorizedException", "InvalidParameterException", "UserNotFoundException")
