"""Comparison of the decisions of two engines, and the groups of rows that one statement changes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fastiam.analysis.access.decision_changes import CHANGES, GAINING, Change, DiffGroup, flipping_statement, outcomes_suffice
from fastiam.engine.decisions import Decisions
from fastiam.errors import FastiamError
from fastiam.kernel.columns.read import TextColumn
from fastiam.model.decision import Layer, Outcome
from fastiam.model.explanation import Explanation
from fastiam.model.principal_layers import principal_layers
from fastiam.model.profile import Levels
from fastiam.model.protocols import AnalysisEngine, DecisionEngine
from fastiam.model.session import Session

RANK = np.zeros(256, np.int8)  # a higher rank is closer to ALLOW
RANK[Outcome.DEPENDS], RANK[Outcome.ALLOW] = 1, 2


@dataclass(frozen=True)
class RequestRows:
    """The requests of both engines as columns, with the options of their decisions."""

    principals: TextColumn
    actions: TextColumn
    resources: TextColumn
    context: Mapping[str, TextColumn]
    accounts: TextColumn | None
    sessions: Mapping[str, Session]
    unknown: Collection[str]
    now: datetime
    threads: int
    on_error: Literal["raise", "deny"]
    unreadable: Mapping[int, Exception]  # rows with a value that was read as null

    def decide(self, engine: DecisionEngine) -> Decisions:
        """Decide all requests with an engine."""
        return engine.decide_many(
            self.principals, self.actions, self.resources, self.context, unknown=self.unknown, sessions=self.sessions,
            resource_accounts=self.accounts, now=self.now, reasons=True, on_error=self.on_error, threads=self.threads,
        )  # fmt: skip

    def explain(self, engine: AnalysisEngine, row: int) -> Explanation | None:
        """Explain one request, or return None if it is invalid."""
        name, action, resource = (column.take([row])[0] for column in (self.principals, self.actions, self.resources))
        account = None if self.accounts is None else self.accounts.take([row])[0]
        context = {key: column.take([row])[0] for key, column in self.context.items()}
        try:
            return engine.explain(
                self.sessions.get(name, name),
                action,
                resource,
                context,
                unknown=self.unknown,
                resource_account=account,
                now=self.now,
            )
        except FastiamError:
            return None


def different_settings(old: AnalysisEngine, new: AnalysisEngine) -> str:
    """Return the names of the settings that differ between two engines (H78), or ""."""
    pairs = (
        ("the service lists", old.settings, new.settings),
        ("`unknown_owner`", old.unknown_owner, new.unknown_owner),
        ("`context_defaults`", dict(old.context_defaults), dict(new.context_defaults)),
    )
    return " and ".join(name for name, before, after in pairs if before != after)


def changes_of(before: npt.NDArray[np.uint8], after: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return the index of each change in `CHANGES`."""
    old, new = RANK[before], RANK[after]
    picked = [new == 2, new == 0, old == 0]
    return np.select(picked, [0, 1, 2], 3).astype(np.uint8)


def grouped(
    old: AnalysisEngine,
    new: AnalysisEngine,
    rows: RequestRows,
    before: Decisions,
    after: Decisions,
    flipped: npt.NDArray[np.int64],
) -> tuple[tuple[DiffGroup, ...], npt.NDArray[np.int32]]:
    """Return the groups, and the index of the group of each changed row."""
    if not len(flipped):
        return (), np.empty(0, np.int32)
    change = changes_of(before.outcome[flipped], after.outcome[flipped])
    distinct, decision_pair = np.unique(_decision_pairs(before, after, flipped, change), return_inverse=True)
    order = np.argsort(decision_pair, kind="stable")
    starts = np.searchsorted(decision_pair[order], np.arange(len(distinct) + 1))
    found: dict[tuple[Any, ...], int] = {}
    groups: list[DiffGroup] = []
    codes = np.empty(len(distinct), np.int32)
    fine = np.full(len(flipped), -1, np.int32)
    for number in range(len(distinct)):
        members = order[starts[number] : starts[number + 1]]
        kind, row = CHANGES[change[members[0]]], int(flipped[members[0]])
        if outcomes_suffice(kind, before[row], after[row]):
            codes[number] = _group_of(found, groups, old, new, rows, before, after, row, kind)
            continue
        layer = (before if kind in GAINING else after)[row].layer
        outcomes = int(before.outcome[row]), int(after.outcome[row])
        for at, key in zip(members.tolist(), _causes(old, new, rows, flipped[members], layer), strict=True):
            known = (kind, outcomes, layer, key)
            if known not in found:
                found[known] = _group_of(found, groups, old, new, rows, before, after, int(flipped[at]), kind)
            fine[at] = found[known]
        codes[number] = fine[members[0]]
    group = np.where(fine >= 0, fine, codes[decision_pair])
    return in_order(groups, group, flipped)


