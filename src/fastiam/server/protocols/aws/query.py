"""The query protocol: forms as requests, XML as answers (G122, G127, G128, G137)."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, unquote_to_bytes
from xml.sax.saxutils import escape

from fastiam.aws_data.service_constraints import Constraint, Violation
from fastiam.aws_data.service_models import OperationModel, Service, Shape
from fastiam.server.protocols.aws.aws_errors import ApiError, is_server_error
from fastiam.server.protocols.aws.constraints import check

XML = "text/xml"
_MAX_PARAMETERS = 10_000
_MAX_ITEMS = 1_000
_MAX_DEPTH = 16
_INDEX = re.compile("[1-9][0-9]{0,9}")
_INTEGER = re.compile("[+-]?[0-9]{1,18}")
_POLICIES = frozenset({"PolicyDocument", "AssumeRolePolicyDocument", "Document"})
_INTEGERS = {"integer": 31, "long": 63}

Tree = dict[str, Any]  # name -> Tree or text; the text of a node itself is under ""


# -- forms ----------------------------------------------------------------------------------------------------------------


def read_form(body: bytes, query: bytes = b"") -> dict[str, str]:
    """The parameters of a body and of a query string, which are decoded once.

    `+` is a blank in a body, whose bytes are signed. In a query string it is a plus sign: there it has the signature of `%2B`
    (G131), so that who changes one into the other would change the value.

    Raises
    ------
    ApiError
        a parameter that is given twice, or is not UTF-8; too many parameters.
    """
    found: dict[str, str] = {}
    for part in (query.replace(b"+", b"%2B"), body):
        pairs = part.split(b"&", _MAX_PARAMETERS) if part else []
        if len(pairs) > _MAX_PARAMETERS:
            raise ApiError("InvalidQueryParameter", f"There are more than {_MAX_PARAMETERS} parameters.")
        for pair in pairs:
            if not pair:
                continue
            name, _, value = pair.partition(b"=")
            key = _decoded(name)
            if key in found:
                raise ApiError("InvalidQueryParameter", f"The parameter {key} is given more than once.")
            found[key] = _decoded(value)
    return found


def _decoded(text: bytes) -> str:
    try:
        return unquote_to_bytes(text.replace(b"+", b" ")).decode()
    except UnicodeDecodeError:
        raise ApiError("InvalidQueryParameter", "A parameter is not valid UTF-8.") from None


def read_input(operation: OperationModel, form: Mapping[str, str]) -> dict[str, Any]:
    """The input of an operation from the parameters of a form; unknown parameters are ignored.

    Raises
    ------
    ApiError
        `InvalidQueryParameter` for an index that is not a number from 1; `ValidationError` with all violations.
    """
    if operation.input is None:
        return {}
    found: list[Violation] = []
    value: dict[str, Any] = _read(operation.input, _tree(form), "", found)
    check(operation.input, value, found)
    return value


def _tree(form: Mapping[str, str]) -> Tree:
    tree: Tree = {}
    for name, value in form.items():
        node = tree
        steps = name.split(".", _MAX_DEPTH)
        if len(steps) > _MAX_DEPTH or not all(steps):
            raise ApiError("InvalidQueryParameter", "The name of a parameter has too many parts, or an empty one.")
        for step in steps:
            node = node.setdefault(step, {})
        node[""] = value
    return tree


def _read(shape: Shape, node: Tree, path: str, found: list[Violation]) -> Any:
    match shape.type:
        case "structure":
            below = {name: node[member.wire_name] for name, member in shape.members.items() if member.wire_name in node}
            read = {
                name: _read(shape.members[name].shape, child, f"{path}.{name}" if path else name, found)
                for name, child in below.items()
            }
            return {name: value for name, value in read.items() if value is not None}
        case "list":
            assert shape.item is not None
            items = _items(node, "member", path)
            return [_read(shape.item, item, f"{path}.{number}.member", found) for number, item in enumerate(items, 1)]
        case "map":
            return _read_map(shape, node, path, found)
        case _:
            return _scalar(shape, node.get(""), path, found)


def _items(node: Tree, wrapper: str, path: str) -> Iterator[Tree]:
    """The items of a list in the order of their indices. `Tags.1.Key` of older signers counts as `Tags.member.1.Key`."""
    if node.get(""):
        raise ApiError("InvalidQueryParameter", f"{path} is a list or map, and has a value of its own.")
    numbered = node.get(wrapper, {name: item for name, item in node.items() if name})
    indices: dict[int, Tree] = {}
    for name, item in numbered.items():
        if not name:
            continue
        if not _INDEX.fullmatch(name) or int(name) > _MAX_ITEMS:
            raise ApiError("InvalidQueryParameter", f"The index of {path} is not a number from 1 to {_MAX_ITEMS}.")
        indices[int(name)] = item
    return (indices[index] for index in sorted(indices))


def _read_map(shape: Shape, node: Tree, path: str, found: list[Violation]) -> dict[str, Any]:
    assert shape.key is not None and shape.item is not None
    read = {}
    for number, entry in enumerate(_items(node, "entry", path), 1):
        if "key" not in entry or "value" not in entry:
            raise ApiError("InvalidQueryParameter", f"An entry of {path} has no key or no value.")
        key = _scalar(shape.key, entry["key"].get(""), f"{path}.{number}.key", found)
        if key in read:
            raise ApiError("InvalidQueryParameter", f"{path} has a key more than once.")
        read[key] = _read(shape.item, entry["value"], f"{path}.{number}.value", found)
    return read


def _scalar(shape: Shape, text: str | None, path: str, found: list[Violation]) -> Any:
    if text is None:
        raise ApiError("InvalidQueryParameter", f"{path} has parts, and is not a structure.")
    match shape.type:
        case "string":
            return text
        case "boolean" if text.lower() in ("true", "false"):
            return text.lower() == "true"
        case "integer" | "long" if _INTEGER.fullmatch(text) and -(2 ** _INTEGERS[shape.type]) <= int(text):
            if int(text) < 2 ** _INTEGERS[shape.type]:
                return int(text)
        case "timestamp":
            instant = read_timestamp(text)
            if instant is not None:
                return instant
        case "blob":
            try:
                return base64.b64decode(text, validate=True)
            except (binascii.Error, ValueError):
                pass
    found.append(Violation(Constraint.TYPE, shape, path, text))
    return None


def read_timestamp(text: str) -> datetime | None:
    """An instant of ISO 8601 with a zone, or None."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return None
    return instant.astimezone(UTC) if instant.tzinfo is not None else None


