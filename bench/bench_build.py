"""What it takes to get ready: documents to directory, directory to engine; with memory."""

from __future__ import annotations

import argparse
import resource
import time
from typing import Any

from measure import Record, Timing
from workloads import identity

N = 50_000


def seconds(job: Any) -> tuple[Any, float]:
    """The result of a job and its time."""
    began = time.perf_counter()
    result = job()
    return result, time.perf_counter() - began


def main() -> None:
    """Runs the bench and writes its record. Figures are nanoseconds a statement, seconds stand beside."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    record = Record("build")
    work, load = seconds(lambda: identity(N, rows=1_000))
    statements = sum(len(document["Statement"]) for documents in work.policies_of.values() for document in documents)
    _, compiling = seconds(work.directory.compile)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    steps = {"documents to directory": load, "directory to engine": compiling}
    for step, taken in steps.items():
        each = taken * 1e9 / statements
        record.add(work.name, "fastiam", step, Timing(each, each, each), seconds=round(taken, 3))
    print(f"{statements:,} statements, peak memory {peak} MB (the generator included)")
    record.lines.append({"statements": statements, "peak_mb": peak, "roles": len(work.policies_of)})
    record.write()


if __name__ == "__main__":
    main()
