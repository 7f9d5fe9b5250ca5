"""Folders of request files and their results."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

import fastiam

ACCOUNT = "111111111111"
ANA = f"arn:aws:iam::{ACCOUNT}:user/ana"
KEY = "arn:aws:s3:::bkt/key"
NOW = "2026-11-25T09:00:00Z"
POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Action": "s3:*", "Resource": "*"},
        {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}},
        {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"StringEquals": {"aws:RequestedRegion": "eu-west-1"}}},
    ],
}
Call = Callable[..., tuple[int, str]]


def write_policies(folder: Path) -> None:
    directory = fastiam.Directory()
    directory.add_principal(ANA, identity_policies=[POLICY])
    directory.add_resource("arn:aws:s3:::bkt", account=ACCOUNT)
    directory.dump(folder / "policies.json")


def write(path: str, rows: int = 1, form: str = "parquet", **columns: Any) -> None:
    """A file of requests that ana may make; a column is a value for all rows, or a list."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    values = {"principal": ANA, "action": "s3:GetObject", "resource": KEY} | columns
    lists = {name: value if isinstance(value, (list, pa.Array)) else [value] * rows for name, value in values.items()}
    frame = pl.DataFrame(pa.table(lists))
    getattr(frame, {"parquet": "write_parquet", "csv": "write_csv", "jsonl": "write_ndjson"}[form])(path)


def result(path: str) -> list[dict[str, Any]]:
    if path.endswith(".parquet"):
        rows: list[dict[str, Any]] = pq.ParquetFile(path).read().to_pylist()
        return rows
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def outcomes(path: str) -> list[str]:
    return [row["outcome"] for row in result(path)]


def summary(folder: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(Path(folder, "_SUMMARY.json").read_text())
    return read


def outcomes_csv(path: str) -> list[str]:
    return pl.read_csv(path)["outcome"].to_list()
