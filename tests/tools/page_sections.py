"""The Python code of one section of a page, for tests of libraries that not every machine has."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run_section(page: str, heading: str, folder: Path) -> dict[str, object]:
    """Run the blocks of a page that always run, then those of a section, in a folder; return the names.

    The caller has changed to the folder, which gets the examples.
    """
    shutil.copytree(ROOT / "examples", folder / "examples")
    text = (ROOT / "docs" / page).read_text()
    section = re.split(r"^## ", text, flags=re.M)
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    (found,) = (part for part in section if part.startswith(f"{heading}\n"))
    own = re.findall(r"^```py\n(.*?)^```", found, re.M | re.S)
    assert any(line.startswith("assert ") for block in own for line in block.splitlines()), f"{heading} shows no result"
    names: dict[str, object] = {"__name__": "page"}
    for block in [*blocks, *own]:
        exec(compile(block, page, "exec"), names)
    return names
