"""How an id becomes a part of an ARN: percent-encoded, or as a name that IAM allows whatever its characters are (G51).

Invariant: two ids never become one text, and what `decode` returns becomes exactly the text that it was given.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b32hexdecode, b32hexencode
from collections.abc import Callable
from functools import partial
from typing import Final, Literal, NamedTuple
from urllib.parse import quote, unquote

Encoding = Literal["percent", "base32hex", "hash"]

MAX_NAME: Final = 64  # characters of the name of a user or session
_HASH: Final = "sha256-"  # no text in base32hex has a hyphen
HASH_SIZE: Final = len(_HASH) + 52
_SAFE: Final = "._~@+=,-"  # next to letters and digits
_IS_SAFE = re.compile(r"[A-Za-z0-9._~@+=,-]+")


class Codec(NamedTuple):
    """One encoding. `encode` raises `UnicodeEncodeError` for a lone surrogate; `decode` gives None for what it did not make."""

    encode: Callable[[str], str]
    decode: Callable[[str], str | None]


def encode(text: str) -> str:
    """Percent-encode everything outside `A-Z a-z 0-9 . _ ~ @ + = , -`, so that a text stays within its segment and field."""
    return text if _IS_SAFE.fullmatch(text) else quote(text, safe=_SAFE)


def _percent_decoded(text: str) -> str | None:
    found = unquote(text, errors="replace")
    return found if encode(found) == text else None


def _base32hex(text: str) -> str:
    return b32hexencode(text.encode()).decode().rstrip("=").lower()


def _hashed(text: str) -> str:
    return _HASH + b32hexencode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=").lower()


def is_hash(text: str) -> bool:
    """Whether a text has the form of a hash."""
    return len(text) == HASH_SIZE and text.startswith(_HASH)


def _short(room: int, text: str) -> str:
    made = _base32hex(text)
    return made if len(made) <= room else _hashed(text)


def _base32hex_decoded(text: str) -> str | None:
    try:
        found = b32hexdecode(text.upper() + "=" * (-len(text) % 8)).decode()
    except ValueError:
        return None
    return found if _base32hex(found) == text else None


PERCENT: Final = Codec(encode, _percent_decoded)


def codec(encoding: Encoding, room: int) -> Codec:
    """The codec of an encoding for texts of at most `room` characters, which is `HASH_SIZE` or more.

    `base32hex` makes a hash of an id that is longer. A hash is not decoded: only the id itself leads to it.
    """
    if encoding == "percent":
        return PERCENT
    return Codec(_hashed if encoding == "hash" else partial(_short, room), _nothing if encoding == "hash" else _base32hex_decoded)


def _nothing(text: str) -> None:
    return None
