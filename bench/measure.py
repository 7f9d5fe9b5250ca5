"""Timings and their records. A record names machine, versions and commit, and keeps best and worst beside the median."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import fastiam

RECORDS = Path(__file__).parent / "record"


@dataclass(frozen=True)
class Timing:
    """Nanoseconds a request: median, best and worst of the repeats."""

    median: float
    best: float
    worst: float

    @property
    def per_second(self) -> float:
        """Requests a second at the median."""
        return 1e9 / self.median

    def __str__(self) -> str:
        return f"{self.median:10.1f} ns  ({self.best:.1f} to {self.worst:.1f})  {self.per_second:14,.0f}/s"


def measure(job: Callable[[], Any], n: int, *, repeats: int = 7) -> Timing:
    """The time of `job`, which decides `n` requests, after one run that does not count."""
    job()
    times = []
    for _ in range(repeats):
        began = time.perf_counter_ns()
        job()
        times.append((time.perf_counter_ns() - began) / n)
    return Timing(statistics.median(times), min(times), max(times))


class Record:
    """The lines of one bench, printed as they come and written at the end."""

    def __init__(self, bench: str) -> None:
        self.bench = bench
        self.lines: list[dict[str, Any]] = []

    def add(self, workload: str, engine: str, form: str, timing: Timing, **more: Any) -> None:
        """One figure."""
        self.lines.append({"workload": workload, "engine": engine, "form": form, **asdict(timing), **more})
        print(f"{workload:32s} {engine:10s} {form:24s} {timing}", flush=True)

    def ratio(self, name: str, value: float, limit: float) -> None:
        """A ratio of two figures, beside what it is promised to stay under."""
        self.lines.append({"ratio": name, "value": value, "limit": limit})
        print(f"{name:68s} {value:10.2f}  (to stay under {limit})", flush=True)

    def write(self) -> Path:
        """Writes the record; one a day and bench."""
        path = RECORDS / f"{datetime.now(UTC):%Y-%m-%d}-{self.bench}.json"
        RECORDS.mkdir(exist_ok=True)
        path.write_text(json.dumps({"bench": self.bench, **surroundings(), "lines": self.lines}, indent=1) + "\n")
        return path


def surroundings() -> dict[str, Any]:
    """What a figure depends on beside the code."""
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "cython": version("cython"),
        "fastiam": fastiam.__version__,
    }


def _commit() -> str:
    answer = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, cwd=RECORDS.parent)
    return answer.stdout.strip() or "unknown"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
