"""Names of tests: `test_<unit>_<condition>_<result>`, short enough to read in a report."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).resolve().parents[2]
MAX_LENGTH = 60


def names() -> Iterator[tuple[str, str]]:
    """The file and the name of each test."""
    for path in sorted(TESTS.rglob("test_*.py")):
        for name in re.findall(r"^ *def (test_\w+)\(", path.read_text(), re.M):
            yield str(path.relative_to(TESTS)), name


def test_test_names_have_at_most_60_characters() -> None:
    assert [(path, name) for path, name in names() if len(name) > MAX_LENGTH] == []


def test_test_names_are_unique_in_a_file() -> None:
    """The second of two functions replaces the first, which never runs."""
    found = list(names())
    assert sorted(set(found)) == sorted(found)
