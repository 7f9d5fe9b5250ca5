"""Frames of requests decided in one call: the same kind of frame comes back with the decisions as columns (docs/frames.md).

`decide_frame` finds the kind of a frame by the module of its type, so nothing is imported that the caller has not imported.
"""

from fastiam.frames.arguments import Lit, lit
from fastiam.frames.decide import decide_frame, decide_frame_with_summary
from fastiam.frames.table import Table

__all__ = ["Lit", "Table", "decide_frame", "decide_frame_with_summary", "lit"]
