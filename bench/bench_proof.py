"""Proofs over 500 pairs of managed policies of AWS: 250 at random, and 250 edits of one policy.

Each answer is checked before a time counts: the engine decides each request that is found, and edits that only take access
away are proved. Without the collection (`shared/data` next to the repository) nothing is measured.
"""

from __future__ import annotations

import copy
import gzip
import json
import random
import statistics
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from measure import Record

import fastiam

POLICIES = Path(__file__).resolve().parents[2] / "shared/data/aws-managed-policies.jsonl.gz"
PROVED, NEW_ACCESS, UNDECIDED = fastiam.ProofResult.PROVED, fastiam.ProofResult.NEW_ACCESS, fastiam.ProofResult.UNDECIDED
NOW = datetime(2026, 1, 1, tzinfo=UTC)
Document = dict[str, Any]


def edited(document: Document, chance: random.Random) -> tuple[Document, Document, bool]:
    """Return an old and a new version, and whether the new one only takes access away."""
    changed = copy.deepcopy(document)
    statements = changed["Statement"] = listed(changed["Statement"])
    one = chance.choice(statements)
    edit = chance.choice(("drop", "deny", "condition", "narrow", "widen"))
    if edit == "drop" and one["Effect"] == "Allow" and len(statements) > 1:
        statements.remove(one)
    elif edit == "condition" and one["Effect"] == "Allow" and "Condition" not in one:
        one["Condition"] = {"Bool": {"aws:SecureTransport": "true"}}
    elif edit == "narrow" and one["Effect"] == "Allow" and len(listed(one.get("Action", []))) > 1:
        one["Action"] = listed(one["Action"])[1:]
    elif edit == "widen":
        statements.append({"Effect": "Allow", "Action": "s3:Get*", "Resource": "arn:aws:s3:::data/*"})
        return document, changed, False
    else:
        statements.append({"Effect": "Deny", "Action": "iam:*", "Resource": "*"})
    return (document, changed, True) if chance.random() < 0.5 else (changed, document, False)


def listed(value: Any) -> list[Any]:
    """The values of an element as a list."""
    return list(value) if isinstance(value, list) else [value]


def pairs(documents: list[Document]) -> dict[str, list[tuple[Document, Document, bool]]]:
    """Pairs by the way in which they are made; the last member says that the proof must succeed."""
    chance = random.Random(1)
    random_pairs = [(chance.choice(documents), chance.choice(documents), False) for _ in range(250)]
    return {"random": random_pairs, "edits": [edited(chance.choice(documents), chance) for _ in range(250)]}


def check(found: fastiam.Proof, old: Mapping[str, Any], new: Mapping[str, Any], *, must_hold: bool) -> None:
    """Check an answer by the engine."""
    assert not must_hold or found.result is PROVED, (found, old, new)
    if found.result is NEW_ACCESS:
        request = found.request
        assert request is not None
        decided = [
            fastiam.simulate(
                request.principal,
                request.action,
                request.resource,
                context=request.context,
                now=request.now or NOW,
                resource_account=request.resource_account,
                identity_policies=[document],
                mode="lenient",
            ).allowed
            for document in (old, new)
        ]
        needs_more = request.action.lower().startswith(("sts:", "kms:"))  # their resources need a policy too
        assert decided == [False, True] or needs_more, found


def main() -> None:
    """Measures both kinds of pairs, each pair by itself."""
    if not POLICIES.exists():
        print(f"not measured: {POLICIES} is missing")
        return
    with gzip.open(POLICIES, "rt") as lines:
        documents = [json.loads(line)["document"] for line in lines]
    record = Record("proof")
    undecided = total = 0
    for name, made in pairs(documents).items():
        results, taken = [], []
        for old, new, must_hold in made:
            began = time.process_time()
            found = fastiam.no_new_access(old, new, mode="lenient", timeout=None)
            taken.append(time.process_time() - began)
            check(found, old, new, must_hold=must_hold)
            results.append(found.result)
        counts = {result.value: results.count(result) for result in (PROVED, NEW_ACCESS, UNDECIDED)}
        undecided, total = undecided + counts["undecided"], total + len(made)
        ordered = sorted(taken)
        more = {"p90_ms": round(ordered[len(ordered) * 9 // 10] * 1e3, 1), "worst_ms": round(ordered[-1] * 1e3, 1)}
        record.value(f"proof {name}", "CPU a pair", "ms", [one * 1e3 for one in taken], pairs=len(made), **counts, **more)
        record.value(f"proof {name}", "pairs", "a second", [len(taken) / sum(taken)], better="more")
        print(f"{'':10}{counts}, median {statistics.median(taken) * 1e3:.1f} ms, {more}")
    record.value("proof", "undecided", "%", [100 * undecided / total], pairs=total)
    record.write()


if __name__ == "__main__":
    main()
