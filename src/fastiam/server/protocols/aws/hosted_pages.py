"""The OAuth 2.0 endpoints of user pools, their sign-in pages, and OpenID discovery (4.16). These requests are not signed.

Every pool has them, below the path of the protocol: the client of a request determines the pool.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

import orjson

from fastiam.credentials.sts_errors import StsError
from fastiam.server.http import JSON, Request, Response
from fastiam.server.protocols.aws.services import Services

if TYPE_CHECKING:
    from fastiam.cognito.user_pools import OAuthAnswer, OAuthError, UserPools

_DISCOVERY = re.compile(r"/([A-Za-z0-9-]{1,30}_[A-Za-z0-9]{1,40})/\.well-known/openid-configuration")
_ENDPOINTS: Final = {
    "authorization_endpoint": "/oauth2/authorize",
    "token_endpoint": "/oauth2/token",
    "userinfo_endpoint": "/oauth2/userInfo",
    "revocation_endpoint": "/oauth2/revoke",
    "end_session_endpoint": "/logout",
}
_SIGN_IN, _CHALLENGE = "/login", "/login/challenge"
_METHODS: Final = {
    "/oauth2/authorize": ("GET",),
    "/oauth2/token": ("POST",),
    "/oauth2/userInfo": ("GET", "POST"),
    "/oauth2/revoke": ("POST",),
    "/logout": ("GET",),
    _SIGN_IN: ("POST",),
    _CHALLENGE: ("POST",),
}
_SUFFIXES: Final = tuple(path.encode() for path in _METHODS)
_BROWSER, _SESSION = "fastiam-browser", "fastiam-session"
_BROWSER_SECONDS, _SESSION_SECONDS = 900, 3600
_PAGE_HEADERS: Final = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; base-uri 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)
# What a page asks for: the name of the answer, and its label.
_ASKED: Final[Mapping[str, tuple[str, str]]] = {
    "SOFTWARE_TOKEN_MFA": ("SOFTWARE_TOKEN_MFA_CODE", "Code of the authenticator app"),
    "SMS_MFA": ("SMS_MFA_CODE", "Code of the text message"),
    "EMAIL_OTP": ("EMAIL_OTP_CODE", "Code of the e-mail"),
}


def is_hosted(request: Request, path: str) -> bool:
    """Whether a request is for an endpoint or page, by method and path below the mount."""
    if request.method == "GET" and _DISCOVERY.fullmatch(path):
        return True
    return request.method in _METHODS.get(path, ())


def is_hosted_path(raw_path: bytes) -> bool:
    """Whether a path may be one of an endpoint or page, wherever the protocol is mounted."""
    return raw_path.endswith(_SUFFIXES)


@dataclass(frozen=True, slots=True)
class HostedPages:
    """The endpoints and pages over the pools of a server.

    Attributes
    ----------
    prefix
        the path of the protocol, "" for `/`.
    public_url
        the address of that path for clients; "" takes it from each request.
    """

    services: Services
    prefix: str
    public_url: str

    def answer(self, request: Request, path: str) -> Response:
        """Answer a request that `is_hosted`."""
        self.services.sts.directory.refresh()
        pools, found = self.services.user_pools, _DISCOVERY.fullmatch(path)
        if found is not None:
            return self._discovery(request, pools, found[1])
        handlers: Mapping[str, Callable[[Request, UserPools], Response]] = {
            "/oauth2/authorize": self._authorize,
            "/oauth2/token": self._token,
            "/oauth2/userInfo": self._user_info,
            "/oauth2/revoke": self._revoke,
            "/logout": self._logout,
            _SIGN_IN: self._sign_in,
            _CHALLENGE: self._answer_challenge,
        }
        return handlers[path](request, pools)

    # -- for programs -------------------------------------------------------------------------------------------------

    def _discovery(self, request: Request, pools: UserPools, pool: str) -> Response:
        base = self.public_url or self._address(request)
        document = pools.get_openid_configuration(pool) | {"jwks_uri": f"{base}/{pool}/.well-known/jwks.json"}
        return Response(200, orjson.dumps(document | {name: base + path for name, path in _ENDPOINTS.items()}))

    def _address(self, request: Request) -> str:
        host = (request.header(b"host") or b"").decode("latin-1")
        return f"{'https' if request.client_is_tls else 'http'}://{host}{self.prefix}"

    def _token(self, request: Request, pools: UserPools) -> Response:
        return _as_json(lambda: pools.oauth_token(_form(request), authorization=_authorization(request)))

    def _user_info(self, request: Request, pools: UserPools) -> Response:
        scheme, _, token = (_authorization(request) or "").partition(" ")
        return _as_json(lambda: pools.oauth_user_info(token if scheme.lower() == "bearer" else ""))

    def _revoke(self, request: Request, pools: UserPools) -> Response:
        def revoke() -> dict[str, Any]:
            pools.oauth_revoke(_form(request), authorization=_authorization(request))
            return {}

        return _as_json(revoke)

    # -- for browsers -------------------------------------------------------------------------------------------------

    def _authorize(self, request: Request, pools: UserPools) -> Response:
        answer = pools.oauth_authorize(_query(request), cookie=_cookie(request, _SESSION))
        return self._page_of(request, answer)

    def _logout(self, request: Request, pools: UserPools) -> Response:
        return self._page_of(request, pools.oauth_logout(_query(request)))

    def _sign_in(self, request: Request, pools: UserPools) -> Response:
        form = dict(_form(request))
        sealed, name = form.get("request", ""), form.get("username", "")
        browser = _cookie(request, _BROWSER)
        try:
            answer = pools.oauth_sign_in(request=sealed, browser=browser, username=name, password=form.get("password", ""))
        except StsError as error:
            return _refused(error, lambda message: self._sign_in_page(sealed, message))
        return self._page_of(request, answer, sealed, name)

    def _answer_challenge(self, request: Request, pools: UserPools) -> Response:
        form = dict(_form(request))
        sealed, name, challenge = form.get("request", ""), form.get("username", ""), form.get("challenge", "")
        answers = {key.removeprefix("answer."): value for key, value in form.items() if key.startswith("answer.")}
        session = form.get("session", "")
        try:
            answer = pools.oauth_answer(
                request=sealed,
                browser=_cookie(request, _BROWSER),
                session=session,
                challenge_name=challenge,
                answers={"USERNAME": name, **answers},
            )
        except StsError as error:
            again = {"ChallengeName": challenge, "Session": session, "ChallengeParameters": json.loads(form.get("asked") or "{}")}
            return _refused(error, lambda message: self._challenge_page(again, sealed, name, message))
        return self._page_of(request, answer, sealed, name)

    def _page_of(self, request: Request, answer: OAuthAnswer, sealed: str = "", username: str = "") -> Response:
        """What the browser gets for an answer of the library."""
        if answer.kind == "redirect":
            response = Response(302, b"", None, (*_PAGE_HEADERS, (b"location", str(answer.location).encode())))
        elif answer.kind == "sign_in":
            response = self._sign_in_page(str(answer.request or ""))
        elif answer.kind == "challenge":
            response = self._challenge_page(answer.challenge, sealed, username)
        else:
            response = _page("Sign-in is not possible", f"<p>{escape(answer.message)}</p>", 400)
        for name, value, seconds in (
            (_BROWSER, answer.browser, _BROWSER_SECONDS),
            (_SESSION, answer.cookie, _SESSION_SECONDS),
        ):
            if value is not None:
                response.headers += (self._cookie_of(request, name, str(value), seconds),)
        return response

    def _cookie_of(self, request: Request, name: str, value: str, seconds: int) -> tuple[bytes, bytes]:
        age = seconds if value else 0
        secure = "; Secure" if request.client_is_tls else ""
        text = f"{name}={value}; Path={self.prefix or '/'}; Max-Age={age}; HttpOnly; SameSite=Lax{secure}"
        return b"set-cookie", text.encode()

    def _sign_in_page(self, sealed: str, message: str = "") -> Response:
        fields = _hidden({"request": sealed}) + _input("username", "User name", "text", "username")
        fields += _input("password", "Password", "password", "current-password")
        return _page("Sign in", self._form(_SIGN_IN, fields, message), 400 if message else 200)

    def _challenge_page(self, challenge: Mapping[str, Any], sealed: str, username: str, message: str = "") -> Response:
        """The page that asks for a new password, a code, or which factor to use."""
        name, parameters = challenge["ChallengeName"], challenge.get("ChallengeParameters", {})
        asked = {key: parameters[key] for key in ("requiredAttributes", "MFAS_CAN_CHOOSE") if key in parameters}
        hidden = {"request": sealed, "challenge": name, "session": str(challenge.get("Session") or ""), "username": username}
        fields = _hidden(hidden | {"asked": json.dumps(asked)})
        if name == "NEW_PASSWORD_REQUIRED":
            fields += _input("answer.NEW_PASSWORD", "New password", "password", "new-password")
            for attribute in json.loads(asked.get("requiredAttributes", "[]")):
                fields += _input(f"answer.{attribute}", attribute.removeprefix("userAttributes."), "text", "on")
        elif name == "SELECT_MFA_TYPE":
            fields += _choice("answer.ANSWER", "Second factor", json.loads(asked.get("MFAS_CAN_CHOOSE", "[]")))
        elif name in _ASKED:
            answer, label = _ASKED[name]
            fields += _input(f"answer.{answer}", label, "text", "one-time-code")
        else:
            return _page("Sign-in is not possible", "<p>Set up a second factor in the application first.</p>", 400)
        return _page("Sign in", self._form(_CHALLENGE, fields, message), 400 if message else 200)

    def _form(self, path: str, fields: str, message: str) -> str:
        note = f'<p role="alert">{escape(message)}</p>' if message else ""
        return f'{note}<form method="post" action="{self.prefix}{path}">{fields}<button>Sign in</button></form>'


# -- requests -----------------------------------------------------------------------------------------------------------


def _query(request: Request) -> list[tuple[str, str]]:
    return parse_qsl(request.raw_query.decode("ascii", "replace"), keep_blank_values=True)


def _form(request: Request) -> list[tuple[str, str]]:
    """The parameters of a form; none of another content."""
    kind = (request.header(b"content-type") or b"").partition(b";")[0].strip().lower()
    body = request.body.decode("ascii", "replace") if kind == b"application/x-www-form-urlencoded" else ""
    return parse_qsl(body, keep_blank_values=True)


def _authorization(request: Request) -> str | None:
    value = request.header(b"authorization")
    return None if value is None else value.decode("latin-1")


def _cookie(request: Request, name: str) -> str | None:
    """The value of a cookie; None if it is absent, or there are two."""
    found = []
    for field in request.header_values(b"cookie"):
        for pair in field.decode("latin-1").split(";"):
            key, _, value = pair.strip().partition("=")
            found += [value] if key == name else []
    return found[0] if len(found) == 1 else None


# -- answers ------------------------------------------------------------------------------------------------------------


def _as_json(run: Callable[[], Mapping[str, Any]]) -> Response:
    """The answer of an endpoint for programs (RFC 6749 5)."""
    from fastiam.cognito.user_pools import OAuthError  # PERF: a store without pools has no pages

    no_store = ((b"cache-control", b"no-store"), (b"pragma", b"no-cache"))
    try:
        result = run()
    except OAuthError as error:
        return _oauth_error(error, no_store)
    plain = {name: str(value) if isinstance(value, str) else value for name, value in result.items()}  # out of their hiding
    return Response(200, orjson.dumps(plain), JSON, no_store)


def _oauth_error(error: OAuthError, headers: tuple[tuple[bytes, bytes], ...]) -> Response:
    scheme = b'Bearer error="invalid_token"' if error.code == "invalid_token" else b"Basic"
    more = ((b"www-authenticate", scheme),) if error.status == 401 else ()
    return Response(error.status, orjson.dumps({"error": error.code}), JSON, (*headers, *more))


def _refused(error: StsError, again: Callable[[str], Response]) -> Response:
    """The form once more with the message, or, if the request is over, an error page."""
    if getattr(error, "reason", "") == "token_invalid":
        return _page("Sign-in is not possible", f"<p>{escape(error.message)}</p>", 400)
    return again(error.message)


def _page(title: str, content: str, status: int) -> Response:
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>'
    text = f'<!doctype html><html lang="en"><head>{head}</head><body><main><h1>{title}</h1>{content}</main></body></html>'
    return Response(status, text.encode(), "text/html; charset=utf-8", _PAGE_HEADERS)


def _hidden(values: Mapping[str, str]) -> str:
    return "".join(f'<input type="hidden" name="{name}" value="{escape(value)}">' for name, value in values.items())


def _input(name: str, label: str, kind: str, filled: str) -> str:
    field = f'<input name="{escape(name)}" type="{kind}" autocomplete="{filled}" required>'
    return f"<p><label>{escape(label)} {field}</label></p>"


def _choice(name: str, label: str, values: Sequence[str]) -> str:
    options = "".join(f"<option>{escape(value)}</option>" for value in values)
    return f'<p><label>{label} <select name="{name}">{options}</select></label></p>'
