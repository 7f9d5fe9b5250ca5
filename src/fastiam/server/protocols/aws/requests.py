"""The service and operation of a request (G120 to G123), from what is signed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final
from urllib.parse import unquote

from fastiam.aws_data.service_models import JSON, QUERY, REST_JSON, OperationModel, Service, service
from fastiam.model.request import shorten
from fastiam.server.http import Request
from fastiam.server.protocols.aws import json_protocols, query
from fastiam.server.protocols.aws.aws_errors import ApiError
from fastiam.server.protocols.aws.sigv4 import Signature, mismatch

SERVED: Final = ("iam", "sts", "organizations", "rolesanywhere", "cognito-identity", "cognito-idp")
_REST: Final = "rolesanywhere"
_QUERY_METHODS = frozenset({"POST", "GET"})


@dataclass(slots=True)
class Target:
    """What is known of a request while it is read; the form of errors follows from it at each stage."""

    protocol: str
    service: Service | None = None
    operation: OperationModel | None = None
    form: Mapping[str, str] = field(default_factory=dict)
    path: str = "/"
    """Below the mount, encoded: REST JSON has names in it."""


def target_of(request: Request, path: str) -> Target:
    """The protocol that a request seems to speak, for errors before its service is known."""
    if request.header_values(b"x-amz-target") or request.header_values(b"smithy-protocol"):
        return Target(JSON)
    return Target(REST_JSON if _is_rest(path) else QUERY, path=path)


def _is_rest(path: str) -> bool:
    """Whether an operation of REST JSON has the path. All of them begin with a word of their own."""
    if path.strip("/").partition("/")[0] not in _rest_roots():
        return False
    return any(json_protocols.uri_labels(each, path) is not None for each in service(_REST).operations.values())


@cache
def _rest_roots() -> frozenset[str]:
    return frozenset(each.path.partition("?")[0].strip("/").partition("/")[0] for each in service(_REST).operations.values())


def find_operation(request: Request, signature: Signature | None, target: Target) -> None:
    """Fill in the service and the operation.

    Raises
    ------
    ApiError
        an unknown service, operation or version; no operation; a form that cannot be read.
    """
    if request.header_values(b"smithy-protocol"):
        raise ApiError("UnknownOperationException", "The protocol of the request is not served; send Query or JSON.")
    if signature is not None:
        if signature.service not in SERVED:
            raise mismatch(f"Credential should be scoped to a correct service: '{shorten(signature.service)}' is not served.")
        target.service = service(signature.service)
        target.protocol = target.service.protocol
    if target.protocol == QUERY:
        _find_query(request, target)
    elif target.protocol == REST_JSON:
        _find_rest(request, target)
    else:
        _find_json(request, target)


def _find_query(request: Request, target: Target) -> None:
    """The operation of a request of the query protocol, by `Action` and `Version`."""
    target.form = query.read_form(request.body, request.raw_query)
    action, version = target.form.get("Action"), target.form.get("Version", "NO_VERSION_SPECIFIED")
    if target.service is None:
        target.service = _by_version().get(version)
    if not action:
        if target.service is None:
            raise ApiError("MissingAuthenticationToken", "Request is missing Authentication Token")
        raise ApiError("MissingAction", "The request must contain the parameter Action.")
    operation = None if target.service is None else target.service.operations.get(action)
    if target.service is None or operation is None or version != target.service.version:
        raise ApiError("InvalidAction", f"Could not find operation {shorten(action)} for version {shorten(version)}")
    target.operation = operation
    if request.method not in _QUERY_METHODS:
        raise ApiError("MethodNotAllowed", f"{action} is called by POST or GET.")


def _find_json(request: Request, target: Target) -> None:
    """The operation of a request of JSON 1.1, by `X-Amz-Target`."""
    prefix, _, name = (request.header(b"x-amz-target") or b"").decode("latin-1").rpartition(".")
    if target.service is None:
        target.service = _by_prefix().get(prefix)
    operation = None if target.service is None else target.service.operations.get(name)
    if target.service is None or operation is None or prefix != target.service.target_prefix:
        raise ApiError("InvalidAction", f"There is no operation {shorten(f'{prefix}.{name}')} here.")
    target.operation = operation
    if request.method != "POST":
        raise ApiError("MethodNotAllowed", f"{name} is called by POST.")


def _find_rest(request: Request, target: Target) -> None:
    """The operation of a request of REST JSON, by method and path."""
    target.service = target.service or service(_REST)
    for operation in target.service.operations.values():
        if operation.method == request.method and json_protocols.uri_labels(operation, target.path) is not None:
            target.operation = operation
            return
    path = shorten(f"{request.method} {target.path}")
    raise ApiError("UnknownOperationException", f"There is no operation {path} here.")


@cache
def _by_version() -> dict[str, Service]:
    """The services of the query protocol by their version."""
    models = map(service, SERVED)
    return {model.version: model for model in models if model.protocol == QUERY}


@cache
def _by_prefix() -> dict[str, Service]:
    """The services of JSON 1.1 by the prefix of their targets."""
    models = map(service, SERVED)
    return {model.target_prefix: model for model in models if model.protocol == JSON}


def read_parameters(request: Request, target: Target) -> dict[str, Any]:
    """The input of the operation, with all its constraints checked."""
    assert target.operation is not None
    if target.protocol == QUERY:
        return query.read_input(target.operation, target.form)
    if target.protocol == REST_JSON:
        return json_protocols.read_input(target.operation, request.body, target.path, read_query(request.raw_query))
    return json_protocols.read_input(target.operation, request.body)


def read_query(raw: bytes) -> dict[str, list[str]]:
    """The parameters of a query string by name, decoded once; `+` is a plus sign, as in signatures.

    Raises
    ------
    ApiError
        `SerializationException`: a name or value is not UTF-8.
    """
    found: dict[str, list[str]] = {}
    for pair in raw.decode("ascii", "replace").split("&") if raw else ():
        name, _, value = pair.partition("=")
        try:
            found.setdefault(unquote(name, errors="strict"), []).append(unquote(value, errors="strict"))
        except UnicodeDecodeError:
            raise ApiError("SerializationException", "The query string is not UTF-8.") from None
    return found
