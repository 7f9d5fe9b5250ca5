"""`/metrics`: the counters of the process as samples, made when they are asked for (G181, G182)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from fastiam.server.call_log import CallCounts
from fastiam.server.log_writer import LogWriter
from fastiam.server.observer import Histogram, Observer

_SECOND = 1e9


class Metrics(Collector):
    """Reads the counters. No label has a value from a client (G182).

    Parameters
    ----------
    state
        gauges and counters of the process: `generation`, `loaded_at`, `reloads` by result, `reload_error`, `pool_queue`, and
        `engine`, the statistics of the engine.
    logs
        writers of decision logs by the kind of their sink.
    """

    def __init__(
        self,
        observer: Observer,
        calls: CallCounts,
        state: Callable[[], Mapping[str, Any]],
        logs: Callable[[], Mapping[str, LogWriter]],
    ) -> None:
        self._observer, self._calls, self._state, self._logs = observer, calls, state, logs
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def text(self, accept: str) -> tuple[bytes, str]:
        """The metrics and their content type; OpenMetrics if `Accept` asks for it."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type

    def collect(self) -> Iterator[Metric]:
        """The samples of now."""
        observer = self._observer
        decisions = CounterMetricFamily("fastiam_decisions", "Decisions.", labels=("door", "outcome", "layer"))
        for key, count in sorted(observer.decisions.items()):
            decisions.add_metric(key, count)
        yield decisions
        yield _by_code("fastiam_requests", "Requests answered.", ("door", "route"), observer.requests)
        rejected = CounterMetricFamily("fastiam_rejected", "Requests refused before a door saw them.", labels=("door", "reason"))
        for reason, count in sorted(observer.refusals.items()):
            rejected.add_metric(reason, count)
        yield rejected
        in_flight = GaugeMetricFamily("fastiam_in_flight", "Requests in work.", labels=("door",))
        for door, count in sorted(observer.in_flight.items()):
            in_flight.add_metric((door,), count)
        yield in_flight
        durations = HistogramMetricFamily("fastiam_request_duration_seconds", "Time to an answer.", labels=("door",))
        for door, histogram in sorted(observer.durations.items()):
            _add(durations, door, histogram, _SECOND)
        yield durations
        sizes = HistogramMetricFamily("fastiam_batch_size", "Decisions of a batch.", labels=("door",))
        for door, histogram in sorted(observer.sizes.items()):
            _add(sizes, door, histogram, 1)
        yield sizes
        yield from self._aws()
        yield from self._process()
        yield from self._log_metrics()

    def _aws(self) -> Iterator[Metric]:
        calls = self._calls
        yield _by_code("fastiam_aws_requests", "Calls of AWS services.", ("service", "operation"), calls.calls())
        for name, text, label, counts in (
            ("sts_sessions_issued", "Sessions issued.", "call", calls.sessions()),
            ("signature_failures", "Calls without a verified caller.", "reason", calls.faults()),
        ):
            family = CounterMetricFamily(f"fastiam_{name}", text, labels=(label,))
            for value, count in sorted(counts.items()):
                family.add_metric((value,), count)
            yield family

    def _process(self) -> Iterator[Metric]:
        state = self._state()
        yield GaugeMetricFamily("fastiam_generation", "Number of the policies in force.", value=state["generation"])
        yield GaugeMetricFamily(
            "fastiam_policies_loaded_timestamp_seconds", "When they were loaded.", value=state["loaded_at"], unit="seconds"
        )
        reloads = CounterMetricFamily("fastiam_reload", "Reloads.", labels=("result",))
        for result, count in sorted(state["reloads"].items()):
            reloads.add_metric((result,), count)
        yield reloads
        yield GaugeMetricFamily("fastiam_reload_error", "1 if the last reload failed.", value=int(state["reload_error"]))
        yield GaugeMetricFamily("fastiam_pool_queue", "Calls in threads or waiting for one.", value=state["pool_queue"])
        for name in ("bytes", "cache_limit", "statements", "principals"):
            if name in state["engine"]:
                yield GaugeMetricFamily(f"fastiam_engine_{name}", f"Of the engine: {name}.", value=state["engine"][name])

    def _log_metrics(self) -> Iterator[Metric]:
        logs = self._logs()
        for name in ("written", "dropped", "bytes"):
            family = CounterMetricFamily(f"fastiam_decision_log_{name}", f"Decision log: {name}.", labels=("sink",))
            for sink, writer in logs.items():
                family.add_metric((sink,), getattr(writer, name))
            yield family
        queue = GaugeMetricFamily("fastiam_decision_log_queue", "Lines that wait.", labels=("sink",))
        for sink, writer in logs.items():
            queue.add_metric((sink,), writer.queue)
        yield queue


def _by_code(name: str, text: str, labels: tuple[str, str], counts: Mapping[tuple[str, str, int], int]) -> Metric:
    """Counts of answers by two labels and the HTTP status: the class of a success, and each error."""
    family = CounterMetricFamily(name, text, labels=(*labels, "code"))
    codes: dict[tuple[str, str, str], int] = {}
    for (first, second, status), count in counts.items():
        code = f"{status // 100}xx" if status < 400 else str(status)
        codes[first, second, code] = codes.get((first, second, code), 0) + count
    for key, count in sorted(codes.items()):
        family.add_metric(key, count)
    return family


def _add(family: HistogramMetricFamily, door: str, histogram: Histogram, scale: float) -> None:
    counts, buckets = 0, []
    for edge, count in zip((*histogram.edges, None), histogram.counts, strict=True):
        counts += count
        buckets.append(("+Inf" if edge is None else repr(edge / scale), counts))
    family.add_metric((door,), buckets, histogram.total / scale)
