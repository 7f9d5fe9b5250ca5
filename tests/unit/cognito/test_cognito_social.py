"""Providers of a user pool with fixed addresses: Facebook, Login with Amazon, Sign in with Apple and Google (4.18)."""

from __future__ import annotations

import base64
import traceback
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import jwt
import pytest
from cognito_federated import IDP_CLIENT, POOL, Idp, OAuthWorld, parameter_of
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from fastiam.cognito.user_pools import CognitoError, NotAuthorizedError
from fastiam.federation import FetchError, FetchLimits
from fastiam.sts import StsError

SECRET, ACCESS, CODE = "hidden-at-idp", "access-at-idp", "code-idp"
APPLE_KEY = ec.generate_private_key(ec.SECP256R1())
PEM = APPLE_KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
APPLE = {"client_id": IDP_CLIENT, "team_id": "TEAM", "key_id": "K1", "private_key": PEM, "authorize_scopes": "email name"}
DETAILS = {"client_id": IDP_CLIENT, "client_secret": SECRET, "authorize_scopes": "public_profile"}


class Network:
    """The addresses of Facebook and Amazon. `check` is what they say of the access token; `asked` are the addresses."""

    def __init__(self, issuer: str, check: Any, profile: Any) -> None:
        self.issuer, self.check, self.profile = issuer, check, profile
        self.asked: list[str] = []
        self.forms: list[dict[str, str]] = []

    def answer(self, url: str, limits: FetchLimits) -> Any:
        self.asked.append(str.__str__(url))
        if limits.form is not None:
            self.forms.append(dict(parse_qsl(limits.form.decode())))
            return {"access_token": ACCESS, "token_type": "bearer", "expires_in": 3600}
        if "/debug_token?" in url or "/tokeninfo?" in url:
            return self.check
        assert limits.headers["Authorization"] == f"Bearer {ACCESS}"
        return self.profile


def facebook(**changes: Any) -> Network:
    data = {"app_id": IDP_CLIENT, "user_id": "77", "is_valid": True, "expires_at": 0}
    return Network("https://graph.facebook.com/", {"data": data | changes}, {"id": "77", "email": "eve@x.example"})


def amazon(**changes: Any) -> Network:
    check = {"iss": "https://www.amazon.com", "aud": IDP_CLIENT, "user_id": "amzn1.77", "exp": 3600}
    return Network("https://api.amazon.com/", check | changes, {"user_id": "amzn1.77", "email": "eve@x.example"})


NETWORKS = {"Facebook": facebook, "LoginWithAmazon": amazon}


class SocialWorld(OAuthWorld):
    """A pool with one provider, named like its type."""

    def __init__(self, kind: str, network: Any, details: dict[str, str] = DETAILS, **mapping: str) -> None:
        super().__init__()
        self.kind, self.network = kind, network
        self.idps[network.issuer] = network
        self._add(kind, kind, details, mapping)

    def sign_in(self, code: str = CODE, **changes: str) -> Any:
        sent, query = self.at_idp(self.kind)
        if isinstance(self.network, Idp):
            self.network.nonce = query["nonce"]
        return self.pools.oauth_idp_response({"code": code, "state": query["state"], **changes}, browser=sent.browser)

    def users(self) -> list[tuple[str, str, dict[str, str]]]:
        users = [user for user in self.pools._state.tables.users.values() if user.username != "ana"]
        return [(user.username, user.status, dict(user.attributes)) for user in users]


# -- sign-in --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", NETWORKS)
def test_access_token_of_a_social_provider_signs_its_user_in(kind):
    world = SocialWorld(kind, NETWORKS[kind](), email="email")
    assert parameter_of(world.sign_in(), "code") and parameter_of(world.sign_in(), "code")
    subject = "77" if kind == "Facebook" else "amzn1.77"
    values = {"email": "eve@x.example", "email_verified": "false"}
    assert world.users() == [(f"{kind}_{subject}", "EXTERNAL_PROVIDER", values)]
    form = world.network.forms[0]
    assert (form["client_secret"], form["code"], form["client_id"]) == (SECRET, CODE, IDP_CLIENT)


