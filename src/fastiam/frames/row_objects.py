"""Rows that are objects, as columns: lines of JSON, and mappings of Python."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any

import orjson

from fastiam.strict_json import JsonLimits


def sound_objects(lines: Sequence[bytes | None], limits: JsonLimits) -> list[dict[str, Any]] | None:
    """The objects of lines of JSON; None if a line has no object or a fault, which the reader of single lines finds."""
    try:
        rows = list(map(orjson.loads, lines))  # type: ignore[arg-type]  # None is refused
        is_sound = set(map(type, rows)) == {dict} and all(map(limits.checker.is_sound, lines))  # type: ignore[arg-type]
    except ValueError:
        return None
    return rows if is_sound else None


def shapes_of(rows: Iterable[Mapping[str, Any]]) -> dict[tuple[str, ...], None]:
    """The names of the members of objects, in their order; each combination once."""
    return dict.fromkeys(map(tuple, rows))


def columns_of(rows: Sequence[Mapping[str, Any]], shapes: Iterable[tuple[str, ...]] | None = None) -> dict[str, list[Any]]:
    """One column for each name that occurs, None where a row does not have it.

    Parameters
    ----------
    shapes
        of the rows, as `shapes_of` gives them, where the caller has them.
    """
    shapes = tuple(shapes_of(rows) if shapes is None else shapes)
    if len(shapes) == 1:  # PERF: rows mostly have the same names in the same order
        return {name: list(map(itemgetter(name), rows)) for name in shapes[0]}
    return {name: [row.get(name) for row in rows] for name in dict.fromkeys(chain.from_iterable(shapes))}
