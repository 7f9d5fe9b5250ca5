"""Single calls under pytest-benchmark: `make bench-single`. A call costs less than the harness, so each round makes many."""

from __future__ import annotations

import numpy as np
import pytest
from engines import Fastiam, Row
from workloads import identity

CALLS = 1_000


@pytest.fixture(scope="module")
def engine_and_rows() -> tuple[Fastiam, list[Row]]:
    work = identity(2_000, rows=CALLS)
    return Fastiam(work), work.columns("strings").rows(np.arange(CALLS))


@pytest.mark.parametrize("call", ["is_allowed", "decide"])
def test_single_call(call: str, engine_and_rows: tuple[Fastiam, list[Row]], benchmark: pytest.FixtureRequest) -> None:
    engine, rows = engine_and_rows
    one = getattr(engine.engine, call)

    def calls() -> int:
        for row in rows:
            one(*row)
        return len(rows)

    benchmark.extra_info["calls a round"] = CALLS
    assert benchmark(calls) == CALLS
