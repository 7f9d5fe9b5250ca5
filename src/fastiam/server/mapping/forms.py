"""Limits of the texts in a request (1.6), and characters that none of them may have (G35)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from fastiam.server.mapping.faults import MappingError

MAX_ID: Final = 2_048
MAX_ACTION: Final = 256
_C0 = re.compile(r"[\x00-\x1f]")


def read_text(members: Mapping[str, Any], name: str, at: str, limit: int = MAX_ID) -> str:
    """A required text of an object.

    Raises
    ------
    MappingError
        `missing` (also null and empty), `bad_type`, `too_long` or `bad_character`.
    """
    value = members.get(name)
    if type(value) is not str:
        if value is None:
            raise MappingError("missing", f"`{name}` is missing", f"{at}.{name}")
        raise MappingError("bad_type", f"`{name}` is not text", f"{at}.{name}")
    if not value:
        raise MappingError("missing", f"`{name}` is empty", f"{at}.{name}")
    if len(value) > limit:
        raise MappingError("too_long", f"`{name}` has more than {limit} characters", f"{at}.{name}")
    if not value.isprintable() and _C0.search(value):
        raise MappingError("bad_character", f"`{name}` has a control character", f"{at}.{name}")
    return value


def read_members(members: Mapping[str, Any], name: str, at: str) -> Mapping[str, Any] | None:
    """An optional object; None if it is absent or null.

    Raises
    ------
    MappingError
        `bad_type`.
    """
    value = members.get(name)
    if value is not None and type(value) is not dict:
        raise MappingError("bad_type", f"`{name}` is not an object", f"{at}.{name}")
    return value
