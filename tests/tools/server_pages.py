"""Pages of the documentation that start a server and ask it with curl."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

from server_process import FREE_PORTS, ROOT, running

_BLOCKS = re.compile(r"^```(\w+)\n(.*?)^```", re.M | re.S)


def run_page(name: str, folder: Path) -> list[tuple[Any, Any]]:
    """Serve the first JSON block of a page with its first TOML block, and run its curl commands.

    Returns
    -------
    list: the answer of each command, and the JSON block after the command.
    """
    blocks = _BLOCKS.findall((ROOT / "docs" / name).read_text())
    files = dict(reversed([(kind, text) for kind, text in blocks if kind in ("json", "toml")]))
    (folder / "policies.json").write_text(files["json"])
    commands = [(text, blocks[i + 1][1]) for i, (kind, text) in enumerate(blocks) if kind == "sh" and text.startswith("curl")]
    found = []
    with running(folder / "run", folder / "policies.json", FREE_PORTS + files["toml"]) as server:
        for command, shown in commands:
            script = command.replace("127.0.0.1:8380", server.address())
            done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=60, check=True)
            found.append((json.loads(done.stdout), json.loads(shown)))
    return found


def run_examples(name: str, folder: Path) -> list[tuple[Any, Any]]:
    """Serve the first JSON block of a page with the defaults, and run its curl commands and Python programs.

    Returns
    -------
    list: what each example prints, and the block after it: a JSON value, else the JSON values of its lines, else text.
    """
    blocks = _BLOCKS.findall((ROOT / "docs" / name).read_text())
    (folder / "policies.json").write_text(next(text for kind, text in blocks if kind == "json"))
    found = []
    with running(folder / "run", folder / "policies.json", FREE_PORTS) as server:
        for (kind, text), (_, shown) in pairwise(blocks):
            if kind == "py" or (kind == "sh" and text.startswith("curl")):
                command = ["sh", "-c"] if kind == "sh" else [sys.executable, "-c"]
                script = text.replace("127.0.0.1:8380", server.address())
                done = subprocess.run([*command, script], capture_output=True, text=True, timeout=60, check=True)
                found.append((_read(done.stdout), _read(shown)))
    return found


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        try:
            return [json.loads(line) for line in text.splitlines()]
        except ValueError:
            return text.strip()
