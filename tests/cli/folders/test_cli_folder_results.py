"""Folders of results of `fastiam authorize`: mirrored, partitioned, resumed after a failure or a kill."""

from __future__ import annotations

import gzip
import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow.parquet as pq
import pytest
from folder_jobs import (
    KEY,
    NOW,
    Call,
    outcomes,
    outcomes_csv,
    result,
    summary,
    write,
    write_policies,
)

from fastiam.cli.files import partitions
from fastiam.cli.main import run

REQUEST = ["principal", "action", "resource"]


def content(folder: str | Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(Path(folder).rglob("*")) if path.is_file()}


# -- Folders of results ------------------------------------------------------------------------------------------------


def test_mirrored_results_have_the_names_of_the_requests(call: Call) -> None:
    write("logs/day=1/a.parquet")
    write("logs/b.csv", form="csv")
    Path("logs/c.csv.gz").write_bytes(gzip.compress(Path("logs/b.csv").read_bytes()))
    write("logs/d.jsonl", form="jsonl")
    assert call("--requests", "logs", "--out", "results", "--mirror")[0] == 0
    assert sorted(content("results")) == ["_SUMMARY.json", "b.csv", "c.csv", "d.jsonl", "day=1/a.parquet"]
    assert call("--requests", "logs", "--out", "more/", "--mirror", "--out-format", "jsonl")[0] == 0
    assert sorted(content("more")) == ["_SUMMARY.json", "b.jsonl", "c.jsonl", "d.jsonl", "day=1/a.jsonl"]
    assert {*outcomes("more/b.jsonl"), *outcomes("more/day=1/a.jsonl"), *outcomes_csv("results/c.csv")} == {"ALLOW"}


def test_two_files_with_one_result_name_are_refused(call: Call) -> None:
    write("x/a.parquet")
    write("y/a.parquet")
    code, err = call("--requests", "x", "--requests", "y", "--out", "results", "--mirror")
    assert code == 1 and "would replace those of `x/a.parquet`" in err and not Path("results").exists()


def test_partitions_hold_the_rows_of_their_values(call: Call) -> None:
    regions = ["eu", "us", None, "a/b=ü", "__HIVE_DEFAULT_PARTITION__", "", ".."]
    for name in "ab":
        write(
            f"logs/{name}.parquet",
            rows=7,
            region=regions,
            n=list(range(7)),
            action=["s3:GetObject", "iam:GetUser"] * 3 + ["s3:X"],
        )
    assert call("--requests", "logs", "--out", "results", "--partition-by", "region,outcome", "--keep", "n")[0] == 0
    files = sorted(content("results"))
    assert "region=eu/outcome=ALLOW/a.parquet" in files and "region=a%2Fb%3D%C3%BC/outcome=IMPLICIT_DENY/b.parquet" in files
    rows = [(row["n"], row["file"]) for file in files if file.endswith("parquet") for row in with_file(f"results/{file}")]
    assert sorted(n for n, _ in rows) == sorted([*range(7)] * 2)
    assert pq.read_table("results/region=eu/outcome=ALLOW/a.parquet", partitioning=None).column_names[:4] == [*REQUEST, "n"]
    again = Path("again.jsonl")  # our own reading of these folders
    columns = ["--keep", "region", "--keep", "n", "--map", "reason=", "--map", "layer=", "--map", "outcome=", "--map", "n="]
    drop = [
        part for name in ("allowed", "policy", "sid", "assumed_owner", "error", "depends_on") for part in ("--map", f"{name}=")
    ]
    assert call("--requests", "results/", "--out", str(again), *columns, *drop)[0] == 0
    assert {(row["n"], row["region"]) for row in result(str(again))} == set(enumerate(regions))


def with_file(path: str) -> list[dict[str, Any]]:
    return [row | {"file": path} for row in pq.read_table(path, partitioning=None).to_pylist()]


def test_partitions_are_read_by_duckdb_and_polars(call: Call) -> None:
    write("logs/a.parquet", rows=3, region=["eu", None, "a b/c"], n=[0, 1, 2])
    assert call("--requests", "logs", "--out", "results", "--partition-by", "region", "--keep", "n")[0] == 0
    expected = [(0, "eu"), (1, None), (2, "a b/c")]
    rows = duckdb.read_parquet("results/**/*.parquet", hive_partitioning=True).order("n").project("n, region").fetchall()
    assert rows == expected
    frame = pl.read_parquet("results/**/*.parquet", hive_partitioning=True).sort("n")
    assert list(frame.select("n", "region").iter_rows()) == expected


