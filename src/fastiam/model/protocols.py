"""Protocols of engines: the calls that analyses, STS and servers make."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from fastiam.model.decision import Decision
from fastiam.model.explanation import Explanation
from fastiam.model.profile import EndpointProfile, PrincipalProfile, ResourceProfile, Settings
from fastiam.model.request import Context, ContextValue, Request
from fastiam.model.session import Session

if TYPE_CHECKING:  # the only names from above: types of results
    from fastiam.engine.decisions import Decisions
    from fastiam.resolve.snapshot import Snapshot, UnknownOwner


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


class SnapshotEngine(DecisionEngine, Protocol):
    """An engine with the snapshot that it decides over. STS decides some calls over changed profiles of it."""

    @property
    def snapshot(self) -> Snapshot:
        """The directory that the engine was compiled from."""

    @property
    def settings(self) -> Settings:
        """The parameters that the specification leaves open."""

    @property
    def context_defaults(self) -> Mapping[str, ContextValue]:
        """The values of keys that a request does not give, by folded key."""

    def read_request(
        self, action: str, context: Context | None, *, unknown: Collection[str] = (), now: datetime | None = None
    ) -> Request:
        """Return a request with the `context_defaults` of the engine."""


@runtime_checkable
class AnalysisEngine(SnapshotEngine, Protocol):
    """An engine that explains its decisions. `Engine` is such an engine, and its analyses call nothing else of it."""

    @property
    def unknown_owner(self) -> UnknownOwner:
        """How a resource with an unknown owner is decided (D23)."""

    def over(self, snapshot: Snapshot) -> AnalysisEngine:
        """Return an engine with the options of this one over another snapshot."""

    def profiles(
        self, principal: str | Session | PrincipalProfile, resource: str, request: Request, resource_account: str | None = None
    ) -> tuple[PrincipalProfile, ResourceProfile, EndpointProfile | None]:
        """Return the profiles that decide a request."""

    def explain(
        self,
        principal: str | Session,
        action: str,
        resource: str,
        context: Context | None = None,
        *,
        unknown: Collection[str] = (),
        resource_account: str | None = None,
        now: datetime | None = None,
    ) -> Explanation:
        """Explain the decision of one request."""

    def explain_request(
        self, principal: str | Session | PrincipalProfile, resource: str, request: Request, resource_account: str | None = None
    ) -> Explanation:
        """Explain the decision of a request that `read_request` has returned."""
