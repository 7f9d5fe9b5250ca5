"""Authorization requests and answers of the OAuth 2.0 endpoints (UP90), without their HTTP face."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

from fastiam.cognito.cognito_errors import CognitoError, NotAuthorizedError
from fastiam.cognito.user_pools.oauth_settings import OPENID_SCOPES
from fastiam.cognito.user_pools.state import Json, PoolState
from fastiam.credentials.secret import Secret
from fastiam.directory.user_pool_records import Client, Pool

Parameters = Mapping[str, str] | Iterable[tuple[str, str]]
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_MAX_VALUE = 2048


class OAuthError(CognitoError):
    """A refusal of an OAuth endpoint: `code` is the value of `error`, `status` that of the HTTP answer."""

    def __init__(self, message: str, *, code: str, status: int = 400, rule: str = "UP92", hint: str = "") -> None:
        self.status = status
        super().__init__(message, code=code, rule=rule, hint=hint)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (self.message, {"code": self.code, "status": self.status, "rule": self.rule, "hint": self.hint})


def _rebuild(message: str, values: Json) -> OAuthError:
    return OAuthError(message, **values)


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuthAnswer:
    """What the server shows or sends to the browser.

    Attributes
    ----------
    kind
        `redirect` to `location`; `sign_in`: the sign-in page; `challenge`: a page that asks for `challenge`; `error`: an error
        page with `message`, which never redirects.
    request
        opaque text that the form of a page sends back.
    browser
        value of a cookie that binds the request to this browser; None leaves the cookie as it is.
    cookie
        value of the session cookie of an hour, "" to clear it; None leaves it as it is. Both cookies are `HttpOnly`, `Secure` and
        `SameSite=Lax`, except as the next attribute says.
    browser_crosses_sites
        the cookie of `browser` is `SameSite=None`: the provider lets the browser post its answer from its own site (SAML, Apple),
        and other cookies are not sent with that.
    challenge
        `ChallengeName`, `ChallengeParameters` and `Session`, as the API has them.
    """

    kind: str
    location: Secret = Secret()
    message: str = ""
    request: Secret | None = None
    browser: Secret | None = None
    cookie: Secret | None = None
    browser_crosses_sites: bool = False
    challenge: Json = field(default_factory=dict, repr=False)


def read_parameters(given: Parameters) -> dict[str, str]:
    """The parameters of a request, each once (FD3).

    Raises
    ------
    OAuthError
        invalid_request.
    """
    pairs = list(given.items() if isinstance(given, Mapping) else given)
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names) or not all(isinstance(v, str) and isinstance(n, str) for n, v in pairs):
        raise OAuthError("a parameter is given twice, or is not text", code="invalid_request")
    if not all(_is_unicode(name) and _is_unicode(value) for name, value in pairs):
        raise OAuthError("a parameter is not Unicode text", code="invalid_request")
    return dict(pairs)


def _is_unicode(text: str) -> bool:
    """Whether a text has a form in UTF-8: no lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def redirect(url: str, values: Mapping[str, str], *, fragment: bool = False) -> Secret:
    """A registered address with parameters; empty ones are left out."""
    mark = "#" if fragment else "&" if "?" in url else "?"
    return Secret(url + mark + urlencode({name: value for name, value in values.items() if value}))


def read_scopes(client: Client, text: str | None) -> tuple[str, ...]:
    """The scopes of a request; all of the client if none are given (UP90, UP93).

    Raises
    ------
    OAuthError
        invalid_scope.
    """
    scopes = client.oauth_scopes if not text else tuple(dict.fromkeys(text.split()))
    needs_openid = {"email", "phone", "profile"} & set(scopes)
    if not scopes or set(scopes) - set(client.oauth_scopes) or (needs_openid and "openid" not in scopes):
        raise OAuthError("a scope is not one of the client", code="invalid_scope", rule="UP90")
    return scopes


def read_client_scopes(client: Client, text: str | None) -> tuple[str, ...]:
    """The scopes of `client_credentials`: custom ones only (UP94).

    Raises
    ------
    OAuthError
        invalid_scope.
    """
    scopes = read_scopes(client, text)
    if set(scopes) & OPENID_SCOPES:
        raise OAuthError("client_credentials takes custom scopes only", code="invalid_scope", rule="UP94")
    return scopes


