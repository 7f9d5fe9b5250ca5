"""The requests that a change between two directories can reach, where nobody has given any.

A principal that changed asks for what its changed statements are about; a resource whose policies changed is asked for by
everybody. Law: what it cannot show it says (`unseen`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from fastiam.analysis.representatives import FRESH, Patterns, actions_in, may_match, resources_in, statements_of
from fastiam.engine.decisions import DictionaryColumn
from fastiam.model.policy import Policy, Statement
from fastiam.model.profile import PrincipalProfile
from fastiam.resolve.changes import changes_between
from fastiam.resolve.snapshot import Snapshot

if TYPE_CHECKING:
    from fastiam.engine.compiled_engine import CompiledEngine

_MAX_REQUESTS = 5_000_000
_MAX_STORED = 100  # stored resources with policies that stand for one pattern
_ANY_ACTION, _ANY_RESOURCE = f"{FRESH}:{FRESH}", f"arn:aws:{FRESH}:::{FRESH}"  # what only the widest patterns match
_Body = tuple[object, ...]


@dataclass
class RequestMatrix:
    """Requests as columns, and what they cannot show."""

    blocks: dict[tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]], None] = field(default_factory=dict)
    unseen: tuple[str, ...] = ()

    def add(self, principals: Iterable[str], actions: Iterable[str], resources: Iterable[str]) -> None:
        """Everybody of some with each action on each resource."""
        block = tuple(principals), tuple(dict.fromkeys(actions)), tuple(dict.fromkeys(resources))
        if all(block):
            self.blocks[block] = None

    def fit(self) -> None:
        """Keep to what can be decided in seconds, and say what was left out."""
        total, left = 0, 0
        kept: dict[tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]], None] = {}
        for block in self.blocks:
            size = len(block[0]) * len(block[1]) * len(block[2])
            if total + size <= _MAX_REQUESTS:
                total += size
                kept[block] = None
            else:
                left += size
        self.blocks = kept
        if left:
            self.unseen += (f"{left:,} more combinations of principals, actions and resources",)

    def column(self, which: int) -> DictionaryColumn:
        """One of the three columns."""
        places: dict[str, int] = {}
        parts = [np.empty(0, np.int32)]
        for block in self.blocks:
            codes = np.array([places.setdefault(text, len(places)) for text in block[which]], np.int32)
            inner = int(np.prod([len(block[i]) for i in range(which + 1, 3)]))
            outer = int(np.prod([len(block[i]) for i in range(which)]))
            parts.append(np.tile(np.repeat(codes, inner), outer))
        return DictionaryColumn(("principals", "actions", "resources")[which], np.concatenate(parts), list(places))

    @property
    def principals(self) -> DictionaryColumn:
        """Who asks."""
        return self.column(0)

    @property
    def actions(self) -> DictionaryColumn:
        """For what."""
        return self.column(1)

    @property
    def resources(self) -> DictionaryColumn:
        """On what."""
        return self.column(2)


def affected_requests(old: CompiledEngine, new: CompiledEngine) -> RequestMatrix:
    """The requests that the changes between the directories of two engines can reach."""
    snapshots = old._snapshot_or_fail(), new._snapshot_or_fail()
    changes = changes_between(*snapshots)
    matrix = RequestMatrix()
    reach = _ChangeImpact(*snapshots)
    for name in sorted(changes.principals):
        reach.principal(matrix, name)
    for arn in sorted(changes.resources):
        reach.resource(matrix, arn)
    for account in sorted(changes.accounts):
        reach.account(matrix, account)
    notes = [f"policies of the endpoint {id_}: give requests that come through it" for id_ in sorted(changes.endpoints)]
    if changes.everything:
        notes.append("requests through endpoints without a record")
    matrix.unseen += tuple(notes)
    matrix.fit()
    return matrix


class _ChangeImpact:
    """What two directories hold, as far as patterns are stood for by it."""

    def __init__(self, old: Snapshot, new: Snapshot) -> None:
        self.old, self.new = old, new
        self._policies = {id(policy): policy for snapshot in (old, new) for policy in snapshot.policies()}
        self._actions = Patterns((*actions_in(self._policies.values()), _ANY_ACTION))
        self._actions_of: dict[int, frozenset[str]] = {}
        stored = {arn: None for snapshot in (old, new) for arn, record in snapshot.resources() if record.policies}
        self._stored = Patterns(stored)
        self._principals = tuple(dict.fromkeys(name for snapshot in (old, new) for name, _ in snapshot.names()))

    # -- principals ---------------------------------------------------------------------------------------------------

    def principal(self, matrix: RequestMatrix, name: str) -> None:
        """A principal whose own layers or keys have changed, one block for each statement that changed."""
        before, after = self.old.principal(name), self.new.principal(name)
        own = [policy for profile in (before, after) for policies in _layers(profile).values() for policy in policies]
        known = frozenset((_ANY_ACTION,)).union(*map(self._named_in, own))
        patterns = list(resources_in(statements_of(own), after.keys or before.keys))
        for statement in _changed_statements(before, after):
            actions = [action for action in self._representatives(statement) if action in known]
            matrix.add((name,), actions, self._resources(statement, patterns, after if after.known else before))

    def _named_in(self, policy: Policy) -> frozenset[str]:
        found = self._actions_of.get(id(policy))
        if found is None:
            found = self._actions_of[id(policy)] = frozenset(actions_in([policy]))
            self._policies[id(policy)] = policy  # an id is one policy's as long as it is held
        return found

    def _representatives(self, statement: Statement) -> Iterator[str]:
        """The actions that a statement is about."""
        entries = statement.actions or ()
        if statement.not_action:
            yield from self._actions.outside(entries)
            return
        for pattern in entries:
            yield from self._actions.representatives(pattern)

    def _resources(self, statement: Statement, own: list[str], profile: PrincipalProfile) -> Iterator[str]:
        """The resources that a statement is about, as far as the principal's own patterns and stored policies tell them apart."""
        if statement.resources is None or statement.not_resource:
            yield from Patterns((*own, _ANY_RESOURCE)).outside(statement.resources or ())
            return
        yield from resources_in([statement], profile.keys)
        for pattern in statement.resources:
            yield from filter(may_match(pattern), own)
            yield from self._stored.representatives(pattern)[:_MAX_STORED]

    # -- resources ----------------------------------------------------------------------------------------------------

    def resource(self, matrix: RequestMatrix, arn: str) -> None:
        """A resource whose policies, tags or owner have changed: everybody may ask for it."""
        before, after = self.old.facts(arn), self.new.facts(arn)
        if before == after:
            return
        own, now = before.policies or (), after.policies or ()
        changed = list(_differing(own, now))
        below = (arn, f"{arn}/{FRESH}") if ":s3:::" in arn else (arn,)
        if replace(before, policies=None) != replace(after, policies=None):
            service = arn.split(":")[2]
            about = [action for action in self._actions.literals if action.startswith(service + ":")]
            matrix.add(self._principals, [*about, f"{service}:{FRESH}"], below)
        for statement in changed:
            named = [entry.value for entry in statement.principals or () if entry.type in ("AWS", "Service", "Federated", "*")]
            callers = dict.fromkeys((*self._principals, "*", *filter(self._is_caller, named)))
            resources = [*below, *(r for r in resources_in([statement]) if r.startswith(arn))]
            matrix.add(callers, self._representatives(statement), resources)

    def _is_caller(self, name: str) -> bool:
        """Whether a principal entry can ask by itself: a session, a user, a role, a service, not an account."""
        return name.startswith("arn:") or "." in name

    # -- accounts -----------------------------------------------------------------------------------------------------

    def account(self, matrix: RequestMatrix, account: str) -> None:
        """An account whose RCPs have changed: its own principals ask for its resources."""
        before, after = self.old.account_facts(account), self.new.account_facts(account)
        if replace(before, rcps=None) != replace(after, rcps=None):
            matrix.unseen += (f"conditions on the organization of the resources of account {account}",)
        levels = [facts.rcps or () for facts in (before, after)]
        changed = list(_differing(*(tuple(policy for level in of for policy in level) for of in levels)))
        if not changed:
            return
        owned = [arn for arn, record in self.new.resources() if record.account == account or arn.split(":")[4] == account]
        callers = [*(name for name in self._principals if name.split(":")[4] == account), "*"]
        for statement in changed:
            patterns = statement.resources or ("*",)
            tests = list(map(may_match, patterns))
            found = [arn for arn in owned if any(matches(arn) for matches in tests) is not statement.not_resource]
            matrix.add(
                callers, self._representatives(statement), [*found, *(f"{arn}/{FRESH}" for arn in found if ":s3:::" in arn), "*"]
            )


