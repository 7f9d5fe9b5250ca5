"""Names from policies cannot control the terminal: no verb writes an escape sequence or a forged line of its own."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from account_exports import ANA, A, export, write

from fastiam.cli.console import visible
from fastiam.cli.main import run

ESCAPE = "\x1b[1A\x1b[2KDENIED\x1b]0;title\x1b\\\x9b1A\x07\x7f\u202e"
FORGED = f"policy{ESCAPE}\nALLOWED by everything\rx"
KEY = "arn:aws:s3:::b/k"

VERBS = [
    ["explain", "--policies", "export.json", ANA, "s3:GetObject", KEY, "--resource-account", A, "--format", "text"],
    ["what-can", "--policies", "export.json", ANA, "--format", "text"],
    ["what-can", "--policies", "export.json", ANA, "--resource", KEY, "--format", "text"],
    ["who-can", "--policies", "export.json", "s3:GetObject", KEY, "--format", "text"],
    ["who-can", "--policies", "export.json", "s3:GetObject", KEY, "--format", "csv"],
    ["who-can", "--policies", "export.json", "s3:GetObject", KEY, "--format", "jsonl"],
    ["escalations", "--policies", "export.json", "--format", "text"],
    ["diff", "--old", "old.json", "--new", "export.json", "--format", "text"],
    ["prove", "no-new-access", "--old", "old.json", "--new", "export.json"],
    ["validate", "export.json"],
    ["lint", "export.json"],
    ["user", "show", "ana", "--store", "iam.db"],
    ["user", "list", "--store", "iam.db"],
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with an export and a store that have such names."""
    account = export()
    statement = {"Sid": "B", "Effect": "Allow", "Action": ["s3:*", f"zz{ESCAPE}:x"], "Resource": ["*", f"arn:aws:s3:::{ESCAPE}"]}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    write(tmp_path, "old.json", account)
    account["UserDetailList"][0]["UserPolicyList"] = [{"PolicyName": FORGED, "PolicyDocument": policy}]
    account["UserDetailList"][0]["Tags"] = [{"Key": f"k{ESCAPE}", "Value": ESCAPE}]
    account["RoleDetailList"][0]["RolePolicyList"] = [{"PolicyName": FORGED, "PolicyDocument": policy}]
    del account["UserDetailList"][0]["PermissionsBoundary"]
    write(tmp_path, "export.json", account)
    monkeypatch.chdir(tmp_path)
    assert run(["import", "export.json", "--store", "iam.db"]) == 0
    return tmp_path


def seen(arguments: list[str]) -> str:
    """What a terminal gets of a command line, on both streams."""
    reader, writer = pty.openpty()
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "200"}
    with subprocess.Popen(
        [sys.executable, "-m", "fastiam", *arguments], stdin=subprocess.DEVNULL, stdout=writer, stderr=writer, env=environment
    ) as process:
        os.close(writer)
        found = bytearray()
        while True:
            try:
                data = os.read(reader, 65_536)
            except OSError:  # the other end is closed
                break
            if not data:
                break
            found += data
    os.close(reader)
    assert process.returncode in (0, 2, 3, 4), found.decode()
    return found.decode()


@pytest.mark.slow
@pytest.mark.parametrize("arguments", VERBS, ids=[" ".join(each[:2]) + each[-1] for each in VERBS])
def test_verb_writes_names_without_control_characters(arguments: list[str], folder: Path) -> None:
    text = seen(arguments)
    for sequence in ("\x1b[2KDENIED", "\x1b]0;", "\x9b", "\x07", "\x7f", "\u202e"):
        assert sequence not in text, (sequence, text)


def test_explanation_has_no_line_that_a_name_made(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(VERBS[0]) == 0
    out = capsys.readouterr().out
    assert "\\nALLOWED by everything\\rx" in out
    assert not any(line.startswith("ALLOWED by everything") for line in out.splitlines())


@pytest.mark.parametrize(
    ("text", "shown"), [("ä b\tc\n", "ä b\tc\n"), ("\x1b[0m", "\\x1b[0m"), ("\x9b\u202e", "\\x9b\\u202e"), ("\ud800", "\\ud800")]
)
def test_visible_text_keeps_what_can_be_printed(text: str, shown: str) -> None:
    assert visible(text) == shown
