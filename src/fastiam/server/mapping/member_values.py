"""Values of JSON members: their form, and whether a condition key takes them (G56, G57)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

from fastiam.model.arn import split_arn
from fastiam.model.key_registry import KeyInfo, KeyType
from fastiam.model.request import canonical_text
from fastiam.server.mapping.faults import MappingError
from fastiam.spec.values import read_address, read_bool, read_date, read_number
from fastiam.strict_json import is_exact

MAX_VALUE: Final = 4_096  # characters of a value
MAX_NAME: Final = 128  # characters of a key, and of a name in `ignored`
_DEPTH = 3  # levels of objects that become one dotted name

Scalar = str | bool | int | float
Value = Scalar | list[Scalar]
SCALARS: Final = frozenset({str, bool, int, float})


def member_values(name: str, raw: Any, at: str, ignored: list[str], depth: int = 1) -> Iterator[tuple[str, Value]]:
    """The values of a member: itself, or those of an object under dotted names, to depth 3 (G56).

    Absent values (None, an empty list) are left out. Lists of something else than scalars and deeper objects are added to
    `ignored`.

    Raises
    ------
    MappingError
        `too_long`, `bad_character` (form); `bad_value`: a number that is not exact.
    """
    kind = type(raw)
    if kind in SCALARS:
        yield name, check_scalar(raw, name, at)
    elif kind is list:
        if not all(type(item) in SCALARS for item in raw):
            ignored.append(f"{at}.{name}")
        elif raw:
            yield name, [check_scalar(item, name, at) for item in raw]
    elif kind is dict and depth < _DEPTH:
        for inner, value in raw.items():
            yield from member_values(f"{name}.{inner}", value, at, ignored, depth + 1)
    elif raw is not None:
        ignored.append(f"{at}.{name}")


def check_scalar(value: Any, name: str, at: str) -> Scalar:
    """A scalar, if it is not too long and exact."""
    if type(value) is str:
        if len(value) > MAX_VALUE:
            raise MappingError("too_long", f"a value of more than {MAX_VALUE} characters", f"$.{at}.{name[:MAX_NAME]}")
    elif not is_exact(value):
        raise MappingError("bad_value", "a number beyond 2^53, which is not exact", f"$.{at}.{name[:MAX_NAME]}")
    return value  # type: ignore[no-any-return]


def text_of(value: Value) -> str | None:
    """The canonical text of one value (C24); None for a list of several."""
    if type(value) is list:
        return canonical_text(value[0], "") if len(value) == 1 else None
    return canonical_text(value, "")


def check_value(info: KeyInfo, value: Value, at: str) -> None:
    """Check the type of a value of a key that the registry has; the engine would take another one as text that never matches."""
    read = READERS.get(info.type)
    if type(value) is list:
        if len(value) > 1 and not info.multi:
            raise MappingError("bad_value", f"`{info.name}` takes one value, not {len(value)}", at)
        is_read = read is None or all(read(canonical_text(item, info.name)) is not None for item in value)
    else:
        is_read = read is None or read(value if type(value) is str else canonical_text(value, info.name)) is not None
    if not is_read:
        raise MappingError("bad_value", f"the value of `{info.name}` is not of type {info.type}", at)


_OCTET: Final = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4: Final = re.compile(rf"{_OCTET}\.{_OCTET}\.{_OCTET}\.{_OCTET}")


def _address(text: str) -> object:
    """None for a text that `read_address` does not read."""
    return _IPV4.fullmatch(text) or read_address(text)  # PERF: `ipaddress` takes 4 us


READERS: Final[Mapping[KeyType, Callable[[str], object]]] = {
    KeyType.IP: lru_cache(maxsize=4_096)(_address),
    KeyType.BOOL: lru_cache(maxsize=64)(read_bool),
    KeyType.NUMERIC: read_number,
    KeyType.DATE: read_date,
    KeyType.ARN: split_arn,
}
"""What reads a text as a value of a type; None: the text is not of the type."""


def read_instant(value: Any, at: str) -> datetime:
    """The instant of a JSON value: text of the date grammar (C40), or epoch seconds.

    Raises
    ------
    MappingError
        `bad_value`.
    """
    if type(value) not in SCALARS:
        raise MappingError("bad_value", "the value is not an instant", at)
    return instant_of(check_scalar(value, "", at), at)


def instant_of(value: Value, at: str) -> datetime:
    """As `read_instant`, of a scalar that is checked, or a list of one."""
    text = text_of(value)
    read = None if text is None else read_date(text)
    try:
        if read is not None:
            return datetime.fromtimestamp(read[0], UTC).replace(microsecond=read[1] // 1_000)
    except (OverflowError, OSError, ValueError):
        pass
    raise MappingError("bad_value", "the value is not an instant of the years 1 to 9999", at)
