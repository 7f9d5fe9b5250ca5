"""The time of a decision as the statements of one principal grow, all of them about the action asked for.

Two kinds of patterns have targets: those that differ in a prefix, which a hash finds, and `*-team-7-*`, which differ only
between two wildcards; a million requests for each, every one for a resource of its own. A tenth as many for what else
people write (`workloads.GROWING`): names of every length, wildcards in regions, variables, statements that differ in their
condition alone (by texts, paths or networks), and a mixture of these. The sizes of a kind are measured turn by turn.
"""

from __future__ import annotations

import argparse

from engines import Fastiam, check
from measure import Record, measure_together
from workloads import GROWING, ROWS, one_principal

SIZES = [10, 100, 1_000, 10_000]
WITH_TARGETS = ("prefixes", "*-team-*")


def main() -> None:
    """Runs the bench and writes its record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--statements", type=int, nargs="+", default=SIZES)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--kinds", nargs="+", choices=GROWING, default=GROWING)
    options = parser.parse_args()
    record = Record("growth")
    for kind in options.kinds:
        jobs = {}
        rows = options.rows if kind in WITH_TARGETS else options.rows // 10
        for n in options.statements:
            work = one_principal(n, GROWING[kind], rows=rows)
            engine, columns = Fastiam(work), work.columns("strings")
            check(work, columns, engine.batch(columns), sample=max(10, 100_000 // n))
            jobs[work.name] = lambda engine=engine, columns=columns: engine.batch(columns)
        for name, timing in measure_together(jobs, rows).items():
            record.add(name, "fastiam", kind, timing)
    record.write()


if __name__ == "__main__":
    main()
