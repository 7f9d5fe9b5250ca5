"""`what_can`: what a principal can do. On one resource, each action decided; else the patterns of its grants in effect."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from fastiam.analysis.effective_permissions import EffectivePermissions
from fastiam.analysis.grants import Grant
from fastiam.analysis.representatives import UNMENTIONED, action_of
from fastiam.analysis.who_can import WhoCanRequest
from fastiam.engine.resolving import check_principal_type
from fastiam.model.arguments import check_items
from fastiam.model.arn import split_arn
from fastiam.model.decision import Layer, Outcome, StatementRef
from fastiam.model.explanation import OpenStatement
from fastiam.model.request import Context, check_action, check_context
from fastiam.model.result import Deferred
from fastiam.model.session import Session

if TYPE_CHECKING:
    from fastiam.engine.compiled_engine import CompiledEngine

# services whose actions are about the resources of another one
_ALSO = {"iam": ("sts",), "execute-api": ("apigateway",), "apigateway": ("execute-api",)}


@dataclass(frozen=True, slots=True)
class AllowedAction(Deferred):
    """An action that a principal can do on one resource, for certain or if conditions are met.

    Attributes
    ----------
    action : a name, or with `is_pattern` the pattern of a policy: any action that it matches and no policy names otherwise.
    outcome : ALLOW, or DEPENDS.
    layer, statement, depends_on : as in `Decision`.
    assumed_owner : the owner of the resource is unknown and taken to be the account of the principal (D23).
    conditions : for DEPENDS, the statements that the answer depends on. Found when first read, by the reference.
    """

    action: str
    outcome: Outcome
    layer: Layer | None
    statement: StatementRef | None
    depends_on: tuple[str, ...] = ()
    is_pattern: bool = False
    assumed_owner: bool = False
    conditions: tuple[OpenStatement, ...] = field(default=(), compare=False, repr=False)

    def _resolve(self, source: Callable[[], tuple[OpenStatement, ...]]) -> dict[str, object]:
        return {"conditions": source()}


def actions_on(
    engine: CompiledEngine, principal: str | Session, question: WhoCanRequest, names: Iterable[str] | None
) -> list[AllowedAction]:
    """What the principal can do on the resource of a question, whose action is of no account."""
    principal = check_principal_type(principal)
    if names is not None and not isinstance(names, str):
        names = [check_action(name) for name in check_items(names, "actions", "actions")]
    names = [names] if isinstance(names, str) else names
    asked = {name: (name, False) for name in names} if names is not None else _actions(engine, question.resource)
    if not asked:
        return []
    sessions = {"the principal": principal} if isinstance(principal, Session) else None
    who = "the principal" if sessions else principal
    decisions = engine.decide_many(
        who, list(asked), question.resource, question.columns, unknown=question.unknown, now=question.now, sessions=sessions,
        resource_accounts=question.resource_account, reasons=True, on_error="raise",
    )  # fmt: skip
    found = []
    for row in np.flatnonzero((decisions.outcome == Outcome.ALLOW) | (decisions.outcome == Outcome.DEPENDS)).tolist():
        decision = decisions[row]
        literal = list(asked)[row]
        told, is_pattern = asked[literal]
        opened = partial(question.conditions, principal, literal) if decision.outcome is Outcome.DEPENDS else tuple
        where = decision.layer, decision.statement, decision.depends_on
        found.append(AllowedAction.deferring(opened, told, decision.outcome, *where, is_pattern, decision.assumed_owner))
    return found


def _actions(engine: CompiledEngine, resource: str) -> dict[str, tuple[str, bool]]:
    """The actions about a resource that policies write, as they write them; for a pattern a name that nothing else matches."""
    arn = split_arn(resource)
    services = None if arn is None else {arn.service, *_ALSO.get(arn.service, ())}
    names: dict[str, tuple[str, bool]] = {}
    patterns: dict[str, tuple[str, bool]] = {}
    for policy in engine._snapshot_or_fail().policies():
        for statement in policy.statements:
            for written in statement.actions or ():
                for literal, told in _literals(written, services):
                    (patterns if UNMENTIONED in literal else names).setdefault(literal, (told, UNMENTIONED in literal))
    return dict(sorted((names | patterns).items()))


def _literals(written: str, services: Collection[str] | None) -> Iterator[tuple[str, str]]:
    """Literal actions of a pattern for the services of a resource, each with how it is told."""
    literal = action_of(written)
    if literal is None:
        return
    prefix, _, name = literal.partition(":")
    if services is None or prefix in services:
        yield literal, written
    elif UNMENTIONED in prefix:  # `*`, or a wildcard in the prefix
        yield from ((f"{service}:{name}", written) for service in sorted(services))


def grants_of(engine: CompiledEngine, principal: str | Session, context: Context | None) -> list[Grant]:
    """What a principal can in effect, over all resources."""
    snapshot = engine._snapshot_or_fail()
    profile = snapshot.principal(check_principal_type(principal))
    effective = EffectivePermissions(snapshot, profile, engine._options["settings"], *engine._given(check_context(context)))
    return list(effective.grants())
