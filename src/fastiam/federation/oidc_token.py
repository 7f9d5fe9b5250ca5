"""A web identity token: its form, its signature, its times and required claims (3.2, 3.3).

`read_token` takes a token apart to select provider and key. `Token.verify` returns the claims whose signature was verified; only
these become keys.
"""

from __future__ import annotations

import base64
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from jwt.api_jws import PyJWS
from jwt.exceptions import PyJWTError

from fastiam.federation.federation_errors import ExpiredTokenError, IdentityTokenError
from fastiam.federation.jwks import ALGORITHMS, VerificationKey
from fastiam.model.request import shorten
from fastiam.strict_json import IDENTITY_LIMITS, read_object

MIN_TOKEN, MAX_TOKEN = 4, 20_000  # characters
MAX_SUBJECT, _MAX_TIME = 2_048, 1 << 53
_PART = re.compile("[A-Za-z0-9_-]+")
_USER_POOL = re.compile(r"https://cognito-idp\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?/[^/]+")
_VERIFIER = PyJWS(algorithms=list(ALGORITHMS))


@dataclass(frozen=True, slots=True)
class Token:
    """A token whose signature is not verified. `issuer`, `key_id` and `algorithm` only select the provider and the keys."""

    issuer: str
    key_id: str | None
    algorithm: str
    text: str = field(repr=False)

    def verify(self, keys: Iterable[VerificationKey]) -> dict[str, Any]:
        """The claims, if one of the keys has signed them.

        Raises
        ------
        IdentityTokenError
            none has.
        """
        for key in keys:
            try:
                verified = _VERIFIER.decode_complete(self.text, key.key, algorithms=[self.algorithm])
            except (PyJWTError, ValueError, TypeError):
                continue
            return _object(verified["payload"], "payload")
        raise _refusal("the signature of the token is not of a key of the issuer", "WI44")


def read_token(text: str) -> Token:
    """Take a token apart (WI10 to WI13).

    Raises
    ------
    IdentityTokenError
        another form, an algorithm that is not allowed, or no issuer.
    """
    decoded = _decoded(text)
    if isinstance(decoded, str):
        raise _refusal(decoded, "WI10")
    header, payload = decoded
    members, claims = _object(header, "header"), _object(payload, "payload")
    if "crit" in members or "b64" in members:
        raise _refusal("the header of the token has `crit` or `b64`", "WI13")
    if _is_nested(members.get("cty")):
        raise _refusal("the token contains another token", "WI10")
    algorithm, key_id, issuer = members.get("alg"), members.get("kid"), claims.get("iss")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise _refusal(f"the algorithm is not one of {', '.join(ALGORITHMS)}", "WI12")
    if key_id is not None and not isinstance(key_id, str):
        raise _refusal("the key id of the token is not text", "WI44")
    if not isinstance(issuer, str):
        raise _refusal("missing a required claim: iss", "WI22")
    return Token(issuer, key_id, algorithm, text)


def _is_nested(content_type: object) -> bool:
    return isinstance(content_type, str) and content_type.lower().removeprefix("application/") == "jwt"


def _decoded(text: str) -> tuple[bytes, bytes] | str:
    """Header and payload of a token, or why it cannot be decoded.

    It raises nothing: a traceback would show the parts, and with them the token.
    """
    parts = text.split(".")
    if len(parts) != 3:
        return "the token does not have three parts"
    header, payload, signature = map(_decoded_part, parts)
    if not (header and payload and signature):
        return "a part of the token is empty or not base64url without padding"
    return header, payload


def _decoded_part(part: str) -> bytes:
    """A part of a token: base64url without padding, in its one canonical form; empty if it has another form."""
    try:
        raw = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) if _PART.fullmatch(part) else b""
    except ValueError:
        return b""
    return raw if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() == part else b""


def _object(raw: bytes, what: str) -> dict[str, Any]:
    try:
        return read_object(raw, IDENTITY_LIMITS)
    except ValueError:  # its message may contain a part of the token
        raise _refusal(f"the {what} of the token is not a JSON object as required", "WI11") from None


