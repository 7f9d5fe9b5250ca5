"""JSON types: the type of a value, and findings for wrong types (V1, V2).

Documents are parsed text or mappings from the caller, so a number is a `Number` or a Python number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal

from fastiam.model.source_map import Path
from fastiam.policy.findings import Reading
from fastiam.policy.json_text import Number, number_text

TEXT = frozenset({str})  # the type of parsed texts


def json_type(value: object) -> str:
    """The name of a JSON type in messages."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, (Number, int, float, Decimal)):
        return "a number"
    if isinstance(value, str):
        return "text"
    if isinstance(value, (list, tuple)):
        return "a list"
    return "an object" if isinstance(value, Mapping) else "a value that is not JSON"


def is_text(value: object) -> bool:
    """Whether a value is JSON text."""
    return type(value) is str or (isinstance(value, str) and not isinstance(value, Number))


def wrong_type(reading: Reading, path: Path, value: object, wanted: str) -> None:
    """Record a value of the wrong type (V1)."""
    reading.add("V1", path, f"`{path[-1] if path else 'the document'}` must be {wanted}, not {json_type(value)}")


def read_text(reading: Reading, value: object, path: Path) -> str | None:
    """A text element, or None with a finding."""
    if type(value) is str:
        return value
    if is_text(value):
        return str.__str__(value)
    wrong_type(reading, path, value, "text")
    return None


def read_strings(reading: Reading, value: object, path: Path) -> tuple[str, ...] | None:
    """One text or a list of texts (G10), or None with a finding for each wrong value."""
    if type(value) is str:
        return (value,)
    if not isinstance(value, (list, tuple)):
        if is_text(value):
            return (str.__str__(value),)
        wrong_type(reading, path, value, "text or a list of texts")
        return None
    if TEXT.issuperset(map(type, value)):
        return tuple(value)
    texts = [read_item(reading, item, (*path, i)) for i, item in enumerate(value)]
    return None if None in texts else tuple(text for text in texts if text is not None)


def read_item(reading: Reading, value: object, path: Path) -> str | None:
    """One text of a list, or None with a finding."""
    if is_text(value):
        return str.__str__(value)
    reading.add("V1", path, f"a list of texts contains {json_type(value)}")
    return None


def read_object(reading: Reading, value: object, path: Path, wanted: str = "an object") -> Mapping[str, object] | None:
    """An object with distinct names that are texts (V2), or None with a finding."""
    if type(value) is dict and TEXT.issuperset(map(type, value)):  # PERF: nearly all
        return value
    if not isinstance(value, Mapping):
        wrong_type(reading, path, value, wanted)
        return None
    for name in getattr(value, "duplicates", ()):
        reading.add("V2", (*path, name), f"`{name}` occurs twice in one object", "keep one of them", at_name=True)
    invalid = [name for name in value if not is_text(name)]
    if invalid:
        reading.add("V1", path, f"a name in an object must be text, not {json_type(invalid[0])}")
        return None
    return value


def scalar_text(value: object) -> str | None:
    """The text of a condition value (G12), or None if it is not a scalar."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return number_text(value) if isinstance(value, (int, float, Decimal)) else None


def check_unknown(reading: Reading, value: object, path: Path) -> None:
    """Record `null` (V1) and duplicate names (V2) in the value of an unknown element."""
    for inner, found in walk(value, path):
        if found is None:
            reading.add("V1", inner, "`null` is not a value of a policy")
        elif isinstance(found, Mapping):
            read_object(reading, found, inner)


def walk(value: object, path: Path = ()) -> Iterator[tuple[Path, object]]:
    """A value and all values in it with their paths, in order. Each container is entered once."""
    entered: set[int] = set()
    waiting: list[tuple[Path, object]] = [(path, value)]
    while waiting:
        here, found = waiting.pop()
        yield here, found
        if not isinstance(found, (Mapping, list, tuple)) or id(found) in entered:
            continue
        entered.add(id(found))
        inner = found.items() if isinstance(found, Mapping) else enumerate(found)
        waiting.extend(reversed([((*here, step), item) for step, item in inner]))
