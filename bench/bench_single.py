"""The time of one call: the same request again and again (hot), every request new, and many requests in one call.

Requests have three context keys, those that a service knows of every request. Every request new means that no two calls share
an object; what the engine keeps of policies (rows) is there, as in a service that has run for a while. Hot is the mean over a
hundred requests, each made a thousand times in a row.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import numpy as np
from engines import Fastiam, Reference, Row, WrongAnswerError
from measure import Record, measure, measure_together
from targets import HOT, NEW, TUPLES
from workloads import NOW, Workload, identity, layered

CALLS = 100_000
HOT_REQUESTS = 100
KEYS = "aws:SourceIp", "aws:SecureTransport", "aws:RequestedRegion"
DECIDED, DECIDED_NEW, EXPLAINED = "decide, hot", "decide, all new", "explain"
DECISIONS = f"{TUPLES}, decisions"


def over(call: Callable[..., Any], rows: Sequence[Row]) -> Callable[[], None]:
    """A job that makes one call a row."""

    def job() -> None:
        for principal, action, resource, context in rows:
            call(principal, action, resource, context)

    return job


def requests(work: Workload) -> list[Row]:
    """Requests of a workload with three context keys."""
    rows = work.columns("strings").rows(np.arange(CALLS))
    return [(principal, action, resource, {key: context[key] for key in KEYS}) for principal, action, resource, context in rows]


def check(work: Workload, engine: Fastiam, rows: Sequence[Row]) -> None:
    """Compares the answers of all ways to ask with the reference.

    Raises
    ------
    WrongAnswerError: one is wrong.
    """
    expected = Reference(work).rows(rows)
    allowed = [outcome == 1 for outcome in expected]
    if engine.rows(rows) != expected:
        raise WrongAnswerError("`decide` is wrong: no time for it")
    if [engine.engine.is_allowed(*row, now=engine.now) for row in rows] != allowed:
        raise WrongAnswerError("`is_allowed` is wrong: no time for it")
    if engine.engine.are_allowed(rows, now=engine.now) != allowed:
        raise WrongAnswerError("`are_allowed` is wrong: no time for it")
    if engine.engine.decide_each(rows, now=engine.now) != [engine.engine.decide(*row, now=engine.now) for row in rows]:
        raise WrongAnswerError("`decide_each` is wrong: no time for it")


def calls(record: Record, work: Workload) -> None:
    """All ways to ask for one decision."""
    adapter = Fastiam(work)
    engine, rows = adapter.engine, requests(work)
    check(work, adapter, rows[:500])
    hot = [row for row in rows[:HOT_REQUESTS] for _ in range(CALLS // HOT_REQUESTS)]
    jobs = {
        HOT: over(engine.is_allowed, hot),
        NEW: over(engine.is_allowed, rows),
        TUPLES: lambda: engine.are_allowed(rows),
        DECIDED: over(engine.decide, hot),
        DECIDED_NEW: over(engine.decide, rows),
        DECISIONS: lambda: engine.decide_each(rows),
    }
    for form, timing in measure_together(jobs, CALLS).items():
        record.add(work.name, "fastiam", form, timing)
    now, few = datetime.fromisoformat(NOW), rows[:200]
    explain = over(lambda *row: engine.explain(*row, now=now), few)
    record.add(work.name, "fastiam", EXPLAINED, measure(explain, len(few), repeats=3))


def main() -> None:
    """Runs the bench and writes its record."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    record = Record("single")
    for work in (identity(2_000, rows=CALLS), identity(50_000, rows=CALLS), layered(2_000, rows=CALLS)):
        calls(record, work)
    record.write()


if __name__ == "__main__":
    main()
