"""`fastiam authorize` over folders and patterns: order, columns, results in folders, and jobs that are killed and resumed.

The cases H36 to H40 are those of section 2.5 of `docs/frames-spec.md`.
"""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from folder_jobs import (
    ANA,
    KEY,
    Call,
    outcomes,
    outcomes_csv,
    result,
    summary,
    write,
)

# -- Which files are read, in which order ------------------------------------------------------------------------------


def test_h38_files_of_a_folder_are_decided_by_name(call: Call) -> None:
    for name in ["b.parquet", "a/z.parquet", "a-b.parquet", "B.parquet", "a.parquet"]:
        write(f"logs/{name}", n=name)
    assert call("--requests", "logs", "--out", "out.jsonl", "--keep", "n")[0] == 0
    order = ["B.parquet", "a/z.parquet", "a-b.parquet", "a.parquet", "b.parquet"]
    assert [row["n"] for row in result("out.jsonl")] == order
    first = Path("out.jsonl").read_bytes()
    assert call("--requests", "logs", "--out", "out.jsonl", "--keep", "n")[0] == 0
    assert Path("out.jsonl").read_bytes() == first


def test_h38_arguments_keep_their_order_and_files_occur_once(call: Call) -> None:
    for name in "abc":
        write(f"logs/{name}.parquet", n=name)
    arguments = [part for path in ("logs/c.parquet", "logs/*.parquet", "logs/") for part in ("--requests", path)]
    assert call(*arguments, "--out", "out.jsonl", "--keep", "n")[0] == 0
    assert [row["n"] for row in result("out.jsonl")] == ["c", "a", "b"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("logs/*.parquet", ["a"]),
        ("logs/**/*.parquet", ["a", "d1/b", "d1/e/c", "d2/b"]),
        ("logs/**", ["a", "d1/b", "d1/e/c", "d2/b"]),
        ("logs/d?/b.parquet", ["d1/b", "d2/b"]),
        ("logs/**/e/**/c.parquet", ["d1/e/c"]),
        ("logs/d[!1]/**", ["d2/b"]),
        ("logs/_*/*", ["_d/h"]),
        ("./l*/d1/*", ["d1/b"]),
    ],
)
def test_patterns_match_by_component(pattern: str, expected: list[str], call: Call) -> None:
    for name in ["a", "d1/b", "d1/e/c", "d2/b", "_d/h", ".x"]:
        write(f"logs/{name}.parquet", n=name)
    assert call("--requests", pattern, "--out", "out.jsonl", "--keep", "n")[0] == 0
    assert [row["n"] for row in result("out.jsonl")] == expected


def test_other_files_of_a_folder_are_counted(call: Call, folder: Path) -> None:
    write("logs/a.parquet")
    write("logs/b.csv", form="csv")
    for name in ["x.txt", "y.TXT", "README"]:
        (folder / "logs" / name).write_text("no requests")
    (folder / "elsewhere").mkdir()
    (folder / "logs/link").symlink_to(folder / "elsewhere")
    (folder / "logs/back.parquet").symlink_to("a.parquet")
    code, err = call("--requests", "logs", "--out", "out.jsonl")
    assert (code, len(result("out.jsonl"))) == (0, 3)
    assert "4 files in the folders are not requests" in err
    assert "2  .txt" in err and "1  no suffix" in err and "1  link to a folder" in err


def test_a_broken_link_in_a_folder_ends_the_job(call: Call, folder: Path) -> None:
    write("logs/a.parquet")
    (folder / "logs/b.parquet").symlink_to("gone.parquet")
    code, err = call("--requests", "logs", "--out", "out.jsonl")
    assert code == 1 and "logs/b.parquet" in err


@pytest.mark.parametrize("source", ["logs/*.csv", "none/*.csv", "empty", "logs/**/x"])
def test_h40_no_file_matches_is_an_error(source: str, call: Call, folder: Path) -> None:
    write("logs/a.parquet")
    (folder / "empty").mkdir()
    code, err = call("--requests", source, "--out", "results", "--mirror")
    assert code == 1 and source in err and "no file matches" in err
    assert not Path("results").exists()


