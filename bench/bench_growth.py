"""The time of a decision as the statements of one principal grow, all of them about the action asked for.

Two kinds of patterns: those that differ in a prefix, which a hash finds, and `*-team-7-*`, which only what lies between two
wildcards tells apart. A million requests, each for a resource of its own. The sizes of a kind are measured turn by turn.
"""

from __future__ import annotations

import argparse

from engines import Fastiam, check
from measure import Record, measure_together
from workloads import MIDDLES, PREFIXES, ROWS, one_principal

SIZES = [10, 100, 1_000, 10_000]
KINDS = {"prefixes": PREFIXES, "*-team-*": MIDDLES}


def main() -> None:
    """Runs the bench and writes its record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--statements", type=int, nargs="+", default=SIZES)
    parser.add_argument("--rows", type=int, default=ROWS)
    options = parser.parse_args()
    record = Record("growth")
    for kind, patterns in KINDS.items():
        jobs = {}
        for n in options.statements:
            work = one_principal(n, patterns, rows=options.rows)
            engine, columns = Fastiam(work), work.columns("strings")
            check(work, columns, engine.batch(columns), sample=max(10, 100_000 // n))
            jobs[work.name] = lambda engine=engine, columns=columns: engine.batch(columns)
        for name, timing in measure_together(jobs, options.rows).items():
            record.add(name, "fastiam", kind, timing)
    record.write()


if __name__ == "__main__":
    main()
