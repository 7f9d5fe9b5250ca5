"""Tracebacks, messages, events and representations of user pools contain no secret."""

from __future__ import annotations

import base64
import traceback
from typing import Any

import pytest
from cognito_federated import Idp, OAuthWorld
from cognito_world import CS, POOL, C, World

from fastiam.federation.fetch import FetchError
from fastiam.sts import StsError

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
