"""The HTTP edge over raw sockets (docs/doors.md 10.1)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from edge_cases import EDGE, cut, segments
from server_process import Answer, Server, parse, running

SETTINGS = """
[listeners.main]
address = "127.0.0.1:0"
protocols = ["echo"]
hosts = ["pdp.example"]
[listeners.bearer]
address = "127.0.0.1:0"
protocols = ["echo"]
auth = "bearer"
[listeners.ops]
address = "127.0.0.1:0"
[auth]
tokens = "tokens"
[limits]
head_seconds = 1.0
body_seconds = 1.0
"""
GOOD = "g" * 43
NO_SCOPE = "n" * 43


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, engine_file: Path) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("edge")
    digests = [hashlib.sha256(token.encode()).hexdigest() for token in (GOOD, NO_SCOPE)]
    (folder / "tokens").write_text(f"pep decide,bulk {digests[0]}\nother metrics {digests[1]}\n")
    with running(folder, engine_file, SETTINGS, "--door", "echo") as server:
        yield server


SPLITS = (0, 1, 2, 3)
"""Numbers of segments; 0: as written."""


def pieces_of(case: dict[str, Any], count: int) -> list[bytes]:
    pieces = [piece.replace(b"$GOOD", GOOD.encode()).replace(b"$OTHER", NO_SCOPE.encode()) for piece in segments(case)]
    return cut(b"".join(pieces), count) if count else pieces


@pytest.fixture(scope="module")
def exchanges(server: Server) -> dict[tuple[str, int], tuple[list[Answer], bool]]:
    """What each case gets, all at once: most of their time is a wait for what does not come."""

    def exchange(case: dict[str, Any], count: int) -> tuple[list[Answer], bool]:
        return server.exchange(pieces_of(case, count), case.get("listener", "main"))

    jobs = [(case, count) for case in EDGE for count in SPLITS]
    with ThreadPoolExecutor(len(jobs)) as threads:
        found = threads.map(lambda job: exchange(*job), jobs)
        return {(case["id"], count): each for (case, count), each in zip(jobs, found, strict=True)}


@pytest.mark.parametrize("case", EDGE, ids=[case["id"] for case in EDGE])
def test_edge_case(exchanges: dict[tuple[str, int], tuple[list[Answer], bool]], case: dict[str, Any]) -> None:
    for count in SPLITS:
        _check(case, *exchanges[case["id"], count], (count, case["why"]))


def _check(case: dict[str, Any], answers: list[Answer], is_closed: bool, what: tuple[int, str]) -> None:
    expect = case["expect"]
    assert len(answers) == expect.get("answers", len(answers)), what
    if "bodies" in expect:
        assert [answer.json()["body"] for answer in answers] == expect["bodies"], what
    if "status" in expect:
        assert answers, what
        answer = answers[0]
        assert answer.status == expect["status"], (what, answer)
        for name, value in expect.get("headers", {}).items():
            assert answer.header(name) == value
        for name in expect.get("absent", ()):
            assert answer.header(name) is None
        if "body" in expect:
            assert answer.body.decode() == expect["body"]
    if "closed" in expect:
        assert is_closed is expect["closed"], what


def test_request_reaches_the_protocol(server: Server) -> None:
    answer = server.ask("POST", "/echo?a=b%20c", b"text")
    assert answer.status == 200
    seen = answer.json()
    assert (seen["path"], seen["query"], seen["body"]) == ("/echo", "a=b%20c", "text")
    assert seen["client"] == ["127.0.0.1", False]
    assert answer.header("date") is not None and answer.header("server") is None


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil", "localhost:80:80", ""])
def test_foreign_host_is_421(server: Server, host: str) -> None:  # GC3
    for path in ("/echo", "/unknown"):
        assert server.ask("POST", path, host=host).status == 421


@pytest.mark.parametrize("host", ["localhost:9999", "[::1]", "127.0.0.1:1", "pdp.example", "PDP.example:443"])
def test_own_host_is_served(server: Server, host: str) -> None:  # GC5
    assert server.ask("POST", "/echo", host=host).status == 200


TRAILER = (
    b"POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n"
    b"Authorization: Bearer %s\r\nX-Forwarded-For: 9.9.9.9\r\nX-Request-ID: trailer\r\n\r\n" % GOOD.encode()
)


@pytest.mark.parametrize("cuts", [(), (70, 110)], ids=["one-segment", "three-segments"])
def test_trailer_field_is_not_a_header(server: Server, cuts: tuple[int, ...]) -> None:  # GC4
    pieces = [TRAILER[a:b] for a, b in zip((0, *cuts), (*cuts, len(TRAILER)), strict=True)]
    assert parse(server.send(pieces, "bearer")).status == 401
    answer = parse(server.send(pieces))
    assert answer.status == 200
    assert [name for name, _ in answer.json()["headers"]] == ["host", "transfer-encoding"]
    assert answer.header("x-request-id") not in ("trailer", None)
    both = server.send([*pieces, b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"])
    second = parse(parse(both).rest)
    assert [name for name, _ in second.json()["headers"]] == ["host", "content-length"]
