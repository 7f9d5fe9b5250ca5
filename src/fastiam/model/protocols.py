"""Protocols of engines: the calls that analyses, STS and servers make."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Literal, Protocol

from fastiam.model.decision import Decision
from fastiam.model.request import Context
from fastiam.model.session import Session

if TYPE_CHECKING:  # the only name from above: the type of a result
    from fastiam.engine.decisions import Decisions


class DecisionEngine(Protocol):
    """An engine that decides single requests and columns of requests. `Engine` and `LiveEngine` are such engines."""

    def decide(
        self,
        principal: str | Session,
        action: str,
        resource: str,
        context: Context | None = None,
        *,
        unknown: Collection[str] = (),
        resource_account: str | None = None,
        now: datetime | None = None,
    ) -> Decision:
        """Decide one request."""

    def decide_many(
        self,
        principals: object,
        actions: object,
        resources: object,
        context: Mapping[str, object] | None = None,
        *,
        unknown: Collection[str] = (),
        resource_accounts: object = None,
        sessions: Mapping[str, Session] | None = None,
        now: datetime | None = None,
        reasons: bool = False,
        on_error: Literal["raise", "deny"] = "raise",
        threads: int = 1,
    ) -> Decisions:
        """Decide one request per row."""
