"""The requests of docs/authzen.md give the answers that the page shows."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from server_process import ROOT, running

_BLOCKS = re.compile(r"^```(\w+)\n(.*?)^```", re.M | re.S)


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_requests_of_the_page_have_the_answers_shown(tmp_path: Path) -> None:
    blocks = _BLOCKS.findall((ROOT / "docs/authzen.md").read_text())
    files = dict(reversed([(kind, text) for kind, text in blocks if kind in ("json", "toml")]))
    (tmp_path / "policies.json").write_text(files["json"])
    commands = [(text, blocks[i + 1][1]) for i, (kind, text) in enumerate(blocks) if kind == "sh" and text.startswith("curl")]
    assert len(commands) == 4
    settings = '[listeners.main]\naddress = "127.0.0.1:0"\n[listeners.ops]\naddress = "127.0.0.1:0"\n' + files["toml"]
    with running(tmp_path / "run", tmp_path / "policies.json", settings) as server:
        for command, shown in commands:
            script = command.replace("127.0.0.1:8380", server.address())
            done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=60, check=True)
            assert _comparable(json.loads(done.stdout)) == _comparable(json.loads(shown))


def _comparable(answer: Any) -> Any:
    """Without what differs from run to run."""
    answer.get("context", {}).pop("decision_id", None)
    token = answer.get("page", {}).pop("next_token", "")
    return answer, bool(token)
