"""The profile of property tests, and fixtures of all tests."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
import spec_memo
from hypothesis import HealthCheck, settings
from seeds import few_or_all
from surroundings import SHARED

settings.register_profile(
    "fastiam",
    deadline=None,
    derandomize=True,
    max_examples=few_or_all(40, 100),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("fastiam")
spec_memo.memoise()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared data. Skip the test if the folder is missing."""
    if not SHARED.is_dir():
        pytest.skip(f"no shared data at {SHARED}")
    return SHARED


def pytest_collection_finish() -> None:
    """PERF: leave the cases and modules of the suite out of garbage collection; a full one takes half a second otherwise."""
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """PERF: leave out what the tests of a file have left in caches, too. Some tests collect garbage a hundred times."""
    yield
    if nextitem is None or nextitem.path != item.path:
        gc.collect()
        gc.freeze()
