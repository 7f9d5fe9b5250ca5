"""`fastiam serve` at full rate while its store changes every second: is any answer wrong, old or lost, and how long is the pause?

`python bench/server_changes.py --minutes 10` starts a server over a store and loads it with single and batch evaluations. Another
process changes the store. Afterwards every different answer of each generation is compared with the specification evaluator.
A failed check makes the exit code 1. The rates include the load generator and the evaluator, which share the cores.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import re
import statistics
import sys
import tempfile
import time
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from bench_server import server
from changing_store import Asked, Change, ChangingStore, batches, requests
from measure import Record
from server_load import Address, request_of

SECOND = 1_000_000_000
WINDOW = 10_000_000  # nanoseconds; of each window of the run the longest request is kept
OLD = SECOND  # an answer of the generation before a change may come so long after the change
GROWTH = 16.0  # MiB that the server may grow between the middle and the last tenth of the run
BATCH = 12
SINGLES, BATCHES = 6, 2  # connections
_HEAD = re.compile(rb"HTTP/1\.1 (\d+) (?:.*\r\n)*?content-length: (\d+)\r\n", re.IGNORECASE)
_GENERATION = re.compile(rb"\r\nx-fastiam-generation: (\d+)\r\n", re.IGNORECASE)
_ID = re.compile(rb',"decision_id":"[^"]*"')


@dataclass
class Answers:
    """What the load has seen. Instants and times are nanoseconds of the monotonic clock.

    Attributes
    ----------
    counts : answers by the indices of their requests, generation, and body without decision id.
    received : the first and the last instant at which an answer of each generation was received.
    latencies : microseconds of each request.
    longest : of each window of the clock, the longest time of a request that was sent in it.
    """

    counts: dict[tuple[tuple[int, ...], int, bytes], int] = field(default_factory=dict)
    received: dict[int, list[int]] = field(default_factory=dict)
    latencies: array[int] = field(default_factory=lambda: array("I"))
    longest: dict[int, int] = field(default_factory=dict)
    sent: int = 0
    failed: list[str] = field(default_factory=list)


Job = tuple[tuple[int, ...], bytes]  # indices of the requests, and the request


class _Client(asyncio.Protocol):
    """One connection, on which requests follow each other."""

    def __init__(self, jobs: Sequence[Job], answers: Answers, ends: int, done: asyncio.Future[None]) -> None:
        self._jobs, self._answers, self._ends, self._done = jobs, answers, ends, done
        self._next = 0
        self._data = b""
        self._sent = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._send()

    def _send(self) -> None:
        self._asked, request = self._jobs[self._next % len(self._jobs)]
        self._next += 1
        self._answers.sent += 1
        self._sent = time.monotonic_ns()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, found, body = self._data.partition(b"\r\n\r\n")
        if not found:
            return
        read = _HEAD.match(head + b"\r\n")
        if read is None or read[1] != b"200":
            self._fail(head[:200].decode("latin-1"))
            return
        if len(body) < int(read[2]):
            return
        self._count(head, body)
        if self._sent >= self._ends:
            self._transport.close()
            self._done.set_result(None)
        else:
            self._data = b""
            self._send()

    def _count(self, head: bytes, body: bytes) -> None:
        answers, now = self._answers, time.monotonic_ns()
        generation = _GENERATION.search(head + b"\r\n")
        assert generation is not None, head
        number, took = int(generation[1]), now - self._sent
        key = self._asked, number, _ID.sub(b"", body)
        answers.counts[key] = answers.counts.get(key, 0) + 1
        times = answers.received.setdefault(number, [now, now])
        times[1] = now
        answers.latencies.append(took // 1000)
        window = self._sent // WINDOW
        if took > answers.longest.get(window, 0):
            answers.longest[window] = took

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._fail(f"the connection is lost: {exc}")

    def _fail(self, why: str) -> None:
        self._answers.failed.append(why)
        self._transport.abort()
        if not self._done.done():
            self._done.set_result(None)


# -- the load ---------------------------------------------------------------------------------------------------------------


def evaluation(request: Asked) -> dict[str, Any]:
    """A request as an AuthZEN evaluation."""
    principal, action, resource, context = request
    return {
        "subject": {"type": "user", "id": principal},
        "action": {"name": action},
        "resource": {"type": "object", "id": resource},
        "context": context,
    }


def jobs() -> tuple[list[Job], list[Job]]:
    """Single and batch requests."""
    asked = [evaluation(request) for request in requests()]
    singles: list[Job] = []
    for i, each in enumerate(asked):
        singles.append(((i,), request_of("/access/v1/evaluation", json.dumps(each).encode())))
    found: list[Job] = []
    for batch in batches(BATCH):
        body = json.dumps({"evaluations": [asked[i] for i in batch]}).encode()
        found.append((tuple(batch), request_of("/access/v1/evaluations", body)))
    return singles, found


def load(address: Address, ends: int) -> Answers:
    """Load a server until an instant of the monotonic clock."""
    answers = Answers()
    singles, together = jobs()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        connections = []
        for n in range(SINGLES + BATCHES):
            chosen = singles if n < SINGLES else together
            start = n * 7 % len(chosen)
            done: asyncio.Future[None] = loop.create_future()
            connections.append(done)

            def make(jobs: Any = chosen[start:] + chosen[:start], done: asyncio.Future[None] = done) -> _Client:
                return _Client(jobs, answers, ends, done)

            if isinstance(address, str):
                await loop.create_unix_connection(make, address)
            else:
                await loop.create_connection(make, *address)
        await asyncio.gather(*connections)

    asyncio.run(main())
    return answers


def _load_process(address: Address, seconds: float, pipe: Any) -> None:
    began = time.monotonic_ns()
    pipe.send(began)
    pipe.send(load(address, began + int(seconds * SECOND)))
    pipe.close()


# -- the run ----------------------------------------------------------------------------------------------------------------


@dataclass
class Run:
    """A run: the changes, the answers, and MiB of memory of the server by instant."""

    changes: list[Change]
    answers: Answers
    memory: list[tuple[int, float]]
    seconds: float


def run(folder: Path, seconds: float, *, every: float = 1.0, roles: int = 2_000) -> Run:
    """Load a server over a new store for some time, and change the store as often."""
    store = ChangingStore(folder / "store", roles)
    changes = [store.first()]
    memory = []
    context = multiprocessing.get_context("spawn")
    with server(folder, folder / "store") as (addresses, pid, _):
        here, there = context.Pipe(duplex=False)
        # a second more, so that the last change is answered too
        process = context.Process(target=_load_process, args=(addresses["tcp"], seconds + 1.0, there))
        process.start()
        there.close()
        began = here.recv()
        for n in range(1, int(seconds / every) + 1):
            time.sleep(max(0.0, (began + n * every * SECOND - time.monotonic_ns()) / SECOND))
            changes.append(store.change())
            memory.append((time.monotonic_ns(), _memory(pid)))
        answers = here.recv()
        process.join()
    store.close()
    return Run(changes, answers, memory, (time.monotonic_ns() - began) / SECOND)


def _memory(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


# -- the checks -------------------------------------------------------------------------------------------------------------


def _members(body: bytes, size: int) -> list[dict[str, Any]]:
    answer = json.loads(body)
    found: list[dict[str, Any]] = answer["evaluations"] if size > 1 else [answer]
    return found


def generations(run: Run) -> dict[int, int]:
    """The number of the change by generation, as the first request was answered.

    Raises
    ------
    AssertionError: one generation has given answers of two changes.
    """
    found: dict[int, int] = {}
    for asked, generation, body in run.answers.counts:
        if asked[0] == 0:
            context = _members(body, len(asked))[0]["context"]
            number = int(context["sid"].removeprefix("Change"))
            assert found.setdefault(generation, number) == number, f"generation {generation} is of two changes"
    return found


def faults(run: Run, *, old: int = OLD) -> list[str]:
    """What was wrong: wrong answers, answers of an old generation or of a change before it was made, requests without answer."""
    found = [f"no answer: {each}" for each in run.answers.failed]
    answered = sum(run.answers.counts.values())
    if answered != run.answers.sent:
        found.append(f"{run.answers.sent - answered} of {run.answers.sent} requests have no answer")
    changes = generations(run)
    for (asked, generation, body), count in run.answers.counts.items():
        if generation not in changes:
            found.append(f"generation {generation} has answered {count} requests, but not the first request")
            continue
        expected = run.changes[changes[generation]].expected
        items = _members(body, len(asked))
        if len(items) != len(asked):
            found.append(f"{len(items)} answers to {len(asked)} requests")
        for i, item in zip(asked, items, strict=False):
            got = item["decision"], item["context"].get("outcome"), item["context"].get("layer")
            if got != expected[i]:
                found.append(f"change {changes[generation]}, request {i}: {got} and not {expected[i]}, {count} times")
    for generation, (first, last) in run.answers.received.items():
        number = changes.get(generation)
        if number is None:
            continue
        if first < run.changes[number].began:
            found.append(f"change {number} was answered before it was made")
        if number + 1 < len(run.changes) and last > run.changes[number + 1].ended + old:
            late = (last - run.changes[number + 1].ended) / SECOND
            found.append(f"change {number} was still answered {late:.2f} s after the next one")
    if changes and max(changes.values()) != len(run.changes) - 1:
        found.append(f"the last change that was answered is {max(changes.values())} of {len(run.changes) - 1}")
    if growth(run) > GROWTH:
        found.append(f"the server has grown by {growth(run):.1f} MiB")
    return found


def growth(run: Run) -> float:
    """MiB between the middle and the last tenth of the run, as medians.

    The first some 300 changes fill what later ones use again.
    """
    sizes = [size for _, size in run.memory]
    tenth, half = max(1, len(sizes) // 10), len(sizes) // 2
    return statistics.median(sizes[-tenth:]) - statistics.median(sizes[half : half + tenth])


def lags(run: Run) -> list[float]:
    """Milliseconds from each change to its first answer."""
    first = {number: run.answers.received[generation][0] for generation, number in generations(run).items()}
    return [(first[each.number] - each.ended) / 1e6 for each in run.changes[1:] if each.number in first]


def pauses(run: Run) -> tuple[list[float], list[float]]:
    """Milliseconds of the longest request around each change, and half a second before each change, over as long a time."""
    first = {number: run.answers.received[generation][0] for generation, number in generations(run).items()}
    beside, quiet = [], []
    for each in run.changes[1:]:
        if each.number in first:
            span = first[each.number] - each.began + 2 * WINDOW
            beside.append(_longest(run, each.began - WINDOW, span))
            quiet.append(_longest(run, each.began - SECOND // 2, span))
    return beside, quiet


def _longest(run: Run, start: int, span: int) -> float:
    windows = range(start // WINDOW, (start + span) // WINDOW + 1)
    return max((run.answers.longest.get(window, 0) for window in windows), default=0) / 1e6


def report(record: Record, run: Run, roles: int) -> None:
    """The figures of a run."""
    answers, name = run.answers, f"changes, {roles:,} principals"
    latencies = sorted(answers.latencies)
    record.value(name, "requests", "k", [answers.sent / 1e3], better="more")
    record.value(name, "rate", "k/s", [answers.sent / run.seconds / 1e3], better="more")
    for percent in (50.0, 99.0, 99.9):
        record.value(name, f"p{percent:g}", "ms", [latencies[int(len(latencies) * percent / 100)] / 1e3])
    record.value(name, "longest", "ms", [latencies[-1] / 1e3])
    record.value(name, "from a change to its first answer", "ms", lags(run))
    beside, quiet = pauses(run)
    record.value(name, "longest request beside a reload", "ms", beside)
    record.value(name, "longest request half a second before", "ms", quiet)
    record.value(name, "memory at the end", "MiB", [run.memory[-1][1]])
    record.value(name, "growth of the memory", "MiB", [growth(run)])
    record.note(changes=len(run.changes) - 1, answers_compared=len(answers.counts), faults=faults(run)[:20])


def main() -> int:
    """Runs, checks and writes the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--every", type=float, default=1.0, help="seconds between two changes")
    parser.add_argument("--roles", type=int, default=2_000)
    parser.add_argument("--no-record", action="store_true")
    arguments = parser.parse_args()
    record = Record("server_changes")
    with tempfile.TemporaryDirectory() as temporary:
        made = run(Path(temporary), arguments.minutes * 60, every=arguments.every, roles=arguments.roles)
    report(record, made, arguments.roles)
    found = faults(made)
    for each in found[:20]:
        print(each, file=sys.stderr)
    different = len(made.answers.counts)
    print(
        f"{len(made.changes) - 1} changes, {made.answers.sent:,} requests, {different:,} different answers, {len(found)} faults"
    )
    if not arguments.no_record:
        record.write()
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
