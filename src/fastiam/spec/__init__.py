"""The specification evaluator: plain, slow and complete, one function for each rule of `docs/semantics.md` that it implements.

The compiled engine is tested against it, so they share only the model: this package parses actions, ARNs, principals, variables,
numbers, dates and addresses itself. `decide` is the only entry point. `docs/rules.md` lists the functions and cases of each rule.

Reading order: `evaluate` (one request), `combining` (6.4), `layers` (6.1, 6.2), `statement` (F3), then the tests of a statement:
`actions`, `resources`, `principal_elements`, `conditions`. `partial` is 6.11. `trace` and `names_read` only explain.
Invariant: no function keeps state or changes its arguments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastiam.spec.evaluate import decide

__all__ = ["decide"]


def __getattr__(name: str) -> object:
    if name != "decide":
        raise AttributeError(f"module `{__name__}` has no attribute `{name}`")
    from fastiam.spec.evaluate import decide  # PERF: others read values by `values` alone, and do not evaluate

    globals()[name] = decide  # found without this function from now on
    return decide
