"""The record codec: records as JSON, by the types of their fields. A new field needs no code here.

A row is the JSON object of a record's fields without default values. Two rules follow for changes of a record. A new field has a
default: the value that older rows imply. A released default does not change, unless a migration in `schema` writes it out.
A policy is stored as its text, and parsed on first use.
"""

from __future__ import annotations

import json
import types
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, is_dataclass
from datetime import datetime
from enum import Enum
from typing import Any, Union, get_args, get_origin, get_type_hints
from weakref import WeakValueDictionary

import orjson

from fastiam.directory.record_fields import RecordField, record_fields
from fastiam.directory.stored_policies import StoredPolicy
from fastiam.model.policy import PolicyKind

Convert = Callable[[Any], Any]
_INTEGERS = range(-(2**63), 2**64)  # the range that all JSON readers support


def _same(value: Any) -> Any:
    return value


@dataclass(frozen=True, slots=True)
class FieldCodec:
    """Conversion of the values of a type to JSON and back. `json` is their JSON type, which distinguishes members of a union."""

    write: Convert
    read: Convert
    json: type


class UnknownFieldError(ValueError):
    """A row has a field that its record does not have: a newer release has written it."""


def to_text(codec: FieldCodec, record: Any) -> str:
    """Encode a record as JSON text. Lone surrogates are escaped, because UTF-8 and SQLite have none."""
    plain = codec.write(record)
    try:
        return orjson.dumps(plain).decode()
    except orjson.JSONEncodeError:
        return json.dumps(plain, separators=(",", ":"))


def from_text(codec: FieldCodec, text: str) -> Any:
    """Decode a record.

    Raises
    ------
    UnknownFieldError
        a newer release has written it.
    ValueError, TypeError, KeyError
        the text is not such a record.
    """
    try:
        plain = orjson.loads(text)
    except orjson.JSONDecodeError:
        plain = json.loads(text)  # escaped surrogates
    return codec.read(plain)


def tables_of(tables: type, codecs: FieldCodecs | None = None) -> dict[str, FieldCodec]:
    """The tables of a record store with the codec of their records: fields `dict[str, Record]` and `Record | None`.

    `codecs` may have another codec for policies than their text.
    """
    codecs = codecs or _codecs
    found = {}
    for name, hint in get_type_hints(tables).items():
        key, record = get_args(hint) if get_origin(hint) is dict else (str, _without_none(hint))
        if key is str and is_dataclass(record):
            found[name] = codecs.of(record)
    return found


def _without_none(hint: Any) -> Any:
    members = [member for member in get_args(hint) if member is not type(None)]
    return members[0] if len(members) == 1 and _is_union(hint) else hint


def _is_union(hint: Any) -> bool:
    return get_origin(hint) in (Union, types.UnionType)


class FieldCodecs:
    """Codecs by type; `policy` is the codec of stored policies, `fields` the table of the names of fields."""

    def __init__(self, policy: FieldCodec, fields: Callable[[type], Iterable[RecordField]] = record_fields) -> None:
        self._known: dict[Any, FieldCodec] = {**_SCALARS, StoredPolicy: policy}
        self._fields = fields

    def of(self, hint: Any) -> FieldCodec:
        """The codec of a type.

        Raises
        ------
        TypeError
            records cannot have fields of this type.
        """
        found = self._known.get(hint)
        if found is None:
            found = self._known[hint] = self._make(hint)
        return found

    def _make(self, hint: Any) -> FieldCodec:
        if _is_union(hint):
            return _union(get_args(hint), self.of)
        if is_dataclass(hint):
            return _record(hint, [(each, self.of(each.type)) for each in self._fields(hint)])  # type: ignore[arg-type]
        if isinstance(hint, type) and issubclass(hint, Enum):
            return FieldCodec(lambda member: member.value, hint, type(next(iter(hint)).value))
        origin, arguments = get_origin(hint), get_args(hint)
        if origin is tuple and len(arguments) == 2 and arguments[1] is ...:
            return _sequence(self.of(arguments[0]), tuple, list)
        if origin is frozenset:
            return _sequence(self.of(arguments[0]), frozenset, sorted)
        if origin is not None and issubclass(origin, Mapping) and arguments[0] is str:
            return _mapping(self.of(arguments[1]))
        raise TypeError(f"`{hint}` is not a type of record fields")


