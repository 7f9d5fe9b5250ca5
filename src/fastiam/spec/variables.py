"""Policy variables (spec 2.4): find them in a text, and replace them by values."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass

from fastiam.model.key_registry import fold, key_info
from fastiam.model.request import ContextValue
from fastiam.spec.wildcards import Glob, Wildcard, read_glob

# `${...}` is one token: to the first brace that is not quoted, else to the first brace, else to the end (V29)
_TOKEN = re.compile(r"(\$\{(?:[^}']|'[^']*')*+\}|\$\{[^}]*\}|\$\{.*)", re.DOTALL)
_INSIDE = re.compile(r"\$\{(?P<name>[^\s,'{}$]+)(?:, '(?P<default>[^']+)')?\}")
_LITERAL = {"${*}": "*", "${?}": "?", "${$}": "$"}  # VR4


@dataclass(frozen=True, slots=True)
class Variable:
    """`${name}` or `${name, 'default'}` with a folded name; the name is None where it is malformed (VR3, V29)."""

    name: str | None
    default: str | None = None


Tokens = tuple[str | Wildcard | Variable, ...]


def read_tokens(text: str, variables: bool, wildcards: bool) -> Tokens:
    """The tokens of a text. Without `variables` the characters `${` are literal (1.4)."""
    tokens: list[str | Wildcard | Variable] = []
    for part in _TOKEN.split(text) if variables else [text]:
        if variables and part.startswith("${"):
            tokens.append(_LITERAL.get(part) or _read_variable(part))
        elif part:
            tokens += read_glob(part) if wildcards else (part,)
    return tuple(tokens)


def _read_variable(token: str) -> Variable:
    found = _INSIDE.fullmatch(token)
    return Variable(None) if found is None else Variable(fold(found["name"]), found["default"])


def cut_fields(text: str, variables: bool) -> list[str]:
    """A text cut at its first five colons; with `variables`, colons inside `${...}` do not count (V28, C64)."""
    if not variables or "${" not in text:
        return text.split(":", 5)
    fields = [""]
    for part in _TOKEN.split(text):
        if part.startswith("${"):
            fields[-1] += part
        else:
            first, *others = part.split(":", 6 - len(fields))
            fields[-1] += first
            fields += others
    return fields


def variables_of(tokens: Tokens) -> list[Variable]:
    """The variables of a pattern, in order."""
    return [token for token in tokens if isinstance(token, Variable)]


def unknown_names(variables: Iterable[Variable], unknown: Container[str]) -> list[str]:
    """The names of those variables of a text that are unknown (D72); none if one is malformed, which never resolves (V29)."""
    names = [variable.name for variable in variables]
    return [] if None in names else [name for name in names if name is not None and name in unknown]


def resolve(variable: Variable, context: Mapping[str, ContextValue]) -> str | None:
    """The text of a variable, or None if it is unresolved (VR6, VR7, VR10, V29)."""
    if variable.name is None:
        return None
    value = context.get(variable.name)
    if value is not None and (value.multi or value.conflict):
        return None
    if value is not None and value.values[0] != "":
        return value.values[0]
    return None if _is_multivalued(variable.name) else variable.default


def _is_multivalued(name: str) -> bool:
    info = key_info(name)
    return info is not None and info.multi


def substitute(tokens: Tokens, context: Mapping[str, ContextValue]) -> Glob | None:
    """The pattern with each variable as literal text (VR5, VR11), or None if one is unresolved."""
    glob: list[str | Wildcard] = []
    for token in tokens:
        part = resolve(token, context) if isinstance(token, Variable) else token
        if part is None:
            return None
        glob.append(part)
    return tuple(glob)
