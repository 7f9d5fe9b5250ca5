"""Data runs downhill: a file of the package imports only from its own floor or a lower one (docs/design.md).

Two more laws: the kernels know numbers, bytes and arrays, not policies; the reference imports nothing compiled and
nothing of the language, or it could not judge them. Imports inside functions count as well.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[3] / "src" / "fastiam"
KERNEL = 1
FLOORS = {
    0: "arguments errors forking garbage positions keys model decision_json arn request session profile report",
    2: "language reference",
    3: "account storage",
    4: "compile",
    5: "bulk output saved settling engine loose simulation directory questions",
    6: "sources sts federation cognito rolesanywhere frames live",
    7: "cli sidecar __main__",
    8: "__init__",  # the public names, of every floor
}
FLOOR_OF = {name: floor for floor, names in FLOORS.items() for name in names.split()}
_CYTHON_IMPORT = re.compile(r"^\s*(?:from\s+(fastiam[\w.]*)\s+c?import\s+(\w+)|c?import\s+(fastiam[\w.]*))", re.M)


def part_of(path: Path) -> str:
    """The part of the package that a file belongs to: its top folder, or its own name."""
    first = path.relative_to(PACKAGE).parts[0]
    return first.split(".")[0]


def floor_of(part: str) -> int | None:
    return FLOOR_OF.get(part, KERNEL if part.startswith("_") and part != "__init__" else None)


def modules_named(path: Path) -> Iterator[str]:
    """Every `fastiam` module that a file imports, as dotted names below `fastiam`."""
    text = path.read_text()
    if path.suffix == ".py":
        yield from _python_imports(ast.parse(text), path)
        return
    for match in _CYTHON_IMPORT.finditer(text):
        source, name, plain = match.groups()
        whole = f"{source}.{name}" if source else plain
        yield whole.removeprefix("fastiam").lstrip(".")


def _python_imports(tree: ast.AST, path: Path) -> Iterator[str]:
    package = ("fastiam", *path.relative_to(PACKAGE).parent.parts)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            source = ".".join(filter(None, (base, node.module)))
            names = [f"{source}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (n.removeprefix("fastiam.") for n in names if n.startswith("fastiam."))


FILES = sorted(p for suffix in ("py", "pyx", "pxd") for p in PACKAGE.rglob(f"*.{suffix}"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_file_imports_downhill(path):
    own = floor_of(part_of(path))
    assert own is not None, f"{part_of(path)} stands on no floor: name it in FLOORS"
    uphill = {name for name in modules_named(path) if (floor_of(name.split(".")[0]) or 0) > own}
    assert not uphill, f"floor {own} imports from above: {sorted(uphill)}"


def test_reference_imports_nothing_compiled_and_no_language():
    named = {n.split(".")[0] for p in (PACKAGE / "reference").rglob("*.py") for n in modules_named(p)}
    assert {n for n in named if floor_of(n) != 0} <= {"reference"}


def test_language_does_not_know_the_reference():
    named = {n.split(".")[0] for p in (PACKAGE / "language").rglob("*.py") for n in modules_named(p)}
    assert "reference" not in named


def test_kernels_know_no_policies():
    kernels = [p for p in FILES if floor_of(part_of(p)) == KERNEL]
    named = {n.split(".")[0] for p in kernels for n in modules_named(p)}
    assert not named & {"model", "profile", "session"}


def test_what_the_debug_build_leaves_out_imports_no_kernel():
    root = Path(__file__).resolve().parents[3]
    listed = re.search(r"^UNCOMPILED := (.+)", (root / "Makefile").read_text(), re.M)
    assert listed is not None
    for part in listed[1].split():
        named = {name.split(".")[0] for path in (PACKAGE / part).rglob("*.py") for name in modules_named(path)}
        assert not {name for name in named if floor_of(name) == KERNEL and not name.startswith("__")}, part
        tests = list((root / "tests").glob(f"test_{part}[_.]*"))
        assert tests, f"no test of {part}"
        assert not [
            path
            for path in tests
            if re.search(r"^\s*(from fastiam import (\w+, )*_|(from|import) fastiam\._)", path.read_text(), re.M)
        ]


def test_no_uphill_import_would_be_missed(tmp_path, monkeypatch):
    """The reader sees plain, from, relative, late and Cython imports."""
    monkeypatch.setattr("test_layers.PACKAGE", tmp_path)
    (tmp_path / "account").mkdir()
    source = tmp_path / "account" / "x.py"
    source.write_text(
        "import fastiam.cli\nfrom fastiam import engine\nfrom ..compile import rows\ndef f():\n    from fastiam.engine.decisions import c\n"
    )
    assert set(modules_named(source)) == {"cli", "engine", "compile.rows", "bulk.c"}
    cython = tmp_path / "_x.pyx"
    cython.write_text(
        "from fastiam.kernel.eval.glob cimport match\ncimport fastiam.kernel.base.utf8\nfrom fastiam.model.policy import Policy\n"
    )
    assert set(modules_named(cython)) == {"_glob.match", "_text", "model.Policy"}