def _layers(profile: PrincipalProfile) -> Mapping[tuple[str, int], tuple[Policy, ...]]:
    """The layers of a principal's own."""
    found = {("identity", 0): profile.identity_policies}
    for name, policies in (("boundary", profile.boundary), ("session", profile.session_policies)):
        if policies is not None:
            found[name, 0] = policies
    return found | {("scp", level): policies for level, policies in enumerate(profile.scps or ())}


def _changed_statements(before: PrincipalProfile, after: PrincipalProfile) -> Iterator[Statement]:
    """The statements that only one of two profiles has, or that may be read otherwise."""
    old, new = _layers(before), _layers(after)
    for layer in dict.fromkeys((*old, *new)):
        yield from _differing(old.get(layer, ()), new.get(layer, ()))
    if old.keys() != new.keys() or before.known != after.known:  # a layer came or went: what allows may allow more or less
        yield from statements_of((*before.identity_policies, *after.identity_policies))
    if before.keys != after.keys:
        for layers in (old, new):
            for statement in statements_of(policy for policies in layers.values() for policy in policies):
                if statement.conditions or any("${" in pattern for pattern in statement.resources or ()):
                    yield statement


def _differing(old: tuple[Policy, ...], new: tuple[Policy, ...]) -> Iterator[Statement]:
    """The statements that only one of two layers has, whatever they are called."""
    before, after = _bodies(old), _bodies(new)
    yield from (statement for body, statement in before.items() if body not in after)
    yield from (statement for body, statement in after.items() if body not in before)


def _bodies(policies: tuple[Policy, ...]) -> dict[_Body, Statement]:
    return {
        (policy.variables, replace(statement, index=0, sid=None)): statement
        for policy in policies
        for statement in policy.statements
    }
