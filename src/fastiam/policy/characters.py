"""Characters that IAM does not store (V39, G11): all except tab, newline, return and U+0020 to U+00FF.

ASCII JSON text can contain others only as the escapes `\\u`, `\\b` and `\\f`, which excludes them for nearly every document.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from fastiam.policy.findings import Reading, quote
from fastiam.policy.json_types import walk

_FORBIDDEN = re.compile(r"[^\t\n\r -\u00ff]")
_ESCAPES = ("\\u", "\\b", "\\f")
_HINT = "IAM stores tab, newline, return and U+0020 to U+00FF"


def check_characters(reading: Reading, document: object, text: str | None) -> None:
    """Record each text and name of a document with a forbidden character (V39, G11)."""
    is_clean = text is not None and text.isascii() and ("\\" not in text or not any(escape in text for escape in _ESCAPES))
    if is_clean or not _has_forbidden(document):
        return
    for path, value in walk(document):
        if isinstance(value, str):
            _check(reading, value, path, at_name=False)
        elif isinstance(value, Mapping):
            for name in value:
                _check(reading, name, (*path, name), at_name=True)


def _check(reading: Reading, text: object, path: tuple[str | int, ...], *, at_name: bool) -> None:
    match = _FORBIDDEN.search(text) if isinstance(text, str) else None
    if match:
        reading.add("V39", path, f"{quote(str(text))} contains U+{ord(match.group()):04X}", _HINT, at_name=at_name)


def _has_forbidden(document: object) -> bool:
    """The same search without paths: most documents end here."""
    entered: set[int] = set()
    waiting: list[object] = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            if not (value.isascii() and value.isprintable()) and _FORBIDDEN.search(value):
                return True
        elif not isinstance(value, (dict, list, tuple, Mapping)) or id(value) in entered:
            continue
        else:
            entered.add(id(value))
            waiting.extend(value)
            if not isinstance(value, (list, tuple)):
                waiting.extend(value.values())
    return False
