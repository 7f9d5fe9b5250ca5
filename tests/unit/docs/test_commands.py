"""The command lines of the documentation run, page by page, over the example data.

What is left out, and why: servers (their own tests start them), clients of a cloud, and lines with a placeholder.
"""

from __future__ import annotations

import io
import os
import re
import shlex
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from page_files import ROOT, write_page_files

import fastiam
from fastiam.cli.main import run

FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.M | re.S)
PLACEHOLDER = re.compile(r"^[A-Z]{3,}$|\.\.\.$|^\[|_AbC")
ANSWERS = (0, 2, 4)  # what was asked was answered
SOURCES = os.pathsep.join((str(Path(fastiam.__file__).parents[1]), *filter(None, sys.path)))
SERVERS = ("serve", "playground")
LEFT_OUT = {
    "rolesanywhere": "asks AWS",
    "VERB": "a placeholder",
    "--aws-data": "names a file that was downloaded",
}


def lines_of(page: Path) -> list[str]:
    """Return the lines of the blocks of a page that are for a shell."""
    blocks = [block for language, block in FENCE.findall(page.read_text()) if language in ("", "sh")]
    return [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]


def commands_of(page: Path) -> list[str]:
    """Return the `fastiam` commands, the `export` lines and the examples of a page."""
    parts = (part.strip() for line in lines_of(page) for part in re.split(r"&&|\|(?!\|)|;", line))
    return [part for part in parts if part.startswith(("fastiam ", "export ", "python examples/"))]


PAGES = [page for page in sorted((ROOT / "docs").rglob("*.md")) if any(line.startswith("fastiam") for line in commands_of(page))]


def words_of(command: str) -> tuple[list[str], str]:
    """Return the words of a command, and the file that its output goes to."""
    words = shlex.split(command, comments=True)[1:]
    target = words[words.index(">") + 1] if ">" in words else ""
    return (words[: words.index(">")] if target else words), target


def is_left_out(words: list[str]) -> bool:
    if words[0] in SERVERS:
        return "--check" not in words
    return any(word in LEFT_OUT for word in words) or any(
        word.isupper() and len(word) > 2 or word.endswith("...") or word.startswith("[") for word in words
    )


def set_up_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTIAM_STORE", "iam.db")
    monkeypatch.setenv("FASTIAM_KEYRING", "keyring.json")
    monkeypatch.setenv("FASTIAM_ACCOUNT", "111111111111")
    for words in (["init"], ["import", "account.json"], ["sts", "keyring", "keyring.json"], ["group", "create", "admins"]):
        assert run(words) == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT / "docs")))
def test_commands_of_the_page_are_answered(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    write_page_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    if page.name == "cli.md":  # its verbs of a store have the one that `fastiam init` makes
        set_up_store(monkeypatch)
    ran = 0
    for command in commands_of(page):
        if command.startswith("export "):
            for name, _, value in (word.partition("=") for word in shlex.split(command)[1:]):
                monkeypatch.setenv(name, value)
            continue
        if command.startswith("python "):
            script = f"{shlex.quote(sys.executable)} {command.removeprefix('python ')}"
            subprocess.run(["sh", "-c", script], env=os.environ | {"PYTHONPATH": SOURCES}, timeout=60, check=True)
            continue
        words, target = words_of(command)
        is_there = words[:2] == ["sts", "keyring"] and Path(words[2]).exists()  # `set_up_store` made it
        if is_there or is_left_out(words):
            continue
        with Path(target or os.devnull).open("wb") as file, io.TextIOWrapper(file) as output, redirect_stdout(output):
            code = run(words)
        assert code in ANSWERS, f"{command}: exit code {code}\n{capfd.readouterr().err}"
        ran += 1
    if not ran:
        pytest.skip("each command of the page is left out")