def _integer(value: int) -> int:
    if value not in _INTEGERS:
        raise ValueError(f"{value} is too large to be stored")
    return value


def _write_policy(stored: StoredPolicy) -> dict[str, str]:
    plain = {"name": stored.name, "kind": stored.kind.value, "text": stored.text}
    return plain if stored.arn is None else plain | {"arn": stored.arn}


_shared: WeakValueDictionary[tuple[str, ...], StoredPolicy] = WeakValueDictionary()
_SHARED_KINDS = (PolicyKind.SCP, PolicyKind.RCP)


def _read_policy(plain: dict[str, str]) -> StoredPolicy:
    """Decode a policy without parsing it. Equal policies of an organisation are one object, as in an account model."""
    name, kind, text, arn = plain["name"], PolicyKind(plain["kind"]), plain["text"], plain.get("arn")
    stored = StoredPolicy.unparsed(text, kind, name, arn)
    return _shared.setdefault((name, kind, text, arn or ""), stored) if kind in _SHARED_KINDS else stored


_SCALARS: dict[Any, FieldCodec] = {
    str: FieldCodec(_same, _same, str),
    bool: FieldCodec(_same, _same, bool),
    int: FieldCodec(_integer, _same, int),
    float: FieldCodec(_same, float, float),
    type(None): FieldCodec(_same, _same, type(None)),
    bytes: FieldCodec(lambda value: b64encode(value).decode(), lambda text: b64decode(text, validate=True), str),
    datetime: FieldCodec(datetime.isoformat, datetime.fromisoformat, str),
}


def _sequence(item: FieldCodec, of_python: Convert, of_json: Convert) -> FieldCodec:
    if item.write is _same:
        return FieldCodec(of_json, of_python, list)
    write, read = item.write, item.read
    return FieldCodec(lambda values: of_json([write(v) for v in values]), lambda plain: of_python([read(v) for v in plain]), list)


def _mapping(item: FieldCodec) -> FieldCodec:
    if item.write is _same:
        return FieldCodec(dict, _same, dict)
    write, read = item.write, item.read
    return FieldCodec(
        lambda values: {key: write(value) for key, value in values.items()},
        lambda plain: {key: read(value) for key, value in plain.items()},
        dict,
    )


def _union(members: tuple[Any, ...], codec_of: Callable[[Any], FieldCodec]) -> FieldCodec:
    """Members that differ in Python and in JSON, such as `StoredPolicy | str | None`."""
    writers = {get_origin(member) or member: codec_of(member) for member in members}
    readers = {codec.json: codec.read for codec in writers.values()}
    if len(readers) < len(members):
        raise TypeError(f"the members of `{members}` have the same JSON type")

    def write(value: Any) -> Any:
        codec = writers.get(type(value)) or next(codec for kind, codec in writers.items() if isinstance(value, kind))
        return codec.write(value)

    return FieldCodec(write, lambda plain: readers[type(plain)](plain), object)


def _record(kind: type[Any], codecs: Sequence[tuple[RecordField, FieldCodec]]) -> FieldCodec:
    """The codec of a dataclass: its fields without default values. Only records with their own names are read."""
    writers = [(each.name, each.field, codec.write, each.default) for each, codec in codecs]
    readers = {each.name: codec.read for each, codec in codecs}

    def write(record: Any) -> dict[str, Any]:
        values = ((name, write, getattr(record, field), default) for name, field, write, default in writers)
        return {name: write(value) for name, write, value, default in values if default is MISSING or value != default}

    def read(plain: dict[str, Any]) -> Any:
        try:
            return kind(**{name: readers[name](value) for name, value in plain.items()})
        except KeyError:
            unknown = plain.keys() - readers.keys()
            if unknown:
                raise UnknownFieldError(f"`{min(unknown)}` is not a field of `{kind.__name__}`") from None
            raise

    return FieldCodec(write, read, dict)


_codecs = FieldCodecs(FieldCodec(_write_policy, _read_policy, dict))
codec_of = _codecs.of
