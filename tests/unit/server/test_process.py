"""The process: start, overload, reload, stop, sockets, logs (docs/doors.md 1.3, 1.4, 7)."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from served_engine import USER, write_engine
from server_process import ROOT, Server, command, parse, receive, running

PLAIN = """
[listeners.main]
address = "127.0.0.1:0"
protocols = ["echo"]
[listeners.ops]
address = "127.0.0.1:0"
"""
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "src")}


def until(is_so: Callable[[], Any], seconds: float = 10.0) -> Any:
    """What a condition gives as soon as it is true."""
    ends = time.monotonic() + seconds
    while not (found := is_so()):
        assert time.monotonic() < ends, "it never became true"
        time.sleep(0.02)
    return found


def decide(server: Server, action: str = "s3:GetObject", **context: Any) -> Any:
    asked = {"principal": USER, "action": action, "resource": "arn:aws:s3:::b/k", "context": context}
    return server.ask("POST", "/decide", json.dumps(asked).encode())


@pytest.fixture
def server(tmp_path: Path, engine_file: Path) -> Iterator[Server]:
    with running(tmp_path / "run", engine_file, PLAIN, "--door", "echo") as server:
        yield server


def metric(server: Server, name: str) -> float:
    """The sum of a metric over its labels."""
    text = server.ask("GET", "/metrics", name="ops").body.decode()
    lines = [line for line in text.splitlines() if line.startswith(name)]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


# -- start ----------------------------------------------------------------------------------------------------------------


def test_first_line_names_source_generation_and_addresses(server: Server, engine_file: Path) -> None:  # G6
    assert server.started["source"] == str(engine_file)
    assert server.started["generation"] == 1
    assert server.started["doors"] == ["echo", "ops"]
    assert set(server.started["addresses"]) == {"main", "ops"}


def test_file_of_the_working_directory_is_not_read(tmp_path: Path, engine_file: Path) -> None:  # GC29
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("fastiam.toml", "serve.toml.bak", ".env"):
        (folder / name).write_text('[listeners.main]\naddress = "0.0.0.0:0"\ninsecure = true\nauth = "none"\n')
    with running(folder, engine_file, PLAIN, "--door", "echo") as server:
        assert {address.rpartition(":")[0] for address in server.started["addresses"].values()} == {"127.0.0.1"}


def refused(*arguments: str | Path, cwd: Path, environ: dict[str, str] | None = None) -> str:
    """What a refused start says."""
    variables = {**ENVIRONMENT, **(environ or {})}
    done = subprocess.run(command(*arguments), cwd=cwd, capture_output=True, text=True, timeout=60, env=variables)
    assert done.returncode == 64, done
    return done.stderr


def test_start_over_a_broken_source_is_refused(tmp_path: Path) -> None:
    (tmp_path / "policies.json").write_text("{")
    (tmp_path / "serve.toml").write_text(PLAIN)
    message = refused(tmp_path / "policies.json", "--config", "serve.toml", "--door", "echo", cwd=tmp_path)
    assert "policies.json" in message


def test_start_on_an_address_in_use_is_refused(tmp_path: Path, server: Server, engine_file: Path) -> None:
    message = refused(engine_file, "--door", "echo", "--listen", server.address(), cwd=tmp_path)
    assert "address already in use" in message


def test_missing_package_of_the_server_is_named(tmp_path: Path) -> None:
    code = "import sys; sys.modules['uvicorn'] = None; from fastiam.cli.main import run; sys.exit(run(['serve', 'x']))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, env=ENVIRONMENT)
    assert done.returncode == 1
    assert "needs the package `uvicorn`" in done.stderr and "pip install 'fastiam[server]'" in done.stderr


def test_server_starts_without_the_packages_of_sts(tmp_path: Path, engine_file: Path) -> None:
    code = "import sys; sys.modules.update(argon2=None, pyotp=None, cryptography=None); from fastiam.server import run"
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=ENVIRONMENT).returncode == 0


def test_two_protocols_with_one_path_are_refused(tmp_path: Path, engine_file: Path) -> None:  # G12
    file = tmp_path / "serve.toml"
    file.write_text(
        '[listeners.main]\naddress = "127.0.0.1:0"\nprotocols = ["echo", "ops"]\n[echo]\nprefix = ""\nwith_health = true\n'
    )
    file.chmod(0o600)
    message = refused(engine_file, "--config", file, cwd=tmp_path)
    assert "`echo` and `ops` have the path /livez" in message


# -- overload -------------------------------------------------------------------------------------------------------------


def test_surplus_of_requests_gets_503(tmp_path: Path, engine_file: Path) -> None:  # GC22
    settings = PLAIN + "[limits]\nin_work = 8\nhandler_seconds = 20.0\n"
    with running(tmp_path / "run", engine_file, settings, "--door", "echo") as server:
        slow = [server.connect() for _ in range(8)]
        for sock in slow:
            sock.sendall(b"POST /pool HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n")
        until(lambda: metric(server, "fastiam_in_flight") >= 8)
        answers = [server.ask("POST", "/echo") for _ in range(5)]
        assert [answer.status for answer in answers] == [503] * 5
        assert {answer.header("retry-after") for answer in answers} == {"1"}
        assert metric(server, 'fastiam_rejected_total{door="echo",reason="overload"}') == 5
        assert server.ask("GET", "/livez", name="ops").status == 200, "probes are answered under load"
        for sock in slow:
            sock.sendall(b"0.000")
        assert [parse(receive(sock)).status for sock in slow] == [200] * 8
        for sock in slow:
            sock.close()
        assert server.ask("POST", "/echo").status == 200


def test_slow_calls_of_one_client_are_limited(server: Server) -> None:  # 1.6
    with ThreadPoolExecutor(6) as threads:
        statuses = sorted(threads.map(lambda _: server.ask("POST", "/slow", b"0.5").status, range(6)))
    assert statuses == [200, 200, 200, 200, 503, 503]


def test_call_beyond_its_time_gets_503_and_keeps_its_place(server: Server) -> None:  # G8
    answer = server.ask("POST", "/pool", b"1.5")
    assert (answer.status, answer.json()["error"]["code"]) == (503, "timeout")
    assert metric(server, "fastiam_pool_queue") == 1
    until(lambda: metric(server, "fastiam_pool_queue") == 0)


# -- reload ---------------------------------------------------------------------------------------------------------------


def test_broken_policies_keep_the_last_good_generation(tmp_path: Path, engine_file: Path) -> None:  # GC24
    source = shutil.copy(engine_file, tmp_path / "engine.fastiam")
    with running(tmp_path / "run", Path(source), PLAIN, "--door", "echo") as server:
        (tmp_path / "broken").write_bytes(Path(source).read_bytes()[:100])
        (tmp_path / "broken").replace(source)
        server.signal(signal.SIGHUP)
        assert server.log("reload")["result"] == "failure"
        assert decide(server).json() == {"allowed": True, "generation": 1}
        ready = server.ask("GET", "/readyz", name="ops")
        assert ready.status == 200
        assert ready.json()["error"]
        assert metric(server, "fastiam_reload_error") == 1
        write_engine(tmp_path / "good", "s3:PutObject").replace(source)
        server.signal(signal.SIGHUP)
        assert server.log("reload")["result"] == "success"
        assert not decide(server).json()["allowed"]
        assert decide(server, "s3:PutObject").json()["allowed"]
        assert server.ask("GET", "/readyz", name="ops").json()["error"] is None
        assert metric(server, "fastiam_reload_error") == 0


def test_swap_of_a_config_map_is_seen_within_two_seconds(tmp_path: Path) -> None:  # GC237
    mount = tmp_path / "policies"
    for name, action in (("..1", "s3:GetObject"), ("..2", "s3:PutObject")):
        (mount / name).mkdir(parents=True)
        write_engine(mount / name / "engine.fastiam", action)
    (mount / "..data").symlink_to("..1")
    (mount / "engine.fastiam").symlink_to("..data/engine.fastiam")
    with running(tmp_path / "run", mount / "engine.fastiam", PLAIN, "--door", "echo") as server:
        assert decide(server).json()["allowed"]
        (mount / "..data_tmp").symlink_to("..2")
        (mount / "..data_tmp").replace(mount / "..data")
        until(lambda: decide(server, "s3:PutObject").json()["allowed"], 5.0)
        assert decide(server).json() == {"allowed": False, "generation": 2}
        line = server.log("reload")
        assert (line["why"], line["result"], line["before"], line["after"]) == ("source", "success", 1, 2)
        (mount / "..2" / "engine.fastiam").write_bytes(b"broken")
        line = server.log("reload")
        assert (line["result"], line["after"]) == ("failure", 2)
        assert metric(server, "fastiam_reload_total") == 2
        assert decide(server, "s3:PutObject").json()["allowed"]


def test_reload_takes_tokens_and_refuses_fixed_keys(tmp_path: Path, engine_file: Path) -> None:  # G189
    import hashlib

    digest = {token: hashlib.sha256(token.encode()).hexdigest() for token in ("one", "two")}
    folder = tmp_path / "run"
    folder.mkdir()
    tokens = folder / "tokens"
    tokens.write_text(f"pep decide {digest['one']}\n")
    settings = PLAIN.replace("protocols", 'auth = "bearer"\nprotocols') + '[auth]\ntokens = "tokens"\n'
    with running(folder, engine_file, settings, "--door", "echo") as server:
        status = lambda token: server.ask("POST", "/echo", headers={"Authorization": f"Bearer {token}"}).status  # noqa: E731
        assert (status("one"), status("two")) == (200, 401)
        with server.connect() as kept:
            request = b"POST /echo HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer one\r\nContent-Length: 0\r\n\r\n"
            kept.sendall(request)
            assert parse(receive(kept)).status == 200
            tokens.write_text(f"pep decide {digest['two']}\n")
            until(lambda: status("two") == 200)
            kept.sendall(request)
            assert parse(receive(kept)).status == 401, "a revoked token ends on open connections too"
        tokens.write_text("nonsense\n")
        assert server.log("reload")["result"] == "success"
        assert server.log("reload")["result"] == "failure"
        assert (status("one"), status("two")) == (401, 200)
        tokens.write_text(f"pep decide {digest['two']}\n")
        (folder / "serve.toml").write_text(settings.replace("127.0.0.1:0", "127.0.0.1:1"))
        server.signal(signal.SIGHUP)
        until(lambda: "restart" in str(server.ask("GET", "/readyz", name="ops").json()["error"]) or server.log("reload"))


# -- stop -----------------------------------------------------------------------------------------------------------------


def test_stop_finishes_requests_and_exits_with_0(server: Server) -> None:  # GC23
    waiting, stream = server.connect(), server.connect()
    waiting.sendall(b"POST /slow HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\n1.0")
    idle = server.connect()
    idle.sendall(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
    parse(receive(idle))
    until(lambda: metric(server, "fastiam_pool_queue") == 1)
    server.signal(signal.SIGTERM)
    server.log("stop")

    def is_refused() -> bool:
        try:
            server.connect().close()
        except ConnectionRefusedError:
            return True
        return False

    until(is_refused)
    answer = parse(receive(waiting))
    assert (answer.status, answer.header("connection")) == (200, "close")
    assert idle.recv(10) == b"", "an idle connection is closed"
    assert server.process.wait(10) == 0
    for sock in (waiting, stream, idle):
        sock.close()


def test_readiness_ends_before_accepting_does(tmp_path: Path, engine_file: Path) -> None:  # GC231
    with running(tmp_path / "run", engine_file, PLAIN + "[stop]\ndelay = 1.0\n", "--door", "echo") as server:
        assert server.ask("GET", "/readyz", name="ops").status == 200
        server.signal(signal.SIGTERM)
        until(lambda: server.ask("GET", "/readyz", name="ops").status == 503)
        assert server.ask("GET", "/readyz", name="ops").json()["stopping"] is True
        assert decide(server).json()["allowed"], "requests are answered during the delay"
        assert server.process.wait(10) == 0


def test_second_signal_stops_at_once(server: Server) -> None:  # G20
    sock = server.connect()
    sock.sendall(b"POST /slow HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n")
    until(lambda: metric(server, "fastiam_in_flight") >= 1)
    began = time.monotonic()
    server.signal(signal.SIGTERM)
    server.log("stop")
    server.signal(signal.SIGINT)
    assert server.process.wait(10) == 0
    assert time.monotonic() - began < 8
    sock.close()


def test_policies_that_load_slowly_show_503(tmp_path: Path) -> None:  # GC231
    source = tmp_path / "policies.json"
    os.mkfifo(source)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = f'[listeners.main]\naddress = "127.0.0.1:0"\nprotocols = ["echo"]\n[listeners.ops]\naddress = "127.0.0.1:{port}"\n'
    (tmp_path / "serve.toml").write_text(settings)
    process = subprocess.Popen(
        command(source, "--config", tmp_path / "serve.toml", "--door", "echo"),
        stderr=subprocess.DEVNULL,
        cwd=tmp_path,
        env=ENVIRONMENT,
    )
    try:

        def ready() -> int:
            try:
                with socket.create_connection(("127.0.0.1", port)) as sock:
                    sock.sendall(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                    return parse(receive(sock)).status
            except OSError:
                return 0

        assert until(ready, 30.0) == 503
    finally:
        process.kill()
        process.wait()


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


def test_unknown_names_add_no_series(server: Server) -> None:  # GC232, GC245
    def series() -> int:
        return len(server.ask("GET", "/metrics", name="ops").body.splitlines())

    def ask(i: int) -> None:
        server.ask("POST", f"/unknown{i}")
        server.ask("POST", f"/any/{i}", host=f"h{i}.example")
        user = f"arn:aws:iam::111111111111:user/u{i}"
        asked = {"principal": user, "action": f"s3:Action{i}", "resource": f"arn:aws:s3:::b/{i}"}
        server.ask("POST", "/decide", json.dumps(asked).encode())

    ask(0)
    series()
    before = series()
    for i in range(1, 100):
        ask(i)
    assert series() == before


def test_metrics_count_decisions_and_requests(server: Server) -> None:  # G181
    decide(server)
    decide(server, "s3:PutObject")
    server.ask("POST", "/unknown")
    assert metric(server, 'fastiam_decisions_total{door="echo",layer="identity",outcome="ALLOW"}') == 1
    assert metric(server, 'fastiam_requests_total{code="2xx",door="echo",route="/decide"}') == 2
    assert metric(server, 'fastiam_requests_total{code="404",door="none",route="other"}') == 1
    assert metric(server, "fastiam_generation") == 1
    answer = server.ask("GET", "/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"}, name="ops")
    assert answer.body.endswith(b"# EOF\n")


# -- streams --------------------------------------------------------------------------------------------------------------


def stream(body: bytes, chunk: int = 7) -> list[bytes]:
    head = b"POST /stream HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    pieces = [body[i : i + chunk] for i in range(0, len(body), chunk)]
    return [head, *(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces), b"0\r\n\r\n"]


def test_stream_answers_in_order_with_an_end(server: Server) -> None:
    answer = parse(server.send(stream(b"one\ntwo\nthree\n")))
    assert answer.body == b"ONE\nTWO\nTHREE\nrows 3\n"


def test_stream_answers_before_its_body_ends(server: Server) -> None:  # G163
    with server.connect() as sock:
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


def test_aborted_stream_has_no_final_chunk(server: Server) -> None:  # G165
    raw = server.send(stream(b"one\nabort\ntwo\n", 100)[:2])
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


def test_client_that_leaves_a_stream_ends_it(server: Server) -> None:  # GC223
    with server.connect() as sock:
        sock.sendall(b"".join(stream(b"one\n")[:2]))
        while b"ONE" not in sock.recv(1000):
            pass
        assert metric(server, 'fastiam_in_flight{door="echo"}') == 1
    until(lambda: metric(server, 'fastiam_in_flight{door="echo"}') == 0)
    assert decide(server).json()["allowed"]


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


def test_insecure_listener_is_warned_of_at_each_start(tmp_path: Path, engine_file: Path) -> None:  # G27
    settings = PLAIN.replace("127.0.0.1:0", "0.0.0.0:0").replace("protocols", 'insecure = true\nauth = "none"\nprotocols')
    with running(tmp_path / "run", engine_file, settings, "--door", "echo") as server:
        messages = [server.log("warning")["message"] for _ in range(2)]
        assert "not encrypted" in messages[0] and "every client" in messages[1]
        server.started["addresses"]["main"] = server.address().replace("0.0.0.0", "127.0.0.1")
        identity = server.ask("POST", "/echo", host="any.example").json()["identity"]
        assert identity == ["127.0.0.1", ["bulk", "decide"]], "a remote client without proof states nothing (G28)"


def test_version_names_release_and_formats(server: Server) -> None:  # G180
    found = server.ask("GET", "/version", name="ops").json()
    assert set(found) == {"version", "python", "isa", "engine_format", "authzen"}


def test_pieces_of_an_answer_are_chunks(server: Server) -> None:
    answer = server.ask("POST", "/pieces")
    assert (answer.header("transfer-encoding"), answer.json()) == ("chunked", [1, 2])
    answer = server.ask("POST", "/joined")
    assert (answer.header("content-length"), answer.json()) == ("5", [1, 2])


@pytest.mark.parametrize("value", [b"a\r\nx-b: c", b"a\nx-b: c", b"a\r"])
def test_line_end_in_a_field_of_an_answer_is_an_error(server: Server, value: bytes) -> None:
    answer = server.ask("POST", "/inject", value)
    assert (answer.status, answer.header("x-b")) == (500, None)


def test_body_of_a_head_request_is_left_out(server: Server) -> None:
    with server.connect("ops") as sock:
        sock.sendall(b"HEAD /livez HTTP/1.1\r\nHost: localhost\r\n\r\nGET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        data = receive(sock)
    head, _, rest = data.partition(b"\r\n\r\n")
    assert b"content-length: 2" in head
    assert parse(rest).body == b"ok"


def test_idle_connection_ends_after_its_time(tmp_path: Path, engine_file: Path) -> None:  # 1.6
    settings = PLAIN + "[limits]\nkeep_alive_seconds = 1.0\n"
    with running(tmp_path / "run", engine_file, settings, "--door", "echo") as server, server.connect() as sock:
        request = b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
        for _ in range(4):
            sock.sendall(request)
            assert parse(receive(sock, 0.4)).status == 200
        assert sock.recv(10) == b""


# -- decision log ---------------------------------------------------------------------------------------------------------


def entries(server: Server, name: str = "decisions") -> list[dict[str, Any]]:
    path = server.folder / name
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_decision_log_has_denials_by_default(server: Server) -> None:  # G185
    decide(server)
    decide(server, "s3:PutObject")
    found = until(lambda: entries(server, "stdout"))
    assert len(found) == 1
    assert found[0]["result"] is False
    assert found[0]["outcome"] == "IMPLICIT_DENY"
    assert found[0]["input"]["action"] == "s3:PutObject"
    assert found[0]["bundles"]["fastiam"]["revision"] == "1"


LOG = PLAIN + '[decision_log]\nmode = "all"\npath = "decisions"\n'


def test_hostile_texts_make_one_escaped_line(tmp_path: Path, engine_file: Path) -> None:  # GC234, GC235
    with running(tmp_path / "run", engine_file, LOG, "--door", "echo") as server:
        many = {f"k{i}": "v" for i in range(200)}
        decide(server, a='\n{"decision_id":"forged"}', b="\u2028\u202e\x1b\x85", password="p", nested={"Token": "t"}, many=many)
        found = until(lambda: entries(server))
        raw = (server.folder / "decisions").read_bytes()
    assert len(found) == 1 and raw.count(b"\n") == 1
    context = found[0]["input"]["context"]
    assert context["a"] == '\n{"decision_id":"forged"}'
    assert raw.isascii() and b"\\u202e" in raw and b"\\u001b" in raw
    assert len(context["many"]) == 100 and found[0]["truncated"] is True
    assert "password" not in context and context["nested"] == {}
    assert found[0]["erased"] == ["/input/context/nested/Token", "/input/context/password"]


def test_rotation_loses_no_line(tmp_path: Path, engine_file: Path) -> None:  # GC234
    settings = LOG + "max_bytes = 4096\nkeep = 100\n"
    with running(tmp_path / "run", engine_file, settings, "--door", "echo") as server:
        for i in range(60):
            decide(server, n=i)
            if i % 10 == 0:  # lines that wait are written as one piece, and between two pieces the file is rotated
                until(lambda n=i: metric(server, "fastiam_decision_log_written_total") > n)
            if i % 20 == 10:
                (server.folder / "decisions").rename(server.folder / f"decisions.signal{i}")
                server.signal(signal.SIGUSR1)
        assert server.stop() == 0
        files = sorted(server.folder.glob("decisions*"))
        numbers = [json.loads(line)["input"]["context"]["n"] for file in files for line in file.read_text().splitlines()]
    assert sorted(numbers) == list(range(60))
    assert len(files) > 4


@pytest.mark.parametrize("on_full, status", [("drop", 200), ("deny", 503)])
def test_full_disk_drops_lines_or_denies(tmp_path: Path, engine_file: Path, on_full: str, status: int) -> None:  # GC233
    settings = LOG.replace('"decisions"', '"/dev/full"') + f'on_full = "{on_full}"\n'
    with running(tmp_path / "run", engine_file, settings, "--door", "echo") as server:
        assert decide(server).status == 200, "nothing shows yet that the disk is full"
        until(lambda: decide(server).status == status)
        assert metric(server, "fastiam_decision_log_queue") >= 1
        assert metric(server, "fastiam_decision_log_written_total") == 0


# -- failures -------------------------------------------------------------------------------------------------------------


def test_failed_authentication_is_in_the_audit_log(tmp_path: Path, engine_file: Path) -> None:  # G188
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "tokens").write_text(f"pep decide {'0' * 64}\n")
    settings = PLAIN.replace("protocols", 'auth = "bearer"\nprotocols') + '[auth]\ntokens = "tokens"\n'
    with running(folder, engine_file, settings, "--door", "echo") as server:
        for _ in range(30):
            server.ask("POST", "/echo", headers={"Authorization": "Bearer secret-text"})
        line = server.log("authentication_failed")
        assert line["peer"] == "127.0.0.1"
        server.stop()
        server.log("stop")
    assert "secret-text" not in json.dumps(server.lines)
    assert sum(each["event"] == "authentication_failed" for each in server.lines) <= 30


def test_exception_of_a_handler_is_in_the_audit_log(server: Server) -> None:  # G1
    answer = server.ask("POST", "/fail")
    assert (answer.status, b"policy" in answer.body) == (500, False)
    assert server.log("error")["error"] == "ValueError"
