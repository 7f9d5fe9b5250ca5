"""JSON objects from outside: UTF-8, no member twice, bounded depth (WI11)."""

from __future__ import annotations

import json
from typing import Any

MAX_DEPTH = 16


def read_object(raw: bytes, *, depth: int = MAX_DEPTH) -> dict[str, Any]:
    """The JSON object in some bytes. Integers of JSON are `int`, all other numbers `float`.

    Raises
    ------
    ValueError
        not UTF-8 or not JSON, not an object, a member twice, a lone surrogate, or nested too deeply.
    """
    text = raw.decode("utf-8")
    try:
        value = json.loads(text, object_pairs_hook=_members, parse_constant=_refuse)
        if not isinstance(value, dict):
            raise ValueError("not a JSON object")
        _check_depth(value, depth)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if "\\u" in text:
        json.dumps(value, ensure_ascii=False).encode()  # a lone surrogate is a `UnicodeEncodeError`, which is a `ValueError`
    return value


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member twice in one object")
    return members


def _refuse(name: str) -> Any:
    raise ValueError(f"`{name}` is not JSON")


def _check_depth(value: Any, depth: int) -> None:
    level = [value]
    for _ in range(depth):
        nested: list[Any] = []
        for each in level:
            nested += each.values() if isinstance(each, dict) else each
        level = [each for each in nested if isinstance(each, (dict, list))]
        if not level:
            return
    raise ValueError("nested too deeply")