def test_requests_to_facebook_are_of_its_documented_form():
    world = SocialWorld("Facebook", facebook(), {**DETAILS, "api_version": "v21.0"}, email="email")
    sent, query = world.at_idp("Facebook")
    assert sent.location.startswith("https://www.facebook.com/v21.0/dialog/oauth?") and "nonce" not in query
    world.sign_in()
    token, check, profile = world.network.asked
    assert token == "https://graph.facebook.com/v21.0/oauth/access_token"
    assert parse_qs(urlsplit(check).query) == {"input_token": [ACCESS], "access_token": [f"{IDP_CLIENT}|{SECRET}"]}
    assert profile == "https://graph.facebook.com/v21.0/me?fields=email%2Cid"


@pytest.mark.parametrize("encode", [lambda pem: pem, lambda pem: "".join(pem.splitlines()[1:-1])], ids=["pem", "base64"])
def test_apple_gets_a_client_secret_that_the_key_signs(encode):
    idp = Idp("https://appleid.apple.com")
    world = SocialWorld("SignInWithApple", idp, {**APPLE, "private_key": encode(PEM)}, email="email")
    sent, query = world.at_idp("SignInWithApple")
    assert query["response_mode"] == "form_post" and sent.browser_crosses_sites
    assert parameter_of(world.sign_in(), "code")
    assert [user[0] for user in world.users()] == ["SignInWithApple_u1"]
    secret = idp.forms[-1]["client_secret"]
    options: Any = {"verify_exp": False, "verify_iat": False}
    claims = jwt.decode(secret, APPLE_KEY.public_key(), ["ES256"], options, audience=idp.issuer, issuer="TEAM")
    assert jwt.get_unverified_header(secret)["kid"] == "K1" and claims["sub"] == IDP_CLIENT
    assert claims["exp"] - claims["iat"] == 300 and claims["iat"] == int(world.now.timestamp())


def test_google_signs_in_by_its_discovery():
    idp = Idp("https://accounts.google.com")
    world = SocialWorld("Google", idp, email="email")
    assert not world.at_idp("Google")[0].browser_crosses_sites
    assert parameter_of(world.sign_in(iss=idp.issuer), "code")
    assert [user[0] for user in world.users()] == ["Google_u1"]


def test_saml_answer_comes_from_the_site_of_the_provider():
    world = OAuthWorld()
    world.add_saml()
    assert world.at_idp()[0].browser_crosses_sites and not world.authorize().browser_crosses_sites


# -- attacks --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("Facebook", {"app_id": "another"}),  # a token that another application obtained
        ("Facebook", {"is_valid": False}),
        ("Facebook", {"user_id": "78"}),  # not the user of the profile
        ("Facebook", {"expires_at": 1}),
        ("LoginWithAmazon", {"aud": "another"}),
        ("LoginWithAmazon", {"iss": "https://evil.example"}),
        ("LoginWithAmazon", {"user_id": "amzn1.78"}),
        ("LoginWithAmazon", {"exp": 0}),
    ],
)
def test_access_token_that_is_not_of_this_sign_in_is_refused(kind, changes):
    world = SocialWorld(kind, NETWORKS[kind](**changes))
    with pytest.raises(NotAuthorizedError, match="not accepted"):
        world.sign_in()
    assert world.users() == []


@pytest.mark.parametrize("profile", [{}, {"id": 77}, {"id": "77\ud800"}, {"user_id": "77"}, []])
def test_profile_without_the_user_is_refused(profile):
    world = SocialWorld("Facebook", facebook())
    world.network.profile = profile
    with pytest.raises(NotAuthorizedError, match="not accepted"):
        world.sign_in()


def test_id_token_of_apple_for_another_client_is_refused():
    world = SocialWorld("SignInWithApple", Idp("https://appleid.apple.com"), APPLE)
    world.network.claims["aud"] = "another"
    with pytest.raises(NotAuthorizedError, match="not accepted"):
        world.sign_in()


def _bare(key: Any) -> str:
    return base64.b64encode(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())).decode()


