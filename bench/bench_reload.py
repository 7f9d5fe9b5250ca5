"""Replacing the engine of a service while eight threads decide: how long an update takes, and the longest pause of a decision.

Eight Python threads on few cores wait for the interpreter and for the machine in any case, so the same run without
updates is measured as well. The interpreter switches threads every tenth of a millisecond here instead of every five.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import threading
import time
from collections.abc import Sequence

import numpy as np
from engines import Row
from measure import Record, Timing
from workloads import Workload, identity

import fastiam

THREADS = 8
LONG = 5_000_000  # nanoseconds


class DecidingThreads:
    """Threads that decide until they are stopped, and record how long each decision took."""

    def __init__(self, live: fastiam.LiveEngine, rows: Sequence[Row]) -> None:
        self.longest: list[int] = []
        self.asked = self.long = 0
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(live, rows[i::THREADS])) for i in range(THREADS)]

    def _ask(self, live: fastiam.LiveEngine, rows: Sequence[Row]) -> None:
        clock, asked, long, longest = time.perf_counter_ns, 0, 0, 0
        while not self._is_over.is_set():
            for principal, action, resource, context in rows[:500]:
                began = clock()
                live.is_allowed(principal, action, resource, context)
                taken = clock() - began
                longest = max(longest, taken)
                long += taken > LONG
            asked += 500
        self.longest.append(longest)
        self.asked += asked
        self.long += long

    def __enter__(self) -> DecidingThreads:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()


def reload(record: Record, work: Workload, updates: int) -> None:
    """The figures of one directory."""
    live = fastiam.LiveEngine(work.directory)
    rows = work.columns("strings").rows(np.arange(THREADS * 500))
    for row in rows:
        live.is_allowed(*row)
    names = sorted(work.policies_of)
    with DecidingThreads(live, rows) as quiet:
        time.sleep(5)
    times = []
    with DecidingThreads(live, rows) as busy:
        for n in range(updates):
            statement = {"Effect": "Deny", "Action": f"s3:Made{n}", "Resource": f"arn:aws:s3:::bkt/{n}"}
            work.directory.put_inline_policy(names[n % len(names)], "new", {"Version": "2012-10-17", "Statement": statement})
            began = time.perf_counter_ns()
            live.refresh()
            times.append(time.perf_counter_ns() - began)
    alone = []
    for n in range(20):
        work.directory.put_inline_policy(names[n], "newer", {"Version": "2012-10-17", "Statement": statement})
        began = time.perf_counter_ns()
        live.refresh()
        alone.append(time.perf_counter_ns() - began)
    record.add(work.name, "fastiam", "update, alone", Timing(statistics.median(alone), min(alone), max(alone)))
    record.add(work.name, "fastiam", f"update, {THREADS} threads ask", Timing(statistics.median(times), min(times), max(times)))
    for name, run in (("without updates", quiet), (f"with {updates} updates", busy)):
        print(f"{name}: {run.asked:,} decisions, {run.long} over 5 ms, the longest took {max(run.longest) / 1e6:.2f} ms")
        record.lines.append({"run": name, "decisions": run.asked, "over_5_ms": run.long, "longest_ms": max(run.longest) / 1e6})


def main() -> None:
    """Runs the bench and writes its record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--updates", type=int, default=1_000)
    updates = parser.parse_args().updates
    sys.setswitchinterval(0.0001)
    record = Record("reload")
    for roles in (2_000, 50_000):
        reload(record, identity(roles, rows=THREADS * 500), updates)
    record.write()


if __name__ == "__main__":
    main()
