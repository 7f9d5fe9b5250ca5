"""AWS Signature Version 4 of requests, in the Authorization header or presigned in the query string (G130 to G136).

Everything is read from the bytes that the client sent. The caller of this module looks the secret up and compares.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Final
from urllib.parse import quote_from_bytes, unquote_to_bytes

from fastiam.model.request import shorten
from fastiam.server.http import Request
from fastiam.server.protocols.aws.aws_errors import ApiError

ALGORITHM: Final = "AWS4-HMAC-SHA256"
SKEW: Final = timedelta(minutes=15)
MAX_EXPIRES: Final = 604_800  # seconds
UNSIGNED_PAYLOAD: Final = "UNSIGNED-PAYLOAD"
RAW_PATH: Final = frozenset({"s3", "s3-outposts", "s3-object-lambda", "s3express"})
"""Services whose clients sign the path as they send it (G131)."""
_TERMINATOR = "aws4_request"
_QUERY_NAMES = ("Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature")
_DATE = re.compile("[0-9]{8}T[0-9]{6}Z")
_SCOPE_PART = re.compile("[A-Za-z0-9_-]{1,64}")
_BLANKS = re.compile(b"[ \t]+")
_DIGITS = re.compile("[0-9]{1,7}")
_MAX_HOSTS = 4


@dataclass(frozen=True, slots=True)
class Signature:
    """The signature of a request, read and not verified.

    `expires` is the life of a presigned request; None in the header form.
    """

    access_key_id: str
    instant: datetime
    stamp: str
    """The instant as it is signed, `20261129T090000Z`."""
    date: str
    """The date of the scope, `20261129`."""
    region: str
    service: str
    signed_headers: tuple[str, ...]
    value: str
    token: str | None
    expires: timedelta | None

    @property
    def scope(self) -> str:
        """What the signing key is derived for."""
        return f"{self.date}/{self.region}/{self.service}/{_TERMINATOR}"

    def __repr__(self) -> str:  # a session token is a secret
        return f"<Signature of {self.access_key_id!r}, scope {self.scope!r}>"


# -- reading --------------------------------------------------------------------------------------------------------------


def read_signature(request: Request) -> Signature | None:
    """The signature of a request, or None if it has none.

    Raises
    ------
    ApiError
        `IncompleteSignature`: parts are missing, given twice or unreadable, or it is in header and query string.
    """
    headers = request.header_values(b"authorization")
    query = _query(request.raw_query)
    presigned = [value for name, value in query if name.startswith(b"X-Amz-") and name != b"X-Amz-Security-Token"]
    if headers and presigned:
        raise _incomplete("the request is signed in the Authorization header and in the query string")
    if presigned:
        return _presigned(query)
    if not headers:
        return None
    if len(headers) > 1:
        raise _incomplete("there is more than one Authorization header")
    return _from_header(request, headers[0])


def _from_header(request: Request, header: bytes) -> Signature:
    algorithm, _, rest = header.decode("latin-1").strip().partition(" ")
    _check_algorithm(algorithm)
    parts: dict[str, str] = {}
    for part in rest.split(","):
        name, equals, value = part.strip().partition("=")
        if not equals or name in parts:
            raise _incomplete("Authorization header has a part without a value, or twice")
        parts[name] = value
    missing = [name for name in ("Credential", "SignedHeaders", "Signature") if not parts.get(name)]
    if missing:
        raise _incomplete(f"Authorization header requires '{missing[0]}' parameter")
    tokens = request.header_values(b"x-amz-security-token")
    if len(tokens) > 1:
        raise _incomplete("there is more than one x-amz-security-token header")
    return _signature(
        parts["Credential"],
        _header_instant(request),
        parts["SignedHeaders"],
        parts["Signature"],
        tokens[0].decode("latin-1") if tokens else None,
        None,
    )


def _presigned(query: Iterable[tuple[bytes, bytes]]) -> Signature:
    parts: dict[str, str] = {}
    for name, value in query:
        key = name.decode("latin-1").removeprefix("X-Amz-")
        if not name.startswith(b"X-Amz-"):
            continue
        if key in parts:
            raise _incomplete(f"the query string has 'X-Amz-{shorten(key)}' more than once")
        parts[key] = value.decode("latin-1")
    missing = [name for name in _QUERY_NAMES if not parts.get(name)]
    if missing:
        raise _incomplete(f"the query string requires 'X-Amz-{missing[0]}'")
    _check_algorithm(parts["Algorithm"])
    if not _DIGITS.fullmatch(parts["Expires"]) or not 1 <= int(parts["Expires"]) <= MAX_EXPIRES:
        raise _incomplete(f"X-Amz-Expires must be 1 to {MAX_EXPIRES} seconds")
    return _signature(
        parts["Credential"],
        _instant(parts["Date"]),
        parts["SignedHeaders"],
        parts["Signature"],
        parts.get("Security-Token"),
        timedelta(seconds=int(parts["Expires"])),
    )


def _check_algorithm(algorithm: str) -> None:
    if algorithm != ALGORITHM:
        raise _incomplete(f"the algorithm '{shorten(algorithm)}' is not {ALGORITHM}")


def _signature(
    credential: str, instant: datetime, headers: str, value: str, token: str | None, expires: timedelta | None
) -> Signature:
    scope = credential.split("/")
    if len(scope) != 5 or scope[4] != _TERMINATOR or not all(map(_SCOPE_PART.fullmatch, scope)):
        raise _incomplete(f"Credential must be 'key id/date/Region/service/{_TERMINATOR}'")
    names = tuple(headers.split(";"))
    if not all(names):
        raise _incomplete("SignedHeaders has an empty name")
    return Signature(scope[0], instant, f"{instant:%Y%m%dT%H%M%SZ}", scope[1], scope[2], scope[3], names, value, token, expires)


def _header_instant(request: Request) -> datetime:
    dates = request.header_values(b"x-amz-date")
    if len(dates) == 1:
        return _instant(dates[0].decode("latin-1"))
    dates = dates or request.header_values(b"date")
    if len(dates) != 1:
        raise _incomplete("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header")
    text = dates[0].decode("latin-1")
    if _DATE.fullmatch(text):
        return _instant(text)
    try:
        instant = parsedate_to_datetime(text)
        # In UTC, as it was signed: the header need not be signed, and another zone would move the instant, but not its text.
        return instant.astimezone(UTC) if instant.tzinfo is not None else instant.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise _incomplete("the Date header is not a date") from None


def _instant(text: str) -> datetime:
    try:
        if not _DATE.fullmatch(text):
            raise ValueError(text)
        year, month, day, hour, minute, second = map(int, (text[:4], text[4:6], text[6:8], text[9:11], text[11:13], text[13:15]))
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC)  # PERF: `strptime` takes four times as long
    except ValueError:
        raise _incomplete("the date of the signature must be of the form 20261129T090000Z") from None


def _incomplete(message: str) -> ApiError:
    return ApiError("IncompleteSignature", message[:1].upper() + message[1:] + ".")


# -- verifying ------------------------------------------------------------------------------------------------------------


def check_headers(request: Request, signature: Signature) -> None:
    """Check that what must be signed is signed (G132).

    Raises
    ------
    ApiError
        `IncompleteSignature` without `host`; `SignatureDoesNotMatch` for an unsigned `x-amz-` header, a signed header that is
        absent, and names that are not sorted.
    """
    signed = signature.signed_headers
    if "host" not in signed:
        raise _incomplete("'Host' must be a signed header")
    present = {name.decode("latin-1") for name, _ in request.headers}
    unsigned = sorted(name for name in present if name.startswith("x-amz-") and name not in signed)
    if unsigned:
        raise mismatch(f"The header '{shorten(unsigned[0])}' must be signed.")
    if list(signed) != sorted(set(signed)):
        raise mismatch("SignedHeaders must be sorted, without duplicates.")
    absent = [name for name in signed if name not in present]
    if absent:
        raise mismatch(f"The signed header '{shorten(absent[0])}' is not in the request.")


def check_time(signature: Signature, now: datetime) -> None:
    """Check the instant of a signature against the clock (G133).

    Raises
    ------
    ApiError
        `SignatureDoesNotMatch` with both instants.
    """
    instant = signature.instant
    if signature.date != signature.stamp.partition("T")[0]:
        raise mismatch(f"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date: {_text(instant)}.")
    life, words = (
        (SKEW, "15 min") if signature.expires is None else (signature.expires, f"{int(signature.expires.total_seconds())} s")
    )
    if now - instant > life:  # the difference of any two instants exists, but not every sum
        limit = f"{_text(now - life)} ({_text(now)} - {words}.)"
        raise mismatch(f"Signature expired: {_text(instant)} is now earlier than {limit}")
    if instant - now > SKEW:
        limit = f"{_text(now + SKEW)} ({_text(now)} + 15 min.)"
        raise mismatch(f"Signature not yet current: {_text(instant)} is still later than {limit}")


def body_hash(request: Request, *, allow_unsigned: bool = False) -> str:
    """The hash of the body for the canonical request.

    Raises
    ------
    ApiError
        `x-amz-content-sha256` is not that of the body, or is a form that is not accepted here.
    """
    real = hashlib.sha256(request.body).hexdigest()
    stated = request.header_values(b"x-amz-content-sha256")
    if not stated:
        return real
    text = stated[0].decode("latin-1")
    if text.startswith("STREAMING-"):
        raise ApiError("NotImplemented", "Bodies that are signed in chunks are not supported.")
    if text == UNSIGNED_PAYLOAD and allow_unsigned and request.is_tls and len(stated) == 1:
        return text
    if len(stated) != 1 or not hmac.compare_digest(text.encode(), real.encode()):
        raise mismatch("x-amz-content-sha256 is not the hash of the body.")
    return real


def is_valid(request: Request, signature: Signature, secret: str, payload: str, *, hosts: tuple[str, ...] = ()) -> bool:
    """Whether the signature was made with a secret.

    Parameters
    ----------
    payload
        of `body_hash`.
    hosts
        values that may replace `Host`, where a proxy rewrites it; at most 4 are tried.
    """
    key = signing_key(secret, signature.date, signature.region, signature.service)
    given = signature.value.encode("latin-1", "replace")
    for host in (None, *(host.encode() for host in hosts[:_MAX_HOSTS])):
        canonical = canonical_request(request, signature, payload, host)
        text = f"{ALGORITHM}\n{signature.stamp}\n{signature.scope}\n{hashlib.sha256(canonical).hexdigest()}"
        if hmac.compare_digest(hmac.digest(key, text.encode(), "sha256").hex().encode(), given):
            return True
    return False


@lru_cache(maxsize=1_024)  # clients choose Regions
def signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    """The key of a scope."""
    key = b"AWS4" + secret.encode("utf-8", "surrogatepass")
    for part in (date, region, service, _TERMINATOR):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def canonical_request(request: Request, signature: Signature, payload: str, host: bytes | None = None) -> bytes:
    """The canonical request (G131). `host` replaces the value of the Host header."""
    headers = b"".join(
        name.encode("latin-1") + b":" + _header_value(request, name, host) + b"\n" for name in signature.signed_headers
    )
    return b"\n".join(
        (
            request.method.encode(),
            request.raw_path if signature.service in RAW_PATH else canonical_path(request.raw_path),
            canonical_query(request.raw_query),
            headers,
            ";".join(signature.signed_headers).encode("latin-1"),
            payload.encode(),
        )
    )


@lru_cache(maxsize=256)  # clients choose paths
def canonical_path(raw: bytes) -> bytes:
    """The path as sent, without `.`, `..` and empty segments; all bytes but unreserved ones and `/` are encoded, `%` too."""
    kept: list[bytes] = []
    for segment in raw.split(b"/"):
        if segment == b"..":
            del kept[-1:]
        elif segment not in (b"", b"."):
            kept.append(segment)
    path = b"/" + b"/".join(kept) + (b"/" if kept and raw.endswith(b"/") else b"")
    return quote_from_bytes(path, safe="/-_.~").encode()


def canonical_query(raw: bytes) -> bytes:
    """The parameters of the query string, encoded and sorted, without the signature itself."""
    pairs = sorted((_encoded(name), _encoded(value)) for name, value in _query(raw) if name != b"X-Amz-Signature")
    return b"&".join(name + b"=" + value for name, value in pairs)


def _query(raw: bytes) -> list[tuple[bytes, bytes]]:
    """Names and values of a query string, decoded once; `+` is a plus sign here (G131)."""
    if not raw:
        return []
    pairs = (pair.partition(b"=") for pair in raw.split(b"&"))
    return [(unquote_to_bytes(name), unquote_to_bytes(value)) for name, _, value in pairs]


def _encoded(raw: bytes) -> bytes:
    return quote_from_bytes(raw, safe="-_.~").encode()


def _header_value(request: Request, name: str, host: bytes | None) -> bytes:
    if name == "host" and host is not None:
        return host
    values = request.header_values(name.encode("latin-1"))
    return b",".join(_BLANKS.sub(b" ", value.strip(b" \t")) for value in values)


def _text(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def mismatch(message: str = "") -> ApiError:
    """The error for a signature that is not right."""
    general = "The request signature we calculated does not match the signature you provided."
    return ApiError("SignatureDoesNotMatch", message or f"{general} Check your AWS Secret Access Key and signing method.")
