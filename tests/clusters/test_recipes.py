"""The recipes of docs/clusters.md: each block ends in its assertions, and runs where its library is installed."""

from __future__ import annotations

from pathlib import Path

import pytest
from page_sections import run_section


def _run(heading: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    run_section("clusters.md", heading, folder)


def test_recipe_of_datafusion_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("datafusion", reason="pip install datafusion")
    _run("DataFusion", tmp_path, monkeypatch)


def test_recipe_of_delta_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("deltalake", reason="pip install deltalake")
    _run("Delta", tmp_path, monkeypatch)


def test_recipe_of_daft_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("daft", reason="pip install daft, which needs pyarrow 25")
    _run("Daft", tmp_path, monkeypatch)


@pytest.mark.slow
def test_recipe_of_dask_decides_in_two_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("dask.dataframe", reason="pip install 'dask[dataframe]'")
    _run("Dask", tmp_path, monkeypatch)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_recipe_of_ray_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray", reason="pip install ray")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
    try:
        _run("Ray", tmp_path, monkeypatch)
    finally:
        ray.shutdown()