def _refusal(message: str, rule: str) -> IdentityTokenError:
    return IdentityTokenError(message, reason="token_invalid", rule=rule)


# -- claims ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Audience:
    """`effective` is what the provider's client ids and `:aud` are about, `claimed` the claim `aud` (WI23, WI24).

    A list of one text is that text; a longer list is an audience of several values (S40).
    """

    effective: str | list[str]
    claimed: str | list[str]

    def texts(self) -> list[str]:
        """The effective audience as a list."""
        return [self.effective] if isinstance(self.effective, str) else self.effective


def check_times(claims: dict[str, Any], now: datetime, skew: int) -> None:
    """Steps 6 and 7: `exp`, then `iat` and `nbf` (WI25).

    Raises
    ------
    ExpiredTokenError
        at `exp` and after it.
    IdentityTokenError
        a time is missing or no integer; the token is from the future, or ends before it was issued.
    """
    instant = int(now.timestamp())
    expires = _time(claims, "exp")
    if expires is not None and expires <= instant:
        raise ExpiredTokenError("the token has expired", reason="expired", rule="WI25")
    issued, begins = _time(claims, "iat"), _time(claims, "nbf")
    for name, value in (("exp", expires), ("iat", issued)):
        if value is None:
            raise _refusal(f"missing a required claim: {name}", "WI22")
    assert expires is not None and issued is not None
    if issued > instant + skew or (begins is not None and begins > instant + skew):
        raise _refusal("the token is not valid yet", "WI25")
    if expires <= issued:
        raise _refusal("the token ends before it was issued", "WI25")


def _time(claims: dict[str, Any], name: str) -> int | None:
    if name not in claims:
        return None
    value = claims[name]
    if type(value) is not int or not 0 <= value <= _MAX_TIME:
        raise _refusal(f"the claim `{name}` is not an integer of seconds", "WI11")
    return value


def check_kind(claims: dict[str, Any]) -> None:
    """An access token of a Cognito user pool is not an ID token (WI27)."""
    if _USER_POOL.fullmatch(claims["iss"]) and claims.get("token_use") != "id":
        raise _refusal("a token of a user pool must be an ID token", "WI27")


def read_subject_claim(claims: dict[str, Any]) -> str:
    """The claim `sub` (WI22)."""
    if "sub" not in claims:
        raise _refusal("missing a required claim: sub", "WI22")
    subject = claims["sub"]
    if not isinstance(subject, str) or not 1 <= len(subject) <= MAX_SUBJECT or has_control(subject):
        raise _refusal(f"the claim `sub` is not text of 1 to {MAX_SUBJECT:,} characters", "WI22")
    return subject


def read_audience(claims: dict[str, Any]) -> Audience:
    """The claims `aud` and `azp` (WI22 to WI24)."""
    if "aud" not in claims:
        raise _refusal("missing a required claim: aud", "WI22")
    claimed = claims["aud"]
    texts = [claimed] if isinstance(claimed, str) else claimed
    if not isinstance(texts, list) or not texts or not all(_is_audience(text) for text in texts):
        raise _refusal("the claim `aud` is not text or a list of texts", "WI22")
    if len(texts) == 1:  # Kubernetes writes one audience as a list, and trust policies compare it as one value
        claimed = texts[0]
    if "azp" not in claims:
        return Audience(claimed, claimed)
    party = claims["azp"]
    if not _is_audience(party):
        raise _refusal("the claim `azp` is not text", "WI24")
    return Audience(party, claimed)


def check_audience(audience: Audience, client_ids: tuple[str, ...]) -> None:
    """One value of the effective audience has to be a client id of the provider (WI23).

    Raises
    ------
    IdentityTokenError
        none is.
    """
    if not any(text in client_ids for text in audience.texts()):
        shown = ", ".join(f"`{shorten(text)}`" for text in audience.texts()[:3])
        raise _refusal(f"incorrect token audience: {shown}", "WI23")


def _is_audience(text: object) -> bool:
    return isinstance(text, str) and text != "" and not has_control(text)


def has_control(text: str) -> bool:
    """Whether a text contains a control character."""
    return any(unicodedata.category(c) == "Cc" for c in text)
