"""Page tokens: where a listing goes on (G72, G150).

A token grants nothing, since each page is decided anew for its caller, so it has no key. It is positional: it survives a reload,
and a page after it begins behind the last id that was sent. Its checksum finds damage, not forgery.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import Final

_VERSION: Final = 1
_LIMIT_BYTES, _LISTING_BYTES, _CHECK_BYTES = 4, 16, 8
_HEAD = 1 + _LIMIT_BYTES + _LISTING_BYTES
_MAX_LENGTH = 4_096  # characters of a token


class PageTokenError(ValueError):
    """The token is damaged, or of another listing."""


@dataclass(frozen=True, slots=True)
class Page:
    """Where a page begins: after the id `last`, with at most `limit` results."""

    limit: int
    last: str


def write_token(listing: bytes, page: Page) -> str:
    """The token of the next page.

    Parameters
    ----------
    listing
        what identifies the listing, in one canonical form: a token is valid for equal bytes only.
    """
    body = bytes((_VERSION,)) + page.limit.to_bytes(_LIMIT_BYTES) + _digest(listing, _LISTING_BYTES)
    body += page.last.encode("utf-8", "surrogatepass")
    return _text(body + _digest(body, _CHECK_BYTES))


def read_token(listing: bytes, token: str) -> Page:
    """The page that a token begins.

    Raises
    ------
    PageTokenError
        it is damaged, or a token of another listing.
    """
    if len(token) > _MAX_LENGTH:
        raise PageTokenError("the page token is too long")
    try:
        raw = base64.b64decode(token.encode("ascii") + b"=" * (-len(token) % 4), b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise PageTokenError("the page token is damaged") from None
    if _text(raw) != token:  # other texts decode to the same bytes: the last character has unused bits
        raise PageTokenError("the page token is damaged")
    body, check = raw[:-_CHECK_BYTES], raw[-_CHECK_BYTES:]
    if len(body) < _HEAD or _digest(body, _CHECK_BYTES) != check or body[0] != _VERSION:
        raise PageTokenError("the page token is damaged")
    if body[1 + _LIMIT_BYTES : _HEAD] != _digest(listing, _LISTING_BYTES):
        raise PageTokenError("the page token is of another listing")
    return Page(int.from_bytes(body[1 : 1 + _LIMIT_BYTES]), body[_HEAD:].decode("utf-8", "surrogatepass"))


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _digest(data: bytes, size: int) -> bytes:
    return hashlib.sha256(data).digest()[:size]
