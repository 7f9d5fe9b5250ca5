"""`replay`: compare the decisions of policies (`call_decisions`) with the outcomes in a log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np

from fastiam.analysis.access.call_decisions import CallDecider, CallDecision, CallDecisions
from fastiam.model.arguments import check_items, check_type
from fastiam.model.decision import Layer, Outcome, StatementRef
from fastiam.model.logged_calls import Calls, LoggedOutcome
from fastiam.model.protocols import AnalysisEngine
from fastiam.model.request import Context
from fastiam.model.result import Result

_LOG_HINT = "pass the result of `fastiam.read_cloudtrail`"


class Verdict(StrEnum):
    """The comparison of a decision with the log, most relevant first."""

    DISAGREES = "disagrees"  # the policies allow and the log denies, or the reverse
    DEPENDS = "depends"  # the decision depends on values that are not in the log
    UNDECIDED = "undecided"  # no decision: unknown principal or resource, or a contradiction to the directory
    INCONCLUSIVE = "inconclusive"  # a decision, and an error in the log that is not about policies
    AGREES = "agrees"


@dataclass(frozen=True, slots=True)
class ReplayGroup(Result):
    """Calls of one principal and action with the same decision for the same reason.

    Attributes
    ----------
    verdict
        the comparison with the log.
    principal
        a user, a role (for all of its sessions) or a service.
    action
        the IAM action that determines the decision.
    outcome
        ERROR if there is no decision.
    logged
        the outcome in the log.
    layer, statement
        what determines the decision; None for a decision without them.
    depends_on
        the deciding keys, or `session policies`, `kind of session`, `resource`.
    note
        why there is no decision, or "".
    calls
        their number.
    resource
        the resource of the first call, or "" if the log does not contain it.
    source, number, time
        the record of the first call.
    """

    verdict: Verdict
    principal: str
    action: str
    outcome: Outcome
    logged: LoggedOutcome
    layer: Layer | None
    statement: StatementRef | None
    depends_on: tuple[str, ...]
    note: str
    calls: int
    resource: str
    source: str
    number: int
    time: str


@dataclass(frozen=True, slots=True)
class Replay(Result):
    """The comparison of a log with policies.

    Attributes
    ----------
    groups
        the calls by principal, action, decision and reason, disagreements first.
    calls
        number of replayed calls.
    records
        number of records in the log.
    unmapped
        number of records without an IAM action, by name.
    without_role
        number of calls without a role in their parameters, by action, for actions that need `iam:PassRole` according to AWS's
        documentation. These calls were decided without that permission.
    """

    groups: tuple[ReplayGroup, ...]
    calls: int
    records: int
    unmapped: Mapping[str, int] = field(default_factory=dict)
    without_role: Mapping[str, int] = field(default_factory=dict)

    _derived = ("verdicts",)

    @property
    def verdicts(self) -> dict[Verdict, int]:
        """Number of calls by verdict, without zeros."""
        counts: Counter[Verdict] = Counter()
        for group in self.groups:
            counts[group.verdict] += group.calls
        return {verdict: counts[verdict] for verdict in Verdict if counts[verdict]}


def replay(engine: AnalysisEngine, log: Iterable[Calls], *, context: Context | None = None, threads: int = 1) -> Replay:
    """Decide the calls of a log with the policies of an engine, and compare the decisions with the log (docs/replay.md).

    Parameters
    ----------
    engine
        the policies.
    log
        batches of calls, such as those of `fastiam.read_cloudtrail`.
    context
        values of keys for all calls, as far as the log does not contain the key; None is absent.
    threads
        number of threads for decisions, which run without the GIL.

    Raises
    ------
    SourceError
        a file of the log is broken.
    RequestValueError
        a value of `context` is not one of its key.
    """
    counts: Counter[Any] = Counter()
    first: dict[Any, tuple[str, str, int, str]] = {}
    calls = 0
    replayer = CallDecider(engine, constants=context or {}, threads=threads)
    for batch in check_items(log, "log", "batches of calls", _LOG_HINT):
        check_type(batch, Calls, "log", "batches of calls", _LOG_HINT)
        calls += len(batch)
        for key, n, example in _counted(replayer.replay(batch)) if len(batch) else ():
            counts[key] += n
            first.setdefault(key, example)
    groups = [_group(key, n, first[key]) for key, n in counts.items()]
    order = {verdict: i for i, verdict in enumerate(Verdict)}
    groups.sort(key=lambda group: (order[group.verdict], -group.calls, group.principal, group.action))
    unmapped, without_role = (dict(Counter(getattr(log, name, {})).most_common()) for name in ("unmapped", "without_role"))
    return Replay(tuple(groups), calls, getattr(log, "records", calls), unmapped, without_role)


def _counted(decided: CallDecisions) -> Iterator[tuple[Any, int, tuple[str, str, int, str]]]:
    """Yield the key of each group of calls, the number of its calls, and the first call."""
    calls = decided.calls
    codes: dict[str, int] = {}
    principal = np.array([codes.setdefault(caller.shown, len(codes)) for caller in calls.callers], np.int64)[calls.caller]
    action = calls.row_action[decided.row]
    mixed = ((principal * len(calls.actions) + action) * len(decided.decisions) + decided.decision) * len(
        LoggedOutcome
    ) + calls.logged
    _, at, n = np.unique(mixed, return_index=True, return_counts=True)
    for call, count in zip(at.tolist(), n.tolist(), strict=True):
        row = int(decided.row[call])
        caller = calls.callers[calls.caller[call]]
        decision, logged = decided.decisions[int(decided.decision[call])], LoggedOutcome(int(calls.logged[call]))
        key = (caller.shown, calls.actions[calls.row_action[row]], decision, logged)
        yield (
            key,
            count,
            (decided.resources[row] or "", calls.sources[calls.source[call]], calls.numbers[call], calls.times[call]),
        )


def verdict_of(outcome: Outcome, logged: LoggedOutcome) -> Verdict:
    """Compare an outcome with the log."""
    if outcome is Outcome.ERROR:
        return Verdict.UNDECIDED
    if outcome is Outcome.DEPENDS:
        return Verdict.DEPENDS
    if logged is LoggedOutcome.UNKNOWN:
        return Verdict.INCONCLUSIVE
    return Verdict.AGREES if (outcome is Outcome.ALLOW) == (logged is LoggedOutcome.ALLOWED) else Verdict.DISAGREES


def _group(key: tuple[str, str, CallDecision, LoggedOutcome], calls: int, first: tuple[str, str, int, str]) -> ReplayGroup:
    principal, action, decision, logged = key
    return ReplayGroup(
        verdict_of(decision.outcome, logged),
        principal,
        action,
        decision.outcome,
        logged,
        decision.layer,
        decision.statement,
        decision.depends_on,
        decision.note,
        calls,
        *first,
    )
