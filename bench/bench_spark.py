"""Decisions in Spark and other engines of columns: wall time of the same rows of Parquet, beside the time without decisions.

Spark runs with two workers on this machine. `transport` is `mapInArrow` over the same columns with a function that returns its
batches. Every job ends in counts, so that no engine leaves out a column. An engine that is not installed is not measured.
"""

from __future__ import annotations

import argparse
import functools
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from measure import Record, Timing, measure_together
from workloads import identity

import fastiam

N = 2_000
ROWS = 3_000_000
GROUP = 100_000  # rows of a row group
REPEATS = 3
REQUEST = ("principal", "action", "resource")
NOW = datetime(2026, 11, 25, 9, tzinfo=UTC)

Jobs = dict[str, Callable[[], int]]


def one_process(shared: fastiam.SharedEngine, path: Path, keys: list[str]) -> Jobs:
    """This process alone, batch by batch, with one thread for decisions."""
    dataset = ds.dataset(path)

    def decide() -> int:
        reader = shared.decide_frame(dataset, now=NOW)
        return sum(pc.sum(batch["allowed"]).as_py() for batch in reader)

    return {"one process, reasons": decide, "one process, reading": lambda: sum(batch.num_rows for batch in dataset.to_batches())}


@contextmanager
def spark(shared: fastiam.SharedEngine, path: Path, keys: list[str]) -> Iterator[Jobs]:
    """`mapInArrow`, a column, SQL, and a predicate of Spark's own."""
    from pyspark.sql import SparkSession
    from pyspark.sql import functions as F

    from fastiam import spark as iam

    os.environ["PYSPARK_PYTHON"] = sys.executable
    settings = {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false", "spark.log.level": "OFF"}
    session = SparkSession.builder.master("local[2]").config(map=settings).getOrCreate()
    df = session.read.parquet(str(path))
    df.createOrReplaceTempView("requests")
    iam.register(session, shared, now=NOW)
    struct = "named_struct(" + ", ".join(f"'{key}', `{key}`" for key in keys) + ")"
    first = F.col("action").startswith("s3:") & F.col("resource").startswith("arn:aws:s3") & F.col("principal").contains("role/")

    def count(frame: Any, name: str = "allowed") -> int:
        # a hash of all columns: a sum of one would leave out the others
        hashed = frame.select(F.col(name).cast("long").alias("n"), F.xxhash64(*frame.columns).alias("h"))
        return int(hashed.agg(F.sum("n"), F.bit_xor("h")).first()[0])

    yield {
        "Spark, transport": lambda: count(df.mapInArrow(lambda batches: batches, df.schema).withColumn("allowed", F.lit(1))),
        "Spark, decide": lambda: count(iam.decide(df, shared, now=NOW)),
        "Spark, allowed": lambda: count(df.withColumn("allowed", iam.allowed(shared, context=keys, now=NOW))),
        "Spark, SQL": lambda: count(
            session.sql(f"select *, iam_allowed(principal, action, resource, {struct}) allowed from requests")
        ),
        "Spark, native predicate": lambda: count(df.withColumn("allowed", first)),
    }
    session.stop()


@contextmanager
def dask(shared: fastiam.SharedEngine, path: Path, keys: list[str]) -> Iterator[Jobs]:
    """Partitions of pandas in two worker processes."""
    import dask.dataframe as dd
    from dask.distributed import Client, LocalCluster

    frame = dd.read_parquet(path, split_row_groups=True)
    decide = functools.partial(shared.decide_frame, now=NOW)
    decided = frame.map_partitions(decide, meta=decide(frame._meta))
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster):
        yield {
            "Dask, decide": lambda: int(decided["allowed"].sum().compute()),
            "Dask, reading": lambda: int(frame.map_partitions(len).sum().compute()),
        }