def test_rows_of_a_partition_keep_their_order(call: Call) -> None:
    n = 200_000  # several batches
    write("logs/a.parquet", rows=n, n=list(range(n)), part=[str(i % 3) for i in range(n)])
    assert call("--requests", "logs", "--out", "results", "--partition-by", "part", "--keep", "n")[0] == 0
    for part in range(3):
        assert pq.read_table(f"results/part={part}/a.parquet", partitioning=None)["n"].to_pylist() == list(range(part, n, 3))


def test_value_too_long_for_a_folder_stays_in_its_file(call: Call) -> None:
    values = ["x" * 300, "x" * 301, "ü" * 100, "eu", None]
    write("logs/a.parquet", rows=5, region=values, n=[0, 1, 2, 3, 4])
    assert call("--requests", "logs", "--out", "results", "--partition-by", "region,outcome", "--keep", "n")[0] == 0
    found = {}
    for path in Path("results").rglob("*.parquet"):
        table = pq.read_table(path, partitioning=None)
        folder = path.parent.parent.name
        assert len(folder.encode()) <= 255 and table.num_rows == 1
        assert ("region" in table.column_names) == ("~" in folder)
        found[table["n"][0].as_py()] = table["region"][0].as_py() if "~" in folder else folder
    assert found == {0: values[0], 1: values[1], 2: values[2], 3: "region=eu", 4: "region=__HIVE_DEFAULT_PARTITION__"}


def test_too_many_partitions_are_refused(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitions, "MOST", 3)
    write("logs/a.parquet", rows=4, n=["1", "2", "3", "4"])
    code, err = call("--requests", "logs", "--out", "results", "--partition-by", "n")
    assert code == 1 and "more than 3 partitions by `n`" in err and not Path("results").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--resume", "--out", "out.parquet"],
        ["--mirror", "--partition-by", "day", "--out", "results"],
        ["--mirror", "--out", "-"],
        ["--partition-by", "a,,b", "--out", "results"],
        ["--partition-by", "a,a", "--out", "results"],
    ],
)
def test_options_that_exclude_each_other_are_refused(arguments: list[str], call: Call) -> None:
    write("logs/a.parquet")
    assert call("--requests", "logs", *arguments)[0] == 64


def test_a_folder_needs_files_and_an_existing_parent(call: Call, folder: Path) -> None:
    os.mkfifo(folder / "pipe.csv")
    code, err = call("--requests", "pipe.csv", "--out", "results", "--mirror")
    assert code == 1 and "needs requests from files" in err
    write("a.parquet")
    code, err = call("--requests", "a.parquet", "--out", "none/results", "--mirror")
    assert code == 1 and "there is no folder" in err
    code, err = call("--requests", "a.parquet", "--out", "policies.json", "--mirror")
    assert code == 1 and "it is not a folder" in err


def test_the_summary_names_the_engine(call: Call) -> None:
    write("logs/a.parquet")
    assert run(["compile", "policies.json", "--out", "e.fastiam", "--quiet"]) == 0
    digest = hashlib.sha256(Path("e.fastiam").read_bytes()).hexdigest()
    assert call("--requests", "logs", "--out", "one", "--mirror")[0] == 0
    run(["authorize", "--engine", "e.fastiam", "--now", NOW, "--requests", "logs", "--out", "two", "--mirror", "--quiet"])
    assert summary("one")["engine"] == summary("two")["engine"] == digest
    assert content("one") == content("two")


# -- Resuming ----------------------------------------------------------------------------------------------------------


def test_a_folder_with_files_is_refused(call: Call, folder: Path) -> None:
    write("logs/a.parquet")
    (folder / "results").mkdir()
    (folder / "results/mine.txt").write_text("mine")
    for more in ([], ["--resume"]):
        code, err = call("--requests", "logs", "--out", "results", "--mirror", *more)
        assert code == 1 and "the folder is not empty" in err
    assert content("results") == {"mine.txt": b"mine"}


