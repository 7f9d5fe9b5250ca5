"""The core, analyses, readers, server and command line work without the packages of identity."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
IDENTITY = ("credentials", "sts", "federation", "cognito", "rolesanywhere")
GONE = frozenset((*IDENTITY, "server/protocols/aws"))
OF_IDENTITY = re.compile(rf"fastiam\.({'|'.join(IDENTITY)})\b|\bSTS\b")  # in tests that need these packages
TESTS = (
    ("cases/test_policy_cases.py", "unit/policy", "unit/spec"),
    ("cases/test_cases.py", "cases/test_sts_cases.py", "unit/directory", "unit/resolve", "unit/analysis/test_lint.py"),
    ("cli/test_cli_analysis.py", "cli/test_cli_compile.py", "cli/test_cli_validate.py"),
    ("unit/server/test_authzen.py", "unit/server/test_opa_cases.py"),
)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree without the packages of identity and their protocol."""
    folder, package = tmp_path_factory.mktemp("without"), ROOT / "src/fastiam"

    def left_out(parent: str, names: list[str]) -> list[str]:
        return [name for name in names if name == "__pycache__" or str((Path(parent) / name).relative_to(package)) in GONE]

    shutil.copytree(package, folder / "src/fastiam", ignore=left_out)
    for name in ("tests", "docs", "examples"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def run(copy: Path, *arguments: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(copy / "src")}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=copy, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


def test_the_command_line_lacks_only_the_verbs_of_identity(copy: Path) -> None:
    listed = run(copy, "-c", "from fastiam.cli.main import VERBS; print(*VERBS)").split()
    assert {"authorize", "who-can", "role", "lint"} <= set(listed) and {"sts", "key", "user-pool"}.isdisjoint(listed)
    assert run(copy, "-m", "fastiam.cli.main", "--help").count("\n  ") >= len(listed)


def test_the_server_lacks_only_the_protocol_of_aws(copy: Path) -> None:
    code = "from fastiam.server.config import PROTOCOLS, is_available; print(*filter(is_available, PROTOCOLS))"
    assert run(copy, "-c", code).split() == ["authzen", "extauthz", "opa", "bulk", "ops", "playground"]


@pytest.mark.slow
@pytest.mark.parametrize("tests", TESTS, ids=["policies", "directories", "cli", "server"])
def test_the_tests_that_need_no_identity_pass(copy: Path, tests: tuple[str, ...]) -> None:
    named = [
        path
        for name in tests
        for path in ([copy / "tests" / name] if name.endswith(".py") else (copy / "tests" / name).rglob("test_*.py"))
    ]
    kept = [str(path.relative_to(copy)) for path in named if not OF_IDENTITY.search(path.read_text())]
    assert kept
    assert " passed" in run(copy, "-m", "pytest", "-m", "not slow", "-p", "no:cacheprovider", *kept)
