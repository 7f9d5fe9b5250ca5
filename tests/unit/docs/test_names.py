"""Names of the package that the documentation mentions exist."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

import fastiam

ROOT = Path(__file__).resolve().parents[3]
PAGES = sorted([*ROOT.glob("docs/**/*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"])
MODULES = re.compile(r"(?<![\w./-])fastiam((?:\.[A-Za-z_]\w*)+)")
IMPORTS = re.compile(r"^ *from (fastiam[\w.]*) import ([\w, ]+)$", re.M)
MEMBERS = re.compile(rf"`({'|'.join(sorted(fastiam.__all__))})\.([a-z_]+)")
ATTRIBUTES = re.compile(r"^.*OpenTelemetry.*$", re.M)  # lines with names of another kind
OTHERS = {f"fastiam.{name}" for name in "generation principal sarif sessions toml".split()}  # metadata, and names of files


def names_in(text: str) -> set[str]:
    """The names of modules, and of what is in them, in a text."""
    text = ATTRIBUTES.sub("", text)
    found = {f"fastiam{rest}" for rest in MODULES.findall(text)} | {f"fastiam.{name}.{of}" for name, of in MEMBERS.findall(text)}
    for module, names in IMPORTS.findall(text):
        found |= {f"{module}.{name.split(' as ')[0].strip()}" for name in names.split(",")}
    return found - OTHERS


def is_set(name: str, owner: Any) -> bool:
    """Whether instances of a class have an attribute that the class does not have."""
    kinds = [kind for kind in getattr(owner, "__mro__", ()) if kind.__module__.startswith("fastiam.")]
    written = [inspect.getsource(kind) for kind in kinds if kind.__module__ != "fastiam._core"]
    return any(name in getattr(kind, "__annotations__", ()) for kind in kinds) or any(f"self.{name}" in text for text in written)


def exists(name: str) -> bool:
    """Whether a name is that of a module, or of something in one."""
    parts = name.split(".")
    for size in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:size]))
        except ModuleNotFoundError:
            continue
        for part in parts[size:]:
            if part not in dir(found) and not is_set(part, found):
                return False
            found = getattr(found, part, None)
        return True
    return False


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_name_in_a_page_exists(page: Path) -> None:
    assert {name for name in names_in(page.read_text()) if not exists(name)} == set()


def test_names_are_found_in_each_form() -> None:
    text = "`Engine.decide_many(...)`, `fastiam.lit`\nfrom fastiam.sts import STS, Keyring\n"
    found = {"fastiam.Engine.decide_many", "fastiam.lit", "fastiam.sts", "fastiam.sts.STS", "fastiam.sts.Keyring"}
    assert names_in(text) == found
    assert [name for name in sorted(found) if not exists(name)] == []
    assert not exists("fastiam.Engine.decide_none")


ARCHITECTURE = (ROOT / "docs" / "explanation" / "architecture.md").read_text()


def test_table_of_packages_is_that_of_the_tree() -> None:
    rows = re.findall(r"^\| (`[^|]*) \|", ARCHITECTURE.partition("## The compiled core")[0], re.M)
    listed = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    places = [place for place in (ROOT / "src" / "fastiam").iterdir() if not place.name.startswith("__")]
    packages = {place.stem for place in places if (place / "__init__.py").exists() or place.suffix in (".py", ".pyx")}
    assert listed == packages


def test_modules_in_the_pictures_exist() -> None:
    boxes = set(re.findall(r'\["([a-z_]+(?:\.[a-z_]+)+)', ARCHITECTURE))
    assert "engine.resolving" in boxes
    assert {name for name in boxes if not exists(f"fastiam.{name}")} == set()
