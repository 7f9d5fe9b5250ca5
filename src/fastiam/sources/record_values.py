"""Values of records of the directory format, by the types of their fields (`directory.format_fields`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import MISSING, is_dataclass
from datetime import datetime
from functools import cache
from types import UnionType
from typing import Any, Union, get_args, get_origin

from fastiam.directory.format_fields import format_fields
from fastiam.directory.record_fields import RecordField
from fastiam.directory.stored_policies import StoredPolicy
from fastiam.sources.located_values import LocatedValue

Read = Callable[[LocatedValue], Any]
_SCALARS: Mapping[Any, Read] = {
    str: LocatedValue.text,
    bool: LocatedValue.flag,
    int: LocatedValue.whole,
    datetime: LocatedValue.instant,
}


def read_values(node: LocatedValue, known: Sequence[RecordField], more: Iterable[str] = ()) -> dict[str, Any]:
    """Read the fields of a record from an object, by the names of the record; absent ones have their default value.

    Policies are not read: their kinds, and the names of those without one, depend on the record. `more` are other names that the
    object may have.

    Raises
    ------
    SourceError
        a required field is absent, a name is not known, a value has another type.
    """
    node.object([*(each.name for each in known), *more])
    values = {}
    for each in known:
        read, found = _reader(each.type), node.get(each.name)
        if read is None:
            continue
        if found is None and each.default is MISSING:
            raise node.error(f"`{each.name}` is missing")
        values[each.field] = copy(each.default) if found is None else read(found)
    return values


def read_record(node: LocatedValue, kind: type, more: Iterable[str] = (), **values: Any) -> Any:
    """Read a record without policies. `values` are its fields that the format does not have."""
    return kind(**read_values(node, format_fields(kind), more), **values)


@cache
def _reader(hint: Any) -> Read | None:
    """The reader of values of a type, None for policies."""
    if hint in _SCALARS:
        return _SCALARS[hint]
    origin, arguments = get_origin(hint), [each for each in get_args(hint) if each not in (type(None), ...)]
    if StoredPolicy in (hint, *arguments) or any(_reader(each) is None for each in arguments):
        return None
    if is_dataclass(hint):
        return lambda node: read_record(node, hint)  # type: ignore[arg-type]
    item: Any = _reader(arguments[-1])
    if origin is tuple:
        return lambda node: tuple(map(item, node.items()))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return lambda node: {key: item(value) for key, value in node.members()}
    if origin not in (Union, UnionType) or len(arguments) > 1:
        raise TypeError(f"`{hint}` is not a type of record fields")
    return _reader(arguments[0])
