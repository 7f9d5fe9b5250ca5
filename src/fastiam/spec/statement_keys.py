"""The context keys as the tests of one statement read them, with the truth of tests on unknown keys (spec 6.11)."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, replace

from fastiam.model.request import ContextValue
from fastiam.spec.three_valued import Truth, negate


@dataclass(frozen=True, slots=True)
class StatementKeys:
    """The context of a request for one statement.

    Attributes
    ----------
    context
        present keys by folded name.
    unknown
        folded names of keys that are declared unknown.
    residual
        `T` or `F`, the truth of each residual test (an `open test` of D72, D73).
    """

    context: Mapping[str, ContextValue]
    unknown: Container[str]
    residual: Truth

    def inverted(self) -> StatementKeys:
        """The keys inside `NotResource` and `NotPrincipal`, where a true test excludes the request (D73)."""
        return replace(self, residual=negate(self.residual))
