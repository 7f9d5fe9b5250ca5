"""A saved engine as the source of servers."""

from __future__ import annotations

from pathlib import Path

import pytest
from served_engine import write_engine


@pytest.fixture(scope="session")
def engine_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_engine(tmp_path_factory.mktemp("engine") / "engine.fastiam")
