"""Patterns of the models, which are regular expressions of Java, for Python's `re`."""

from __future__ import annotations

import re
from functools import cache

_CLASS = re.compile(r"\[(?:\\.|[^\]\\])*\]")
_PROPERTY = re.compile(r"\\p\{(L|M|N|P|S|Z)\}")
_SEPARATORS = "\\x20\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000"
# Categories C: controls, formats, surrogates, private use. Unassigned characters pass.
_OTHER = (
    "\\x00-\\x1f\\x7f-\\x9f\\xad\\u0600-\\u0605\\u061c\\u06dd\\u070f\\u0890-\\u0891\\u08e2\\u180e\\u200b-\\u200f\\u202a-\\u202e"
    "\\u2060-\\u2064\\u2066-\\u206f\\ud800-\\uf8ff\\ufeff\\ufff9-\\ufffb\\U000110bd\\U000110cd\\U00013430-\\U00013438"
    "\\U0001bca0-\\U0001bca3\\U0001d173-\\U0001d17a\\U000e0001\\U000e0020-\\U000e007f\\U000f0000-\\U000ffffd\\U00100000-\\U0010fffd"
)
_SPACES = "\\t-\\r\\x20"  # `\s` of Java, which is ASCII


@cache
def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Compile a pattern of a model; the whole text must match it.

    Raises
    ------
    ValueError
        it has a Unicode property that `re` cannot express.
    """
    has_properties = _PROPERTY.search(pattern) is not None
    translated = _CLASS.sub(lambda found: _class(found[0]), pattern) if has_properties else pattern
    if "\\p" in translated:
        raise ValueError(f"no translation of the pattern `{pattern}`")
    return re.compile(translated, re.UNICODE if has_properties else re.ASCII)


def _class(text: str) -> str:
    """A character class without Unicode properties."""
    names = set(_PROPERTY.findall(text))
    if not names:
        return text
    content = _PROPERTY.sub("", text[1:-1]).replace("\\s", _SPACES)
    if text.startswith("[^"):
        if names != {"Z"}:
            return text
        return f"[{content}{_SEPARATORS}]"
    if {"L", "M", "N", "P", "S"} <= names:
        separators = "" if "Z" in names else _SEPARATORS
        every = f"[^{separators}{_OTHER}]"
        return f"(?:{every}|[{content}])" if content else every
    if names == {"L", "N", "Z"} and "_" in content:
        return f"[\\w{_SEPARATORS}{content.replace('_', '', 1)}]"  # `\w` is letters, numbers and `_`
    return text
