"""`Decisions.missing_keys` counts the rows whose plans read a key that no column supplies (D75), on any path of the engine."""

from __future__ import annotations

import json
import random
from collections import Counter
from typing import Any

import case_files as casefile
import policy_generators as strategies
import pytest
from differential import World, _cells
from runners import COLUMNS, ERRORS

from fastiam.errors import DirectoryError, PolicyError
from fastiam.model.key_registry import fold, spelled

N_ROWS = 60
MANY = 1_500  # rows: several blocks


def compared(world: World, rng: random.Random) -> int:
    """Compare the counts of several batches with the specification; how many rows were counted under some key."""
    kept = {key for key in world.keys if rng.random() < 0.5}
    folded = {fold(key) for key in kept}
    rows, contexts, counts = [], [], []
    for row in world.rows:
        if row.get("resource_account") is not None:
            continue
        context = {key: value for key, value in casefile.context_of(row).items() if key in kept}
        try:
            keys = world.missing(row, dict.fromkeys(kept) | context, folded)
        except ERRORS:
            continue
        rows.append(row)
        contexts.append(context)
        counts.append(keys)
    if not rows:
        return 0
    names = [row["principal"] if isinstance(row["principal"], str) else json.dumps(row["principal"]) for row in rows]
    sessions = {json.dumps(row["principal"]): world.subject(row) for row in rows if not isinstance(row["principal"], str)}
    engine, n_counted = world.compile(), 0
    for form, order in (
        ("numpy", list(range(len(rows)))),
        ("arrow", list(range(len(rows))) * -(-MANY // len(rows))),
        ("dictionary", list(range(len(rows))) * -(-MANY // len(rows))),
        ("dictionary", list(range(len(rows)))),
    ):

        def column(values: list[Any], form: str = form, order: list[int] = order) -> Any:
            return COLUMNS[form](values, order)

        for reasons in (False, True):
            decisions = engine.decide_many(
                column(names),
                column([row["action"] for row in rows]),
                column([row["resource"] for row in rows]),
                {key: column(_cells(contexts, key)) for key in sorted(kept)},
                unknown=world.unknown,
                sessions=sessions,
                now=world.now,
                reasons=reasons,
                on_error="deny",
            )
            wanted = Counter(spelled(key) for at, i in enumerate(order) if at not in decisions.errors for key in counts[i])
            assert decisions.missing_keys == dict(wanted), (form, reasons)
            n_counted += sum(wanted.values())
    return n_counted


@pytest.mark.parametrize("part", range(4))
def test_missing_keys_are_those_of_the_specification(part: int) -> None:
    n_counted = 0
    for seed in range(part, 24, 4):
        try:
            world = World(strategies.directory(seed, N_ROWS))
        except (PolicyError, DirectoryError):
            continue
        n_counted += compared(world, random.Random(seed))
    assert n_counted > 5_000