@contextmanager
def ray(shared: fastiam.SharedEngine, path: Path, keys: list[str]) -> Iterator[Jobs]:
    """Batches of Arrow in two tasks."""
    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
    decide = functools.partial(shared.decide_frame, now=NOW, keep=False, add=["allowed"])
    options = {"batch_format": "pyarrow", "batch_size": 65_536, "zero_copy_batch": True}
    yield {"Ray, decide": lambda: int(ray.data.read_parquet(str(path)).map_batches(decide, **options).sum("allowed"))}
    ray.shutdown()


@contextmanager
def datafusion(shared: fastiam.SharedEngine, path: Path, keys: list[str]) -> Iterator[Jobs]:
    """A function of SQL in this process."""
    import datafusion

    def allowed(principal: Any, action: Any, resource: Any, *values: Any) -> pa.Array:
        context = dict(zip(keys, values, strict=True))
        decided = shared.engine.decide_many(principal, action, resource, context, now=NOW, on_error="deny")
        return pa.array(decided.allowed)

    session = datafusion.SessionContext()
    types = [pa.string_view()] * (3 + len(keys))
    session.register_udf(datafusion.udf(allowed, types, pa.bool_(), "stable", name="iam_allowed"))
    session.register_parquet("requests", str(path))
    columns = ", ".join(f'"{name}"' for name in (*REQUEST, *keys))
    query = f"select count(*) n from requests where iam_allowed({columns})"
    yield {"DataFusion, allowed": lambda: int(session.sql(query).to_pydict()["n"][0])}


@contextmanager
def daft(shared: fastiam.SharedEngine, path: Path, keys: list[str]) -> Iterator[Jobs]:
    """A function of batches in this process."""
    import daft

    @daft.func.batch(return_dtype=daft.DataType.bool())  # type: ignore[untyped-decorator, unused-ignore]
    def allowed(principal: Any, action: Any, resource: Any, *values: Any) -> Any:
        context = {key: value.to_arrow() for key, value in zip(keys, values, strict=True)}
        columns = (principal.to_arrow(), action.to_arrow(), resource.to_arrow())
        return shared.engine.decide_many(*columns, context, now=NOW, on_error="deny").allowed

    def count() -> int:
        frame = daft.read_parquet(str(path))
        return int(frame.where(allowed(*(frame[name] for name in (*REQUEST, *keys)))).count_rows())

    yield {"Daft, allowed": count}


ENGINES = {"pyspark": spark, "dask": dask, "ray": ray, "datafusion": datafusion, "daft": daft}


def main() -> None:
    """Checks the answers, measures, and writes the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "engines", nargs="*", choices=[*ENGINES, []], help="the packages to measure, by default all that are installed"
    )
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--repeats", type=int, default=REPEATS)
    options = parser.parse_args()
    work = identity(N, rows=options.rows)
    table = work.table()
    keys = [name for name in table.column_names if ":" in name]
    record = Record("spark")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        path, file = Path(folder) / "requests.parquet", Path(folder) / "policies.engine"
        pq.write_table(table, path, row_group_size=GROUP)
        work.directory.compile().save(file)
        shared = fastiam.SharedEngine(file, cache_bytes=1 << 30)
        jobs = one_process(shared, path, keys)
        for package in options.engines or ENGINES:
            if find_spec(package) is None or (package == "pyspark" and not shutil.which("java")):
                print(f"{package} is not measured: it is not installed, or has no Java")
                continue
            jobs |= stack.enter_context(ENGINES[package](shared, path, keys))
        expected = jobs["one process, reasons"]()
        for name, job in jobs.items():
            if "decide" in name or "allowed" in name or "SQL" in name:
                assert job() == expected, name
        times = measure_together(jobs, options.rows, repeats=options.repeats)
    for name, timing in times.items():
        record.add(work.name, name.split(",")[0], name, timing)
    if "Spark, decide" in times:
        pairs = zip(times["Spark, decide"].samples, times["Spark, transport"].samples, strict=True)
        record.ratio("Spark, decide to transport", Timing.of([decided / moved for decided, moved in pairs]).median, 1.6)
    record.write()


if __name__ == "__main__":
    main()
