"""The syntax of policy variables, as far as loading checks it (spec 2.4, V28, V29).

`${name}` and `${name, 'default'}` name a context key; `${*}`, `${?}` and `${$}` are one literal character. A variable ends
at the first brace, a well-formed one at the first brace behind its default. Where a text is cut at colons, a variable is
one token: the colons in it do not count.
"""

from __future__ import annotations

import re

from fastiam.language.findings import Problem, Problems, quote

START = "${"
_INNER = r"[*?$]|[^\s,'{}$]+(?:, '[^']+')?"
_WELL_FORMED = re.compile(_INNER)
_VARIABLE = re.compile(rf"\$\{{(?:(?:{_INNER})\}}|[^}}]*\}}?)")  # linear: a quoted default cannot run over another one
_SPECIAL = frozenset("*?$")
_FILLER = "\0"
_HINT = "write `${key}` or `${key, 'default'}`: one comma, one space, single quotes"


def mask(text: str, variables: bool = True) -> str:
    """The text with every variable blanked out to the same length, so that a cut or a search sees what is literal."""
    if not variables or START not in text:
        return text
    return _VARIABLE.sub(lambda match: _FILLER * len(match.group()), text)


def malformed(text: str) -> Problems:
    """What is wrong with the variables of a text (V29)."""
    return tuple(Problem("V29", message, _HINT) for match in _VARIABLE.finditer(text) if (message := _fault(match)))


def names(text: str) -> list[str]:
    """The context keys that the well-formed variables of a text name."""
    inner = (_inner(match) for match in _VARIABLE.finditer(text) if not _fault(match))
    return [name.partition(",")[0] for name in inner if name not in _SPECIAL]


def first_key_variable(text: str) -> int | None:
    """Where the first variable starts that a context value would replace, or None."""
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
