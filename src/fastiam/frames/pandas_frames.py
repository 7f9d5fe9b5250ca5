"""Frames of pandas. Rows go by position; the result has the very index of the frame (H9)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fastiam.engine.summary import Summary
from fastiam.errors import RequestValueError
from fastiam.frames.arguments import FrameArguments
from fastiam.frames.batch import Bools, Result, decide_batch, pinned, results

if TYPE_CHECKING:
    from fastiam.model.protocols import DecisionEngine


def decide(engine: DecisionEngine, frame: Any, arguments: FrameArguments) -> tuple[Any, Callable[[], Summary]]:
    """A `DataFrame` with the decisions of its rows."""
    import pandas as pd  # type: ignore[import-untyped,unused-ignore]

    if not isinstance(frame, pd.DataFrame):
        raise RequestValueError(f"`pandas.{type(frame).__name__}` is not a frame", column="frame", hint="pass a `DataFrame`")
    names = [label for label in frame.columns if isinstance(label, str)]  # others are kept, and cannot be read (H11)
    selection = arguments.read(names)
    decisions = decide_batch(pinned(engine), arguments, selection, frame.__getitem__, len(frame))
    added = {name: _values(column) for name, column in results(decisions, arguments).items()}
    kept = frame if arguments.keep is True else frame[list(selection.kept)]
    for name in added:
        if name in kept.columns:
            raise RequestValueError(f"the frame has a column `{name}` already", column="add", hint='pass `prefix="iam_"`')
    return kept.assign(**added), selection.counted(decisions.summary)


def _values(column: Result) -> Any:
    import pandas as pd  # type: ignore[import-untyped,unused-ignore]

    if isinstance(column, Bools):
        return column.values
    codes = column.codes
    if codes.dtype == "uint8":  # 255: none
        codes = codes.astype("int16")
        codes[codes == 255] = -1
    values = pd.Categorical.from_codes(codes, categories=list(column.values), ordered=column.name in ("outcome", "layer"))
    return values.astype(object) if column.name == "error" else values
