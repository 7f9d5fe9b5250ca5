"""Actions (spec 2.2): `prefix:name` patterns, compared without ASCII case."""

from __future__ import annotations

from fastiam.spec.three_valued import T, Truth, any_of, negate, truth, undetermined
from fastiam.spec.wildcards import ascii_lower, glob_matches, read_glob


def check_actions(entries: tuple[str, ...], inverted: bool, action: tuple[str, str]) -> Truth:
    """`Action`, or `NotAction` if `inverted` (A4, A5). `action` is prefix and name in lower case (A7)."""
    found = any_of(_check_entry(entry, action) for entry in entries)
    return negate(found) if inverted else found


def _check_entry(entry: str, action: tuple[str, str]) -> Truth:
    """One entry: only `*` characters, or two globs (A1, A2, A6); a malformed one is `U` (A3, V24)."""
    if entry and not entry.strip("*"):
        return T
    prefix, _, name = entry.partition(":")
    if not prefix or not name or ":" in name or "," in entry or entry.split() != [entry]:
        return undetermined("V24")
    return truth(_matches(prefix, action[0]) and _matches(name, action[1]))


def _matches(pattern: str, text: str) -> bool:
    return glob_matches(read_glob(ascii_lower(pattern)), text)


def split_action(action: str) -> tuple[str, str]:
    """Prefix and name of a request action in lower case (A7)."""
    prefix, _, name = ascii_lower(action).partition(":")
    return prefix, name
