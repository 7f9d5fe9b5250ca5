"""Relations of DuckDB. A relation is executed once; the result is a table on the same connection."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from fastiam.engine.decisions import Summary
from fastiam.errors import RequestValueError
from fastiam.frames import arrow_frames
from fastiam.frames.arguments import FrameArguments

if TYPE_CHECKING:
    from fastiam.model.protocols import DecisionEngine


def decide(engine: DecisionEngine, relation: Any, arguments: FrameArguments, connection: Any) -> tuple[Any, Summary]:
    """A relation over a temporary table with the decisions.

    The stream of the relation is read to its end before anything else is asked of the connection (H5). The result is a table,
    since a stream can be scanned once (H6), on the connection of the relation (H7).
    """
    if not hasattr(relation, "__arrow_c_stream__"):
        hint = "pass a relation, such as `con.sql(...)`, or use `fastiam.duckdb.decide(con, query, engine)`"
        raise RequestValueError(f"`{type(relation).__name__}` is not a relation", column="frame", hint=hint)
    decided, summary = arrow_frames.decide(engine, relation, arguments)
    name = f"fastiam_{uuid.uuid4().hex}"
    if connection is not None:
        connection.from_arrow(decided).create(name)
        return connection.table(name), summary
    # a relation has no public reference to its connection; a query of it runs there, and finds `decided` among these variables
    try:
        relation.query(f"{name}_input", f"create temporary table {name} as select * from decided")
    except Exception as error:
        if "decided" not in str(error):
            raise
        hint = "pass `connection=con`: the connection does not read Python variables"
        raise RequestValueError(
            "the result cannot be stored on the connection of the relation", column="frame", hint=hint
        ) from error
    return relation.query(f"{name}_input", f"from {name}"), summary
