"""Rules for redirect addresses and scopes of app clients (UP90, UP93)."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from fastiam.cognito.cognito_errors import CognitoError
from fastiam.cognito.user_pools.tokens import API_SCOPE

OPENID_SCOPES = frozenset({"openid", "email", "phone", "profile", API_SCOPE})
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
_FORBIDDEN = frozenset({"javascript", "data", "file", "vbscript"})
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*", re.ASCII)
_VISIBLE = re.compile(r"[\x21-\x7e]+", re.ASCII)


def check_redirect(url: str) -> None:
    """Check a callback URL: `https`, `http` on this machine, or a private scheme; no fragment.

    Raises
    ------
    CognitoError
        InvalidParameterException.
    """
    if not _is_address(url):
        raise CognitoError("cannot be used as callback or sign-out URL: " + repr(url[:100]), rule="UP90")


def check_logout(url: str) -> None:
    """Check a sign-out URL, by the rules of callback URLs."""
    check_redirect(url)


def _is_address(url: str) -> bool:
    if not _VISIBLE.fullmatch(url) or "#" in url or "\\" in url:
        return False
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _ = parts.port
    except ValueError:
        return False
    scheme = url.partition(":")[0]
    if parts.username is not None or not _SCHEME.fullmatch(scheme):
        return False
    if scheme == "https":
        return bool(host)
    if scheme == "http":
        return host in _LOCAL
    return scheme not in _FORBIDDEN and ":" in url and len(url) > len(scheme) + 1
