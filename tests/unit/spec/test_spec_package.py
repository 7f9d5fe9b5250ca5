"""The specification evaluator as a package: pure functions, one entry point, and its old import path."""

import ast
from pathlib import Path

import pytest

import fastiam.spec

FILES = sorted(Path(fastiam.spec.__file__).parent.glob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_spec_module_keeps_no_state(path: Path) -> None:
    """No caches, no globals that change, and only immutable records."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    modules = {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    assert "functools" not in modules
    assert not [node for node in nodes if isinstance(node, (ast.Global, ast.Nonlocal))]
    for node in nodes:
        if isinstance(node, ast.ClassDef):
            decorators = [ast.unparse(decorator) for decorator in node.decorator_list]
            assert "dataclass" not in "".join(decorators) or "dataclass(frozen=True, slots=True)" in decorators, node.name


def test_spec_modules_stay_short() -> None:
    assert max(len(path.read_text().splitlines()) for path in FILES) <= 300
