"""Counters of the process, and the way from an answer to the decision log (G181, G182, G185)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final, Protocol

from fastiam.server.decision_records import DecisionRecord, Item, Record
from fastiam.server.http import Request

BUCKETS: Final = (50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 100e-3, 250e-3, 1.0)
SIZES: Final = (1, 10, 100, 1_000, 10_000, 100_000, 1_000_000)
_BUCKETS_NS: Final = tuple(round(edge * 1e9) for edge in BUCKETS)


class Histogram:
    """Counts by upper edges."""

    __slots__ = ("counts", "edges", "total")

    def __init__(self, edges: tuple[float, ...]) -> None:
        self.edges = edges
        self.counts = [0] * (len(edges) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.edges, value)] += 1
        self.total += value


class Log(Protocol):
    """Where records of decisions go."""

    def write(self, record: Record, request: Request, elapsed_ns: int) -> bool:
        """Log a record if the configuration says so; False if it must be logged and cannot be."""

    def write_items(self, items: Sequence[Item], request: Request, elapsed_ns: int, size: int | None = None) -> bool:
        """The same for items of a batch, each by itself."""


class Observer:
    """The counters. Plain numbers, changed on the event loop only; labels are closed sets (G182)."""

    def __init__(self, log: Log | None = None) -> None:
        self.log = log
        self.requests: dict[tuple[str, str, int], int] = {}
        """By protocol, route and status."""
        self.decisions: dict[tuple[str, str, str], int] = {}
        """By protocol, outcome and layer."""
        self.durations: dict[str, Histogram] = {}
        self.sizes: dict[str, Histogram] = {}
        self.in_flight: dict[str, int] = {}
        self.refusals: dict[tuple[str, str], int] = {}
        """By protocol and reason."""

    def rejected(self, protocol: str | None, reason: str) -> None:
        """Count a request that was refused before a protocol saw it."""
        key = protocol or "none", reason
        self.refusals[key] = self.refusals.get(key, 0) + 1

    def decided(self, protocol: str, record: Record, request: Request, elapsed_ns: int) -> bool:
        """Count and log the decisions of a request; False if its answer must not be sent, since it cannot be logged."""
        counts = self.decisions
        if isinstance(record, DecisionRecord):
            decision = record.decision
            key = (protocol, "ERROR", "") if decision is None else (protocol, decision.outcome.name, decision.layer.value)
            counts[key] = counts.get(key, 0) + 1
        else:
            for (outcome, layer), count in record.outcomes.items():
                key = protocol, outcome, layer
                counts[key] = counts.get(key, 0) + count
            if record.errors:
                key = protocol, "ERROR", ""
                counts[key] = counts.get(key, 0) + record.errors
            self._sizes(protocol).add(record.size)
        log = self.log  # read once: a reload may replace it meanwhile
        return log is None or log.write(record, request, elapsed_ns)

    def log_items(self, items: Sequence[Item], request: Request, elapsed_ns: int) -> bool:
        """Log items of a stream, before it has ended; False if their answers must not be sent."""
        log = self.log
        return log is None or log.write_items(items, request, elapsed_ns)

    def answered(self, protocol: str, route: str, status: int, elapsed_ns: int) -> None:
        """Count an answer."""
        key = protocol, route, status
        self.requests[key] = self.requests.get(key, 0) + 1
        durations = self.durations.get(protocol)
        if durations is None:
            durations = self.durations[protocol] = Histogram(_BUCKETS_NS)
        durations.add(elapsed_ns)

    def _sizes(self, protocol: str) -> Histogram:
        sizes = self.sizes.get(protocol)
        if sizes is None:
            sizes = self.sizes[protocol] = Histogram(SIZES)
        return sizes
