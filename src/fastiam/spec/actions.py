"""Actions (spec 2.2): `prefix:name` patterns without regard to ASCII case."""

from __future__ import annotations

from functools import lru_cache

from fastiam.spec.statement_trace import View
from fastiam.spec.three_valued import T, Truth, any_of, negate, truth
from fastiam.spec.wildcards import Bound, ascii_lower, glob_matches, read_glob


def check_actions(entries: tuple[str, ...], inverted: bool, action: tuple[str, str], view: View) -> Truth:
    """`Action`, or `NotAction` where `inverted` (A4, A5). `action` is prefix and name in lower case (A7)."""
    found = any_of([_check_entry(entry, action, view) for entry in entries])
    return negate(found) if inverted else found


def _check_entry(entry: str, action: tuple[str, str], view: View) -> Truth:
    """One entry: `*` alone, or two globs (A1, A2); a malformed one is `U` (A3, V24)."""
    if entry and not entry.strip("*"):
        return T
    pattern = _read_entry(entry)
    if pattern is None:
        return view.doubt("V24")
    return truth(glob_matches(pattern[0], action[0]) and glob_matches(pattern[1], action[1]))


@lru_cache(maxsize=8192)
def _read_entry(entry: str) -> tuple[Bound, Bound] | None:
    """The globs of prefix and name, or None for a malformed entry (V24)."""
    prefix, _, name = entry.partition(":")
    if not prefix or not name or ":" in name or "," in entry or any(map(str.isspace, entry)):
        return None
    return read_glob(ascii_lower(prefix)), read_glob(ascii_lower(name))


def split_action(action: str) -> tuple[str, str]:
    """Prefix and name of a request action in lower case (A7)."""
    prefix, _, name = ascii_lower(action).partition(":")
    return prefix, name
