"""The constraints of shapes: what a value breaks. A server and the library report it in their own words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from fastiam.aws_data.service_models import Shape

_MAX_MATCHED: Final = 4_096  # characters
_NUMBER = (int, float)
_NUMBERS = frozenset({"integer", "long", "float", "double"})
_TYPES: Final[Mapping[str, Any]] = {
    "string": str,
    "boolean": bool,
    "integer": int,
    "long": int,
    "float": _NUMBER,
    "double": _NUMBER,
    "timestamp": (datetime, *_NUMBER),
    "blob": bytes,
    "list": (list, tuple),
    "map": (dict, Mapping),
    "structure": (dict, Mapping),
}


class Constraint(StrEnum):
    """What is broken. The names are those in answers of Organizations, which has none of the first three."""

    TYPE = "TYPE"
    MEMBER = "MEMBER"
    CHARACTER = "CHARACTER"
    REQUIRED = "INPUT_REQUIRED"
    ENUM = "INVALID_ENUM"
    PATTERN = "INVALID_PATTERN"
    MIN_LENGTH = "MIN_LENGTH_EXCEEDED"
    MAX_LENGTH = "MAX_LENGTH_EXCEEDED"
    MIN_VALUE = "MIN_VALUE_EXCEEDED"
    MAX_VALUE = "MAX_VALUE_EXCEEDED"


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken constraint of a shape, and the path and value that break it.

    `MEMBER` is a member that the structure does not have, and `value` its name; `REQUIRED` one that it lacks; `CHARACTER` a text
    with a forbidden character, whose other constraints are not checked.
    """

    constraint: Constraint
    shape: Shape
    path: str
    value: Any = None


def violations(shape: Shape, value: Any, path: str = "", *, forbidden: re.Pattern[str] | None = None) -> list[Violation]:
    """All violations of a value, in the order of its members. A member that is None is absent.

    Parameters
    ----------
    forbidden
        characters that no text may have.
    """
    found: list[Violation] = []
    _Check(forbidden, found).value(shape, value, path)
    return found


@dataclass(slots=True)
class _Check:
    """A walk over one value. PERF: every call of a server walks its input, so that it makes no generators."""

    forbidden: re.Pattern[str] | None
    found: list[Violation]

    def value(self, shape: Shape, value: Any, path: str) -> None:
        type_ = shape.type
        if not isinstance(value, _TYPES[type_]) or (value.__class__ is bool and type_ != "boolean"):
            self.found.append(Violation(Constraint.TYPE, shape, path, value))
        elif type_ == "string":
            self._text(shape, value, path)
        elif type_ == "structure":
            self._members(shape, value, path)
        elif type_ == "list" or type_ == "map":
            self._items(shape, value, path)
        elif type_ in _NUMBERS:
            self._range(shape, value, path, value, Constraint.MIN_VALUE, Constraint.MAX_VALUE)

    def _members(self, shape: Shape, value: Mapping[str, Any], path: str) -> None:
        start, members = f"{path}." if path else "", shape.members
        if not value.keys() <= members.keys():
            self.found += (Violation(Constraint.MEMBER, shape, path, name) for name in value if name not in members)
        for name in shape.required:
            if value.get(name) is None:
                self.found.append(Violation(Constraint.REQUIRED, shape, start + name))
        for name, item in value.items():
            if name in members and item is not None:
                self.value(members[name].shape, item, start + name)

    def _items(self, shape: Shape, value: Any, path: str) -> None:
        self._range(shape, len(value), path, value)
        assert shape.item is not None
        if shape.key is None:
            for number, item in enumerate(value, 1):
                self.value(shape.item, item, f"{path}.{number}.member" if path else str(number))
            return
        for key, item in value.items():
            self.value(shape.key, key, f"{path}.key")
            self.value(shape.item, item, f"{path}.{key}")

    def _text(self, shape: Shape, value: str, path: str) -> None:
        if self.forbidden is not None and self.forbidden.search(value):
            self.found.append(Violation(Constraint.CHARACTER, shape, path, value))
            return
        self._range(shape, len(value), path, value)
        if shape.enum and value not in shape.enum:
            self.found.append(Violation(Constraint.ENUM, shape, path, value))
        pattern = shape.compiled
        is_matched = shape.high is None or len(value) <= max(shape.high, _MAX_MATCHED)  # PERF: a longer one is too long anyway
        if pattern is not None and is_matched and not pattern.fullmatch(value):
            self.found.append(Violation(Constraint.PATTERN, shape, path, value))

    def _range(
        self,
        shape: Shape,
        size: float,
        path: str,
        value: Any,
        low: Constraint = Constraint.MIN_LENGTH,
        high: Constraint = Constraint.MAX_LENGTH,
    ) -> None:
        if shape.low is not None and size < shape.low:
            self.found.append(Violation(low, shape, path, value))
        if shape.high is not None and size > shape.high:
            self.found.append(Violation(high, shape, path, value))
