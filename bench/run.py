"""`make bench`: every bench in a process of its own, one after the other. `python bench/run.py batch growth` runs some."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BENCHES = ("batch", "growth", "single", "build", "reload", "files", "organization", "replay", "sessions", "questions")


def main() -> int:
    """Runs the benches named on the command line, or all; the exit code counts those that failed."""
    failed = 0
    for bench in sys.argv[1:] or BENCHES:
        print(f"\n== {bench}", flush=True)
        failed += subprocess.run([sys.executable, Path(__file__).parent / f"bench_{bench}.py"]).returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
