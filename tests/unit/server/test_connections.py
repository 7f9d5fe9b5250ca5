"""The share of connections that each listener has (docs/doors.md 1.6)."""

from __future__ import annotations

import hashlib
import os
import resource
import select
import signal
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import trustme
from echo_server import metric, until
from server_process import Server, parse, receive, running

from fastiam.server.config import ConfigError
from fastiam.server.connections import share_descriptors

SHARE = 32
HANDSHAKES = 8
TOKEN = "t" * 43
SETTINGS = f"""
[listeners.main]
address = "127.0.0.1:0"
protocols = ["echo"]
connections = {SHARE}
[listeners.bearer]
address = "127.0.0.1:0"
protocols = ["echo"]
auth = "bearer"
connections = {SHARE}
[listeners.tls]
address = "127.0.0.1:0"
protocols = ["echo"]
tls = {{ certificate = "server.pem", key = "server.key" }}
connections = {SHARE}
[listeners.pep]
address = "unix:FOLDER/pep.sock"
protocols = ["echo"]
[listeners.ops]
address = "127.0.0.1:0"
[limits]
handshakes = {HANDSHAKES}
[auth]
tokens = "tokens"
"""
ECHO = b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n%s\r\nab"
AUTHORITY = trustme.CA()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, engine_file: Path) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("shares")
    made = AUTHORITY.issue_cert("localhost")
    made.private_key_pem.write_to_path(folder / "server.key")
    (folder / "server.pem").write_bytes(b"".join(each.bytes() for each in made.cert_chain_pems))
    (folder / "tokens").write_text(f"pep decide {hashlib.sha256(TOKEN.encode()).hexdigest()}\n")
    with running(folder, engine_file, SETTINGS.replace("FOLDER", str(folder)), "--door", "echo") as server:
        yield server


def idle(server: Server, stack: ExitStack, name: str, count: int, data: bytes = ECHO % b"") -> list[socket.socket]:
    """Connections of a client that sends some bytes on each, and no more."""
    made = []
    for _ in range(count):
        sock = stack.enter_context(server.connect(name))
        sock.sendall(data)
        made.append(sock)
    return made


def are_answered(server: Server, *names: str) -> bool:
    return all(server.ask("POST", "/echo", b"ab", name=name).status == 200 for name in names)


@pytest.mark.parametrize("data", [ECHO % b"", b"", b"POST /echo", ECHO[:-1] % b""], ids=["idle", "silent", "head", "body"])
def test_connections_without_requests_shut_out_no_client(server: Server, data: bytes) -> None:
    with ExitStack() as stack:
        idle(server, stack, "main", 3 * SHARE, data)
        assert are_answered(server, "main", "pep")
        assert server.ask("GET", "/livez", name="ops").status == 200


def test_longest_wait_ends_first(server: Server) -> None:
    before = metric(server, 'fastiam_rejected_total{door="none",reason="connection_replaced"}')
    with ExitStack() as stack:
        made = []
        for count in (1, 1, SHARE - 2):  # the clock of the server has milliseconds
            made += idle(server, stack, "main", count)
            assert parse(receive(made[-1], 0.05)).status == 200
        made[0].sendall(ECHO % b"")
        idle(server, stack, "main", 1)
        until(lambda: made[1] in select.select(made, [], [], 10)[0])
        assert parse(receive(made[0])).status == 200
        assert metric(server, 'fastiam_rejected_total{door="none",reason="connection_replaced"}') > before


def test_connection_with_credentials_is_kept(server: Server) -> None:
    with ExitStack() as stack:
        [known] = idle(server, stack, "bearer", 1, ECHO % b"Authorization: Bearer %b\r\n" % TOKEN.encode())
        assert parse(receive(known)).status == 200
        for sock in idle(server, stack, "bearer", 3 * SHARE):
            receive(sock, 0)
        known.sendall(ECHO % b"Authorization: Bearer %b\r\n" % TOKEN.encode())
        assert parse(receive(known)).status == 200


def test_request_in_work_is_answered(server: Server) -> None:
    with ExitStack() as stack:
        [slow] = idle(server, stack, "main", 1, b"POST /slow HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\n0.5")
        for sock in idle(server, stack, "main", 3 * SHARE):
            receive(sock, 0)
        assert parse(receive(slow)).status == 200


@pytest.mark.parametrize("count", [2 * HANDSHAKES, 3 * SHARE])
def test_silent_handshakes_shut_out_no_client(server: Server, count: int) -> None:
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    with ExitStack() as stack:
        idle(server, stack, "tls", count, b"")
        with server.connect("tls") as raw, context.wrap_socket(raw, server_hostname="localhost") as sock:
            sock.sendall(ECHO % b"")
            assert parse(receive(sock)).status == 200
        assert are_answered(server, "main", "pep")
        opened = len(os.listdir(f"/proc/{server.process.pid}/fd"))
        assert opened < count + SHARE or count <= HANDSHAKES


def test_handshakes_count_for_the_share(server: Server) -> None:
    def opened() -> int:
        return len(os.listdir(f"/proc/{server.process.pid}/fd"))

    before = opened()
    with ExitStack() as stack:
        idle(server, stack, "tls", 100, b"")
        until(lambda: opened() <= before + HANDSHAKES + 2)
        assert opened() > before


def test_burst_waits_in_the_backlog(server: Server) -> None:
    server.signal(signal.SIGSTOP)
    try:
        with ExitStack() as stack:
            host, _, port = server.address("ops").rpartition(":")
            waiting = []
            for _ in range(250):
                sock = stack.enter_context(socket.socket())
                sock.setblocking(False)
                sock.connect_ex((host, int(port)))
                waiting.append(sock)
            ends = time.monotonic() + 10
            while waiting and time.monotonic() < ends:
                _, done, _ = select.select([], waiting, [], 0.1)
                waiting = [sock for sock in waiting if sock not in done]
            assert not waiting
    finally:
        server.signal(signal.SIGCONT)


@pytest.mark.parametrize(
    ("soft", "hard", "shares", "raised"),
    [
        (10_000, 10_000, {"main": 4096, "ops": 256}, None),
        (1_024, 1_048_576, {"main": 4096, "ops": 256}, 4480),
        (1_024, resource.RLIM_INFINITY, {"main": 4096, "ops": 256}, 4480),
        (1_024, 2_048, {"main": 1807, "ops": 112}, 2048),
        (256, 256, {"main": 120, "ops": 8}, None),
    ],
)
def test_shares_fit_into_the_files_that_may_be_open(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, shares: dict[str, int], raised: int | None
) -> None:
    asked, warnings = [], []
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda kind, limits: asked.append(limits))
    found = share_descriptors({"main": 4096, "ops": 256}, warnings.append)
    assert found == shares and sum(found.values()) + 128 <= max(soft, raised or 0)
    assert [each for each in asked if each[0] != soft] == ([(raised, hard)] if raised else [])
    assert bool(warnings) == (shares["main"] < 4096)


def test_start_with_too_few_files_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (130, 130))
    monkeypatch.setattr(resource, "setrlimit", lambda kind, limits: None)
    with pytest.raises(ConfigError, match="may open 130 files, too few"):
        share_descriptors({"main": 4096, "ops": 256}, print)
