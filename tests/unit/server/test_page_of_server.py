"""What the page of the server says first: the three clients that it names."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from server_process import FREE_PORTS, ROOT, running

PAGE = (ROOT / "docs/serve.md").read_text()


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_curl_command_of_the_page_is_answered(tmp_path: Path) -> None:
    row = re.search(r"^\| curl \| `(.*)` \|$", PAGE, re.M)
    assert row is not None
    command = row[1].replace("\\|", "|")
    with running(tmp_path / "run", ROOT / "examples/account.json", FREE_PORTS) as server:
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
def test_clients_of_the_page_have_a_page_that_is_tested(client: str, page: str, test: str) -> None:
    row = re.search(rf"^\| {client} \| .*\({page}\).*\|$", PAGE, re.M)
    assert row is not None
    assert (ROOT / "docs" / page).is_file()
    assert client.lower() in (Path(__file__).parent / test).read_text().lower()
