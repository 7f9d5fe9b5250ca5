"""JSON 1.1 (Organizations, Cognito) and REST JSON (Roles Anywhere): inputs from JSON, answers as JSON (G126 to G128, G137)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import unquote

import orjson

from fastiam.aws_data.service_models import REST_JSON, OperationModel, Shape
from fastiam.server.protocols.aws.aws_errors import ApiError
from fastiam.server.protocols.aws.constraints import check
from fastiam.server.protocols.aws.query import read_timestamp
from fastiam.strict_json import JsonError, read_object

AMZ_JSON: Final = "application/x-amz-json-1.1"
_NUMBERS = {"float": (int, float), "double": (int, float), "integer": (int,), "long": (int,)}
_BITS = {"integer": 31, "long": 63}


# -- inputs ---------------------------------------------------------------------------------------------------------------


def read_input(operation: OperationModel, body: bytes, path: str = "", query: Mapping[str, list[str]] = {}) -> dict[str, Any]:
    """The input of an operation.

    Parameters
    ----------
    path, query
        of REST JSON: the path below the mount, encoded, and the parameters of the query string.

    Raises
    ------
    ApiError
        `SerializationException`: not a JSON object, or a value of another type; `ValidationError` with all violations.
    """
    if operation.input is None:
        return {}
    members = dict(_from_url(operation, path, query))
    members |= _object(operation.input, _parsed(body))
    check(operation.input, members, [])
    return members


def _parsed(body: bytes) -> Mapping[str, Any]:
    if not body:
        return {}
    try:
        return read_object(body)
    except JsonError as error:
        raise _malformed(f"the body is not acceptable JSON: {error}") from None


def _from_url(operation: OperationModel, path: str, query: Mapping[str, list[str]]) -> dict[str, Any]:
    """The members that REST JSON has in the path and in the query string."""
    assert operation.input is not None
    found: dict[str, Any] = {}
    labels = uri_labels(operation, path) or {}
    for name, member in operation.input.members.items():
        if member.location == "uri" and member.wire_name in labels:
            found[name] = _text_value(member.shape, labels[member.wire_name])
        if member.location == "querystring" and member.wire_name in query:
            values = query[member.wire_name]
            if member.shape.type == "list":
                found[name] = values
            elif len(values) == 1:
                found[name] = _text_value(member.shape, values[0])
            else:
                raise _malformed(f"`{member.wire_name}` is given more than once")
    return found


def uri_labels(operation: OperationModel, path: str) -> dict[str, str] | None:
    """The labels of a path, such as `profileId`; None if the path is not that of the operation."""
    pattern, given = operation.path.partition("?")[0].strip("/").split("/"), path.strip("/").split("/")
    if len(pattern) != len(given):
        return None
    labels = {}
    for expected, segment in zip(pattern, given, strict=True):
        if expected.startswith("{"):
            labels[expected.strip("{}+")] = unquote(segment)
        elif expected != segment:
            return None
    return labels


def _text_value(shape: Shape, text: str) -> Any:
    if shape.type in _BITS:
        if not text.isascii() or not text.isdigit():
            raise _malformed(f"`{shape.name}` is not a number")
        return _value(shape, int(text), shape.name)
    if shape.type == "boolean":
        return _value(shape, {"true": True, "false": False}.get(text), shape.name)
    return text


def _object(shape: Shape, plain: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """The members of a structure; unknown names and nulls are left out."""
    read = {}
    for name, member in shape.members.items():
        if member.location or plain.get(member.wire_name) is None:
            continue
        read[name] = _value(member.shape, plain[member.wire_name], f"{path}.{name}" if path else name)
    if shape.is_union and len(read) != 1:
        raise _malformed(f"`{path}` must have exactly one member")
    return read


def _value(shape: Shape, plain: Any, path: str) -> Any:
    match shape.type:
        case "structure" if isinstance(plain, Mapping):
            return _object(shape, plain, path)
        case "list" if isinstance(plain, list):
            assert shape.item is not None
            return [_value(shape.item, item, f"{path}.{number}") for number, item in enumerate(plain, 1)]
        case "map" if isinstance(plain, Mapping):
            assert shape.item is not None
            return {key: _value(shape.item, item, f"{path}.{key}") for key, item in plain.items()}
        case "string" if isinstance(plain, str):
            return plain
        case "boolean" if isinstance(plain, bool):
            return plain
        case "integer" | "long" | "float" | "double" if isinstance(plain, _NUMBERS[shape.type]) and not isinstance(plain, bool):
            bits = _BITS.get(shape.type)
            if bits is None or -(2**bits) <= plain < 2**bits:
                return plain
        case "timestamp":
            instant = _instant(plain)
            if instant is not None:
                return instant
        case "blob" if isinstance(plain, str):
            try:
                return base64.b64decode(plain, validate=True)
            except (binascii.Error, ValueError):
                pass
    raise _malformed(f"`{path}` is not a {shape.type}")


def _instant(plain: Any) -> datetime | None:
    if isinstance(plain, str):
        return read_timestamp(plain)
    try:
        is_number = isinstance(plain, (int, float)) and not isinstance(plain, bool)
        return datetime.fromtimestamp(plain, UTC) if is_number else None
    except (OverflowError, ValueError, OSError):
        return None


def _malformed(message: str) -> ApiError:
    return ApiError("SerializationException", message)


# -- answers --------------------------------------------------------------------------------------------------------------


def write_answer(operation: OperationModel, result: Mapping[str, Any], protocol: str) -> bytes:
    """The JSON of a result."""
    if operation.output is None:
        return b"{}" if protocol != REST_JSON else b""
    return orjson.dumps(_plain(operation.output, result, protocol))


def write_error(code: str, message: str, protocol: str, reason: str = "") -> bytes:
    """The JSON of an error. Organizations reads `Message`, all others `message`."""
    if protocol == REST_JSON:
        return orjson.dumps({"message": message})
    return orjson.dumps({"__type": code, "message": message, "Message": message} | ({"Reason": reason} if reason else {}))


def _plain(shape: Shape, value: Any, protocol: str) -> Any:
    match shape.type:
        case "structure":
            members = shape.members.items()
            return {m.wire_name: _plain(m.shape, value[name], protocol) for name, m in members if value.get(name) is not None}
        case "list":
            assert shape.item is not None
            return [_plain(shape.item, item, protocol) for item in value]
        case "map":
            assert shape.item is not None
            return {key: _plain(shape.item, item, protocol) for key, item in value.items()}
        case "timestamp":
            return _timestamp(shape, value, protocol)
        case "blob":
            return base64.b64encode(value).decode()
        case "string":
            return str(value)  # a secret is a subclass of `str`, which orjson does not take
        case _:
            return value


def _timestamp(shape: Shape, instant: datetime, protocol: str) -> str | float:
    """Epoch seconds, unless the model says ISO 8601."""
    if shape.timestamp_format == "iso8601":
        return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    seconds = instant.timestamp()
    return int(seconds) if seconds == int(seconds) else seconds
