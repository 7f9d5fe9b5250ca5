"""Long differential runs: `python tests/tools/fuzz.py --minutes 5`, `--count 20000`, `--seed 7`.

The specification evaluator and the engine decide generated cases: ad-hoc policies, and directories in batches. A case with a
difference is reduced and written to `tests/cases/found/`, where it runs with the other cases. The exit code is 1 if there was a
difference, or, in a build with checks, if no row or call took one of the routes through the engine.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import spec_memo
from differential import differs, examine

from fastiam.kernel import testing

spec_memo.memoise()
AD_HOC_PER_DIRECTORY = 40
ENOUGH = 5_000  # comparisons: the largest part of them are rows of some dozens of directories


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=None, help="how long to run")
    parser.add_argument("--count", type=int, default=None, help="how many comparisons to make")
    parser.add_argument("--seed", type=int, default=0, help="where to start; a run is repeatable")
    parser.add_argument("--rows", type=int, default=60, help="requests per directory")
    parser.add_argument("--stop-at", type=int, default=10, help="stop after this number of differences")
    parser.add_argument("--bare", action="store_true", help="only report differences, do not reduce or write them")
    options = parser.parse_args()
    if options.minutes is None and options.count is None:
        options.count = 20_000
    return options


def main() -> int:
    options = arguments()
    began, made, seed = time.monotonic(), 0, options.seed
    found: list[Path] = []

    def is_done() -> bool:
        late = options.minutes is not None and time.monotonic() - began > 60 * options.minutes
        return late or (options.count is not None and made >= options.count) or len(found) >= options.stop_at

    shown = began
    while not is_done():
        kind = "directory" if seed % (AD_HOC_PER_DIRECTORY + 1) == 0 else "ad_hoc"
        n, files = (differs if options.bare else examine)(kind, seed, options.rows)
        made += n
        found += files
        seed += 1
        for path in files:
            print(f"difference: {path}", flush=True)
        if time.monotonic() - shown > 10:
            shown = time.monotonic()
            print(f"{made:,} comparisons, {len(found)} differences, seed {seed}, {shown - began:.0f} s", flush=True)
    print(f"{made:,} comparisons, {len(found)} differences, seeds {options.seed} to {seed - 1}, {time.monotonic() - began:.1f} s")
    return 1 if found or not were_all_routes_taken(made) else 0


def were_all_routes_taken(made: int) -> bool:
    """Whether each way to decide was taken; a build without checks counts none, and a short run may miss one."""
    taken = testing.routes()
    if testing.has_checks():
        print("routes: " + ", ".join(f"{name} {n:,}" for name, n in taken.items()))
    return not testing.has_checks() or made < ENOUGH or all(taken.values())


if __name__ == "__main__":
    sys.exit(main())
