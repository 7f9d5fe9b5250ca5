"""`escalations`: the shortest paths by which principals become administrators, or another principal.

A node is a principal, or `anything in the account` for patterns without a target on record (H64). `escalation_edges` finds the
edges; each path is found by a search backwards from its target, over sure edges first.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from fastiam.analysis.escalation_catalog import EscalationPattern, built_in_patterns
from fastiam.analysis.escalation_edges import ANYTHING, Edge, EdgeFinder, Node
from fastiam.analysis.escalation_requests import SURE, Asked, Requests
from fastiam.errors import RequestValueError, did_you_mean
from fastiam.model.decision import Outcome, StatementRef
from fastiam.model.protocols import AnalysisEngine
from fastiam.model.request import shorten
from fastiam.model.result import Result

_COMPARED = 5_000  # names that are compared to find a similar one


@dataclass(frozen=True, slots=True)
class EscalationStep(Result):
    """One permission of a path.

    Attributes
    ----------
    principal : the principal that makes the request: that of the path, a later one on it, or a service that assumes a role.
    pattern : the pattern that needs the permission.
    resource : an ARN; the name `zq0` represents any name.
    outcome : ALLOW, or DEPENDS.
    statement : the statement that allows; None if it depends on unknown keys, or needs no policy.
    depends_on : the deciding keys, folded (D74).
    """

    principal: str
    pattern: str
    action: str
    resource: str
    outcome: Outcome
    statement: StatementRef | None
    depends_on: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EscalationPath(Result):
    """A shortest way from a principal to a target.

    Attributes
    ----------
    principal : a user or role that is not an administrator.
    target : a user or role, or `anything in the account`: all permissions of the account (H64).
    account : the account of the target.
    outcome : ALLOW if each step is allowed whatever the unknown keys are and nothing is assumed, else DEPENDS.
    pattern : the ids of the patterns, in order; the principal obtains the permissions of one principal after the other.
    steps : the permissions that are used, in order.
    assumptions : facts that the directory does not contain and that must hold, such as that an instance has the role.
    depends_on : the keys on which the steps depend, folded.
    """

    principal: str
    target: str
    account: str
    outcome: Outcome
    pattern: tuple[str, ...]
    steps: tuple[EscalationStep, ...]
    assumptions: tuple[str, ...] = ()
    depends_on: tuple[str, ...] = ()


def find_escalations(
    engine: AnalysisEngine,
    to: str,
    unknown: Collection[str],
    now: datetime | None,
    patterns: Sequence[EscalationPattern] | None,
) -> list[EscalationPath]:
    """Return the shortest path of each principal to each target, in the order of the directory.

    Raises
    ------
    RequestValueError: `to` is neither `admin` nor a user or role of the directory.
    """
    requests = Requests(engine, unknown, now)
    if to != "admin" and (to not in requests.kinds or to.endswith(":root")):
        known = [name for name in requests.kinds if not name.endswith(":root")]
        hint = did_you_mean(to, known) if len(known) <= _COMPARED else ""
        message = f"`{shorten(str(to))}` is not a user or role of the directory"
        raise RequestValueError(message, column="to", hint=hint or 'pass the ARN of one, or "admin"')
    finder = EdgeFinder(requests, built_in_patterns() if patterns is None else patterns)
    edges = finder.find()
    found: list[EscalationPath] = []
    for target in _targets(edges, finder, to):
        is_sure = target.name == ANYTHING or to != "admin" or finder.admins.get(target.name) == SURE
        found += _paths_to(target, edges, requests, is_sure)
    order = {name: i for i, name in enumerate(requests.kinds)}
    return sorted(found, key=lambda path: order[path.principal])


def _targets(edges: Iterable[Edge], finder: EdgeFinder, to: str) -> list[Node]:
    """The nodes in which paths end: the administrators, or one principal, and all permissions of their accounts."""
    wanted = finder.admins.keys() if to == "admin" else {to}
    account = None if to == "admin" else to.split(":")[4]
    nodes = dict.fromkeys(edge.target for edge in edges)
    return [
        node for node in nodes if node.name in wanted or (node.name == ANYTHING and account in (None, node.account))
    ]  # fmt: skip


def _paths_to(target: Node, edges: Iterable[Edge], requests: Requests, is_sure: bool) -> Iterable[EscalationPath]:
    """The shortest sure path of each principal, or else its shortest possible one."""
    edges = list(edges)
    sure = _first_edges(target, [edge for edge in edges if edge.strength == SURE])
    possible = _first_edges(target, edges)
    for node in possible:
        following = sure if node in sure else possible
        yield _path(node, target, following, requests, is_sure and node in sure)


def _first_edges(target: Node, edges: Iterable[Edge]) -> dict[Node, Edge]:
    """The first edge of a shortest path to the target, for each node that has a path: a search backwards."""
    arriving: dict[Node, list[Edge]] = defaultdict(list)
    for edge in edges:
        arriving[edge.target].append(edge)
    found: dict[Node, Edge] = {}
    waiting = deque([target])
    while waiting:
        for edge in arriving[waiting.popleft()]:
            if edge.source not in found and edge.source != target:
                found[edge.source] = edge
                waiting.append(edge.source)
    return found


def _path(source: Node, target: Node, first: dict[Node, Edge], requests: Requests, is_sure: bool) -> EscalationPath:
    node, hops = source, []
    while node != target:
        hops.append(first[node])
        node = first[node].target
    steps = tuple(_step(asked, hop.pattern.id, requests) for hop in hops for asked in hop.requests)
    return EscalationPath(
        source.name,
        target.name,
        target.account,
        Outcome.ALLOW if is_sure else Outcome.DEPENDS,
        tuple(hop.pattern.id for hop in hops),
        steps,
        tuple(dict.fromkeys(hop.assumption for hop in hops if hop.assumption)),
        tuple(dict.fromkeys(key for step in steps for key in step.depends_on)),
    )


def _step(asked: Asked, pattern: str, requests: Requests) -> EscalationStep:
    decision = requests.decide(asked)
    statement = decision.statement if decision.outcome is Outcome.ALLOW else None
    return EscalationStep(
        asked.principal, pattern, asked.action, asked.resource, decision.outcome, statement, tuple(decision.depends_on)
    )
