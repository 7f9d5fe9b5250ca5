"""Edges of escalation: the principals whose permissions a principal can obtain in one step, by the patterns of a catalogue.

INVARIANT: an edge is SURE only if each of its permissions is allowed whatever the unknown keys are, and nothing is assumed. An
edge to ANYTHING exists only if the principal that gets all permissions is an administrator then: its boundary and the policies of
its organization are evaluated. Of two edges between the same nodes the stronger one is kept, then the one with fewer permissions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from fastiam.analysis.escalation_catalog import ANY, TARGET, EscalationPattern, Permission
from fastiam.analysis.escalation_requests import NO, POSSIBLE, SURE, Asked, Requests
from fastiam.analysis.representatives import UNMENTIONED
from fastiam.directory.records import Entity, Tables
from fastiam.directory.stored_policies import StoredPolicy
from fastiam.model.policy import Effect, Policy, PolicyKind, Statement
from fastiam.model.profile import ROLES, PrincipalKind

ANYTHING = "anything in the account"
_ASSUME, _PASS = "sts:AssumeRole", "iam:PassRole"
_ADMIN_PROBES = (  # a principal that can do both can do everything in its account
    Permission("iam:PutUserPolicy", "arn:{partition}:iam::{account}:user/{any}"),
    Permission(f"{UNMENTIONED}:{UNMENTIONED}", "*"),
)
_ALL = Policy(PolicyKind.IDENTITY, True, (Statement(0, None, Effect.ALLOW, ("*",), resources=("*",)),), "AdministratorAccess")
_EC2, _NO_PROFILE = "ec2.amazonaws.com", "an instance profile has the role"
_REGION = "us-east-1"  # of resources that no policy names


@dataclass(frozen=True, slots=True)
class Node:
    """A principal, or with `name` ANYTHING all permissions of an account."""

    name: str
    account: str


@dataclass(frozen=True, slots=True)
class Edge:
    """One step of a path: its permissions and their `requests`."""

    source: Node
    target: Node
    pattern: EscalationPattern
    strength: int
    requests: tuple[Asked, ...]
    assumption: str = ""


class EdgeFinder:
    """Finds the edges of all principals of a directory that are not administrators."""

    def __init__(self, requests: Requests, patterns: Sequence[EscalationPattern]) -> None:
        self._requests, self._patterns = requests, patterns
        self._tables: Tables = requests.engine.snapshot.tables
        self._edges: dict[tuple[Node, Node], Edge] = {}
        self._entities = [entity for entity in self._tables.entities.values() if entity.kind is not PrincipalKind.ROOT]
        self.admins = self._find_admins()
        self._sources = [entity for entity in self._entities if entity.arn not in self.admins]
        self._passing: dict[tuple[str, str], dict[str, int]] = {}

    # -- administrators -----------------------------------------------------------------------------------------------

    def _find_admins(self) -> dict[str, int]:
        """The principals that can do everything in their account, with the strength of the weaker probe."""
        found: dict[str, int] = {}
        for _, entities in _by_account(self._entities):
            names = [entity.arn for entity in entities]
            weakest = [SURE] * len(names)
            for probe in _ADMIN_PROBES:
                decided = self._requests.strengths(names, probe, _filled(probe.resource, entities[0]))
                weakest = [min(one, int(two)) for one, two in zip(weakest, decided, strict=True)]
            found |= {name: strength for name, strength in zip(names, weakest, strict=True) if strength != NO}
        return found

    # -- edges --------------------------------------------------------------------------------------------------------

    def find(self) -> list[Edge]:
        """Return the best edge between each two nodes."""
        for pattern in self._patterns:
            for edge in self._of(pattern):
                self._keep(edge)
        return list(self._edges.values())

    def _keep(self, edge: Edge) -> None:
        if edge.source == edge.target:
            return
        known = self._edges.get((edge.source, edge.target))
        if known is None or (edge.strength, -len(edge.requests)) > (known.strength, -len(known.requests)):
            self._edges[edge.source, edge.target] = edge

    def _of(self, pattern: EscalationPattern) -> Iterator[Edge]:
        if pattern.target in ("user", "role"):
            return self._of_targets(pattern)
        if pattern.target == "service-role":
            return self._of_service_roles(pattern)
        return self._of_single(pattern)

    def _edge(
        self,
        source: Entity,
        target: Node,
        pattern: EscalationPattern,
        strength: int,
        requests: Iterable[Asked],
        assumption: str = "",
    ) -> Iterator[Edge]:
        assumed = pattern.assumption or assumption
        strength = min(strength, POSSIBLE) if assumed else strength
        if strength != NO:
            yield Edge(Node(source.arn, source.account), target, pattern, strength, tuple(requests), assumed)

    def _of_targets(self, pattern: EscalationPattern) -> Iterator[Edge]:
        """Patterns about another user or role: each permission is decided for all principals at once, target by target."""
        is_user = pattern.target == "user"
        targets = [entity for entity in self._entities if (entity.kind is PrincipalKind.USER) == is_user]
        needed = [each.action for each in pattern.permissions if each.action != _ASSUME]  # a trust policy alone can allow it
        sources = [source for source in self._sources if all(self._requests.may_have(source.arn, action) for action in needed)]
        for target in targets:
            rows = [s for s in sources if s.arn != target.arn and (not needed or s.account == target.account)]
            strengths = [SURE] * len(rows)
            for permission in pattern.permissions:
                if not rows:
                    break
                decided = self._requests.strengths([row.arn for row in rows], permission, target.arn)
                both = [(row, min(a, int(b))) for row, a, b in zip(rows, strengths, decided, strict=True)]
                both = [item for item in both if item[1] != NO]
                rows, strengths = [row for row, _ in both], [strength for _, strength in both]
            node = Node(ANYTHING if pattern.to_anything else target.arn, target.account)
            most = self._strength_of_all(target) if pattern.to_anything and rows else SURE
            for source, strength in zip(rows, strengths, strict=True):
                asked = (Asked(source.arn, each.action, target.arn) for each in pattern.permissions if not each.unless_denied)
                yield from self._edge(source, node, pattern, min(strength, most), asked)

    def _of_service_roles(self, pattern: EscalationPattern) -> Iterator[Edge]:
        """Patterns about roles that a service can assume: the permissions on other resources are decided first."""
        passes = any(permission.resource == TARGET for permission in pattern.permissions)
        free = [permission for permission in pattern.permissions if permission.resource != TARGET]
        able: dict[str, list[tuple[Entity, int, list[Asked]]]] = defaultdict(list)
        for source in self._sources:
            if all(self._requests.may_have(source.arn, permission.action) for permission in pattern.permissions):
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
        decided = self._requests.strengths_of_service(service, [role.arn for role in roles], account)
        return [(role, int(strength)) for role, strength in zip(roles, decided, strict=True) if strength != NO]

    def _passing_of(self, service: str, role: Entity) -> dict[str, int]:
        """The strength of `iam:PassRole` of a role to a service, for the principals of its account."""
        found = self._passing.get((service, role.arn))
        if found is None:
            names = [s.arn for s in self._sources if s.account == role.account and self._requests.may_have(s.arn, _PASS)]
            context = ("iam:PassedToService", service)
            decided = self._requests.strengths(names, Permission(_PASS, TARGET), role.arn, context)
            found = self._passing[service, role.arn] = dict(zip(names, map(int, decided), strict=True))
        return found

    def _of_single(self, pattern: EscalationPattern) -> Iterator[Edge]:
        """Patterns about the principal itself, its groups and policies, or about new principals: they lead to anything."""
        for source in self._sources:
            needed = [each.action for each in pattern.permissions if not each.unless_denied]
            if not all(self._requests.may_have(source.arn, action) for action in needed):
                continue
            node = Node(ANYTHING, source.account)
            for target in self._own(source, pattern.target):
                on_target = [
                    replace(each, resource=target) if each.resource == TARGET else each for each in pattern.permissions
                ]  # fmt: skip
                strength, asked = self._best(source, on_target)
                if strength != NO:
                    strength = min(strength, self._most(source, pattern.target, target))
                yield from self._edge(source, node, pattern, strength, asked)

    def _own(self, source: Entity, target: str) -> Iterable[str]:
        """The resources that a target of a pattern denotes for a principal."""
        is_user = source.kind is PrincipalKind.USER
        if target in ("self-user", "self-role"):
            return (source.arn,) if is_user == (target == "self-user") else ()
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

    def _most(self, source: Entity, kind: str, target: str) -> int:
        """Whether the principal, or a new one, is an administrator after the pattern."""
        if kind == "group":
            return self._strength_of_all(source, policies=tuple(self._group_policies(target)))
        return self._strength_of_all(source, is_new=kind == "none")

    def _strength_of_all(self, entity: Entity, *, policies: tuple[Policy, ...] = (_ALL,), is_new: bool = False) -> int:
        """Whether a principal with more policies is an administrator; a new principal has no boundary."""
        profile = self._requests.profile(entity.arn)
        profile = replace(profile, identity_policies=profile.identity_policies + policies)
        if is_new:
            profile = replace(profile, identity_policies=policies, boundary=None, bounded=False)
        return min(
            self._requests.strength_of_profile(profile, probe.action, _filled(probe.resource, entity)) for probe in _ADMIN_PROBES
        )

    @cached_property
    def _roles_of_instances(self) -> frozenset[str | None]:
        """The roles of instance profiles."""
        return frozenset(profile.role for profile in self._tables.instance_profiles.values())

    def _group_policies(self, arn: str) -> Iterator[Policy]:
        group = self._tables.groups[arn]
        attached = (self._tables.managed[name].document for name in group.attached if name in self._tables.managed)
        stored: Iterable[StoredPolicy] = (*group.inline, *attached)
        return (each.policy for each in stored)

    def _best(self, source: Entity, permissions: Sequence[Permission]) -> tuple[int, list[Asked]]:
        """The strength of permissions on resources that the principal can choose, and the requests with the best choice."""
        weakest, requests = SURE, []
        for permission in permissions:
            generic = _filled(permission.resource, source)
            choices = [generic]
            if ANY in permission.resource:
                choices = self._requests.resources_for(source.arn, permission.action, generic)
            best, chosen = NO, generic
            for resource in choices:
                asked = Asked(source.arn, permission.action, resource)
                strength = self._requests.strength(asked, unless_denied=permission.unless_denied)
                if strength > best:
                    best, chosen = strength, resource
            weakest = min(weakest, best)
            if weakest == NO:
                return NO, []
            if not permission.unless_denied:
                requests.append(Asked(source.arn, permission.action, chosen))
        return weakest, requests


def _filled(template: str, entity: Entity) -> str:
    values = {"{partition}": entity.partition, "{account}": entity.account, "{region}": _REGION, ANY: UNMENTIONED}
    for name, value in values.items():
        template = template.replace(name, value)
    return template


def _by_account(entities: Iterable[Entity]) -> Iterable[tuple[str, list[Entity]]]:
    found: dict[str, list[Entity]] = defaultdict(list)
    for entity in entities:
        found[entity.account].append(entity)
    return found.items()
