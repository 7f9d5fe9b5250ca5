"""tools/vocabulary.py finds the words of its list, spares its exceptions, and fails above a number."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
RULES = "\\bsieve\\b\tdeny filter\n\\bdoor\\b\tentry point\tident\n!\tkept/*\t*\trecords\n!\t*\tsieve of Eratosthenes\tits name\n"


def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        str(ROOT / "tools/vocabulary.py"),
        "--root",
        str(folder),
        "--list",
        str(folder / "rules.txt"),
        *options,
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "rules.txt").write_text(RULES)
    (tmp_path / "a.md").write_text("The sieve is a door.\nThe sieve of Eratosthenes; `sieve`.\n")
    (tmp_path / "b.py").write_text("front_door = 1  # a sieve\n")
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/c.md").write_text("A sieve.\n")
    return tmp_path


def test_vocabulary_lists_places_with_the_standard_term(tree: Path) -> None:
    done = run(tree)
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "a.md:1: sieve -> deny filter",
        "b.py:1: front_door (door) -> entry point",
        "b.py:1: sieve -> deny filter",
    ]


@pytest.mark.parametrize(("numbers", "code"), [(("3", "2"), 0), (("2", "2"), 1), (("3", "1"), 1)])
def test_vocabulary_fails_above_either_number(tree: Path, numbers: tuple[str, str], code: int) -> None:
    kernel = tree / "src/fastiam/kernel"
    kernel.mkdir(parents=True)
    (kernel / "scan.py").write_text("# a sieve\n")
    (tree / "top.pyx").write_text("# a sieve\n")
    done = run(tree, "--at-most", *numbers)
    assert done.returncode == code
    assert re.findall(r"\d+", done.stdout.splitlines()[0]) == ["3", numbers[0], "2", numbers[1]]


def test_lint_runs_the_vocabulary_check_with_two_numbers() -> None:
    makefile = (ROOT / "Makefile").read_text()
    found = re.search(r"tools/vocabulary.py --at-most (\d+) (\d+)$", makefile, re.M)
    assert found and int(found[1]) < 300


def test_every_vocabulary_exception_has_a_reason() -> None:
    lines = (ROOT / "tools/vocabulary.txt").read_text().splitlines()
    for line in (line for line in lines if line.startswith("!")):
        assert len(line.split("\t")) == 4 and line.split("\t")[3].strip(), line
