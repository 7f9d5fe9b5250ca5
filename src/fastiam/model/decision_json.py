"""The one JSON form of results, for the command line, servers and logs; `schema/results-v1.json` describes it.

A record has its fields by their names. Outcomes are written by name, statements as references (policy, Sid, index and place),
condition keys as the registry writes them. No form holds a policy document.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum, IntEnum
from typing import Any, TypeAlias, cast

from fastiam.model.key_registry import spelled
from fastiam.model.policy import ConditionEntry, Decision, Result, StatementRef

Json: TypeAlias = "str | int | float | bool | None | list[Json] | dict[str, Json]"

_KEYS = ("depends_on", "keys", "context")  # fields that hold folded condition keys


def decision_to_json(decision: Decision) -> dict[str, Json]:
    """The JSON form of a decision, as `Decision.to_dict` gives it."""
    return fields_to_json(decision)


def fields_to_json(record: Any) -> dict[str, Json]:
    """A record by the names of its fields, and of what its class derives from them."""
    derived = record._derived if isinstance(record, Result) else ()
    return {name: _member(name, getattr(record, name)) for name in (*(field.name for field in fields(record)), *derived)}


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
        if any(isinstance(key, StatementRef) for key in value):
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
