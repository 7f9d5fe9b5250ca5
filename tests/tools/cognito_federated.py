"""OAuth requests to the user pool of the tests, and an OIDC and a SAML provider for it."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import saml_world
from cognito_world import CS, PASSWORD, POOL, C, World
from oidc_world import jwk, signed

from fastiam.cognito.user_pools import OAuthAnswer
from fastiam.federation import FetchLimits, FetchResult

Json = dict[str, Any]
CALLBACK, HOST = "https://app.example/cb", "app.auth.us-east-1.amazoncognito.com"
ISSUER, IDP_CLIENT = "https://idp.example/oidc", "client-at-idp"
VERIFIER = "v" * 50
OAUTH = {
    "callback_urls": [CALLBACK],
    "logout_urls": ["https://app.example/bye"],
    "allowed_o_auth_flows": ["code"],
    "allowed_o_auth_scopes": ["openid", "email"],
    "allowed_o_auth_flows_user_pool_client": True,
}


def challenge_of(verifier: str = VERIFIER) -> str:
    """The PKCE challenge of a verifier."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


class Idp:
    """An OIDC provider without a network: the answers by address. `claims` are those of the next ID token.

    Parameters
    ----------
    key : name of the signing key.
    """

    def __init__(self, issuer: str = ISSUER, key: str = "RSA idp") -> None:
        self.issuer, self.key = issuer, key
        self.forms: list[Json] = []
        self.claims: Json = {"sub": "u1", "email": "eve@idp.example"}
        self.info: Json = {"sub": "u1"}
        self.nonce: str | None = None
        self.now = 0

    def answer(self, url: str, limits: FetchLimits) -> Json:
        if url.endswith("/.well-known/openid-configuration"):
            names = ("authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri")
            return {"issuer": self.issuer, **{name: f"{self.issuer}/{name}" for name in names}}
        if url.endswith("/jwks_uri"):
            return {"keys": [jwk(self.key)]}
        if url.endswith("/userinfo_endpoint"):
            assert limits.headers["Authorization"] == "Bearer at-idp"
            return self.info
        assert url.endswith("/token_endpoint") and limits.form is not None
        self.forms.append(dict(parse_qsl(limits.form.decode())))
        claims = {"iss": self.issuer, "aud": IDP_CLIENT, "iat": self.now, "exp": self.now + 300, "nonce": self.nonce}
        token = signed(json.dumps({**claims, **self.claims}), {"alg": "RS256", "kid": "k1"}, self.key)
        return {"id_token": token, "access_token": "at-idp", "token_type": "Bearer"}