def test_a_finished_job_is_continued_with_new_files_only(call: Call, folder: Path) -> None:
    for name in "abc":
        write(f"logs/{name}.parquet", rows=2, **{"aws:SourceIp": "203.0.113.9"})
    assert call("--requests", "logs", "--out", "whole", "--mirror")[0] == 0
    (folder / "logs/b.parquet").rename(folder / "b.parquet")
    arguments = ["--requests", "logs", "--out", "results", "--mirror"]
    assert call(*arguments)[0] == 0
    code, err = call(*arguments)
    assert code == 1 and "the folder is not empty" in err and "`--resume`" in err
    before = (folder / "results/a.parquet").stat().st_mtime_ns
    finished = (folder / "results/_SUMMARY.json").stat().st_mtime_ns
    assert call(*arguments, "--resume")[0] == 0
    assert (folder / "results/_SUMMARY.json").stat().st_mtime_ns == finished
    (folder / "b.parquet").rename(folder / "logs/b.parquet")
    code, err = call(*arguments, "--resume")
    assert code == 0 and "6 rows" in err
    assert (folder / "results/a.parquet").stat().st_mtime_ns == before
    assert content("results") == content("whole")


@pytest.mark.parametrize("layout", [["--mirror"], ["--partition-by", "part"]])
def test_lost_results_are_written_again(layout: list[str], call: Call, folder: Path) -> None:
    for name in "ab":
        write(f"logs/{name}.parquet", rows=2, part=["1", "2"])
    arguments = ["--requests", "logs", "--out", "results", *layout]
    assert call(*arguments)[0] == 0
    whole = content("results")
    lost = next(path for path in Path("results").rglob("b.parquet"))
    lost.unlink()
    next(path for path in Path("results").rglob("a.parquet")).write_bytes(b"short")
    assert call(*arguments, "--resume")[0] == 0
    assert content("results") == whole


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (["--keep", "n"], "another `keep`"),
        (["--map", "n="], "another `map`"),
        (["--on-error", "deny"], "another `on_error`"),
        (["--out-format", "csv"], "another `out_format`"),
        (["--now", "2026-11-26T09:00:00Z"], "another `now`"),
        (["--unknown-owner", "deny"], "by another engine"),
    ],
)
def test_another_job_is_not_continued(more: list[str], named: str, call: Call) -> None:
    write("logs/a.parquet", n="1")
    arguments = ["--requests", "logs", "--out", "results", "--mirror"]
    assert call(*arguments)[0] == 0
    whole = content("results")
    code, err = call(*arguments, "--resume", *more)
    assert code == 1 and named in err
    assert content("results") == whole


def test_changed_and_missing_requests_are_not_continued(call: Call, folder: Path) -> None:
    for name in "ab":
        write(f"logs/{name}.parquet")
    arguments = ["--requests", "logs", "--out", "results", "--mirror", "--resume"]
    assert call(*arguments)[0] == 0
    write("logs/b.parquet", rows=2)
    code, err = call(*arguments)
    assert code == 1 and "logs/b.parquet: the file has changed" in err
    (folder / "logs/b.parquet").unlink()
    code, err = call(*arguments)
    assert code == 1 and "the results of `b.parquet` are there" in err


