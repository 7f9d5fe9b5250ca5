"""The requests that the changes between two directories can affect, for a comparison without given requests.

A changed principal requests what its changed statements match. Every principal requests a resource whose policies changed.
INVARIANT: a change that no request can show is listed in `unseen`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import filterfalse, zip_longest

import numpy as np

from fastiam.analysis.principal_layers import principal_layers
from fastiam.analysis.representatives import (
    UNMENTIONED,
    Patterns,
    actions_in,
    actions_of,
    resources_in,
    statements_of,
)
from fastiam.engine.decisions import DictionaryColumn
from fastiam.model.decision import Layer
from fastiam.model.policy import Policy, Statement
from fastiam.model.profile import Levels, Policies, PrincipalProfile
from fastiam.resolve.changes import changes_between
from fastiam.resolve.snapshot import Snapshot

_MAX_REQUESTS = 5_000_000
_MAX_STORED = 100  # resources with policies that represent one pattern
_ANY_ACTION = f"{UNMENTIONED}:{UNMENTIONED}"  # matched by the widest patterns only
_ANY_RESOURCE = f"arn:aws:{UNMENTIONED}:::{UNMENTIONED}"
_Block = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]
_StatementContent = tuple[object, ...]


@dataclass
class RequestMatrix:
    """Requests as blocks of principals, actions and resources, and the changes that these requests cannot show."""

    blocks: dict[_Block, None] = field(default_factory=dict)
    unseen: tuple[str, ...] = ()

    def add(self, principals: Iterable[str], actions: Iterable[str], resources: Iterable[str]) -> None:
        """Add each combination of a principal, an action and a resource."""
        block = tuple(principals), tuple(dict.fromkeys(actions)), tuple(dict.fromkeys(resources))
        if all(block):
            self.blocks[block] = None

    def truncate(self) -> None:
        """Keep the blocks that can be decided in seconds, and list the number of other requests in `unseen`."""
        total, n_omitted = 0, 0
        kept: dict[_Block, None] = {}
        for block in self.blocks:
            size = len(block[0]) * len(block[1]) * len(block[2])
            if total + size <= _MAX_REQUESTS:
                total += size
                kept[block] = None
            else:
                n_omitted += size
        self.blocks = kept
        if n_omitted:
            self.unseen += (f"{n_omitted:,} more combinations of principals, actions and resources",)

    def column(self, number: int) -> DictionaryColumn:
        """Return a column of all requests: 0 for principals, 1 for actions, 2 for resources."""
        codes_of: dict[str, int] = {}
        parts = [np.empty(0, np.int32)]
        for block in self.blocks:
            codes = np.array([codes_of.setdefault(text, len(codes_of)) for text in block[number]], np.int32)
            inner = int(np.prod([len(block[i]) for i in range(number + 1, 3)]))
            outer = int(np.prod([len(block[i]) for i in range(number)]))
            parts.append(np.tile(np.repeat(codes, inner), outer))
        return DictionaryColumn(("principals", "actions", "resources")[number], np.concatenate(parts), list(codes_of))


def affected_requests(old: Snapshot, new: Snapshot) -> RequestMatrix:
    """Return requests that the changes between two directories can affect."""
    changes = changes_between(old, new)
    matrix = RequestMatrix()
    impact = _ChangeImpact(old, new)
    for name in sorted(changes.principals):
        impact.add_principal(matrix, name)
    for arn in sorted(changes.resources):
        impact.add_resource(matrix, arn)
    for account in sorted(changes.accounts):
        impact.add_account(matrix, account)
    matrix.unseen += impact.omitted()
    notes = [f"policies of the endpoint {id_}: pass requests through this endpoint" for id_ in sorted(changes.endpoints)]
    if changes.everything:
        notes.append("requests through endpoints without a record")
    matrix.unseen += tuple(notes)
    matrix.truncate()
    return matrix


class _ChangeImpact:
    """The names in two directories that represent the patterns of changed statements."""

    def __init__(self, old: Snapshot, new: Snapshot) -> None:
        self.old, self.new = old, new
        self._policies = {id(policy): policy for snapshot in (old, new) for policy in snapshot.policies()}
        self._actions = Patterns((*actions_in(self._policies.values()), _ANY_ACTION))
        self._actions_of: dict[int, frozenset[str]] = {}
        stored = {arn: None for snapshot in (old, new) for arn, record in snapshot.resources() if record.policies}
        self._stored = Patterns(stored)
        self._of_principals: list[Patterns] = []
        self._principals = tuple(dict.fromkeys(name for snapshot in (old, new) for name, _ in snapshot.names()))

    # -- principals ---------------------------------------------------------------------------------------------------

    def add_principal(self, matrix: RequestMatrix, name: str) -> None:
        """Add requests of a principal whose layers or keys changed: one block for each changed statement."""
        before, after = self.old.principal(name), self.new.principal(name)
        own = [policy for profile in (before, after) for policy in _policies_of(profile)]
        known = frozenset((_ANY_ACTION,)).union(*map(self._actions_written_in, own))
        patterns = Patterns(resources_in(statements_of(own), after.keys or before.keys))
        self._of_principals.append(patterns)
        for statement in _changed_statements(before, after):
            actions = [action for action in self._representatives(statement) if action in known]
            matrix.add((name,), actions, self._resources(statement, patterns, after if after.known else before))

    def _actions_written_in(self, policy: Policy) -> frozenset[str]:
        found = self._actions_of.get(id(policy))
        if found is None:
            found = self._actions_of[id(policy)] = frozenset(actions_in([policy]))
            self._policies[id(policy)] = policy  # the reference keeps the id valid
        return found

    def _representatives(self, statement: Statement) -> Iterator[str]:
        """Yield literal actions that a statement matches."""
        entries = statement.actions or ()
        if statement.not_action:
            yield from self._actions.unmatched(entries)
            return
        for pattern in entries:
            yield from self._actions.representatives(pattern)
        yield from actions_of(statement)

    def omitted(self) -> tuple[str, ...]:
        """Return what was left out because the patterns are too many to be compared with each other."""
        n = sum(patterns.omitted for patterns in (self._actions, self._stored, *self._of_principals))
        return (f"names that {n:,} more patterns share with other patterns",) if n else ()

    def _resources(self, statement: Statement, own: Patterns, profile: PrincipalProfile) -> Iterator[str]:
        """Yield resources that a statement matches: literals of the principal's own patterns, and stored resources."""
        if statement.resources is None or statement.not_resource:
            patterns = statement.resources or ()
            yield from own.unmatched(patterns)
            yield from Patterns((_ANY_RESOURCE,)).unmatched(patterns)
            return
        yield from resources_in([statement], profile.keys)
        for pattern in statement.resources:
            yield from own.representatives(pattern)
            yield from self._stored.representatives(pattern)[:_MAX_STORED]

    # -- resources ----------------------------------------------------------------------------------------------------

    def add_resource(self, matrix: RequestMatrix, arn: str) -> None:
        """Add requests of all principals for a resource whose policies, tags or owner changed."""
        before, after = self.old.facts(arn), self.new.facts(arn)
        if before == after:
            return
        governed = _with_object(arn)
        if replace(before, policies=None) != replace(after, policies=None):
            service = arn.split(":")[2]
            actions = [action for action in self._actions.literals if action.startswith(service + ":")]
            matrix.add(self._principals, [*actions, f"{service}:{UNMENTIONED}"], governed)
        for statement in _difference(before.policies or (), after.policies or ()):
            named = [entry.value for entry in statement.principals or () if entry.type in ("AWS", "Service", "Federated", "*")]
            principals = dict.fromkeys((*self._principals, "*", *filter(_is_principal, named)))
            resources = [*governed, *(r for r in resources_in([statement]) if r.startswith(arn))]
            matrix.add(principals, self._representatives(statement), resources)

    # -- accounts -----------------------------------------------------------------------------------------------------

    def add_account(self, matrix: RequestMatrix, account: str) -> None:
        """Add requests of the principals of an account for its resources, if its RCPs changed."""
        before, after = self.old.account_facts(account), self.new.account_facts(account)
        if replace(before, rcps=None) != replace(after, rcps=None):
            matrix.unseen += (f"conditions on the organization of the resources of account {account}",)
        rcps = [tuple(policy for level in facts.rcps or () for policy in level) for facts in (before, after)]
        changed = list(_difference(*rcps))
        if not changed:
            return
        owned = Patterns(arn for arn, record in self.new.resources() if record.account == account or arn.split(":")[4] == account)
        self._of_principals.append(owned)
        principals = [*(name for name in self._principals if name.split(":")[4] == account), "*"]
        for statement in changed:
            others = owned.unmatched(statement.resources or ("*",))
            found = others if statement.not_resource else tuple(filterfalse(frozenset(others).__contains__, owned.literals))
            resources = [*found, *(arn for each in found for arn in _with_object(each)[1:]), "*"]
            matrix.add(principals, self._representatives(statement), resources)


