"""Attacks on tokens, OAuth pages and parameters of user pools: forged, altered, foreign or replayed values are refused."""

from __future__ import annotations

import base64
import hmac
import json
from typing import Any

import jwt
import pytest
from cognito_federated import OAUTH, Idp, OAuthWorld, challenge_of
from cognito_world import ACCOUNT, CS, PASSWORD, POOL, C, World, refusal
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from fastiam.cognito.user_pools import CognitoError, NotAuthorizedError, keys

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
