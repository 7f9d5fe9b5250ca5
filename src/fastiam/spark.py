"""Decisions in Spark: as columns of a frame, as a column of bools, or as a function of SQL.

    from fastiam import spark as iam

    iam.decide(df, engine)                                   the frame with the decisions as columns
    df.where(iam.allowed(engine, context=["aws:SourceIp"]))  the rows that are allowed
    iam.register(spark, engine)                              iam_allowed(principal, action, resource, map('aws:SourceIp', ip))
    iam.summary(df, engine)                                  counts of each partition

`decide` is the fastest way, and gives reasons. Each worker loads the engine once (`fastiam.SharedEngine`). The Python of the
workers needs the same release of fastiam, and pyarrow.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal

from fastiam.engine.summary import Summary
from fastiam.errors import FastiamError, RequestValueError
from fastiam.frames.arguments import REQUEST, FrameArguments, Lit
from fastiam.frames.expressions import read_expressions
from fastiam.frames.pyarrow_frames import decide_table
from fastiam.frames.pyarrow_function import ArrowFunction
from fastiam.model.arguments import check_choice
from fastiam.model.session import Session
from fastiam.runtime.private_files import private_file
from fastiam.shared_engine import SharedEngine

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import Column, DataFrame, SparkSession
    from pyspark.sql.types import StructType

Ship = Literal["pickle", "path", "artifact"]
MAX_PICKLE: Final = 64 << 20  # a message of Spark Connect has at most 128 MiB, and the plan is sent with each action
_BOOLS: Final = ("allowed", "assumed_owner")
_NEVER_NULL: Final = (*_BOOLS, "outcome")
_HINT: Final = "the Python of the workers (`PYSPARK_PYTHON`) needs the same release of fastiam, and pyarrow"
_ERROR: Final = re.compile(r"^[\w.]*(?:Error|Exception): ", re.M)  # the last line of a traceback


def decide(df: DataFrame, engine: Any, *, ship: Ship = "pickle", check: bool = False, **arguments: Any) -> DataFrame:
    """Decide one request per row, and return the frame with the decisions as columns. Nothing is run, except by `check`.

    Parameters
    ----------
    engine
        an `Engine`, a `SharedEngine`, the path of an engine file, or a `LiveEngine`, whose engine of the moment decides all rows.
    ship
        how workers get the engine. "pickle": with the function, up to 64 MiB. "path": all workers can read the file at the path
        of the `SharedEngine`. "artifact": Spark copies the file to each worker.
    check
        first run one row on each core, so that a worker that cannot decide is an error here.
    arguments
        as in `Engine.decide_frame`. `now` is read here, so that a task that is repeated gives the same decisions.

    Returns
    -------
    DataFrame
        its columns as in `Engine.decide_frame`, enums as text.

    Raises
    ------
    RequestValueError
        an argument cannot be read, a column is missing or exists already, the engine is too large for its way to the workers, or
        the frame is a stream, in which `now` could not advance. By default a row that cannot be decided ends the job; its number
        counts from the start of the partition.
    FastiamError
        `check` found a worker that cannot decide.
    """
    from pyspark.sql.functions import col

    _refuse_stream(df)
    given = FrameArguments(**arguments)
    pinned = dataclasses.replace(given, now=given.now or datetime.now(UTC))
    selection = pinned.read(df.columns)
    shared = _shipped(df.sparkSession, engine, ship)
    if check:
        _check(df.sparkSession, shared)
    schema, needed = _schema(df, pinned, selection.kept_at), {*selection.kept, *selection.columns}
    if not needed.issuperset(df.columns):
        df = df.select([col(_quoted(name)) for name in df.columns if name in needed])
    return df.mapInArrow(_DecideBatches(shared, pinned), schema)


def allowed(
    engine: Any,
    principal: str | Column | Lit | Session = "principal",
    action: str | Column | Lit = "action",
    resource: str | Column | Lit = "resource",
    *,
    context: Mapping[str, Any] | Collection[str] = (),
    resource_account: str | Column | Lit | None = None,
    on_error: Literal["raise", "deny"] = "deny",
    ship: Ship = "pickle",
    **arguments: Any,
) -> Column:
    """Whether the request of each row is allowed, as a column of bools that is never null.

    Parameters
    ----------
    principal, action, resource, resource_account
        the name of a column, a `Column`, or `fastiam.lit(text)`.
    context
        names of columns that are condition keys, or a mapping from keys to names, columns or constants.
    on_error
        "deny" (the default) gives a row that cannot be decided `false`: Spark may also evaluate rows that the rest of the query
        excludes. "raise" ends the job.
    engine, ship
        as in `decide`.
    arguments
        `sessions`, `unknown`, `now`, `threads` as in `Engine.decide_frame`. Without `now` a worker reads the clock for each
        batch, since a column may be kept for long.

    Raises
    ------
    RequestValueError
        as `decide`.
    """
    from pyspark.sql import Column, SparkSession
    from pyspark.sql.functions import col, lit

    checked, fields = read_expressions(
        Column,
        lambda name: col(_quoted(name)),
        principal=principal,
        action=action,
        resource=resource,
        context=context,
        resource_account=resource_account,
        on_error=on_error,
        **arguments,
    )
    fields = fields or {"row": lit(0)}  # constants alone still are one request for each row
    shared = _shipped(SparkSession.active(), engine, ship)
    return _udf(ArrowFunction(shared, checked, tuple(fields), takes_keys=False, columns=("allowed",)))(*fields.values())


def register(
    spark: SparkSession,
    engine: Any,
    name: str = "iam_allowed",
    *,
    on_error: Literal["raise", "deny"] = "deny",
    ship: Ship = "pickle",
    check: bool = True,
    **arguments: Any,
) -> None:
    """Register a function of SQL: `iam_allowed(principal, action, resource [, keys])` gives a bool, never NULL.

    `keys` is `named_struct('aws:SourceIp', ip)`, or a map from condition keys to texts or arrays of texts.

    Parameters
    ----------
    check
        first run one row on each core, so that a worker that cannot decide is an error here.
    engine, on_error, ship, arguments
        as in `allowed`.

    Raises
    ------
    RequestValueError, FastiamError
        as `decide`.
    """
    checked = FrameArguments(context=(), on_error=on_error, **arguments)
    shared = _shipped(spark, engine, ship)
    if check:
        _check(spark, shared)
    spark.udf.register(name, _udf(ArrowFunction(shared, checked, REQUEST, takes_keys=True, columns=("allowed",))))


def summary(df: DataFrame, engine: Any, *, ship: Ship = "pickle", **arguments: Any) -> DataFrame:
    """The counts of each partition of requests. Nothing is run.

    They are computed from the rows, so a task that is repeated counts no row twice.
    `iam.summary(df, engine).groupBy("count", "name").sum("rows")` has the counts of the whole frame.

    Parameters
    ----------
    engine, ship
        as in `decide`.
    arguments
        as in `Engine.decide_frame`, without `add`, `prefix` and `keep`.

    Returns
    -------
    DataFrame
        `partition`, `count`, `name`, `rows`. `count` is `rows`, `outcome`, `layer`, `deny` (its statement), `depends_on`,
        `missing_key`, `unreadable` (a key), `assumed_owner`, `unknown_principal` or `error` (the first messages), and `name`
        what is counted, or null.

    Raises
    ------
    RequestValueError
        as `decide`.
    """
    _refuse_stream(df)
    given = FrameArguments(**arguments, add=("reason",), keep=False, with_summary=True)
    pinned = dataclasses.replace(given, now=given.now or datetime.now(UTC))
    pinned.read(df.columns)
    shared = _shipped(df.sparkSession, engine, ship)
    return df.mapInArrow(_SummarizeBatches(shared, pinned), "partition int, count string, name string, rows long")


# -- what runs in a worker --------------------------------------------------------------------------------------------------


class _DecideBatches:
    """Decides the record batches of a partition."""

    def __init__(self, engine: Any, arguments: FrameArguments) -> None:
        self._engine, self._arguments = engine, arguments

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        for decided, _ in self.decided(batches):
            # Spark reads no dictionaries
            plain = [c.dictionary_decode() if pa.types.is_dictionary(c.type) else c for c in decided.columns]
            yield pa.RecordBatch.from_arrays(plain, names=decided.schema.names)

    def decided(self, batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[pa.RecordBatch, Callable[[], Summary]]]:
        engine, row = self._engine.engine, 0
        for batch in batches:
            yield decide_table(engine, batch, self._arguments, row)
            row += batch.num_rows


class _SummarizeBatches(_DecideBatches):
    """Counts the decisions of a partition."""

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa
        from pyspark import TaskContext

        total = sum((counts() for _, counts in self.decided(batches)), Summary())
        task = TaskContext.get()
        partition = 0 if task is None else task.partitionId()
        found = list(_counts(total))
        columns = [pa.array([partition] * len(found), pa.int32())]
        columns += [pa.array(list(values), pa.string()) for values in zip(*(row[:2] for row in found), strict=True)]
        columns.append(pa.array([row[2] for row in found], pa.int64()))
        yield pa.RecordBatch.from_arrays(columns, names=["partition", "count", "name", "rows"])


def _counts(total: Summary) -> Iterator[tuple[str, str | None, int]]:
    yield "rows", None, total.rows
    for outcome, n in total.outcomes.items():
        yield "outcome", outcome.name, n
    for layer, n in total.layers.items():
        yield "layer", str(layer), n
    for ref, n in total.denies.items():
        yield "deny", f"{ref.policy} {ref.label} ({ref.layer})", n
    for count, counts in (("depends_on", total.depends_on), ("missing_key", total.missing_keys)):
        for name, n in counts.items():
            yield count, name, n
    for one in total.unreadable:
        yield "unreadable", one.key, one.rows
    yield "assumed_owner", None, total.assumed_owner
    yield "unknown_principal", None, total.unknown_principal
    for message in total.first_errors:
        yield "error", message, 1


class _Artifact:
    """An engine whose file Spark has copied to each worker."""

    def __init__(self, shared: SharedEngine) -> None:
        self._shared = shared  # its path is the name of the artifact

    @property
    def engine(self) -> Any:
        from pyspark import SparkFiles

        return self._shared.with_path(SparkFiles.get(str(self._shared.path))).engine


class _Probe:
    """Loads the engine and decides a request, once in each partition."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for _ in batches:
            self._engine.engine.is_allowed("*", "s3:GetObject", "arn:aws:s3:::probe")
        return iter(())


