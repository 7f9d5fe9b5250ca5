"""The constraints of shapes: what a value breaks. A server and the library report it in their own words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from fastiam.aws_data.service_models import Shape

_MAX_MATCHED: Final = 4_096  # characters
_NUMBER = (int, float)
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
    "map": Mapping,
    "structure": Mapping,
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


def violations(shape: Shape, value: Any, path: str = "", *, forbidden: re.Pattern[str] | None = None) -> Iterator[Violation]:
    """All violations of a value, in the order of its members. A member that is None is absent.

    Parameters
    ----------
    forbidden
        characters that no text may have.
    """

    def below(shape: Shape, value: Any, path: str) -> Iterator[Violation]:
        if not isinstance(value, _TYPES[shape.type]) or (isinstance(value, bool) and shape.type != "boolean"):
            yield Violation(Constraint.TYPE, shape, path, value)
            return
        match shape.type:
            case "string" if forbidden is not None and forbidden.search(value):
                yield Violation(Constraint.CHARACTER, shape, path, value)
            case "string":
                yield from _of_text(shape, value, path)
            case "integer" | "long" | "float" | "double":
                yield from _of_range(shape, value, path, value, Constraint.MIN_VALUE, Constraint.MAX_VALUE)
            case "list":
                yield from _of_range(shape, len(value), path, value)
                assert shape.item is not None
                for number, item in enumerate(value, 1):
                    yield from below(shape.item, item, f"{path}.{number}.member" if path else str(number))
            case "map":
                yield from _of_range(shape, len(value), path, value)
                assert shape.item is not None and shape.key is not None
                for key, item in value.items():
                    yield from below(shape.key, key, f"{path}.key")
                    yield from below(shape.item, item, f"{path}.{key}")
            case "structure":
                start = f"{path}." if path else ""
                for name in [name for name in value if name not in shape.members]:
                    yield Violation(Constraint.MEMBER, shape, path, name)
                for name in shape.required:
                    if value.get(name) is None:
                        yield Violation(Constraint.REQUIRED, shape, start + name)
                for name, item in value.items():
                    if name in shape.members and item is not None:
                        yield from below(shape.members[name].shape, item, start + name)

    return below(shape, value, path)


def _of_text(shape: Shape, value: str, path: str) -> Iterator[Violation]:
    yield from _of_range(shape, len(value), path, value)
    if shape.enum and value not in shape.enum:
        yield Violation(Constraint.ENUM, shape, path, value)
    pattern = shape.compiled
    is_matched = shape.high is None or len(value) <= max(shape.high, _MAX_MATCHED)  # PERF: a longer one is too long anyway
    if pattern is not None and is_matched and not pattern.fullmatch(value):
        yield Violation(Constraint.PATTERN, shape, path, value)


def _of_range(
    shape: Shape,
    size: float,
    path: str,
    value: Any,
    low: Constraint = Constraint.MIN_LENGTH,
    high: Constraint = Constraint.MAX_LENGTH,
) -> Iterator[Violation]:
    if shape.low is not None and size < shape.low:
        yield Violation(low, shape, path, value)
    if shape.high is not None and size > shape.high:
        yield Violation(high, shape, path, value)
