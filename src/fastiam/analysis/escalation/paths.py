"""`escalations`: the shortest paths by which principals become administrators, or another principal.

A node is a principal, or `anything in the account` for patterns without a target on record (H64). `edges` finds the
edges; each path is found by a search backwards from its target, over sure edges first.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from fastiam.analysis.escalation.administrators import Administrators, entities_of
from fastiam.analysis.escalation.catalog import EscalationPattern, built_in_patterns
from fastiam.analysis.escalation.edges import ANYTHING, Edge, EdgeFinder, Node, Used
from fastiam.analysis.escalation.joined_groups import edges_of_groups
from fastiam.analysis.escalation.permission_decisions import SURE, Requests
from fastiam.errors import RequestValueError, did_you_mean
from fastiam.model.decision import Outcome, StatementRef
from fastiam.model.protocols import AnalysisEngine
from fastiam.model.request import shorten
from fastiam.model.result import Result

ADMINISTRATOR = "administrator"  # the pattern of the steps that show that a principal is one
_COMPARED = 5_000  # names that are compared to find a similar one


@dataclass(frozen=True, slots=True)
class EscalationStep(Result):
    """One permission of a path.

    Attributes
    ----------
    principal
        the principal that makes the request: that of the path, a later one on it, or a service that assumes a role.
    pattern
        the pattern that needs the permission, or `administrator`.
    resource
        an ARN; the name `zq0` represents any name.
    outcome
        ALLOW, or DEPENDS.
    statement
        the statement that allows; None if it depends on unknown keys, or needs no policy.
    depends_on
        the deciding keys, folded (D74).
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
    """A shortest way from a principal to a target; without patterns, an administrator and what makes it one.

    Attributes
    ----------
    principal
        a user or role.
    target
        a user or role, or `anything in the account`: all permissions of the account (H64).
    account
        the account of the target.
    outcome
        ALLOW if each step is allowed whatever the unknown keys are and nothing is assumed, else DEPENDS.
    pattern
        the ids of the patterns, in order; the principal obtains the permissions of one principal after the other.
    steps
        the permissions that are used, in order.
    assumptions
        facts that the directory does not contain and that must hold, such as that an instance has the role.
    depends_on
        the keys on which the steps depend, folded.
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
    RequestValueError
        `to` is neither `admin` nor a user or role of the directory.
    """
    requests = Requests(engine, unknown, now)
    _check_target(to, requests)
    administrators = Administrators(requests, entities_of(engine))
    sources = {
        entity.arn: Node(entity.arn, entity.account)
        for entity in entities_of(engine)
        if entity.arn not in administrators.unlimited
    }
    finder = EdgeFinder(requests, built_in_patterns() if patterns is None else patterns, administrators, sources)
    edges = [*finder.find(), *edges_of_groups(finder)]
    found: list[EscalationPath] = []
    for target in _targets(edges, administrators, to):
        is_sure = target.name == ANYTHING or to != "admin" or administrators.strengths.get(target.name) == SURE
        found += _paths_to(target, edges, requests, administrators, is_sure)
    order = {name: i for i, name in enumerate(requests.kinds)}
    return sorted(found, key=lambda path: order[path.principal])


def find_administrators(engine: AnalysisEngine, to: str, unknown: Collection[str], now: datetime | None) -> list[EscalationPath]:
    """Return the administrators, each as a path without patterns: its steps are what makes it one.

    Raises
    ------
    RequestValueError
        as `find_escalations`.
    """
    requests = Requests(engine, unknown, now)
    _check_target(to, requests)
    administrators = Administrators(requests, entities_of(engine))
    found = []
    for name, strength in administrators.strengths.items():
        account = name.split(":")[4]
        if to == "admin" or account == to.split(":")[4]:
            steps = tuple(_step(Used(asked, ADMINISTRATOR, requests)) for asked in administrators.probes(name))
            outcome = Outcome.ALLOW if strength == SURE else Outcome.DEPENDS
            found.append(EscalationPath(name, name, account, outcome, (), steps, (), _keys_of(steps)))
    return found


def _check_target(to: str, requests: Requests) -> None:
    if to != "admin" and (to not in requests.kinds or to.endswith(":root")):
        known = [name for name in requests.kinds if not name.endswith(":root")]
        hint = did_you_mean(to, known) if len(known) <= _COMPARED else ""
        message = f"`{shorten(str(to))}` is not a user or role of the directory"
        raise RequestValueError(message, column="to", hint=hint or 'pass the ARN of one, or "admin"')


def _targets(edges: Iterable[Edge], administrators: Administrators, to: str) -> list[Node]:
    """The nodes in which paths end: the administrators, or one principal, and all permissions of their accounts."""
    wanted = administrators.strengths.keys() if to == "admin" else {to}
    account = None if to == "admin" else to.split(":")[4]
    nodes = dict.fromkeys(edge.target for edge in edges)
    return [
        node for node in nodes if node.name in wanted or (node.name == ANYTHING and account in (None, node.account))
    ]  # fmt: skip


def _paths_to(
    target: Node, edges: Sequence[Edge], requests: Requests, administrators: Administrators, is_sure: bool
) -> Iterator[EscalationPath]:
    """The shortest sure path of each principal, or else its shortest possible one.

    An administrator with limits gains nothing by another one: its paths lead to those without limits, and to anything.
    """
    sure = _first_edges(target, [edge for edge in edges if edge.strength == SURE])
    possible = _first_edges(target, edges)
    is_limited = target.name != ANYTHING and target.name not in administrators.unlimited
    for node in possible:
        if node.name in requests.kinds and not (is_limited and node.name in administrators.strengths):
            yield _path(node, target, sure if node in sure else possible, is_sure and node in sure)


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


def _path(source: Node, target: Node, first: dict[Node, Edge], is_sure: bool) -> EscalationPath:
    node, hops = source, []
    while node != target:
        hops.append(first[node])
        node = first[node].target
    steps = tuple(_step(use) for hop in hops for use in hop.uses)
    return EscalationPath(
        source.name,
        target.name,
        target.account,
        Outcome.ALLOW if is_sure else Outcome.DEPENDS,
        tuple(pattern for hop in hops for pattern in hop.patterns),
        steps,
        tuple(dict.fromkeys(assumption for hop in hops for assumption in hop.assumptions)),
        _keys_of(steps),
    )


def _keys_of(steps: Iterable[EscalationStep]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(key for step in steps for key in step.depends_on))


def _step(use: Used) -> EscalationStep:
    asked, decision = use.asked, use.requests.decide(use.asked)
    statement = decision.statement if decision.outcome is Outcome.ALLOW else None
    return EscalationStep(
        asked.principal, use.pattern, asked.action, asked.resource, decision.outcome, statement, tuple(decision.depends_on)
    )
