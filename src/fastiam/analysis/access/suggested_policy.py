"""A smaller policy for a user or role: its own Allow statements with the actions and resources that a log used.

INVARIANT: each Allow of the suggestion has the conditions of an Allow of the principal, a subset of its actions and a subset of
its resource patterns, and all Denies of the principal stay. So the suggestion allows nothing new, whatever the log contains.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fastiam.analysis.access.log_usage import PrincipalUsage
from fastiam.analysis.pattern_sets import PatternSet, resource_pattern_set
from fastiam.analysis.representatives import may_match
from fastiam.aws_data.action_patterns import spelled_action
from fastiam.aws_data.log_events import data_events, not_recorded
from fastiam.errors import Hint, RequestValueError
from fastiam.model.policy import ConditionEntry, Effect, Policy, Statement
from fastiam.model.profile import PrincipalProfile
from fastiam.model.request import ContextValue
from fastiam.model.result import Json
from fastiam.policy.wildcards import glob, matches_everything


@dataclass(frozen=True, slots=True)
class SuggestedPolicy:
    """A policy in place of all identity policies of a principal.

    Attributes
    ----------
    principal
        the user or role.
    document
        the policy.
    not_covered
        used actions that no identity policy of the principal allows: a resource policy allows them, or the policies have changed
        since.
    removed_unseen
        granted actions whose use the log does not show, and that the suggestion does not allow.
    """

    principal: str
    document: Mapping[str, Any]
    not_covered: tuple[str, ...]
    removed_unseen: tuple[str, ...]


def suggested_policy(profile: PrincipalProfile, usage: PrincipalUsage) -> SuggestedPolicy:
    """Return a policy of what a principal used.

    Raises
    ------
    RequestValueError
        a policy of the principal cannot be copied exactly.
    """
    allows = _Allows()
    denies: list[dict[str, Any]] = []
    for policy in profile.identity_policies:
        for statement in policy.statements:
            if statement.effect is Effect.ALLOW:
                allows.add(policy, statement, profile.keys)
            else:
                denies.append(_deny(policy, statement))
    not_covered = [action for action, resources in sorted(usage.resources.items()) if not allows.cover(action, resources)]
    found = allows.statements()
    allowed = {action.lower() for statement in found for action in statement["Action"]}
    unseen = [action for action in sorted((data_events() | not_recorded()) - allowed) if allows.matches(action)]
    document = {"Version": "2012-10-17", "Statement": [*found, *denies]}
    return SuggestedPolicy(profile.name, document, tuple(not_covered), tuple(map(spelled_action, unseen)))


@dataclass(slots=True)
class _ResourcePattern:
    """A pattern of a statement: `set` are the resources that it matches for certain, None for one that matches nothing."""

    text: str
    set: PatternSet | None
    may_match: Callable[[str], object]

    def matches(self, resource: str) -> bool:
        """Whether the pattern matches for certain: variables have the values of the principal."""
        if resource == "*":
            return matches_everything(self.text)
        literal = resource_pattern_set(re.sub(r"[*?$]", r"${\g<0>}", resource), True, {}, frozenset())
        return literal is not None and self.set is not None and literal.is_subset_of(self.set)


@dataclass(slots=True)
class _Allow:
    """An Allow of the principal, and the used actions by resource pattern."""

    policy: Policy
    statement: Statement
    matches_action: Callable[[str], bool]
    patterns: list[_ResourcePattern]
    used: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def matching(self, resource: str | None) -> tuple[list[str], bool]:
        """Return the resource patterns to keep for a used resource, and whether the statement applies to it for certain.

        They are the narrowest pattern that matches for certain, else all that may match; of `NotResource` all, or none.
        """
        may = [each for each in self.patterns if resource is None or each.may_match(resource)]
        certain = [each.text for each in may if resource is not None and each.matches(resource)]
        if self.statement.not_resource:
            kept = [] if certain else [each.text for each in self.patterns]
            return kept, not may and not self.statement.conditions
        if certain:
            return sorted(certain, key=_width)[:1], not self.statement.conditions
        return [each.text for each in may], False


class _Allows:
    """The Allow statements of a principal."""

    def __init__(self) -> None:
        self.all: list[_Allow] = []

    def add(self, policy: Policy, statement: Statement, keys: Mapping[str, ContextValue]) -> None:
        """Add a statement that can apply. `keys` are those of the principal."""
        if statement.undetermined or statement.resources is None or any(each.undetermined for each in statement.conditions):
            return
        patterns = [
            _ResourcePattern(text, resource_pattern_set(text, policy.variables, keys, frozenset(), grants=True), may_match(text))
            for text in statement.resources
        ]
        self.all.append(_Allow(policy, statement, _action_test(statement), patterns))

    def matches(self, action: str) -> bool:
        """Whether a statement allows an action on any resource."""
        return any(allow.matches_action(action) for allow in self.all)

    def cover(self, action: str, resources: Iterable[str | None]) -> bool:
        """Add a used action to the narrowest statement that allows it on each of its resources. Return whether there is one.

        If none allows it for certain, all that may allow it are used: the log does not show which conditions were satisfied.
        """
        is_covered = True
        for resource in resources:
            found = [(allow, *allow.matching(resource)) for allow in self.all if allow.matches_action(action)]
            certain = [(allow, patterns) for allow, patterns, is_certain in found if is_certain and patterns]
            if certain:
                certain = [min(certain, key=lambda each: _width(each[1][0]))]
            for allow, patterns in certain or [(allow, patterns) for allow, patterns, _ in found]:
                if patterns:
                    allow.used[action].update(patterns)
            is_covered &= any(patterns for _, patterns, _ in found)
        return is_covered

    def statements(self) -> list[dict[str, Any]]:
        """Return the Allow statements of the suggestion: actions with equal resources together, by service."""
        found: list[dict[str, Any]] = []
        for allow in self.all:
            together: dict[tuple[str, ...], list[str]] = defaultdict(list)
            for action, patterns in allow.used.items():
                together[tuple(each.text for each in allow.patterns if each.text in patterns)].append(spelled_action(action))
            for resources, actions in sorted(together.items()):
                statement: dict[str, Any] = {"Effect": "Allow", "Action": sorted(actions)}
                statement["NotResource" if allow.statement.not_resource else "Resource"] = _texts(allow.policy, resources)
                found.append(statement | _condition(allow.policy, allow.statement.conditions))
        return found


def _action_test(statement: Statement) -> Callable[[str], bool]:
    tests = [glob(pattern).fullmatch for pattern in statement.actions or ()]
    return lambda action: any(test(action) for test in tests) is not statement.not_action


def _width(pattern: str) -> tuple[int, int]:
    """Order patterns from narrow to wide: literals first, then by the number of literal characters."""
    n_literal = len(pattern) - pattern.count("*") - pattern.count("?")
    return (int(n_literal < len(pattern)), -n_literal)


def _deny(policy: Policy, statement: Statement) -> dict[str, Any]:
    """Return a Deny as it is written in a policy."""
    if statement.undetermined or statement.resources is None or any(each.undetermined for each in statement.conditions):
        label = statement.sid or f"#{statement.index}"
        hint = Hint("correct the policy first", "correct the policy first: `fastiam validate`")
        message = f"the Deny `{label}` of `{policy.name}` has an element that cannot be read"
        raise RequestValueError(message, column="principal", hint=hint)
    found: dict[str, Any] = {"Effect": "Deny", "NotAction" if statement.not_action else "Action": list(statement.actions or ())}
    found["NotResource" if statement.not_resource else "Resource"] = _texts(policy, statement.resources)
    return found | _condition(policy, statement.conditions)


def _condition(policy: Policy, entries: tuple[ConditionEntry, ...]) -> dict[str, Any]:
    block: dict[str, dict[str, Json]] = {}
    for entry in entries:
        block.setdefault(entry.operator_text, {})[entry.key] = list(_texts(policy, entry.values))
    return {"Condition": block} if block else {}


def _texts(policy: Policy, texts: Iterable[str]) -> list[str]:
    """Return texts for a document with variables."""
    found = list(texts)
    if not policy.variables and any("${" in text for text in found):
        message = f"`{policy.name}` is of version 2008-10-17, in which `${{` is not a variable"
        raise RequestValueError(message, column="principal", hint="set `Version` to 2012-10-17 first")
    return found
