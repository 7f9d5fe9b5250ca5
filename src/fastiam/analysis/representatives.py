"""Literal actions and resources that represent patterns.

Two actions that match the same patterns have equal decisions, except the few that rules name (spec 6.3, 7.4). The representatives
of a pattern are the names in policies that it matches, the representatives of other patterns that it matches, and one name that
no policy contains.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from fastiam.model.arn import split_arn
from fastiam.model.key_registry import fold
from fastiam.model.policy import Policy, Statement
from fastiam.model.request import ContextValue
from fastiam.policy.action_patterns import split_action_pattern
from fastiam.policy.wildcards import glob, matches_everything

UNMENTIONED = "zq0"  # replaces a `*`; no policy contains it
_ONE = "z"  # replaces a `?`
_LITERAL = ("*", "?", "$")  # VR4
_VARIABLE = re.compile(r"\$\{([^}]*)\}?")
_WILDCARD = re.compile(_VARIABLE.pattern + r"|[*?]")


class Patterns:
    """The representatives of patterns among some literals of one policy element."""

    def __init__(self, literals: Iterable[str]) -> None:
        self.literals = tuple(dict.fromkeys(literals))
        self._found: dict[str, tuple[str, ...]] = {}

    def representatives(self, pattern: str) -> tuple[str, ...]:
        """Return the literals that a pattern matches."""
        found = self._found.get(pattern)
        if found is None:
            matches = may_match(pattern)
            found = self._found[pattern] = tuple(text for text in self.literals if matches(text))
        return found

    def unmatched(self, patterns: Sequence[str]) -> tuple[str, ...]:
        """Return the literals that none of the patterns matches."""
        tests = list(map(may_match, patterns))
        return tuple(text for text in self.literals if not any(matches(text) for matches in tests))


def may_match(pattern: str) -> Callable[[str], object]:
    """Return a test whether a pattern may match a text. A variable is any text. The test is true too often, never too rarely."""
    return glob(_VARIABLE.sub("*", pattern)).fullmatch


def literal_of(pattern: str, keys: Mapping[str, ContextValue] = {}) -> str:
    """Return a literal that a pattern matches: wildcards become text that no policy contains, variables the values of `keys`."""

    def value(found: re.Match[str]) -> str:
        if found[0] in ("*", "?"):
            return UNMENTIONED if found[0] == "*" else _ONE
        if found[1] in _LITERAL:
            return str(found[1])
        known = keys.get(fold(found[1].partition(",")[0]))
        return UNMENTIONED if known is None or len(known.values) > 1 else known.values[0]

    return _WILDCARD.sub(value, pattern)


def action_of(pattern: str) -> str | None:
    """Return a literal action of a pattern in lower case, or None for a malformed one (V24)."""
    text = literal_of(f"{pattern}:*" if matches_everything(pattern) else pattern).lower()
    return text if split_action_pattern(text) else None


def resource_of(pattern: str, keys: Mapping[str, ContextValue] = {}) -> str | None:
    """Return a literal resource of a pattern: an ARN, or `*` for the pattern `*`; None if no resource matches."""
    if matches_everything(pattern):
        return "*"
    fields = pattern.split(":", 5)
    fields += ["*"] * (6 - len(fields))  # R6
    literals = [literal_of(field, keys) for field in fields]
    literals[1] = "aws" if literals[1] == UNMENTIONED else literals[1]
    literals[4] = "" if literals[4] == UNMENTIONED else literals[4]  # resources without an account
    text = ":".join(literals)
    return text if split_arn(text) is not None else None


def statements_of(policies: Iterable[Policy]) -> Iterator[Statement]:
    """Return the statements of policies."""
    return (statement for policy in policies for statement in policy.statements)


def actions_in(policies: Iterable[Policy]) -> Iterator[str]:
    """Yield a literal action for each action pattern of policies."""
    for statement in statements_of(policies):
        for pattern in statement.actions or ():
            action = action_of(pattern)
            if action is not None:
                yield action


def resources_in(statements: Iterable[Statement], keys: Mapping[str, ContextValue] = {}) -> Iterator[str]:
    """Yield a literal resource for each resource pattern of statements."""
    for statement in statements:
        for pattern in statement.resources or ():
            resource = resource_of(pattern, keys)
            if resource is not None:
                yield resource