@pytest.mark.parametrize(
    ("name", "kind", "details"),
    [
        ("Corp", "Facebook", DETAILS),
        ("Facebook", "OIDC", DETAILS),
        ("Facebook", "LoginWithAmazon", DETAILS),
        ("Facebook", "Facebook", {"client_id": "x", "authorize_scopes": "x"}),
        ("Facebook", "Facebook", {**DETAILS, "api_version": "../x"}),
        ("Facebook", "Facebook", {**DETAILS, "token_url": "https://evil.example"}),
        ("LoginWithAmazon", "LoginWithAmazon", {**DETAILS, "api_version": "v23.0"}),
        ("SignInWithApple", "SignInWithApple", DETAILS),
        ("SignInWithApple", "SignInWithApple", {**APPLE, "private_key": "x"}),
        ("SignInWithApple", "SignInWithApple", {**APPLE, "private_key": _bare(ec.generate_private_key(ec.SECP384R1()))}),
        ("SignInWithApple", "SignInWithApple", {**APPLE, "private_key": _bare(rsa.generate_private_key(65_537, 2_048))}),
        ("Corp", "OIDC", {**DETAILS, "oidc_issuer": "https://idp.example", "attributes_url_add_attributes": "true"}),
    ],
)
def test_social_provider_with_wrong_details_is_refused(name, kind, details):
    world = OAuthWorld()
    with pytest.raises(CognitoError) as error:
        world.pools.create_identity_provider(user_pool_id=POOL, provider_name=name, provider_type=kind, provider_details=details)
    assert error.value.code == "InvalidParameterException"


# -- changes and secrets ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "details"), [("Facebook", DETAILS), ("SignInWithApple", APPLE)])
def test_update_of_a_social_provider_keeps_its_secret(kind, details):
    world = SocialWorld(kind, Idp("https://appleid.apple.com") if kind == "SignInWithApple" else facebook(), details)
    kept = {name: value for name, value in details.items() if name not in ("client_secret", "private_key")}
    for changed in (None, {**kept, "authorize_scopes": "email"}):
        world.pools.update_identity_provider(user_pool_id=POOL, provider_name=kind, provider_details=changed)
        assert parameter_of(world.sign_in(), "code")
    shown = world.pools.describe_identity_provider(user_pool_id=POOL, provider_name=kind)["IdentityProvider"]["ProviderDetails"]
    assert shown == {**kept, "authorize_scopes": "email"}


def test_provider_without_its_secret_refuses_sign_in():
    """The directory format has no secrets: a pool that was loaded from it needs them again."""
    world = SocialWorld("Facebook", facebook())
    state = world.pools._state
    with state.transaction():
        for key in list(state.tables.provider_secrets):
            state.put("provider_secrets", key, None)
    with pytest.raises(NotAuthorizedError, match="not accepted"):
        world.sign_in()


@pytest.mark.parametrize("failure", [lambda: FetchError("no connection", is_reachable=False), lambda: RuntimeError("a mistake")])
@pytest.mark.parametrize("kind", ["Facebook", "LoginWithAmazon", "SignInWithApple"])
def test_tracebacks_of_social_sign_in_contain_no_secret(kind, failure):
    network: Any = Idp("https://appleid.apple.com") if kind == "SignInWithApple" else NETWORKS[kind]()
    world = SocialWorld(kind, network, APPLE if kind == "SignInWithApple" else DETAILS)
    asked, answer, seen = [0], network.answer, []

    def fail(url: str, limits: FetchLimits) -> Any:
        asked[0] -= 1
        if asked[0] == 0:
            raise failure()
        return answer(url, limits)

    network.answer = fail
    for failing in range(1, 4):
        sent, query = world.at_idp(kind)
        asked[0] = failing
        with pytest.raises((StsError, RuntimeError)) as error:
            world.pools.oauth_idp_response({"code": CODE, "state": query["state"]}, browser=sent.browser)
        frames = [frame for frame, _ in traceback.walk_tb(error.value.__traceback__)]
        own = [frame for frame in frames if "/src/fastiam/" in frame.f_code.co_filename]
        seen.append("".join(repr(value) for frame in own for value in frame.f_locals.values()))
    assert len(seen) == 3 and not any(text in "".join(seen) for text in (SECRET, ACCESS, CODE, PEM.splitlines()[1]))
