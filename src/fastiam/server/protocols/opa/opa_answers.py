"""Requests and answers of the OPA data API (4.1): input, flags of the query string, results, errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson

from fastiam import __version__
from fastiam.server.decision_records import Record
from fastiam.server.http import Request, Response
from fastiam.server.mapping import RequestRefused
from fastiam.strict_json import JsonError, JsonLimits, read_value

LIMITS: Final = JsonLimits(arrays={"filterResources": 100_000, "columns": 10_000})
_YAML: Final = (b"application/yaml", b"application/x-yaml", b"text/yaml")
_CODES: Final = {
    401: "unauthorized",
    403: "unauthorized",
    404: "undefined_document",
    500: "internal_error",
    503: "internal_error",
}
UNDEFINED: Final = object()
"""The result of a path that is not configured."""


def bad_request(message: str) -> RequestRefused:
    """A request that is not one of the API."""
    return RequestRefused(400, "invalid_parameter", message)


def undefined_document(message: str) -> RequestRefused:
    """A request whose result would be undefined, which OPA's clients read as a permission (G108)."""
    return RequestRefused(404, "undefined_document", message)


@dataclass(frozen=True, slots=True)
class Flags:
    """Parameters of the query string (G105)."""

    pretty: bool = False
    metrics: bool = False
    provenance: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """A request, read: path, input, and the form of the answer."""

    path: str
    input: Any
    """UNDEFINED if there is none."""
    is_bare: bool
    """The body is the input, and the answer is the result (G103)."""
    flags: Flags
    request: Request


def read_call(request: Request, path: str, *, is_bare: bool) -> Call:
    """Read a request.

    Raises
    ------
    RequestRefused
        YAML, broken JSON, or two inputs.
    """
    parameters = parse_qsl(request.raw_query.decode("ascii", "replace"), keep_blank_values=True)
    named = dict(parameters)
    flags = Flags(*(named.get(name) in ("", "true") for name in ("pretty", "metrics", "provenance")))
    for value in request.header_values(b"content-type"):
        if value.partition(b";")[0].strip().lower() in _YAML:
            raise bad_request("the body is YAML, and only JSON is read")
    input_: Any = UNDEFINED
    if request.method == "GET":
        inputs = [value for name, value in parameters if name == "input"]
        if len(inputs) > 1:
            raise bad_request("the query string has more than one `input`")
        if inputs:
            input_ = _read(inputs[0].encode())
    elif request.body.strip():
        input_ = _read(request.body)
        if not is_bare:
            if type(input_) is not dict:
                raise bad_request("the body is not an object")
            input_ = input_.get("input", UNDEFINED)
    return Call(path, input_, is_bare, flags, request)


def _read(text: bytes) -> Any:
    try:
        return read_value(text, LIMITS)
    except JsonError as error:
        raise bad_request(str(error)) from None


@dataclass(frozen=True, slots=True)
class Form:
    """How answers are written."""

    has_ids: bool
    """Whether there is a decision log, in which the id of an answer is found."""

    def answer(self, call: Call, result: Any, generation: int, timers: tuple[int, int], record: Record | None) -> Response:
        """An answer with a result.

        Parameters
        ----------
        timers
            nanoseconds of the whole request, and of the decision.
        """
        headers = ((b"x-fastiam-generation", b"%d" % generation),)
        option = orjson.OPT_INDENT_2 if call.flags.pretty else None
        if call.is_bare:
            if result is UNDEFINED:
                return error(404, "undefined_document", "no decision is configured at this path")
            return Response(200, orjson.dumps(result, option=option), headers=headers, record=record)
        members: dict[str, Any] = {} if result is UNDEFINED else {"result": result}
        if self.has_ids and record is not None:
            members["decision_id"] = call.request.request_id
        if call.flags.metrics:
            members["metrics"] = {"timer_server_handler_ns": timers[0], "timer_rego_query_eval_ns": timers[1]}
        if call.flags.provenance:
            members["provenance"] = {"version": __version__, "bundles": {"fastiam": {"revision": str(generation)}}}
        return Response(200, orjson.dumps(members, option=option), headers=headers, record=record)


def error(status: int, code: str, message: str) -> Response:
    """An error in the form of OPA."""
    return Response(status, orjson.dumps({"code": code, "message": message}))


def edge_error(status: int, code: str, message: str) -> Response:
    """An error of the edge in the form of OPA."""
    return error(status, _CODES.get(status, "invalid_parameter"), message)
