"""OAuth 2.0 access tokens of Facebook and Amazon: checked by a callable of the deployment (3.7).

Access tokens are opaque. Their text is in no message (WI73).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from fastiam.credentials.secret import Secret
from fastiam.federation.federation_errors import CommunicationError, ExpiredTokenError, IdentityTokenError, RejectedClaimError
from fastiam.federation.fetch import Fetch, FetchError, FetchLimits
from fastiam.federation.oidc_token import MAX_SUBJECT, has_control
from fastiam.strict_json import IDENTITY_LIMITS, read_object

FACEBOOK, AMAZON = "graph.facebook.com", "www.amazon.com"
USER_KEYS = {FACEBOOK: "id", AMAZON: "user_id"}  # WI72; the providers whose access tokens are accepted at all
_MAX_ANSWER = 65_536
_MAX_LIFE, _MAX_END = 366 * 86_400, 1 << 36  # seconds


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What a checker says of an access token: the application that obtained it, the user, and its end."""

    app_id: str
    user_id: str
    expires_at: datetime


class Rejected(Exception):
    """The identity provider says that the token is not valid, or is revoked (`IDPRejectedClaim`)."""


class Expired(Exception):
    """The token has expired (`ExpiredTokenException`)."""


class Unreachable(Exception):
    """The identity provider does not answer (`IDPCommunicationError`)."""


TokenChecker = Callable[[str, datetime], AccessToken]


def check_access_token(checker: TokenChecker | None, token: str, now: datetime) -> AccessToken:
    """Ask the checker of a provider (WI70).

    Raises
    ------
    IdentityTokenError
        there is no checker, or it returns something else.
    RejectedClaimError, ExpiredTokenError, CommunicationError
        the checker says so.
    """
    if checker is None:
        raise IdentityTokenError("access tokens of this provider are not accepted", reason="unknown_provider", rule="WI70")
    try:
        found = checker(token, now)
    except Rejected:
        raise RejectedClaimError("the identity provider rejects the token", reason="rejected", rule="WI70") from None
    except Expired:
        raise _expired() from None
    except Unreachable:
        raise CommunicationError("the identity provider does not answer", reason="unreachable", rule="WI70") from None
    texts = (found.app_id, found.user_id) if isinstance(found, AccessToken) else ()
    if not texts or not all(isinstance(text, str) and 1 <= len(text) <= MAX_SUBJECT and not has_control(text) for text in texts):
        raise IdentityTokenError("the checker names no application and user", reason="token_invalid", rule="WI70")
    if found.expires_at <= now:
        raise _expired()
    return found


def _expired() -> ExpiredTokenError:
    return ExpiredTokenError("the token has expired", reason="expired", rule="WI70")


# -- checkers that read from the provider (WI71) --------------------------------------------------------------------------


def facebook_checker(app_token: str, fetch: Fetch) -> TokenChecker:
    """A checker of Facebook's access tokens. `app_token` is the app's own access token, the credential of the request."""

    def check(token: str, now: datetime) -> AccessToken:
        given = {"input_token": token, "access_token": app_token}
        answer = _read(fetch, Secret(f"https://graph.facebook.com/debug_token?{urlencode(given)}"))
        data = answer.get("data")
        if not isinstance(data, dict) or data.get("is_valid") is not True:
            raise Rejected
        ends = data.get("expires_at")
        if type(ends) is not int or not 0 <= ends < _MAX_END:
            raise Rejected
        app = data.get("app_id")
        app_id = str(app) if type(app) is int else _text(data, "app_id")
        never = now + timedelta(seconds=_MAX_LIFE)  # Facebook writes 0 for a token without end
        return AccessToken(app_id, _text(data, "user_id"), datetime.fromtimestamp(ends, UTC) if ends else never)

    return check


def amazon_checker(fetch: Fetch) -> TokenChecker:
    """A checker of access tokens of Login with Amazon."""

    def check(token: str, now: datetime) -> AccessToken:
        answer = _read(fetch, Secret(f"https://api.amazon.com/auth/o2/tokeninfo?{urlencode({'access_token': token})}"))
        left = answer.get("exp")  # seconds that are left
        if answer.get("iss") != "https://www.amazon.com" or type(left) is not int or left > _MAX_LIFE:
            raise Rejected
        if left <= 0:
            raise Expired
        return AccessToken(_text(answer, "aud"), _text(answer, "user_id"), now + timedelta(seconds=left))

    return check


def _read(fetch: Fetch, url: str) -> dict[str, Any]:
    try:
        result = fetch(url, FetchLimits(size=_MAX_ANSWER))
    except FetchError as error:
        raise (Rejected if error.is_reachable else Unreachable) from None
    if result.status == 429 or result.status >= 500:
        raise Unreachable
    if result.status != 200 or len(result.body) > _MAX_ANSWER:
        raise Rejected
    try:
        return read_object(result.body, IDENTITY_LIMITS)
    except ValueError:
        raise Rejected from None


def _text(answer: dict[str, Any], name: str) -> str:
    value = answer.get(name)
    if not isinstance(value, str):
        raise Rejected
    return value
