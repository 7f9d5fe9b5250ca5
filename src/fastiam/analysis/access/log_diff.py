"""`diff` over the calls of a log: the calls that two engines decide differently.

Each changed call belongs to the group of the statement that causes the change, as far as the two decisions determine it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastiam.analysis.access.call_decisions import CallDecider, CallDecision, CallDecisions
from fastiam.analysis.access.compare import RANK, changes_of, in_order
from fastiam.analysis.access.decision_changes import CHANGES, GAINING, Change, DiffGroup
from fastiam.analysis.access.diff_result import Diff
from fastiam.model.decision import Outcome
from fastiam.model.key_registry import spelled
from fastiam.model.logged_calls import Calls
from fastiam.model.protocols import AnalysisEngine

_Texts = tuple[str, str, str]  # principal, action and resource of a call


def diff_log(
    old: AnalysisEngine, new: AnalysisEngine, log: Iterable[Calls], *, context: Mapping[str, Any] | None = None, threads: int = 1
) -> Diff:
    """Return the calls of a log that two engines decide differently. Rows are calls, numbered from 0 through the log.

    Calls whose principal or resource is not in one of the directories are counted in `n_errors`.

    Raises
    ------
    SourceError
        a file of the log is broken.
    """
    found = _Found()
    replayers = [CallDecider(engine, constants=context or {}, threads=threads) for engine in (old, new)]
    for calls in log:
        if len(calls):
            found.add(*(replayer.replay(calls) for replayer in replayers))
    return found.diff()


class _Found:
    """The changes of all batches."""

    def __init__(self) -> None:
        self._n = self._undecidable = self._n_errors = 0
        self._missing: tuple[Counter[str], Counter[str]] = Counter(), Counter()
        self._rows: list[int] = []
        self._outcomes: list[tuple[Outcome, Outcome]] = []
        self._texts: list[_Texts] = []
        self._codes: list[int] = []
        self._groups: dict[tuple[object, ...], int] = {}
        self._kinds: list[DiffGroup] = []

    def add(self, one: CallDecisions, two: CallDecisions) -> None:
        """Add the decisions of both engines for a batch."""
        before, after = (np.array([a.outcome for a in done.decisions], np.uint8)[done.decision] for done in (one, two))
        broken = (before == Outcome.ERROR) | (after == Outcome.ERROR)
        flips = (RANK[before] != RANK[after]) & ~broken
        changes = changes_of(before, after)
        for call in np.flatnonzero(flips).tolist():
            change = CHANGES[changes[call]]
            self._enter(call, change, one, two)
        for missing, done in zip(self._missing, (one, two), strict=True):
            calls = np.bincount(done.decision, minlength=len(done.decisions)).tolist()
            for decision, n in zip(done.decisions, calls, strict=True):
                missing.update(dict.fromkeys((spelled(key) for key in decision.depends_on if ":" in key), n))
        self._undecidable += int(np.count_nonzero((before == Outcome.DEPENDS) & (after == Outcome.DEPENDS)))
        self._n_errors += int(np.count_nonzero(broken))
        self._n += len(before)

    def _enter(self, call: int, change: Change, one: CallDecisions, two: CallDecisions) -> None:
        before, after = one.decisions[one.decision[call]], two.decisions[two.decision[call]]
        denied = one if change in GAINING else two
        row = int(denied.row[call])
        group = _group(change, before, after)
        key = group.change, group.statement, group.side, group.layer
        code = self._groups.setdefault(key, len(self._groups))
        if code == len(self._kinds):
            self._kinds.append(group)
        calls = denied.calls
        shown = calls.callers[calls.caller[call]].shown
        self._rows.append(self._n + call)
        self._outcomes.append((before.outcome, after.outcome))
        self._texts.append((shown, calls.actions[calls.row_action[row]], denied.resources[row] or ""))
        self._codes.append(code)

    def diff(self) -> Diff:
        """Return the changes of all batches."""
        rows = np.array(self._rows, np.int64)
        outcomes = np.array(self._outcomes, np.uint8).reshape(-1, 2)
        groups, group = in_order(self._kinds, np.array(self._codes, np.int32), rows)
        of_name = {"principal": 0, "action": 1, "resource": 2}

        def take(name: str, wanted: Sequence[int]) -> list[str]:
            places: npt.NDArray[np.int64] = np.searchsorted(rows, wanted)
            return [self._texts[place][of_name[name]] for place in places.tolist()]

        missing = self._missing[0] | self._missing[1]  # the larger of two counts
        counts = outcomes[:, 0], outcomes[:, 1]
        return Diff(self._n, rows, counts, groups, group, take, self._undecidable, self._n_errors, missing_keys=missing)


def _group(change: Change, old: CallDecision, new: CallDecision) -> DiffGroup:
    """Return the group of a change: its flipping statement is a determining Deny, or else the Allow of the other engine."""
    denier, other = (old, new) if change in GAINING else (new, old)
    if denier.statement is not None and denier.outcome in (Outcome.EXPLICIT_DENY, Outcome.DEPENDS):
        return DiffGroup(change, denier.statement, "old" if change in GAINING else "new", denier.layer, 0, 0)
    return DiffGroup(change, other.statement, "new" if change in GAINING else "old", denier.layer, 0, 0)
