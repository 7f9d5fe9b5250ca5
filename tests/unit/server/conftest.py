"""A saved engine as the source of servers, and a server over it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from echo_server import PLAIN
from served_engine import write_engine
from server_process import Server, running


@pytest.fixture(scope="session")
def engine_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_engine(tmp_path_factory.mktemp("engine") / "engine.fastiam")


@pytest.fixture
def server(tmp_path: Path, engine_file: Path) -> Iterator[Server]:
    with running(tmp_path / "run", engine_file, PLAIN, "--door", "echo") as server:
        yield server


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory, engine_file: Path) -> Iterator[Server]:
    """One process for all tests that leave it as it was: a start takes half a second of CPU."""
    with running(tmp_path_factory.mktemp("server") / "run", engine_file, PLAIN, "--door", "echo") as server:
        yield server