class OAuthWorld(World):
    """The pool with a domain, whose clients use OAuth. `idps` are reached by their issuer."""

    def __init__(self, *, client: Mapping[str, Any] = {}, **options: Any) -> None:
        self.idps: dict[str, Idp] = {}
        super().__init__(client={**OAUTH, **client}, fetch=self.fetch, **options)
        self.pools.create_user_pool_domain(domain="app", user_pool_id=POOL)

    def fetch(self, url: str, limits: FetchLimits) -> FetchResult:
        """The network."""
        idp = next(idp for issuer, idp in self.idps.items() if url.startswith(issuer))
        idp.now = int(self.now.timestamp())
        return FetchResult(200, json.dumps(idp.answer(url, limits)).encode())

    def add_oidc(self, name: str = "Corp", idp: Idp | None = None, **mapping: str) -> Idp:
        """An OIDC provider of the pool that clients may use."""
        idp = idp or Idp()
        self.idps[idp.issuer] = idp
        details = {"client_id": IDP_CLIENT, "client_secret": "hidden-at-idp"}
        details |= {"authorize_scopes": "openid", "oidc_issuer": idp.issuer}
        self._add(name, "OIDC", details, mapping)
        return idp

    def add_saml(self, name: str = "Corp", **details: str) -> None:
        """A SAML provider of the pool that clients may use."""
        self._add(name, "SAML", {"MetadataFile": saml_world.metadata(), **details}, {})

    def _add(self, name: str, kind: str, details: Json, mapping: Mapping[str, str]) -> None:
        self.pools.create_identity_provider(
            user_pool_id=POOL,
            provider_name=name,
            provider_type=kind,
            provider_details=details,
            attribute_mapping=dict(mapping),
        )
        names = [provider["ProviderName"] for provider in self.pools.list_identity_providers(user_pool_id=POOL)["Providers"]]
        flows = self.pools.describe_user_pool_client(user_pool_id=POOL, client_id=C)["UserPoolClient"]["ExplicitAuthFlows"]
        settings = {"explicit_auth_flows": flows, "supported_identity_providers": ["COGNITO", *names], **OAUTH}
        self.pools.update_user_pool_client(user_pool_id=POOL, client_id=C, **settings)

    # -- a browser --------------------------------------------------------------------------------------------------------

    def authorize(self, client: str = C, **changes: str | None) -> OAuthAnswer:
        """`/oauth2/authorize`."""
        given = {"response_type": "code", "client_id": client, "redirect_uri": CALLBACK, "state": "s1", **changes}
        return self.pools.oauth_authorize({name: value for name, value in given.items() if value is not None})

    def page_sign_in(self, page: OAuthAnswer, name: str = "ana", password: str = PASSWORD) -> OAuthAnswer:
        """The sign-in form."""
        return self.pools.oauth_sign_in(request=page.request, browser=page.browser, username=name, password=password)

    def code_for(self, client: str = C, **changes: str | None) -> str:
        """The code of a sign-in on the page."""
        return parameter_of(self.page_sign_in(self.authorize(client, **changes)), "code")

    def redeem(self, code: str, client: str = C, **changes: str) -> Json:
        """`/oauth2/token` with a code."""
        given = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "client_id": client}
        return self.pools.oauth_token({**given, **changes})

    def at_idp(self, name: str = "Corp") -> tuple[OAuthAnswer, dict[str, str]]:
        """The redirect to a provider, and its parameters."""
        sent = self.authorize(identity_provider=name)
        return sent, {key: values[0] for key, values in parse_qs(urlsplit(sent.location).query).items()}

    def oidc_sign_in(self, idp: Idp, name: str = "Corp", **changes: str) -> OAuthAnswer:
        """A whole sign-in by an OIDC provider."""
        sent, query = self.at_idp(name)
        idp.nonce = query["nonce"]
        given = {"code": "code-idp", "state": query["state"], **changes}
        return self.pools.oauth_idp_response(given, browser=sent.browser)

    def saml_response(self, request_id: str | None, **changes: Any) -> str:
        """A response of the SAML provider for this pool."""
        recipient = f"https://{HOST}/saml2/idpresponse"
        fields = {
            "audiences": [[f"urn:amazon:cognito:sp:{POOL}"]],
            "recipient": recipient,
            "destination": recipient,
            "in_response_to": request_id,
        }
        return saml_world.good(self.now, **{**fields, **changes})

    def saml_sign_in(self, name: str = "Corp", **changes: Any) -> OAuthAnswer:
        """A whole sign-in by the SAML provider."""
        sent, query = self.at_idp(name)
        response = self.saml_response(changes.pop("request_id", request_id_of(query)), **changes)
        return self.pools.saml_idp_response(saml_response=response, relay_state=query["RelayState"], browser=sent.browser)


def request_id_of(query: Mapping[str, str]) -> str:
    """The `ID` of the AuthnRequest in a redirect."""
    import zlib

    text = zlib.decompress(base64.b64decode(query["SAMLRequest"]), -15).decode()
    return text.partition('ID="')[2].partition('"')[0]


def parameter_of(answer: OAuthAnswer, name: str) -> str:
    """A parameter of the address that an answer redirects to."""
    parts = urlsplit(answer.location)
    return dict(parse_qsl(parts.query or parts.fragment))[name]


__all__ = ["C", "CS", "POOL", "Idp", "OAuthWorld"]