# -- on the driver ----------------------------------------------------------------------------------------------------------


def _shipped(spark: SparkSession, engine: Any, ship: Ship) -> Any:
    """What workers get, with an attribute `engine`: the engine of the moment."""
    check_choice(ship, "ship", "way", "pickle", "path", "artifact")
    shared = engine if isinstance(engine, SharedEngine) else SharedEngine(engine)
    if ship == "path":
        if shared.path is None:
            hint = "save it where all workers can read it, and pass the path"
            raise RequestValueError("the engine has no path", column="ship", hint=hint)
        return shared.with_path(shared.path)
    if ship == "pickle":
        size = len(shared.content)
        if size > MAX_PICKLE:
            hint = '`ship="path"` for a file that all workers can read, or `ship="artifact"`'
            raise RequestValueError(f"the engine has {size:,} bytes, more than {MAX_PICKLE:,}", column="ship", hint=hint)
        return shared.with_path(None)
    pinned = shared.with_path(None)
    with private_file(pinned.digest, lambda: pinned.content) as (_, path):
        spark.addArtifacts(path, file=True)
        return _Artifact(pinned.with_path(os.path.basename(path)))


def _check(spark: SparkSession, shared: Any) -> None:
    """Load the engine in one task for each core.

    Raises
    ------
    FastiamError
        it cannot be loaded; the message has the one of the worker.
    """
    try:
        spark.range(0, 10_000).mapInArrow(_Probe(shared), "id long").collect()
    except Exception as error:  # also of Java, where Python cannot be started
        text = str(error)
        found = list(_ERROR.finditer(text))
        raise FastiamError(f"a worker cannot decide: {text[found[-1].start() :] if found else text}\nhelp: {_HINT}") from error


def _udf(function: ArrowFunction) -> Any:
    from pyspark.sql.functions import arrow_udf

    return arrow_udf(lambda *given: function(*given), "boolean")  # a function without annotations, which Spark would read


def _schema(df: DataFrame, arguments: FrameArguments, kept_at: Collection[int]) -> StructType:
    from pyspark.sql.types import BooleanType, StringType, StructField, StructType

    kept = [df.schema.fields[at] for at in kept_at]
    twice = next((field.name for field in kept if sum(field.name == other.name for other in kept) > 1), None)
    if twice is not None:
        raise RequestValueError(f"the frame has two columns `{twice}`", column=twice, hint="rename or drop one of them")
    added = [
        StructField(arguments.prefix + name, BooleanType() if name in _BOOLS else StringType(), name not in _NEVER_NULL)
        for name in arguments.added
    ]
    return StructType([*kept, *added])


def _refuse_stream(df: DataFrame) -> None:
    if df.isStreaming:
        hint = "decide each micro-batch: `stream.writeStream.foreachBatch(lambda df, _: fastiam.spark.decide(df, engine)...)`"
        raise RequestValueError("the frame is a stream, and its clock would stay the one of now", column="df", hint=hint)


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
