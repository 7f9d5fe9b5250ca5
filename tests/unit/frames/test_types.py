"""What a type checker knows about calls over frames: the kind of the result, and the names of the options."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from fastiam.frames.arguments import FrameArguments, FrameOptions

PROGRAM = """
import duckdb
import polars as pl
import fastiam
import fastiam.polars
from typing import assert_type

def program(engine: fastiam.Engine, live: fastiam.LiveEngine, shared: fastiam.SharedEngine) -> None:
    df, lf = pl.DataFrame(), pl.LazyFrame()
    assert_type(engine.decide_frame(df, keep=False), pl.DataFrame)
    assert_type(live.decide_frame(lf), pl.LazyFrame)
    assert_type(shared.decide_frame([{"principal": "*", "action": "s3:GetObject", "resource": "*"}]), fastiam.Table)
    assert_type(fastiam.polars.decide(df, engine, add=["allowed"]), pl.DataFrame)
    assert_type(fastiam.polars.authorized(lf, live), pl.LazyFrame)
    assert_type(fastiam.polars.allowed("principal", engine, context=["aws:SourceIp"]), pl.Expr)
    engine.decide_frame(df, kep=False)
"""


@pytest.mark.slow
def test_type_checker_knows_the_result_and_the_options(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    pytest.importorskip("polars")
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--no-error-summary",
        "--cache-dir",
        str(tmp_path / "cache"),
        str(program),
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    errors = [line for line in done.stdout.splitlines() if ": error: " in line]
    last = PROGRAM.rstrip().count("\n") + 1
    assert errors and all(line.startswith(f"program.py:{last}:") and "kep" in done.stdout for line in errors), (
        done.stdout + done.stderr
    )


def test_options_are_the_fields_of_the_arguments() -> None:
    fields = {field.name for field in dataclasses.fields(FrameArguments)}
    assert FrameOptions.__annotations__.keys() == fields - {"with_summary"}  # of `decide_frame_with_summary`
