"""Results of `what_can` over all resources: grants, with the layers and Denies that limit them."""

from __future__ import annotations

from dataclasses import dataclass

from fastiam.model.decision import Layer, StatementRef
from fastiam.model.policy import ConditionEntry
from fastiam.model.result import Result


@dataclass(frozen=True, slots=True)
class GrantStatement(Result):
    """A statement of a limiting layer, or a Deny, that intersects a grant.

    `actions` and `resources` are its patterns; the excluded patterns if `not_actions`, `not_resources`. `conditions` are its
    residual conditions.
    """

    ref: StatementRef
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    not_actions: bool = False
    not_resources: bool = False
    conditions: tuple[ConditionEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class Limit(Result):
    """A layer that must also allow a request, by one of its statements."""

    layer: Layer
    level: int
    statements: tuple[GrantStatement, ...]


@dataclass(frozen=True, slots=True)
class Grant(Result):
    """Actions on resources that a principal can perform after all layers are evaluated.

    Attributes
    ----------
    actions, resources
        patterns; the excluded patterns if `not_actions`, `not_resources`. Known policy variables are replaced.
    layer
        `identity` for resources of the principal's account, `resource` for what the policy of a resource governs.
    holder
        the resource with that policy, None in layer `identity`. The grant applies to the `resources` that it governs (6.10).
    statement
        the Allow; None for a root user, which needs no policy.
    conditions
        all conditions that must hold: the residual conditions of the Allow and of the layers that are part of the patterns.
    limited_by
        layers that must allow as well.
    denied_by
        Denies that intersect the grant.
    needs_resource_policy
        roles (for STS) and KMS keys in the grant also need their own policy.
    """

    actions: tuple[str, ...]
    resources: tuple[str, ...]
    layer: Layer
    statement: StatementRef | None
    not_actions: bool = False
    not_resources: bool = False
    conditions: tuple[ConditionEntry, ...] = ()
    limited_by: tuple[Limit, ...] = ()
    denied_by: tuple[GrantStatement, ...] = ()
    needs_resource_policy: bool = False
    holder: str | None = None
