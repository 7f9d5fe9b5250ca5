"""`replay`: a log against policies. What they say of each call (`answering`), beside what the log says became of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from fastiam.analysis.call_decisions import CallDecider, CallDecision, CallDecisions
from fastiam.analysis.logged_calls import Calls, LoggedOutcome
from fastiam.model.arguments import check_items, check_type
from fastiam.model.decision import Layer, Outcome, StatementRef
from fastiam.model.result import Result

if TYPE_CHECKING:
    from fastiam.engine.compiled_engine import CompiledEngine

_LOG_HINT = "pass what `fastiam.read_cloudtrail` gives"


class Verdict(StrEnum):
    """How the answer compares with the log, in the order in which it is worth reading."""

    DISAGREES = "disagrees"  # allowed here and denied there, or the other way round
    DEPENDS = "depends"  # on what the log does not tell
    UNDECIDED = "undecided"  # no answer: nobody to ask about, or a request that contradicts the directory
    INCONCLUSIVE = "inconclusive"  # a decision, and an error in the log that is not about policies
    AGREES = "agrees"
    UNTOLD = INCONCLUSIVE  # its name in earlier releases, which the next release removes

    @classmethod
    def _missing_(cls, value: object) -> Verdict | None:
        return cls.INCONCLUSIVE if value == "untold" else None


@dataclass(frozen=True, slots=True)
class ReplayGroup(Result):
    """Calls with one answer for one reason.

    Attributes
    ----------
    verdict : how the answer compares with the log.
    principal : who called: a user, a role (sessions count for it), a service.
    action : the IAM action that decided.
    outcome : ERROR where there is no answer.
    logged : what the log says.
    layer, statement : what decided; of an answer without them, None.
    depends_on : the unknown keys that matter, or `session policies`, `kind of session`, `resource`.
    note : why there is no answer, or "".
    calls : how many.
    resource : of the first of them, `source`, `number` and `time` say where its record is. "" where the log does not tell it.
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
    """A log against policies.

    Attributes
    ----------
    groups : the calls by principal, action, answer and reason, the disagreements first.
    calls : how many calls were replayed.
    records : how many records the log has.
    unmapped : records without an IAM action, by name.
    without_role : number of calls without a role in their parameters, by action, for actions that need `iam:PassRole` according
        to AWS's documentation. These calls were decided without that permission.
    """

    groups: tuple[ReplayGroup, ...]
    calls: int
    records: int
    unmapped: Mapping[str, int] = field(default_factory=dict)
    without_role: Mapping[str, int] = field(default_factory=dict)

    _derived = ("verdicts",)

    @property
    def verdicts(self) -> dict[Verdict, int]:
        """Calls by verdict; those that do not occur are left out."""
        counts: Counter[Verdict] = Counter()
        for group in self.groups:
            counts[group.verdict] += group.calls
        return {verdict: counts[verdict] for verdict in Verdict if counts[verdict]}


def replay(engine: CompiledEngine, log: Iterable[Calls], *, threads: int = 1) -> Replay:
    """What the policies of an engine say of the calls in a log (docs/replay.md).

    Parameters
    ----------
    engine : the policies.
    log : batches of calls, such as `fastiam.read_cloudtrail` gives them.
    threads : for decisions; the GIL is free meanwhile.

    Raises
    ------
    SourceError: a file of the log is broken.
    """
    counts: Counter[Any] = Counter()
    first: dict[Any, tuple[str, str, int, str]] = {}
    calls = 0
    replayer = CallDecider(engine, threads=threads)
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


def _counted(done: CallDecisions) -> Iterator[tuple[Any, int, tuple[str, str, int, str]]]:
    """Calls that are alike: the key of their group, how many, and the first of them."""
    calls = done.calls
    shown: dict[str, int] = {}
    who = np.array([shown.setdefault(caller.shown, len(shown)) for caller in calls.callers], np.int64)[calls.caller]
    action = calls.row_action[done.row]
    mixed = ((who * len(calls.actions) + action) * len(done.decisions) + done.decision) * len(LoggedOutcome) + calls.logged
    _, at, n = np.unique(mixed, return_index=True, return_counts=True)
    for call, count in zip(at.tolist(), n.tolist(), strict=True):
        row = int(done.row[call])
        caller = calls.callers[calls.caller[call]]
        decision, logged = done.decisions[int(done.decision[call])], LoggedOutcome(int(calls.logged[call]))
        key = (caller.shown, calls.actions[calls.row_action[row]], decision, logged)
        yield key, count, (done.resources[row] or "", calls.sources[calls.source[call]], calls.numbers[call], calls.times[call])


def verdict_of(outcome: Outcome, logged: LoggedOutcome) -> Verdict:
    """How an answer compares with what the log says."""
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
