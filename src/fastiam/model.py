"""Policies as read, and decisions as given: plain frozen data.

A `Policy` keeps the text of every action, resource, principal and condition value. What such a
text *means* is read twice, by `reference` and by `compile`, so that a slip of one of them shows.
What the language has already settled is said by flags: an element that the kind of document
forbids is dropped, and `Statement.undetermined` names the rules that make it `U` (spec F7).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from fastiam.positions import Origin, Position


class Outcome(IntEnum):
    """The answer to a request (spec 0.2, 6.11). `ERROR` occurs in batches alone."""

    IMPLICIT_DENY = 0
    ALLOW = 1
    EXPLICIT_DENY = 2
    DEPENDS = 3
    ERROR = 255


class Effect(StrEnum):
    """What a statement does when it applies."""

    ALLOW = "Allow"
    DENY = "Deny"


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


class PolicyKind(StrEnum):
    """The kinds of document (spec 1.1)."""

    IDENTITY = "identity"
    BOUNDARY = "boundary"
    SESSION = "session"
    RESOURCE = "resource"
    TRUST = "trust"
    SCP = "scp"
    RCP = "rcp"
    VPCE = "vpce"


@dataclass(frozen=True, slots=True)
class PrincipalEntry:
    """One entry of a `Principal` or `NotPrincipal` element.

    `type` is `"*"` for the bare `"*"`, else the key of the map as written (`"AWS"`, `"Service"`,
    `"Federated"`, `"CanonicalUser"`, or an unknown one), and `""` for any other bare string (V41).
    """

    type: str
    value: str


@dataclass(frozen=True, slots=True)
class ConditionEntry:
    """One (operator, key) pair of a condition block; the block is the AND of its entries (C1).

    `operator` is the canonical base name (`"StringEquals"`), `qualifier` is `""`, `"ForAllValues"` or
    `"ForAnyValue"`. `key` is as written. `values` are source tokens as text (G12). `undetermined` entries
    (V15, V17) are `U` whatever the request.
    """

    operator: str
    qualifier: str
    if_exists: bool
    key: str
    values: tuple[str, ...]
    undetermined: bool = False


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement. An element that is None is not there (its test is `T`).

    `undetermined` lists rules (V4, V7, V8, V9, V12) that each add a conjunct `U` (F7); the element
    concerned is None then. An empty `actions`, `resources` or `principals` matches nothing (V11).
    """

    index: int
    sid: str | None
    effect: Effect
    actions: tuple[str, ...] | None
    not_action: bool = False
    resources: tuple[str, ...] | None = None
    not_resource: bool = False
    principals: tuple[PrincipalEntry, ...] | None = None
    not_principal: bool = False
    conditions: tuple[ConditionEntry, ...] = ()
    undetermined: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Policy:
    """One document as read.

    `variables` is true for version 2012-10-17 (spec 1.4). `name` is what answers call it: the policy's
    name or ARN in a directory, the argument and index in `simulate`. `origin` tells where its text lies.
    Two policies are one only if they are the same object: equal text in two places keeps two names.
    """

    kind: PolicyKind
    variables: bool
    statements: tuple[Statement, ...]
    name: str = ""
    arn: str | None = None
    id: str | None = None
    origin: Origin | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class StatementRef:
    """The statement that an answer rests on.

    `level` counts from the organisation root in layers `scp` and `rcp` and is 0 elsewhere. `policy` is the name
    of the policy, `arn` its ARN if it has one, `sid` its Sid if it has one, `index` its place in the policy.
    """

    layer: Layer
    level: int
    policy: str
    index: int
    sid: str | None = None
    arn: str | None = None
    origin: Origin | None = field(default=None, compare=False, repr=False)

    @property
    def position(self) -> Position | None:
        """File, line and column of the statement, or None where its text is not at hand."""
        return self.origin.child("Statement", self.index).position() if self.origin else None


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to one request.

    Attributes
    ----------
    outcome : the answer (spec 0.2).
    layer : the deciding layer (spec D50).
    statement : the one reported statement (D51), or None.
    reason : a code where the layer alone does not say why: `unknown_owner`, `unknown_endpoint`,
        `unknown_principal`, `always_allowed`, `hard_rule`, `anonymous`, `pass_role_account`, `partition`,
        `credential`, `public_access`.
    indeterminate : an explicit deny whose reported statement applies through `U`, or an implicit deny that would be
        an allow were every `U` true (F6).
    assumed_owner, owner_override : how the owner of the resource was found (D23).
    depends_on : the unknown keys that matter, folded and sorted, for `DEPENDS` (D74).
    """

    outcome: Outcome
    layer: Layer
    statement: StatementRef | None = None
    reason: str | None = None
    indeterminate: bool = False
    assumed_owner: bool = False
    owner_override: bool = False
    depends_on: tuple[str, ...] = ()

    @property
    def allowed(self) -> bool:
        """True iff the request is authorised."""
        return self.outcome is Outcome.ALLOW

    def __bool__(self) -> bool:
        raise TypeError("a Decision is not a truth value; ask `decision.allowed`")


@dataclass(frozen=True, slots=True)
class MatchedStatement:
    """A statement that applies to the request (spec 6.9 `statements`).

    `match_classes` holds the letters `D R P A *` of its principal match in layers with principals (spec 3.3);
    `conditions` is its condition block, all of which held.
    """

    ref: StatementRef
    effect: Effect
    match_classes: str = ""
    indeterminate: bool = False
    reasons: tuple[str, ...] = ()
    conditions: tuple[ConditionEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class OpenStatement:
    """A statement that applies or not by the values of unknown keys, and that matters (spec D73, D74).

    `keys` are the folded unknown keys that it reads; `conditions` the entries that read them. A key that stands in no
    entry is read by a policy variable of its resources, or by its principal element.
    """

    ref: StatementRef
    effect: Effect
    keys: tuple[str, ...]
    conditions: tuple[ConditionEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class NearMiss:
    """An Allow statement that failed on exactly one element (spec 6.9 `near_misses`)."""

    ref: StatementRef
    element: str
    key: str = ""
    operator: str = ""
    expected: tuple[str, ...] = ()
    actual: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class LayerResult:
    """What one layer said: `allow`, `implicit_deny`, `explicit_deny` or `not_applicable` with its reason."""

    layer: Layer
    result: str
    reason: str = ""
    level: int | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """The whole record of spec 6.9; `str()` of it tells it to people.

    `missing` lists alternatives for an implicit deny, each a set of layers that would have to allow, such as
    `("identity",)` or `("resource:D",)`. `open_statements` are, for `DEPENDS`, the statements on which it depends.
    """

    decision: Decision
    principal_kind: str
    principal_account: str | None
    resource_account: str | None
    same_account: bool
    principal: str = ""
    action: str = ""
    resource: str = ""
    statements: tuple[MatchedStatement, ...] = ()
    denies: tuple[MatchedStatement, ...] = ()
    missing: tuple[tuple[str, ...], ...] = ()
    near_misses: tuple[NearMiss, ...] = ()
    unresolved_variables: tuple[str, ...] = ()
    absent_keys: tuple[str, ...] = ()
    bypassed: tuple[Layer, ...] = ()
    limits: tuple[LayerResult, ...] = ()
    open_statements: tuple[OpenStatement, ...] = ()
    context: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __str__(self) -> str:
        from fastiam.report import explanation_lines  # it reads this module

        return "\n".join("".join(text for text, _ in line) for line in explanation_lines(self))
