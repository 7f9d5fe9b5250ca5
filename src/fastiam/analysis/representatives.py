"""Literal actions and resources that represent patterns.

Two actions that match the same patterns have equal decisions, except the few that rules name (spec 6.3, 7.4). The representatives
of a pattern are the names in policies that it matches, the representatives of other patterns that it matches, and one name that
no policy contains.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain

from fastiam.model.arn import split_arn
from fastiam.model.key_registry import fold
from fastiam.model.policy import Policy, Statement
from fastiam.model.request import ContextValue
from fastiam.policy.action_patterns import split_action_pattern
from fastiam.policy.wildcards import glob, matches_everything
from fastiam.runtime.forking import cached_property

MAX_COMPARISONS = 2_000_000  # of patterns with literals: 1 to 2 s
_MIN_CANDIDATES = 100  # that are compared with a pattern in any case
UNMENTIONED = "zq0"  # replaces a `*`; no policy contains it
_ONE = "z"  # replaces a `?`
_LITERAL = ("*", "?", "$")  # VR4
_VARIABLE = re.compile(r"\$\{([^}]*)\}?")
_WILDCARDS = re.compile(r"[*?]")
_WILDCARD = re.compile(_VARIABLE.pattern + r"|[*?]")


class Patterns:
    """The representatives of patterns among some literals of one policy element.

    Attributes
    ----------
    omitted
        number of patterns that were not compared with all candidates, because of `MAX_COMPARISONS`.

    Notes
    -----
    PERF: a literal that matches contains all groups of three letters of the pattern. Those with the rarest group are compared.
    """

    def __init__(self, literals: Iterable[str]) -> None:
        self.literals = tuple(dict.fromkeys(literals))
        self.omitted = 0
        self._found: dict[str, tuple[str, ...]] = {}
        self._comparisons = 0

    @cached_property
    def _with_group(self) -> dict[bytes, list[str]]:
        found: dict[bytes, list[str]] = {}
        for text in self.literals:
            for group in _groups(text):
                found.setdefault(group, []).append(text)
        return found

    def representatives(self, pattern: str) -> tuple[str, ...]:
        """Return the literals that a pattern matches, in their order."""
        found = self._found.get(pattern)
        if found is None:
            found = self._found[pattern] = tuple(self._matching(pattern))
        return found

    def _matching(self, pattern: str) -> Iterator[str]:
        groups = [group for piece in _WILDCARDS.split(_VARIABLE.sub("*", pattern)) for group in _groups(piece)]
        candidates: Sequence[str] = min((self._with_group.get(group, []) for group in groups), key=len, default=self.literals)
        self._comparisons += len(candidates)
        if self._comparisons > MAX_COMPARISONS:
            self.omitted += 1
            candidates = candidates[:_MIN_CANDIDATES]
        matches = may_match(pattern)
        return (text for text in candidates if matches(text))

    def unmatched(self, patterns: Sequence[str]) -> tuple[str, ...]:
        """Return the literals that none of the patterns matches."""
        matched = frozenset(chain.from_iterable(map(self.representatives, patterns)))
        return tuple(text for text in self.literals if text not in matched)


def _groups(text: str) -> set[bytes]:
    """The groups of three bytes of a text in lower case, as far as patterns ignore case: ASCII letters."""
    data = text.encode("utf-8", "surrogatepass").lower()
    return {data[i : i + 3] for i in range(len(data) - 2)}


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
    text = _literal_action(pattern).lower()
    return text if split_action_pattern(text) else None


def spellings_of(statements: Iterable[Statement]) -> dict[str, str]:
    """Return how statements write the literal actions of their patterns, by `action_of`."""
    patterns = dict.fromkeys(pattern for statement in statements for pattern in statement.actions or ())
    return {text.lower(): text for text in map(_literal_action, patterns)}


def _literal_action(pattern: str) -> str:
    return literal_of(f"{pattern}:*" if matches_everything(pattern) else pattern)


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
    """Return a literal action for each action pattern of policies."""
    return chain.from_iterable(map(actions_of, statements_of(policies)))


def actions_of(statement: Statement) -> Iterator[str]:
    """Return a literal action for each action pattern of a statement."""
    return filter(None, map(action_of, statement.actions or ()))


def resources_in(statements: Iterable[Statement], keys: Mapping[str, ContextValue] = {}) -> Iterator[str]:
    """Yield a literal resource for each resource pattern of statements."""
    for statement in statements:
        for pattern in statement.resources or ():
            resource = resource_of(pattern, keys)
            if resource is not None:
                yield resource
