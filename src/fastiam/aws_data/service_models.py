"""The models of the services: operations and shapes, read from `services/*.json.gz` (G125; `tools/aws_models.py` writes them)."""

from __future__ import annotations

import gzip
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

import orjson

from fastiam.aws_data.service_patterns import compile_pattern

QUERY, JSON, REST_JSON = "query", "json", "rest-json"
_STEP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z0-9])(?![A-Z]s$)")


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a structure. `location` is "" for the body, else `uri`, `querystring`, `header` or `statusCode`."""

    name: str
    shape: Shape
    wire_name: str
    location: str = ""


@dataclass(slots=True)
class Shape:
    """The shape of a value. Shapes refer to each other, so that a model is built in two steps; nothing changes one later."""

    name: str
    type: str
    is_sensitive: bool = False
    low: float | None = None
    high: float | None = None
    pattern: str = ""
    enum: tuple[str, ...] = ()
    members: dict[str, Member] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    item: Shape | None = None
    """Of a list, or of the values of a map."""
    key: Shape | None = None
    timestamp_format: str = ""
    is_union: bool = False

    @property
    def compiled(self) -> re.Pattern[str] | None:
        """The pattern of a string, or None."""
        return compile_pattern(self.pattern) if self.pattern else None


@dataclass(frozen=True, slots=True)
class Paginator:
    """How an operation gives its results in pages: names of members."""

    input_token: str
    output_token: str
    limit: str
    more: str
    results: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OperationModel:
    """An operation of a service."""

    name: str
    input: Shape | None
    output: Shape | None
    result_wrapper: str
    errors: Mapping[str, ErrorModel]
    is_unsigned: bool
    method: str
    path: str
    status: int
    """HTTP status of an answer."""
    paginator: Paginator | None


@dataclass(frozen=True, slots=True)
class ErrorModel:
    """An error that a service declares: the code that clients see, and the HTTP status."""

    code: str
    status: int


@dataclass(frozen=True, slots=True)
class Service:
    """A service: `name` is the name in the scope of signatures, and in the names of actions except for user pools."""

    name: str
    protocol: str
    version: str
    target_prefix: str
    namespace: str
    operations: Mapping[str, OperationModel]
    shapes: Mapping[str, Shape]
    errors: Mapping[str, ErrorModel]


SERVICES = ("iam", "sts", "organizations", "cognito-identity", "cognito-idp", "rolesanywhere")


@cache
def snake(name: str) -> str:
    """A name of AWS in snake case: `AdminSetUserMFAPreference` is `admin_set_user_mfa_preference`."""
    return _STEP.sub("_", name).lower()


@cache
def service(name: str) -> Service:
    """The model of a service of `SERVICES`."""
    packed = files(__package__).joinpath("services", f"{name}.json.gz").read_bytes()
    return _service(name, orjson.loads(gzip.decompress(packed)))


def _service(name: str, model: dict[str, Any]) -> Service:
    metadata, plain = model["metadata"], model["shapes"]
    shapes = {shape: Shape(shape, body["type"]) for shape, body in plain.items()}
    for shape, body in plain.items():
        _fill(shapes[shape], body, shapes)
    shape_errors = {shape: _error(shape, body) for shape, body in plain.items() if body.get("exception") or "error" in body}
    operations = {key: _operation(key, body, shapes, shape_errors) for key, body in model["operations"].items()}
    return Service(
        name,
        metadata["protocol"],
        metadata["apiVersion"],
        metadata.get("targetPrefix", ""),
        metadata.get("xmlNamespace", ""),
        operations,
        shapes,
        {error.code: error for error in shape_errors.values()},
    )


def _fill(shape: Shape, body: dict[str, Any], shapes: Mapping[str, Shape]) -> None:
    shape.is_sensitive = bool(body.get("sensitive"))
    shape.low, shape.high, shape.pattern = body.get("min"), body.get("max"), body.get("pattern", "")
    shape.enum, shape.required = tuple(body.get("enum", ())), tuple(body.get("required", ()))
    shape.timestamp_format, shape.is_union = body.get("timestampFormat", ""), bool(body.get("union"))
    for name, member in body.get("members", {}).items():
        wire_name = member.get("locationName", name)
        shape.members[name] = Member(name, shapes[member["shape"]], wire_name, member.get("location", ""))
    if shape.type == "list":
        shape.item = shapes[body["member"]["shape"]]
    if shape.type == "map":
        shape.key, shape.item = shapes[body["key"]["shape"]], shapes[body["value"]["shape"]]


def _error(name: str, body: dict[str, Any]) -> ErrorModel:
    error = body.get("error", {})
    return ErrorModel(error.get("code", name), error.get("httpStatusCode", 500 if body.get("fault") else 400))


def _operation(name: str, body: dict[str, Any], shapes: Mapping[str, Shape], errors: Mapping[str, ErrorModel]) -> OperationModel:
    pages = body.get("paginator")
    results = pages["result_key"] if pages else ()
    return OperationModel(
        name,
        shapes[body["input"]["shape"]] if "input" in body else None,
        shapes[body["output"]["shape"]] if "output" in body else None,
        body.get("output", {}).get("resultWrapper", ""),
        {errors[shape].code: errors[shape] for shape in body.get("errors", ())},
        body.get("authtype") == "none",
        body["http"]["method"],
        body["http"]["requestUri"],
        body["http"].get("responseCode", 200),
        Paginator(
            pages["input_token"],
            pages["output_token"],
            pages.get("limit_key", ""),
            pages.get("more_results", ""),
            (results,) if isinstance(results, str) else tuple(results),
        )
        if pages
        else None,
    )
