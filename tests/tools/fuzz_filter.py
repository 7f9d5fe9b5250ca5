"""Long comparison of filters with decisions: `python tests/tools/fuzz_filter.py --minutes 60 --seed 0`.

Each form of a filter over a random directory must equal `decide_many`, row by row, and its prefilter must drop no allowed row.
The exit code is 1 if there was a difference.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import filter_forms
import filter_worlds


def main() -> int:
    """Compare until the time is over, and print each difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60, help="how long to run")
    parser.add_argument("--seed", type=int, default=0, help="where to start; a run is repeatable")
    parser.add_argument("--rows", type=int, default=200, help="rows of each filter")
    parser.add_argument("--forms", default=",".join(filter_forms.FORMS), help="of these forms")
    options = parser.parse_args()
    began, seed, compared, differences = time.monotonic(), options.seed, 0, 0
    shown = began
    while time.monotonic() - began < 60 * options.minutes:
        for one in filter_worlds.decided([seed], options.rows):
            compared += 1
            found = [one.lost_row(), *(one.difference(form) for form in options.forms.split(",") if one.case.filter.exact)]
            for text in filter(None, found):
                differences += 1
                print(f"seed {seed}: {text}", flush=True)
        seed += 1
        if time.monotonic() - shown > 60:
            shown = time.monotonic()
            print(f"{compared:,} filters, {differences} differences, seed {seed}, {shown - began:.0f} s", flush=True)
    print(f"{compared:,} filters, {differences} differences, seeds {options.seed} to {seed - 1}")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
