"""Unix sockets of a process, and what its operations show (docs/doors.md 1.3, 7)."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

from echo_server import PLAIN, decide, metric, refused
from server_process import Server, running

# -- unix sockets ---------------------------------------------------------------------------------------------------------


def unix(folder: Path, more: str = "") -> str:
    return f'[listeners.main]\naddress = "unix:{folder}/pdp.sock"\nprotocols = ["echo"]\n{more}\n[ops]\nenabled = false\n'


def test_unix_socket_has_its_mode_and_is_removed(tmp_path: Path, engine_file: Path) -> None:  # GC25
    folder = tmp_path / "sockets"
    before = os.umask(0)
    try:
        with running(tmp_path / "run", engine_file, unix(folder), "--door", "echo") as server:
            path = folder / "pdp.sock"
            assert stat.S_IMODE(path.stat().st_mode) == 0o660
            assert stat.S_IMODE(folder.stat().st_mode) == 0o750
            answer = server.ask("POST", "/echo", host="any.example").json()
            assert answer["peer"] == ["unix", None, os.getuid()]
            assert server.stop() == 0
            assert not path.exists()
    finally:
        os.umask(before)


def refused_start(tmp_path: Path, engine_file: Path, folder: Path) -> str:
    file = tmp_path / "second.toml"
    file.write_text(unix(folder))
    return refused(engine_file, "--config", file, "--door", "echo", cwd=tmp_path)


def test_live_socket_is_refused_and_a_stale_one_replaced(tmp_path: Path, engine_file: Path) -> None:  # GC25
    folder = tmp_path / "sockets"
    with running(tmp_path / "run", engine_file, unix(folder), "--door", "echo") as server:
        assert "another process answers there" in refused_start(tmp_path, engine_file, folder)
        assert server.ask("POST", "/echo").status == 200
        server.process.kill()
        server.process.wait()
    assert (folder / "pdp.sock").exists()
    with running(tmp_path / "run", engine_file, unix(folder), "--door", "echo") as server:
        assert server.ask("POST", "/echo").status == 200


def test_path_that_is_not_our_socket_is_refused(tmp_path: Path, engine_file: Path) -> None:
    folder = tmp_path / "sockets"
    folder.mkdir(0o750)
    (folder / "pdp.sock").write_text("a file")
    assert "is not a socket of ours" in refused_start(tmp_path, engine_file, folder)
    assert (folder / "pdp.sock").read_text() == "a file"


def test_user_of_a_unix_socket_is_the_identity(tmp_path: Path, engine_file: Path) -> None:  # G25
    peers = '[[auth.unix]]\nuid = {}\nname = "app"\nscopes = ["decide", "assert:tags"]\n'
    more = 'auth = "unix"\nmode = "0666"'
    folder = tmp_path / "sockets"
    with running(tmp_path / "run", engine_file, unix(folder, more) + peers.format(os.getuid()), "--door", "echo") as server:
        assert server.ask("POST", "/echo").json()["identity"] == ["app", ["assert:tags", "decide"]]
    with running(tmp_path / "run", engine_file, unix(folder, more) + peers.format(54321), "--door", "echo") as server:
        assert server.ask("POST", "/echo").status == 401


# -- what is shown ----------------------------------------------------------------------------------------------------------


def test_ops_beyond_loopback_shows_no_details(tmp_path: Path, engine_file: Path) -> None:  # GC26
    settings = PLAIN.replace('[listeners.ops]\naddress = "127.0.0.1:0"', '[listeners.ops]\naddress = "0.0.0.0:0"')
    with running(tmp_path / "run", engine_file, settings, "--door", "echo") as server:
        server.started["addresses"]["ops"] = server.address("ops").replace("0.0.0.0", "127.0.0.1")
        assert server.ask("GET", "/readyz", name="ops").json() == {"ready": True, "stopping": False}
        assert server.ask("GET", "/version", name="ops").status == 404
        assert server.ask("GET", "/admin/status", name="ops").status == 404
        assert server.ask("GET", "/metrics", name="ops").status == 200


def test_unknown_names_add_no_series(shared_server: Server) -> None:  # GC232, GC245
    def series() -> int:
        return len(shared_server.ask("GET", "/metrics", name="ops").body.splitlines())

    def ask(i: int) -> None:
        shared_server.ask("POST", f"/unknown{i}")
        shared_server.ask("POST", f"/any/{i}", host=f"h{i}.example")
        user = f"arn:aws:iam::111111111111:user/u{i}"
        asked = {"principal": user, "action": f"s3:Action{i}", "resource": f"arn:aws:s3:::b/{i}"}
        shared_server.ask("POST", "/decide", json.dumps(asked).encode())

    ask(0)
    series()
    before = series()
    for i in range(1, 100):
        ask(i)
    assert series() == before


def test_metrics_count_decisions_and_requests(shared_server: Server) -> None:  # G181
    names = (
        'fastiam_decisions_total{door="echo",layer="identity",outcome="ALLOW"}',
        'fastiam_requests_total{code="2xx",door="echo",route="/decide"}',
        'fastiam_requests_total{code="404",door="none",route="other"}',
    )
    before = [metric(shared_server, name) for name in names]
    decide(shared_server)
    decide(shared_server, "s3:PutObject")
    shared_server.ask("POST", "/unknown")
    assert [metric(shared_server, name) - count for name, count in zip(names, before, strict=True)] == [1, 2, 1]
    assert metric(shared_server, "fastiam_generation") == 1
    answer = shared_server.ask("GET", "/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"}, name="ops")
    assert answer.body.endswith(b"# EOF\n")


def test_insecure_listener_is_warned_of_at_each_start(tmp_path: Path, engine_file: Path) -> None:  # G27
    settings = PLAIN.replace("127.0.0.1:0", "0.0.0.0:0").replace("protocols", 'insecure = true\nauth = "none"\nprotocols')
    with running(tmp_path / "run", engine_file, settings, "--door", "echo") as server:
        messages = [server.log("warning")["message"] for _ in range(2)]
        assert "not encrypted" in messages[0] and "every client" in messages[1]
        server.started["addresses"]["main"] = server.address().replace("0.0.0.0", "127.0.0.1")
        identity = server.ask("POST", "/echo", host="any.example").json()["identity"]
        assert identity == ["127.0.0.1", ["aws", "bulk", "decide"]], "a remote client without proof states nothing (G28)"


def test_version_names_release_and_formats(shared_server: Server) -> None:  # G180
    found = shared_server.ask("GET", "/version", name="ops").json()
    assert set(found) == {"version", "python", "isa", "engine_format", "authzen"}
