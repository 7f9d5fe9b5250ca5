"""Which statements the scope of an invariant contains, by their actions and resources (T33)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from fastiam.analysis.invariants.model import Invariant
from fastiam.analysis.invariants.scope import InvariantScope
from fastiam.analysis.pattern_sets import PatternSet, action_pattern_set, intersects_patterns, resource_pattern_set
from fastiam.model.policy import Policy, Statement
from fastiam.resolve.snapshot import Snapshot

_Patterns = tuple[PatternSet, ...]


class ScopePatterns:
    """The actions of an invariant, and for each choice of resources the patterns that all match; none means all of an owner."""

    def __init__(self, invariant: Invariant, snapshot: Snapshot) -> None:
        scope = InvariantScope(invariant, snapshot)
        self._actions = _read_actions(scope.actions)
        self._resources = [_read_resources(choice.patterns, variables=False) for choice in scope.resources]

    def has(self, policy: Policy, statement: Statement) -> bool:
        """Whether the statement may apply to a request of the scope, by its actions and resources."""
        actions = _read_actions(statement.actions or ("*",))
        if not any(intersects_patterns(actions, statement.not_action, one) for one in self._actions):
            return False
        resources = _read_resources(statement.resources or ("*",), variables=policy.variables)
        return any(
            all(intersects_patterns(resources, statement.not_resource, one) for one in choice) for choice in self._resources
        )


def _read_actions(patterns: Iterable[str]) -> _Patterns:
    return tuple(one for one in map(action_pattern_set, patterns) if one is not None)


def _read_resources(patterns: Iterable[str], *, variables: bool) -> _Patterns:
    read = partial(resource_pattern_set, variables=variables, keys={}, absent=frozenset())
    return tuple(one for one in map(read, patterns) if one is not None)
