"""Long differential runs: `python tests/tools/fuzz.py --minutes 5`, `--count 20000`, `--seed 7`.

Generated cases are decided by the reference and by the engine, over loose documents and over directories in batches. What
differs is shrunk and kept in `tests/cases/found/`, where the test of cases runs it from then on. The exit code is 1 if
anything differed.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from differential import differs, examine

LOOSE_PER_DIRECTORY = 120


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=None, help="how long to run")
    parser.add_argument("--count", type=int, default=None, help="how many comparisons to make")
    parser.add_argument("--seed", type=int, default=0, help="where to start; a run is repeatable")
    parser.add_argument("--rows", type=int, default=60, help="requests per directory")
    parser.add_argument("--stop-at", type=int, default=10, help="how many differences are enough")
    parser.add_argument("--bare", action="store_true", help="only say whether something differs: nothing is shrunk or kept")
    told = parser.parse_args()
    if told.minutes is None and told.count is None:
        told.count = 20_000
    return told


def main() -> int:
    told = arguments()
    began, made, seed = time.monotonic(), 0, told.seed
    found: list[Path] = []

    def is_done() -> bool:
        late = told.minutes is not None and time.monotonic() - began > 60 * told.minutes
        return late or (told.count is not None and made >= told.count) or len(found) >= told.stop_at

    shown = began
    while not is_done():
        kind = "directory" if seed % (LOOSE_PER_DIRECTORY + 1) == 0 else "loose"
        n, files = (differs if told.bare else examine)(kind, seed, told.rows)
        made += n
        found += files
        seed += 1
        for path in files:
            print(f"difference: {path}", flush=True)
        if time.monotonic() - shown > 10:
            shown = time.monotonic()
            print(f"{made:,} comparisons, {len(found)} differences, seed {seed}, {shown - began:.0f} s", flush=True)
    print(f"{made:,} comparisons, {len(found)} differences, seeds {told.seed} to {seed - 1}, {time.monotonic() - began:.1f} s")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
