"""The decision log and the audit log of a process (docs/doors.md 7)."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from echo_server import PLAIN, decide, metric, until
from server_process import Server, running

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
