"""Relations of DuckDB. A relation is executed once; the result is a relation over the decided table in memory."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fastiam.engine.summary import Summary
from fastiam.errors import RequestValueError
from fastiam.frames import arrow_frames
from fastiam.frames.arguments import FrameArguments
from fastiam.frames.batch import enums

if TYPE_CHECKING:
    from fastiam.model.protocols import DecisionEngine


def decide(
    engine: DecisionEngine, relation: Any, arguments: FrameArguments, connection: Any
) -> tuple[Any, Callable[[], Summary]]:
    """A relation over the decided rows, on the connection of the relation (H7).

    The stream of the relation is read to its end before anything else is asked of the connection (H5). The result reads a
    `fastiam.Table`, which can be scanned any number of times (H6); nothing is stored in the database.
    """
    if not hasattr(relation, "__arrow_c_stream__"):
        hint = "pass a relation, such as `con.sql(...)`, or use `fastiam.duckdb.decide(con, query, engine)`"
        raise RequestValueError(f"`{type(relation).__name__}` is not a relation", column="frame", hint=hint)
    decided, summary = arrow_frames.decide(engine, relation, arguments)
    if connection is not None:
        return connection.from_arrow(decided).project(_columns(arguments)), summary
    # A relation has no public reference to its connection, but a query of it runs there, and finds variables of Python. The name
    # must not be that of a table: DuckDB would read the table.
    name = f"fastiam_{uuid.uuid4().hex}"
    globals()[name] = decided
    try:
        return relation.query(f"{name}_input", f"select {_columns(arguments)} from {name}"), summary
    except Exception as error:
        if name not in str(error):
            raise
        hint = "pass `connection=con`: the connection does not read Python variables"
        raise RequestValueError(
            "the result cannot be read on the connection of the relation", column="frame", hint=hint
        ) from error
    finally:
        del globals()[name]


def enum_type(values: Any) -> str:
    """The type of DuckDB for a fixed set of values."""
    return "ENUM(" + ", ".join(f"'{value}'" for value in values) + ")"


def _columns(arguments: FrameArguments) -> str:
    """All columns; the ones with a fixed set of values as enums, which Arrow has no type for."""
    casts = []
    for name, values in enums().items():
        if name in arguments.added:
            column = '"' + (arguments.prefix + name).replace('"', '""') + '"'
            casts.append(f"{column}::{enum_type(values)} as {column}")
    return f"* replace ({', '.join(casts)})" if casts else "*"
