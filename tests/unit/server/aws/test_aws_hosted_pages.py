"""The OAuth endpoints, the sign-in pages and the OpenID discovery of user pools, as browsers and OIDC clients use them."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html import unescape
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
import pytest
from aws_world import AwsWorld

from fastiam.server.config import ConfigError
from fastiam.server.http import Request, Response
from fastiam.server.protocols.aws.section import Codes, Section

URL, CALLBACK, PASSWORD = "https://login.example/aws", "https://app.example/cb", "Correct-Horse7!"
VERIFIER = "v" * 50
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")


class Browser:
    """A browser with cookies, and the application that sends it here."""

    def __init__(self, world: AwsWorld) -> None:
        self.world, self.cookies = world, dict[str, str]()
        self.pools = world.client("cognito-idp")
        made = self.pools.create_user_pool(PoolName="P")["UserPool"]
        self.pool = made["Id"]
        self.client = self.add_client("code")
        self.pools.admin_create_user(UserPoolId=self.pool, Username="ana", MessageAction="SUPPRESS")
        self.set_password(permanent=True)

    def add_client(self, flow: str, **more: object) -> dict:
        given = {"AllowedOAuthFlows": [flow], "AllowedOAuthFlowsUserPoolClient": True, "AllowedOAuthScopes": ["openid", "email"]}
        given |= {"CallbackURLs": [CALLBACK], "LogoutURLs": [CALLBACK], "SupportedIdentityProviders": ["COGNITO"]}
        return self.pools.create_user_pool_client(UserPoolId=self.pool, ClientName="c", **given | more)["UserPoolClient"]

    def set_password(self, *, permanent: bool) -> None:
        self.pools.admin_set_user_password(UserPoolId=self.pool, Username="ana", Password=PASSWORD, Permanent=permanent)

    def send(self, method: str, path: str, query: dict | None = None, form: dict | None = None, **headers: str) -> Response:
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        fields = {"host": "login.example", **({"cookie": cookies} if cookies else {}), **headers}
        if form is not None:
            fields["content-type"] = "application/x-www-form-urlencoded"
        pairs = tuple((name.encode(), value.encode()) for name, value in fields.items())
        body = urlencode(form).encode() if form is not None else b""
        raw_query = urlencode(query).encode() if query else b""
        response = self.world.handle(
            Request(method, f"/aws{path}".encode(), raw_query, pairs, body, client_address="192.0.2.1", client_is_tls=True)
        )
        for name, value in response.headers:
            if name == b"set-cookie":
                key, _, rest = value.decode().partition("=")
                self.cookies[key] = rest.partition(";")[0]
        return response

    def authorize(self, **changes: str) -> Response:
        query = {"response_type": "code", "client_id": self.client["ClientId"], "redirect_uri": CALLBACK, "state": "s1"}
        return self.send("GET", "/oauth2/authorize", query | {"scope": "openid email"} | changes)

    def fill(self, page: Response, **values: str) -> Response:
        """Send the form of a page."""
        text = page.body.decode()
        form = {name: unescape(value) for name, value in re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', text)}
        return self.send("POST", re.search(r'action="/aws([^"]+)"', text)[1], form=form | values)

    def sign_in(self, page: Response | None = None) -> Response:
        return self.fill(page or self.authorize(), username="ana", password=PASSWORD)

    def redeem(self, answer: Response, **more: str) -> Response:
        form = {"grant_type": "authorization_code", "client_id": self.client["ClientId"], "redirect_uri": CALLBACK}
        return self.send("POST", "/oauth2/token", form=form | {"code": parameters(answer)["code"]} | more)


def parameters(answer: Response) -> dict[str, str]:
    """The parameters of a redirect to the application."""
    assert answer.status == 302, answer.body
    location = dict(answer.headers)[b"location"].decode()
    assert location.startswith(CALLBACK)
    return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}


def text_of(page: Response) -> str:
    assert page.content_type == "text/html; charset=utf-8"
    return page.body.decode()


@pytest.fixture
def browser() -> Browser:
    return Browser(AwsWorld(section=Section(public_url=URL)))


def test_client_finds_and_verifies_everything_by_discovery(browser):
    """As a stock OIDC client does: discovery, keys, code with PKCE, ID token, userInfo."""
    document = json.loads(browser.send("GET", f"/{browser.pool}/.well-known/openid-configuration").body)
    assert document["issuer"] == f"{URL}/{browser.pool}"
    assert document["authorization_endpoint"] == f"{URL}/oauth2/authorize"
    answer = browser.sign_in(browser.authorize(nonce="n1", code_challenge=CHALLENGE, code_challenge_method="S256"))
    assert parameters(answer)["state"] == "s1"
    response = browser.redeem(answer, code_verifier=VERIFIER)
    tokens = json.loads(response.body)
    assert response.status == 200 and dict(response.headers)[b"cache-control"] == b"no-store"
    keys = json.loads(browser.send("GET", document["jwks_uri"].removeprefix(URL)).body)["keys"]
    kid = jwt.get_unverified_header(tokens["id_token"])["kid"]
    key = jwt.PyJWK(next(each for each in keys if each["kid"] == kid)).key
    options = {"verify_exp": False, "verify_iat": False}
    client = browser.client["ClientId"]
    claims = jwt.decode(tokens["id_token"], key, ["RS256"], audience=client, issuer=document["issuer"], options=options)
    assert (claims["cognito:username"], claims["nonce"]) == ("ana", "n1")
    info = browser.send("GET", "/oauth2/userInfo", authorization=f"Bearer {tokens['access_token']}")
    assert json.loads(info.body)["username"] == "ana"
    again = {"grant_type": "refresh_token", "client_id": client, "refresh_token": tokens["refresh_token"]}
    assert "id_token" in json.loads(browser.send("POST", "/oauth2/token", form=again).body)
    revoke = {"client_id": client, "token": tokens["refresh_token"]}
    assert browser.send("POST", "/oauth2/revoke", form=revoke).status == 200
    refused = browser.send("POST", "/oauth2/token", form=again)
    assert (refused.status, json.loads(refused.body)) == (400, {"error": "invalid_grant"})


def test_stock_client_signs_in(browser):
    """Authlib, which knows nothing but the address of the discovery document and the client."""
    httpx_client = pytest.importorskip("authlib.integrations.httpx_client")
    from httpx2 import MockTransport
    from httpx2 import Response as HttpResponse
    from joserfc import jwk
    from joserfc import jwt as jose

    def send(request):
        fields = tuple((name.lower(), value) for name, value in request.headers.raw)
        url, body = request.url, request.read()
        answer = browser.world.handle(Request(request.method, url.raw_path.partition(b"?")[0], url.query, fields, body))
        return HttpResponse(answer.status, content=answer.body, headers=[*answer.headers, (b"content-type", b"application/json")])

    made = browser.add_client("code", GenerateSecret=True)
    client = httpx_client.OAuth2Client(
        made["ClientId"], made["ClientSecret"], scope="openid email", redirect_uri=CALLBACK, transport=MockTransport(send),
        code_challenge_method="S256",
    )  # fmt: skip
    found = client.request("GET", f"{URL}/{browser.pool}/.well-known/openid-configuration", withhold_token=True).json()
    address, state = client.create_authorization_url(found["authorization_endpoint"], code_verifier=VERIFIER, nonce="n1")
    query = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
    answer = browser.sign_in(browser.send("GET", urlsplit(address).path.removeprefix("/aws"), query))
    arrived = dict(answer.headers)[b"location"].decode()
    token = client.fetch_token(found["token_endpoint"], authorization_response=arrived, state=state, code_verifier=VERIFIER)
    keys = jwk.KeySet.import_key_set(client.request("GET", found["jwks_uri"], withhold_token=True).json())
    claims = jose.decode(token["id_token"], keys, algorithms=["RS256"]).claims
    assert (claims["iss"], claims["aud"], claims["nonce"]) == (found["issuer"], made["ClientId"], "n1")
    assert client.get(found["userinfo_endpoint"]).json()["sub"] == claims["sub"]


def test_client_credentials_give_a_token_for_a_resource_server(browser):
    pools = browser.pools
    scopes = [{"ScopeName": "read", "ScopeDescription": "Read"}]
    pools.create_resource_server(UserPoolId=browser.pool, Identifier="api", Name="api", Scopes=scopes)
    made = browser.add_client("client_credentials", GenerateSecret=True, AllowedOAuthScopes=["api/read"], CallbackURLs=[])
    basic = base64.b64encode(f"{made['ClientId']}:{made['ClientSecret']}".encode()).decode()
    response = browser.send("POST", "/oauth2/token", form={"grant_type": "client_credentials"}, authorization=f"Basic {basic}")
    token = json.loads(response.body)["access_token"]
    claims = jwt.decode(token, options={"verify_signature": False})
    assert (claims["scope"], claims["iss"]) == ("api/read", f"{URL}/{browser.pool}")
    wrong = browser.send("POST", "/oauth2/token", form={"grant_type": "client_credentials"}, authorization="Basic eDp5")
    assert json.loads(wrong.body) == {"error": "invalid_client"}


def test_session_cookie_signs_in_until_sign_out(browser):
    browser.sign_in()
    assert parameters(browser.authorize())["code"]
    client = browser.client["ClientId"]
    out = browser.send("GET", "/logout", {"client_id": client, "logout_uri": CALLBACK})
    assert out.status == 302 and browser.cookies["fastiam-session"] == ""
    assert "<form" in text_of(browser.authorize())


def test_cookies_and_pages_are_closed_to_other_sites(browser):
    page = browser.authorize()
    headers = dict(page.headers)
    assert b"frame-ancestors 'none'" in headers[b"content-security-policy"] and headers[b"cache-control"] == b"no-store"
    answer = browser.sign_in(page)
    cookies = [value.decode() for response in (page, answer) for name, value in response.headers if name == b"set-cookie"]
    assert len(cookies) == 2
    assert all("HttpOnly; SameSite=Lax; Secure" in cookie and "Path=/aws;" in cookie for cookie in cookies)


def test_form_of_another_browser_is_refused(browser):
    page = browser.authorize()
    browser.cookies.clear()
    refused = browser.sign_in(page)
    assert refused.status == 400 and "the page has expired" in text_of(refused)


def test_wrong_password_shows_the_page_again(browser):
    page = browser.authorize()
    again = browser.fill(page, username="ana", password="<Wrong-Horse8>")
    assert again.status == 400 and 'role="alert"' in text_of(again) and "<Wrong" not in text_of(again)
    assert parameters(browser.fill(again, username="ana", password=PASSWORD))["code"]


def test_temporary_password_is_replaced_on_a_page(browser):
    browser.set_password(permanent=False)
    page = browser.sign_in()
    assert 'name="answer.NEW_PASSWORD"' in text_of(page)
    short = browser.fill(page, **{"answer.NEW_PASSWORD": "short"})
    assert short.status == 400 and 'name="answer.NEW_PASSWORD"' in text_of(short)
    assert parameters(browser.fill(short, **{"answer.NEW_PASSWORD": "Other-Horse8!"}))["code"]


def test_second_factor_is_asked_for_on_a_page(tmp_path):
    path = tmp_path / "codes"
    browser = Browser(AwsWorld(section=Section(public_url=URL, codes=Codes(file=str(path)))))
    user = {"UserPoolId": browser.pool, "Username": "ana"}
    verified = [{"Name": "email", "Value": "a@x.example"}, {"Name": "email_verified", "Value": "true"}]
    browser.pools.admin_update_user_attributes(**user, UserAttributes=verified)
    browser.pools.set_user_pool_mfa_config(
        UserPoolId=browser.pool, MfaConfiguration="OPTIONAL", EmailMfaConfiguration={"Message": "{####}", "Subject": "code"}
    )
    browser.pools.admin_set_user_mfa_preference(**user, EmailMfaSettings={"Enabled": True, "PreferredMfa": True})
    page = browser.sign_in()
    assert 'name="answer.EMAIL_OTP_CODE"' in text_of(page)
    code = json.loads(path.read_text().splitlines()[-1])["code"]
    assert parameters(browser.fill(page, **{"answer.EMAIL_OTP_CODE": code}))["code"]


@pytest.mark.parametrize(
    "changes", [{"client_id": "unknown"}, {"redirect_uri": "https://other.example/cb"}], ids=["client", "redirect"]
)
def test_unknown_client_or_redirect_is_an_error_page(browser, changes):
    page = browser.authorize(**changes)
    assert page.status == 400 and "Sign-in is not possible" in text_of(page)
    assert not any(name == b"location" for name, _ in page.headers)


def test_error_for_the_application_goes_to_it(browser):
    assert parameters(browser.authorize(scope="unknown")) == {"error": "invalid_scope", "state": "s1"}


@pytest.mark.parametrize(
    ("method", "path", "status", "error"),
    [
        ("POST", "/oauth2/token", 400, "invalid_client"),
        ("GET", "/oauth2/userInfo", 401, "invalid_token"),
        ("POST", "/oauth2/revoke", 401, "invalid_client"),
    ],
)
def test_endpoint_answers_errors_of_oauth(browser, method, path, status, error):
    response = browser.send(method, path, form={} if method == "POST" else None)
    assert (response.status, json.loads(response.body)) == (status, {"error": error})
    assert any(name == b"www-authenticate" for name, _ in response.headers) is (status == 401)


def test_endpoints_count_as_calls_without_a_signature():
    browser = Browser(AwsWorld(section=Section(public_url=URL, unsigned_burst=2, unsigned_per_second=0.001)))
    statuses = [browser.authorize().status for _ in range(4)]
    assert statuses[:2] == [200, 200] and set(statuses[2:]) == {400}


def test_without_a_public_address_the_issuer_is_that_of_aws():
    browser = Browser(AwsWorld())
    document = json.loads(browser.send("GET", f"/{browser.pool}/.well-known/openid-configuration").body)
    assert document["issuer"] == f"https://cognito-idp.eu-west-1.amazonaws.com/{browser.pool}"
    assert document["token_endpoint"] == f"{URL}/oauth2/token", "of the request"


@pytest.mark.parametrize("url", ["login.example", "https://login.example/aws?x", "https://login.example#x", "ftp://x"])
def test_public_address_that_is_none_fails_at_the_start(url):
    with pytest.raises(ConfigError, match="aws.public_url"):
        AwsWorld(section=Section(public_url=url))
