"""Base classes of results, and their JSON form for the command line, servers and logs.

`schema/results-v1.json` describes the form. A record has its fields by name. Outcomes are written by name, statements as
references (policy, Sid, index and position), condition keys as the registry writes them. No form contains a policy document.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum, IntEnum
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeAlias, cast

from fastiam.model.key_registry import spelled
from fastiam.model.policy import ConditionEntry

Json: TypeAlias = "str | int | float | bool | None | list[Json] | dict[str, Json]"

_KEYS = ("depends_on", "keys", "context", "absent_keys", "unresolved_variables")  # fields that hold folded condition keys


class Result:
    """What a question is answered with: data that names documents and holds none."""

    __slots__ = ()
    _derived: ClassVar[tuple[str, ...]] = ()  # properties that the JSON form has beside the fields

    def to_dict(self) -> dict[str, Json]:
        """The JSON form, of JSON's own types alone; `fastiam/schema/results-v1.json` describes it."""
        return fields_to_json(self)


class Deferred(Result):
    """A result that finds some of its fields when they are first read: `_resolve` makes them from `_source`.

    `dataclasses`, `pickle` and `copy` read fields too. The source is released then, and it is never copied.
    """

    __slots__ = ("_source",)
    _source: Any

    @classmethod
    def deferring(cls, source: object, *values: object) -> Self:
        """One with the values of its first fields; those without a value are found in `source`."""
        made = object.__new__(cls)
        object.__setattr__(made, "_source", source)
        for fill, value in zip(_slots(cls), values, strict=False):  # type: ignore[arg-type]  # a class is hashable
            fill(made, value)
        return made

    def _resolve(self, source: Any) -> dict[str, object]:
        raise NotImplementedError

    if not TYPE_CHECKING:  # or every name would pass for a field

        def __getattr__(self, name: str) -> object:
            if name not in type(self).__dataclass_fields__:
                raise AttributeError(f"`{type(self).__name__}` has no attribute `{name}`", name=name, obj=self)
            source = object.__getattribute__(self, "_source")
            if source is not None:  # else another thread has found them meanwhile
                for field_name, value in self._resolve(source).items():
                    object.__setattr__(self, field_name, value)
                object.__setattr__(self, "_source", None)
            return object.__getattribute__(self, name)


@cache
def _slots(cls: type) -> tuple[Callable[[object, object], None], ...]:
    """What sets each field of a frozen record. PERF: half as fast again as by their names."""
    return tuple(getattr(cls, each.name).__set__ for each in fields(cls))


def fields_to_json(record: Any) -> dict[str, Json]:
    """A record by the names of its fields, and of what its class derives from them."""
    derived = record._derived if isinstance(record, Result) else ()
    names = (*(field.name for field in fields(record)), *derived)
    return {name: _member(name, getattr(record, name)) for name in names}


def to_json(value: Any) -> Json:
    """A value of JSON's own types."""
    if isinstance(value, IntEnum):
        return value.name
    if isinstance(value, Enum):
        return cast(str, value.value)
    if isinstance(value, ConditionEntry):
        return {"operator": value.operator_text, "key": value.key, "values": list(value.values)}
    if isinstance(value, Result):
        return value.to_dict()
    if is_dataclass(value):
        return fields_to_json(value)
    if isinstance(value, Mapping):
        if any(isinstance(key, Result) for key in value):
            return [{"statement": key.to_dict(), "rows": count} for key, count in value.items()]
        return {cast(str, to_json(key)): to_json(item) for key, item in value.items()}
    if isinstance(value, (tuple, list, frozenset)):
        return [to_json(item) for item in value]
    return cast(Json, value)


def _member(name: str, value: Any) -> Json:
    if name in _KEYS and isinstance(value, tuple):
        return [spelled(key) for key in value]
    if name in _KEYS and isinstance(value, Mapping):
        return {spelled(key): to_json(item) for key, item in value.items()}
    return to_json(value)
