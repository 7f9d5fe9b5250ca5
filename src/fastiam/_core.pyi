from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from typing_extensions import disjoint_base

from fastiam._ingest import TextColumn
from fastiam._names import Names
from fastiam.model import Decision, StatementRef
from fastiam.request import Context, ContextValue
from fastiam.session import Session

# outcome, layer, statement, statements, reason, assumed_owner, unread; columns have shape (n,), those of reasons are None
# without `reasons`
_Answers: TypeAlias = tuple[
    npt.NDArray[np.uint8],
    npt.NDArray[np.uint8] | None,
    npt.NDArray[np.int32] | None,
    list[StatementRef] | tuple[()],
    npt.NDArray[np.uint8] | None,
    npt.NDArray[np.bool_],
    dict[str, int],
]

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
        n: int,
        now: int,
        reasons: bool,
        errors: dict[int, Exception] | None,
        pool: ThreadPoolExecutor | None,
        threads: int,
    ) -> _Answers: ...
