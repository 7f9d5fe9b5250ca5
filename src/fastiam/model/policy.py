"""Policies as read, and decisions as given: plain frozen data.

A `Policy` keeps the text of every action, resource, principal and condition value. What such a
text *means* is read twice, by `reference` and by `compile`, so that a slip of one of them shows.
What the language has already settled is said by flags: an element that the kind of document
forbids is dropped, and `Statement.undetermined` names the rules that make it `U` (spec F7).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from enum import IntEnum, StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Self

from fastiam.model.source_map import Origin, json_path

if TYPE_CHECKING:
    from fastiam.model.decision_json import Json


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

    @property
    def operator_text(self) -> str:
        """The operator as policies write it: `ForAnyValue:StringEqualsIfExists`."""
        prefix = f"{self.qualifier}:" if self.qualifier else ""
        return prefix + self.operator + ("IfExists" if self.if_exists else "")


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


class Result:
    """What a question is answered with: data that names documents and holds none."""

    __slots__ = ()
    _derived: ClassVar[tuple[str, ...]] = ()  # properties that the JSON form has beside the fields

    def to_dict(self) -> dict[str, Json]:
        """The JSON form, of JSON's own types alone; `fastiam/schema/results-v1.json` describes it."""
        from fastiam.model.decision_json import fields_to_json  # it reads this module

        return fields_to_json(self)


class Deferred(Result):
    """A result that finds some of its fields when they are first read: `_resolve` makes them from `_source`.

    `dataclasses`, `pickle` and `copy` read fields too. The source is released then, and it is never copied.
    """

    __slots__ = ("_source",)
    _source: Any

    @classmethod
    def deferring(cls, source: object, *values: object) -> Self:
        """One with the values of its first fields; those without a value are found in `source`."""
        made = object.__new__(cls)
        object.__setattr__(made, "_source", source)
        for fill, value in zip(_slots(cls), values, strict=False):  # type: ignore[arg-type]  # a class is hashable
            fill(made, value)
        return made

    def _resolve(self, source: Any) -> dict[str, object]:
        raise NotImplementedError

    if not TYPE_CHECKING:  # or every name would pass for a field

        def __getattr__(self, name: str) -> object:
            if name not in type(self).__dataclass_fields__:
                raise AttributeError(f"`{type(self).__name__}` has no attribute `{name}`", name=name, obj=self)
            source = object.__getattribute__(self, "_source")
            if source is not None:  # else another thread has found them meanwhile
                for field_name, value in self._resolve(source).items():
                    object.__setattr__(self, field_name, value)
                object.__setattr__(self, "_source", None)
            return object.__getattribute__(self, name)


@cache
def _slots(cls: type) -> tuple[Callable[[object, object], None], ...]:
    """What sets each field of a frozen record. PERF: half as fast again as by their names."""
    return tuple(getattr(cls, each.name).__set__ for each in fields(cls))


@dataclass(frozen=True, slots=True)
class StatementRef(Deferred):
    """The statement that an answer rests on.

    Attributes
    ----------
    layer : the layer that it is part of.
    level : counts from the organization root in layers `scp` and `rcp`, and is 0 elsewhere.
    policy, arn : the name of the policy, and its ARN if it has one.
    index, sid : its place in the policy from 0, and its Sid if it has one.
    file, line, column : where it starts, both from 1; None where its text is not at hand. Found when first read.
    path : its JSON path in the file, `$.Statement[0]`.
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
    outcome : the answer (spec 0.2).
    layer : the deciding layer (spec D50).
    statement : the one reported statement (D51), or None.
    reason : a code where the layer alone does not say why, or None.
    indeterminate : an explicit deny whose reported statement applies through `U`, or an implicit deny that would be
        an allow were every `U` true (F6).
    assumed_owner, owner_override : how the owner of the resource was found (D23).
    depends_on : the unknown keys that matter, folded and sorted, for `DEPENDS` (D74).
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


@dataclass(frozen=True, slots=True)
class MatchedStatement(Result):
    """A statement that applies to the request (spec 6.9 `statements`).

    `match_classes` holds the classes of its principal match in layers with principals (spec 3.3);
    `conditions` is its condition block, all of which held.
    """

    ref: StatementRef
    effect: Effect
    match_classes: tuple[MatchClass, ...] = ()
    indeterminate: bool = False
    reasons: tuple[str, ...] = ()
    conditions: tuple[ConditionEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class OpenStatement(Result):
    """A statement that applies or not by the values of unknown keys, and that matters (spec D73, D74).

    `keys` are the folded unknown keys that it reads; `conditions` the entries that read them. A key that stands in no
    entry is read by a policy variable of its resources, or by its principal element.
    """

    ref: StatementRef
    effect: Effect
    keys: tuple[str, ...]
    conditions: tuple[ConditionEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class NearMiss(Result):
    """An Allow statement that failed on exactly one element (spec 6.9 `near_misses`).

    `expected` are values of the element, of a long one some: those about the service of the request first. `n_expected` is how
    many it has.
    """

    ref: StatementRef
    element: str
    key: str = ""
    operator: str = ""
    expected: tuple[str, ...] = ()
    actual: tuple[str, ...] | None = None
    n_expected: int = 0


@dataclass(frozen=True, slots=True)
class LayerResult(Result):
    """What one layer said: `allow`, `implicit_deny`, `explicit_deny` or `not_applicable` with its reason."""

    layer: Layer
    result: str
    reason: str = ""
    level: int | None = None


@dataclass(frozen=True, slots=True)
class Explanation(Result):
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
        from fastiam.model.explanation_text import explanation_lines  # it reads this module

        return "\n".join("".join(text for text, _ in line) for line in explanation_lines(self))
