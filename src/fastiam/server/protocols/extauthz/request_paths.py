"""One text for each path (G87). A path that an upstream may read in another way than a policy is ambiguous, and denied."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote_from_bytes, unquote_to_bytes

from fastiam.server.mapping import MappingError

_SAFE: Final = "-._~!$&'()*+,=:@"  # characters that a segment may have unencoded, but `;`
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
_PLAIN = re.compile(rb"(?:/(?!\.\.?(?:/|\Z))[A-Za-z0-9._~!$&'()*+,=:@-]+)+/?|/")  # a path that is its own text
_MAX_ROUNDS: Final = 4  # decodings of one segment; text that is still encoded then is ambiguous


def canonical_path(raw: bytes) -> str:
    """The text of a path: escapes that are not needed are decoded, others are upper-case.

    `/a%2db`, `/a-b` give one text, and so do `/x%3Ay`, `/x:y`.

    Raises
    ------
    MappingError
        `ambiguous_path`.
    """
    if _PLAIN.fullmatch(raw):  # PERF: most paths
        return raw.decode("ascii")
    if not raw.startswith(b"/"):
        raise _ambiguous("it does not begin with `/`")
    segments = raw[1:].split(b"/")
    return "/" + "/".join(_segment(segment, is_last=i == len(segments) - 1) for i, segment in enumerate(segments))


def _segment(raw: bytes, *, is_last: bool) -> str:
    if not raw:
        if is_last:
            return ""
        raise _ambiguous("it has an empty segment")
    if _BAD_ESCAPE.search(raw):
        raise _ambiguous("it has a bad escape")
    if b";" in raw:
        raise _ambiguous("it has a parameter")
    decoded = unquote_to_bytes(raw)
    text, rounds = decoded, 1
    while True:
        if text in (b".", b"..") or b"/" in text or b"\\" in text or _CONTROL.search(text):
            raise _ambiguous("it has a dot segment, an encoded separator or a control character")
        further = unquote_to_bytes(text)
        if further == text:
            break
        if rounds == _MAX_ROUNDS:
            raise _ambiguous("it is encoded many times")
        text, rounds = further, rounds + 1
    try:
        decoded.decode()
    except UnicodeDecodeError:
        raise _ambiguous("it is not UTF-8") from None
    return quote_from_bytes(decoded, safe=_SAFE)


def _ambiguous(why: str) -> MappingError:
    return MappingError("ambiguous_path", f"the path can be read in two ways: {why}", "$.path")


def raw_path(raw: bytes) -> str:
    """The text of a path as sent, for a route that asks for it.

    Raises
    ------
    MappingError
        `ambiguous_path`: it does not begin with `/`, or has bytes that no URL has.
    """
    if not raw.startswith(b"/") or not raw.isascii() or _CONTROL.search(raw) or b" " in raw:
        raise _ambiguous("it is not the path of a URL")
    try:
        unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        raise _ambiguous("it is not UTF-8") from None
    return raw.decode("ascii")


def split_target(target: bytes) -> tuple[bytes, bytes]:
    """Path and query string of a target.

    Raises
    ------
    MappingError
        `ambiguous_path`, there is a fragment.
    """
    if b"#" in target:
        raise _ambiguous("it has a fragment")
    path, _, query = target.partition(b"?")
    return path, query
