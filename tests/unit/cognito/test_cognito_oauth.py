"""OAuth 2.0 of user pools and sign-in with outside providers, where the cases of the specification do not reach."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import pytest
import saml_world
from cognito_federated import CALLBACK, HOST, OAUTH, Idp, OAuthWorld, parameter_of
from cognito_world import CS, PASSWORD, POOL, SECRET, C, attributes_of, claims, code_of
from cryptography import x509
from saml_world import rsa_key

from fastiam.cognito.user_pools import CognitoError, NotAuthorizedError
from fastiam.federation import FetchResult

# -- OAuth ----------------------------------------------------------------------------------------------------------------


def test_code_flow_gives_tokens_of_the_scopes():
    world = OAuthWorld()
    tokens = world.redeem(world.code_for(nonce="n1"))
    own, access = claims(tokens["id_token"]), claims(tokens["access_token"])
    assert own["nonce"] == "n1" and own["at_hash"] and own["email"] == "ana@x.example"
    assert access["scope"] == "openid email" and access["version"] == 2
    info = world.pools.oauth_user_info(tokens["access_token"])
    assert info == {"sub": own["sub"], "username": "ana", "email": "ana@x.example", "email_verified": "true"}
    assert code_of(lambda: world.pools.get_user(access_token=tokens["access_token"])) == "NotAuthorizedException"
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"], "client_id": C}
    again = world.pools.oauth_token(form)
    assert "refresh_token" not in again and claims(again["access_token"])["scope"] == "openid email"
    world.pools.oauth_revoke({"token": tokens["refresh_token"], "client_id": C})
    assert code_of(lambda: world.pools.oauth_token(form)) == "invalid_grant"
    world.pools.oauth_revoke({"token": "unreadable", "client_id": C})


def test_implicit_flow_gives_tokens_in_the_fragment():
    world = OAuthWorld(client={"allowed_o_auth_flows": ["implicit"]})
    answer = world.page_sign_in(world.authorize(response_type="token"))
    parts = urlsplit(answer.location)
    given = {name: values[0] for name, values in parse_qs(parts.fragment).items()}
    assert not parts.query and given["state"] == "s1" and "refresh_token" not in given
    assert claims(given["id_token"])["token_use"] == "id"
    assert parameter_of(world.authorize(), "error") == "unauthorized_client"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"scope": "openid phone"}, "invalid_scope"),
        ({"scope": "email"}, "invalid_scope"),
        ({"response_type": "token"}, "unauthorized_client"),
        ({"response_type": "id_token"}, "invalid_request"),
        ({"code_challenge": "x" * 43}, "invalid_request"),
        ({"code_challenge_method": "S256"}, "invalid_request"),
        ({"identity_provider": "Corp"}, "invalid_request"),
    ],
)
def test_authorization_error_is_sent_to_the_application(changes, error):
    answer = OAuthWorld().authorize(**changes)
    assert answer.kind == "redirect" and answer.location.startswith(CALLBACK)
    assert (parameter_of(answer, "error"), parameter_of(answer, "state")) == (error, "s1")


@pytest.mark.parametrize(
    "changes", [{"client_id": "unknown"}, {"redirect_uri": None}, {"redirect_uri": "https://app.example/CB"}]
)
def test_unknown_client_or_redirect_is_an_error_page(changes):
    answer = OAuthWorld().authorize(**changes)
    assert (answer.kind, answer.location) == ("error", "")


def test_client_with_a_secret_authenticates_in_one_way():
    import base64

    world = OAuthWorld()
    form = {"grant_type": "authorization_code", "redirect_uri": CALLBACK}
    basic = f"Basic {base64.b64encode(f'{CS}:{SECRET}'.encode()).decode()}"
    code = world.code_for(CS)
    both = {**form, "code": code, "client_secret": SECRET}
    assert code_of(lambda: world.pools.oauth_token(both, authorization=basic)) == "invalid_request"
    assert code_of(lambda: world.pools.oauth_token({**form, "code": code, "client_id": CS})) == "invalid_client"
    assert "id_token" in world.pools.oauth_token({**form, "code": code}, authorization=basic)


def test_mfa_and_new_password_are_asked_for_on_pages():
    world = OAuthWorld()
    world.pools.admin_create_user(
        user_pool_id=POOL,
        username="bob",
        temporary_password=PASSWORD,
        message_action="SUPPRESS",
        user_attributes=[{"Name": "email", "Value": "bob@x.example"}, {"Name": "email_verified", "Value": "true"}],
    )
    world.pools.set_user_pool_mfa_config(user_pool_id=POOL, email_mfa_configuration={}, mfa_configuration="OPTIONAL")
    world.pools.admin_set_user_mfa_preference(user_pool_id=POOL, username="bob", email_mfa_settings={"Enabled": True})
    page = world.authorize()

    def answer(challenge, **answers):
        return world.pools.oauth_answer(
            request=page.request,
            browser=page.browser,
            session=challenge["Session"],
            challenge_name=challenge["ChallengeName"],
            answers={"USERNAME": "bob", **answers},
        )

    first = world.page_sign_in(page, "bob")
    assert first.challenge["ChallengeName"] == "NEW_PASSWORD_REQUIRED"
    second = answer(first.challenge, NEW_PASSWORD="Other-Horse8")
    assert second.challenge["ChallengeName"] == "EMAIL_OTP"
    done = answer(second.challenge, EMAIL_OTP_CODE=world.code())
    assert world.redeem(parameter_of(done, "code"))["id_token"]


GRANT = {"response_type": "code", "client_id": C, "redirect_uri": CALLBACK}
NEW = "New-Horse77"
ENDINGS = {
    "reset": lambda pools: pools.admin_reset_user_password(user_pool_id=POOL, username="ana"),
    "temporary": lambda pools: pools.admin_set_user_password(user_pool_id=POOL, username="ana", password=NEW, permanent=False),
    "set": lambda pools: pools.admin_set_user_password(user_pool_id=POOL, username="ana", password=NEW, permanent=True),
    "sign-out": lambda pools: pools.admin_user_global_sign_out(user_pool_id=POOL, username="ana"),
    "disabled": lambda pools: pools.admin_disable_user(user_pool_id=POOL, username="ana"),
}


@pytest.mark.parametrize("end", ENDINGS.values(), ids=ENDINGS)
def test_sign_in_on_a_page_ends_with_the_password(end):  # UP96
    world = OAuthWorld()
    page = world.page_sign_in(world.authorize())
    again = world.pools.oauth_authorize(GRANT, cookie=page.cookie)
    assert again.kind == "redirect" and "refresh_token" in world.redeem(parameter_of(again, "code"))
    end(world.pools)
    assert world.pools.oauth_authorize(GRANT, cookie=page.cookie).kind == "sign_in", "the cookie"
    assert code_of(lambda: world.redeem(parameter_of(page, "code"))) == "invalid_grant", "a code that is not redeemed"


def test_change_of_a_password_ends_cookies_and_no_tokens():  # UP96
    world = OAuthWorld()
    page = world.page_sign_in(world.authorize())
    tokens = world.redeem(parameter_of(page, "code"))
    ENDINGS["set"](world.pools)
    assert world.pools.oauth_authorize(GRANT, cookie=page.cookie).kind == "sign_in"
    assert "access_token" in world.pools.oauth_token(refreshing(tokens)), "as on AWS"
    later = world.page_sign_in(world.authorize(), password=NEW)
    assert world.pools.oauth_authorize(GRANT, cookie=later.cookie).kind == "redirect"


def test_password_is_nothing_to_the_cookie_of_a_provider():
    world = OAuthWorld()
    page = world.oidc_sign_in(world.add_oidc())
    name = next(user["Username"] for user in world.pools.list_users(user_pool_id=POOL)["Users"] if user["Username"] != "ana")
    assert world.pools.oauth_authorize(GRANT, cookie=page.cookie).kind == "redirect"
    world.pools.admin_user_global_sign_out(user_pool_id=POOL, username=name)
    assert world.pools.oauth_authorize(GRANT, cookie=page.cookie).kind == "sign_in"


def refreshing(tokens):
    return {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"], "client_id": C}


def update(world, **changes):
    """Change the client."""
    flows = ["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]
    world.pools.update_user_pool_client(user_pool_id=POOL, client_id=C, explicit_auth_flows=flows, **{**OAUTH, **changes})


def test_refresh_leaves_out_scopes_that_the_client_has_lost():  # UP83
    world = OAuthWorld()
    tokens = world.redeem(world.code_for(scope="openid email"))
    update(world, allowed_o_auth_scopes=["openid"])
    again = world.pools.oauth_token(refreshing(tokens))
    assert claims(again["access_token"])["scope"] == "openid" and "email" not in claims(again["id_token"])
    by_api = {"REFRESH_TOKEN": tokens["refresh_token"]}
    result = world.pools.initiate_auth(client_id=C, auth_flow="REFRESH_TOKEN_AUTH", auth_parameters=by_api)
    assert claims(result["AuthenticationResult"]["AccessToken"])["scope"] == "openid"
    update(world, allowed_o_auth_scopes=["phone", "openid"])
    assert claims(world.pools.oauth_token(refreshing(tokens))["access_token"])["scope"] == "openid"


CHANGES = {
    "callback": {"callback_urls": ["https://new.example/cb"]},
    "scope": {"allowed_o_auth_scopes": ["openid"]},
    "grant": {"allowed_o_auth_flows": ["implicit"]},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_open_codes_and_pages_end_with_what_they_rest_on(change):  # UP96
    world = OAuthWorld()
    page, code = world.authorize(scope="openid email"), world.code_for(scope="openid email")
    update(world, **change)
    assert code_of(lambda: world.redeem(code)) in ("invalid_grant", "unauthorized_client")
    assert code_of(lambda: world.page_sign_in(page)) == "NotAuthorizedException"


def test_logout_clears_the_cookie_and_redirects_if_registered():
    world = OAuthWorld()
    answer = world.pools.oauth_logout({"client_id": C, "logout_uri": "https://app.example/bye"})
    assert (answer.kind, answer.location, answer.cookie) == ("redirect", "https://app.example/bye", "")
    assert world.pools.oauth_logout({"client_id": C, "logout_uri": "https://evil.example"}).kind == "error"


def test_discovery_names_the_endpoints_of_the_domain():
    document = OAuthWorld().pools.get_openid_configuration(POOL)
    assert document["token_endpoint"] == f"https://{HOST}/oauth2/token" and document["issuer"].endswith(POOL)


def test_removed_scope_leaves_the_clients():
    world = OAuthWorld()
    scopes = [{"ScopeName": name, "ScopeDescription": name} for name in ("read", "write")]
    world.pools.create_resource_server(user_pool_id=POOL, identifier="api", name="API", scopes=scopes)
    made = world.pools.create_user_pool_client(
        user_pool_id=POOL,
        client_name="service",
        generate_secret=True,
        allowed_o_auth_flows=["client_credentials"],
        allowed_o_auth_scopes=["api/read", "api/write"],
        allowed_o_auth_flows_user_pool_client=True,
    )["UserPoolClient"]["ClientId"]
    world.pools.update_resource_server(user_pool_id=POOL, identifier="api", name="API", scopes=scopes[:1])
    described = world.pools.describe_user_pool_client(user_pool_id=POOL, client_id=made)["UserPoolClient"]
    assert described["AllowedOAuthScopes"] == ["api/read"]


# -- outside providers ----------------------------------------------------------------------------------------------------


def test_external_user_signs_in_again_with_mapped_attributes():
    world = OAuthWorld()
    idp = world.add_oidc(email="email", email_verified="email_verified", given_name="first")
    idp.claims |= {"first": "Eve", "email_verified": True}
    tokens = world.redeem(parameter_of(world.oidc_sign_in(idp), "code"))
    own = claims(tokens["id_token"])
    assert own["cognito:username"] == "Corp_u1" and own["cognito:groups"] == [f"{POOL}_Corp"]
    assert own["identities"][0]["userId"] == "u1" and own["email_verified"] is True
    idp.claims |= {"email": "new@idp.example"}
    del idp.claims["first"]
    world.oidc_sign_in(idp)
    assert (
        attributes_of(world, "Corp_u1")["email"] == "new@idp.example" and attributes_of(world, "Corp_u1")["given_name"] == "Eve"
    )
    assert code_of(lambda: world.password_sign_in("Corp_u1")) == "NotAuthorizedException"
    world.pools.admin_disable_user(user_pool_id=POOL, username="Corp_u1")
    assert code_of(lambda: world.oidc_sign_in(idp)) == "NotAuthorizedException"


@pytest.mark.parametrize(
    ("name", "own", "other"), [("email", "eve@idp.example", "ana@x.example"), ("phone_number", "+1555", "+1666")]
)
def test_provider_verifies_only_an_address_that_it_sends(name, own, other):
    world = OAuthWorld(user=None)
    verified = f"{name}_verified"
    idp = world.add_oidc(**{name: name, verified: verified})
    idp.claims = {"sub": "u1", verified: True}
    world.oidc_sign_in(idp)
    assert verified not in attributes_of(world, "Corp_u1")
    idp.claims[name] = own
    world.oidc_sign_in(idp)
    assert attributes_of(world, "Corp_u1")[verified] == "true"
    written = [{"Name": name, "Value": other}]
    world.pools.admin_update_user_attributes(user_pool_id=POOL, username="Corp_u1", user_attributes=written)
    del idp.claims[name]
    world.oidc_sign_in(idp)
    assert attributes_of(world, "Corp_u1") | {name: other, verified: "false"} == attributes_of(world, "Corp_u1")


@pytest.mark.parametrize(("info", "is_verified"), [({}, True), ({"email": "eve@idp.example"}, True),
     ({"email": "ana@x.example"}, False), ({"email": "ana@x.example", "email_verified": True}, True)])  # fmt: skip
def test_id_token_flag_does_not_verify_a_user_info_address(info, is_verified):
    world = OAuthWorld(user=None)
    idp = world.add_oidc(email="email", email_verified="email_verified")
    idp.claims |= {"email_verified": True}
    idp.info |= info
    world.oidc_sign_in(idp)
    found = attributes_of(world, "Corp_u1")
    assert found["email"] == info.get("email", "eve@idp.example")
    assert (found.get("email_verified") == "true") is is_verified


def test_provider_that_sends_no_address_leaves_a_verified_one():
    world = OAuthWorld(user=None)
    idp = world.add_oidc(email="email")
    world.oidc_sign_in(idp)
    verified = [{"Name": "email", "Value": "eve@x.example"}, {"Name": "email_verified", "Value": "true"}]
    world.pools.admin_update_user_attributes(user_pool_id=POOL, username="Corp_u1", user_attributes=verified)
    del idp.claims["email"]
    world.oidc_sign_in(idp)
    assert attributes_of(world, "Corp_u1")["email_verified"] == "true"


def test_state_counts_once_and_for_its_browser():
    world = OAuthWorld()
    idp = world.add_oidc()
    sent, query = world.at_idp()
    idp.nonce = query["nonce"]
    given = {"code": "code-idp", "state": query["state"]}
    for browser in (None, "x"):
        assert code_of(lambda browser=browser: world.pools.oauth_idp_response(given, browser=browser)) == "NotAuthorizedException"
    world.pools.oauth_idp_response(given, browser=sent.browser)
    assert code_of(lambda: world.pools.oauth_idp_response(given, browser=sent.browser)) == "NotAuthorizedException"
    sent, query = world.at_idp()
    world.pass_time(300)
    late = {"code": "code-idp", "state": query["state"]}
    assert code_of(lambda: world.pools.oauth_idp_response(late, browser=sent.browser)) == "NotAuthorizedException"


@pytest.mark.parametrize(
    "claims_of_idp",
    [{"aud": "other"}, {"iss": "https://evil.example"}, {"exp": 1}, {"azp": "other"}, {"sub": ""}, {"iat": 1e9}],
)
def test_id_token_of_a_provider_with_other_claims_is_refused(claims_of_idp):
    world = OAuthWorld()
    idp = world.add_oidc()
    idp.claims |= claims_of_idp
    with pytest.raises(NotAuthorizedError):
        world.oidc_sign_in(idp)
    assert len(world.pools._state.tables.users) == 1


def test_provider_that_answers_with_another_issuer_is_refused():
    world = OAuthWorld()
    idp = world.add_oidc()
    assert code_of(lambda: world.oidc_sign_in(idp, iss="https://evil.example")) == "NotAuthorizedException"


def link(world: OAuthWorld, attribute: str, value: str, user: str = "ana") -> None:
    source = {"ProviderName": "Corp", "ProviderAttributeName": attribute, "ProviderAttributeValue": value}
    target = {"ProviderName": "Cognito", "ProviderAttributeValue": user}
    world.pools.admin_link_provider_for_user(user_pool_id=POOL, destination_user=target, source_user=source)


def test_linked_identity_signs_in_as_the_native_user():
    world = OAuthWorld()
    idp = world.add_oidc(email="email")
    link(world, "Cognito_Subject", "u1")
    own = claims(world.redeem(parameter_of(world.oidc_sign_in(idp), "code"))["id_token"])
    assert own["cognito:username"] == "ana" and own["email"] == "ana@x.example"
    with pytest.raises(CognitoError):
        link(world, "Cognito_Subject", "u1")
    source = {"ProviderName": "Corp", "ProviderAttributeName": "Cognito_Subject", "ProviderAttributeValue": "u1"}
    world.pools.admin_disable_provider_for_user(user_pool_id=POOL, user=source)
    own = claims(world.redeem(parameter_of(world.oidc_sign_in(idp), "code"))["id_token"])
    assert own["cognito:username"] == "Corp_u1"


def test_link_by_a_claim_binds_the_subject_at_first_use():
    world = OAuthWorld()
    idp = world.add_oidc()
    link(world, "email", "eve@idp.example")
    assert any("trusts the provider" in warning for warning in world.events[-1].warnings)
    world.oidc_sign_in(idp)
    idp.claims["sub"] = idp.info["sub"] = "u2"  # another person with the same address
    own = claims(world.redeem(parameter_of(world.oidc_sign_in(idp), "code"))["id_token"])
    assert own["cognito:username"] == "Corp_u2"


def test_pre_sign_up_refuses_an_external_user():
    def refuse(event):
        if event["triggerSource"] == "PreSignUp_ExternalProvider":
            raise ValueError("not invited")
        return event

    world = OAuthWorld(triggers={"PreSignUp": refuse})
    idp = world.add_oidc()
    assert code_of(lambda: world.oidc_sign_in(idp)) == "UserLambdaValidationException"
    assert len(world.pools._state.tables.users) == 1


def test_external_user_with_the_name_of_a_native_one_is_refused():
    world = OAuthWorld()
    world.add_user("Corp_u1")
    idp = world.add_oidc()
    assert code_of(lambda: world.oidc_sign_in(idp)) == "UsernameExistsException"


def test_saml_sign_in_that_begins_at_the_provider():
    world = OAuthWorld()
    world.add_saml(IDPInit="true")
    relay = f"identity_provider=Corp&client_id={C}&redirect_uri={CALLBACK}&response_type=code"
    given = {"relay_state": relay, "user_pool_id": POOL}
    done = world.pools.saml_idp_response(saml_response=world.saml_response(None), **given)
    assert parameter_of(done, "code")
    with pytest.raises(NotAuthorizedError):
        world.pools.saml_idp_response(saml_response=world.saml_response("_x", id="_a2"), **given)
    world.pools.update_identity_provider(
        user_pool_id=POOL, provider_name="Corp", provider_details={"MetadataFile": saml_world.metadata()}
    )
    with pytest.raises(NotAuthorizedError):
        world.pools.saml_idp_response(saml_response=world.saml_response(None, id="_a3"), **given)


def test_saml_encryption_is_required_if_it_is_on(monkeypatch):
    world = OAuthWorld()
    world.add_saml(EncryptedResponses="true")
    described = world.pools.describe_identity_provider(user_pool_id=POOL, provider_name="Corp")["IdentityProvider"]
    certificate = x509.load_pem_x509_certificate(described["ProviderDetails"]["ActiveEncryptionCertificate"].encode())
    with pytest.raises(NotAuthorizedError):
        world.saml_sign_in()
    encrypt = saml_world.encrypted
    monkeypatch.setattr(saml_world, "encrypted", lambda plain, _, **o: encrypt(plain, certificate.public_key(), **o))
    assert parameter_of(world.saml_sign_in(encrypt={}), "code")


def test_saml_metadata_are_read_again_after_six_hours():
    world = OAuthWorld()
    documents = [saml_world.metadata()]
    world.pools._state.fetch = lambda url, limits: FetchResult(200, documents[-1].encode())
    details = {"MetadataURL": "https://idp.example/metadata"}
    world._add("Corp", "SAML", details, {})
    assert parameter_of(world.saml_sign_in(), "code")
    documents.append(saml_world.metadata(rsa_key("new").text))
    assert parameter_of(world.saml_sign_in(id="_a2"), "code")
    world.pass_time(6 * 3600)
    with pytest.raises(NotAuthorizedError):
        world.saml_sign_in(id="_a3")
    documents.append("broken")
    world.pass_time(6 * 3600)
    assert parameter_of(world.saml_sign_in(id="_a4", signing={"key": rsa_key("new").private}), "code")


@pytest.mark.parametrize(
    ("name", "kind", "details"),
    [
        ("Co", "OIDC", {}),
        ("Co_rp", "OIDC", {}),
        ("Corp", "Facebook", {"client_id": "x"}),
        ("Corp", "OIDC", {"oidc_issuer": "http://idp.example"}),
        ("Corp", "OIDC", {"unknown": "x"}),
        ("Corp", "SAML", {"MetadataFile": "x"}),
        ("Corp", "SAML", {}),
        ("Google", "OIDC", {}),
    ],
)
def test_wrong_provider_is_refused(name, kind, details):
    world = OAuthWorld()
    full = {"client_id": "c", "authorize_scopes": "openid", "oidc_issuer": "https://idp.example"} if kind == "OIDC" else {}
    given = {"user_pool_id": POOL, "provider_name": name, "provider_type": kind, "provider_details": full | details}
    assert code_of(lambda: world.pools.create_identity_provider(**given)) == "InvalidParameterException"


def test_client_secret_of_a_provider_is_not_shown():
    world = OAuthWorld()
    world.add_oidc("Corp", Idp())
    described = world.pools.describe_identity_provider(user_pool_id=POOL, provider_name="Corp")
    assert "hidden-at-idp" not in json.dumps(described, default=str) + repr(world.pools._state.tables)
