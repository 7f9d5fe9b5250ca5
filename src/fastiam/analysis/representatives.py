"""Literal actions and resources that stand for patterns.

Two actions that match the same patterns are decided alike, but for the few that rules name (spec 6.3, 7.4). So a pattern is
stood for by every name that policies write out and it matches, by what stands for every other pattern that lies within it, and
by one name that nothing else matches.
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
            matches = may_match(pattern)
            found = self._found[pattern] = tuple(text for text in self.literals if matches(text))
        return found

    def outside(self, patterns: Sequence[str]) -> tuple[str, ...]:
        """The literals that none of the patterns matches."""
        tests = list(map(may_match, patterns))
        return tuple(text for text in self.literals if not any(matches(text) for matches in tests))


def may_match(pattern: str) -> Callable[[str], object]:
    """Return a test whether a pattern may match a text. A variable is any text. The test is true too often, never too rarely."""
    return glob(_VARIABLE.sub("*", pattern)).fullmatch


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
    text = fresh(f"{pattern}:*" if matches_everything(pattern) else pattern).lower()
    return text if split_action_pattern(text) else None


def resource_of(pattern: str, keys: Mapping[str, ContextValue] = {}) -> str | None:
    """A literal resource of a pattern: an ARN, or `*` for the pattern `*`; None where it can match none."""
    if matches_everything(pattern):
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
