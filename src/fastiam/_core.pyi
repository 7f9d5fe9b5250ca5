from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Required, TypedDict

import numpy as np
import numpy.typing as npt
from typing_extensions import disjoint_base

from fastiam._ingest import TextColumn
from fastiam._names import Names
from fastiam.model import Decision, StatementRef
from fastiam.request import Context, ContextValue
from fastiam.session import Session

class _Answers(TypedDict, total=False):
    """The columns of a batch, shape (n,); those of reasons only with `reasons`, `depends_on` only with unknown keys."""

    outcome: Required[npt.NDArray[np.uint8]]
    assumed_owner: Required[npt.NDArray[np.bool_]]
    unread: Required[dict[str, int]]
    layer: npt.NDArray[np.uint8]
    statement: npt.NDArray[np.int32]
    statements: list[StatementRef]
    reason: npt.NDArray[np.uint8]
    depends_on: npt.NDArray[np.int32]
    depends_on_sets: list[tuple[str, ...]]

@disjoint_base
class Core:
    names: Names
    is_loose: bool

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
    def _use(self, names: Names) -> None: ...
    def _set_defaults(self, defaults: dict[str, ContextValue]) -> None: ...
    def _loosen(
        self,
        record: int,
        *,
        owner: int | None,
        assumed_owner: bool,
        owner_override: bool,
        unknown_owner: bool,
        rcp_stack: int,
        partition: int,
        endpoint: int | None,
    ) -> None: ...
    def _decide_columns(
        self,
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
