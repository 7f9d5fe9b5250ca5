"""Decisions in pandas: functions of frames, and the same as `.iam`, which `import fastiam.pandas` registers.

fastiam.pandas.decide(df, engine)        df.iam.decide(engine)        the frame with the decisions as columns
fastiam.pandas.allowed(df, engine)       df.iam.allowed(engine)       a `Series` of bools with the index of the frame
fastiam.pandas.authorized(df, engine)    df.iam.authorized(engine)    the rows that are allowed

Type checkers know the functions; they do not see names that are registered.
"""

from __future__ import annotations

from typing import Any, Unpack

import pandas as pd  # type: ignore[import-untyped,unused-ignore]

from fastiam.frames.arguments import FrameOptions


def decide(frame: pd.DataFrame, engine: Any, **options: Unpack[FrameOptions]) -> pd.DataFrame:
    """Return the frame with the decisions as columns.

    Parameters
    ----------
    frame
        one request per row.
    engine
        an `Engine`, a `LiveEngine` or a `SharedEngine`.
    options
        as in `Engine.decide_frame`, with its errors.
    """
    return engine.decide_frame(frame, **options)


def allowed(frame: pd.DataFrame, engine: Any, **options: Unpack[FrameOptions]) -> pd.Series:
    """Return whether each row is allowed: a `Series` of bools with the index of the frame.

    Parameters
    ----------
    frame, engine
        as in `decide`.
    options
        as in `decide`, without `add` and `keep`.
    """
    return engine.decide_frame(frame, **options, add=("allowed",), keep=False, prefix="")["allowed"]


def authorized(frame: pd.DataFrame, engine: Any, **options: Unpack[FrameOptions]) -> pd.DataFrame:
    """Return the rows that are allowed, without additional columns. Parameters as in `allowed`."""
    return frame[allowed(frame, engine, **options).to_numpy()]


@pd.api.extensions.register_dataframe_accessor("iam")
class DataFrameAccessor:
    """`df.iam`."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame

    def decide(self, engine: Any, **options: Unpack[FrameOptions]) -> pd.DataFrame:
        """As `fastiam.pandas.decide`."""
        return decide(self._frame, engine, **options)

    def allowed(self, engine: Any, **options: Unpack[FrameOptions]) -> pd.Series:
        """As `fastiam.pandas.allowed`."""
        return allowed(self._frame, engine, **options)

    def authorized(self, engine: Any, **options: Unpack[FrameOptions]) -> pd.DataFrame:
        """As `fastiam.pandas.authorized`."""
        return authorized(self._frame, engine, **options)
