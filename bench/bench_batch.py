"""Decisions a second over columns of a million different requests, as the organization grows.

At the sizes that the targets speak of, every form of the columns, both workloads, reasons and two threads are measured turn by
turn, so that ratios between them hold. The sizes between are points of the curve.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
from engines import Fastiam, check
from measure import Record, Timing, measure_together
from workloads import ROWS, Columns, Workload, identity, layered

CONSTANT = "coded columns, 100 to 50,000 principals"
SIZES, FULL_SIZES = [100, 500, 2_000, 10_000, 50_000], (2_000, 50_000)
UNIQUE = "strings, every ARN once"
BATCH = 10_000


class Turns:
    """The jobs of one size: each checked before it counts, then all of them turn by turn."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.jobs: dict[str, Callable[[], Any]] = {}
        self.facts: dict[str, tuple[str, str, dict[str, Any]]] = {}

    def add(self, engine: Fastiam, work: Workload, columns: Columns, form: str, **options: Any) -> None:
        """One job. Its answers are compared with the reference."""
        outcomes = engine.batch(columns, **options)
        check(work, columns, outcomes)
        shares = np.bincount(outcomes, minlength=3)[:3] / len(outcomes)
        name = f"{work.name}, {form}"
        self.jobs[name] = lambda: engine.batch(columns, **options)
        self.facts[name] = work.name, form, {"shares": [round(float(share), 3) for share in shares]}

    def measure(self, record: Record) -> dict[tuple[str, str], Timing]:
        """Times by workload and form."""
        found = {}
        for name, timing in measure_together(self.jobs, self.rows, twice=True).items():
            workload, form, more = self.facts[name]
            record.add(workload, "fastiam", form, timing, **more)
            found[workload, form] = timing
        return found


def in_batches(columns: Columns) -> Columns:
    """The same, as a table of record batches has them: they share their dictionaries."""

    def cut(column: Any) -> pa.ChunkedArray:
        return pa.chunked_array([column[at : at + BATCH] for at in range(0, len(column), BATCH)])

    context = {key: cut(column) for key, column in columns.context.items()}
    return Columns(cut(columns.principals), cut(columns.actions), cut(columns.resources), context, columns.sessions)


def point(turns: Turns, n: int) -> None:
    """Identity alone, in the two forms of columns."""
    work = identity(n, rows=turns.rows)
    engine = Fastiam(work)
    for form in ("coded", "strings"):
        turns.add(engine, work, work.columns(form), form)


def full(turns: Turns, n: int) -> None:
    """Everything that the targets ask for."""
    for make in (identity, layered):
        work, unique = make(n, rows=turns.rows), make(n, rows=turns.rows, unique=True)
        engine = Fastiam(work)
        coded, strings = work.columns("coded"), work.columns("strings")
        turns.add(engine, work, coded, "coded")
        turns.add(engine, work, in_batches(coded), f"coded, batches of {BATCH:,}")
        turns.add(engine, work, strings, "strings")
        turns.add(engine, unique, unique.columns("strings"), UNIQUE)
        turns.add(engine, work, coded, "coded, reasons", reasons=True)
        turns.add(engine, work, coded, "coded, 2 threads", threads=2)
        turns.add(engine, work, strings, "strings, 2 threads", threads=2)


def main() -> None:
    """Runs the bench and writes its record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--rows", type=int, default=ROWS)
    options = parser.parse_args()
    record, coded = Record("batch"), {}
    for n in options.sizes:
        turns = Turns(options.rows)
        (full if n in FULL_SIZES else point)(turns, n)
        coded[n] = turns.measure(record)[f"identity {n:,}", "coded"].median
    record.ratio(CONSTANT, coded[max(coded)] / coded[min(coded)], 2.0)
    record.write()


if __name__ == "__main__":
    main()
