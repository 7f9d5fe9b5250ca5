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
QUANTIFIERS = ("never", "always", "sometimes")
SCOPE_KEYS = (
    "principals", "except", "actions", "except_actions", "resources", "except_resources", "given", "only_if",
)  # fmt: skip
Texts = str | Sequence[Any] | Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Invariant:
    """A statement about all requests of a scope.

    Attributes
    ----------
    never, always, sometimes
        the scope, in exactly one of them: `principals` and `actions`, and the optional `except`, `except_actions`, `resources`,
        `except_resources` and `given`. `never`: no request of it is allowed, unless a block of `only_if` is true. `always`: each
        is allowed. `sometimes`: one is.
    name, description
        for people.
    severity
        `error`, or `warning`.
    keys
        `aws`: condition keys have the values that AWS sends; `any`: all that an engine accepts.
    closed
        principals and resources without a record are as T66 assumes; False: they may be anything.
    through
        `roles`: of `never`, a role that a principal of the scope can reach may not violate it either, by any number of calls of
        AssumeRole. `none`: the principals' own requests alone.
    sets
        the lists that `set:NAME` stands for, under `principals`, `actions` and `resources`.

    Raises
    ------
    RequestValueError
        there is no scope, or more than one, or it has a key that it cannot have.
    """

    never: Mapping[str, Any] | None = None
    always: Mapping[str, Any] | None = None
    sometimes: Mapping[str, Any] | None = None
    name: str = "invariant"
    description: str = ""
    severity: Literal["error", "warning"] = "error"
    keys: Literal["aws", "any"] = "aws"
    closed: bool = True
    through: Literal["none", "roles"] = "none"
    sets: Mapping[str, Mapping[str, Sequence[Any]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        given = [name for name in QUANTIFIERS if getattr(self, name) is not None]
        if len(given) != 1:
            raise RequestValueError("an invariant has exactly one of `never`, `always` and `sometimes`", column="never")
        for key in self.scope:
            if key not in SCOPE_KEYS:
                raise RequestValueError(f"unknown key `{key}`", column=given[0], hint=did_you_mean(str(key), SCOPE_KEYS))
        for key in ("principals", "actions"):
            if not self.scope.get(key):
                raise RequestValueError(f"an invariant needs `{key}`", column=given[0])
        if given[0] != "never" and "only_if" in self.scope:
            raise RequestValueError(f"`only_if` is a key of `never`, not of `{given[0]}`", column=given[0], hint="write `given`")

        if self.through not in ("none", "roles"):
            raise RequestValueError(f"`{self.through}` is none of none, roles", column="through")
        if self.through == "roles" and given[0] != "never":
            raise RequestValueError(f"`through` is for `never`, not for `{given[0]}`", column="through")

    @property
    def quantifier(self) -> Literal["never", "always", "sometimes"]:
        """How many requests of the scope are allowed."""
        return "never" if self.never is not None else "always" if self.always is not None else "sometimes"

    @property
    def scope(self) -> Mapping[str, Any]:
        """The value of the quantifier."""
        found: Mapping[str, Any] = getattr(self, self.quantifier)
        return found


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
        HOLDS, FAILS, or UNDECIDED with `reason`.
    request
        of `never` that FAILS and of `sometimes` that HOLDS a request that is allowed, of `always` that FAILS one that is denied:
        the engine and the specification evaluator decide it so.
    explanation
        of its decision.
    statement
        the statement that decides it.
    note
        what `fastiam explain` cannot be asked, of a request that is decided in another way.
    path
        with `through`: the calls with which a principal of the scope reaches the role of `request`, and that request.
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
    path: tuple[ProofRequest, ...] = ()
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
