"""Wildcards (spec 2.1): a glob is a tuple of tokens, which are literal text, `*` and `?`."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from enum import Enum
from itertools import islice

_LETTERS = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


class Wildcard(Enum):
    """The two wildcards (P1): any sequence of characters, also none; exactly one character."""

    ANY = "*"
    ONE = "?"


Token = str | Wildcard
Glob = tuple[Token, ...]  # a pattern without variables


def read_glob(text: str) -> Glob:
    """The tokens of a text in which `*` and `?` are wildcards and nothing else is special (P1)."""
    if "*" not in text and "?" not in text:
        return (text,) if text else ()
    return tuple(Wildcard(piece) if piece in ("*", "?") else piece for piece in re.split(r"([*?])", text) if piece)


def glob_matches(pattern: Glob, text: str) -> bool:
    """Whether the pattern matches the whole text (P2), compared without normalisation (P3).

    Before a `*` the first end of a token is enough: from there the `*` reaches each position that it reaches from a later one.
    """
    if len(pattern) == 1 and pattern[0] is not Wildcard.ONE:
        return pattern[0] is Wildcard.ANY or pattern[0] == text
    if pattern and isinstance(pattern[0], str) and not text.startswith(pattern[0]):
        return False
    ends = [0]
    for token, following in zip(pattern, (*pattern[1:], None), strict=False):
        found = token_ends(token, ends, text)
        ends = list(islice(found, 1 if following is Wildcard.ANY else None))
    return len(text) in ends


def token_ends(token: Token, starts: Collection[int], text: str, *, crosses_colons: bool = True) -> Iterable[int]:
    """The positions at which a match of `token` can end if it starts at one of `starts` (P1), in the order of the starts.

    A wildcard matches no colon unless `crosses_colons` (R4, R5).
    """
    if isinstance(token, str):
        return (start + len(token) for start in starts if text.startswith(token, start))
    if token is Wildcard.ONE:
        return (start + 1 for start in starts if start < len(text) and (crosses_colons or text[start] != ":"))
    if crosses_colons:
        return range(min(starts, default=len(text) + 1), len(text) + 1)
    return (end for start in starts for end in range(start, len(text[start:].partition(":")[0]) + start + 1))


def ascii_lower(text: str) -> str:
    """Lower case of ASCII letters only."""
    return text.lower() if text.isascii() else text.translate(_LETTERS)
