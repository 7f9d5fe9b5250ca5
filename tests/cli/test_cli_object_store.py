"""`fastiam authorize` over an object store, section 2.4 of `docs/frames-spec.md`: Polars, or DuckDB without Polars."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tools.object_store import object_store

import fastiam
from fastiam.cli.files import object_store as store
from fastiam.cli.main import run

ACCOUNT = "111111111111"
ANA = f"arn:aws:iam::{ACCOUNT}:user/ana"
REQUEST = {"principal": ANA, "action": "s3:GetObject", "resource": "arn:aws:s3:::bkt/key"}
POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Action": "s3:*", "Resource": "*"},
        {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}},
    ],
}


def write(path: Path, **columns: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({name: [value] for name, value in (REQUEST | columns).items()}), path)


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of the bucket `bkt` of a local store; `policies.json` is in the working directory."""
    directory = fastiam.Directory()
    directory.add_principal(ANA, identity_policies=[POLICY])
    directory.dump(tmp_path / "policies.json")
    monkeypatch.chdir(tmp_path)
    bucket = tmp_path / "store/bkt"
    write(bucket / "logs/a.parquet", n="a")
    write(bucket / "logs/day=0/b.parquet", n=1, **{"aws:SourceIp": "203.0.113.9"})
    write(bucket / "logs/day=0/a[1].parquet", n="c")
    write(bucket / "logs/_temporary/d.parquet", n="d")
    write(bucket / "more/e.parquet", n="e")
    with object_store(tmp_path / "store") as endpoint:
        for name, value in {
            "ENDPOINT_URL": endpoint,
            "REGION": "us-east-1",
            "ACCESS_KEY_ID": "a",
            "SECRET_ACCESS_KEY": "b",
        }.items():
            monkeypatch.setenv(f"AWS_{name}", value)
        monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
        yield bucket


def authorize(*arguments: str) -> int:
    return run(["authorize", "--policies", "policies.json", "--now", "2026-11-25T09:00:00Z", "--quiet", *arguments])


def rows(path: str = "out.jsonl") -> list[tuple[str, str]]:
    return [(row["n"], row["outcome"]) for row in map(json.loads, Path(path).read_text().splitlines())]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("s3://bkt/logs/", [("a", "ALLOW"), ("c", "ALLOW"), ("1", "EXPLICIT_DENY")]),
        ("s3://bkt/logs/*/*.parquet", [("c", "ALLOW"), ("1", "EXPLICIT_DENY")]),
        ("s3://bkt/**/[!ab]*.parquet", [("e", "ALLOW")]),
        ("s3://bkt/logs/day=0/b.parquet", [(1, "EXPLICIT_DENY")]),
    ],
)
def test_polars_reads_an_object_store(source: str, expected: list[tuple[Any, str]], bucket: Path) -> None:
    assert authorize("--requests", source, "--out", "out.jsonl", "--keep", "n") == 0
    assert rows() == expected


def test_mirrored_objects_equal_those_of_a_folder(bucket: Path) -> None:
    for source, out in [("s3://bkt/logs", "one"), (f"{bucket}/logs", "two")]:
        assert authorize("--requests", source, "--out", out, "--mirror", "--keep", "n", "--keep", "day") == 0
    for name in ["a.parquet", "day=0/a[1].parquet", "day=0/b.parquet"]:
        assert (Path("one") / name).read_bytes() == (Path("two") / name).read_bytes()
    assert authorize("--requests", "s3://bkt/logs", "--out", "one", "--mirror", "--keep", "n", "--keep", "day", "--resume") == 0


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("s3://bkt/none/", "no object matches"),
        ("s3://bkt/none.parquet", "the object store cannot be read"),
        ("s3://bkt/logs/*.csv", "no object matches"),
        ("s3://*/a.parquet", "the pattern has no bucket"),
        ("ftp://bkt/a.parquet", "`ftp` is not a supported object store"),
    ],
)
def test_objects_that_cannot_be_read_are_errors(
    source: str, message: str, bucket: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert authorize("--requests", source, "--out", "out.jsonl") == 1
    err = capsys.readouterr().err
    assert f"{source}: " in err and message in err and not Path("out.jsonl").exists()


def test_other_formats_and_remote_results_are_refused(bucket: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = "s3://bkt/logs/a.parquet"
    assert authorize("--requests", source, "--requests-format", "csv", "--out", "out.jsonl") == 1
    assert "only Parquet files are read from an object store" in capsys.readouterr().err
    assert authorize("--requests", source, "--out", "s3://bkt/results/", "--mirror") == 64


def test_without_polars_and_extension_the_error_names_both(
    bucket: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(store, "find_spec", lambda _: None)
    monkeypatch.setattr(store, "EXTENSIONS", {"s3": "no_such_extension"})
    assert authorize("--requests", "s3://bkt/logs/", "--out", "out.jsonl") == 1
    assert "needs Polars, or DuckDB's extension `no_such_extension`" in capsys.readouterr().err


def test_without_polars_duckdb_lists_and_reads(bucket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By `file://` URLs: the extensions for object stores are a download."""
    monkeypatch.setattr(store, "find_spec", lambda _: None)
    monkeypatch.setattr(store, "EXTENSIONS", {"file": "parquet"})
    names = store.list_parquet(f"file://{bucket}/logs/")
    assert sorted(Path(name).name for name in names) == ["a.parquet", "a[1].parquet", "b.parquet", "d.parquet"]
    (batch,) = store.open_object(f"file://{bucket}/logs/day=0/a[1].parquet", None).batches
    assert batch.columns["n"].to_pylist() == ["c"]
