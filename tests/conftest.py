"""What all tests share: where the shared data lies, and how property tests run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

SHARED = Path(__file__).resolve().parents[1].parent / "shared" / "data"

settings.register_profile("fastiam", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("fastiam")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared data; a test that needs it is skipped where it is absent."""
    if not SHARED.is_dir():
        pytest.skip(f"no shared data at {SHARED}")
    return SHARED


def skip_where_sanitized() -> None:
    """For what measures memory: the allocator of a sanitizer keeps what was freed."""
    if "asan" in os.environ.get("LD_PRELOAD", ""):
        pytest.skip("memory is not measured under a sanitizer")
