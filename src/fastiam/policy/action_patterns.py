"""The syntax of an entry of `Action` or `NotAction` (spec 2.2): `*`, or a prefix and a name around one colon."""

from __future__ import annotations

import re

_SPACE_OR_COMMA = re.compile(r"[\s,]")


def action_syntax_error(text: str) -> str:
    """Return what makes an entry other than `*` malformed (V24), or "" for a well-formed one."""
    prefix, colon, name = text.partition(":")
    if _SPACE_OR_COMMA.search(text):
        return "it has white space or a comma"
    if not colon:
        return "it has no colon"
    if ":" in name:
        return "it has more than one colon"
    return "" if prefix and name else "the part before or after the colon is missing"


def split_action_pattern(text: str) -> tuple[str, str] | None:
    """Return the patterns of prefix and name, or None for a malformed entry (V24)."""
    if action_syntax_error(text):
        return None
    prefix, _, name = text.partition(":")
    return prefix, name
