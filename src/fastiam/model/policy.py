"""Policies as read: plain frozen data.

A `Policy` keeps the text of every action, resource, principal and condition value. `spec` and `compile` interpret this text
independently, so that tests find a mistake in one of them. Flags record what the reader of the policy has already decided: an
element that the kind of document forbids is dropped, and `Statement.undetermined` names the rules that make a statement `U`
(spec F7).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from fastiam.model.source_map import Origin


class Effect(StrEnum):
    """What a statement does when it applies."""

    ALLOW = "Allow"
    DENY = "Deny"


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

    `variables` is true for version 2012-10-17 (spec 1.4). Decisions report `name`: the name or
    ARN of the policy in a directory, the argument and index in `simulate`. `origin` is the position of its text.
    Policies are compared by identity: equal text in two places has two names.
    """

    kind: PolicyKind
    variables: bool
    statements: tuple[Statement, ...]
    name: str = ""
    arn: str | None = None
    id: str | None = None
    origin: Origin | None = field(default=None, compare=False)
