"""Frames decided by `decide_frame`, beside `decide_many` with reasons over the same columns: processor time of a million rows.

Process time counts all threads of a library. The columns are plain text (`strings`), the keys five. DuckDB executes its query in
both jobs: `decide_many` gets the columns of one Arrow table.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
from measure import REPEATS, Record, Timing
from workloads import identity

import fastiam

N = 2_000
LIMIT = 1.5


def jobs(engine: fastiam.Engine, table: pa.Table) -> dict[str, tuple[Callable[[], Any], Callable[[], Any]]]:
    """For each library `decide_many` over its columns, and `decide_frame`."""
    keys = [name for name in table.column_names if ":" in name]

    def many(frame: Any) -> fastiam.Decisions:
        context = {key: frame[key] for key in keys}
        return engine.decide_many(frame["principal"], frame["action"], frame["resource"], context, reasons=True)

    con = duckdb.connect()
    con.execute("set threads = 1")
    con.register("source", table)
    con.execute("create table requests as from source")
    polars, pandas = pl.DataFrame(table), table.to_pandas()
    query = "from requests"
    return {
        "pyarrow": (lambda: many(table), lambda: engine.decide_frame(table)),
        "Polars": (lambda: many(polars), lambda: engine.decide_frame(polars)),
        "pandas": (lambda: many(pandas), lambda: engine.decide_frame(pandas)),
        "DuckDB": (lambda: many(con.sql(query).to_arrow_table()), lambda: engine.decide_frame(con.sql(query), connection=con)),
        "Arrow stream": (lambda: many(table), lambda: engine.decide_frame(_Stream(table))),
    }


class _Stream:
    """A table that has an Arrow stream and nothing else."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)


def allowed_of(frame: Any) -> np.ndarray[Any, Any]:
    """Which rows a decided frame allows."""
    if isinstance(frame, pd.DataFrame):
        return frame["allowed"].to_numpy()
    if isinstance(frame, pl.DataFrame):
        return frame["allowed"].to_numpy()
    table = frame.to_arrow_table() if hasattr(frame, "to_arrow_table") else pa.table(frame)
    return table["allowed"].to_numpy()


def processor_time(job: Callable[[], Any], rows: int) -> float:
    """Nanoseconds of all threads for one row."""
    began = time.process_time_ns()
    kept = job()
    taken = time.process_time_ns() - began
    del kept
    return taken / rows


def main() -> None:
    """Checks the answers, measures, and writes the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=REPEATS)
    options = parser.parse_args()
    record = Record("frames")
    work = identity(N, rows=options.rows)
    table = work.table()
    pairs = jobs(work.directory.compile(), table)
    expected = pairs["pyarrow"][0]().allowed
    for name, (plain, framed) in pairs.items():
        assert (plain().allowed == expected).all(), name
        assert (allowed_of(framed()) == expected).all(), name
    times: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in pairs}
    for _ in range(options.repeats):
        for name, pair in pairs.items():
            for found, job in zip(times[name], pair, strict=True):
                found.append(processor_time(job, options.rows))
    for name, (plain_times, framed_times) in times.items():
        record.add(work.name, "fastiam", f"decide_many, {name}", Timing.of(plain_times))
        record.add(work.name, "fastiam", f"decide_frame, {name}", Timing.of(framed_times))
    for name, (plain_times, framed_times) in times.items():
        ratios = [framed / plain for plain, framed in zip(plain_times, framed_times, strict=True)]
        record.ratio(f"decide_frame to decide_many, {name}", Timing.of(ratios).median, LIMIT)
    record.write()


if __name__ == "__main__":
    main()
