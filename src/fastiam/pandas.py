"""`import fastiam.pandas` registers `.iam` on the frames of pandas.

df.iam.decide(engine)        the frame with the decisions as columns, as `engine.decide_frame(df)`
df.iam.allowed(engine)       a `Series` of bools with the index of the frame
df.iam.authorized(engine)    the rows that are allowed
"""

from __future__ import annotations

from typing import Any

import pandas as pd  # type: ignore[import-untyped,unused-ignore]


@pd.api.extensions.register_dataframe_accessor("iam")
class DataFrameAccessor:
    """`df.iam`."""

    def __init__(self, frame: Any) -> None:
        self._frame = frame

    def decide(self, engine: Any, **arguments: Any) -> Any:
        """The frame with the decisions as columns. Parameters and errors as in `Engine.decide_frame`."""
        return engine.decide_frame(self._frame, **arguments)

    def allowed(self, engine: Any, **arguments: Any) -> Any:
        """Whether each row is allowed: a `Series` of bools. Parameters as in `Engine.decide_frame`, without `add` and `keep`."""
        return engine.decide_frame(self._frame, **arguments, add=("allowed",), keep=False, prefix="")["allowed"]

    def authorized(self, engine: Any, **arguments: Any) -> Any:
        """The rows that are allowed, without additional columns. Parameters as in `allowed`."""
        return self._frame[self.allowed(engine, **arguments).to_numpy()]
