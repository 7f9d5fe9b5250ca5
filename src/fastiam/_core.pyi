from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Self

from typing_extensions import disjoint_base

from fastiam.kernel.plan.names import Names
from fastiam.model.decision import Decision
from fastiam.model.request import Context, ContextValue
from fastiam.model.session import Session

# a request of a list: principal, action, resource, and the context if there is one
_Asked = tuple[str | Session, str, str] | tuple[str | Session, str, str, Context | None]

@disjoint_base
class Core:
    names: Names
    is_ad_hoc: bool

    def __new__(cls, names: Names) -> Self: ...
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
    def _set_defaults(self, defaults: dict[str, ContextValue]) -> None: ...
    def _bind_profiles(
        self,
        record: int,
        *,
        owner: int | None,
        assumed_owner: bool,
        owner_override: bool,
        unknown_owner: bool,
        rcp_set: int,
        partition: int,
        endpoint: int | None,
    ) -> None: ...
