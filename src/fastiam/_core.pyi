from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Self

from typing_extensions import disjoint_base

from fastiam.engine.resolving import Resolver
from fastiam.kernel.plan.names import Names
from fastiam.model.decision import Decision
from fastiam.model.profile import ResourceProfile
from fastiam.model.request import Context, Request
from fastiam.model.session import Session

# a request of a list: principal, action, resource, and the context if there is one
_Asked = tuple[str | Session, str, str] | tuple[str | Session, str, str, Context | None]

@disjoint_base
class Core:
    names: Names
    resolver: Resolver

    def __new__(cls, resolver: Resolver) -> Self: ...
    def is_allowed(
        self,
        principal: str | Session,
        action: str,
        resource: str,
        context: Context | None = None,
        *,
        unknown: Collection[str] = (),
        resource_account: str | None = None,
        now: datetime | None = None,
    ) -> bool: ...
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
    ) -> Decision: ...
    def are_allowed(
        self, requests: Iterable[_Asked], *, unknown: Collection[str] = (), now: datetime | None = None
    ) -> list[bool]: ...
    def decide_each(
        self, requests: Iterable[_Asked], *, unknown: Collection[str] = (), now: datetime | None = None
    ) -> list[Decision]: ...
    def _runtime_cache_bytes(self) -> int: ...

def decide_ad_hoc(
    core: Core,
    resource: ResourceProfile,
    request: Request,
    *,
    principal: int,
    record: int,
    owner: int | None,
    partition: int | None,
    rcp_set: int,
    endpoint: int | None,
) -> Decision: ...
