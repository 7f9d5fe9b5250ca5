"""What the project promises about speed, as data, and whether the records keep it. `make bench` prints it at the end.

A target is met if the median is on its side of the limit; where the limit is inside the spread of the repeats, the verdict says
so. A ratio is taken turn by turn where both figures have the same number of turns. A target without a record is `not measured`.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

Records = Mapping[str, Mapping[str, Any]]  # by the name of the bench


class Figure(NamedTuple):
    """The position of a figure in the records."""

    bench: str
    workload: str
    form: str
    engine: str = "fastiam"

    def of(self, records: Records) -> Mapping[str, Any] | None:
        """Its line."""
        key = self.workload, self.engine, self.form
        lines = records.get(self.bench, {}).get("lines", ())
        return next((line for line in lines if tuple(map(line.get, ("workload", "engine", "form"))) == key), None)


@dataclass(frozen=True)
class Target:
    """A limit. `unit` is the unit of the figure: `M/s` is a rate; `x` with `over` is how many times as fast as `over`
    (`at_least`), or how many times its time (at most)."""

    group: str
    what: str
    figure: Figure
    unit: str
    limit: float
    at_least: bool = False
    over: Figure | None = None

    @property
    def promise(self) -> str:
        """The limit in words."""
        return f"{'>=' if self.at_least else '<='} {self.limit:,g} {self.unit}"


class Verdict(NamedTuple):
    """The result of a target: median and spread in its unit; None without a record."""

    target: Target
    value: float | None = None
    low: float = 0.0
    high: float = 0.0

    @property
    def is_met(self) -> bool | None:
        """None: not measured."""
        if self.value is None:
            return None
        return self.value >= self.target.limit if self.target.at_least else self.value <= self.target.limit

    @property
    def words(self) -> str:
        """In words."""
        if self.is_met is None:
            return "not measured"
        close = ", within the spread" if self.low < self.target.limit < self.high else ""
        return ("met" if self.is_met else "NOT MET") + close

    @property
    def cells(self) -> tuple[str, str, str, str, str]:
        """What, promise, figure, spread, verdict."""
        figure, spread = (
            ("", "") if self.value is None else (_in_digits(self.value), f"{_in_digits(self.low)} to {_in_digits(self.high)}")
        )
        return self.target.what, self.target.promise, figure, spread, self.words


def judge(records: Records, targets: Sequence[Target] | None = None) -> list[Verdict]:
    """All targets beside what was measured."""
    return [_verdict(target, records) for target in (TARGETS if targets is None else targets)]


def _verdict(target: Target, records: Records) -> Verdict:
    line = target.figure.of(records)
    other = target.over.of(records) if target.over else None
    if line is None or (target.over and other is None):
        return Verdict(target)
    if other is not None:
        samples = _ratios(*((other, line) if target.at_least else (line, other)))
    else:
        samples = [_in_unit(value, line.get("unit", "ns"), target.unit) for value in _samples(line)]
    return Verdict(target, statistics.median(samples), min(samples), max(samples))


def _samples(line: Mapping[str, Any]) -> list[float]:
    """The repeats; of a record without them median, best and worst."""
    return line.get("samples") or [line["median"], line["best"], line["worst"]]


def _ratios(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[float]:
    """How many times `other` goes into `one`: turn by turn, or the medians and the widest spread."""
    if "samples" in one and "samples" in other and len(one["samples"]) == len(other["samples"]):
        return [a / b for a, b in zip(one["samples"], other["samples"], strict=True)]
    medians = one["median"] / other["median"]
    return sorted((one["best"] / other["worst"], medians, one["worst"] / other["best"]))


_NS = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}


def _in_unit(value: float, unit: str, wanted: str) -> float:
    if unit == wanted:
        return value
    if wanted == "M/s":
        return 1e3 / (value * _NS[unit])
    return value * _NS[unit] / _NS[wanted]


def _in_digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 1_000 else f"{value:.3g}"


# -- the targets --------------------------------------------------------------------------------------------------------------

BATCH, CALLS, GROWTH, PEERS, READY, ANALYSES = "batches", "single calls", "growth", "peers", "getting ready", "analyses"
SERVED = "served protocols"
FORMS = {"dictionary columns": "coded", "all columns plain strings": "strings", "every ARN unique": "strings, every ARN once"}
RATES = {2_000: (35, 16, 16), 50_000: (24, 11, 11)}


def _batches() -> list[Target]:
    found = []
    for n, limits in RATES.items():
        for (name, form), limit in zip(FORMS.items(), limits, strict=True):
            found.append(Target(BATCH, f"identity, {name}, {n:,}", Figure("batch", f"identity {n:,}", form), "M/s", limit, True))
        for name, form in FORMS.items():
            one, other = Figure("batch", f"layered {n:,}", form), Figure("batch", f"identity {n:,}", form)
            found.append(Target(BATCH, f"layered over identity, {name}, {n:,}", one, "x", 0.5, True, other))
    for kind in ("identity", "layered"):
        work = f"{kind} 2,000"
        one, with_reasons = Figure("batch", work, "coded"), Figure("batch", work, "coded, reasons")
        found.append(Target(BATCH, f"with reasons over without, {kind}", with_reasons, "x", 0.8, True, one))
    for form in ("coded", "strings"):
        one, two = Figure("batch", "identity 2,000", form), Figure("batch", "identity 2,000", f"{form}, 2 threads")
        found.append(Target(BATCH, f"two threads over one, {form}", two, "x", 1.9, True, one))
    return found


HOT, NEW, TUPLES = "is_allowed, three keys, hot", "is_allowed, three keys, all new", "list of tuples"


def _calls() -> list[Target]:
    found = []
    for n, new in ((2_000, 300), (50_000, 500)):
        work = f"identity {n:,}"
        found.append(Target(CALLS, f"`is_allowed`, three keys, hot, {n:,}", Figure("single", work, HOT), "ns", 100))
        found.append(Target(CALLS, f"`is_allowed`, three keys, every request new, {n:,}", Figure("single", work, NEW), "ns", new))
    small = "identity 2,000"
    found.append(Target(CALLS, "`decide`, hot", Figure("single", small, "decide, hot"), "ns", 250))
    one, many = Figure("single", small, NEW), Figure("single", small, TUPLES)
    found.append(Target(CALLS, "a list of tuples over single calls", many, "x", 1.4, True, one))
    return found


def _growth() -> list[Target]:
    found = []
    for kind in ("prefixes", "*-team-*"):
        few, some, many = (Figure("growth", f"one principal, {n} statements", kind) for n in ("10", "1,000", "10,000"))
        pattern = f"`{kind}`" if "*" in kind else kind
        found.append(Target(GROWTH, f"1,000 statements over 10, {pattern}", some, "x", 1.5, over=few))
        found.append(Target(GROWTH, f"1,000 statements, {pattern}", some, "us", 0.5))
        found.append(Target(GROWTH, f"10,000 statements over 10, {pattern}", many, "x", 2, over=few))
    return found


def _peers() -> list[Target]:
    limits = {
        "single calls over the fastest complete peer": 100,
        "single calls over cedarpy": 800,
        "batch over the batch of cedarpy": 1_000,
    }
    return [Target(PEERS, name, Figure("peers", "identity 2,000", name), "x", limit, True) for name, limit in limits.items()]


def _ready() -> list[Target]:
    large, small = "identity 50,000", "start-up"
    return [
        Target(
            READY, "compile 105,000 statements from a loaded directory", Figure("build", large, "directory to engine"), "s", 3
        ),
        Target(READY, "the same from JSON text", Figure("build", large, "JSON text to engine"), "s", 8),
        Target(READY, "one policy changed: `updated`", Figure("build", large, "one policy changed: updated"), "ms", 5),
        Target(
            READY, "memory over minified JSON, by `stats()`", Figure("build", large, "compiled, by stats(), to JSON"), "x", 1.5
        ),
        Target(
            READY,
            "the same, by the process (stricter than asked)",
            Figure("build", large, "compiled, by the process, to JSON"),
            "x",
            1.5,
        ),
        Target(
            READY,
            "a batch of a million rows, beyond columns and result (limit ours)",
            Figure("build", large, BATCH_PEAK),
            "MB",
            16,
        ),
        Target(READY, "`load` of the saved engine", Figure("saved", large, "load, by the clock"), "ms", 20),
        Target(READY, "`import fastiam` beyond NumPy", Figure("start", small, "import fastiam, beyond NumPy"), "ms", 60),
        Target(
            READY,
            "the same, up to `Engine` and `Directory` (stricter than asked)",
            Figure("start", small, "with all that an engine needs"),
            "ms",
            60,
        ),
    ]


BATCH_PEAK = "a batch of 1,000,000 rows, peak"

_ANALYSES = [
    Target(
        ANALYSES, "`who_can` over 10,000 principals, no unknown keys", Figure("questions", "who_can 10,000", "given"), "ms", 5
    ),
    Target(ANALYSES, "`diff` over a million-row log", Figure("questions", "diff layered 2,000", "coded"), "s", 2),
]


def _served() -> list[Target]:
    """Protocols of `fastiam serve`. Rates are those of a CPU second of the server: the load generator shares the cores."""
    found = [Target(SERVED, "Trino: a batch of 10,000 tables", Figure("protocols", "trino", "batch of 10,000 tables"), "ms", 15)]
    for workload, what, limit in (
        ("envoy", "HTTP, allowed", 15),
        ("envoy", "gRPC, allowed", 2.5),
        ("aws", "GetCallerIdentity", 3),
        ("aws", "GetUser", 2),
    ):
        figure = Figure("protocols", workload, f"{what}, per CPU second")
        found.append(Target(SERVED, f"{workload}: {what}, a CPU second", figure, "k/s", limit, True))
    writes = Figure("protocols", "aws", "CreateUser beside decisions, rate")
    found.append(Target(SERVED, "aws: durable CreateUser beside decisions", writes, "/s", 200, True))
    decisions = Figure("protocols", "aws", "decisions beside writes, p99")
    found.append(Target(SERVED, "single decisions beside those writes, p99", decisions, "ms", 10))
    return found


# promises that no time can show: each with the test that keeps it
PROMISES = {
    "rows and caches are bounded, and shown in `stats()`": "tests/engine/test_memory.py",
    "a saved engine is mapped: two processes share its pages": "tests/engine/test_engine_file.py",
    "a truncated, altered, older or foreign file is refused": "tests/engine/test_engine_file_hostile.py",
}
ROOT = Path(__file__).resolve().parents[1]

TARGETS = (*_batches(), *_calls(), *_growth(), *_peers(), *_ready(), *_ANALYSES, *_served())


def text(verdicts: Sequence[Verdict]) -> str:
    """The table for a terminal, and how many are met."""
    head = ("what", "target", "figure", "spread", "")
    rows = [head, *(verdict.cells for verdict in verdicts)]
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    lines, group = [], ""
    for verdict, row in zip([None, *verdicts], rows, strict=True):
        if verdict and verdict.target.group != group:
            group = verdict.target.group
            lines.append(f"-- {group}")
        lines.append("  ".join(cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True)).rstrip())
    return "\n".join([*lines, "-- checked by tests", *(f"{what}: {where}" for what, where in promises()), "", summary(verdicts)])


def summary(verdicts: Sequence[Verdict]) -> str:
    """How many targets are met."""
    met, missed, unknown = (sum(verdict.is_met is kind for verdict in verdicts) for kind in (True, False, None))
    return f"{met} of {len(verdicts)} targets met, {missed} not met, {unknown} not measured"


def markdown(verdicts: Sequence[Verdict]) -> list[str]:
    """The same as tables of a page."""
    lines: list[str] = []
    for group in dict.fromkeys(verdict.target.group for verdict in verdicts):
        lines += ["", f"| {group} | target | figure | spread | |", "|---|---:|---:|---:|---|"]
        lines += [f"| {' | '.join(verdict.cells)} |" for verdict in verdicts if verdict.target.group == group]
    lines += ["", "| checked by tests | |", "|---|---|", *(f"| {what} | {where} |" for what, where in promises())]
    return [*lines, "", f"{summary(verdicts)}.", ""]


def promises() -> list[tuple[str, str]]:
    """What tests keep, and where; a test that is not there keeps nothing."""
    return [(what, where if (ROOT / where).exists() else "NOT KEPT: no test") for what, where in PROMISES.items()]
