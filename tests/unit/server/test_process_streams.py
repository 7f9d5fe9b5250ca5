"""Streams and answers of a process, and clients that leave or stop reading (docs/doors.md 1.4, 1.6)."""

from __future__ import annotations

import signal
import socket
import threading
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from echo_server import PLAIN, decide, metric, until
from server_process import Server, parse, receive, running

# -- streams --------------------------------------------------------------------------------------------------------------


def stream(body: bytes, chunk: int = 7) -> list[bytes]:
    head = b"POST /stream HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    pieces = [body[i : i + chunk] for i in range(0, len(body), chunk)]
    return [head, *(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces), b"0\r\n\r\n"]


def test_stream_answers_in_order_with_an_end(shared_server: Server) -> None:
    answer = parse(shared_server.send(stream(b"one\ntwo\nthree\n")))
    assert answer.body == b"ONE\nTWO\nTHREE\nrows 3\n"


def test_stream_answers_before_its_body_ends(shared_server: Server) -> None:  # G163
    with shared_server.connect() as sock:
        head, *rest = stream(b"one\ntwo\n", 4)
        sock.sendall(head + rest[0])
        data = b""
        while b"ONE" not in data:
            data += sock.recv(1000)
        for piece in rest[1:]:
            sock.sendall(piece)
        while not data.endswith(b"0\r\n\r\n"):
            data += sock.recv(1000)
        assert parse(data).body == b"ONE\nTWO\nrows 2\n"


def test_aborted_stream_has_no_final_chunk(shared_server: Server) -> None:  # G165
    raw = shared_server.send(stream(b"one\nabort\ntwo\n", 100)[:2])
    assert b"ONE\naborted\n" in raw
    assert not raw.endswith(b"0\r\n\r\n")


def test_stop_ends_a_stream_with_an_error_line(tmp_path: Path, engine_file: Path) -> None:  # G22
    with running(tmp_path / "run", engine_file, PLAIN + "[stop]\ntimeout = 0.5\n", "--door", "echo") as server:
        with server.connect() as sock:
            sock.sendall(b"".join(stream(b"one\n")[:2]))
            data = b""
            while b"ONE" not in data:
                data += sock.recv(1000)
            server.signal(signal.SIGTERM)
            data += receive(sock)
        assert b"error stopping\n" in data
        assert not data.endswith(b"0\r\n\r\n")
        assert server.process.wait(10) == 0


def test_client_that_leaves_a_stream_ends_it(shared_server: Server) -> None:  # GC223
    with shared_server.connect() as sock:
        sock.sendall(b"".join(stream(b"one\n")[:2]))
        while b"ONE" not in sock.recv(1000):
            pass
        until(lambda: metric(shared_server, 'fastiam_in_flight{door="echo"}') == 1)
    until(lambda: metric(shared_server, 'fastiam_in_flight{door="echo"}') == 0)
    assert decide(shared_server).json()["allowed"]


def test_client_that_never_reads_is_disconnected(tmp_path: Path, engine_file: Path) -> None:  # GC223
    settings = PLAIN + "[limits]\nwrite_seconds = 0.5\n"
    with running(tmp_path / "run", engine_file, settings, "--door", "echo") as server, server.connect() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.sendall(stream(b"")[0])
        line = b"x" * 65535 + b"\n"

        def push() -> None:
            try:
                for _ in range(2000):
                    sock.sendall(b"10000\r\n" + line + b"\r\n")
            except OSError:
                pass

        pusher = threading.Thread(target=push)
        pusher.start()
        until(lambda: metric(server, 'fastiam_rejected_total{door="echo",reason="write_time"}') == 1, 20)
        pusher.join(20)
        assert not pusher.is_alive()
        assert metric(server, 'fastiam_in_flight{door="echo"}') == 0


def test_client_that_reads_no_answer_frees_its_place(tmp_path: Path, engine_file: Path) -> None:
    settings = PLAIN + "[limits]\nwrite_seconds = 0.5\nin_work = 4\n"
    with running(tmp_path / "run", engine_file, settings, "--door", "echo") as server:
        request = b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500000\r\n\r\n" + b"x" * 500_000

        def push(sock: socket.socket) -> None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            with suppress(OSError):  # the server disconnects
                for _ in range(100):
                    sock.sendall(request)

        def pushed() -> bool:
            """Whether a client was disconnected for its answers; with all places taken, clients may be refused before."""
            with ExitStack() as stack:
                socks = [stack.enter_context(server.connect()) for _ in range(6)]
                threads = [threading.Thread(target=push, args=(sock,)) for sock in socks]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join(60)
                    assert not thread.is_alive()
                return metric(server, 'fastiam_rejected_total{door="echo",reason="write_time"}') >= 1

        until(pushed, 60)
        until(lambda: server.ask("POST", "/echo").status == 200)
        assert metric(server, 'fastiam_in_flight{door="echo"}') == 0


# -- answers -------------------------------------------------------------------------------------------------------------


def test_pieces_of_an_answer_are_chunks(shared_server: Server) -> None:
    answer = shared_server.ask("POST", "/pieces")
    assert (answer.header("transfer-encoding"), answer.json()) == ("chunked", [1, 2])
    answer = shared_server.ask("POST", "/joined")
    assert (answer.header("content-length"), answer.json()) == ("5", [1, 2])


@pytest.mark.parametrize("value", [b"a\r\nx-b: c", b"a\nx-b: c", b"a\r"])
def test_line_end_in_a_field_of_an_answer_is_an_error(shared_server: Server, value: bytes) -> None:
    answer = shared_server.ask("POST", "/inject", value)
    assert (answer.status, answer.header("x-b")) == (500, None)


def test_body_of_a_head_request_is_left_out(shared_server: Server) -> None:
    with shared_server.connect("ops") as sock:
        sock.sendall(b"HEAD /livez HTTP/1.1\r\nHost: localhost\r\n\r\nGET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        data = receive(sock)
    head, _, rest = data.partition(b"\r\n\r\n")
    assert b"content-length: 2" in head
    assert parse(rest).body == b"ok"


@pytest.mark.slow
def test_idle_connection_ends_after_its_time(tmp_path: Path, engine_file: Path) -> None:  # 1.6
    settings = PLAIN + "[limits]\nkeep_alive_seconds = 1.0\n"
    with running(tmp_path / "run", engine_file, settings, "--door", "echo") as server, server.connect() as sock:
        request = b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
        for _ in range(4):
            sock.sendall(request)
            assert parse(receive(sock, 0.4)).status == 200
        assert sock.recv(10) == b""