# -- answers --------------------------------------------------------------------------------------------------------------


def write_answer(service: Service, operation: OperationModel, result: Mapping[str, Any], request_id: str) -> bytes:
    """The XML of a result."""
    parts = [f'<{operation.name}Response xmlns="{service.namespace}">']
    if operation.output is not None and operation.result_wrapper:
        parts.append(f"<{operation.result_wrapper}>")
        _write_members(operation.output, result, parts)
        parts.append(f"</{operation.result_wrapper}>")
    parts.append(f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{operation.name}Response>")
    return "".join(parts).encode()


def write_error(service: Service | None, status: int, code: str, message: str, request_id: str) -> bytes:
    """The XML of an error."""
    namespace = f' xmlns="{service.namespace}"' if service is not None and service.namespace else ""
    type_ = "Receiver" if is_server_error(status) else "Sender"
    return (
        f"<ErrorResponse{namespace}><Error><Type>{type_}</Type><Code>{code}</Code><Message>{_text(message)}</Message></Error>"
        f"<RequestId>{request_id}</RequestId></ErrorResponse>"
    ).encode()


def _write_members(shape: Shape, value: Mapping[str, Any], parts: list[str]) -> None:
    for name, member in shape.members.items():
        item = value.get(name)
        if item is None:
            continue
        if name in _POLICIES and isinstance(item, str):
            item = quote(item, safe="-_.~")
        tag = member.wire_name
        if member.shape.type == "string":  # PERF: most members
            parts.append(f"<{tag}>{_text(str(item))}</{tag}>")
            continue
        parts.append(f"<{tag}>")
        _write(member.shape, item, parts)
        parts.append(f"</{tag}>")


def _write(shape: Shape, value: Any, parts: list[str]) -> None:
    match shape.type:
        case "structure":
            _write_members(shape, value, parts)
        case "list":
            assert shape.item is not None
            for item in value:
                parts.append("<member>")
                _write(shape.item, item, parts)
                parts.append("</member>")
        case "map":
            assert shape.item is not None
            for key, item in value.items():
                parts.append(f"<entry><key>{_text(key)}</key><value>")
                _write(shape.item, item, parts)
                parts.append("</value></entry>")
        case "timestamp":
            parts.append(write_timestamp(value))
        case "boolean":
            parts.append("true" if value else "false")
        case "blob":
            parts.append(base64.b64encode(value).decode())
        case _:
            parts.append(_text(str(value)))


def write_timestamp(instant: datetime) -> str:
    """`2026-11-29T09:00:00Z`."""
    return instant.astimezone(UTC).isoformat(timespec="seconds").removesuffix("+00:00") + "Z"


def _text(text: str) -> str:
    """Text between tags. A carriage return would otherwise be read as a line feed."""
    if not _SPECIAL.search(text):  # PERF: most texts
        return text
    return _FORBIDDEN.sub("\ufffd", escape(text, {'"': "&quot;", "\r": "&#13;"}))


_SPECIAL = re.compile("[^\t\n !#-%'-;=?-~]")  # all but plain ASCII
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
