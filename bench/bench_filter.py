"""Rows that a principal may act on, in three ways: decide all rows, prefilter and then decide, and the exact filter.

Each way returns the allowed rows of one table of a million requests on the objects of all buckets of `layered(2000)`, with five
context keys, some of them null. The answers of all ways are compared before anything is measured. Processor time, all threads.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import duckdb
import numpy as np
import polars as pl
from measure import REPEATS, Record, Timing
from workloads import Columns, Workload, layered

import fastiam

N = 2_000
LIMIT = 0.6
PRINCIPALS = 4  # whose filters are measured: those with some allowed rows


def table_of(columns: Columns) -> pl.DataFrame:
    """The rows: resources and context keys, a tenth of the values null."""
    rng = np.random.default_rng(7)
    frame = pl.DataFrame({"resource": columns.resources, **columns.context})
    nulls = [pl.when(pl.Series(rng.random(frame.height) > 0.1)).then(pl.col(key)).alias(key) for key in columns.context]
    return frame.with_columns(nulls)


def filters(engine: fastiam.Engine, work: Workload, columns: Columns, table: pl.DataFrame) -> list[fastiam.Filter]:
    """Filters that are conditional and exact, of the first principals of the workload that have some allowed rows."""
    found: list[fastiam.Filter] = []
    pairs = dict.fromkeys(zip(columns.principals.to_pylist()[:2_000], columns.actions.to_pylist()[:2_000], strict=True))
    for principal, action in pairs:
        asked = engine.filter(work.sessions.get(principal, principal), action, columns={key: key for key in columns.context})
        if asked.kind == "conditional" and asked.exact and asked.apply(table.head(20_000)).height:
            found.append(asked)
        if len(found) == PRINCIPALS:
            break
    return found


def ways(asked: fastiam.Filter, table: pl.DataFrame, con: Any) -> dict[str, Callable[[], Any]]:
    """How the allowed rows are found: each returns their number."""
    expression, sql, before = asked.polars(), asked.sql("duckdb"), asked.prefilter.sql("duckdb")
    return {
        "decide all rows, Polars": lambda: asked.apply(table, on_error="raise").height,
        "prefilter and decide, Polars": lambda: asked.apply(table).height,
        "exact filter, Polars": lambda: table.filter(expression).height,
        "prefilter alone, DuckDB": lambda: con.execute(f"select count(*) from requests where {before}").fetchall()[0][0],
        "prefilter and decide, DuckDB": lambda: asked.apply(con.table("requests"), connection=con).count("*").fetchall()[0][0],
        "exact filter, DuckDB": lambda: con.execute(f"select count(*) from requests where {sql}").fetchall()[0][0],
    }


def processor_time(job: Callable[[], Any]) -> int:
    """Nanoseconds of all threads."""
    began = time.process_time_ns()
    job()
    return time.process_time_ns() - began


def main() -> None:
    """Checks the answers, measures, and writes the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=REPEATS)
    options = parser.parse_args()
    record = Record("filter")
    work = layered(N, rows=options.rows)
    engine, columns = work.directory.compile(), work.columns("strings")
    table = table_of(columns)
    con = duckdb.connect()
    con.execute("set threads = 1")
    con.register("source", table)
    con.execute("create table requests as from source")
    times: dict[str, list[list[float]]] = {}
    for asked in filters(engine, work, columns, table):
        jobs = ways(asked, table, con)
        expected = jobs["decide all rows, Polars"]()
        for name, job in jobs.items():
            assert job() == expected or name == "prefilter alone, DuckDB", name
        for repeat in range(options.repeats):
            for name, job in jobs.items():
                rounds = times.setdefault(name, [[] for _ in range(options.repeats)])
                rounds[repeat].append(processor_time(job) / options.rows)
    for name, rounds in times.items():
        record.add(work.name, "fastiam", name, Timing.of([float(np.mean(one)) for one in rounds]))
    ratios = [
        float(np.mean(prefiltered)) / float(np.mean(decided))
        for prefiltered, decided in zip(times["prefilter and decide, Polars"], times["decide all rows, Polars"], strict=True)
    ]
    record.ratio("prefilter and decide to decide all rows", Timing.of(ratios).median, LIMIT)
    record.write()


if __name__ == "__main__":
    main()
