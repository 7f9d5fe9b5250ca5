"""A function over arrays of pyarrow, one for each argument of the caller: what SQL engines call with a batch of rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fastiam.errors import RequestValueError
from fastiam.frames.arguments import FrameArguments
from fastiam.frames.batch import decide_batch, pinned, results
from fastiam.frames.pyarrow_frames import array_of

if TYPE_CHECKING:
    from fastiam.model.protocols import DecisionEngine


class ArrowFunction:
    """Decides a batch. It pickles if its engine does.

    Parameters
    ----------
    engine
        an engine, or what has one as its attribute `engine`, which is read for each batch.
    arguments
        of each call, over columns with these names.
    names
        of the arguments that the caller passes, in order.
    takes_keys
        one more argument may follow, a struct or a map from condition keys to values.
    columns
        of the result: one gives an array, several give a struct.
    """

    def __init__(
        self, engine: Any, arguments: FrameArguments, names: Sequence[str], *, takes_keys: bool, columns: Sequence[str]
    ) -> None:
        self._engine, self._names, self._takes_keys, self._columns = engine, tuple(names), takes_keys, tuple(columns)
        self._arguments = dataclasses.replace(arguments, add=self._columns, keep=False)

    def __call__(self, *given: Any) -> Any:
        """The decisions of the rows of arrays, which are never null."""
        import pyarrow as pa

        expected, names, arguments = len(self._names), list(self._names), self._arguments
        if not expected <= len(given) <= expected + self._takes_keys:
            raise RequestValueError(f"{len(given)} arguments where {expected} are needed", column="arguments")
        if len(given) > expected and not pa.types.is_null(given[expected].type):
            names.append("keys")
            arguments = dataclasses.replace(arguments, context="keys")
        columns = dict(zip(names, map(_without_nulls, given), strict=False))
        engine: DecisionEngine = pinned(self._engine)
        decisions = decide_batch(engine, arguments, arguments.read(names), columns.__getitem__, len(given[0]))
        arrays = [array_of(column) for name, column in results(decisions, arguments).items() if name in self._columns]
        return arrays[0] if len(arrays) == 1 else pa.StructArray.from_arrays(arrays, names=list(self._columns))


def _without_nulls(column: Any) -> Any:
    """The type null as text: `decide_many` names the row of a null then, and does not refuse the type."""
    import pyarrow as pa

    return column.cast(pa.string()) if pa.types.is_null(column.type) else column
