"""A real `fastiam serve` process for tests, raw requests to it, and a protocol that only tests have.

As a script it runs the command line with the protocol `echo`: `python server_process.py serve SOURCE --door echo`.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from fastiam.model.decision import Decision, Layer, Outcome
from fastiam.server import config, protocol
from fastiam.server.decision_records import DecisionRecord, Item
from fastiam.server.http import Request, Response
from fastiam.server.identity import BULK, DECIDE
from fastiam.server.protocol import Place, Route, StreamAborted, StreamRoute

ROOT = Path(__file__).resolve().parents[2]


# -- the protocol -------------------------------------------------------------------------------------------------------


class Section(protocol.Section, frozen=True, kw_only=True):
    """`[echo]`."""

    prefix: str = ""
    with_health: bool = False
    """Claims a path of `ops` too."""


class Echo:
    """Answers with what arrived."""

    name = "echo"

    def __init__(self, prefix: str, with_health: bool) -> None:
        self._prefix = prefix
        self._more = (Route("/livez", self.echo),) if with_health else ()

    def routes(self) -> Sequence[Route | StreamRoute]:
        path = self._prefix
        return (
            Route(f"{path}/echo", self.echo, scope=DECIDE, echoes_request_id=True),
            Route(f"{path}/any/", self.echo, methods=None, is_prefix=True, checks_host=False),
            Route(f"{path}/open", self.echo, authenticates=False),
            Route(f"{path}/get", self.echo, methods=frozenset({"GET"})),
            Route(f"{path}/slow", self.slow, place=Place.SLOW, scope=DECIDE),
            Route(f"{path}/pool", self.slow, place=Place.POOL, time=0.5),
            Route(f"{path}/fail", self.fail),
            Route(f"{path}/decide", self.decide),
            Route(f"{path}/pieces", self.pieces, place=Place.POOL),
            Route(f"{path}/joined", self.pieces),
            Route(f"{path}/inject", self.inject),
            StreamRoute(f"{path}/stream", self.open, scope=BULK),
            *self._more,
        )

    def echo(self, request: Request, decider: Any, now: Any) -> Response:
        identity = request.identity
        return Response(
            200,
            json.dumps(
                {
                    "method": request.method,
                    "path": request.path,
                    "query": request.raw_query.decode(),
                    "headers": [[name.decode(), value.decode("latin-1")] for name, value in request.headers],
                    "body": request.body.decode("latin-1"),
                    "peer": [request.peer.kind, request.peer.address, request.peer.uid],
                    "client": [request.client_address, request.client_is_tls],
                    "tls": request.is_tls,
                    "certificate": list(request.peer.certificate_names),
                    "identity": None if identity is None else [identity.name, sorted(identity.scopes)],
                }
            ).encode(),
        )

    def slow(self, request: Request, decider: Any, now: Any) -> Response:
        time.sleep(float(request.body or b"0"))
        return Response(200, b"{}")

    def fail(self, request: Request, decider: Any, now: Any) -> Response:
        raise ValueError("the text of a policy")

    def decide(self, request: Request, decider: Any, now: Any) -> Response:
        """Decide `{"principal", "action", "resource"}`."""
        asked = json.loads(request.body)
        pinned = decider.pin()
        decision: Decision = pinned.engine.decide(asked["principal"], asked["action"], asked["resource"], now=now)
        record = DecisionRecord(
            "echo/decide",
            pinned.generation,
            asked["principal"],
            asked["action"],
            asked["resource"],
            asked.get("context", {}),
            decision,
            decision.allowed,
        )
        return Response(200, json.dumps({"allowed": decision.allowed, "generation": pinned.generation}).encode(), record=record)

    def pieces(self, request: Request, decider: Any, now: Any) -> Response:
        return Response(200, iter([b"[1", b",2", b"]"]))

    def inject(self, request: Request, decider: Any, now: Any) -> Response:
        return Response(200, b"{}", headers=((b"x-a", request.body),))

    def open(self, request: Request, decider: Any, now: Any) -> tuple[Response, Upper | None]:
        if request.raw_query == b"refuse":
            return Response(415, b"{}"), None
        return Response(200, content_type="text/plain"), Upper()


class Upper:
    """Answers each line in upper case; a line `abort` ends the stream."""

    def __init__(self) -> None:
        self._rest = b""
        self._rows = 0

    @property
    def missing(self) -> int:
        return 1

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            self._rows += 1
            if line == b"abort":
                raise StreamAborted(b"aborted\n")
            if line.startswith(b"sleep "):
                time.sleep(float(line[6:]))
            yield line.upper() + b"\n"

    def finish(self) -> Iterator[bytes]:
        yield b"rows %d\n" % self._rows

    def abort(self, code: str) -> bytes:
        return b"error %s\n" % code.encode()

    def take_items(self) -> Sequence[Item]:
        return ()

    def record(self) -> DecisionRecord:
        decision = Decision(Outcome.ALLOW, Layer.IDENTITY)
        return DecisionRecord("echo/stream", 1, None, None, None, {"rows": self._rows}, decision, True)


def _install() -> None:
    module = ModuleType("fastiam.server.protocols.echo")
    module.Section, module.create = Section, lambda section, site: Echo(section.prefix, section.with_health)  # type: ignore[attr-defined]
    module.__spec__ = type(sys.__spec__)("fastiam.server.protocols.echo", None)
    sys.modules[module.__name__] = module
    config.PROTOCOLS = (*config.PROTOCOLS, "echo")  # type: ignore[misc]


# -- the process --------------------------------------------------------------------------------------------------------


@dataclass
class Server:
    """A running process."""

    process: subprocess.Popen[bytes]
    folder: Path
    started: dict[str, Any] = field(default_factory=dict)
    """The first line on standard error."""
    lines: list[dict[str, Any]] = field(default_factory=list)
    """Further ones that were read."""
    _read: bytes = b""

    def address(self, name: str = "main") -> str:
        return str(self.started["addresses"][name])

    def connect(self, name: str = "main") -> socket.socket:
        address = self.address(name)
        if address.startswith("unix:"):
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(address.removeprefix("unix:"))
        else:
            host, _, port = address.rpartition(":")
            sock = socket.create_connection((host.strip("[]"), int(port)))
        sock.settimeout(20)
        return sock

    def send(self, data: bytes | Sequence[bytes], name: str = "main") -> bytes:
        """Everything that comes back until the server closes, or a complete answer is there and nothing follows for a moment."""
        with self.connect(name) as sock:
            for piece in [data] if isinstance(data, bytes) else data:
                try:
                    sock.sendall(piece)
                except OSError:
                    break
                time.sleep(0.02)
            return receive(sock)

    def exchange(self, pieces: Sequence[bytes], name: str = "main", quiet: float = 1.5) -> tuple[list[Answer], bool]:
        """Send some segments; every answer, and whether the server has closed the connection then."""
        data, is_closed = b"", False
        with self.connect(name) as sock:
            for piece in pieces:
                with suppress(OSError):
                    sock.sendall(piece)
                time.sleep(0.02)
            while select.select([sock], [], [], quiet)[0]:
                try:
                    piece = sock.recv(65536)
                except ConnectionResetError:
                    piece = b""
                if not piece:
                    is_closed = True
                    break
                data += piece
        answers = []
        while data:
            answers.append(parse(data))
            data = answers[-1].rest
        return answers, is_closed

    def ask(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
        name: str = "main",
        host: str | None = "localhost",
    ) -> Answer:
        """One request on a connection of its own."""
        fields = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
        if host is not None:
            fields.insert(0, ("Host", host))
        if body or method == "POST":
            fields.append(("Content-Length", str(len(body))))
        fields.append(("Connection", "close"))
        head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{key}: {value}\r\n" for key, value in fields) + "\r\n"
        with self.connect(name) as sock:
            sock.sendall(head.encode("latin-1") + body)
            return parse(receive(sock))

    def log(self, event: str, seconds: float = 10.0) -> dict[str, Any]:
        """The next line of the audit log with that event."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            line = self._line(ends - time.monotonic())
            if line.get("event") == event:
                return line
        raise AssertionError(f"no line `{event}` in the log: {self.lines}")

    def _line(self, seconds: float) -> dict[str, Any]:
        assert self.process.stderr is not None
        fd = self.process.stderr.fileno()
        while b"\n" not in self._read:
            piece = os.read(fd, 65536) if select.select([fd], [], [], max(seconds, 0))[0] else b""
            if not piece:
                return {}
            self._read += piece
        raw, _, self._read = self._read.partition(b"\n")
        try:
            line: dict[str, Any] = json.loads(raw)
        except ValueError:
            raise AssertionError(raw + self._read + self.process.stderr.read()) from None
        self.lines.append(line)
        return line

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def stop(self) -> int:
        self.signal(signal.SIGTERM)
        return self.process.wait(20)


