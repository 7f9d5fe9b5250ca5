"""Tables of Ibis. A table is executed once; the result is a table in memory, of the library that Ibis has as default."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fastiam.engine.summary import Summary
from fastiam.errors import RequestValueError
from fastiam.frames.arguments import FrameArguments
from fastiam.frames.pyarrow_frames import decide_table

if TYPE_CHECKING:
    from fastiam.model.protocols import DecisionEngine


def decide(engine: DecisionEngine, table: Any, arguments: FrameArguments) -> tuple[Any, Callable[[], Summary]]:
    """An `ibis.memtable` with the decisions of the rows."""
    import ibis  # type: ignore[import-untyped,unused-ignore]

    if not isinstance(table, ibis.Table):
        raise RequestValueError(f"`ibis.{type(table).__name__}` is not a table", column="frame", hint="pass a table")
    decided, summary = decide_table(engine, table.to_pyarrow(), arguments)
    return ibis.memtable(decided), summary
