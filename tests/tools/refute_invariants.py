"""Try to refute proofs of invariants over small organizations: `python tests/tools/refute_invariants.py --worlds 10000 --seed 0`.

Decides all requests of the universe of each organization. Prints the seed of each organization with a wrong proof or
counterexample, and the number of results. The suite does the same with fewer organizations.
"""

from __future__ import annotations

import argparse
import traceback
from collections import Counter

from small_world_checks import check_templates, check_world

from fastiam.testing.templates import template_names


def main() -> int:
    """Return 1 if a result is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=["worlds", "templates"], default="worlds")
    given = parser.parse_args()
    counts: Counter[str] = Counter()
    n_wrong = 0
    for number, seed in enumerate(range(given.seed, given.seed + given.worlds), start=1):
        try:
            if given.kind == "worlds":
                check_world(seed, counts)
            else:
                check_templates(seed, template_names()[seed % 15 :: 15], counts)
        except Exception:
            n_wrong += 1
            print(f"seed {seed}")
            traceback.print_exc()
        if number % 100 == 0:
            print(f"{number} organizations, {n_wrong} wrong: {dict(counts)}", flush=True)
    return 1 if n_wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
