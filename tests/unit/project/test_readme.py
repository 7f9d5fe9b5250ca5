"""The tutorial, from an export to a server, as a reader types it; and the length of the README."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cloudtrail_records import record, write_log

import fastiam
from fastiam.cli.main import run

ROOT = Path(__file__).resolve().parents[3]
SHELL = re.compile(r"^```sh\n(.*?)^```", re.M | re.S)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork") or shutil.which("curl") is None, reason="needs fork and curl")
def test_tutorial_ends_with_a_revocation_in_forked_workers(tmp_path: Path) -> None:
    pytest.importorskip("gunicorn")
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    for name, module in (("fastiam", "fastiam.cli.main"), ("gunicorn", "gunicorn")):  # as an installation has them
        script = tmp_path / "bin" / name
        script.parent.mkdir(exist_ok=True)
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {module} "$@"\n')
        script.chmod(0o755)
    blocks = SHELL.findall((ROOT / "docs/tutorial.md").read_text())
    assert len(blocks) == 2
    script_text = "\n".join(("set -eu", *blocks)).replace("127.0.0.1:8000", f"127.0.0.1:{free_port()}")
    environment = os.environ | {
        "PATH": os.pathsep.join((str(tmp_path / "bin"), os.environ["PATH"])),
        "PYTHONPATH": os.pathsep.join((str(Path(fastiam.__file__).parents[1]), *filter(None, sys.path))),
    }
    done = subprocess.run(
        ["sh", "-c", script_text], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    answers = re.findall(r"^(\w+) (\w+), decided by process \d+$", done.stdout, re.M)
    assert answers == [("ALLOW", "identity"), ("IMPLICIT_DENY", "identity")], done.stdout + done.stderr
    assert "assumed-role/Publisher/lea" in done.stdout


def test_readme_lines_for_frames_decide_their_frames() -> None:
    duckdb, pandas, polars = (pytest.importorskip(name) for name in ("duckdb", "pandas", "polars"))
    role = "arn:aws:iam::111111111111:role/etl"
    allow = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}
    directory = fastiam.Directory()
    directory.add_principal(role, identity_policies=[allow])
    directory.add_resource("arn:aws:s3:::b", account="111111111111")
    columns = {"principal": [role] * 2, "action": ["s3:GetObject", "s3:PutObject"], "resource": ["arn:aws:s3:::b/x"] * 2}
    con = duckdb.connect()
    con.register("requests", polars.DataFrame(columns))
    frames = {"Polars": polars.DataFrame(columns), "pandas": pandas.DataFrame(columns), "DuckDB": None}
    lines = dict(re.findall(r"^\| (\w+) \| `(import fastiam\.\w+;.*)` \|$", (ROOT / "README.md").read_text(), re.M))
    assert lines.keys() == frames.keys() | {"Spark"}  # tests/clusters/test_spark.py
    for name in frames:
        names = {"engine": directory.compile(), "con": con, "requests": frames[name]}
        exec(lines[name], names)
        decided: Any = names["decided"]
        frame = decided.df() if name == "DuckDB" else decided
        assert list(frame["allowed"]) == [True, False], name


def test_readme_fits_on_two_screens_and_links_the_tutorials() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 120
    assert "(docs/tutorial.md)" in text and "(docs/tutorial-sessions.md)" in text


def test_readme_lines_for_reviews_and_logs_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = dict(re.findall(r"^\| a ([\w ]+) \| `fastiam (.*?)`", (ROOT / "README.md").read_text(), re.M))
    assert lines.keys() == {"pull request", "log"}
    monkeypatch.chdir(tmp_path)
    account = json.loads((ROOT / "examples/account.json").read_text())
    Path("account.json").write_text(json.dumps(account))
    user = account["UserDetailList"][0]
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    user["UserPolicyList"] = [{"PolicyName": "All", "PolicyDocument": everything}]
    Path("changed.json").write_text(json.dumps(account))
    assert run(shlex.split(lines["pull request"])) in (2, 4)
    assert user["Arn"] in Path("review.html").read_text()
    write_log(Path("cloudtrail/log.json"), record("s3:GetObject", None, {"bucketName": "reports", "key": "may"}))
    assert run(shlex.split(lines["log"])) == 2
