"""OAuth 2.0 and outside providers (F131 to F137, F223, F224, F231)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cognito_federated import CALLBACK, VERIFIER, Idp, OAuthWorld, challenge_of, parameter_of
from cognito_world import CS, POOL, SECRET, claims

from fastiam.sts import StsError
from user_pool_cases.registry import case, outcome
from user_pool_cases.tokens import refresh


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
