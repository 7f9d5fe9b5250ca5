"""Edges of escalation: the principals whose permissions a principal can obtain in one step, by the patterns of a catalogue.

INVARIANT: an edge is SURE only if each of its permissions is allowed whatever the unknown keys are, and nothing is assumed. An
edge to ANYTHING exists only if the principal that gets all permissions is an administrator then: its boundary and the policies of
its organization are evaluated. Of two edges between the same nodes the stronger one is kept, then the one with fewer permissions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import Any

from fastiam.analysis.escalation.administrators import Administrators, entities_of
from fastiam.analysis.escalation.catalog import ANY, OBTAINED, TARGET, EscalationPattern, Permission, filled
from fastiam.analysis.escalation.permission_decisions import NO, POSSIBLE, SURE, Asked, Requests
from fastiam.directory.account_records import Entity, Tables
from fastiam.directory.stored_policies import StoredPolicy
from fastiam.model.policy import Policy
from fastiam.model.profile import ROLES, PrincipalKind

ANYTHING = "anything in the account"
_ASSUME, _PASS = "sts:AssumeRole", "iam:PassRole"
_EC2, _NO_PROFILE = "ec2.amazonaws.com", "an instance profile has the role"
_LEFT = "nothing is needed that other policies of the principal deny"


@dataclass(frozen=True, slots=True)
class Node:
    """A principal, a user in more groups, or with `name` ANYTHING all permissions of an account."""

    name: str
    account: str


@dataclass(frozen=True, slots=True)
class Used:
    """A request of a path, the pattern that needs it, and what decides it."""

    asked: Asked
    pattern: str
    requests: Requests


@dataclass(frozen=True, slots=True)
class Edge:
    """One step of a path: its patterns, and the requests that it `uses`."""

    source: Node
    target: Node
    patterns: tuple[str, ...]
    strength: int
    uses: tuple[Used, ...]
    assumptions: tuple[str, ...] = ()


class EdgeFinder:
    """Finds the edges of sources, over one state of the directory.

    Attributes
    ----------
    sources
        the principals whose edges are looked for, with their nodes.
    joins
        the groups that each source can join, with the edge that the permission alone is.
    """

    def __init__(
        self,
        requests: Requests,
        patterns: Sequence[EscalationPattern],
        administrators: Administrators,
        sources: Mapping[str, Node],
    ) -> None:
        self.requests, self.patterns, self.administrators, self.sources = requests, patterns, administrators, sources
        self.joins: dict[str, dict[str, Edge]] = defaultdict(dict)
        self._tables: Tables = requests.engine.snapshot.tables
        self._edges: dict[tuple[Node, Node], Edge] = {}
        self._entities = entities_of(requests.engine)
        self._sources = [entity for entity in self._entities if entity.arn in sources]
        self._passing: dict[tuple[str, str], dict[str, int]] = {}

    def find(self) -> list[Edge]:
        """Return the best edge between each two nodes."""
        for pattern in sorted(self.patterns, key=lambda pattern: pattern.target in OBTAINED):
            for edge in list(self._of(pattern)):
                self._keep(edge)
        return list(self._edges.values())

    def _keep(self, edge: Edge) -> None:
        if edge.source == edge.target:
            return
        known = self._edges.get((edge.source, edge.target))
        if known is None or (edge.strength, -len(edge.uses)) > (known.strength, -len(known.uses)):
            self._edges[edge.source, edge.target] = edge

    def _of(self, pattern: EscalationPattern) -> Iterator[Edge]:
        if pattern.target in ("user", "role"):
            return self._of_targets(pattern)
        if pattern.target == "service-role":
            return self._of_service_roles(pattern)
        return self._of_obtained(pattern) if pattern.target in OBTAINED else self._of_single(pattern)

    def _edge(
        self,
        source: Entity,
        target: Node,
        pattern: EscalationPattern,
        strength: int,
        requests: Iterable[Asked],
        *assumptions: str,
        obtained: Edge | None = None,
    ) -> Iterator[Edge]:
        """The edge of a pattern, after that by which its target is `obtained`; none if it is not possible."""
        patterns: tuple[str, ...] = (pattern.id,)
        uses = tuple(Used(asked, pattern.id, self.requests) for asked in requests)
        if obtained is not None:
            patterns, uses, assumptions = patterns + obtained.patterns, uses + obtained.uses, assumptions + obtained.assumptions
        assumed = tuple(dict.fromkeys(filter(None, (pattern.assumption, *assumptions))))
        strength = min(strength, POSSIBLE) if assumed else strength
        if strength != NO:
            yield Edge(self.sources[source.arn], target, patterns, strength, uses, assumed)

    # -- another user or role -----------------------------------------------------------------------------------------

    def _able(self, pattern: EscalationPattern) -> list[Entity]:
        """The sources whose policies may allow the permissions of a pattern; a trust policy alone can allow to assume a role."""
        needed = {each.action for each in pattern.permissions} - {_ASSUME}
        return [source for source in self._sources if all(self.requests.may_have(source.arn, action) for action in needed)]

    def _of_targets(self, pattern: EscalationPattern) -> Iterator[Edge]:
        """Patterns about another user or role: each permission is decided for all principals at once, target by target."""
        changes = any(each.action != _ASSUME for each in pattern.permissions)
        sources = self._able(pattern)
        for target in self._of_kind(pattern.target):
            if changes and _is_protected(target):
                continue
            rows = [s for s in sources if s.arn != target.arn and (not changes or s.account == target.account)]
            node = Node(ANYTHING if pattern.to_anything else target.arn, target.account)
            found = self._strengths(rows, [(each, target.arn) for each in pattern.permissions])
            most, left = self._with_all(target) if pattern.to_anything and found else (SURE, "")
            for source, strength, asked in found:
                yield from self._edge(source, node, pattern, min(strength, most), asked, left)

    def _of_obtained(self, pattern: EscalationPattern) -> Iterator[Edge]:
        """Patterns about a user or role whose permissions the principal obtains by another edge."""
        able = {self.sources[source.arn]: source for source in self._able(pattern)}
        by_target: dict[Node, dict[str, Edge]] = defaultdict(dict)
        for edge in self._edges.values():
            if edge.source in able:
                by_target[edge.target][able[edge.source].arn] = edge
        for target in self._of_kind(pattern.target.removeprefix("obtained-")) if able else ():
            edges = by_target.get(Node(target.arn, target.account), {})
            if not edges or _is_protected(target) or target.arn in self.administrators.strengths:
                continue
            node = Node(ANYTHING, target.account)
            rows = [source for source in able.values() if source.arn in edges and source.account == target.account]
            for permissions in self._on_target(pattern, target):
                for source, strength, asked in self._strengths(rows, permissions):
                    obtained, (most, left) = edges[source.arn], self._with_all(target)
                    strength = min(strength, most, obtained.strength)
                    yield from self._edge(source, node, pattern, strength, asked, left, obtained=obtained)

    def _on_target(self, pattern: EscalationPattern, target: Entity) -> Iterator[list[tuple[Permission, str]]]:
        """The permissions of a pattern with their resources: one list for each policy or group of the target."""
        kinds = {each.resource for each in pattern.permissions}
        choices = {TARGET: [target.arn]}
        if "target-policy" in kinds:
            choices["target-policy"] = list(self._own(target, "own-policy"))
        if "target-group" in kinds:
            choices["target-group"] = list(target.groups)
        for chosen in product(*choices.values()):
            resource_of = dict(zip(choices, chosen, strict=True))
            yield [(each, resource_of.get(each.resource) or filled(each.resource, target)) for each in pattern.permissions]

    def _of_kind(self, kind: str) -> list[Entity]:
        return [entity for entity in self._entities if (entity.kind is PrincipalKind.USER) == (kind == "user")]

    def _strengths(
        self, sources: Sequence[Entity], permissions: Sequence[tuple[Permission, str]]
    ) -> list[tuple[Entity, int, list[Asked]]]:
        """The sources that have all permissions, with the weakest strength and the requests that belong to a path."""
        rows = [(source, SURE, list[Asked]()) for source in sources]
        for permission, resource in permissions:
            if not rows:
                break
            decided = self.requests.strengths([source.arn for source, _, _ in rows], permission, resource)
            kept = []
            for (source, strength, asked), own in zip(rows, map(int, decided), strict=True):
                if own != NO:
                    request = Asked(source.arn, permission.action, resource)
                    kept.append((source, min(strength, own), asked if permission.unless_denied else [*asked, request]))
            rows = kept
        return rows

    # -- roles of services --------------------------------------------------------------------------------------------

    def _of_service_roles(self, pattern: EscalationPattern) -> Iterator[Edge]:
        """Patterns about roles that a service can assume: the permissions on other resources are decided first."""
        passes = any(permission.resource == TARGET for permission in pattern.permissions)
        free = [permission for permission in pattern.permissions if permission.resource != TARGET]
        able: dict[str, list[tuple[Entity, int, list[Asked]]]] = defaultdict(list)
        for source in self._sources:
            if all(self.requests.may_have(source.arn, permission.action) for permission in pattern.permissions):
                strength, asked = self._best(source, free)
                if strength != NO:
                    able[source.account].append((source, strength, asked))
        for account, sources in able.items():
            for role, trusted in self._trusting(pattern.service, account):
                passing = self._passing_of(pattern.service, role) if passes else {}
                for source, strength, asked in sources:
                    own = passing.get(source.arn, NO) if passes else SURE
                    first = [Asked(source.arn, _PASS, role.arn, ("iam:PassedToService", pattern.service))] if passes else []
                    last = Asked(pattern.service, _ASSUME, role.arn, ("aws:SourceAccount", account))
                    node = Node(ANYTHING if pattern.to_anything else role.arn, account)
                    assumption = _NO_PROFILE if pattern.service == _EC2 and role.arn not in self._roles_of_instances else ""
                    if source.arn != role.arn:
                        requests = [*first, *asked, last]
                        yield from self._edge(source, node, pattern, min(strength, own, trusted), requests, assumption)

    def _trusting(self, service: str, account: str) -> list[tuple[Entity, int]]:
        """The roles of an account that a service can assume."""
        roles = [entity for entity in self._entities if entity.kind in ROLES and entity.account == account]
        decided = self.requests.strengths_of_service(service, [role.arn for role in roles], account)
        return [(role, int(strength)) for role, strength in zip(roles, decided, strict=True) if strength != NO]

    def _passing_of(self, service: str, role: Entity) -> dict[str, int]:
        """The strength of `iam:PassRole` of a role to a service, for the principals of its account."""
        found = self._passing.get((service, role.arn))
        if found is None:
            names = [s.arn for s in self._sources if s.account == role.account and self.requests.may_have(s.arn, _PASS)]
            context = ("iam:PassedToService", service)
            decided = self.requests.strengths(names, Permission(_PASS, TARGET), role.arn, context)
            found = self._passing[service, role.arn] = dict(zip(names, map(int, decided), strict=True))
        return found

    @cached_property
    def _roles_of_instances(self) -> frozenset[str | None]:
        """The roles of instance profiles."""
        return frozenset(profile.role for profile in self._tables.instance_profiles.values())

    # -- the principal itself -----------------------------------------------------------------------------------------

    def _of_single(self, pattern: EscalationPattern) -> Iterator[Edge]:
        """Patterns about the principal itself, its groups and policies, or about new principals: they lead to anything."""
        for source in self._sources:
            needed = [each.action for each in pattern.permissions if not each.unless_denied]
            if not all(self.requests.may_have(source.arn, action) for action in needed):
                continue
            node = Node(ANYTHING, source.account)
            for target in self._own(source, pattern.target):
                on_target = [
                    replace(each, resource=target) if each.resource == TARGET else each for each in pattern.permissions
                ]  # fmt: skip
                strength, asked = self._best(source, on_target)
                if strength == NO:
                    continue
                if pattern.target == "group":
                    for join in self._edge(source, node, pattern, strength, asked):
                        self.joins[source.arn].setdefault(target, join)
                most, left = self._most(source, pattern.target, target)
                yield from self._edge(source, node, pattern, min(strength, most), asked, left)

    def _own(self, source: Entity, target: str) -> Iterable[str]:
        """The resources that a target of a pattern denotes for a principal."""
        is_user = source.kind is PrincipalKind.USER
        if target in ("self-user", "self-role"):
            return (source.arn,) if is_user == (target == "self-user") and not _is_protected(source) else ()
        if target == "own-group":
            return source.groups
        if target == "own-policy":
            groups = (self._tables.groups[arn] for arn in source.groups if arn in self._tables.groups)
            attached = dict.fromkeys((*source.attached, *(arn for group in groups for arn in group.attached)))
            return (arn for arn in attached if arn.split(":")[4] == source.account)
        if target == "group":
            groups = (group for group in self._tables.groups.values() if group.account == source.account)
            return (group.arn for group in groups if is_user and group.arn not in source.groups)
        return ("",)

    def _most(self, source: Entity, kind: str, target: str) -> tuple[int, str]:
        """Whether the principal, or a new one, is an administrator after the pattern, and what is assumed."""
        if kind == "group":
            return self._with_all(source, policies=tuple(self.group_policies(target)))
        return self._with_all(source, is_new=kind == "none")

    def _with_all(self, entity: Entity, **changes: Any) -> tuple[int, str]:
        strength, is_limited = self.administrators.with_all(self.requests, entity, **changes)
        return strength, _LEFT if is_limited else ""

    def group_policies(self, arn: str) -> Iterator[Policy]:
        """The policies of a group."""
        group = self._tables.groups[arn]
        attached = (self._tables.managed[name].document for name in group.attached if name in self._tables.managed)
        stored: Iterable[StoredPolicy] = (*group.inline, *attached)
        return (each.policy for each in stored)

    def _best(self, source: Entity, permissions: Sequence[Permission]) -> tuple[int, list[Asked]]:
        """The strength of permissions on resources that the principal can choose, and the requests with the best choice."""
        weakest, requests = SURE, []
        for permission in permissions:
            generic = filled(permission.resource, source)
            choices = [generic]
            if ANY in permission.resource:
                choices = self.requests.resources_for(source.arn, permission.action, generic)
            best, chosen = NO, generic
            for resource in choices:
                asked = Asked(source.arn, permission.action, resource)
                strength = self.requests.strength(asked, unless_denied=permission.unless_denied)
                if strength > best:
                    best, chosen = strength, resource
            weakest = min(weakest, best)
            if weakest == NO:
                return NO, []
            if not permission.unless_denied:
                requests.append(Asked(source.arn, permission.action, chosen))
        return weakest, requests


def _is_protected(entity: Entity) -> bool:
    """Whether only AWS changes the policies of a role: a service-linked role, or one of IAM Identity Center."""
    return entity.kind is PrincipalKind.SLR or (entity.kind in ROLES and entity.path.startswith("/aws-reserved/"))
