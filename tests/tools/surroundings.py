"""What surrounds a run of the tests: shared data beside the project, and sanitizers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"


def skip_where_sanitized() -> None:
    """Skip a test that measures memory: the allocator of a sanitizer keeps freed blocks."""
    if "asan" in os.environ.get("LD_PRELOAD", ""):
        pytest.skip("memory is not measured under a sanitizer")
