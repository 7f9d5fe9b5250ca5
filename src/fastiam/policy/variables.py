"""The syntax of policy variables, as validation checks it (spec 2.4, V28, V29).

`${name}` and `${name, 'default'}` name a context key; `${*}`, `${?}` and `${$}` are one literal character. A variable ends
at the first brace, a well-formed one at the first brace after its default. A variable is one token where a text is cut at
colons: the colons in it do not count.
"""

from __future__ import annotations

import re

from fastiam.model.key_registry import fold, key_info, note_spelling
from fastiam.policy.findings import Problem, Problems, quote

START = "${"
TAG_KEYS = frozenset(("aws:requesttag", "aws:resourcetag", "aws:principaltag"))  # each needs `/tag-key` after it
_INNER = r"[*?$]|[^\s,'{}$]+(?:, '[^']+')?"
_WELL_FORMED = re.compile(_INNER)
_VARIABLE = re.compile(rf"\$\{{(?:(?:{_INNER})\}}|[^}}]*\}}?)")  # linear: a quoted default cannot extend into another one
_SPECIAL = frozenset("*?$")
_FILLER = "\0"
_HINT = "write `${key}` or `${key, 'default'}`: one comma, one space, single quotes"


def mask(text: str, variables: bool = True) -> str:
    """The text with each variable replaced by filler of the same length, so that a cut or a search sees only literal text."""
    if not variables or START not in text:
        return text
    return _VARIABLE.sub(lambda match: _FILLER * len(match.group()), text)


def malformed(text: str) -> Problems:
    """The problems of the variables of a text (V29)."""
    return tuple(Problem("V29", message, _HINT) for match in _VARIABLE.finditer(text) if (message := _fault(match)))


def names(text: str) -> list[str]:
    """The context keys of the well-formed variables of a text."""
    inner = (_inner(match) for match in _VARIABLE.finditer(text) if not _fault(match))
    return [name.partition(",")[0] for name in inner if name not in _SPECIAL]


def is_unknown_global(key: str) -> bool:
    """Whether a condition key has the prefix of global keys and is unknown (V40), and is not an incomplete tag key (V17)."""
    folded = fold(key)
    return folded.startswith("aws:") and key_info(folded) is None and folded.removesuffix("/") not in TAG_KEYS


def problems(text: str) -> Problems:
    """The problems of the variables of a text with substitution: V29, V40."""
    found = names(text)
    for name in found:
        note_spelling(name)
    unknown = [name for name in found if is_unknown_global(name)]
    messages = (f"the variable {quote(name)} is not a known global condition key" for name in unknown)
    return malformed(text) + tuple(Problem("V40", message) for message in messages)


def first_key_variable(text: str) -> int | None:
    """The offset of the first variable that a context value replaces, or None."""
    return next((match.start() for match in _VARIABLE.finditer(text) if _inner(match) not in _SPECIAL), None)


def _inner(match: re.Match[str]) -> str:
    return match.group()[len(START) :].removesuffix("}")


def _fault(match: re.Match[str]) -> str:
    inner = _inner(match)
    if not match.group().endswith("}"):
        return f"{quote(match.group())} lacks its closing brace"
    if _WELL_FORMED.fullmatch(inner):
        return ""
    if not inner.strip():
        return f"{quote(match.group())} names no key"
    if inner.endswith(", ''"):
        return f"{quote(match.group())} has an empty default"
    what = "has an unbalanced quote" if inner.count("'") % 2 else "is not a policy variable"
    return f"{quote(match.group())} {what}"
