"""Condition keys of a request (G89). They pass the gate for facts like those of any other protocol (G7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qsl

from fastiam.server.identity import Identity
from fastiam.server.mapping import FactRules, Facts, MappingError, facts_of_call
from fastiam.server.protocols.extauthz.checks import CheckRequest
from fastiam.server.protocols.extauthz.principal_sources import EXTENSION
from fastiam.server.protocols.extauthz.routes import Matched, Route, Target
from fastiam.strict_json import JsonError, read_value

_SKEW: Final = timedelta(seconds=60)
_RULES: Final = FactRules(allow_now=True)


def read_facts(
    check: CheckRequest,
    target: Target,
    matched: Matched,
    claims: Mapping[str, Any],
    identity: Identity,
    now: datetime,
    *,
    headers: Sequence[str],
    query: Sequence[str],
) -> Facts:
    """The facts of a request.

    Parameters
    ----------
    headers, query
        lower-case names of headers, and names of parameters, that become condition keys.

    Raises
    ------
    MappingError
        a value cannot be used, or the body that the route reads is not there.
    """
    context: dict[str, Any] = {
        "aws:SourceIp": check.source_address,
        "aws:SecureTransport": check.is_tls,
        "aws:UserAgent": _one(check, "user-agent"),
        "aws:referer": _one(check, "referer"),
        "extauthz:host": target.host or None,
        "extauthz:method": target.method,
        "extauthz:path": matched.path,
    }
    if check.instant is not None and abs(check.instant - now) <= _SKEW:
        context["aws:CurrentTime"] = check.instant.strftime("%Y-%m-%dT%H:%M:%SZ")
    for name in headers:
        context[f"extauthz:header/{name}"] = _one(check, name)
    if query:
        _add_query(context, target.query, query)
    for name, value in claims.items():
        context[f"extauthz:claim/{name}"] = value
    for name, value in check.extensions.items():
        if name != EXTENSION:
            context[f"extauthz:ext/{name}"] = value
    if matched.route.body:
        _add_body(context, check, matched.route)
    found = facts_of_call(identity, context, _RULES)
    if check.source_address is None and "aws:SourceIp" not in found.unknown:
        found.unknown += ("aws:SourceIp",)  # the client has an address, and Envoy does not report it
    return found


def _one(check: CheckRequest, name: str) -> str | None:
    """The value of a header whose condition key has one value; several fields are one text, as proxies join them."""
    values = check.values(name)
    return ",".join(values) if values else None


def _add_query(context: dict[str, Any], raw: bytes, names: Sequence[str]) -> None:
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict")
    except ValueError:
        raise MappingError("bad_character", "the query string is not UTF-8", "$.query") from None
    for name in names:
        context[f"extauthz:query/{name}"] = [value for key, value in pairs if key == name]


def _add_body(context: dict[str, Any], check: CheckRequest, route: Route) -> None:
    if not check.has_whole_body:
        raise MappingError("partial_body", "the body is not there as a whole", "$.body")
    if len(check.body) > route.body_limit:
        raise MappingError("too_long", f"the body has more than {route.body_limit} bytes", "$.body")
    try:
        whole = read_value(check.body)
    except JsonError as error:
        raise MappingError("bad_body", str(error), "$.body") from None
    for name, pointer in route.body.items():
        context[f"extauthz:body/{name}"] = _at(whole, pointer)


def _at(value: Any, pointer: Sequence[str]) -> Any:
    """The value at a JSON pointer; None if there is none."""
    for name in pointer:
        if type(value) is dict:
            value = value.get(name)
        elif type(value) is list and name.isdecimal() and name.isascii() and int(name) < len(value):
            value = value[int(name)]
        else:
            return None
    return value
