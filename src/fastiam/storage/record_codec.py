"""Records as rows: what is written of a record follows from the types of its fields, so a new field needs no code here.

A row is the JSON object of a record's fields without those that have their default. Hence two laws for whoever changes a
record: a field that is added has a default, which is what older rows say by their silence; and a default, once released,
stays (or a migration in `schema` writes it out). A policy is kept as its text, and is read when somebody asks for it.
"""

from __future__ import annotations

import json
import types
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from datetime import datetime
from enum import Enum
from typing import Any, Union, get_args, get_origin, get_type_hints
from weakref import WeakValueDictionary

import orjson

from fastiam.directory.stored_policies import StoredPolicy
from fastiam.model.policy import PolicyKind

Convert = Callable[[Any], Any]
_INTEGERS = range(-(2**63), 2**64)  # what JSON readers agree on


def _same(value: Any) -> Any:
    return value


@dataclass(frozen=True, slots=True)
class FieldCodec:
    """How the values of a type become JSON and come back. `json` is the type they have there, which tells members of a union."""

    write: Convert
    read: Convert
    json: type


class UnknownFieldError(ValueError):
    """A row has a field that its record lacks: a newer release has written it."""


def to_text(codec: FieldCodec, record: Any) -> str:
    """The row of a record. Lone surrogates are escaped: neither UTF-8 nor SQLite has them."""
    plain = codec.write(record)
    try:
        return orjson.dumps(plain).decode()
    except orjson.JSONEncodeError:
        return json.dumps(plain, separators=(",", ":"))


def from_text(codec: FieldCodec, text: str) -> Any:
    """The record of a row.

    Raises
    ------
    UnknownFieldError: a newer release wrote it.
    ValueError, TypeError, KeyError: it is no row of such a record.
    """
    try:
        plain = orjson.loads(text)
    except orjson.JSONDecodeError:
        plain = json.loads(text)  # escaped surrogates
    return codec.read(plain)


def tables_of(tables: type, codecs: FieldCodecs | None = None) -> dict[str, FieldCodec]:
    """The tables of a book with the form of their records: fields `dict[str, Record]` and `Record | None` (see `record_stores`).

    `codecs` may have another form for policies than their text.
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
    """Forms by type; `policy` is that of a stored policy."""

    def __init__(self, policy: FieldCodec) -> None:
        self._known: dict[Any, FieldCodec] = {**_SCALARS, StoredPolicy: policy}

    def of(self, hint: Any) -> FieldCodec:
        """The form of a type.

        Raises
        ------
        TypeError: there is none; records hold other types then.
        """
        found = self._known.get(hint)
        if found is None:
            found = self._known[hint] = self._make(hint)
        return found

    def _make(self, hint: Any) -> FieldCodec:
        if _is_union(hint):
            return _union(get_args(hint), self.of)
        if is_dataclass(hint):
            return _record(hint, self.of)  # type: ignore[arg-type]
        if isinstance(hint, type) and issubclass(hint, Enum):
            return FieldCodec(lambda member: member.value, hint, type(next(iter(hint)).value))
        origin, arguments = get_origin(hint), get_args(hint)
        if origin is tuple and len(arguments) == 2 and arguments[1] is ...:
            return _sequence(self.of(arguments[0]), tuple, list)
        if origin is frozenset:
            return _sequence(self.of(arguments[0]), frozenset, sorted)
        if origin is not None and issubclass(origin, Mapping) and arguments[0] is str:
            return _mapping(self.of(arguments[1]))
        raise TypeError(f"`{hint}` is no type that rows can hold")


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
    """A policy that is not read yet. Policies of an organisation are one object for all accounts, as a model keeps them."""
    name, kind, text, arn = plain["name"], PolicyKind(plain["kind"]), plain["text"], plain.get("arn")
    stored = StoredPolicy.unread(text, kind, name, arn)
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
        raise TypeError(f"`{members}` cannot be told from each other in a row")

    def write(value: Any) -> Any:
        codec = writers.get(type(value)) or next(codec for kind, codec in writers.items() if isinstance(value, kind))
        return codec.write(value)

    return FieldCodec(write, lambda plain: readers[type(plain)](plain), object)


def _record(kind: type[Any], codec_of: Callable[[Any], FieldCodec]) -> FieldCodec:
    """A dataclass: the fields that have another value than their default."""
    hints = get_type_hints(kind)
    defaults = {f.name: f.default if f.default_factory is MISSING else f.default_factory() for f in fields(kind)}
    codecs = {name: codec_of(hints[name]) for name in defaults}
    writers = [(name, codec.write, defaults[name]) for name, codec in codecs.items()]
    readers = {name: codec.read for name, codec in codecs.items()}

    def write(record: Any) -> dict[str, Any]:
        values = ((name, write, getattr(record, name), default) for name, write, default in writers)
        return {name: write(value) for name, write, value, default in values if default is MISSING or value != default}

    def read(plain: dict[str, Any]) -> Any:
        try:
            return kind(**{name: readers[name](value) for name, value in plain.items()})
        except KeyError:
            unknown = plain.keys() - readers.keys()
            if unknown:
                raise UnknownFieldError(f"`{min(unknown)}` is no field of `{kind.__name__}`") from None
            raise

    return FieldCodec(write, read, dict)


_codecs = FieldCodecs(FieldCodec(_write_policy, _read_policy, dict))
codec_of = _codecs.of
