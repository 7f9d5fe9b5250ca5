"""An invariant as it is written, and the result of its proof."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from fastiam.analysis.proof.candidate_requests import ProofRequest
from fastiam.errors import RequestValueError, did_you_mean
from fastiam.model.decision import StatementRef
from fastiam.model.explanation import Explanation
from fastiam.model.result import Result

LIMIT, TIMEOUT = 300_000, 60.0
SCOPE_KEYS = (
    "principals", "except", "actions", "except_actions", "resources", "except_resources", "given", "only_if",
)  # fmt: skip
Texts = str | Sequence[Any] | Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Invariant:
    """A statement about all requests of a scope.

    Attributes
    ----------
    never
        the scope: `principals` and `actions`, and the optional `except`, `except_actions`, `resources`, `except_resources`,
        `given` and `only_if`. No request of it for which no block of `only_if` is true may be allowed.
    name, description
        for people.
    severity
        `error`, or `warning`.
    keys
        `aws`: condition keys have the values that AWS sends; `any`: all that an engine accepts.
    closed
        principals and resources without a record are as T66 assumes; False: they may be anything.
    sets
        the lists that `set:NAME` stands for, under `principals`, `actions` and `resources`.
    """

    never: Mapping[str, Any]
    name: str = "invariant"
    description: str = ""
    severity: Literal["error", "warning"] = "error"
    keys: Literal["aws", "any"] = "aws"
    closed: bool = True
    sets: Mapping[str, Mapping[str, Sequence[Any]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for key in self.never:
            if key not in SCOPE_KEYS:
                raise RequestValueError(f"unknown key `{key}`", column="never", hint=did_you_mean(str(key), SCOPE_KEYS))
        for key in ("principals", "actions"):
            if not self.never.get(key):
                raise RequestValueError(f"an invariant needs `{key}`", column="never")


class InvariantOutcome(StrEnum):
    """What is known of an invariant."""

    HOLDS = "holds"
    FAILS = "fails"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class InvariantResult(Result):
    """The answer to an invariant.

    Attributes
    ----------
    result
        HOLDS, FAILS with `request`, or UNDECIDED with `reason`.
    request
        a request that is allowed and must not be, decided by the engine and by the specification evaluator.
    explanation
        of its decision.
    statement
        the statement that allows it.
    note
        what `fastiam explain` cannot be asked, of a request that is decided in another way.
    reason
        why the invariant is undecided.
    assumptions
        what HOLDS assumes about the world outside of the files.
    vacuous
        why the scope has no request, if it has none.
    principals, classes, resources, combinations
        the numbers of principals of the scope, of their classes, of resources with policies, and of combinations that were tried.
    """

    result: InvariantOutcome
    request: ProofRequest | None = None
    explanation: Explanation | None = None
    statement: StatementRef | None = None
    note: str = ""
    reason: str = ""
    assumptions: tuple[str, ...] = ()
    vacuous: str = ""
    principals: int = 0
    classes: int = 0
    resources: int = 0
    combinations: int = 0

    @property
    def holds(self) -> bool:
        """Whether the invariant is proved."""
        return self.result is InvariantOutcome.HOLDS
