"""The process: start, overload, reload, stop (docs/doors.md 1.3, 1.4, 7)."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from echo_server import ENVIRONMENT, PLAIN, decide, metric, refused, until
from served_engine import USER, write_engine
from server_process import Server, command, parse, receive, running

from fastiam.errors import pip_install

# -- start ----------------------------------------------------------------------------------------------------------------


def test_first_line_names_source_generation_and_addresses(shared_server: Server, engine_file: Path) -> None:  # G6
    assert shared_server.started["source"] == str(engine_file)
    assert shared_server.started["generation"] == 1
    assert shared_server.started["doors"] == ["echo", "ops"]
    assert set(shared_server.started["addresses"]) == {"main", "ops"}


def test_file_of_the_working_directory_is_not_read(tmp_path: Path, engine_file: Path) -> None:  # GC29
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("fastiam.toml", "serve.toml.bak", ".env"):
        (folder / name).write_text('[listeners.main]\naddress = "0.0.0.0:0"\ninsecure = true\nauth = "none"\n')
    with running(folder, engine_file, PLAIN, "--door", "echo") as server:
        assert {address.rpartition(":")[0] for address in server.started["addresses"].values()} == {"127.0.0.1"}


def test_start_over_a_broken_source_is_refused(tmp_path: Path) -> None:
    (tmp_path / "policies.json").write_text("{")
    (tmp_path / "serve.toml").write_text(PLAIN)
    message = refused(tmp_path / "policies.json", "--config", "serve.toml", "--door", "echo", cwd=tmp_path)
    assert "policies.json" in message


def test_start_on_an_address_in_use_is_refused(tmp_path: Path, shared_server: Server, engine_file: Path) -> None:
    message = refused(engine_file, "--door", "echo", "--listen", shared_server.address(), cwd=tmp_path)
    assert "address already in use\nhelp: set `listeners.main.address` to another one" in message


def test_missing_package_of_the_server_is_named(tmp_path: Path) -> None:
    code = "import sys; sys.modules['uvicorn'] = None; from fastiam.cli.main import run; sys.exit(run(['serve', 'x']))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, env=ENVIRONMENT)
    assert done.returncode == 1
    assert "needs the package `uvicorn`" in done.stderr and pip_install("server") in done.stderr


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
    settings = PLAIN + "[limits]\nin_work = 8\nslow_per_client = 64\nhandler_seconds = 20.0\n"
    with running(tmp_path / "run", engine_file, settings, "--door", "echo") as server:
        with ThreadPoolExecutor(13) as threads:
            answers = list(threads.map(lambda _: server.ask("POST", "/slow", b"0.2"), range(13)))
            assert server.ask("POST", "/echo").status == 200, "the event loop answers at once"
        refused = [answer for answer in answers if answer.status == 503]
        assert len(refused) == 5 and {answer.status for answer in answers} == {200, 503}
        assert {answer.header("retry-after") for answer in refused} == {"1"}
        assert metric(server, 'fastiam_rejected_total{door="echo",reason="overload"}') == 5
        assert server.ask("POST", "/slow", b"0").status == 200


ASKED = {"principal": USER, "action": "s3:GetObject", "resource": "arn:aws:s3:::b/k"}
TWO_LISTENERS = """
[listeners.main]
address = "127.0.0.1:0"
protocols = ["echo"]
[listeners.pep]
address = "unix:FOLDER/pep.sock"
protocols = ["echo"]
[listeners.ops]
address = "127.0.0.1:0"
[limits]
body_bytes = 400_000
in_work = 8
"""


@pytest.mark.parametrize("size", [10, 100_000])
def test_unfinished_bodies_refuse_no_decision(tmp_path: Path, engine_file: Path, size: int) -> None:  # GC22a
    settings = TWO_LISTENERS.replace("FOLDER", str(tmp_path))
    with running(tmp_path / "run", engine_file, settings, "--door", "echo") as server, ExitStack() as stack:
        for _ in range(40):
            sock = stack.enter_context(server.connect())
            sock.sendall(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % size + b"x" * (size - 1))
        until(lambda: metric(server, 'fastiam_in_flight{door="echo"}') >= min(40, 200_000 // size))
        for name in ("main", "pep"):
            for _ in range(10):
                assert server.ask("POST", "/decide", json.dumps(ASKED).encode(), name=name).json()["allowed"]
        [first, second] = [b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 190000\r\n\r\n" + b"x" * 9, b"x" * 189_991]
        assert parse(server.send([first, second], "pep")).status == 200
        assert parse(server.send([first, second])).status == (503 if size > 10 else 200)
        is_refused = metric(server, 'fastiam_rejected_total{door="echo",reason="overload"}') > 0
        assert is_refused == (size > 10)


def test_bytes_of_bodies_are_given_back(tmp_path: Path, engine_file: Path) -> None:
    settings = TWO_LISTENERS.replace("FOLDER", str(tmp_path))
    with running(tmp_path / "run", engine_file, settings, "--door", "echo") as server:
        head = b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 150000\r\n\r\n"
        for _ in range(5):
            assert parse(server.send([head, b"x" * 150_000])).status == 200
            with server.connect() as sock:
                sock.sendall(head + b"x" * 149_999)  # and leaves
            until(lambda: metric(server, 'fastiam_in_flight{door="echo"}') == 0)
        assert parse(server.send([head, b"x" * 150_000])).status == 200


def test_slow_calls_of_one_client_are_limited(shared_server: Server) -> None:  # 1.6
    with ThreadPoolExecutor(6) as threads:
        statuses = sorted(threads.map(lambda _: shared_server.ask("POST", "/slow", b"0.5").status, range(6)))
    assert statuses == [200, 200, 200, 200, 503, 503]


def test_call_beyond_its_time_gets_503_and_keeps_its_place(shared_server: Server) -> None:  # G8
    answer = shared_server.ask("POST", "/pool", b"1.5")
    assert (answer.status, answer.json()["error"]["code"]) == (503, "timeout")
    assert metric(shared_server, "fastiam_pool_queue") == 1
    until(lambda: metric(shared_server, "fastiam_pool_queue") == 0)


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


@pytest.mark.parametrize("revoke", ["empty", "removed", "beside-a-broken-configuration"])
def test_last_token_is_revoked_while_the_server_runs(tmp_path: Path, engine_file: Path, revoke: str) -> None:  # G189
    import hashlib

    folder = tmp_path / "run"
    folder.mkdir()
    tokens = folder / "tokens"
    tokens.write_text(f"pep decide {hashlib.sha256(b'leaked').hexdigest()}\n")
    settings = PLAIN.replace("protocols", 'auth = "bearer"\nprotocols') + '[auth]\ntokens = "tokens"\n'
    with running(folder, engine_file, settings, "--door", "echo") as server:
        status = lambda: server.ask("POST", "/echo", headers={"Authorization": "Bearer leaked"}).status  # noqa: E731
        assert status() == 200
        if revoke == "removed":
            tokens.unlink()
        else:
            if revoke == "beside-a-broken-configuration":
                (folder / "serve.toml").write_text("[listeners")
            tokens.write_text("# none\n")
        until(lambda: status() == 401)
        assert "accepts no client" in server.log("warning")["message"]
        assert server.log("reload")["result"] == ("success" if revoke != "beside-a-broken-configuration" else "failure")
        server.signal(signal.SIGHUP)
        server.log("reload")
        assert status() == 401


def test_last_peer_of_a_unix_socket_is_revoked(tmp_path: Path, engine_file: Path) -> None:  # G189
    folder = tmp_path / "run"
    folder.mkdir()
    address = f'[listeners.main]\naddress = "unix:{folder}/s/pdp.sock"\nauth = "unix"\n'
    settings = PLAIN.replace('[listeners.main]\naddress = "127.0.0.1:0"\n', address)
    with running(folder, engine_file, settings + f"[[auth.unix]]\nuid = {os.getuid()}\n", "--door", "echo") as server:
        assert server.ask("POST", "/echo").status == 200
        (folder / "serve.toml").write_text(settings)
        server.signal(signal.SIGHUP)
        assert server.log("reload")["result"] == "success"
        assert server.ask("POST", "/echo").status == 401


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


# -- memory -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["engine", "folder"])
def test_setting_bounds_the_cache_of_the_engine(tmp_path: Path, engine_file: Path, source: str) -> None:
    if source == "folder":
        path = tmp_path / "policies"
        path.mkdir()
        (path / "account.json").write_text('{"format": "fastiam-directory", "version": 1, "accounts": [{"id": "111111111111"}]}')
    else:
        path = engine_file
    settings = PLAIN + "[source]\ncache_bytes = 2097152\n"
    with running(tmp_path / "run", path, settings, "--door", "echo") as server:
        assert metric(server, "fastiam_engine_cache_limit") == 2_097_152
