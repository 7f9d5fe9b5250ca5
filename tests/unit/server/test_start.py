"""What `fastiam serve` leaves out so that it starts fast (G218)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from fastiam.cli.verbs.serve import command


@pytest.mark.parametrize(("given", "used"), [(None, "1"), ("4", "4")])
def test_serve_keeps_numpy_from_starting_threads(
    given: str | None, used: str, engine_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", given or "")
    if given is None:
        monkeypatch.delenv("OPENBLAS_NUM_THREADS")
    result = CliRunner().invoke(command, ["--check", str(engine_file)], standalone_mode=False)
    assert result.exception is None and os.environ["OPENBLAS_NUM_THREADS"] == used
