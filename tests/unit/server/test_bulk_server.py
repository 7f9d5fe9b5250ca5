"""Bulk decisions and analyses over sockets to a real process (GC220, GC225, GC230), and the examples of docs/bulk.md."""

from __future__ import annotations

import asyncio
import io
import json
import select
import shutil
import socket
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest
from bulk_fixture import ALICE, ARROW, BOB, NDJSON, OBJECT, World, arrow_stream, directory, json_lines, row
from server_pages import run_examples
from server_process import Server, parse, running

from fastiam.server.config_sections import Limits
from fastiam.server.http import Request
from fastiam.server.protocol import Place, Route
from fastiam.server.thread_pools import Overload, Pools

SETTINGS = """
[listeners.main]
address = "unix:{folder}/bulk.sock"
protocols = ["bulk"]
[listeners.ops]
address = "127.0.0.1:0"
[decision_log]
mode = "all"
path = "decisions"
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("bulk")
    (folder / "policies.json").write_text(directory().to_json())
    with running(folder, folder / "policies.json", SETTINGS.format(folder=folder)) as server:
        yield server


def _head(content_type: str = NDJSON) -> bytes:
    return (
        b"POST /v1/decisions HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Type: %b\r\n\r\n"
        % content_type.encode()
    )


def _chunks(body: bytes, size: int = 1 << 15) -> Iterator[bytes]:
    for at in range(0, len(body), size):
        piece = body[at : at + size]
        yield b"%x\r\n%b\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"


@pytest.mark.parametrize("content_type", [NDJSON, ARROW])
def test_stream_is_answered_in_the_form_of_its_body(server: Server, content_type: str) -> None:
    rows = [row(), row(BOB)]
    body = json_lines(rows) if content_type == NDJSON else arrow_stream(pa.Table.from_pylist(rows))
    answer = server.ask("POST", "/v1/decisions", body, {"Content-Type": content_type})
    assert (answer.status, answer.header("content-type")) == (200, content_type)
    assert answer.header("x-fastiam-generation") == "1"
    if content_type == NDJSON:
        assert [json.loads(line).get("outcome") for line in answer.body.splitlines()] == ["ALLOW", "IMPLICIT_DENY", None]
    else:
        assert pa.ipc.open_stream(answer.body).read_all()["outcome"].to_pylist() == ["ALLOW", "IMPLICIT_DENY"]


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("application/json", b"{}", 415),
        (ARROW, b"\xff" * 64, 400),
        (ARROW, b"PAR1" + b"0" * 64, 415),
        (NDJSON, b'{"sessions": {}}\n', 403),
    ],
)
def test_stream_that_is_refused_has_a_status(server: Server, content_type: str, body: bytes, status: int) -> None:  # GC225
    answer = server.ask("POST", "/v1/decisions", body, {"Content-Type": content_type})
    assert answer.status == status and set(answer.json()) == {"error"}


def test_stop_leaves_the_chunked_body_unfinished(server: Server) -> None:  # GC221
    rows = json_lines([row(), "{", row()])
    with server.connect() as sock:
        sock.sendall(_head().replace(b"decisions", b"decisions?on_error=stop") + b"".join(_chunks(rows)))
        data = b""
        while piece := sock.recv(65536):
            data += piece
    assert b'{"error":{"code":"bad_json","row":1' in data and not data.endswith(b"0\r\n\r\n")


def test_server_reads_no_faster_than_its_client(server: Server) -> None:  # GC220
    """What a client that does not read can send is bounded; then it reads, and every answer is there in order."""
    count = 60_000
    pattern = [i % 3 == 0 or i % 7 == 0 for i in range(count)]
    body = b"".join(_chunks(json_lines(row(ALICE if allowed else BOB) for allowed in pattern)))
    with server.connect() as sock:
        sock.sendall(_head())
        sock.setblocking(False)
        sent = 0
        while sent < len(body) and select.select([], [sock], [], 1.5)[1]:
            sent += sock.send(body[sent : sent + 65536])
        assert sent < len(body) / 2, "the socket is full"
        sock.setblocking(True)
        writer = threading.Thread(target=sock.sendall, args=(body[sent:],))
        writer.start()
        data = _received(sock)
        writer.join()
    lines = parse(data).body.splitlines()
    assert [b'"ALLOW"' in line for line in lines[:-1]] == pattern
    summary = orjson.loads(lines[-1])["summary"]
    assert (summary["rows"], summary["allowed"], summary["errors"]) == (count, sum(pattern), 0)


def _rows_in(answer: bytes) -> int:
    """Rows in the part of an answer that is there."""
    found = 0
    if b"\r\n\r\n" not in answer:
        return 0
    try:
        for batch in pa.ipc.open_stream(parse(answer + b"0\r\n\r\n").body):
            found += batch.num_rows
    except (ValueError, pa.ArrowInvalid, OSError):  # it is cut
        pass
    return found


def _received(sock: socket.socket) -> bytes:
    data = bytearray()
    while not data.endswith(b"\r\n0\r\n\r\n"):
        piece = sock.recv(1 << 16)
        assert piece, bytes(data[-200:])
        data += piece
    return bytes(data)


@pytest.mark.parametrize("size", [3, 1 << 15])
def test_client_that_waits_for_each_batch_is_answered(server: Server, size: int) -> None:
    """A batch whose bytes came in any pieces is decided at once, though no further byte follows it."""
    table, sink, ends = pa.Table.from_pylist([row(), row(BOB)]), io.BytesIO(), [0]
    with pa.ipc.new_stream(sink, table.schema) as writer:
        for _ in range(3):
            writer.write_table(table)
            ends.append(len(sink.getvalue()))
    messages = [sink.getvalue()[begin:end] for begin, end in pairwise(ends)]
    data = bytearray()
    with server.connect() as sock:
        sock.settimeout(10)
        sock.sendall(_head(ARROW))
        for count, message in enumerate(messages, 1):
            sock.sendall(b"".join(list(_chunks(message, size))[:-1]))
            while _rows_in(bytes(data)) < 2 * count:
                piece = sock.recv(1 << 16)
                assert piece
                data += piece
        sock.sendall(b"0\r\n\r\n")
        data += _received(sock)
    assert pa.ipc.open_stream(parse(bytes(data)).body).read_all()["allowed"].to_pylist() == [True, False] * 3


def test_stream_is_one_line_of_the_decision_log(tmp_path: Path) -> None:
    (tmp_path / "policies.json").write_text(directory().to_json())
    with running(tmp_path / "run", tmp_path / "policies.json", SETTINGS.format(folder=tmp_path)) as server:
        rows = json_lines([row(), row(BOB), row("alice")])
        assert server.ask("POST", "/v1/decisions", rows, {"Content-Type": NDJSON}).status == 200
        assert server.stop() == 0
        (line,) = (server.folder / "decisions").read_text().splitlines()
    batch = json.loads(line)["batch"]
    assert json.loads(line)["path"] == "bulk/decisions"
    assert (batch["size"], batch["errors"], batch["denied"]) == (3, 1, [1, 2])


def test_analyses_are_answered_by_the_process(server: Server) -> None:
    def ask(name: str, body: dict[str, Any], **headers: str) -> Any:
        answer = server.ask("POST", f"/v1/{name}", orjson.dumps(body), {"Content-Type": "application/json", **headers})
        assert answer.status == 200, answer.body
        return answer

    found = ask("who-can", {"action": "s3:GetObject", "resource": OBJECT}).json()
    assert ALICE in [caller["principal"] for caller in found["callers"]]
    streamed = ask("who-can", {"action": "s3:GetObject", "resource": OBJECT}, Accept=NDJSON)
    lines = [json.loads(line) for line in streamed.body.splitlines()]
    assert lines[:-1] == found["callers"] and lines[-1]["summary"]["callers"] == len(found["callers"])
    assert ask("what-can", {"principal": ALICE}).json()["grants"]
    assert ask("explain", row()).json()["decision"]["outcome"] == "ALLOW"


def test_analyses_of_one_client_run_one_at_a_time() -> None:  # GC230
    """Four are taken and four are refused; a call in the other thread is not behind them."""
    world = World()
    names = ("who-can", "what-can", "explain", "diff")
    places = [world.routes[f"/v1/{name}"] for name in names]
    assert all(isinstance(route, Route) and route.place is Place.SLOW for route in places)
    entered, leave = threading.Event(), threading.Event()
    running_now: list[int] = []

    def pin() -> Any:
        running_now.append(1)
        entered.set()
        assert leave.wait(20) and len(running_now) == 1
        running_now.pop()
        return world.decider.pin()

    class Slow:
        pass

    slow = Slow()
    slow.pin = pin  # type: ignore[attr-defined]
    body = orjson.dumps({"action": "s3:GetObject", "resource": OBJECT})
    request = Request("POST", b"/v1/who-can", b"", ((b"content-type", b"application/json"),), body, identity=world.identity)
    handler = world.routes["/v1/who-can"].handler  # type: ignore[union-attr]

    async def run() -> tuple[list[int], int, Any]:
        pools = Pools(Limits())
        taken, refused = [], 0
        for _ in range(8):
            try:
                taken.append(pools.start(Place.SLOW, "name:pep", lambda: handler(request, slow, None)))
            except Overload:
                refused += 1
        await asyncio.to_thread(entered.wait, 20)
        other = await pools.run(Place.POOL, "name:pep", 20, lambda: "password")
        leave.set()
        statuses = [response.status for response in await asyncio.gather(*taken)]
        pools.close()
        return statuses, refused, other

    statuses, refused, other = asyncio.run(run())
    assert statuses == [200] * 4 and refused == 4 and other == "password"


@pytest.mark.skipif(shutil.which("curl") is None or shutil.which("jq") is None, reason="needs curl and jq")
def test_examples_of_the_page_have_the_answers_shown(tmp_path: Path) -> None:
    examples = run_examples("bulk.md", tmp_path)
    assert len(examples) == 6
    for printed, shown in examples:
        assert printed == shown