def _with_object(arn: str) -> tuple[str, ...]:
    """Return an ARN, and for a bucket the ARN of an object."""
    return (arn, f"{arn}/{UNMENTIONED}") if ":s3:::" in arn else (arn,)


def _is_principal(name: str) -> bool:
    """Whether a principal entry names a session, user, role or service, not an account."""
    return name.startswith("arn:") or "." in name


def _policies_of(profile: PrincipalProfile) -> Iterator[Policy]:
    return (policy for levels in principal_layers(profile).values() for policies in levels for policy in policies)


def _changed_statements(before: PrincipalProfile, after: PrincipalProfile) -> Iterator[Statement]:
    """Yield the statements that one of two profiles does not have, and those that can have another result."""
    old, new = principal_layers(before), principal_layers(after)
    for layer in dict.fromkeys((*old, *new)):
        for policies in zip_longest(old.get(layer, ()), new.get(layer, ()), fillvalue=()):
            yield from _difference(*policies)
    if _level_counts(old) != _level_counts(new) or before.known != after.known:  # a limit was added or removed
        yield from statements_of((*before.identity_policies, *after.identity_policies))
    if before.keys != after.keys:
        for statement in statements_of((*_policies_of(before), *_policies_of(after))):
            if statement.conditions or any("${" in pattern for pattern in statement.resources or ()):
                yield statement


def _level_counts(layers: dict[Layer, Levels]) -> dict[Layer, int]:
    return {layer: len(levels) for layer, levels in layers.items()}


def _difference(old: Policies, new: Policies) -> Iterator[Statement]:
    """Yield the statements of only one of two sets of policies. The names of policies and statements are ignored."""
    before, after = _by_content(old), _by_content(new)
    yield from (statement for content, statement in before.items() if content not in after)
    yield from (statement for content, statement in after.items() if content not in before)


def _by_content(policies: Policies) -> dict[_StatementContent, Statement]:
    return {
        (policy.variables, replace(statement, index=0, sid=None)): statement
        for policy in policies
        for statement in policy.statements
    }
