"""The result of a proof."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from fastiam.analysis.proof.candidate_requests import ProofRequest
from fastiam.model.decision import StatementRef
from fastiam.model.result import Result


class ProofResult(StrEnum):
    """The result of a proof."""

    PROVED = "proved"
    NEW_ACCESS = "new_access"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Proof(Result):
    """The answer to a question about all requests.

    Attributes
    ----------
    result
        PROVED, NEW_ACCESS with `request`, or UNDECIDED with `reason`.
    request
        a request that shows the contrary, decided by the engine.
    statement
        the statement that allows it; for `kind="rcp"` the Deny that no longer applies.
    stronger
        no new request applies, but a grant of a resource policy no longer needs the policies of the principal (6.5).
    reason
        why the question is undecided.
    combinations
        the number of combinations that were tried.
    """

    result: ProofResult
    request: ProofRequest | None = None
    statement: StatementRef | None = None
    stronger: bool = False
    reason: str = ""
    combinations: int = 0
    by_principal: Mapping[str, Proof] = field(default_factory=dict)

    @property
    def proved(self) -> bool:
        """Whether the result is PROVED."""
        return self.result is ProofResult.PROVED
