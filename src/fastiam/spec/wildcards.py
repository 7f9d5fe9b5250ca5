"""Wildcards (spec 2.1): a pattern is a tuple of tokens, literal text, `*` and `?`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum
from functools import lru_cache

_LETTERS = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


class Wild(Enum):
    """The two wildcards (P1): any sequence of characters, also none; exactly one character."""

    ANY = "*"
    ONE = "?"


Bound = tuple[str | Wild, ...]  # a pattern without variables


def read_glob(text: str) -> Bound:
    """The tokens of a text in which `*` and `?` are wildcards and nothing else is special (P1)."""
    return tuple(Wild(piece) if piece in ("*", "?") else piece for piece in re.split(r"([*?])", text) if piece)


def glob_matches(pattern: Bound, text: str) -> bool:
    """Whether the pattern matches the whole text (P2), compared as it stands (P3)."""
    if len(pattern) <= 2 and Wild.ONE not in pattern:  # most patterns: no need for an expression
        match pattern:
            case (str() as literal,):
                return literal == text
            case (Wild.ANY,):
                return True
            case (str() as prefix, Wild.ANY):
                return text.startswith(prefix)
    return _expression(pattern).fullmatch(text) is not None


@lru_cache(maxsize=8192)
def _expression(pattern: Bound) -> re.Pattern[str]:
    """The pattern as an expression that never goes back: each piece between two `*` may take its first place."""
    pieces = _pieces(pattern)
    source = pieces[0]
    if len(pieces) > 1:
        source += "".join(f"(?>.*?{piece})" for piece in pieces[1:-1] if piece) + ".*" + pieces[-1]
    return re.compile(source, re.DOTALL)


def _pieces(pattern: Sequence[str | Wild]) -> list[str]:
    pieces = [""]
    for token in pattern:
        if token is Wild.ANY:
            pieces.append("")
        else:
            pieces[-1] += re.escape(token) if isinstance(token, str) else "."
    return pieces


def ascii_lower(text: str) -> str:
    """Lower case of ASCII letters alone."""
    return text.lower() if text.isascii() else text.translate(_LETTERS)
