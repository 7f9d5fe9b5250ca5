"""The request of CreateSession: its form and its parameters (6.2), checked before anything in it is decoded further."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_to_bytes

from fastiam.model.request import shorten
from fastiam.rolesanywhere.roles_anywhere_errors import invalid
from fastiam.strict_json import NOT_OBJECT, JsonError, read_object

PATH, METHOD = "/sessions", "POST"
MAX_BYTES = 65_536  # of headers, and of the body (RW21)
MAX_INTERMEDIATES = 5
MIN_SECONDS, MAX_SECONDS = 900, 43_200  # seconds
_ONCE = ("authorization", "host", "content-type", "x-amz-date", "x-amz-x509", "x-amz-x509-chain")
_ARNS = ("profileArn", "roleArn", "trustAnchorArn")
_IGNORED = ("sessionName", "cert")  # deprecated
_MEMBERS = (*_ARNS, *_IGNORED, "durationSeconds", "roleSessionName", "instanceProperties")
_TYPES = ("application/json", "application/x-amz-json-1.0")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e]*")
_ESCAPED = re.compile(r"(?:[A-Za-z0-9._~/:@!$'()*,;?-]|%[0-9A-Fa-f]{2})*")
_NAME = re.compile(r"[A-Za-z0-9_+=,.@-]{2,64}")
_UUID = "[a-f0-9]{8}-(?:[a-z0-9]{4}-){3}[a-z0-9]{12}"
_OBJECT = re.compile(f"arn:(aws[a-z-]*):rolesanywhere:([a-z0-9-]+):([0-9]{{12}}):(trust-anchor|profile)/{_UUID}")
_ROLE = re.compile(r"arn:(aws[a-z-]*):iam::([0-9]{12}):role/(?:[!-~]{1,510}/)?[A-Za-z0-9_+=,.@-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRequest:
    """A request as it was received.

    Attributes
    ----------
    headers
        names and values in the order of arrival; a mapping will do.
    body
        the bytes of the body.
    query
        the text after the `?` of the URL, still percent-encoded.
    source
        address of the client, for audit events.
    """

    headers: Iterable[tuple[str, str]] | Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)
    query: str = ""
    method: str = METHOD
    path: str = PATH
    source: str = ""

    def __post_init__(self) -> None:
        items = self.headers.items() if isinstance(self.headers, Mapping) else self.headers
        object.__setattr__(self, "headers", tuple((name, value) for name, value in items))


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionCall:
    """The parameters of a call. `headers` have lower-case names and each occurrence; `query` are decoded names and values."""

    trust_anchor: str
    profile: str
    role: str
    partition: str
    region: str
    account: str
    duration: int | None
    session_name: str | None
    instance_properties: Mapping[str, str]
    headers: Mapping[str, tuple[str, ...]] = field(repr=False)
    query: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)

    def header(self, name: str) -> str | None:
        """The value of a header that occurs once at most."""
        found = self.headers.get(name)
        return None if found is None else found[0]


def read_request(request: SignedRequest) -> SessionCall:
    """The call that a request makes (step 1 of 6.4).

    Raises
    ------
    ValidationError
        its form is wrong, code `ValidationException`.
    """
    if (request.method, request.path) != (METHOD, PATH):
        raise invalid(f"expected `{METHOD} {PATH}`", rule="6.2")
    headers = _read_headers(request)
    query = _read_query(request.query)
    members = _read_body(request.body)
    named = _read_arns(dict(query), members)
    anchor, profile = (
        _object_arn(named[name], type_) for name, type_ in (("trustAnchorArn", "trust-anchor"), ("profileArn", "profile"))
    )
    if _ROLE.fullmatch(named["roleArn"]) is None:
        raise invalid(f"`{shorten(named['roleArn'])}` is not the ARN of a role", rule="6.2")
    return SessionCall(
        trust_anchor=anchor[0],
        profile=profile[0],
        role=named["roleArn"],
        partition=anchor[1],
        region=anchor[2],
        account=anchor[3],
        duration=_duration(members.get("durationSeconds", MAX_SECONDS), "durationSeconds" in members),
        session_name=_session_name(members["roleSessionName"]) if "roleSessionName" in members else None,
        instance_properties=_instance_properties(members.get("instanceProperties", {})),
        headers=headers,
        query=query,
        body=request.body,
    )


def _read_headers(request: SignedRequest) -> dict[str, tuple[str, ...]]:
    headers: dict[str, list[str]] = {}
    size = len(request.query)
    for name, value in tuple(request.headers):
        if not isinstance(name, str) or not isinstance(value, str):
            raise invalid("headers are text", rule="6.2")
        size += len(name) + len(value)
        if size > MAX_BYTES:
            raise invalid(f"the headers are longer than {MAX_BYTES:,} bytes", rule="RW21")
        if not _HEADER.fullmatch(name) or not _VALUE.fullmatch(value):
            raise invalid(f"the header `{shorten(ascii(name))}` has characters that no header has", rule="FD3")
        headers.setdefault(name.lower(), []).append(value)
    if size > MAX_BYTES:
        raise invalid(f"the query is longer than {MAX_BYTES:,} bytes", rule="RW21")
    for name in _ONCE:
        if len(headers.get(name, ())) > 1:
            raise invalid(f"the header `{name}` occurs more than once", rule="6.3")
    if headers.get("x-amz-x509-chain", ("",))[0].count(",") >= MAX_INTERMEDIATES:
        raise invalid(f"more than {MAX_INTERMEDIATES} intermediate certificates", rule="RW21")
    type_, _, parameter = headers.get("content-type", (_TYPES[0],))[0].partition(";")
    if type_.strip().lower() not in _TYPES or parameter.strip().lower() not in ("", "charset=utf-8"):
        raise invalid("the content type is not `application/json`", rule="6.2")
    return {name: tuple(values) for name, values in headers.items()}


def _read_query(text: str) -> tuple[tuple[str, str], ...]:
    """Names and values of the query. A bare `+` has two readings, as a blank and as itself: it has to be encoded."""
    pairs = []
    for part in text.split("&") if text else ():
        name, separator, value = part.partition("=")
        if not separator or not _ESCAPED.fullmatch(name) or not _ESCAPED.fullmatch(value):
            raise invalid("the query has characters that need percent-encoding", rule="6.2")
        pairs.append((_decoded(name), _decoded(value)))
    names = [name for name, _ in pairs]
    for name in names:
        if name not in _ARNS or names.count(name) > 1:
            raise invalid(
                f"unexpected query parameter `{shorten(ascii(name))}`", rule="6.2", hint=f"use {', '.join(_ARNS)} once each"
            )
    return tuple(pairs)


def _decoded(text: str) -> str:
    try:
        return unquote_to_bytes(text).decode("utf-8")
    except UnicodeDecodeError:
        raise invalid("the query is not UTF-8", rule="6.2") from None


def _read_body(body: bytes) -> dict[str, Any]:
    if not isinstance(body, bytes):
        raise invalid("the body is not bytes", rule="6.2")
    if len(body) > MAX_BYTES:
        raise invalid(f"the body is longer than {MAX_BYTES:,} bytes", rule="RW21")
    if not body:
        return {}
    try:
        members = read_object(body)
    except JsonError as error:
        not_json = "the body is not JSON text with each member once"
        raise invalid("the body is not a JSON object" if error.code == NOT_OBJECT else not_json, rule="6.2") from None
    for name in members:
        if name not in _MEMBERS:
            raise invalid(f"unknown member `{shorten(ascii(name))}`", rule="6.2")
    return members


def _read_arns(query: Mapping[str, str], members: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in _ARNS:
        values = [place[name] for place in (query, members) if name in place]
        if not values:
            raise invalid(f"`{name}` is missing", rule="6.2")
        if not all(isinstance(value, str) for value in values) or len(set(values)) > 1:
            raise invalid(f"`{name}` has not one value in query and body", rule="6.2")
        found[name] = values[0]
    return found


def _object_arn(arn: str, type_: str) -> tuple[str, str, str, str]:
    match = _OBJECT.fullmatch(arn)
    if match is None or match[4] != type_:
        hint = "an alias is not accepted" if ":alias/" in arn else ""
        raise invalid(f"`{shorten(ascii(arn))}` is not the ARN of a {type_}", rule="RW16" if hint else "6.1", hint=hint)
    return arn, match[1], match[2], match[3]


def _duration(value: object, is_given: bool) -> int | None:
    if not is_given:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not MIN_SECONDS <= value <= MAX_SECONDS:
        raise invalid(f"`durationSeconds` is not in {MIN_SECONDS} to {MAX_SECONDS}", rule="6.2")
    return value


def _session_name(value: object) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise invalid("`roleSessionName` is not 2 to 64 letters, digits and `_+=,.@-`", rule="6.2")
    return value


def _instance_properties(value: object) -> dict[str, str]:
    if not isinstance(value, dict) or len(value) > 50:
        raise invalid("`instanceProperties` is not an object of 50 members at most", rule="6.2")
    for text in (*value.keys(), *value.values()):
        if not isinstance(text, str) or not 1 <= len(text) <= 200 or not text.isprintable():
            raise invalid("`instanceProperties` has a name or value that is not text of 1 to 200 characters", rule="6.2")
    return value
