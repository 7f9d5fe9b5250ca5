"""A load generator for HTTP servers, and the CPU time of a server process.

Requests on a connection follow each other: the next one is sent when the answer to the last one is complete. Answers to equal
requests have equal lengths, so that an answer is complete after a number of bytes.
"""

from __future__ import annotations

import asyncio
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

Address = tuple[str, int] | str


@dataclass(frozen=True)
class Run:
    """One run of equal requests."""

    requests: int
    seconds: float
    cpu: float
    """Seconds of the server process."""
    latencies: Sequence[int]
    """Nanoseconds of each request."""

    @property
    def cpu_us(self) -> float:
        """Microseconds of CPU of the server a request."""
        return self.cpu / self.requests * 1e6

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds

    def percentile(self, percent: float) -> float:
        """Microseconds that so many percent of the requests took at most."""
        return sorted(self.latencies)[min(len(self.latencies) - 1, int(len(self.latencies) * percent / 100))] / 1e3


def cpu_seconds(pid: int) -> float:
    """CPU time of all threads of a process, to the nanosecond."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


class _Client(asyncio.Protocol):
    def __init__(self, request: bytes, size: int, count: int, latencies: list[int], done: asyncio.Future[None]) -> None:
        self._request, self._size, self._left = request, size, count
        self._latencies, self._done = latencies, done
        self._received = 0
        self._began = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._send()

    def _send(self) -> None:
        self._received = 0
        self._began = time.perf_counter_ns()
        self._transport.write(self._request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        if self._received < self._size:
            return
        self._latencies.append(time.perf_counter_ns() - self._began)
        if self._received > self._size:
            self._done.set_exception(RuntimeError("an answer has another length"))
            return
        self._left -= 1
        if self._left:
            self._send()
        else:
            self._transport.close()
            self._done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(exc or RuntimeError("the server has closed the connection"))


def request_of(path: str, body: bytes, token: str | None = None) -> bytes:
    """A request as an HTTP client of a service sends it."""
    fields = f"Authorization: Bearer {token}\r\n" if token is not None else ""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench/1.0\r\nAccept: */*\r\nContent-Type: application/json\r\n"
        f"{fields}Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def answer_of(address: Address, request: bytes) -> bytes:
    """The whole answer to one request."""
    sock = socket.socket(socket.AF_UNIX) if isinstance(address, str) else socket.socket()
    with sock:
        sock.connect(address)
        sock.sendall(request)
        data = b""
        while True:
            data += sock.recv(1 << 20)
            head, found, body = data.partition(b"\r\n\r\n")
            if found:
                length = int(dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])[b"content-length"])
                if len(body) >= length:
                    return data


def load(address: Address, pid: int, request: bytes, *, count: int, connections: int) -> Run:
    """Send a request many times over some connections."""
    size = len(answer_of(address, request))
    latencies: list[int] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        ends = []
        for _ in range(connections):
            done = loop.create_future()
            ends.append(done)

            def make(done: asyncio.Future[None] = done) -> _Client:
                return _Client(request, size, count // connections, latencies, done)

            if isinstance(address, str):
                await loop.create_unix_connection(make, address)
            else:
                await loop.create_connection(make, *address)
        await asyncio.gather(*ends)

    try:
        from uvloop import new_event_loop
    except ModuleNotFoundError:
        new_event_loop = asyncio.new_event_loop
    cpu, began = cpu_seconds(pid), time.perf_counter()
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(main())
    seconds = time.perf_counter() - began
    return Run(len(latencies), seconds, cpu_seconds(pid) - cpu, latencies)


EMPTY = """
import sys, uvicorn
BODY = b'{"decision":true}'
START = {"type": "http.response.start", "status": 200,
         "headers": [(b"content-type", b"application/json"), (b"content-length", b"17")]}
END = {"type": "http.response.body", "body": BODY}
async def app(scope, receive, send):
    await receive()
    await send(START)
    await send(END)
uvicorn.run(app, port=int(sys.argv[1]), http="httptools", loop="uvloop", ws="none", lifespan="off", access_log=False,
            log_config=None, server_header=False, proxy_headers=False)
"""


@contextmanager
def empty_server() -> Iterator[tuple[Address, int]]:
    """An application that answers every request with the same 17 bytes, behind the same uvicorn."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-c", EMPTY, str(port)], env=os.environ)
    try:
        ends = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                if time.monotonic() > ends:
                    raise
                time.sleep(0.05)
        yield ("127.0.0.1", port), process.pid
    finally:
        process.terminate()
        process.wait()


def median(values: Sequence[float]) -> float:
    """The median."""
    return statistics.median(values)