def read_request(client: Client, given: Mapping[str, str], redirect_uri: str) -> Json:
    """The content of an authorization request whose client and redirect are right.

    Raises
    ------
    OAuthError
        the error that is sent to the redirect.
    """
    kind = given.get("response_type", "")
    flow = {"code": "code", "token": "implicit"}.get(kind)
    if flow is None:
        raise OAuthError("`response_type` must be `code` or `token`", code="invalid_request", rule="UP90")
    if not client.oauth or flow not in client.oauth_flows:
        raise OAuthError("the client does not allow this grant", code="unauthorized_client", rule="UP90")
    challenge, method = given.get("code_challenge"), given.get("code_challenge_method")
    if (challenge is None) != (method is None) or method not in (None, "S256") or (challenge and flow != "code"):
        raise OAuthError("PKCE takes `code_challenge` with the method S256", code="invalid_request", rule="UP90")
    if challenge is not None and not _CHALLENGE.fullmatch(challenge):
        raise OAuthError("`code_challenge` is not a SHA-256 in base64url", code="invalid_request", rule="UP90")
    if any(len(given.get(name, "")) > _MAX_VALUE for name in ("state", "nonce")):
        raise OAuthError("`state` or `nonce` is too long", code="invalid_request", rule="UP90")
    return {
        "kind": kind,
        "redirect": redirect_uri,
        "scopes": list(read_scopes(client, given.get("scope"))),
        "state": given.get("state", ""),
        "nonce": given.get("nonce", ""),
        "challenge": challenge or "",
    }


def still_allowed(client: Client, request: Json) -> bool:
    """Whether a client still has the address and the scopes of an authorization request that it made."""
    return request["redirect"] in client.callbacks and set(request["scopes"]) <= set(client.oauth_scopes)


def read_basic(header: str | None) -> tuple[str, Secret] | None:
    """Client id and secret of a header `Authorization: Basic`; None if there is no header.

    Raises
    ------
    OAuthError
        invalid_client.
    """
    if header is None:
        return None
    read = _basic_parts(header)
    if read is None:
        raise OAuthError("the header `Authorization` is not Basic", code="invalid_client")
    return read


def _basic_parts(header: str) -> tuple[str, Secret] | None:
    """Client id and secret of a header. Raises nothing, so that no traceback contains the secret."""
    scheme, _, encoded = header.partition(" ")
    try:
        text = base64.b64decode(encoded, validate=True).decode() if scheme.lower() == "basic" else ""
    except (binascii.Error, ValueError):
        return None
    client_id, colon, secret = text.partition(":")
    return (client_id, Secret(secret)) if colon and client_id else None


def redirect_of(state: PoolState, given: Json) -> tuple[Pool, Client, str] | OAuthAnswer:
    """Client and redirect address; an error page if one of them is not known. It never redirects."""
    client = state.tables.clients.get(given.get("client_id", ""))
    if client is None:
        return OAuthAnswer(kind="error", message="the client is not known")
    address = given.get("redirect_uri")
    if address is None and len(client.providers) <= 1:
        address = client.default_redirect or None
    if address is None or address not in client.callbacks:
        return OAuthAnswer(kind="error", message="the redirect address is not registered")
    return state.pool(client.pool), client, address


def refusal(state: PoolState, error: OAuthError, given: Json, address: str) -> OAuthAnswer:
    """The redirect that gives an error to the application."""
    state.note(refused=error.code)
    values = {"error": error.code, "state": given.get("state", "")}
    return OAuthAnswer(kind="redirect", location=redirect(address, values, fragment=given.get("response_type") == "token"))


def open_page(state: PoolState, request: str, browser: str | None) -> Json:
    """The authorization request that a page is for; of this browser.

    Raises
    ------
    NotAuthorizedError
        another text, over, or another browser.
    """
    content = state.open("page", request)
    is_own = content is not None and browser is not None and hmac.compare_digest(content["browser"], digest(browser))
    if content is None or not is_own or state.is_over(content) or state.is_spent(content):
        raise NotAuthorizedError("the page has expired, start again", reason="token_invalid", rule="UP96")
    client = state.tables.clients.get(content["c"])
    flow = "code" if content["kind"] == "code" else "implicit"
    if client is None or not client.oauth or flow not in client.oauth_flows or not still_allowed(client, content):
        raise NotAuthorizedError("the client has changed, start again", reason="token_invalid", rule="UP96")
    return content


def digest(text: str) -> str:
    """What a page keeps of the secret of its browser."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
