"""Timings and their records. A record names machine, versions and commit, and keeps every repeat beside the median.

Figures that are reported as a ratio are measured in turns (`measure_together`), so that a slow minute of the machine falls on
both; the ratio is then taken turn by turn as well (`targets.py`).
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import fastiam

RECORDS = Path(os.environ.get("FASTIAM_BENCH_RECORDS") or Path(__file__).parent / "record")
REPEATS = 7


@dataclass(frozen=True)
class Timing:
    """Nanoseconds a request: median, best and worst of the repeats, and the repeats in their order."""

    median: float
    best: float
    worst: float
    samples: tuple[float, ...] = ()

    @classmethod
    def of(cls, samples: Sequence[float]) -> Timing:
        """From the repeats."""
        return cls(statistics.median(samples), min(samples), max(samples), tuple(samples))

    @property
    def per_second(self) -> float:
        """Requests a second at the median."""
        return 1e9 / self.median

    def __str__(self) -> str:
        return f"{self.median:10.1f} ns  ({self.best:.1f} to {self.worst:.1f})  {self.per_second:14,.0f}/s"


def measure(job: Callable[[], Any], n: int, *, repeats: int = REPEATS) -> Timing:
    """The time of `job`, which decides `n` requests, after one run that does not count."""
    return measure_together({"": job}, n, repeats=repeats)[""]


def measure_together(
    jobs: dict[str, Callable[[], Any]], n: int, *, repeats: int = REPEATS, twice: bool = False
) -> dict[str, Timing]:
    """The times of jobs that decide `n` requests each, one turn of all after the other.

    With `twice` a job runs twice each time, and the second run counts: a processor that slept while one thread worked wakes up
    in the first.
    """
    for job in jobs.values():
        job()
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(repeats):
        for name, job in jobs.items():
            if twice:
                job()
            times[name].append(clock(job)[1] / n)
    return {name: Timing.of(found) for name, found in times.items()}


def clock(job: Callable[[], Any]) -> tuple[Any, int]:
    """What a job gives, and the nanoseconds that it took."""
    began = time.perf_counter_ns()
    result = job()
    return result, time.perf_counter_ns() - began


class Record:
    """The lines of one bench, printed as they come and written at the end."""

    def __init__(self, bench: str) -> None:
        self.bench = bench
        self.lines: list[dict[str, Any]] = []
        self._began = time.perf_counter()

    def add(self, workload: str, engine: str, form: str, timing: Timing, **more: Any) -> None:
        """One figure: nanoseconds a request. `more` is stored beside it in the record."""
        self.lines.append({"workload": workload, "engine": engine, "form": form, **_rounded(timing), **more})
        print(f"{workload:32s} {engine:10s} {form:32s} {timing}", flush=True)

    def value(self, workload: str, form: str, unit: str, samples: Sequence[float], **more: Any) -> None:
        """A figure other than the time of a request: `unit` is what it counts (`s`, `ms`, `x`, ...).

        Less is better, unless `more` holds `better="more"`.
        """
        found = _rounded(Timing.of(samples))
        self.lines.append({"workload": workload, "engine": "fastiam", "form": form, "unit": unit, **found, **more})
        spread = f"({found['best']:,.4g} to {found['worst']:,.4g})"
        print(f"{workload:32s} {'fastiam':10s} {form:32s} {found['median']:10,.4g} {unit}  {spread}", flush=True)

    def ratio(self, name: str, value: float, limit: float) -> None:
        """A ratio of two figures, beside what it is promised to stay under."""
        self.lines.append({"ratio": name, "value": value, "limit": limit})
        print(f"{name:68s} {value:10.2f}  (to stay under {limit})", flush=True)

    def note(self, **facts: Any) -> None:
        """Facts that are not figures."""
        self.lines.append(facts)

    def write(self) -> Path:
        """Writes the record, a line of text for each of its lines; one a day and bench."""
        path = RECORDS / f"{datetime.now(UTC):%Y-%m-%d}-{self.bench}.json"
        RECORDS.mkdir(exist_ok=True, parents=True)
        head = {"bench": self.bench, **surroundings(), "took_seconds": round(time.perf_counter() - self._began, 1)}
        lines = ",\n  ".join(map(json.dumps, self.lines))
        path.write_text(f'{json.dumps(head, indent=1).removesuffix("}").rstrip()},\n "lines": [\n  {lines}\n ]\n}}\n')
        return path


def _rounded(timing: Timing) -> dict[str, Any]:
    """A timing for a record: five digits are more than it knows."""
    short = [float(f"{value:.5g}") for value in (timing.median, timing.best, timing.worst, *timing.samples)]
    found: dict[str, Any] = dict(zip(("median", "best", "worst"), short[:3], strict=True))
    return {**found, "samples": short[3:]} if timing.samples else found


def surroundings() -> dict[str, Any]:
    """What a figure depends on beside the code."""
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "cython": version("cython"),
        "fastiam": fastiam.__version__,
    }


def _commit() -> str:
    """The commit, and whether anything but records differs from it (a run writes those as it goes)."""
    top = Path(__file__).resolve().parents[1]
    if not shutil.which("git"):
        return "unknown"
    named = subprocess.run(["git", "describe", "--always"], capture_output=True, text=True, cwd=top).stdout.strip()
    changed = subprocess.run(["git", "diff", "--quiet", "HEAD", "--", ".", ":(exclude)bench/record"], cwd=top).returncode == 1
    return f"{named}-dirty" if named and changed else named or "unknown"


def _processor() -> str:
    """The name of the processor; a cloud has several under one name, so family and model are added."""
    path = Path("/proc/cpuinfo")
    pairs = [line.partition(":") for line in path.read_text().splitlines()] if path.exists() else []
    found = {name.strip(): value.strip() for name, _, value in reversed(pairs)}
    if "model name" not in found:
        return platform.processor() or platform.machine()
    return f"{found['model name']}, family {found.get('cpu family', '?')}, model {found.get('model', '?')}"
