"""A store of many principals: opening it, writing to it, and how soon another process decides by what was written.

The writer is a process of its own; it says when its commit was done, and this one watches the store as a service does.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import Record, Timing
from workloads import identity

import fastiam

WRITER = """
import json, sys, time, fastiam
directory = fastiam.Directory.open(sys.argv[1])
for line in sys.stdin:
    arn, document = json.loads(line)
    began = time.perf_counter_ns()
    directory.put_inline_policy(arn, "edited", document)
    print(time.perf_counter_ns() - began, time.monotonic_ns(), flush=True)
"""


def timing(times: list[int]) -> Timing:
    """Median, best and worst."""
    times = sorted(times)
    return Timing(times[len(times) // 2], times[0], times[-1])


def once(job) -> tuple[object, Timing]:  # type: ignore[no-untyped-def]
    """What a job gives, and its time."""
    began = time.perf_counter_ns()
    found = job()
    return found, timing([time.perf_counter_ns() - began])


def store(record: Record, n_roles: int, edits: int, path: Path) -> None:
    """The figures of one store."""
    work = identity(n_roles, rows=1_000)
    names = sorted(work.policies_of)
    work.directory.dump(path.with_suffix(".json"))
    with fastiam.Directory.open(path, mode="lenient") as directory:
        _, taken = once(lambda: fastiam.load(path.with_suffix(".json"), into=directory))
    record.add(work.name, "fastiam", "import of a file", taken)
    directory, taken = once(lambda: fastiam.Directory.open(path))
    record.add(work.name, "fastiam", "open", taken)
    directory.close()
    live, taken = once(lambda: fastiam.LiveEngine(path))
    record.add(work.name, "fastiam", "open and compile", taken)
    writes, notices = [], []
    with live.watch(), subprocess.Popen([sys.executable, "-c", WRITER, path], stdin=-1, stdout=-1, text=True) as writer:
        for n in range(edits):
            arn, action = names[n * 7 % len(names)], f"s3:Made{n}"
            statement = {"Effect": "Allow", "Action": action, "Resource": "*"}
            print(json.dumps([arn, {"Version": "2012-10-17", "Statement": statement}]), file=writer.stdin, flush=True)
            while not live.is_allowed(arn, action, "arn:aws:s3:::bkt/x"):
                time.sleep(0.0005)
            seen = time.monotonic_ns()
            took, done = map(int, writer.stdout.readline().split())
            writes.append(took)
            notices.append(max(0, seen - done))
        writer.stdin.close()
    record.add(work.name, "fastiam", "one durable write", timing(writes))
    record.add(work.name, "fastiam", "from commit to decision", timing(notices))
    record.ratio("milliseconds from commit to decision, median", timing(notices).median / 1e6, 100)


def main() -> None:
    """Runs the bench and writes its record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edits", type=int, default=60)
    edits = parser.parse_args().edits
    record = Record("store")
    for n_roles in (2_000, 50_000):
        with tempfile.TemporaryDirectory() as folder:
            store(record, n_roles, edits, Path(folder, "iam.db"))
    record.write()


if __name__ == "__main__":
    main()