@dataclass(frozen=True)
class Answer:
    """One HTTP answer."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    rest: bytes = b""

    def header(self, name: str) -> str | None:
        values = [value for key, value in self.headers if key == name]
        return values[0] if len(values) == 1 else None

    def json(self) -> Any:
        return json.loads(self.body)


def receive(sock: socket.socket, quiet: float = 0.3) -> bytes:
    """What a server sends until it closes, or until nothing follows a complete answer."""
    data = b""
    while True:
        if data and not select.select([sock], [], [], quiet)[0] and _is_complete(data):
            return data
        try:
            piece = sock.recv(65536)
        except ConnectionResetError:
            return data
        if not piece:
            return data
        data += piece


def _is_complete(data: bytes) -> bool:
    try:
        parse(data)
    except ValueError:
        return False
    return True


def parse(data: bytes) -> Answer:
    """The first answer in some bytes.

    Raises
    ------
    ValueError: it is not complete.
    """
    head, found, rest = data.partition(b"\r\n\r\n")
    if not found:
        raise ValueError(data)
    lines = head.decode("latin-1").split("\r\n")
    headers = [(key.lower(), value.strip()) for key, _, value in (line.partition(":") for line in lines[1:])]
    named = dict(headers)
    status = int(lines[0].split()[1])
    if status == 100:
        return parse(rest)
    if named.get("transfer-encoding") == "chunked":
        body = b""
        while True:
            size, found, rest = rest.partition(b"\r\n")
            if not found or len(rest) < int(size, 16) + 2:
                raise ValueError(data)
            body, rest = body + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
            if int(size, 16) == 0:
                return Answer(status, headers, body, rest)
    length = int(named.get("content-length", 0))
    if len(rest) < length:
        raise ValueError(data)
    return Answer(status, headers, rest[:length], rest[length:])


FREE_PORTS = '[listeners.main]\naddress = "127.0.0.1:0"\n[listeners.ops]\naddress = "127.0.0.1:0"\n'
"""Settings without which two servers of tests that run at once want the same port."""


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, str(Path(__file__)), "serve", *map(str, arguments)]


@contextmanager
def running(folder: Path, source: Path, settings: str, *arguments: str, environ: Mapping[str, str] = {}) -> Iterator[Server]:
    """A process with a configuration, in a folder of its own; it is killed at the end."""
    folder.mkdir(exist_ok=True)
    file = folder / "serve.toml"
    file.write_text(settings)
    file.chmod(0o644)
    source_root = str(ROOT / "src")
    with (folder / "stdout").open("wb") as stdout:
        process = subprocess.Popen(
            command(source, "--config", file, *arguments),
            stdout=stdout,
            stderr=subprocess.PIPE,
            bufsize=0,  # `select` does not see lines that a buffer has
            cwd=folder,
            env={**os.environ, "PYTHONPATH": source_root, **environ},
        )
    server = Server(process, folder)
    try:
        server.started = server.log("start", 60)
        yield server
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        assert process.stderr is not None
        process.stderr.close()


if __name__ == "__main__":
    _install()
    from fastiam.cli.main import main

    main()
