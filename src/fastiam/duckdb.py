"""Decisions in DuckDB: as a relation with the decisions added, or as functions of SQL.

    fastiam.duckdb.decide(con, "select * from requests", engine)
    fastiam.duckdb.register(con, engine)
    con.sql("select * from requests where iam_allowed(principal, action, resource, {'aws:SourceIp': ip})")

`decide` is the faster way, and gives reasons. The functions need pyarrow.
"""

from __future__ import annotations

from collections.abc import Collection
from importlib.util import find_spec
from typing import Any, Literal

from fastiam.errors import RequestValueError
from fastiam.frames.arguments import ADDED, REQUEST, FrameArguments
from fastiam.frames.batch import enums
from fastiam.frames.duckdb_frames import enum_type
from fastiam.frames.pyarrow_function import ArrowFunction


def decide(con: Any, query: str, engine: Any, **arguments: Any) -> Any:
    """Run a query once, decide its rows, and return a relation of the same connection with the decisions as columns.

    Parameters
    ----------
    con
        a `duckdb.DuckDBPyConnection`.
    query
        a `select` statement.
    engine
        an `Engine` or a `LiveEngine`.
    arguments
        as in `Engine.decide_frame`.

    Raises
    ------
    RequestValueError
        as `Engine.decide_frame`.
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
    con
        a `duckdb.DuckDBPyConnection`.
    engine
        an `Engine`, or a `LiveEngine`, whose current engine decides each batch of rows.
    name, decision
        the names of the functions; `decision=None` registers the first alone.
    keys
        condition keys that follow the resource as arguments of their own, in this order. Without it, one further argument may be
        a struct or a map from condition keys to values.
    on_error
        "deny" (the default) gives rows that cannot be decided `false` and `ERROR`; "raise" ends the query.
    arguments
        `unknown`, `sessions`, `now`, `threads` as in `Engine.decide_frame`.

    Raises
    ------
    RequestValueError
        pyarrow is missing, or an argument cannot be read.
    """
    if find_spec("pyarrow") is None:
        hint = "`pip install pyarrow`, or use `fastiam.duckdb.decide`, which does not need it"
        raise RequestValueError("functions of DuckDB need pyarrow", column="con", hint=hint)
    common = FrameArguments(context=() if keys is None else tuple(keys), on_error=on_error, **arguments)
    names, takes_keys = (*REQUEST, *(keys or ())), keys is None
    _create(con, name, "BOOLEAN", ArrowFunction(engine, common, names, takes_keys=takes_keys, columns=("allowed",)))
    if decision is not None:
        fields = {"allowed": "BOOLEAN"} | {name: enum_type(values) for name, values in enums().items()}
        types = ", ".join(f"{column} {fields.get(column, 'VARCHAR')}" for column in ADDED)
        _create(con, decision, f"STRUCT({types})", ArrowFunction(engine, common, names, takes_keys=takes_keys, columns=ADDED))


def _create(con: Any, name: str, type_: str, function: ArrowFunction) -> None:
    con.create_function(name, function.__call__, None, type_, type="arrow", null_handling="special", side_effects=False)
