from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Required, TypedDict

import numpy as np
import numpy.typing as npt

from fastiam._core import Core
from fastiam.kernel.columns.read import TextColumn
from fastiam.model.decision import StatementRef
from fastiam.model.profile import FEDERATION as FEDERATION  # the check of stubs compares constants
from fastiam.model.session import Session

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