def test_a_resumed_job_keeps_its_time(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    write("logs/a.parquet")
    arguments = ["authorize", "--policies", "policies.json", "--requests", "logs", "--out", "results", "--mirror", "--resume"]
    assert run(arguments) == 0
    now = summary("results")["now"]
    write("logs/b.parquet")
    assert run(arguments) == 0
    assert summary("results")["now"] == now and len(summary("results")["files"]) == 2


def test_a_failed_job_is_continued_when_the_file_is_mended(call: Call) -> None:
    for name in "abc":
        write(f"logs/{name}.csv", form="csv", resource="no ARN" if name == "b" else KEY)
    arguments = ["--requests", "logs", "--out", "results", "--mirror"]
    assert call(*arguments)[0] == 1
    assert sorted(content("results")) == ["_PROGRESS", "a.csv"]
    write("logs/b.csv", form="csv")
    assert call(*arguments, "--resume")[0] == 0
    assert call("--requests", "logs", "--out", "whole", "--mirror")[0] == 0
    assert content("results") == content("whole")


def test_a_damaged_progress_is_refused(call: Call, folder: Path) -> None:
    write("logs/a.parquet")
    (folder / "results").mkdir()
    for text in ("{}\n", "no JSON\n", '{"files": 1}\n', "[]\n"):
        (folder / "results/_PROGRESS").write_text(text)
        code, err = call("--requests", "logs", "--out", "results", "--mirror", "--resume")
        assert code == 1 and "`_PROGRESS` is not of such a job" in err
        assert (folder / "results/_PROGRESS").read_text() == text


def test_a_folder_that_a_job_writes_to_is_locked(call: Call, folder: Path) -> None:
    import fcntl

    write("logs/a.parquet")
    (folder / "results").mkdir()
    with open(folder / "results/_PROGRESS", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        code, err = call("--requests", "logs", "--out", "results", "--mirror", "--resume")
    assert code == 1 and "another job writes to the folder" in err


KILLED = """
import os, signal, sys
from fastiam.cli.files import result_folder, writers
from fastiam.cli.main import run
from fastiam.runtime import output_files

point, number = sys.argv[1], int(sys.argv[2])
calls = 0

def killing(of, name, which):
    original = getattr(of, name)
    def call(*arguments, **named):
        global calls
        calls += 1
        if calls == number:
            os.kill(os.getpid(), which)
        return original(*arguments, **named)
    setattr(of, name, call)

if point == "line":  # the results have their name, but the progress has no line
    killing(result_folder.ResultFolder, "finish_file", signal.SIGKILL)
elif point == "write":  # a result file is incomplete
    killing(output_files._Raw, "write", signal.SIGKILL)
elif point == "summary":  # only the summary is missing
    killing(result_folder.ResultFolder, "finish", signal.SIGKILL)
elif point == "torn":  # within a line of the progress
    original = os.write
    def torn(descriptor, data):
        global calls
        calls += data.startswith(b'{"file"')
        if calls == number:
            original(descriptor, data[:20])
            os.kill(os.getpid(), signal.SIGKILL)
        return original(descriptor, data)
    os.write = torn
else:
    killing(output_files._Raw, "write", signal.SIGINT)
sys.exit(run(sys.argv[3:]))
"""
LAYOUTS = {"mirror": ["--mirror"], "partitions": ["--partition-by", "part"]}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the requests `logs`, and for each layout the results of a job that was not killed."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    write_policies(folder)
    rows = 20_000
    for i in range(6):
        addresses = ["203.0.113.9" if n % 7 == i else "10.0.0.1" for n in range(rows)]
        columns = {"part": [str(n % 2) for n in range(rows)], "aws:SourceIp": addresses}
        write(str(folder / f"logs/d{i % 2}/{i}.parquet"), rows=rows, **columns)
    for name, layout in LAYOUTS.items():
        command = ["authorize", "--policies", f"{folder}/policies.json", "--now", NOW, "--requests", f"{folder}/logs", "--quiet"]
        assert run([*command, "--out", f"{folder}/{name}", *layout]) == 0
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("point", "number", "layout"),
    [
        ("line", 1, "mirror"),
        ("line", 4, "partitions"),
        ("write", 5, "mirror"),
        ("write", 11, "partitions"),
        ("torn", 3, "mirror"),
        ("summary", 1, "mirror"),
        ("interrupt", 6, "mirror"),
    ],
)
def test_a_killed_job_is_resumed_with_the_same_bytes(
    point: str, number: int, layout: str, uninterrupted: Path, folder: Path
) -> None:
    command = ["authorize", "--policies", f"{uninterrupted}/policies.json", "--now", NOW]
    command += ["--requests", f"{uninterrupted}/logs", "--out", "results", *LAYOUTS[layout]]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, point, str(number), *command], capture_output=True, text=True, check=False
    )
    assert not Path("results/_SUMMARY.json").exists()
    if point == "interrupt":
        assert done.returncode == 130 and "`--resume` continues in `results`" in done.stderr
    else:
        assert done.returncode == -signal.SIGKILL
    assert run([*command, "--resume", "--quiet"]) == 0
    assert content("results") == content(uninterrupted / layout)
