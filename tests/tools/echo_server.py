"""A server with the protocol `echo` alone: its configuration, its decisions and its metrics."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from served_engine import USER
from server_process import ROOT, Server, command

PLAIN = """
[listeners.main]
address = "127.0.0.1:0"
protocols = ["echo"]
[listeners.ops]
address = "127.0.0.1:0"
"""
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "src")}


def until(is_so: Callable[[], Any], seconds: float = 10.0) -> Any:
    """What a condition gives as soon as it is true."""
    ends = time.monotonic() + seconds
    while not (found := is_so()):
        assert time.monotonic() < ends, "it never became true"
        time.sleep(0.02)
    return found


def decide(server: Server, action: str = "s3:GetObject", **context: Any) -> Any:
    asked = {"principal": USER, "action": action, "resource": "arn:aws:s3:::b/k", "context": context}
    return server.ask("POST", "/decide", json.dumps(asked).encode())


def metric(server: Server, name: str) -> float:
    """The sum of a metric over its labels."""
    text = server.ask("GET", "/metrics", name="ops").body.decode()
    lines = [line for line in text.splitlines() if line.startswith(name)]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


def refused(*arguments: str | Path, cwd: Path, environ: dict[str, str] | None = None) -> str:
    """What a refused start says."""
    variables = {**ENVIRONMENT, **(environ or {})}
    done = subprocess.run(command(*arguments), cwd=cwd, capture_output=True, text=True, timeout=60, env=variables)
    assert done.returncode == 64, done
    return done.stderr
