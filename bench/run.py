"""`make bench`: every bench in a process of its own, one after the other, then the targets beside what was measured.

`python bench/run.py batch growth` runs some, and judges the targets that they are about. What this run did not measure counts as
not measured, whatever older records say.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import targets
from measure import RECORDS
from records import newest

HERE = Path(__file__).resolve().parent
FIRST = ("limits", "batch", "single", "growth", "peers", "build", "saved", "start", "questions")  # what the targets speak of


def benches() -> list[str]:
    """All benches by name, those of the targets first."""
    found = {path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py")}
    return [name for name in FIRST if name in found] + sorted(found - set(FIRST))


def main() -> int:
    """Runs the benches named on the command line, or all; the exit code counts those that failed."""
    began, failed = time.time(), []
    asked = sys.argv[1:] or benches()
    for bench in asked:
        print(f"\n== {bench}", flush=True)
        since = time.perf_counter()
        if subprocess.run([sys.executable, HERE / f"bench_{bench}.py"]).returncode:
            failed.append(bench)
        print(f"== {bench} took {time.perf_counter() - since:.0f} s", flush=True)
    fresh = {path.name for path in RECORDS.glob("*.json") if path.stat().st_mtime >= began}
    measured = {name: record for name, record in newest(RECORDS).items() if f"{record['time'][:10]}-{name}.json" in fresh}
    about = [target for target in targets.TARGETS if target.figure.bench in asked or not sys.argv[1:]]
    print(f"\n{targets.text(targets.judge(measured, about))}")
    print(f"\n{(time.time() - began) / 60:.1f} minutes" + (f"; failed: {', '.join(failed)}" if failed else ""))
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
