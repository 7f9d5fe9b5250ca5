"""The request of `who_can` and of `what_can` with a resource: everything except the principal."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fastiam.engine.decisions import Decisions
from fastiam.errors import PolicyError, RequestValueError
from fastiam.kernel.columns.read import TextColumn, for_all_rows
from fastiam.model.decision import Decision
from fastiam.model.explanation import ResidualStatement
from fastiam.model.key_registry import fold
from fastiam.model.protocols import AnalysisEngine
from fastiam.model.request import (
    Context,
    Request,
    check_action,
    check_context,
    check_key,
    check_resource,
    epoch_seconds,
    is_declared,
    read_context,
    read_unknown,
)

ANY_ACTION = "sts:GetCallerIdentity"  # of a request whose action is not used
_CLOCK = ("aws:currenttime", "aws:epochtime")


@dataclass(frozen=True)
class WhoCanRequest:
    """An action on a resource with its context, to be decided by an engine for several principals."""

    engine: AnalysisEngine
    action: str
    resource: str
    context: Mapping[str, Any]
    unknown: frozenset[str]
    resource_account: str | None
    now: datetime

    @property
    def columns(self) -> dict[str, TextColumn]:
        """The context as columns of a batch."""
        return {
            name: for_all_rows(value, name)
            for name, value in zip(map(check_key, self.context), self.context.values(), strict=True)
        }

    def decide(self, principal: str) -> Decision | None:
        """Decide for one principal; None if the principal cannot make the request."""
        try:
            return self.engine.decide(
                principal, self.action, self.resource, self.context,
                unknown=self.unknown, resource_account=self.resource_account, now=self.now,
            )  # fmt: skip
        except (RequestValueError, PolicyError):
            return None

    def decide_many(self, principals: TextColumn) -> Decisions:
        """Decide for a column of principals; a principal that cannot make the request has the outcome ERROR."""
        return self.engine.decide_many(
            principals, self.action, self.resource, self.columns,
            unknown=self.unknown, resource_accounts=self.resource_account, now=self.now, reasons=True, on_error="deny",
        )  # fmt: skip

    def conditions(self, principal: Any, action: str | None = None) -> tuple[ResidualStatement, ...]:
        """Return the statements on which a decision DEPENDS."""
        request = self.as_request(action)
        return self.engine.explain_request(principal, self.resource, request, self.resource_account).residual_statements

    def as_request(self, action: str | None = None) -> Request:
        """Return the request in the form that the specification evaluator takes."""
        return self.engine.read_request(action or self.action, self.context, unknown=self.unknown, now=self.now)


def read_who_can_request(
    engine: AnalysisEngine,
    action: str,
    resource: str,
    context: Context | None,
    unknown: Collection[str],
    resource_account: str | None,
    now: datetime | None,
) -> WhoCanRequest:
    """Check the parts of a request. Defaults of the engine are context, except keys that `unknown` names (D71).

    Without `now` the clock keys are as unknown as other keys.
    """
    given: dict[str, Any] = dict(check_context(context))
    read_context(given)
    names = {fold(name) for name in given}
    declared = read_unknown(unknown, given)
    for name, value in engine.context_defaults.items():
        if name not in names and name not in declared:
            given[value.name] = value.values if value.multi else value.values[0]
            names.add(name)
    seconds = epoch_seconds(now)
    instant = datetime.fromtimestamp(seconds, UTC)
    if now is not None and names.isdisjoint(_CLOCK) and is_declared(declared, _CLOCK[0]):
        given["aws:CurrentTime"] = instant
    return WhoCanRequest(engine, check_action(action), check_resource(resource), given, declared, resource_account, instant)
