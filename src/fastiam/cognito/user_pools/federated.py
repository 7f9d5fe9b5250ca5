"""Sign-in by an outside provider: the request that the browser takes there, and the answer that it brings back (4.18)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode
from xml.sax.saxutils import quoteattr

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from fastiam.cognito.cognito_errors import NotAuthorizedError
from fastiam.cognito.user_pools.attributes import VERIFIABLE
from fastiam.cognito.user_pools.calls import Calls
from fastiam.cognito.user_pools.federated_users import user_of
from fastiam.cognito.user_pools.hosts import host_of
from fastiam.cognito.user_pools.oauth_requests import (
    OAuthAnswer,
    OAuthError,
    Parameters,
    open_page,
    read_parameters,
    read_request,
    redirect_of,
    refusal,
)
from fastiam.cognito.user_pools.providers import metadata_of, sign_in_location
from fastiam.cognito.user_pools.sign_in_grants import signed_in_on_page
from fastiam.cognito.user_pools.social import (
    APPLE,
    ISSUERS,
    PROFILE_IDS,
    SOCIAL,
    apple_client_secret,
    checker_of,
    endpoints_of,
)
from fastiam.cognito.user_pools.state import Json, PoolState, hidden_texts, millis_of
from fastiam.credentials.secret import Secret, SecretBytes, takes_secrets
from fastiam.credentials.sts_errors import StsError
from fastiam.directory.user_pool_records import Client, Pool, Provider, Spent
from fastiam.federation.fetch import FetchError, FetchLimits, FetchResult
from fastiam.federation.issuer_keys import IssuerKeys, KeySource, is_https
from fastiam.federation.oauth_tokens import check_access_token
from fastiam.federation.oidc_token import check_audience, check_times, read_audience, read_subject_claim, read_token
from fastiam.federation.saml_assertion import REDEEM, Facts, read_facts_for
from fastiam.federation.saml_attributes import read_all_attributes
from fastiam.federation.saml_response import MAX_CHARACTERS, ResponseKeys, Verified, verify_response
from fastiam.strict_json import IDENTITY_LIMITS, read_object

STATE_SECONDS, SKEW = 300, 60
DISCOVERY = "/.well-known/openid-configuration"
_NOT_SIGNED_IN = "the sign-in at the identity provider was not accepted"


@dataclass(frozen=True, slots=True)
class _Target:
    """The pool as receiver of SAML responses (UP112)."""

    audience: str
    recipient: str

    def is_audience(self, text: str) -> bool:
        return text == self.audience

    def is_recipient(self, text: str) -> bool:
        return text == self.recipient


def refused(reason: str, rule: str) -> NotAuthorizedError:
    """The error of a sign-in that is refused; `reason` is for logs."""
    return NotAuthorizedError(_NOT_SIGNED_IN, reason=reason, rule=rule)


class FederatedCalls(Calls):
    """`/oauth2/idpresponse` and `/saml2/idpresponse`, and the redirects that lead there."""

    def _open_state(self, text: str, browser: str | None, kinds: tuple[str, ...]) -> tuple[Pool, Client, Provider, Json, Json]:
        """What a `state` is for: pool, client, provider, its content, and the authorization request (UP110).

        Raises
        ------
        NotAuthorizedError
            another text, over, used, of another browser, or the provider is gone.
        """
        content = self._state.open("state", text)
        if content is None or self._state.is_over(content) or self._state.is_spent(content):
            raise refused("token_invalid", "UP110")
        request = open_page(self._state, content["r"], browser)
        pool, client = self._state.pool(content["p"]), self._state.client(content["c"])
        provider = self._state.tables.providers.get(f"{pool.id}/{content['n']}")
        if provider is None or provider.unique_id != content["pv"] or provider.type not in kinds:
            raise refused("unknown_provider", "UP110")
        self._state.note(pool=pool.id, client=client.id, provider=provider.name)
        return pool, client, provider, content, request

    def _complete(
        self, pool: Pool, client: Client, provider: Provider, subject: str, claims: Mapping[str, Any], state: Json, request: Json
    ) -> OAuthAnswer:
        """The verified identity is there: find or make its user, and go back to the application."""
        user = user_of(self._state, pool, client, provider, subject, claims)
        with self._state.transaction():
            self._state.spend(state)
            if "browser" in request:
                self._state.spend(request)
        location, cookie = signed_in_on_page(self, pool, client, user, request, provider.unique_id)
        return OAuthAnswer(kind="redirect", location=location, cookie=cookie)

    # -- OAuth 2.0 and OIDC ------------------------------------------------------------------------------------------------

    @takes_secrets("browser", forms=("parameters",))
    def oauth_idp_response(self, parameters: Parameters, *, browser: str | None) -> OAuthAnswer:
        """`/oauth2/idpresponse`: the answer of a provider other than SAML, with `code` and `state`. Apple's comes as a POST.

        Raises
        ------
        NotAuthorizedError
            the answer is not acceptable.
        CognitoError
            a trigger refuses, or the user of the identity cannot be made.
        """
        with self._state.event("OAuthIdpResponse"):
            try:
                given = read_parameters(parameters)
            except OAuthError:
                raise refused("form", "FD3") from None
            pool, client, provider, state, request = self._open_state(given.get("state", ""), browser, ("OIDC", *SOCIAL))
            if "error" in given or "code" not in given:
                raise refused("rejected", "4.18")
            if provider.type not in PROFILE_IDS and given.get("iss", _issuer_of(provider)) != _issuer_of(provider):
                raise refused("rejected", "4.18")
            try:
                claims = self._claims_of_code(pool, provider, given["code"], state["nonce"])
            except NotAuthorizedError:
                raise
            except StsError as error:
                self._state.warn(f"the token was not accepted: {error.message}")
                raise refused("token_invalid", error.rule) from None
            return self._complete(pool, client, provider, claims["sub"], claims, state, request)

    def _claims_of_code(self, pool: Pool, provider: Provider, code: str, nonce: str) -> Json:
        """The verified claims for a code; `sub` is the subject."""
        endpoints, now = _addresses_of(self._state, provider), self._state.now().replace(microsecond=0)
        key, stored = f"{pool.id}/{provider.unique_id}", None
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": f"https://{host_of(self._state, pool)}/oauth2/idpresponse",
            "client_id": provider.details["client_id"],
        }
        record = self._state.tables.provider_secrets.get(key)
        if record is not None:
            stored = Secret(self._state.opened("provider_secrets", key, record.sealed).decode())
            form["client_secret"] = apple_client_secret(provider, stored, now) if provider.type == APPLE else stored
        body = SecretBytes(urlencode(form).encode())
        try:
            answer = hidden_texts(
                read_object(_fetched(self._state, endpoints["token_url"], "4.18", form=body).body, IDENTITY_LIMITS)
            )
        except ValueError:
            raise refused("form", "4.18") from None
        if provider.type in PROFILE_IDS:
            return self._profile_claims(provider, endpoints, answer.get("access_token"), stored, now)
        return self._oidc_claims(key, provider, endpoints, answer, nonce, now)

    def _profile_claims(
        self, provider: Provider, endpoints: Mapping[str, str], access: object, secret: Secret | None, now: datetime
    ) -> Json:
        """The profile of the user of an access token that was issued to us (3.7)."""
        if not isinstance(access, str) or secret is None:
            raise refused("form", "4.18")
        found = check_access_token(checker_of(provider, secret, self._state.fetch), access, now)
        if found.app_id != provider.details["client_id"]:
            raise refused("token_invalid", "WI72")
        profile = self._with_token(endpoints["attributes_url"], access)
        if profile.get(PROFILE_IDS[provider.type]) != found.user_id:
            raise refused("token_invalid", "4.18")
        return {**profile, "sub": found.user_id}

    def _with_token(self, url: str, access: str) -> Json:
        """An object that a provider gives for an access token."""
        try:
            return read_object(
                _fetched(self._state, url, "4.18", headers={"Authorization": Secret(f"Bearer {access}")}).body, IDENTITY_LIMITS
            )
        except ValueError:
            raise refused("form", "4.18") from None

    def _oidc_claims(
        self, key: str, provider: Provider, endpoints: Mapping[str, str], answer: Json, nonce: str, now: datetime
    ) -> Json:
        """The claims of an ID token, and of userInfo."""
        text, access = answer.get("id_token"), answer.get("access_token")
        if not isinstance(text, str) or len(text) > 20_000:
            raise refused("form", "4.18")
        token, issuer = read_token(text), _issuer_of(provider)
        if token.issuer != issuer:
            raise refused("unknown_provider", "UP110")
        source = KeySource(key, provider.unique_id, issuer)
        keys = self._keys_of(provider, endpoints["jwks_uri"]).find(source, token.key_id, now)
        claims = token.verify(keys.candidates(token.key_id, token.algorithm))
        check_times(claims, now, SKEW)
        check_audience(read_audience(claims), (provider.details["client_id"],))
        subject = read_subject_claim(claims)
        if claims.get("iss") != issuer or not hmac.compare_digest(str(claims.get("nonce")).encode(), nonce.encode()):
            raise refused("replayed", "4.18")
        if "attributes_url" in endpoints and isinstance(access, str):
            info = self._with_token(endpoints["attributes_url"], access)
            if info.get("sub") != subject:
                raise refused("token_invalid", "4.18")
            for name in VERIFIABLE:
                address, flag = provider.mapping.get(name), provider.mapping.get(f"{name}_verified")
                if address in info and info[address] != claims.get(address):
                    claims = {claim: value for claim, value in claims.items() if claim != flag}  # it is about another address
            claims = {**claims, **info}
        return claims

    def _keys_of(self, provider: Provider, jwks_uri: str) -> IssuerKeys:
        """The cache of keys of a provider. Its discovery is answered with the address that is known already."""
        caches: dict[tuple[str, str], IssuerKeys] = self._state.issuer_keys
        found = caches.get((provider.unique_id, jwks_uri))
        if found is None:
            issuer, fetch = _issuer_of(provider), self._state.fetch

            def read(url: str, limits: FetchLimits) -> FetchResult:
                if url == issuer.removesuffix("/") + DISCOVERY:
                    return FetchResult(200, json.dumps({"issuer": issuer, "jwks_uri": jwks_uri}).encode())
                return fetch(url, limits)

            found = caches[provider.unique_id, jwks_uri] = IssuerKeys(read, self._state.settings.metadata_hosts)
        return found

    # -- SAML -------------------------------------------------------------------------------------------------------------

    @takes_secrets("browser", tokens=("saml_response", "relay_state"))
    def saml_idp_response(
        self, *, saml_response: str, relay_state: str = "", browser: str | None = None, user_pool_id: str = ""
    ) -> OAuthAnswer:
        """`/saml2/idpresponse`: the form that a SAML provider lets the browser post.

        Parameters
        ----------
        user_pool_id
            the pool of the host, for sign-in that begins at the provider; `relay_state` has the parameters of `/oauth2/authorize`
            then.

        Raises
        ------
        NotAuthorizedError
            the response is not acceptable.
        CognitoError
            a trigger refuses, or the user of the identity cannot be made.
        """
        with self._state.event("SamlIdpResponse"):
            if not 4 <= len(saml_response) <= MAX_CHARACTERS:
                raise refused("form", "2.1")
            if self._state.open("state", relay_state) is None and user_pool_id:
                return self._saml_initiated(self._state.pool(user_pool_id), saml_response, relay_state)
            pool, client, provider, state, request = self._open_state(relay_state, browser, ("SAML",))
            verified, facts = self._read_saml(pool, provider, saml_response)
            if facts.answers != {state["rid"]}:
                raise refused("rejected", "UP112")
            self._redeem_assertion(pool, facts)
            claims = read_all_attributes(verified.assertion)
            return self._complete(pool, client, provider, facts.subject, claims, state, request)

    def _read_saml(self, pool: Pool, provider: Provider, response: str) -> tuple[Verified, Facts]:
        """The verified response of a provider."""
        metadata, now = metadata_of(self._state, provider), self._state.now().replace(microsecond=0)
        is_encrypted = provider.details.get("EncryptedResponses") == "true"
        keys = ResponseKeys(
            signing=metadata.keys,
            private=self._decryption_keys(pool, provider) if is_encrypted else (),
            encryption="Required" if is_encrypted else "",
        )
        target = _Target(f"urn:amazon:cognito:sp:{pool.id}", f"https://{host_of(self._state, pool)}/saml2/idpresponse")
        try:
            if not metadata.is_valid(now):
                raise refused("unknown_provider", "IP13")
            verified = verify_response(response, keys, now)
            facts = read_facts_for(verified, metadata.entity_id, target, SKEW, now)
        except NotAuthorizedError:
            raise
        except StsError as error:
            self._state.warn(f"the SAML response was not accepted: {error.message}")
            raise refused("token_invalid", error.rule) from None
        if not facts.subject:
            raise refused("token_invalid", "SA38")
        return verified, facts

    def _decryption_keys(self, pool: Pool, provider: Provider) -> tuple[RSAPrivateKey, ...]:
        key = f"{pool.id}/{provider.unique_id}"
        stored = self._state.tables.provider_secrets.get(key)
        if stored is None:  # the provider was imported: the directory format has no keys
            return ()
        private = load_pem_private_key(self._state.opened("provider_secrets", key, stored.sealed), None)
        assert isinstance(private, RSAPrivateKey)
        return (private,)

    def _redeem_assertion(self, pool: Pool, facts: Facts) -> None:
        """An assertion signs in once (UP112: replay `strict`)."""
        text = "\0".join((pool.id, facts.issuer, facts.id))
        key, until = hashlib.sha256(text.encode()).hexdigest(), facts.issued + timedelta(seconds=REDEEM + SKEW)
        with self._state.transaction():
            horizon = self._state.tables.horizon
            if key in self._state.tables.spent or (horizon is not None and until <= horizon.at):
                raise refused("replayed", "SA80")
            self._state.put("spent", key, Spent(until))

    def _saml_initiated(self, pool: Pool, response: str, relay_state: str) -> OAuthAnswer:
        """Sign-in that begins at the provider: the one that has `IDPInit` and signed the response (UP110)."""
        found = []
        for provider in self._state.store.providers(pool.id):
            if provider.type == "SAML" and provider.details.get("IDPInit") == "true":
                try:
                    found.append((provider, *self._read_saml(pool, provider, response)))
                except NotAuthorizedError:
                    continue
        if len(found) != 1:
            raise refused("unknown_provider", "UP110")
        provider, verified, facts = found[0]
        try:
            given = read_parameters(parse_qsl(str(relay_state), max_num_fields=20))
        except (OAuthError, ValueError):
            raise refused("form", "FD3") from None
        place = redirect_of(self._state, given)
        if facts.answers or isinstance(place, OAuthAnswer) or place[0].id != pool.id or provider.name not in place[1].providers:
            raise refused("rejected", "UP112")
        _, client, address = place
        try:
            request = read_request(client, given, address)
        except OAuthError as error:
            return refusal(self._state, error, given, address)
        self._redeem_assertion(pool, facts)
        state = {"id": self._state.new_id(), "exp": millis_of(self._state.now()) + 1000 * STATE_SECONDS}
        claims = read_all_attributes(verified.assertion)
        return self._complete(pool, client, provider, facts.subject, claims, state, request)


# -- the request -------------------------------------------------------------------------------------------------------------


def start_provider(state: PoolState, pool: Pool, client: Client, name: str, request: Secret, browser: Secret) -> OAuthAnswer:
    """Send the browser to an outside provider."""
    provider, host = state.provider(pool, name), host_of(state, pool)
    content = {"pv": provider.unique_id, "n": name, "p": pool.id, "c": client.id, "r": request}
    if provider.type == "SAML":
        content["rid"] = f"_{state.random(16).hex()}"
        location = _saml_request(state, pool, provider, host, content)
    else:
        content["nonce"] = state.new_id()
        location = _oauth_request(state, provider, host, content)
    is_posted = provider.type in ("SAML", APPLE)
    return OAuthAnswer(kind="redirect", location=location, browser=browser, browser_crosses_sites=is_posted)


def _issuer_of(provider: Provider) -> str:
    return ISSUERS.get(provider.type) or provider.details["oidc_issuer"]


def _fetched(state: PoolState, url: str, rule: str, **options: Any) -> FetchResult:
    """One document of a provider."""
    try:
        result = state.fetch(url, FetchLimits(hosts=state.settings.metadata_hosts, **options))
    except FetchError as error:
        state.warn(f"the provider does not answer: {error}")
        raise refused("unreachable", rule) from None
    if result.status != 200:
        raise refused("unreachable", rule)
    return result


def _addresses_of(state: PoolState, provider: Provider) -> dict[str, str]:
    """The addresses of a provider: fixed ones, those given, else those of discovery."""
    if provider.type in PROFILE_IDS:
        return endpoints_of(provider)
    details = provider.details
    given = {name: details[name] for name in ("authorize_url", "token_url", "attributes_url", "jwks_uri") if name in details}
    if {"authorize_url", "token_url", "jwks_uri"} <= given.keys():
        return given
    issuer = _issuer_of(provider)
    try:
        document = read_object(_fetched(state, issuer.removesuffix("/") + DISCOVERY, "4.18").body, IDENTITY_LIMITS)
    except ValueError:
        raise refused("issuer_invalid", "WI40") from None
    names = {
        "authorize_url": "authorization_endpoint",
        "token_url": "token_endpoint",
        "attributes_url": "userinfo_endpoint",
        "jwks_uri": "jwks_uri",
    }
    found = {name: document[member] for name, member in names.items() if isinstance(document.get(member), str)}
    if document.get("issuer") != issuer or not {"authorize_url", "token_url", "jwks_uri"} <= found.keys():
        raise refused("issuer_invalid", "WI40")
    if not all(is_https(address) for address in found.values()):
        raise refused("issuer_invalid", "WI40")
    return found | given


def _oauth_request(state: PoolState, provider: Provider, host: str, content: Json) -> Secret:
    address = _addresses_of(state, provider)["authorize_url"]
    query = {
        "response_type": "code",
        "client_id": provider.details["client_id"],
        "redirect_uri": f"https://{host}/oauth2/idpresponse",
        "scope": provider.details["authorize_scopes"],
        "state": state.seal("state", content, STATE_SECONDS),
    }
    if provider.type not in PROFILE_IDS:
        query["nonce"] = content["nonce"]
    if provider.type == APPLE:
        query["response_mode"] = "form_post"  # the only one that Apple has for scopes
    return Secret(f"{address}{'&' if '?' in address else '?'}{urlencode(query)}")


def _saml_request(state: PoolState, pool: Pool, provider: Provider, host: str, content: Json) -> Secret:
    """The address with an AuthnRequest (redirect binding)."""
    address = sign_in_location(metadata_of(state, provider))
    issued = state.now().strftime("%Y-%m-%dT%H:%M:%SZ")
    text = (
        '<samlp:AuthnRequest xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" '
        'xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" Version="2.0" '
        'ProtocolBinding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" '
        f"ID={quoteattr(content['rid'])} IssueInstant={quoteattr(issued)} Destination={quoteattr(address)} "
        f"AssertionConsumerServiceURL={quoteattr(f'https://{host}/saml2/idpresponse')}>"
        f"<saml:Issuer>urn:amazon:cognito:sp:{pool.id}</saml:Issuer></samlp:AuthnRequest>"
    )
    packed = zlib.compressobj(wbits=-15)
    deflated = packed.compress(text.encode()) + packed.flush()
    query = {
        "SAMLRequest": base64.b64encode(deflated).decode(),
        "RelayState": state.seal("state", content, STATE_SECONDS),
    }
    return Secret(f"{address}{'&' if '?' in address else '?'}{urlencode(query)}")
