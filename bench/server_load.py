"""A load generator for HTTP servers, and the CPU time of a server process.

Requests on a connection follow each other: the next one is sent when the answer to the last one is complete. The answer to
a request of a load has a known length, so that it is complete after a number of bytes.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import cycle
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


@dataclass
class _Client:
    """One connection."""

    sock: socket.socket
    left: int
    """Answers to come."""
    size: int = 0
    """Bytes of the answer to come."""
    began: int = 0
    """When the request was sent, in nanoseconds."""
    received: int = 0
    """Bytes of its answer."""


def _connect(address: Address) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX) if isinstance(address, str) else socket.socket()
    sock.connect(address)
    return sock


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
    with _connect(address) as sock:
        sock.sendall(request)
        return read_answer(sock)


def answers_of(address: Address, requests: Sequence[bytes]) -> list[bytes]:
    """The whole answers to requests that follow each other on one connection."""
    found = []
    with _connect(address) as sock:
        for request in requests:
            sock.sendall(request)
            found.append(read_answer(sock))
    return found


def read_answer(sock: socket.socket) -> bytes:
    """The whole answer to the only request that a connection has sent.

    Raises
    ------
    RuntimeError: the server has closed the connection.
    """
    data = b""
    while True:
        piece = sock.recv(1 << 20)
        if not piece:
            raise RuntimeError("the server has closed the connection")
        data += piece
        head, found, body = data.partition(b"\r\n\r\n")
        if found:
            length = int(dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])[b"content-length"])
            if len(body) >= length:
                return data


def load(
    address: Address, pid: int, request: bytes | Sequence[bytes] | Mapping[bytes, int], *, count: int, connections: int
) -> Run:
    """Send a request many times over some connections, or several in turn.

    The generator asks for answers without a pause: waking it from sleep would take CPU time of the server.

    Parameters
    ----------
    request
        if it is a mapping, it has the lengths of the answers; else all answers have the length of the first one.

    Raises
    ------
    RuntimeError: an answer has another length, or the server has closed a connection.
    """
    if not isinstance(request, Mapping):
        several = [request] if isinstance(request, bytes) else list(request)
        request = dict.fromkeys(several, len(answer_of(address, several[0])))
    requests = cycle(request.items())
    latencies: list[int] = []
    clock = time.perf_counter_ns
    with ExitStack() as stack:
        poll = stack.enter_context(select.epoll())
        open_: dict[int, _Client] = {}
        for _ in range(connections):
            sock = stack.enter_context(_connect(address))
            sock.setblocking(False)
            poll.register(sock, select.EPOLLIN)
            open_[sock.fileno()] = _Client(sock, count // connections)
        cpu, began = cpu_seconds(pid), time.perf_counter()
        for client in open_.values():
            data, client.size = next(requests)
            client.began = clock()
            client.sock.sendall(data)
        while open_:
            for number, _ in poll.poll(0):
                client = open_[number]
                data = client.sock.recv(1 << 20)
                client.received += len(data)
                if client.received < client.size and data:
                    continue
                if client.received != client.size:
                    raise RuntimeError("an answer has another length, or the server has closed the connection")
                latencies.append(clock() - client.began)
                client.received = 0
                client.left -= 1
                if client.left:
                    data, client.size = next(requests)
                    client.began = clock()
                    client.sock.sendall(data)
                else:
                    del open_[number]
        seconds, cpu = time.perf_counter() - began, cpu_seconds(pid) - cpu
    return Run(len(latencies), seconds, cpu, latencies)


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


@contextmanager
def serve_process(folder: Path, source: Path, settings: str) -> Iterator[tuple[dict[str, Address], int, float]]:
    """A `fastiam serve` process with a configuration: addresses by listener, process id, seconds until it was ready.

    Raises
    ------
    RuntimeError: it does not start; its message is that of the process.
    """
    (folder / "serve.toml").write_text(settings)
    command = [sys.executable, "-m", "fastiam", "serve", str(source), "--config", str(folder / "serve.toml")]
    began = time.perf_counter()
    process = subprocess.Popen(command, stderr=subprocess.PIPE, env=os.environ)
    assert process.stderr is not None
    try:
        line = process.stderr.readline()
        if not line.startswith(b"{"):
            raise RuntimeError((line + process.stderr.read()).decode())
        first = json.loads(line)
        ready = time.perf_counter() - began
        addresses: dict[str, Address] = {}
        for name, text in first["addresses"].items():
            host, _, port = text.rpartition(":")
            addresses[name] = text.removeprefix("unix:") if text.startswith("unix:") else (host, int(port))
        threading.Thread(target=process.stderr.read, daemon=True).start()  # a full pipe would hold up the server
        yield addresses, process.pid, ready
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
        process.stderr.close()
