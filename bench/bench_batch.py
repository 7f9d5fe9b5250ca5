"""Decisions a second over columns of a million different requests, as the organization grows.

Beside the engine stand the reference and a plain evaluator of regular expressions, on a part of the same rows: what they
cannot do in columns they do row by row.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
from engines import Fastiam, Plain, Reference, WrongAnswerError, check
from measure import Record, Timing, measure
from workloads import Columns, Workload, identity, layered

SLOW_ROWS = 5_000
FLAT = "coded columns, 100 to 50,000 principals"


def works(sizes: list[int]) -> Iterator[tuple[Workload, tuple[str, ...], str]]:
    """Each workload with the forms of its columns, and a word on it."""
    for n in sizes:
        yield identity(n), ("coded", "strings"), ""
        yield identity(n, unique=True), ("strings",), ", every ARN once"
    yield layered(2_000), ("coded", "strings"), ""


def fast(record: Record, work: Workload, forms: tuple[str, ...], note: str) -> dict[str, Timing]:
    """The engine over whole columns, after its answers are checked."""
    engine = Fastiam(work)
    found = {}
    for form in forms:
        columns = work.columns(form)
        outcomes = engine.batch(columns)
        check(work, columns, outcomes)
        found[form] = measure(lambda columns=columns: engine.batch(columns), len(columns))
        shares = np.bincount(outcomes, minlength=3)[:3] / len(outcomes)
        record.add(work.name, engine.name, form + note, found[form], shares=[round(float(share), 3) for share in shares])
    if forms[0] == "coded":
        columns = work.columns("coded")
        timing = measure(lambda: engine.batch(columns, threads=2), len(columns))
        record.add(work.name, engine.name, "coded, 2 threads", timing)
    return found


def slow(record: Record, work: Workload, columns: Columns) -> None:
    """The others, row by row."""
    rows = columns.rows(np.arange(SLOW_ROWS))
    expected = Reference(work).rows(rows)
    for kind in (Reference, Plain):
        engine = kind(work)
        if engine.rows(rows) != expected:
            raise WrongAnswerError(f"{engine.name} is wrong: no time for it")
        timing = measure(lambda engine=engine: engine.rows(rows), len(rows), repeats=3)
        record.add(work.name, engine.name, "row by row", timing)


def main() -> None:
    """Runs the bench and writes its record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 2_000, 50_000])
    sizes = parser.parse_args().sizes
    record = Record("batch")
    coded = {}
    for work, forms, note in works(sizes):
        found = fast(record, work, forms, note)
        if "coded" in found and work.policies_of:
            coded[len(work.policies_of)] = found["coded"].median
            if len(work.policies_of) == sizes[len(sizes) // 2]:
                slow(record, work, work.columns("strings"))
    record.ratio(FLAT, coded[max(coded)] / coded[min(coded)], 2.0)
    record.write()


if __name__ == "__main__":
    main()
