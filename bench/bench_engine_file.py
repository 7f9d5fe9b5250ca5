"""A saved engine: writing it, mapping it, what a further process pays for it, and what it lacks beside one that is warm.

`load` is the time of the processor, in a process that has loaded the modules already; the file is in the cache of the system,
as it is for every process but the first. Plans are not saved, so the first batch builds them: it is shown beside the same batch
again.
Every loaded engine answers the batch, and its answers are compared, before any time counts.
"""

from __future__ import annotations

import argparse
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from bench_build import minified
from measure import Record, clock
from workloads import Workload, identity

from fastiam import Engine

N, TURNS = 50_000, 9
MB = 1 << 20
CHILD = """
import sys, time
began = time.perf_counter_ns()
import fastiam
def private():
    lines = open("/proc/self/smaps_rollup").read().splitlines()
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Private"))
fastiam.Engine, fastiam.Directory
import fastiam.engine.engine_file.engines
before = private()
engine = fastiam.Engine.load(sys.argv[1])
loaded = private()
assert engine.decide(sys.argv[2], "sts:GetCallerIdentity", "*").allowed
assert not engine.is_allowed(sys.argv[2], "s3:Nothing", "arn:aws:s3:::nowhere/x")
print(loaded - before, private() - before, time.perf_counter_ns() - began)
"""


def cpu(job: Callable[[], Any]) -> tuple[Any, int]:
    """What a job gives, and the nanoseconds of the processor."""
    began = time.thread_time_ns()
    return job(), time.thread_time_ns() - began


def decide(engine: Engine, work: Workload) -> np.ndarray:
    """The outcomes of all requests."""
    columns = work.columns("coded")
    return engine.decide_many(columns.principals, columns.actions, columns.resources, columns.context).outcome


def saved(record: Record, work: Workload, path: Path) -> None:
    """Seconds to save, bytes, and milliseconds to load and to unpickle."""
    engine = work.directory.compile()
    record.value(work.name, "save", "s", [clock(lambda: engine.save(path))[1] / 1e9 for _ in range(3)])
    text, _ = minified(work)
    record.value(work.name, "file over minified JSON", "x", [path.stat().st_size / text])
    expected = decide(engine, work)
    assert (decide(Engine.load(path), work) == expected).all(), "an engine that answers otherwise has no time"
    data, pickling = clock(lambda: pickle.dumps(engine))
    assert (decide(pickle.loads(data), work) == expected).all()
    record.value(work.name, "pickle", "s", [pickling / 1e9])
    for form, job in (("load", lambda: Engine.load(path)), ("unpickle", lambda: pickle.loads(data))):
        record.value(work.name, form, "ms", [cpu(job)[1] / 1e6 for _ in range(TURNS)])
    record.value(work.name, "load, by the clock", "ms", [clock(lambda: Engine.load(path))[1] / 1e6 for _ in range(TURNS)])


def cold(record: Record, work: Workload, path: Path) -> None:
    """Nanoseconds a row of the first batch of a loaded engine, and of the same batch again."""
    n, first, again = len(work.columns("coded")), [], []
    for _ in range(3):
        engine = Engine.load(path)
        first.append(cpu(lambda engine=engine: decide(engine, work))[1] / n)
        again.append(cpu(lambda engine=engine: decide(engine, work))[1] / n)
    record.value(work.name, f"the first {n:,} rows", "ns", first)
    record.value(work.name, "the same again", "ns", again)


def further(record: Record, work: Workload, path: Path) -> None:
    """What another process holds for itself while this one has the file mapped, and its time from nothing to an answer."""
    if not Path("/proc/self/smaps_rollup").exists():
        return
    loaded = Engine.load(path)
    command = [sys.executable, "-c", CHILD, str(path), next(iter(work.policies_of))]
    found = [subprocess.run(command, capture_output=True, text=True, check=True).stdout.split() for _ in range(5)]
    loaded, asked, taken = ([int(value) for value in values] for values in zip(*found, strict=True))
    record.value(work.name, "private memory of a process: loaded", "MB", [value / MB for value in loaded])
    record.value(work.name, "private memory of a process: asked", "MB", [value / MB for value in asked])
    record.value(work.name, "from `import fastiam` to an answer", "ms", [value / 1e6 for value in taken])
    assert loaded.stats()["principals"]


def updating(record: Record, work: Workload, path: Path) -> None:
    """Seconds until a loaded engine knows of one changed policy of its directory: every record is compared once."""
    role = next(iter(work.policies_of))
    statement = {"Effect": "Allow", "Action": "s3:Made", "Resource": "arn:aws:s3:::made/x"}
    work.directory.put_inline_policy(role, "new", {"Version": "2012-10-17", "Statement": [statement]})
    engine = Engine.load(path)
    engine, first = clock(lambda: engine.updated(work.directory))
    assert engine.is_allowed(role, "s3:Made", "arn:aws:s3:::made/x")
    work.directory.put_inline_policy(role, "new", {"Version": "2012-10-17", "Statement": [{**statement, "Effect": "Deny"}]})
    engine, second = clock(lambda: engine.updated(work.directory))
    assert not engine.is_allowed(role, "s3:Made", "arn:aws:s3:::made/x")
    record.value(work.name, "the first update after a load", "s", [first / 1e9])
    record.value(work.name, "the next one", "ms", [second / 1e6])


def main() -> None:
    """Runs the bench and writes its record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--roles", type=int, default=N)
    options = parser.parse_args()
    record, work = Record("saved"), identity(options.roles)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "engine.fastiam"
        saved(record, work, path)
        cold(record, work, path)
        further(record, work, path)
        updating(record, work, path)
    record.write()


if __name__ == "__main__":
    main()
