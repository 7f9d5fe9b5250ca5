"""The pictures with which reports of analyses begin: unused access, escalation paths, and who gained what."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from math import log
from typing import TypeAlias

import numpy as np

from fastiam.analysis.access.decision_changes import GAINING, Change, DiffGroup
from fastiam.analysis.access.diff_result import Diff
from fastiam.analysis.access.unused_access import Unused
from fastiam.analysis.escalation.paths import EscalationPath, EscalationStep
from fastiam.analysis.representatives import UNMENTIONED
from fastiam.aws_data.action_patterns import spelled_action
from fastiam.model.decision import Outcome
from fastiam.report.pictures import Graph, GraphEdge, HeatCell, HeatMap, Picture, Sentences, short_names

_COLUMNS = 30  # of a heat map
_NAMED = 3  # names of a kind in a sentence
_SENTENCES = 100
_HEAT_MAPS = 20  # of a diff: one for each statement


# -- unused access ------------------------------------------------------------------------------------------------------


def unused_picture(rows: Sequence[Unused]) -> list[Picture]:
    """Services by user and role: how many granted actions of each are unused, most first."""
    shown = [row for row in rows if row.unused]
    if not shown:
        return []
    by_service = [_by_service(row.unused) for row in shown]
    totals = Counter({service: 0 for services in by_service for service in services})
    for services in by_service:
        totals.update({service: len(actions) for service, actions in services.items()})
    columns = sorted(totals, key=lambda service: (-totals[service], service))
    named, others = columns[:_COLUMNS], set(columns[_COLUMNS:])
    cells = []
    most = max(map(len, (row.unused for row in shown)))
    for i, services in enumerate(by_service):
        rest = [action for service in sorted(others & services.keys()) for action in services[service]]
        for j, actions in enumerate([*(services.get(service, []) for service in named), rest]):
            if actions:
                cells.append(HeatCell(i, j, log(1 + len(actions)) / log(1 + most), actions))
    names = short_names(row.principal for row in shown)
    return [
        HeatMap(
            "Unused actions by service",
            "Each number counts granted actions without a call: the darker, the more. Choose a number to list its actions.",
            "user or role",
            "unused actions",
            [names[row.principal] for row in shown],
            [row.principal for row in shown],
            [*named, *([f"{len(others):,} more services"] if others else [])],
            cells,
        )
    ]


def _service(action: str) -> str:
    return action.partition(":")[0]


def _by_service(actions: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for action in actions:
        found[_service(action)].append(action)
    return found


# -- escalation paths ---------------------------------------------------------------------------------------------------


def escalation_picture(paths: Sequence[EscalationPath]) -> list[Picture]:
    """The best path of each user and role, as a graph."""
    best: dict[str, EscalationPath] = {}
    for path in paths:
        known = best.get(path.principal)
        if known is None or _rank(path) < _rank(known):
            best[path.principal] = path
    edges: dict[tuple[str, str], GraphEdge] = {}
    for path in best.values():
        for edge in _edges(path):
            edges.setdefault((edge.source, edge.target), edge)
    if not edges:
        return []
    note = (
        "The shortest path of each user and role, a sure one if there is one; the table has the others. Whole lines are sure, "
        "broken lines depend on unknown keys or on assumptions."
    )
    targets = dict.fromkeys(_target(path) for path in best.values())
    return [Graph("Paths", note, list(edges.values()), list(targets))]


def _rank(path: EscalationPath) -> tuple[bool, int]:
    return path.outcome is not Outcome.ALLOW, len(path.steps)


def _target(path: EscalationPath) -> str:
    """The target; all permissions of an account are named after it."""
    return path.target if path.target.startswith("arn:") else f"{path.target} {path.account}"


def _edges(path: EscalationPath) -> Iterable[GraphEdge]:
    """One edge for each principal that makes requests. A service makes some for the principal before it."""
    makers: list[tuple[str, list[EscalationStep]]] = []
    for step in path.steps:
        if not makers or (step.principal.startswith("arn:") and step.principal != makers[-1][0]):
            makers.append((step.principal, []))
        makers[-1][1].append(step)
    ends = [*(maker for maker, _ in makers[1:]), _target(path)]
    for (maker, steps), end in zip(makers, ends, strict=True):
        label = ", ".join(dict.fromkeys(step.pattern for step in steps))
        is_sure = all(step.outcome is Outcome.ALLOW for step in steps) and not path.assumptions
        yield GraphEdge(maker, end, label, is_sure)


# -- changes ------------------------------------------------------------------------------------------------------------

_VERBS = {Change.GAINED: "can now", Change.LOST: "can no longer", Change.MAY_GAIN: "can now, under conditions,",
         Change.MAY_LOSE: "can now only under conditions"}  # fmt: skip


_CAUSES = {  # by whether access is gained, and the side of the statement
    (True, "new"): ("new", "allow"),
    (True, "old"): ("old", "denied"),
    (False, "new"): ("new", "deny"),
    (False, "old"): ("old", "allowed"),
}


Request: TypeAlias = tuple[str, str, str]  # principal, action and resource


def requests_of_groups(found: Diff) -> list[list[Request]]:
    """The requests of each group, with names as AWS writes them."""
    order = np.argsort(found.group, kind="stable")
    requests = list(map(_spelled, found.requests(found.rows[order].tolist())))
    ends = np.cumsum([group.rows for group in found.groups]).tolist()
    return [requests[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def change_pictures(found: Diff, requests: Sequence[Sequence[Request]]) -> list[Picture]:
    """Who gained and lost what, in words, and the requests of each group: principals by actions."""
    if not found.groups:
        return []
    names = short_names(principal for of_group in requests for principal, _, _ in of_group)
    lines = [_sentence(group, of_group, names) for group, of_group in zip(found.groups[:_SENTENCES], requests, strict=False)]
    if len(found.groups) > len(lines):
        lines.append(f"{len(found.groups) - len(lines):,} more statements change decisions: see the table.")
    maps = [
        _requests_of(number, group, of_group, names)
        for number, (group, of_group) in enumerate(zip(found.groups[:_HEAT_MAPS], requests, strict=False), 1)
        if len(of_group) > 1
    ]
    return [Sentences("Who gained and lost what", lines), *maps]


def _spelled(request: Request) -> Request:
    """A request for a person: names as AWS writes them, and `*` for a name that represents any."""
    principal, action, resource = request
    known = "any other action" if action == f"{UNMENTIONED}:{UNMENTIONED}" else spelled_action(action)
    return principal, known.replace(UNMENTIONED, "*"), resource.replace(UNMENTIONED, "*")


def _sentence(group: DiffGroup, requests: Sequence[Request], names: dict[str, str]) -> str:
    principals, actions, resources = (list(dict.fromkeys(values)) for values in zip(*requests, strict=True))
    who = _listed([names[principal] for principal in principals], "users and roles")
    what = f"{who} {_VERBS[group.change]} {_listed(actions, 'actions')} on {_listed(resources, 'resources')}"
    if group.statement is None:
        return f"{what}."
    policies, verb = _CAUSES[group.change in GAINING, group.side]
    return f"{what}: the {policies} policies {verb} it by the statement `{group.statement.label}` of `{group.statement.policy}`."


def _listed(names: Sequence[str], what: str) -> str:
    shown = [f"`{name}`" for name in names[:_NAMED]]
    if len(names) > _NAMED:
        return f"{', '.join(shown)} and {len(names) - _NAMED:,} more {what}"
    return " and ".join(shown) if len(shown) < _NAMED else f"{', '.join(shown[:-1])} and {shown[-1]}"


def _requests_of(number: int, group: DiffGroup, requests: Sequence[Request], names: dict[str, str]) -> HeatMap:
    """The resources of all requests of a group, by principal and action."""
    principals = _by_count(principal for principal, _, _ in requests)
    actions = _by_count(action for _, action, _ in requests)
    kept = actions[:_COLUMNS]
    column = {action: min(i, len(kept)) for i, action in enumerate(actions)}
    row = {principal: i for i, principal in enumerate(principals)}
    resources: dict[tuple[int, int], dict[str, None]] = defaultdict(dict)
    for principal, action, resource in requests:
        at = row[principal], column[action]
        resources[at][resource if at[1] < len(kept) else f"{action} on {resource}"] = None
    most = max(map(len, resources.values()))
    cells = [HeatCell(i, j, len(found) / most, list(found)) for (i, j), found in resources.items()]
    cause = f": {group.statement.label} of {group.statement.policy}" if group.statement else ""
    n_more = len(actions) - len(kept)
    return HeatMap(
        f"{number}. {group.change}{cause}",
        f"{group.rows:,} requests. Each number counts resources: choose one to list them.",
        "principal",
        "resources",
        [names[principal] for principal in principals],
        principals,
        [*kept, *([f"{n_more:,} more actions"] if n_more else [])],
        cells,
    )


def _by_count(names: Iterable[str]) -> list[str]:
    return [name for name, _ in Counter(names).most_common()]
