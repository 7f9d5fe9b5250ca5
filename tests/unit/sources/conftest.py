"""Fixtures of the tests of sources."""

from __future__ import annotations

from pathlib import Path

import pytest
from terraform_directory import Planned


@pytest.fixture
def planned(tmp_path: Path) -> Planned:
    return Planned(tmp_path)
