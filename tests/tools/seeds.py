"""How many random worlds a test draws: few by default, all where `FASTIAM_ALL_SEEDS` is set, as `make debug ALL=1` does."""

from __future__ import annotations

import os


def few_or_all(few: int, all_: int) -> int:
    """The number of draws of a test."""
    return all_ if "FASTIAM_ALL_SEEDS" in os.environ else few


def seeds(few: int, all_: int) -> range:
    """Seeds for `pytest.mark.parametrize`."""
    return range(few_or_all(few, all_))
