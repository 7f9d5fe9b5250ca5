"""Names in files of requests that may be misspelt: their decisions are denials like any others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any

import numpy as np

from fastiam.engine.decisions import REASONS, Decisions
from fastiam.model.decision import Reason

_SHOWN = 5  # principals that are named
_ROWS = 1_000  # rows of a job whose actions are looked up; PERF: of all rows, that would take as long as the decisions
_ABSENT = REASONS.index(Reason.UNKNOWN_PRINCIPAL)


class NotedNames:
    """The first principals without a record, by name with the place of their first row, and actions of the first rows."""

    def __init__(self) -> None:
        self.principals: dict[str, str] = {}
        self.actions: dict[str, None] = {}
        self._n_read = 0  # rows whose actions are there

    def add(self, columns: Mapping[str, Any], decisions: Decisions, place: Callable[[int], str]) -> None:
        """Add the names of a batch; `place` gives the place of a row."""
        n = min(len(decisions), _ROWS - self._n_read)
        self._n_read += n
        self.actions |= dict.fromkeys(filter(None, _texts(columns["action"], range(n))))
        if len(self.principals) < _SHOWN:
            rows = np.flatnonzero(decisions.reason.codes == _ABSENT)[:_ROWS].tolist()
            for name, row in zip(_texts(columns["principal"], rows), rows, strict=True):
                if name is not None and len(self.principals) < _SHOWN:
                    self.principals.setdefault(name, place(row))


def _texts(column: Any, rows: Iterable[int]) -> Iterable[str | None]:
    """The texts of a column in some rows; None for other values."""
    values = (column[row] for row in islice(rows, _ROWS))
    texts = (value.as_py() if hasattr(value, "as_py") else value for value in values)
    return [text if isinstance(text, str) else None for text in texts]