def _decision_pairs(
    before: Decisions, after: Decisions, flipped: npt.NDArray[np.int64], change: npt.NDArray[np.uint8]
) -> npt.NDArray[np.int64]:
    """Return one number for the outcomes, layers and statements of both decisions of each row."""
    packed = change.astype(np.int64)
    for decisions in (before, after):
        codes, refs = decisions.statement_refs
        packed = packed * 256 + decisions.layer.codes[flipped]
        packed = packed * (len(refs) + 1) + codes[flipped] + 1
        packed = packed * 4 + np.minimum(decisions.outcome[flipped], 3)
    return packed


def _group_of(
    found: dict[tuple[Any, ...], int],
    groups: list[DiffGroup],
    old: AnalysisEngine,
    new: AnalysisEngine,
    rows: RequestRows,
    before: Decisions,
    after: Decisions,
    row: int,
    change: Change,
) -> int:
    """Return the index of the group of a row. Adds the group if it is new."""
    one, two = before[row], after[row]
    statement, side = flipping_statement(change, one, two, cache(lambda side: rows.explain(old if side == "old" else new, row)))
    layer = one.layer if change in GAINING else two.layer
    key = change, statement, side, layer
    if key not in found:
        found[key] = len(groups)
        groups.append(DiffGroup(change, statement, side, layer, 0, row))
    return found[key]


def _causes(
    old: AnalysisEngine, new: AnalysisEngine, rows: RequestRows, members: npt.NDArray[np.int64], layer: Layer | None
) -> Iterator[tuple[Any, ...]]:
    """Yield what can cause different groups of rows with equal decisions: the policies of the denying layer, and the action."""
    wanted = members.tolist()
    by_resource = layer is Layer.RESOURCE
    names = (rows.resources if by_resource else rows.principals).take(wanted)
    policies = {name: _policies_of((old, new), rows.sessions.get(name, name), layer) for name in set(names)}
    for name, action in zip(names, rows.actions.take(wanted), strict=True):
        yield policies[name], action


def _policies_of(engines: tuple[AnalysisEngine, AnalysisEngine], subject: str | Session, layer: Layer | None) -> tuple[Any, ...]:
    """Return the identities of the policies of one layer in both engines: of a principal, or in layer `resource` of an ARN."""
    found: list[Any] = []
    for engine in engines:
        snapshot = engine.snapshot
        try:
            if layer is Layer.RESOURCE:
                levels: Levels = () if subject == "*" else (snapshot.facts(str(subject)).policies or (),)
            else:
                levels = () if layer is None else principal_layers(snapshot.principal(subject)).get(layer, ())
        except FastiamError:
            levels = ()
        found.append(tuple(tuple(map(id, policies)) for policies in levels))
    return tuple(found)


def in_order(
    groups: list[DiffGroup], group: npt.NDArray[np.int32], flipped: npt.NDArray[np.int64]
) -> tuple[tuple[DiffGroup, ...], npt.NDArray[np.int32]]:
    """Return the groups with their counts, gained access first, then the largest groups."""
    counts = np.bincount(group, minlength=len(groups)).tolist()
    firsts = np.full(len(groups), np.iinfo(np.int64).max)
    np.minimum.at(firsts, group, flipped)
    order = sorted(
        range(len(groups)), key=lambda i: (groups[i].change not in GAINING, CHANGES.index(groups[i].change), -counts[i])
    )
    index = np.empty(len(groups), np.int32)
    index[order] = np.arange(len(groups))
    ordered = tuple(replace(groups[i], rows=counts[i], example=int(firsts[i])) for i in order)
    return ordered, index[group]