@pytest.mark.parametrize(
    ("source", "out", "layout"),
    [
        ("logs", "logs/results", ["--mirror"]),
        ("logs", "logs", ["--mirror"]),
        ("logs/**/*.parquet", "logs/results", ["--mirror"]),
        ("logs/*/*.parquet", "logs/results", ["--partition-by", "action"]),
        ("*/*.parquet", "results", ["--mirror"]),
        ("logs", "logs/out.parquet", []),
        ("logs/*.jsonl", "logs/../logs/out.jsonl", []),
    ],
)
def test_h40_results_among_the_requests_are_refused(source: str, out: str, layout: list[str], call: Call) -> None:
    write("logs/a.parquet")
    write("logs/a.jsonl", form="jsonl")
    code, err = call("--requests", source, "--out", out, *layout)
    assert code == 1 and "the results would be among the requests" in err
    assert sorted(os.listdir("logs")) == ["a.jsonl", "a.parquet"] and not Path("results").exists()


@pytest.mark.parametrize(("source", "out"), [("logs/*.parquet", "logs/results"), ("logs", "logs/_results")])
def test_results_that_no_pattern_reaches_may_be_below(source: str, out: str, call: Call) -> None:
    write("logs/a.parquet")
    assert call("--requests", source, "--out", out, "--mirror")[0] == 0
    assert outcomes(f"{out}/a.parquet") == ["ALLOW"]


# -- Columns -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl"])
def test_h36_a_key_of_later_files_only_is_used(form: str, call: Call) -> None:
    write(f"logs/a.{form}", form=form)
    write(f"logs/b.{form}", form=form, **{"aws:SourceIp": "203.0.113.9"})
    write(f"logs/c.{form}", form=form, **{"aws:SourceIp": "10.0.0.1"})
    code, err = call("--requests", "logs", "--out", "out.jsonl")
    assert (code, outcomes("out.jsonl")) == (0, ["ALLOW", "EXPLICIT_DENY", "ALLOW"])
    assert "`aws:SourceIp`: absent in 1 of 3 files" in err


def test_h36_the_summary_counts_files_without_a_key(call: Call) -> None:
    write("logs/a.parquet", rows=2)
    write("logs/b.parquet", **{"aws:SourceIp": "203.0.113.9"})
    write("logs/empty.parquet", rows=0)
    assert call("--requests", "logs", "--out", "results", "--mirror")[0] == 0
    found = summary("results")
    assert found["columns"] == {"aws:SourceIp": {"files": 1, "absent": 1}}
    assert found["summary"]["outcomes"] == {"ALLOW": 2, "EXPLICIT_DENY": 1}
    assert {name: each["rows"] for name, each in found["files"].items()} == {"a.parquet": 2, "b.parquet": 1, "empty.parquet": 0}


def test_a_mapped_column_may_be_absent_in_some_files(call: Call) -> None:
    write("logs/a.parquet")
    write("logs/b.parquet", ip="203.0.113.9")
    assert call("--requests", "logs", "--out", "out.jsonl", "--map", "ip=aws:SourceIp")[0] == 0
    assert outcomes("out.jsonl") == ["ALLOW", "EXPLICIT_DENY"]
    code, err = call("--requests", "logs", "--out", "out.jsonl", "--map", "pi=aws:SourceIp")
    assert code == 1 and "there is no column `pi`" in err and "`ip`" in err


def test_a_file_without_actions_ends_the_job_first(call: Call) -> None:
    write("logs/a.parquet")
    pq.write_table(pa.table({"principal": [ANA], "resource": [KEY]}), "logs/b.parquet")
    code, err = call("--requests", "logs", "--out", "results", "--mirror")
    assert code == 1 and "logs/b.parquet: there is no column `action`" in err
    assert not Path("results").exists()


def test_kept_columns_have_one_type_in_all_results(call: Call) -> None:
    write("logs/a.parquet", n=pa.array([1], pa.int64()), m=1)
    write("logs/b.parquet")
    write("logs/c.parquet", n=pa.array([2], pa.int64()), m="x")
    assert call("--requests", "logs", "--out", "results", "--mirror", "--keep", "n", "--keep", "m")[0] == 0
    tables = [pq.read_table(f"results/{name}.parquet") for name in "abc"]
    assert len({str(table.schema) for table in tables}) == 1
    assert [(row["n"], row["m"]) for table in tables for row in table.to_pylist()] == [(1, "1"), (None, None), (2, "x")]


