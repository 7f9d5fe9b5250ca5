"""What `what_can` tells of a principal over all resources: grants in effect, with what limits them."""

from __future__ import annotations

from dataclasses import dataclass

from fastiam.model.decision import Layer, StatementRef
from fastiam.model.policy import ConditionEntry
from fastiam.model.result import Result


@dataclass(frozen=True, slots=True)
class GrantStatement(Result):
    """A statement of a limiting layer, or a Deny, where it reaches into a row.

    `actions` and `resources` are its patterns, those that it excludes where `not_actions`, `not_resources`; `conditions` what is
    not known of its conditions.
    """

    ref: StatementRef
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    not_actions: bool = False
    not_resources: bool = False
    conditions: tuple[ConditionEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class Limit(Result):
    """A layer that has to allow as well, by one of its statements."""

    layer: Layer
    level: int
    statements: tuple[GrantStatement, ...]


@dataclass(frozen=True, slots=True)
class Grant(Result):
    """Actions on resources that a principal can in effect.

    Attributes
    ----------
    actions, resources : patterns; all but these where `not_actions`, `not_resources`. Known policy variables are put in.
    layer : `identity` grants on resources of the principal's own account, `resource` on what the policy of a resource governs.
    holder : the resource with that policy, None in layer `identity`. Of `resources` those count that it governs (6.10).
    statement : what grants; None for a root user, who needs no policy.
    conditions : what still has to hold, all of it: what is not known of the conditions of the grant and of the limits that
        cut it.
    limited_by : layers that must allow as well.
    denied_by : Denies that reach into it.
    needs_resource_policy : of what it covers, roles (for STS) and KMS keys also need their own policy.
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
