"""Edges of users that join groups: a user in more groups is a node with edges of its own.

There is a state of the directory for each group that users can join, in which they are members of it, and one in which each of
them is a member of all groups that it can join, also by the permissions of other groups. Only a group with a Deny can take
permissions away, so that any other set of groups gives a user no more than one of these states.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from fastiam.analysis.escalation.catalog import OBTAINED, EscalationPattern
from fastiam.analysis.escalation.edges import Edge, EdgeFinder, Node


def edges_of_groups(finder: EdgeFinder) -> list[Edge]:
    """Return the edges of users in the groups that they can join, and the edges by which they join."""
    joins = {user: dict(edges) for user, edges in finder.joins.items()}  # by user, the groups and how it joins them
    found: list[Edge] = []
    for group in dict.fromkeys(group for edges in joins.values() for group in edges):
        found += _edges_in(finder, {user: (group,) for user, edges in joins.items() if group in edges}, joins)
    last: dict[str, tuple[str, ...]] = {}
    while (joined := {user: tuple(edges) for user, edges in joins.items() if len(edges) > 1}) != last:
        found += _edges_in(finder, joined, joins)
        last = joined
    return found


def _edges_in(finder: EdgeFinder, joined: Mapping[str, tuple[str, ...]], joins: Mapping[str, dict[str, Edge]]) -> Iterator[Edge]:
    """Yield the edges of users in these groups, and add the groups that they can join then."""
    patterns = _affected(finder, {group for groups in joined.values() for group in groups})
    if not patterns:
        return
    tables = finder.requests.engine.snapshot.tables
    entities = dict(tables.entities)
    nodes: dict[str, Node] = {}
    for user, groups in joined.items():
        entity = entities[user]
        entities[user] = replace(entity, groups=entity.groups + groups)
        names = ", ".join(group.rpartition("/")[2] for group in groups)
        nodes[user] = Node(f"{user} in {names}", entity.account)
        steps = [joins[user][group] for group in groups]
        yield Edge(
            finder.sources[user],
            nodes[user],
            tuple(pattern for step in steps for pattern in step.patterns),
            min(step.strength for step in steps),
            tuple(use for step in steps for use in step.uses),
            tuple(dict.fromkeys(assumption for step in steps for assumption in step.assumptions)),
        )
    state = EdgeFinder(finder.requests.over(replace(tables, entities=entities)), patterns, finder.administrators, nodes)
    yield from state.find()
    for user, edges in state.joins.items():
        for group, edge in edges.items():
            joins[user].setdefault(group, edge)


def _affected(finder: EdgeFinder, groups: Iterable[str]) -> Sequence[EscalationPattern]:
    """The patterns with an action that groups may allow; all, if the policies of an obtained principal can be written."""
    policies = [policy for group in groups for policy in finder.group_policies(group)]
    found = [
        pattern
        for pattern in finder.patterns
        if any(finder.requests.allows(policy, each.action) for policy in policies for each in pattern.permissions)
    ]
    return finder.patterns if any(pattern.target in OBTAINED for pattern in found) else found
