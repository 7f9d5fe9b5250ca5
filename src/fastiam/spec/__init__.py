"""The specification evaluator: plain, slow and complete, one function for each rule of `docs/semantics.md` that it implements.

The compiled engine is tested against it, so they share only the model: this package parses actions, ARNs, principals, variables,
numbers, dates and addresses itself. `decide` is the only entry point. `docs/rules.md` lists the functions and cases of each rule.

Reading order: `evaluate` (one request), `combining` (6.4), `layers` (6.1, 6.2), `statement` (F3), then the tests of a statement:
`actions`, `resources`, `principal_elements`, `conditions`. `partial` is 6.11. `trace` and `names_read` only explain.
Invariant: no function keeps state or changes its arguments.
"""

from fastiam.spec.evaluate import decide

__all__ = ["decide"]
