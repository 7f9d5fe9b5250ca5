"""The time of one call: the same request again and again (hot), and every request new; with five context keys, and without."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import numpy as np
from engines import Fastiam, Reference, Row, WrongAnswerError
from measure import Record, measure
from workloads import NOW, Workload, identity, layered

CALLS = 100_000


def over(call: Callable[..., Any], rows: Sequence[Row]) -> Callable[[], None]:
    """A job that makes one call a row."""

    def job() -> None:
        for principal, action, resource, context in rows:
            call(principal, action, resource, context)

    return job


def calls(record: Record, work: Workload) -> None:
    """All ways to ask for one decision."""
    engine = Fastiam(work)
    rows = work.columns("strings").rows(np.arange(CALLS))
    sample = rows[:500]
    if engine.rows(sample) != Reference(work).rows(sample):
        raise WrongAnswerError("the single path is wrong: no time for it")
    now = datetime.fromisoformat(NOW)
    hot = [rows[0]] * CALLS
    bare = [(*rows[0][:3], {})] * CALLS
    record.add(work.name, "fastiam", "is_allowed, hot, no context", measure(over(engine.engine.is_allowed, bare), CALLS))
    record.add(work.name, "fastiam", "is_allowed, hot", measure(over(engine.engine.is_allowed, hot), CALLS))
    record.add(work.name, "fastiam", "is_allowed, all new", measure(over(engine.engine.is_allowed, rows), CALLS))
    record.add(work.name, "fastiam", "decide, hot", measure(over(engine.engine.decide, hot), CALLS))
    few = rows[:200]
    explain = over(lambda *row: engine.engine.explain(*row, now=now), few)
    record.add(work.name, "fastiam", "explain", measure(explain, len(few), repeats=3))


def main() -> None:
    """Runs the bench and writes its record."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    record = Record("single")
    for work in (identity(2_000, rows=CALLS), layered(2_000, rows=CALLS)):
        calls(record, work)
    record.write()


if __name__ == "__main__":
    main()
