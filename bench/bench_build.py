"""What it takes to get ready: JSON text to directory, directory to engine, and one policy changed; with the bytes that it takes.

50,000 roles with 109,000 statements, in our own format. Each turn loads the file anew, so that no compile finds work done. Memory
is that of `stats()` and the growth of a separate process when it compiles (after freed
memory is returned); a batch by the peak over what was there before it, columns and result left out.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from measure import Record, clock
from workloads import Workload, identity

import fastiam

N, TURNS, EDITS = 50_000, 3, 30
STATUS = Path("/proc/self/status")
MB = 1 << 20


def minified(work: Workload) -> tuple[int, int]:
    """Bytes of all different policy documents as JSON without spaces, and how many statements they hold."""
    documents = {json.dumps(one, separators=(",", ":")): one for policies in work.policies_of.values() for one in policies}
    statements = sum(len(document["Statement"]) for document in documents.values())
    return sum(len(text.encode()) for text in documents), statements


def building(record: Record, work: Workload, file: Path) -> None:
    """Seconds from text to directory to engine."""
    steps: dict[str, list[float]] = {"JSON text to engine": [], "directory to engine": []}
    for _ in range(TURNS):
        directory, loading = clock(lambda: fastiam.load(file))
        _, compiling = clock(directory.compile)
        steps["JSON text to engine"].append((loading + compiling) / 1e9)
        steps["directory to engine"].append(compiling / 1e9)
        del directory
    for step, seconds in steps.items():
        record.value(work.name, step, "s", seconds)


def updating(record: Record, work: Workload) -> None:
    """Milliseconds until an engine knows of one changed policy; each edit is of another role."""
    directory, times = work.directory, []
    engine = directory.compile()
    roles = list(work.policies_of)
    for i, role in enumerate(roles[:: len(roles) // EDITS][:EDITS]):
        action, resource = f"s3:Made{i}", "arn:aws:s3:::made/x"
        statement = {"Effect": "Allow", "Action": action, "Resource": resource}
        directory.put_inline_policy(role, "new", {"Version": "2012-10-17", "Statement": [statement]})
        engine, taken = clock(lambda engine=engine: engine.updated(directory))
        assert engine.is_allowed(role, action, resource), "an update that is not seen has no time"
        times.append(taken / 1e6)
    record.value(work.name, "one policy changed: updated", "ms", times)


def memory(record: Record, work: Workload, file: Path) -> None:
    """Bytes of an engine over those of its policies as JSON, and of a batch beyond its columns."""
    text, statements = minified(work)
    engine = work.directory.compile()
    record.note(statements=statements, roles=len(work.policies_of), minified_json=text)
    record.value(work.name, "compiled, by stats(), to JSON", "x", [engine.stats()["compiled_bytes"] / text])
    if STATUS.exists():
        grown = int(subprocess.run([sys.executable, __file__, "--grow", file], capture_output=True, check=True).stdout)
        record.value(work.name, "compiled, by the process, to JSON", "x", [grown / text])
    del engine


def batches(record: Record, work: Workload) -> None:
    """Megabytes at the peak of a batch, over what was there before it and the byte a row that is its result."""
    clear = Path("/proc/self/clear_refs")
    if not clear.exists():
        return
    engine = work.directory.compile()
    columns = work.columns("strings")
    asked = columns.principals, columns.actions, columns.resources
    for n in (len(columns) // 4, len(columns)):
        part = [column.slice(0, n) for column in asked]
        keys = {key: column.slice(0, n) for key, column in columns.context.items()}
        engine.decide_many(*part, keys)  # plans are built once
        _trim()
        clear.write_text("5")  # the peak starts anew
        before = _status("VmRSS")
        engine.decide_many(*part, keys)
        record.value(work.name, f"a batch of {n:,} rows, peak", "MB", [(_status("VmHWM") - before - n) / MB])


def grown(file: str) -> int:
    """Bytes by which this process grows when it compiles a file."""
    directory = fastiam.load(file)
    _trim()
    before = _status("VmRSS")
    engine = directory.compile()
    _trim()
    assert engine.stats()["statements"]
    return _status("VmRSS") - before


def _trim() -> None:
    """Gives back what was freed, where the C library can."""
    gc.collect()
    trim: Any = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _status(name: str) -> int:
    """A field of the status of this process, in bytes."""
    return next(int(line.split()[1]) << 10 for line in STATUS.read_text().splitlines() if line.startswith(name))


def main() -> None:
    """Runs the bench and writes its record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--roles", type=int, default=N)
    parser.add_argument("--grow", metavar="FILE", help="only print by how much the process grows when it compiles FILE")
    options = parser.parse_args()
    if options.grow:
        print(grown(options.grow))
        return
    record = Record("build")
    work = identity(options.roles)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "directory.json"
        file.write_text(work.directory.to_json())
        building(record, work, file)
        memory(record, work, file)
    batches(record, work)
    updating(record, work)
    record.write()


if __name__ == "__main__":
    main()
