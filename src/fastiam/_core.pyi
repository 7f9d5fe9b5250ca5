from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Required, Self, TypedDict

import numpy as np
import numpy.typing as npt
from typing_extensions import disjoint_base

from fastiam.engine.resolving import Resolver
from fastiam.kernel.columns.read import TextColumn
from fastiam.kernel.plan.names import Names
from fastiam.model.decision import Decision, StatementRef
from fastiam.model.profile import FEDERATION as FEDERATION  # the check of stubs compares constants
from fastiam.model.profile import ResourceProfile
from fastiam.model.request import Context, Request
from fastiam.model.session import Session

# a request of a list: principal, action, resource, and the context if there is one
_Asked = tuple[str | Session, str, str] | tuple[str | Session, str, str, Context | None]

__pyx_capi__: dict[str, object]  # what other modules call

@disjoint_base
class _CoreState:  # the fields, in memory
    names: Names
    resolver: Resolver

class Core(_CoreState):
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

class _Answers(TypedDict, total=False):
    """The columns of a batch, shape (n,); those of reasons only with `reasons`, `depends_on` only with unknown keys."""

    outcome: Required[npt.NDArray[np.uint8]]
    assumed_owner: Required[npt.NDArray[np.bool_]]
    missing_keys: Required[dict[str, int]]
    layer: npt.NDArray[np.uint8]
    statement: npt.NDArray[np.int32]
    statements: Sequence[StatementRef]
    reason: npt.NDArray[np.uint8]
    depends_on: npt.NDArray[np.int32]
    depends_on_sets: list[tuple[str, ...]]

def decide_columns(
    core: Core,
    principals: TextColumn,
    actions: TextColumn,
    resources: TextColumn,
    context: dict[str, TextColumn],
    owners: TextColumn | None,
    sessions: dict[str, Session],
    unknown: frozenset[str],
    n: int,
    now: int,
    reasons: bool,
    errors: dict[int, Exception] | None,
    pool: ThreadPoolExecutor | None,
    threads: int,
) -> _Answers: ...
