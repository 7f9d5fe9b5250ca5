"""A store of a user, and processes that use one."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

from fastiam import Directory
from fastiam.directory.account_records import Tables

A = "111111111111"
ALLOW = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}


def user(name: object) -> str:
    return f"arn:aws:iam::{A}:user/{name}"


def tables_of(directory: Directory) -> Tables:
    return directory.snapshot().tables


def names(path: Path) -> set[str]:
    with Directory.open(path, create=False, read_only=True) as directory:
        return {entity.name for entity in tables_of(directory).entities.values()}


def run(code: str, *arguments: object, **more: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.run(command, text=True, capture_output=True, timeout=60, **more)


def counter(path: Path, name: str) -> int:
    connection = sqlite3.connect(path)
    (value,) = connection.execute("SELECT value FROM counters WHERE name = ?", (name,)).fetchone()
    connection.close()
    return int(value)
