"""Decisions in DuckDB: as a relation with the decisions added, or as functions of SQL.

    fastiam.duckdb.decide(con, "select * from requests", engine)
    fastiam.duckdb.register(con, engine)
    con.sql("select * from requests where iam_allowed(principal, action, resource, {'aws:SourceIp': ip})")

`decide` is the faster way, and gives reasons. The functions need pyarrow.
"""

from __future__ import annotations

from collections.abc import Collection
from importlib.util import find_spec
from typing import Any, Final, Literal

from fastiam.errors import RequestValueError
from fastiam.frames.arguments import ADDED, FrameArguments
from fastiam.frames.batch import decide_batch, enums, pinned, results
from fastiam.frames.duckdb_frames import enum_type
from fastiam.frames.pyarrow_frames import array_of

_REQUEST: Final = ("principal", "action", "resource")


def decide(con: Any, query: str, engine: Any, **arguments: Any) -> Any:
    """Run a query once, decide its rows, and return a relation of the same connection with the decisions as columns.

    Parameters
    ----------
    con : a `duckdb.DuckDBPyConnection`.
    query : a `select` statement.
    engine : an `Engine` or a `LiveEngine`.
    arguments : as in `Engine.decide_frame`.

    Raises
    ------
    RequestValueError: as `Engine.decide_frame`.
    """
    return engine.decide_frame(con.sql(query), connection=con, **arguments)


def register(
    con: Any,
    engine: Any,
    *,
    name: str = "iam_allowed",
    decision: str | None = "iam_decision",
    keys: Collection[str] | None = None,
    on_error: Literal["raise", "deny"] = "deny",
    **arguments: Any,
) -> None:
    """Register two functions of SQL on a connection.

    `iam_allowed(principal, action, resource [, keys])` gives a bool, never NULL, and `iam_decision(...)` a struct of `outcome`,
    `allowed`, `layer`, `policy` and `sid`.

    Parameters
    ----------
    con : a `duckdb.DuckDBPyConnection`.
    engine : an `Engine`, or a `LiveEngine`, whose current engine decides each batch of rows.
    name, decision : the names of the functions; `decision=None` registers the first alone.
    keys : condition keys that follow the resource as arguments of their own, in this order. Without it, one further argument may
        be a struct or a map from condition keys to values.
    on_error : "deny" (the default) gives rows that cannot be decided `false` and `ERROR`; "raise" ends the query.
    arguments : `unknown`, `sessions`, `now`, `threads` as in `Engine.decide_frame`.

    Raises
    ------
    RequestValueError: pyarrow is missing, or an argument cannot be read.
    """
    if find_spec("pyarrow") is None:
        hint = "`pip install pyarrow`, or use `fastiam.duckdb.decide`, which does not need it"
        raise RequestValueError("functions of DuckDB need pyarrow", column="con", hint=hint)
    common = FrameArguments(keep=False, on_error=on_error, **arguments)
    _create(con, name, "BOOLEAN", _Function(engine, common, None if keys is None else tuple(keys), ("allowed",)))
    if decision is not None:
        columns = ADDED
        fields = {"allowed": "BOOLEAN"} | {name: enum_type(values) for name, values in enums().items()}
        types = ", ".join(f"{column} {fields.get(column, 'VARCHAR')}" for column in columns)
        _create(con, decision, f"STRUCT({types})", _Function(engine, common, None if keys is None else tuple(keys), columns))


def _create(con: Any, name: str, type_: str, function: _Function) -> None:
    con.create_function(name, function.__call__, None, type_, type="arrow", null_handling="special", side_effects=False)


class _Function:
    """What DuckDB calls with the arguments of a batch of rows."""

    def __init__(self, engine: Any, arguments: FrameArguments, keys: tuple[str, ...] | None, columns: tuple[str, ...]) -> None:
        self._engine, self._arguments, self._keys, self._columns = engine, arguments, keys, columns

    def __call__(self, *given: Any) -> Any:
        import dataclasses

        import pyarrow as pa

        expected = 3 if self._keys is None else 3 + len(self._keys)
        if not expected <= len(given) <= expected + (self._keys is None):
            raise RequestValueError(f"{len(given)} arguments where {expected} are needed", column="arguments")
        context: Any = {}
        names = list(_REQUEST)
        if self._keys is not None:
            names += self._keys
            context = self._keys
        elif len(given) > expected and not pa.types.is_null(given[3].type):
            names.append("keys")
            context = "keys"
        arguments = dataclasses.replace(self._arguments, context=context, add=self._columns)
        columns = dict(zip(names, map(_without_nulls, given), strict=False))
        rows = len(given[0])
        decisions = decide_batch(pinned(self._engine), arguments, arguments.read(names), columns.__getitem__, rows)
        arrays = [array_of(column) for name, column in results(decisions, arguments).items() if name in self._columns]
        return arrays[0] if len(arrays) == 1 else pa.StructArray.from_arrays(arrays, names=list(self._columns))


def _without_nulls(column: Any) -> Any:
    """The type null as text: `decide_many` names the row of a null then, and does not refuse the type."""
    import pyarrow as pa

    return column.cast(pa.string()) if pa.types.is_null(column.type) else column
