"""`fastiam serve` over HTTP: CPU of the server process a request, beside an empty answer of the same web server (G210 to G219).

Both servers run at the same time and are loaded in turns, so that a slow minute falls on both. The requests of each shape
are drawn (`server_requests.py`) and differ; the seed is printed. Every answer is compared with the engine first. The absolute
rates include the load generator, which shares the cores.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

from measure import Record
from server_load import Address, Run, cpu_seconds, empty_server, load, read_answer, request_of, serve_process
from server_requests import TOKENS, Draw, check, shapes
from workloads import Row, identity

import fastiam

TOKEN = TOKENS[0]
ROLES = 2_000
REPEATED = 4  # times the rows of the workload in a stream of bulk decisions


def serve_settings(folder: Path, log: str) -> str:
    """A configuration with one listener of each kind."""
    return f"""
[listeners.main]
address = "127.0.0.1:0"
protocols = ["authzen", "bulk"]
auth = "bearer"
[listeners.open]
address = "unix:{folder}/open.sock"
protocols = ["authzen"]
[listeners.tcp]
address = "127.0.0.1:0"
protocols = ["authzen"]
[auth]
tokens = "{folder}/tokens"
[decision_log]
mode = "{log}"
path = "{folder}/decisions"
keep = 1
[ops]
enabled = false
"""


@contextmanager
def server(folder: Path, source: Path, log: str = "denied") -> Iterator[tuple[dict[str, Address], int, float]]:
    """A `fastiam serve` process with tokens: addresses by listener, process id, seconds until it was ready."""
    scopes = "decide,search,explain,bulk,assert:tags,assert:context"
    lines = [f"bench{i} {scopes} {hashlib.sha256(token.encode()).hexdigest()}\n" for i, token in enumerate(TOKENS)]
    (folder / "tokens").write_text("".join(lines))
    with serve_process(folder, source, serve_settings(folder, log)) as started:
        yield started


def evaluation(row: Row) -> dict[str, Any]:
    """One request of the workload as an AuthZEN evaluation, with one key of its context."""
    principal, action, resource, context = row
    address = (context or {}).get("aws:SourceIp")
    return {
        "subject": {"type": "role", "id": principal},
        "action": {"name": action},
        "resource": {"type": "object", "id": resource},
        "context": {} if address is None else {"aws:SourceIp": address},
    }


def reload_pause(record: Record, source: Path, address: Address, requests: Sequence[bytes]) -> None:
    """The longest answer while the policies are replaced every fifth of a second (G217)."""
    stop = threading.Event()
    content = source.read_bytes()

    def replace() -> None:
        while not stop.wait(0.2):
            new = source.with_suffix(".new")
            new.write_bytes(content)
            new.replace(source)

    replacing = threading.Thread(target=replace)
    replacing.start()
    latencies: list[int] = []
    ends = time.monotonic() + 3
    try:
        with socket.create_connection(address) as sock:
            for request in cycle(requests):
                if time.monotonic() > ends:
                    break
                began = time.perf_counter_ns()
                sock.sendall(request)
                read_answer(sock)
                latencies.append(time.perf_counter_ns() - began)
    finally:
        stop.set()
        replacing.join()
    latencies.sort()
    record.value("reload", "single beside reloads, p99", "ms", [latencies[int(len(latencies) * 0.99)] / 1e6], limit=10.0)
    record.value("reload", "single beside reloads, longest", "ms", [latencies[-1] / 1e6], limit=100.0)


def stream_bodies(table: Any) -> dict[str, tuple[str, bytes]]:
    """The rows of a table as the bodies of bulk decisions: content type and bytes by name."""
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=65_536)
    lines = b"".join(json.dumps(row).encode() + b"\n" for row in table.to_pylist())
    arrow = "application/vnd.apache.arrow.stream", sink.getvalue().to_pybytes()
    return {"JSON lines": ("application/x-ndjson", lines), "Arrow": arrow}


def decided(address: Address, content_type: str, body: bytes) -> list[bool]:
    """Whether each row is allowed, by `POST /v1/decisions`."""
    import pyarrow as pa

    assert not isinstance(address, str)
    # curl reads the answer while it sends: a client that does not is cut when the buffers are full
    command = ["curl", "-sS", f"http://{address[0]}:{address[1]}/v1/decisions", "--data-binary", "@-", "-H", "Expect:"]
    command += ["-H", f"Content-Type: {content_type}", "-H", f"Authorization: Bearer {TOKEN}"]
    answer = subprocess.run(command, input=body, stdout=subprocess.PIPE, check=True).stdout
    if content_type.endswith("ndjson"):
        return [json.loads(line)["allowed"] for line in answer.splitlines()[:-1]]
    allowed: list[bool] = pa.ipc.open_stream(answer).read_all()["allowed"].to_pylist()
    return allowed


def bulk(record: Record, engine: fastiam.Engine, rows: list[Row], address: Address, pid: int, turns: int) -> None:
    """Rows of bulk decisions a CPU second of the server, beside `decide_many` in this process (G214), with checked answers.

    The first request of each form is counted by itself: the server imports pyarrow for it, and reads its principals.
    """
    import pyarrow as pa

    names = ("principal", "action", "resource")
    table = pa.table({name: [row[i] for row in rows] for i, name in enumerate(names)})
    table = pa.concat_tables([table] * REPEATED).combine_chunks()
    batches, made = table.to_batches(65_536), stream_bodies(table)
    expected = engine.decide_many(*table.columns).allowed.tolist()
    rates: dict[str, list[float]] = {}
    for turn in range(turns + 1):
        began = time.thread_time()
        for batch in batches:
            engine.decide_many(*batch.columns, reasons=True)
        rates.setdefault("decide_many", []).append(len(table) / (time.thread_time() - began) / 1e3)
        for name, (content_type, body) in made.items():
            before = cpu_seconds(pid)
            assert decided(address, content_type, body) == expected, name
            rate = len(table) / (cpu_seconds(pid) - before) / 1e3
            rates.setdefault(name if turn else f"{name}, first request", []).append(rate)
    for name, found in rates.items():
        record.value("bulk", f"{name}, rows per CPU second", "k/s", found, better="more")
    ratios = [arrow / library for arrow, library in zip(rates["Arrow"], rates["decide_many"][1:], strict=True)]
    record.value("bulk", "Arrow beside decide_many", "x", ratios, better="more")


def logging(record: Record, source: Path, requests: Mapping[bytes, int], arguments: argparse.Namespace) -> None:
    """What a line for each decision costs (G219): two servers that differ in the mode of their logs, loaded in turns."""
    with ExitStack() as stack:
        servers: dict[str, tuple[Address, int]] = {}
        for mode in ("denied", "all"):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            addresses, pid, _ = stack.enter_context(server(folder, source, mode))
            servers[mode] = addresses["main"], pid
        found: dict[str, list[float]] = {mode: [] for mode in servers}
        for _ in range(3 * arguments.turns):  # the clock of CPU time ticks slowly: not too short ones
            for mode, (address, pid) in servers.items():
                found[mode].append(load(address, pid, requests, count=arguments.requests // 2, connections=8).cpu_us)
        differences = [more - less for less, more in zip(found["denied"], found["all"], strict=True)]
        record.value("decision log", "all in place of denied, CPU a decision", "us", differences, limit=3.0)


def main() -> None:
    """Runs the bench and writes its record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32), help="what the requests are drawn by")
    parser.add_argument("--only", default="", help="text in the names of the shapes that are loaded; nothing else is measured")
    parser.add_argument("--no-record", action="store_true")
    arguments = parser.parse_args()
    record = Record("server")
    record.note(seed=arguments.seed)
    print(f"seed {arguments.seed}", flush=True)
    work = identity(ROLES, rows=50_000)
    engine = work.directory.compile()
    columns = work.columns("strings")
    import numpy as np

    rows = columns.rows(np.arange(len(columns)))
    drawn = {name: shape for name, shape in shapes(Draw(engine, rows, arguments.seed)).items() if arguments.only in name}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        source = folder / "engine.fastiam"
        engine.save(source)
        with empty_server() as (empty, empty_pid), server(folder, source) as (addresses, pid, ready):
            sizes = {name: check(engine, addresses[shape.listener], shape.requests) for name, shape in drawn.items()}
            small = request_of("/", drawn[next(iter(drawn))].requests[0].data, TOKEN)
            runs: dict[str, list[Run]] = {}
            for _ in range(arguments.turns):
                runs.setdefault("empty", []).append(load(empty, empty_pid, small, count=arguments.requests, connections=8))
                for name, shape in drawn.items():
                    count = max(200, arguments.requests // (1 if shape.items == 1 else shape.items // 5))
                    run = load(addresses[shape.listener], pid, sizes[name], count=count, connections=8)
                    runs.setdefault(name, []).append(run)
            for name, found in runs.items():
                record.value("authzen", f"CPU of {name}", "us", [run.cpu_us for run in found])
            for name, shape in drawn.items():
                for other, limit in (("empty", shape.limit), *([shape.over] if shape.over is not None else ())):
                    if other in runs:
                        ratios = [run.cpu_us / base.cpu_us for run, base in zip(runs[name], runs[other], strict=True)]
                        record.value("authzen", f"{name}, CPU over {other}", "x", ratios, limit=limit)
            for name, shape in drawn.items():
                if shape.items > 1:
                    rates = [shape.items / run.cpu_us * 1e3 for run in runs[name]]
                    record.value("authzen", f"{name}, per CPU second", "k/s", rates, better="more")
            if arguments.only:
                return
            single = sizes["single without a token"]
            for kind, address in (("TCP", addresses["tcp"]), ("unix socket", addresses["open"])):
                for connections in (1, 32):
                    run = load(address, pid, single, count=arguments.requests, connections=connections)
                    at = f"single, {kind}, {connections} connections"
                    record.value("authzen", f"{at}, rate", "k/s", [run.rate / 1e3], better="more")
                    for percent in (50, 99):
                        record.value("authzen", f"{at}, p{percent}", "us", [run.percentile(percent)])
            record.value("start", "ready", "s", [ready])
            bulk(record, engine, rows, addresses["main"], pid, arguments.turns)
            reload_pause(record, source, addresses["tcp"], list(single))
        logging(record, source, sizes["single with a token"], arguments)
    if not arguments.no_record:
        record.write()


if __name__ == "__main__":
    main()
