"""The time of a decision as the statements of one principal grow, all of them about the action asked for."""

from __future__ import annotations

import argparse

from engines import Fastiam, check
from measure import Record, measure
from workloads import one_principal

FORM = "strings"


def main() -> None:
    """Runs the bench and writes its record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--statements", type=int, nargs="+", default=[10, 100, 1_000, 5_000])
    record = Record("growth")
    medians = {}
    for n in parser.parse_args().statements:
        work = one_principal(n)
        engine, columns = Fastiam(work), work.columns(FORM)
        check(work, columns, engine.batch(columns))
        timing = measure(lambda engine=engine, columns=columns: engine.batch(columns), len(columns))
        record.add(work.name, engine.name, FORM, timing)
        medians[n] = timing.median
    if {10, 1_000} <= medians.keys():
        record.ratio("10 to 1,000 statements of one principal", medians[1_000] / medians[10], 1.5)
    record.write()


if __name__ == "__main__":
    main()
