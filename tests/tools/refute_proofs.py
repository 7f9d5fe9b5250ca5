"""Try to refute proofs by drawn requests: `python tests/tools/refute_proofs.py --pairs 1000 --requests 100 --kind identity`.

Prints each proof that a request refutes, and the number of pairs by result. The suite does the same with fewer pairs.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter

from directory_pairs import DirectoryPairMaker, arguments_of, engine_of, is_newly_allowed
from proof_pairs import PairMaker, ResourcePairMaker, newly_allowed, refutations

from fastiam.analysis.proof.prove import no_new_access
from fastiam.model.policy import PolicyKind


def main() -> int:
    """Return 1 if a proof is refuted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--requests", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=["identity", "resource", "trust", "rcp", "directories"], default="identity")
    given = parser.parse_args()
    if given.kind == "directories":
        return refute_directories(given.seed, given.pairs, given.requests)
    kind = PolicyKind(given.kind)
    results: Counter[str] = Counter()
    drawn = refuted = 0
    for seed in range(given.seed, given.seed + given.pairs):
        maker = PairMaker(seed, calm=0.2 + seed % 4 / 5) if kind is PolicyKind.IDENTITY else ResourcePairMaker(seed, kind)
        old, new = maker.pair()
        found = no_new_access(old, new, kind=given.kind, mode="lenient", timeout=None)
        results[found.result.value] += 1
        if not found.proved:
            continue
        drawn += given.requests
        if kind is PolicyKind.IDENTITY:
            requests = list(refutations(maker, old, new, given.requests))
        else:
            made = (maker.request(old, new) for _ in range(given.requests))
            requests = [one for one in made if newly_allowed(kind, old, new, one)]
        if requests:
            refuted += 1
            print(f"seed {seed} is refuted by {requests[0]}\nold {json.dumps(old)}\nnew {json.dumps(new)}")
    print(f"{kind.value}: {dict(results)}, {drawn:,} requests, {refuted} refuted")
    return 1 if refuted else 0


def refute_directories(first: int, n_pairs: int, n_requests: int) -> int:
    """Return 1 if a proof over two engines is refuted, or a request that it returns is not newly allowed."""
    results: Counter[str] = Counter()
    drawn = refuted = 0
    for seed in range(first, first + n_pairs):
        maker = DirectoryPairMaker(seed, calm=0.9)
        described = maker.directories()
        sides = [engine_of(one) for one in described]
        found = no_new_access(*sides, timeout=None)
        results[found.result.value] += 1
        wrong = []
        if found.proved:
            drawn += n_requests
            calls = (maker.call(*described) for _ in range(n_requests))
            wrong = [one for one in calls if is_newly_allowed(sides, one)]
        elif found.request is not None and not is_newly_allowed(sides, arguments_of(found.request)):
            wrong = [arguments_of(found.request)]
        if wrong:
            refuted += 1
            print(f"seed {seed}: {found.result} is refuted by {wrong[0]}")
    print(f"directories: {dict(results)}, {drawn:,} requests, {refuted} refuted")
    return 1 if refuted else 0


if __name__ == "__main__":
    raise SystemExit(main())
