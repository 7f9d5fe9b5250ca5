"""Enforcement points and probes beside a client without credentials that holds what it can (docs/doors.md 1.6)."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest
from attacker import EVALUATION, attacked, import_export, prepare, silent_issuer
from echo_server import metric
from server_process import ROOT, Server, running

SECONDS = 8.0
BODY = json.dumps(EVALUATION).encode()


def refused(server: Server, ends: float) -> tuple[int, list[object]]:
    """How often decisions and probes were asked for until the end, and what else than the right answer came."""
    count, wrong = 0, []
    while time.monotonic() < ends:
        answer = server.ask("POST", "/access/v1/evaluation", BODY, {"Content-Type": "application/json"}, name="pep")
        if answer.status != 200 or not answer.json()["decision"]:
            wrong.append(answer)
        answer = server.ask("GET", "/livez", name="ops")
        if answer.status != 200:
            wrong.append(answer)
        count += 1
    return count, wrong


@pytest.mark.slow
def test_attack_refuses_no_decision_and_no_probe(tmp_path: Path) -> None:  # GC22b
    settings = prepare(tmp_path, connections=512, users=4_000)
    paths = f"{ROOT / 'src'}:{tmp_path}"
    with (
        silent_issuer(tmp_path) as issuer,
        running(tmp_path / "run", tmp_path / "store", settings, environ={"PYTHONPATH": paths}) as server,
        attacked(server.address("public"), server.address("tls"), 60),
    ):
        imports = []
        importing = threading.Thread(target=lambda: imports.append(import_export(tmp_path)))
        importing.start()
        count, wrong = refused(server, time.monotonic() + SECONDS)
        importing.join(120)
        more, still = refused(server, time.monotonic() + 1)
        assert count > 10 and more > 0 and wrong + still == []
        for reason in ("connection_replaced", "handshake_replaced"):
            assert metric(server, f'fastiam_rejected_total{{door="none",reason="{reason}"}}') > 0
        assert [each.returncode for each in imports] == [0]
        assert 1 <= len(issuer.accepted) <= 5
