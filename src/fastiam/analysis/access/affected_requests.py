"""The requests that the changes between two directories can affect, for a comparison without given requests.

A changed principal requests what its changed statements match. Every principal requests a resource whose policies changed.
INVARIANT: a change that no request can show is listed in `unseen`.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import filterfalse, zip_longest

import numpy as np

from fastiam.analysis.access.resource_grants import ResourceGrants, root_of, unrecorded
from fastiam.analysis.proof.layer_proofs import prove
from fastiam.analysis.representatives import (
    UNMENTIONED,
    Patterns,
    actions_in,
    actions_of,
    resources_in,
    spellings_of,
    statements_of,
)
from fastiam.engine.decisions import DictionaryColumn
from fastiam.model.decision import Layer
from fastiam.model.key_registry import spelled
from fastiam.model.policy import Effect, Policy, PolicyKind, Statement
from fastiam.model.principal_layers import principal_layers
from fastiam.model.profile import EndpointProfile, Levels, Policies, PrincipalKind, PrincipalProfile, ResourceFacts
from fastiam.resolve.changes import changes_between
from fastiam.resolve.derived_keys import TAG
from fastiam.resolve.keys_read import differing_keys, keys_read
from fastiam.resolve.snapshot import Snapshot
from fastiam.runtime.forking import cached_property

_MAX_REQUESTS = 5_000_000
_MAX_STORED = 100  # resources with policies that represent one pattern
_MAX_LISTED = 5  # principals in a line
_SECONDS = 10.0  # for all proofs that a policy gives nothing
_OF_ORGANIZATION = ("orgid", "orgpaths")
_ANY_ACTION = f"{UNMENTIONED}:{UNMENTIONED}"  # matched by the widest patterns only
_ANY_RESOURCE = f"arn:aws:{UNMENTIONED}:::{UNMENTIONED}"
_Block = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]
_StatementContent = tuple[object, ...]


@dataclass
class RequestMatrix:
    """Requests as blocks of principals, actions and resources, and the changes that these requests cannot show."""

    blocks: dict[_Block, None] = field(default_factory=dict)
    unseen: tuple[str, ...] = ()
    spellings: Mapping[str, str] = field(default_factory=dict)  # of actions, as policies write them

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
        names = self.spellings if number == 1 else {}
        parts = [np.empty(0, np.int32)]
        for block in self.blocks:
            codes = np.array([codes_of.setdefault(text, len(codes_of)) for text in block[number]], np.int32)
            inner = int(np.prod([len(block[i]) for i in range(number + 1, 3)]))
            outer = int(np.prod([len(block[i]) for i in range(number)]))
            parts.append(np.tile(np.repeat(codes, inner), outer))
        return DictionaryColumn(
            ("principals", "actions", "resources")[number], np.concatenate(parts), [names.get(text, text) for text in codes_of]
        )


def affected_requests(old: Snapshot, new: Snapshot) -> RequestMatrix:
    """Return requests that the changes between two directories can affect."""
    changes = changes_between(old, new)
    matrix = RequestMatrix()
    impact = _ChangeImpact(old, new)
    for name in sorted(changes.principals):
        impact.add_principal(matrix, name)
    impact.add_grants(matrix, sorted(changes.principals))
    for arn in sorted(changes.resources):
        impact.add_resource(matrix, arn)
    for account in sorted(changes.accounts):
        impact.add_account(matrix, account)
    matrix.unseen += impact.omitted()
    matrix.spellings = impact.spellings()
    for id_ in sorted(changes.endpoints):
        if _endpoint_content(old.endpoint(id_)) != _endpoint_content(new.endpoint(id_)):
            matrix.unseen += (f"policies of the endpoint {id_}: pass requests through this endpoint",)
    if changes.everything:
        matrix.unseen += ("requests through endpoints without a record",)
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
        self._of_federated: dict[str, None] = {}  # keys that changed statements of users read
        self._until = time.monotonic() + _SECONDS
        self._principals = tuple(dict.fromkeys(name for snapshot in (old, new) for name, _ in snapshot.names()))

    # -- principals ---------------------------------------------------------------------------------------------------

    def add_principal(self, matrix: RequestMatrix, name: str) -> None:
        """Add requests of a principal whose layers or keys changed: one block for each changed statement."""
        before, after = self.old.principal(name), self.new.principal(name)
        own = [policy for profile in (before, after) for policy in _policies_of(profile)]
        known = frozenset((_ANY_ACTION,)).union(*map(self._actions_written_in, own))
        patterns = Patterns(resources_in(statements_of(own), after.keys or before.keys))
        self._of_principals.append(patterns)
        changed = list(_changed_statements(before, after))
        if after.kind is PrincipalKind.USER and after.known:
            self._of_federated |= dict.fromkeys(filter(_differs_in_federated, _keys_in(own, changed)))
        for statement in changed:
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

    def spellings(self) -> dict[str, str]:
        """Return how policies write the actions, in lower case."""
        return spellings_of(statements_of(self._policies.values()))

    def omitted(self) -> tuple[str, ...]:
        """Return what was left out because the patterns are too many to be compared with each other."""
        n = sum(patterns.omitted for patterns in (self._actions, self._stored, *self._of_principals))
        found = [f"names that {n:,} more patterns share with other patterns"] if n else []
        for key in sorted(self._of_federated):
            found.append(f"sessions of GetFederationToken, whose `{spelled(key)}` is not that of their user")
        return tuple(found)

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

    def add_grants(self, matrix: RequestMatrix, names: Sequence[str]) -> None:
        """Add requests that resource policies grant to principals that changed: one block for each statement."""
        if not names:
            return
        found = ResourceGrants((self.old, self.new))
        of_grant: dict[int, list[str]] = {}
        of_limits: dict[str, None] = {}
        for name in names:
            before, after = self.old.principal(name), self.new.principal(name)
            if not before.known and not after.known:
                continue
            of_limits |= dict.fromkeys(differing_keys(before, after) & self._read_by_limits)
            for number in found.changed(before, after, is_limited=_is_limited(before, after)):
                of_grant.setdefault(number, []).append(name)
            if before.may_assume_root != after.may_assume_root:
                matrix.add((name,), ("sts:AssumeRoot",), [root for root in self._principals if root.endswith(":root")])
        for number, principals in of_grant.items():
            grant = found.grants[number]
            matrix.add(principals, self._representatives(grant.statement), _resources_of(grant.arn, grant.statement))
        matrix.unseen += tuple(
            f"RCPs and policies of endpoints that read `{spelled(key)}`, which changes" for key in sorted(of_limits)
        )

    @cached_property
    def _read_by_limits(self) -> frozenset[str]:
        """The folded keys that RCPs and policies of endpoints read."""
        policies = [
            policy
            for snapshot in (self.old, self.new)
            for levels in (
                *(account.rcps or () for account in snapshot.accounts()),
                *((endpoint.policies or (),) for endpoint in snapshot.endpoints()),
            )
            for level in levels
            for policy in level
        ]
        return frozenset(keys_read(policies))

    @cached_property
    def _read(self) -> frozenset[str]:
        """The folded keys that policies read."""
        return frozenset(keys_read(policy for snapshot in (self.old, self.new) for policy in snapshot.policies()))

    # -- resources ----------------------------------------------------------------------------------------------------

    def add_resource(self, matrix: RequestMatrix, arn: str) -> None:
        """Add requests of all principals for a resource whose policies, tags or owner changed."""
        before, after = self.old.facts(arn), self.new.facts(arn)
        if before == after:
            return
        changed = list(_difference(before.policies or (), after.policies or ()))
        if replace(before, policies=None) != replace(after, policies=None):
            self._add_facts(matrix, arn, before, after)
        for statement in changed:
            principals = dict.fromkeys((*self._principals, *_named_in(statement, arn, (self.old, self.new))))
            matrix.add(principals, self._representatives(statement), _resources_of(arn, statement))
        outside = dict.fromkeys(name for one in changed for name in unrecorded(one, (self.old, self.new)))
        kind = PolicyKind.TRUST if "trust" in (before.governs, after.governs) else PolicyKind.RESOURCE
        if outside and not self._is_proved(before.policies or (), after.policies or (), kind, arn.split(":", 2)[1]):
            matrix.unseen += (f"principals without a record that the policy of `{arn}` names: {_listed(outside)}",)

    def _add_facts(self, matrix: RequestMatrix, arn: str, before: ResourceFacts, after: ResourceFacts) -> None:
        """Add requests for a resource whose owner, tags or settings changed."""
        service = arn.split(":")[2]
        services = ("iam", "sts") if ":role/" in arn else (service,)
        actions = [action for action in self._actions.literals if action.startswith(tuple(f"{name}:" for name in services))]
        statements = list(statements_of((*(before.policies or ()), *(after.policies or ()))))
        named = dict.fromkeys(name for one in statements for name in _named_in(one, arn, (self.old, self.new)))
        matrix.add((*self._principals, *named), [*actions, *(f"{name}:{UNMENTIONED}" for name in services)], _with_object(arn))
        outside = dict.fromkeys(name for one in statements for name in unrecorded(one, (self.old, self.new)))
        tags = {name for name in {*before.keys, *after.keys} if before.keys.get(name) != after.keys.get(name)}
        is_owner = replace(before, policies=None, keys={}) != replace(after, policies=None, keys={})
        if outside and (is_owner or not tags.isdisjoint(keys_read((*(before.policies or ()), *(after.policies or ()))))):
            matrix.unseen += (f"principals without a record that the policy of `{arn}` names: {_listed(outside)}",)

    def _is_proved(self, before: Policies, after: Policies, kind: PolicyKind, partition: str) -> bool:
        """Whether it is proved that policies newly allow nothing to any principal, as far as the time for proofs suffices."""
        seconds = self._until - time.monotonic()
        return seconds > 0 and prove(before, after, kind, partitions=(partition,), timeout=seconds).proved

    # -- accounts -----------------------------------------------------------------------------------------------------

    def add_account(self, matrix: RequestMatrix, account: str) -> None:
        """Add requests of the principals of an account for its resources, if its RCPs changed."""
        before, after = self.old.account_facts(account), self.new.account_facts(account)
        if replace(before, rcps=None) != replace(after, rcps=None):
            if any(name.endswith(_OF_ORGANIZATION) for name in self._read):
                matrix.unseen += (
                    f"conditions on the organization of account {account}: of its resources, endpoints and services",
                )
        rcps = [tuple(policy for level in facts.rcps or () for policy in level) for facts in (before, after)]
        changed = list(_difference(*rcps))
        if not changed:
            return
        owned = Patterns(arn for arn, record in self.new.resources() if record.account == account or arn.split(":")[4] == account)
        self._of_principals.append(owned)
        if not self._is_proved(rcps[0], rcps[1], PolicyKind.RCP, "aws"):
            matrix.unseen += (f"principals of other accounts under the RCPs of account {account}",)
        principals = [*(name for name in self._principals if name.split(":")[4] == account), "*"]
        for statement in changed:
            others = owned.unmatched(statement.resources or ("*",))
            found = others if statement.not_resource else tuple(filterfalse(frozenset(others).__contains__, owned.literals))
            resources = [*found, *(arn for each in found for arn in _with_object(each)[1:]), "*"]
            matrix.add(principals, self._representatives(statement), resources)


def _with_object(arn: str) -> tuple[str, ...]:
    """Return an ARN, and for a bucket the ARN of an object."""
    return (arn, f"{arn}/{UNMENTIONED}") if ":s3:::" in arn else (arn,)


def _resources_of(arn: str, statement: Statement) -> list[str]:
    """Return the resources of a statement of the policy that is stored under an ARN."""
    return [*_with_object(arn), *(resource for resource in resources_in([statement]) if resource.startswith(arn))]


def _named_in(statement: Statement, arn: str, snapshots: Collection[Snapshot]) -> Iterator[str]:
    """Yield the principals of a statement that an engine decides: everyone, roots, services, providers, those with a record."""
    without_record = frozenset(unrecorded(statement, snapshots))
    yield "*"
    for entry in statement.principals or ():
        if entry.type == "AWS":
            root = root_of(entry.value, arn.split(":", 2)[1])
            if root is not None:
                yield root
            elif entry.value.startswith("arn:") and "*" not in entry.value and entry.value not in without_record:
                yield entry.value
        elif entry.type in ("Service", "Federated") and "*" not in entry.value:
            yield entry.value


def _listed(names: Collection[str]) -> str:
    shown = [f"`{name}`" for name in names][:_MAX_LISTED]
    return ", ".join(shown) + (f" and {len(names) - len(shown):,} more" if len(names) > len(shown) else "")


def _keys_in(policies: Iterable[Policy], statements: Collection[Statement]) -> Iterator[str]:
    """Yield the folded keys that some statements of policies read."""
    of_interest = set(map(id, statements))
    for policy in policies:
        kept = tuple(statement for statement in policy.statements if id(statement) in of_interest)
        if kept:
            yield from keys_read((replace(policy, statements=kept),))


def _differs_in_federated(key: str) -> bool:
    """Whether a federated session can have another value of a key than its user."""
    return key in ("aws:userid", "aws:username", "aws:principalarn", "aws:principaltype") or key.startswith(TAG)


def _is_limited(before: PrincipalProfile, after: PrincipalProfile) -> bool:
    """Whether a Deny, or a layer that limits the principal, differs."""
    old, new = principal_layers(before), principal_layers(after)
    limits = [{name: levels for name, levels in one.items() if name is not Layer.IDENTITY} for one in (old, new)]
    if _level_counts(old) != _level_counts(new) or limits[0] != limits[1]:
        return True
    changed = _difference(before.identity_policies, after.identity_policies)
    return before.keys != after.keys or any(statement.effect is Effect.DENY for statement in changed)


def _endpoint_content(endpoint: EndpointProfile | None) -> object:
    if endpoint is None:
        return None
    policies = [(policy.variables, policy.statements) for policy in endpoint.policies or ()]
    return endpoint.policies is None, policies, endpoint.gateway, endpoint.known, endpoint.keys


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
    if before.keys != after.keys or before.unique_id != after.unique_id:
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
