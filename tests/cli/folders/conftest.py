"""Jobs of `fastiam authorize` over folders."""

from __future__ import annotations

from pathlib import Path

import pytest
from folder_jobs import NOW, Call, write_policies

from fastiam.cli.main import run


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with `policies.json` in it."""
    write_policies(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def call(folder: Path, capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs `fastiam authorize` to a folder or file: exit code, and standard error."""

    def call(*arguments: str) -> tuple[int, str]:
        code = run(["authorize", "--policies", "policies.json", "--now", NOW, *arguments])
        return code, capsys.readouterr().err

    return call
