"""The compiled engine decides as the specification evaluator does: outcome, layer, statement, flags (spec D50, D51, F6).

Short enough for every run of the suite; `tests/tools/fuzz.py` runs for any time.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from case_files import load_batches
from differential import N_AD_HOC, compare_directory, examine, fails_ad_hoc, shrink
from runners import HAS_ENGINE

needs_engine = pytest.mark.skipif(not HAS_ENGINE, reason="the compiled engine is not built yet")
N_DIRECTORIES, N_ROWS = 100, 60  # with N_AD_HOC 20,000 comparisons: one by one, NumPy and Arrow


def compared(kind: str, seeds: range, folder: Path) -> tuple[int, str]:
    """How many comparisons were made up to the first difference, and that difference as a case, shrunk."""
    made = 0
    for seed in seeds:
        n, files = examine(kind, seed, N_ROWS, folder)
        made += n
        if files:
            return made, f"seed {seed}:\n{files[0].read_text()}"
    return made, ""


@pytest.mark.slow
@needs_engine
@pytest.mark.parametrize("part", range(4))
def test_ad_hoc_policies_engine_equals_spec(part, tmp_path):
    made, difference = compared("ad_hoc", range(part, N_AD_HOC, 4), tmp_path)
    assert not difference, difference
    assert made == N_AD_HOC // 4


@pytest.mark.slow
@needs_engine
@pytest.mark.parametrize("part", range(4))
def test_directories_engine_equals_spec(part, tmp_path):
    made, difference = compared("directory", range(part, N_DIRECTORIES, 4), tmp_path)
    assert not difference, difference
    assert made >= 0.96 * 3 * N_ROWS * N_DIRECTORIES // 4


@needs_engine
@pytest.mark.parametrize("case", load_batches(), ids=lambda case: case["id"])
def test_repeated_batches_decide_equally(case):
    """Batches that once differed although no row of them did alone."""
    assert not list(compare_directory(case))


def test_shrinking_keeps_the_deciding_parts():
    """A fault that needs one statement keeps that statement alone."""
    case = {
        "mode": "strict",
        "policies": {"identity_policies": [{"Statement": [{"Action": "a"}, {"Action": "b", "Sid": "x"}]}, {}], "scps": [[]]},
        "request": {"principal": "p", "action": "b", "resource": "*", "context": {"k": "v"}},
    }
    small = shrink(
        case,
        lambda c: any(s.get("Action") == "b" for p in c["policies"].get("identity_policies", []) for s in p.get("Statement", [])),
    )
    assert small["policies"] == {"identity_policies": [{"Statement": [{"Action": "b"}]}]}
    assert small["request"] == {"principal": "p", "action": "b", "resource": "*", "context": {}}


@needs_engine
def test_agreeing_case_does_not_fail():
    assert not fails_ad_hoc(
        {
            "mode": "strict",
            "policies": {},
            "request": {"principal": "*", "action": "s3:GetObject", "resource": "*", "context": {}},
        }
    )
