"""The path of the shared data, the profile of property tests, and fixtures of all tests."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest
import spec_memo
from hypothesis import HealthCheck, settings

SHARED = Path(__file__).resolve().parents[1].parent / "shared" / "data"

settings.register_profile("fastiam", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("fastiam")
spec_memo.memoise()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared data. Skip the test if the folder is missing."""
    if not SHARED.is_dir():
        pytest.skip(f"no shared data at {SHARED}")
    return SHARED


def skip_where_sanitized() -> None:
    """Skip a test that measures memory: the allocator of a sanitizer keeps freed blocks."""
    if "asan" in os.environ.get("LD_PRELOAD", ""):
        pytest.skip("memory is not measured under a sanitizer")


def pytest_collection_finish() -> None:
    """PERF: leave the cases and modules of the suite out of garbage collection; a full one takes half a second otherwise."""
    gc.freeze()
