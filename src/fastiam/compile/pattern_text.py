"""Texts of policies as encoded patterns: UTF-8 with tokens for wildcards and variables (spec 2.1, 2.4)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from fastiam.compile.layout import TOKEN_ONE, TOKEN_STAR
from fastiam.model.key_registry import fold

STAR, ONE = bytes([TOKEN_STAR]), bytes([TOKEN_ONE])

_STARS = STAR + STAR
# a well-formed variable, else a malformed one to its first brace or to the end (VR3, VR4, V29)
_VARIABLE = re.compile(
    r"\$\{(?:(?P<literal>[*?$])|(?P<name>[^\s,'{}$]+)(?:, '(?P<default>[^']+)')?)\}|\$\{(?P<broken>[^}]*\}?)", re.DOTALL
)


class Variable(NamedTuple):
    """`${name, 'default'}` with a folded name; the name is None where it is malformed (V29)."""

    name: str | None
    default: str | None = None


Piece = bytes | Variable


def utf8(text: str) -> bytes:
    """The bytes of a policy text. Lenient documents may hold lone surrogates (V39): no valid request holds their bytes."""
    return text.encode("utf-8", "surrogatepass")


def globbed(text: str) -> bytes:
    """A text whose `*` and `?` are wildcards; stars in a row are one."""
    found = utf8(text).replace(b"*", STAR).replace(b"?", ONE)
    while _STARS in found:
        found = found.replace(_STARS, STAR)
    return found


def pieces(text: str, *, variables: bool, wildcards: bool) -> list[Piece]:
    """A text as literal bytes with wildcard tokens, and variables."""
    plain = globbed if wildcards else utf8
    if not variables or "${" not in text:
        return [plain(text)]
    found: list[Piece] = []
    for part, variable in _split(text):
        if part:
            found.append(plain(part))
        if variable is not None:
            found.append(variable)
    return _merged(found)


def _split(text: str) -> Iterator[tuple[str, Piece | None]]:
    """The text before each variable, and the variable; `${*}`, `${?}` and `${$}` are literal characters (VR4)."""
    at = 0
    for match in _VARIABLE.finditer(text):
        before = text[at : match.start()]
        at = match.end()
        if match["literal"]:
            yield before, utf8(match["literal"])
        elif match["name"]:
            yield before, Variable(fold(match["name"]), match["default"])
        else:
            yield before, Variable(None)
    yield text[at:], None


def _merged(found: list[Piece]) -> list[Piece]:
    merged: list[Piece] = []
    for piece in found:
        if merged and isinstance(piece, bytes) and isinstance(merged[-1], bytes):
            merged[-1] += piece
        else:
            merged.append(piece)
    return merged


def joined(found: Iterable[Piece], slot: Callable[[Variable], bytes]) -> bytes:
    """The bytes of a text, variables as `slot` encodes them."""
    return b"".join([slot(piece) if isinstance(piece, Variable) else piece for piece in found])


def cut_fields(text: str) -> list[str]:
    """A text cut at its first five colons; colons inside `${...}` do not count (V28)."""
    fields, at = [""], 0
    for match in (*_VARIABLE.finditer(text), None):
        before = text[at : match.start()] if match else text[at:]
        first, *others = before.split(":", 6 - len(fields))
        fields[-1] += first
        fields += others
        if match:
            fields[-1] += match.group()
            at = match.end()
    return fields
