"""Literal actions and resources that stand for patterns.

Two actions that match the same patterns are decided alike, but for the few that rules name (spec 6.3, 7.4). So a pattern is
stood for by every name that policies write out and it matches, by what stands for every other pattern that lies within it, and
by one name that nothing else matches.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

from fastiam.model.arn import split_arn
from fastiam.model.key_registry import fold
from fastiam.model.policy import Policy, Statement
from fastiam.model.request import ContextValue

FRESH = "zq0"  # what a `*` becomes: no policy writes it
_ONE = "z"  # what a `?` becomes
_LITERAL = ("*", "?", "$")  # VR4
_VARIABLE = re.compile(r"\$\{([^}]*)\}?")
_WILD = re.compile(_VARIABLE.pattern + r"|[*?]")


class Patterns:
    """Patterns of one element of policies, and what stands for them."""

    def __init__(self, literals: Iterable[str]) -> None:
        self.literals = tuple(dict.fromkeys(literals))
        self._found: dict[str, tuple[str, ...]] = {}

    def representatives(self, pattern: str) -> tuple[str, ...]:
        """The literals that a pattern matches, its own included."""
        found = self._found.get(pattern)
        if found is None:
            matches = glob(pattern).fullmatch
            found = self._found[pattern] = tuple(text for text in self.literals if matches(text))
        return found

    def outside(self, patterns: Sequence[str]) -> tuple[str, ...]:
        """The literals that none of the patterns matches."""
        expressions = [glob(pattern) for pattern in patterns]
        return tuple(text for text in self.literals if not any(e.fullmatch(text) for e in expressions))


@lru_cache(maxsize=8192)
def glob(pattern: str) -> re.Pattern[str]:
    """A pattern as an expression over the whole text; a variable stands for any text. It may match too much, never too little."""
    pieces = ("." if c == "?" else ".*" if c == "*" else re.escape(c) for c in _VARIABLE.sub("*", pattern))
    return re.compile("".join(pieces), re.DOTALL | re.IGNORECASE)


def fresh(pattern: str, keys: Mapping[str, ContextValue] = {}) -> str:
    """A literal that a pattern matches, with text in place of wildcards that no policy writes, and variables by `keys`."""

    def value(found: re.Match[str]) -> str:
        if found[0] in ("*", "?"):
            return FRESH if found[0] == "*" else _ONE
        if found[1] in _LITERAL:
            return str(found[1])
        known = keys.get(fold(found[1].partition(",")[0]))
        return FRESH if known is None or len(known.values) > 1 else known.values[0]

    return _WILD.sub(value, pattern)


def action_of(pattern: str) -> str | None:
    """A literal action of a pattern in lower case, None for a malformed one (V24)."""
    text = fresh(f"{pattern}:*" if set(pattern) == {"*"} else pattern).lower()
    prefix, colon, name = text.partition(":")
    is_action = prefix and colon and name and ":" not in name and "," not in text and not any(map(str.isspace, text))
    return text if is_action else None


def resource_of(pattern: str, keys: Mapping[str, ContextValue] = {}) -> str | None:
    """A literal resource of a pattern: an ARN, or `*` for the pattern `*`; None where it can match none."""
    if set(pattern) == {"*"}:
        return "*"
    fields = pattern.split(":", 5)
    fields += ["*"] * (6 - len(fields))  # R6
    literals = [fresh(field, keys) for field in fields]
    literals[1] = "aws" if literals[1] == FRESH else literals[1]
    literals[4] = "" if literals[4] == FRESH else literals[4]  # of no account in particular
    text = ":".join(literals)
    return text if split_arn(text) is not None else None


def statements_of(policies: Iterable[Policy]) -> Iterator[Statement]:
    """All statements of some policies."""
    return (statement for policy in policies for statement in policy.statements)


def actions_in(policies: Iterable[Policy]) -> Iterator[str]:
    """A literal action for every action pattern that policies write."""
    for statement in statements_of(policies):
        for pattern in statement.actions or ():
            action = action_of(pattern)
            if action is not None:
                yield action


def resources_in(statements: Iterable[Statement], keys: Mapping[str, ContextValue] = {}) -> Iterator[str]:
    """A literal resource for every resource pattern that statements write."""
    for statement in statements:
        for pattern in statement.resources or ():
            resource = resource_of(pattern, keys)
            if resource is not None:
                yield resource
