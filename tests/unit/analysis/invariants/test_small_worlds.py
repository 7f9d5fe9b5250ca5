"""Invariants of random small organizations, against the decisions of all requests of their universe."""

from __future__ import annotations

from collections import Counter

import pytest
from seeds import seeds
from small_world_checks import check_world


@pytest.mark.parametrize("first", [2 * number for number in seeds(50, 500)])
def test_no_request_contradicts_a_proof(first: int) -> None:
    counts: Counter[str] = Counter()
    for seed in range(first, first + 2):
        check_world(seed, counts)
    assert counts["holds"] + counts["fails"] >= 5, counts
