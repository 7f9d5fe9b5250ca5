"""JSON from outside: unique member names, bounded depth, bounded objects and arrays (G34, WI11).

orjson parses the text. It keeps the last of duplicate names silently. A second pass over the bytes checks what orjson does not.
`find_fault` is the definition of that check. `JsonChecker` is the fast form: it is certain that there is no fault, or leaves the
text to `find_fault`. Documents whose findings have lines and columns are read by `policy.json_text`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from fastiam.strict_json._checker import JsonChecker

MAX_EXACT: Final = 1 << 53

BAD_JSON: Final = "bad_json"
NOT_OBJECT: Final = "not_object"
DUPLICATE_KEY: Final = "duplicate_key"
TOO_DEEP: Final = "too_deep"
TOO_MANY: Final = "too_many"


@dataclass(frozen=True, slots=True)
class JsonLimits:
    """Bounds of one JSON text."""

    depth: int = 32
    """Levels of objects and arrays; the top value is level 1."""
    members: int = 1000
    """Members of an object, and items of an array."""
    arrays: Mapping[str, int] = field(default_factory=dict)
    """Items of an array that is the value of a member with this name, at every level; replaces `members`."""
    long_integers: bool = False
    """Whether integers beyond 64 bits are `int`. Otherwise they are `float`; `is_exact` detects rounded ones. Beyond the range of
    a double each number is refused."""
    checker: JsonChecker = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "checker", JsonChecker(self.depth, self.members, dict(self.arrays)))


DEFAULT: Final = JsonLimits()
IDENTITY_LIMITS: Final = JsonLimits(depth=16, members=1 << 20, long_integers=True)
"""Of tokens, and of what identity providers answer (WI11): who reads them bounds their bytes."""


class JsonError(ValueError):
    """JSON that is refused. The message names places of the text and no more of it than a member name.

    Attributes
    ----------
    code
        `bad_json`, `not_object`, `duplicate_key`, `too_deep` or `too_many`.
    at
        the place as a path (`$.subject`), or the character of a syntax error (`character 17`).
    name
        the name that is there twice.
    """

    def __init__(self, code: str, message: str, at: str, name: str = "") -> None:
        self.code, self.message, self.at, self.name = code, message, at, name
        super().__init__(f"{message} - at `{at}`")


def read_object(body: bytes, limits: JsonLimits = DEFAULT) -> dict[str, Any]:
    """Return the JSON object in some bytes. Integers of JSON are `int`, other numbers `float`.

    Raises
    ------
    JsonError
        not UTF-8, not JSON, not an object, a name twice in one object, nested too deeply, or too many members or items.
    """
    value = read_value(body, limits)
    if type(value) is not dict:
        raise JsonError(NOT_OBJECT, "the JSON text is not an object", "$")
    return value


def read_value(body: bytes, limits: JsonLimits = DEFAULT) -> Any:
    """Return the JSON value in some bytes; errors as `read_object`, without `not_object`."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if "depth" in error.msg:
            raise JsonError(TOO_DEEP, f"nested deeper than {limits.depth} levels", "$") from None
        raise JsonError(BAD_JSON, "the text is not JSON in UTF-8", f"character {error.pos}") from None
    if not limits.checker.is_sound(body):
        fault = find_fault(body, limits)
        if fault is not None:
            raise fault
    return json.loads(body.decode()) if limits.long_integers else value


def is_exact(number: float) -> bool:
    """Return False if the value may differ from the number in the JSON text because of its magnitude (2^53)."""
    return -MAX_EXACT <= number <= MAX_EXACT if isinstance(number, int) else -MAX_EXACT < number < MAX_EXACT


class _Members(list[tuple[str, Any]]):
    """The members of one object in the order of the text, with duplicates."""


def find_fault(body: bytes, limits: JsonLimits) -> JsonError | None:
    """Return the first fault of a text that orjson accepts, level by level; None if there is none."""
    try:
        top = json.loads(body.decode(), object_pairs_hook=_Members, parse_int=str, parse_float=str)
    except RecursionError:
        return JsonError(TOO_DEEP, f"nested deeper than {limits.depth} levels", "$")
    level: list[tuple[Any, str | None, str]] = [(top, None, "$")]
    for _ in range(limits.depth):
        nested: list[tuple[Any, str | None, str]] = []
        for value, name, path in level:
            if isinstance(value, _Members):
                if len(value) > limits.members:
                    return JsonError(TOO_MANY, f"an object has more than {limits.members} members", path)
                names = {key for key, _ in value}
                if len(names) != len(value):
                    twice = _first_twice(value)
                    return JsonError(DUPLICATE_KEY, f"the name `{_shown(twice)}` is in one object twice", path, twice)
                nested += [(item, key, f"{path}.{_shown(key)}") for key, item in value if isinstance(item, list)]
            else:
                most = limits.members if name is None else limits.arrays.get(name, limits.members)
                if isinstance(value, list):
                    if len(value) > most:
                        return JsonError(TOO_MANY, f"an array has more than {most} items", path)
                    nested += [(item, None, f"{path}[{i}]") for i, item in enumerate(value) if isinstance(item, list)]
        if not nested:
            return None
        level = nested
    return JsonError(TOO_DEEP, f"nested deeper than {limits.depth} levels", level[0][2])


def _first_twice(members: _Members) -> str:
    seen: set[str] = set()
    for key, _ in members:
        if key in seen:
            return key
        seen.add(key)
    raise AssertionError("no name is there twice")


def _shown(key: str) -> str:
    return key if len(key) <= 64 else f"{key[:64]}..."
