"""Outcomes and decisions: plain frozen data that names policies and contains none."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from fastiam.model.policy import Policy, Statement
from fastiam.model.result import Deferred, Result
from fastiam.model.source_map import Origin, json_path


class Outcome(IntEnum):
    """The answer to a request (spec 0.2, 6.11). `ERROR` occurs in batches alone."""

    IMPLICIT_DENY = 0
    ALLOW = 1
    EXPLICIT_DENY = 2
    DEPENDS = 3
    ERROR = 255

    def __str__(self) -> str:
        return self.name


class Layer(StrEnum):
    """The layers of a decision (spec 0.4), in the order in which explicit denies are reported (D50)."""

    RCP = "rcp"
    SCP = "scp"
    VPCE = "vpce"
    RESOURCE = "resource"
    IDENTITY = "identity"
    BOUNDARY = "boundary"
    SESSION = "session"
    CREDENTIAL = "credential"
    SERVICE = "service"


class Reason(StrEnum):
    """Why, where the layer alone does not say it (spec 6.9). The order is that of the kernel's codes."""

    UNKNOWN_OWNER = "unknown_owner"
    UNKNOWN_ENDPOINT = "unknown_endpoint"
    UNKNOWN_PRINCIPAL = "unknown_principal"
    ALWAYS_ALLOWED = "always_allowed"
    HARD_RULE = "hard_rule"
    ANONYMOUS = "anonymous"
    PASS_ROLE_ACCOUNT = "pass_role_account"
    PARTITION = "partition"
    CREDENTIAL = "credential"
    PUBLIC_ACCESS = "public_access"


class MatchClass(StrEnum):
    """What an entry of a principal element names (spec 3.3): the principal itself, or how it belongs to whom it names."""

    PRINCIPAL = "D"
    ROLE = "R"
    ISSUER = "P"
    ACCOUNT = "A"
    ANYONE = "*"


@dataclass(frozen=True, slots=True)
class StatementRef(Deferred):
    """The statement that an answer rests on.

    Attributes
    ----------
    layer
        the layer that it is part of.
    level
        counts from the organization root in layers `scp` and `rcp`, and is 0 elsewhere.
    policy, arn
        the name of the policy, and its ARN if it has one.
    index, sid
        its place in the policy from 0, and its Sid if it has one.
    file, line, column
        where it starts, both from 1; None where its text is not at hand. Found when first read.
    path
        its JSON path in the file, `$.Statement[0]`.
    """

    layer: Layer
    level: int
    policy: str
    index: int
    sid: str | None = None
    arn: str | None = None
    file: str | None = field(default=None, compare=False, repr=False)
    line: int | None = field(default=None, compare=False, repr=False)
    column: int | None = field(default=None, compare=False, repr=False)
    path: str | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(cls, policy: Policy, statement: Statement, layer: Layer, level: int) -> StatementRef:
        """The reference to a statement of a policy."""
        name = policy.name or policy.arn or ""
        if policy.origin is None:
            return cls(layer, level, name, statement.index, statement.sid, policy.arn)
        return cls.deferring(policy.origin, layer, level, name, statement.index, statement.sid, policy.arn)

    def _resolve(self, source: Origin) -> dict[str, object]:
        origin = source.child("Statement", self.index)
        place = origin.position()
        line, column = (None, None) if place is None else (place.line, place.column)
        return {"file": source.source.name, "line": line, "column": column, "path": json_path(origin.path)}

    @property
    def position(self) -> str | None:
        """File, line and column, `policies.json:12:5`, or None where the text of the statement is not at hand."""
        return None if self.line is None else f"{self.file}:{self.line}:{self.column}"

    @property
    def label(self) -> str:
        """The Sid, or `#` and the index where there is none."""
        return self.sid or f"#{self.index}"


@dataclass(frozen=True, slots=True)
class Decision(Result):
    """The answer to one request.

    Attributes
    ----------
    outcome
        the answer (spec 0.2).
    layer
        the deciding layer (spec D50).
    statement
        the one reported statement (D51), or None.
    reason
        a code where the layer alone does not say why, or None.
    indeterminate
        an explicit deny whose reported statement applies through `U`, or an implicit deny that would be an allow were every `U`
        true (F6).
    assumed_owner, owner_override
        how the owner of the resource was found (D23).
    depends_on
        the deciding keys: unknown keys that the outcome depends on, folded and sorted, for `DEPENDS` (D74).
    """

    outcome: Outcome
    layer: Layer
    statement: StatementRef | None = None
    reason: Reason | None = None
    indeterminate: bool = False
    assumed_owner: bool = False
    owner_override: bool = False
    depends_on: tuple[str, ...] = ()

    _derived = ("allowed",)

    @property
    def allowed(self) -> bool:
        """True iff the request is authorised."""
        return self.outcome is Outcome.ALLOW

    def __bool__(self) -> bool:
        raise TypeError("a Decision is not a truth value; ask `decision.allowed`")
