"""Envoy's checks in a served process: warnings at the start, dry runs in metrics and log, tokens, stop, a missing package."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from extauthz_fixture import API, ROLE, SPIFFE, directory
from server_process import ROOT, running

from fastiam.errors import pip_install

SETTINGS = f"""
[listeners.main]
address = "127.0.0.1:0"
protocols = ["extauthz"]
[listeners.ops]
address = "127.0.0.1:0"
[decision_log]
path = "decisions"
[extauthz]
principal = ["xfcc"]
trust_xfcc = true
[extauthz.spiffe]
"spiffe://prod.example/ns/{{ns}}/sa/{{sa}}" = {{ role = "{ROLE}/k8s/{{ns}}/{{sa}}", session = "{{sa}}" }}
[[extauthz.route]]
api = "{API}"
"""
CERTIFICATE = {"x-forwarded-client-cert": f"URI={SPIFFE}"}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "policies.json"
    path.write_text(directory().to_json())
    return path


def test_dry_run_passes_and_counts_the_denial(tmp_path: Path, source: Path) -> None:  # GC123, G95
    settings = SETTINGS.replace("trust_xfcc = true", "trust_xfcc = true\ndry_run = true")
    with running(tmp_path / "run", source, settings) as server:
        assert "SANITIZE_SET" in server.log("warning")["message"] and "dry run" in server.log("warning")["message"]
        answer = server.ask("DELETE", "/extauthz/admin", headers=CERTIFICATE, host="any.example")
        assert (answer.status, answer.header("x-fastiam-dry-run")) == (200, "deny")
        metrics = server.ask("GET", "/metrics", name="ops").body.decode()
        assert 'fastiam_decisions_total{door="extauthz",layer="identity",outcome="IMPLICIT_DENY"} 1.0' in metrics
        assert server.stop() == 0
    [line] = [json.loads(line) for line in (tmp_path / "run" / "decisions").read_text().splitlines()]
    assert line["path"] == "extauthz/check" and line["result"] is False and line["input"]["resource"] == f"{API}/DELETE/admin"


def test_http_over_a_socket_has_the_answers_of_the_core(tmp_path: Path, source: Path) -> None:  # GC106, GC108, G29
    token = "t" * 43
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "tokens").write_text(f"envoy decide {hashlib.sha256(token.encode()).hexdigest()}\n")
    settings = SETTINGS.replace(
        'protocols = ["extauthz"]', 'protocols = ["extauthz"]\nauth = "bearer"\n[auth]\ntokens = "tokens"'
    )
    bearer = {"Authorization": f"Bearer {token}"}
    with running(folder, source, settings) as server:
        allowed = server.ask("GET", "/extauthz/orders/7", headers=CERTIFICATE | bearer)
        assert allowed.status == 200 and allowed.body == b""
        for target in ("/extauthz/admin", "/extauthz/orders/%2e%2e/admin", "/extauthz//orders/7", "http://x/extauthz/orders/7"):
            denied = server.ask("GET", target, headers=CERTIFICATE | bearer)
            assert denied.status == 403, target
            assert {name for name, _ in denied.headers} <= {"content-type", "content-length", "date", "connection"}
        assert server.ask("GET", "/extauthz", headers=CERTIFICATE | bearer).status == 404
        assert server.ask("GET", "/extauthz/orders/7", headers=CERTIFICATE).status == 401
        twice = [*CERTIFICATE.items(), *bearer.items(), ("Authorization", "Bearer x")]
        assert server.ask("GET", "/extauthz/orders/7", headers=twice).status == 400


def test_grpc_is_started_and_stopped_with_the_process(tmp_path: Path, source: Path) -> None:
    grpc = pytest.importorskip("grpc", reason="needs fastiam[grpc]")
    path = tmp_path / "sockets" / "envoy.sock"
    settings = f'{SETTINGS}\n[extauthz.grpc]\naddress = "unix:{path}"\nmode = "0600"\n'
    with running(tmp_path / "run", source, settings) as server:
        assert server.started["addresses"]["extauthz"] == f"unix:{path}"
        assert path.stat().st_mode & 0o777 == 0o600
        with grpc.insecure_channel(f"unix:{path}") as channel:
            call = channel.unary_unary("/envoy.service.auth.v3.Authorization/Check")
            assert b"\x08\x10" in call(b"", timeout=20), "code 16"
            health = channel.unary_unary("/grpc.health.v1.Health/Check")
            assert health(b"", timeout=20) == b"\x08\x01", "SERVING"
        assert server.stop() == 0
    assert not path.exists()


def test_grpc_without_its_package_gives_the_pip_command(tmp_path: Path, source: Path) -> None:
    (tmp_path / "serve.toml").write_text(SETTINGS + '\n[extauthz.grpc]\naddress = "127.0.0.1:0"\n')
    (tmp_path / "serve.toml").chmod(0o644)
    code = "import sys; sys.modules['grpc'] = None; from fastiam.cli.main import run; sys.exit(run(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "serve", str(source), "--config", str(tmp_path / "serve.toml")]
    environ = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environ, cwd=tmp_path)
    assert done.returncode == 64 and pip_install("grpc") in done.stderr and "Traceback" not in done.stderr
