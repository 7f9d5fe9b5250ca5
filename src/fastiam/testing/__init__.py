"""Tests of policies: `fastiam test`, assertions for Python, and a plugin for pytest.

`assertions` has the helpers of Python tests. A test file is data: `test_file` reads it into examples, `principals` and
`documents` look up what it names, `paths` keeps it inside its root, `runner` decides, `report` holds the results, and
`output` writes them.

Names load on first use: pytest imports this package in each run of an environment that has it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastiam.testing.assertions import (
        assert_allowed,
        assert_denied,
        assert_depends,
        assert_explicitly_denied,
        assert_invariant,
    )
    from fastiam.testing.report import ExampleResult, TestReport
    from fastiam.testing.runner import run

__all__ = [
    "ExampleResult",
    "TestReport",
    "assert_allowed",
    "assert_denied",
    "assert_depends",
    "assert_explicitly_denied",
    "assert_invariant",
    "run",
]

_HOMES = {
    "assertions": ("assert_allowed", "assert_denied", "assert_depends", "assert_explicitly_denied", "assert_invariant"),
    "report": ("ExampleResult", "TestReport"),
    "runner": ("run",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module `{__name__}` has no attribute `{name}`")
    return getattr(import_module(f"fastiam.testing.{home}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
