"""`what_can`: the actions of a principal on one resource, each decided, or its grants over all resources as patterns."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from fastiam.analysis.access.effective_permissions import EffectivePermissions
from fastiam.analysis.access.grants import Grant
from fastiam.analysis.access.who_can_request import ANY_ACTION, WhoCanRequest
from fastiam.analysis.representatives import UNMENTIONED, action_of
from fastiam.model.arguments import check_items
from fastiam.model.arn import split_arn
from fastiam.model.decision import Layer, Outcome, StatementRef
from fastiam.model.explanation import ResidualStatement
from fastiam.model.protocols import AnalysisEngine
from fastiam.model.request import Context, check_action
from fastiam.model.result import Deferred
from fastiam.model.session import Session, check_principal_type

if TYPE_CHECKING:
    from fastiam.resolve.snapshot import Snapshot

# services whose actions apply to resources of another service
_RELATED_SERVICES = {"iam": ("sts",), "execute-api": ("apigateway",), "apigateway": ("execute-api",)}


@dataclass(frozen=True, slots=True)
class AllowedAction(Deferred):
    """An action that a principal can perform on one resource, or can perform if conditions hold.

    Attributes
    ----------
    action
        a name; with `is_pattern` the pattern of a policy, for each action that matches it and that no policy names.
    outcome
        ALLOW, or DEPENDS.
    layer, statement, depends_on
        as in `Decision`.
    assumed_owner
        the owner of the resource is unknown and assumed to be the account of the principal (D23).
    conditions
        for DEPENDS, the statements on which the decision depends, found on first access by the specification evaluator.
    """

    action: str
    outcome: Outcome
    layer: Layer | None
    statement: StatementRef | None
    depends_on: tuple[str, ...] = ()
    is_pattern: bool = False
    assumed_owner: bool = False
    conditions: tuple[ResidualStatement, ...] = field(default=(), compare=False, repr=False)

    def _resolve(self, source: Callable[[], tuple[ResidualStatement, ...]]) -> dict[str, object]:
        return {"conditions": source()}


def actions_on(
    engine: AnalysisEngine, principal: str | Session, request: WhoCanRequest, names: Iterable[str] | None
) -> list[AllowedAction]:
    """Return the actions that the principal can perform on the resource of a request. The action of the request is not used."""
    principal = check_principal_type(principal)
    if names is not None and not isinstance(names, str):
        names = [check_action(name) for name in check_items(names, "actions", "actions")]
    names = [names] if isinstance(names, str) else names
    actions = {name: (name, False) for name in names} if names is not None else _actions(engine.snapshot, request.resource)
    if not actions:
        return []
    sessions = {"the principal": principal} if isinstance(principal, Session) else None
    name = "the principal" if sessions else principal
    decisions = engine.decide_many(
        name, list(actions), request.resource, request.columns, unknown=request.unknown, now=request.now, sessions=sessions,
        resource_accounts=request.resource_account, reasons=True, on_error="raise",
    )  # fmt: skip
    found = []
    for row in np.flatnonzero((decisions.outcome == Outcome.ALLOW) | (decisions.outcome == Outcome.DEPENDS)).tolist():
        decision = decisions[row]
        literal = list(actions)[row]
        text, is_pattern = actions[literal]
        conditions = partial(request.conditions, principal, literal) if decision.outcome is Outcome.DEPENDS else tuple
        reason = decision.layer, decision.statement, decision.depends_on
        found.append(
            AllowedAction.deferring(conditions, text, decision.outcome, *reason, is_pattern, decision.assumed_owner)
        )  # fmt: skip
    return found


def _actions(snapshot: Snapshot, resource: str) -> dict[str, tuple[str, bool]]:
    """Return literal actions for a resource, with their text in policies and whether that is a pattern."""
    arn = split_arn(resource)
    services = None if arn is None else {arn.service, *_RELATED_SERVICES.get(arn.service, ())}
    names: dict[str, tuple[str, bool]] = {}
    patterns: dict[str, tuple[str, bool]] = {}
    for policy in snapshot.policies():
        for statement in policy.statements:
            for pattern in statement.actions or ():
                for literal in _literals(pattern, services):
                    is_pattern = UNMENTIONED in literal
                    (patterns if is_pattern else names).setdefault(literal, (pattern, is_pattern))
    return dict(sorted((names | patterns).items()))


def _literals(pattern: str, services: Collection[str] | None) -> Iterator[str]:
    """Yield literal actions of a pattern for the services of a resource; None is any service."""
    literal = action_of(pattern)
    if literal is None:
        return
    prefix, _, name = literal.partition(":")
    if services is None or prefix in services:
        yield literal
    elif UNMENTIONED in prefix:  # `*`, or a wildcard in the prefix
        yield from (f"{service}:{name}" for service in sorted(services))


def grants_of(engine: AnalysisEngine, principal: str | Session, context: Context | None) -> list[Grant]:
    """Return the grants of a principal over all resources."""
    snapshot = engine.snapshot
    profile = snapshot.principal(check_principal_type(principal))
    request = engine.read_request(ANY_ACTION, context)
    return list(EffectivePermissions(snapshot, profile, engine.settings, request.context, request.absent).grants())
