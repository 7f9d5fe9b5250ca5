"""The `console` blocks of the README and of the documentation: each `$ fastiam` line runs, and prints what is shown below it.

A line `...` stands for any lines.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fastiam

ROOT = Path(__file__).resolve().parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```console\n(.*?)^```", re.M | re.S)


def commands(page: Path) -> list[tuple[str, list[str]]]:
    """Return the commands of a page in their order, each with the lines that it shows."""
    found: list[tuple[str, list[str]]] = []
    for block in BLOCK.findall(page.read_text()):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


def pattern(shown: list[str]) -> str:
    """Return a regular expression for the output that lines show."""
    return "".join(r"(?:[^\n]*\n)*?" if line == "..." else re.escape(line) + r"[ ]*\n" for line in shown)


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=lambda page: str(page.relative_to(ROOT)))
def test_console_block_prints_what_it_shows(page: Path, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    script = tmp_path / "bin/fastiam"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m fastiam "$@"\n')
    script.chmod(0o755)
    paths = os.pathsep.join((str(Path(fastiam.__file__).parents[1]), *filter(None, sys.path)))
    environment = os.environ | {"PATH": f"{script.parent}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": paths, "COLUMNS": "120"}
    ran = 0
    for command, shown in commands(page):
        if not command.startswith(("fastiam ", "printf ")):
            continue  # an installation, or a command of another program
        output = subprocess.STDOUT
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode in (0, 2, 4), f"{command}\n{done.stdout}"
        assert not shown or re.fullmatch(pattern(shown), done.stdout.rstrip("\n") + "\n"), f"{command}\n{done.stdout}"
        ran += 1
    assert ran
