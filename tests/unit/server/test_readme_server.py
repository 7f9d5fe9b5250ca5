"""What the README says about the server: the three clients that it names."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from server_process import ROOT, running

README = (ROOT / "README.md").read_text()
LISTENERS = '[listeners.main]\naddress = "127.0.0.1:0"\n[listeners.ops]\naddress = "127.0.0.1:0"\n'


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_curl_command_of_the_readme_is_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(re.findall(r"^```python\n(.*?)^```", README, re.M | re.S)[0], {})  # the example that writes engine.fastiam
    row = re.search(r"^\| curl \| `(.*)` \|$", README, re.M)
    assert row is not None
    command = row[1].replace("\\|", "|")
    with running(tmp_path / "run", tmp_path / "engine.fastiam", LISTENERS) as server:
        script = command.replace("127.0.0.1:8380", server.address())
        assert script != command
        done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=60, check=True)
    answer, summary = map(json.loads, done.stdout.splitlines())
    assert answer["allowed"] is True
    assert summary["summary"]["rows"] == 1


@pytest.mark.parametrize(
    ("client", "page", "test"),
    [
        ("boto3", "aws.md", "aws/test_aws_server.py"),
        ("Envoy", "envoy.md", "test_envoy.py"),
    ],
)
def test_clients_of_the_readme_have_a_page_that_is_tested(client: str, page: str, test: str) -> None:
    row = re.search(rf"^\| {client} \| .*\(docs/{page}\).*\|$", README, re.M)
    assert row is not None
    assert (ROOT / "docs" / page).is_file()
    assert client.lower() in (Path(__file__).parent / test).read_text().lower()