def test_a_kept_name_of_a_result_column_is_refused(call: Call) -> None:
    write("a.parquet", allowed=True, user=ANA)
    for more in (["--keep", "allowed"], ["--map", "principal=", "--map", "user=principal", "--keep", "principal"]):
        assert call("--requests", "a.parquet", "--out", "out.jsonl", *more)[0] == 64
    assert not Path("out.jsonl").exists()


def test_h37_folder_columns_are_text(call: Call) -> None:
    write("logs/day=0/a.parquet")
    write("logs/day=01/a.parquet")
    write("logs/day=__HIVE_DEFAULT_PARTITION__/a.parquet")
    assert call("--requests", "logs", "--out", "out.parquet", "--keep", "day")[0] == 0
    assert [row["day"] for row in result("out.parquet")] == ["0", "01", None]


def test_h37_a_folder_column_can_be_a_condition_key(call: Call) -> None:
    for region in ("eu-west-1", "us-east-1"):
        write(f"logs/region={region}/a.csv", form="csv")
    assert call("--requests", "logs/**/*.csv", "--out", "out.jsonl", "--map", "region=aws:RequestedRegion")[0] == 0
    assert outcomes("out.jsonl") == ["EXPLICIT_DENY", "ALLOW"]


def test_folder_columns_are_those_below_the_argument(call: Call) -> None:
    write("aws%3ASourceIp=203.0.113.9/day=1/a.parquet")
    assert call("--requests", "aws%3ASourceIp=203.0.113.9/day=1", "--out", "out.jsonl")[0] == 0
    assert outcomes("out.jsonl") == ["ALLOW"]
    assert call("--requests", "**/*.parquet", "--out", "out.jsonl")[0] == 0
    assert outcomes("out.jsonl") == ["EXPLICIT_DENY"]


def test_a_column_that_contradicts_its_folder_is_an_error(call: Call) -> None:
    write("logs/day=1/a.parquet", day=1)
    assert call("--requests", "logs", "--out", "out.jsonl", "--keep", "day")[0] == 0
    assert result("out.jsonl")[0]["day"] == 1
    for value in ("2", None):
        write("logs/day=1/b.parquet", day=pa.array([value], pa.string()))
        code, err = call("--requests", "logs", "--out", "out2.jsonl")
        assert code == 1 and "logs/day=1/b.parquet: the column `day` and the folder `day=...`" in err


@pytest.mark.parametrize("folder_name", ["day=1/day=2", "day=%FF"])
def test_folders_without_a_clear_value_are_errors(folder_name: str, call: Call) -> None:
    write(f"logs/{folder_name}/a.parquet")
    code, err = call("--requests", "logs", "--out", "out.jsonl")
    assert code == 1 and folder_name in err


# -- Broken files ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("on_error", ["raise", "deny"])
@pytest.mark.parametrize("layout", [["--out", "out.jsonl"], ["--out", "results", "--mirror"]])
def test_h39_a_broken_file_ends_the_job_with_its_name(layout: list[str], on_error: str, call: Call, folder: Path) -> None:
    write("logs/a.parquet")
    whole = (folder / "logs/a.parquet").read_bytes()
    (folder / "logs/b.parquet").write_bytes(whole[: len(whole) // 2])
    code, err = call("--requests", "logs", "--on-error", on_error, *layout)
    assert code == 1 and "logs/b.parquet: the file is damaged or incomplete" in err
    assert not Path("out.jsonl").exists() and not Path("results").exists()


def test_a_broken_row_names_its_file(call: Call) -> None:
    write("logs/a.csv", form="csv")
    write("logs/b.csv", form="csv", resource=[KEY, "no ARN"], principal=[ANA, ANA], action=["s3:GetObject"] * 2)
    code, err = call("--requests", "logs", "--out", "results", "--mirror")
    assert code == 1 and "logs/b.csv:3:" in err
    assert call("--requests", "logs", "--out", "results2", "--mirror", "--on-error", "deny")[0] == 0
    assert outcomes_csv("results2/b.csv") == ["ALLOW", "ERROR"]
    assert "logs/b.csv:3:" in summary("results2")["summary"]["first_errors"][0]
