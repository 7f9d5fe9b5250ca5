"""What the cases of a proof have in common: the scope, the statements that are relevant to it, and its cells of actions."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

from fastiam.analysis.invariants.places import Records
from fastiam.analysis.invariants.scope import InvariantScope, ResourceChoice
from fastiam.analysis.invariants.subjects import Subject
from fastiam.analysis.invariants.universe import Home
from fastiam.analysis.pattern_sets import PatternSet, action_pattern_set, resource_pattern_set
from fastiam.analysis.proof.names import Element, action_cells
from fastiam.analysis.proof.search import Cells
from fastiam.model.policy import Effect, Policy, PolicyKind, Statement
from fastiam.model.profile import PrincipalKind, Settings
from fastiam.policy.wildcards import matches_everything
from fastiam.resolve.keys_read import keys_read
from fastiam.spec.principal_elements import check_principals
from fastiam.spec.principal_entries import make_request_principal
from fastiam.spec.statement_keys import StatementKeys
from fastiam.spec.three_valued import F, T


@dataclass(frozen=True, slots=True)
class World:
    """What all cases of a proof have in common.

    Attributes
    ----------
    opened
        undetermined tests count towards an Allow (T66).
    aws_keys
        keys have the values that AWS sends (T59).
    denied
        the proof is about requests that are denied, not about those that are allowed (T72).
    keys
        the folded keys that any statement in scope reads.
    services
        the services that any statement names (N12).
    """

    scope: InvariantScope
    settings: Settings
    records: Records
    partitions: tuple[str, ...]
    keys: frozenset[str]
    services: tuple[str, ...]
    cells: ScopeCells
    known_actions: bool = True
    opened: bool = False
    aws_keys: bool = True
    denied: bool = False

    def letters(
        self,
        subject: Subject,
        home: Home | None,
        policy: Policy,
        statement: Statement,
        gateway: bool = False,
        call: tuple[str, str] | None = None,
    ) -> str:
        """Return the classes in which a statement names a subject (3.3), for a Deny any text; "" if it does not."""
        profile = subject.profile
        if profile.kind is PrincipalKind.SVC and statement.not_principal and not self.denied:  # it can have each name (N12)
            profile = replace(profile, service_names=tuple(dict.fromkeys((*profile.service_names, *self.services))))
        request = make_request_principal(profile, home.partition if home is not None else "aws", {}, call)
        match = check_principals(statement, policy, request, gateway, StatementKeys({}, (), T))
        if statement.effect is Effect.ALLOW:
            return match.possible if self.opened else match.classes
        return "*" if (match.result is T if self.opened else match.result is not F) else ""


@dataclass(frozen=True, slots=True)
class ResourceSet:
    """A pattern of ARNs, or more: None for any resource. `start` is the text with which each of them begins."""

    start: str
    patterns: PatternSet | None

    def intersects(self, other: ResourceSet) -> bool:
        """Whether the sets can have a common ARN."""
        if self.patterns is None or other.patterns is None:
            return True
        # PERF: most patterns differ early
        if not self.start.startswith(other.start) and not other.start.startswith(self.start):
            return False
        return self.patterns.intersects(other.patterns)


_WILDCARD = re.compile(r"[*?]")


@lru_cache(maxsize=100_000)
def resource_set(text: str) -> ResourceSet:
    """Return the ARNs that a pattern can match; with a variable all that begin like it."""
    before, variable, _ = text.partition("${")
    pattern = f"{before}*" if variable else text
    return ResourceSet(_WILDCARD.split(pattern, maxsplit=1)[0], resource_pattern_set(pattern, False, {}, frozenset()))


class _ActionRelevance:
    """Which patterns can match an action of a scope."""

    def __init__(self, actions: Iterable[str]) -> None:
        self._wanted = [one for text in actions if (one := action_pattern_set(text)) is not None]
        self.of_pattern = lru_cache(maxsize=None)(self._intersects)
        self.of_element = lru_cache(maxsize=None)(self._has_action)

    def _has_action(self, element: Element) -> bool:
        return any(map(self.of_pattern, element))

    def _intersects(self, text: str) -> bool:
        one: PatternSet | None = action_pattern_set(text)
        return one is None or any(one.intersects(wanted) for wanted in self._wanted)


_relevant_actions = lru_cache(maxsize=8)(_ActionRelevance)  # PERF: many invariants have the same actions


class Relevance:
    """Which statements can apply to the actions and resources of a scope (T81): true too often, never too rarely."""

    def __init__(self, actions: Element, resources: Iterable[ResourceChoice]) -> None:
        self._actions = _relevant_actions(actions)
        self._choices = [tuple(map(resource_set, one.patterns)) for one in resources]
        self._resources = lru_cache(maxsize=None)(self._may_match)

    def __call__(self, statement: Statement) -> bool:
        """Whether a statement is relevant."""
        has_action = statement.actions is None or statement.not_action or self._actions.of_element(statement.actions)
        return has_action and self._has_resource(statement)

    def _has_resource(self, statement: Statement) -> bool:
        if statement.resources is None or statement.not_resource or not all(self._choices):
            return True
        return self._resources(statement.resources)

    def _may_match(self, texts: tuple[str, ...]) -> bool:
        return any(map(self.has_resources, map(resource_set, texts)))

    def has_resources(self, one: ResourceSet) -> bool:
        """Whether a set can have a resource of the scope."""
        return any(all(map(one.intersects, choice)) for choice in self._choices)

    def of_pattern(self, text: str) -> bool:
        """Whether a pattern can match an action of the scope."""
        return self._actions.of_pattern(text)

    def of_service(self, prefix: str) -> bool:
        """Whether the scope can have an action of a service."""
        return self._actions.of_pattern(f"{prefix}:*")


class ScopeCells:
    """The cells of actions of a scope, once for each set of elements."""

    def __init__(self, actions: Element, relevant: Relevance) -> None:
        self._actions, self._relevant = actions, relevant
        self._is_everything = any(map(matches_everything, actions))
        self._known: dict[frozenset[Element], Cells] = {}

    def of(self, elements: frozenset[Element]) -> Cells:
        """Return the cells of elements that are in the scope."""
        found = self._known.get(elements)
        if found is None:
            made = action_cells(elements | {self._actions}, is_of_interest=self._relevant.of_pattern)
            kept = [one for one in made if self._is_everything or self._actions in one.elements]
            found = self._known[elements] = Cells(kept, self._relevant.of_service, self._relevant.of_pattern)
        return found


@lru_cache(maxsize=100_000)
def _keys_of(statement: Statement, variables: bool) -> tuple[str, ...]:
    policy = Policy(PolicyKind.IDENTITY, variables, (statement,))
    return tuple(dict.fromkeys(keys_read((policy,))))


def keys_of(policy: Policy, statement: Statement) -> tuple[str, ...]:
    """Return the folded keys that a statement reads."""
    return _keys_of(statement, policy.variables)
