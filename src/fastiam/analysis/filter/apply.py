"""`Filter.apply`: the prefilter where the frame is, and the decisions of the rows that are left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from fastiam.analysis.filter.formula import Column, Text
from fastiam.errors import RequestValueError
from fastiam.frames.arguments import FrameArguments, Lit
from fastiam.frames.batch import decide_batch
from fastiam.frames.decide import decide_frame
from fastiam.model.request import canonical_text, epoch_seconds
from fastiam.model.session import Session

if TYPE_CHECKING:
    from fastiam.analysis.filter.row_filter import Filter, FilterArguments

_PREFIX, _RESOURCE = "fastiam_filter_", "fastiam_filter_resource"
_ALLOWED = f"{_PREFIX}allowed"
_HINT = "pass a frame of Polars, pandas, pyarrow or DuckDB, a list of mappings or a mapping of columns, or use `decide_frame`"


class Application:
    """One call of `apply`: the filter, how its rows are decided, and whether rows are dropped before."""

    def __init__(self, filter_: Filter, given: FilterArguments, on_error: Literal["raise", "deny"], threads: int) -> None:
        now = epoch_seconds(given.now)
        until = filter_.valid_until
        # "raise" must see each row, and the prefilter of another time can drop rows that are allowed now
        self.is_prefiltered = on_error == "deny" and (until is None or now < until.timestamp())
        self.filter = filter_
        template = given.resource
        self.template = None if len(template) == 1 and isinstance(template[0], Column) else template
        context = {**{key: _constant(value) for key, value in given.context.items()}, **given.columns}
        subject = given.principal
        self.arguments = FrameArguments(
            principal=subject if isinstance(subject, Session) else Lit(subject),
            action=Lit(given.action),
            resource=template[0].name if self.template is None and isinstance(template[0], Column) else _RESOURCE,
            context=context,
            resource_account=given.resource_account,
            now=datetime.fromtimestamp(now, UTC),
            add=("allowed",),
            prefix=_PREFIX,
            on_error=on_error,
            threads=threads,
        )
        self.engine = given.engine

    def check_columns(self, names: Sequence[str]) -> None:
        """Raise if a column that the decisions read is missing."""
        made = () if self.template is None else (_RESOURCE,)
        self.arguments.read([*names, *made])
        for part in self.template or ():
            if isinstance(part, Column) and part.name not in names:
                raise RequestValueError(f"the frame has no column `{part.name}`", column=part.name)

    def decide(self, frame: Any, connection: Any = None) -> Any:
        """The frame with a column that has the decisions."""
        return decide_frame(self.engine, frame, self.arguments, connection=connection)

    def allowed(self, columns: Mapping[str, Any], rows: int) -> Any:
        """Which rows are allowed, as an array of bools."""
        selection = self.arguments.read(list(columns))
        return decide_batch(self.engine, self.arguments, selection, columns.__getitem__, rows).allowed

    def prefilter(self, types: Mapping[str, str | None]) -> tuple[Filter, dict[str, str]]:
        """The prefilter over the columns that are text or are cast to it exactly, and the casts; None: another type."""
        dropped = frozenset(name for name, type_ in types.items() if type_ is None)
        casts = {name: type_ for name, type_ in types.items() if type_}
        return self.filter.prefilter.without_columns(dropped), casts


def _constant(value: Any) -> Any:
    """A constant of the context as `decide_frame` takes it."""
    if isinstance(value, (str, bytes)):
        return Lit(canonical_text(value, "context"))
    if isinstance(value, Sequence):
        return [canonical_text(one, "context") if isinstance(one, bytes) else one for one in value]
    return value


def apply(
    filter_: Filter, given: FilterArguments, frame: Any, on_error: Literal["raise", "deny"], threads: int, connection: Any
) -> Any:
    """The allowed rows of a frame, in the same kind of frame. Parameters as in `Filter.apply`."""
    application = Application(filter_, given, on_error, threads)
    library = type(frame).__module__.partition(".")[0].lstrip("_")
    if connection is not None and library != "duckdb":
        raise RequestValueError("only relations of DuckDB have a connection", column="connection")
    if library == "narwhals":
        import narwhals

        return narwhals.from_native(apply(filter_, given, frame.to_native(), on_error, threads, connection))
    if library == "polars":
        return _of_polars(application, frame)
    if library == "duckdb":
        return _of_duckdb(application, frame, connection)
    if library == "pandas":
        return _of_pandas(application, frame)
    if library == "pyarrow":
        return _of_pyarrow(application, frame)
    return _of_python(application, frame)


def _of_polars(application: Application, frame: Any) -> Any:
    """A `DataFrame` or a `LazyFrame`, in which both steps are lazy."""
    import polars as pl

    schema = frame.collect_schema()
    application.check_columns(schema.names())
    types: dict[str, str | None] = {}
    for name in application.filter.columns:
        type_ = schema[name]
        if type_ in (pl.Categorical, pl.Enum):
            types[name] = "text"
        elif type_ != pl.String:
            types[name] = "bool" if type_ == pl.Boolean else "integer" if type_.is_integer() else None
    if application.is_prefiltered:
        prefilter, casts = application.prefilter(types)
        frame = frame.filter(prefilter.polars(types=casts))
    made = []
    if application.template is not None:
        parts = [pl.col(part.name).cast(pl.String) if isinstance(part, Column) else pl.lit(part) for part in application.template]
        frame, made = frame.with_columns(pl.concat_str(parts).alias(_RESOURCE)), [_RESOURCE]
    return application.decide(frame).filter(pl.col(_ALLOWED)).drop([_ALLOWED, *made])


def _of_duckdb(application: Application, relation: Any, connection: Any) -> Any:
    from fastiam.analysis.filter.sql_form import DIALECTS, SqlTarget  # PERF: only DuckDB needs it

    if not hasattr(relation, "__arrow_c_stream__"):
        raise RequestValueError(f"`{type(relation).__name__}` is not a relation", column="frame", hint="pass `con.sql(...)`")
    columns = dict(zip(relation.columns, map(str, relation.types), strict=True))
    application.check_columns(relation.columns)
    target = SqlTarget(DIALECTS["duckdb"], None, {})
    types: dict[str, str | None] = {}
    for name in application.filter.columns:
        type_ = columns[name]
        if type_.startswith("ENUM"):
            types[name] = "text"
        elif type_ != "VARCHAR":
            types[name] = "bool" if type_ == "BOOLEAN" else "integer" if type_.removeprefix("U").endswith("INT") else None
            types[name] = "integer" if type_.endswith("INTEGER") else types[name]
    if application.is_prefiltered:
        prefilter, casts = application.prefilter(types)
        relation = relation.filter(prefilter.sql("duckdb", types=casts))
    names = ", ".join(map(target.identifier, relation.columns))
    if application.template is not None:
        text = target.concatenated(application.template)
        relation = relation.project(f"{names}, {text} as {target.identifier(_RESOURCE)}")
    return application.decide(relation, connection).filter(target.identifier(_ALLOWED)).project(names)


def _of_pandas(application: Application, frame: Any) -> Any:
    columns = {name: frame[name] for name in frame.columns if isinstance(name, str)}
    application.check_columns(list(columns))
    if application.template is not None:
        text: Any = ""
        for part in application.template:
            text = text + (
                columns[part.name].astype("str").where(columns[part.name].notna()) if isinstance(part, Column) else part
            )
        columns[_RESOURCE] = text
    return frame[application.allowed(columns, len(frame))]


def _of_pyarrow(application: Application, frame: Any) -> Any:
    """A table or record batch; of a reader or dataset a reader."""
    import pyarrow as pa

    if isinstance(frame, (pa.Table, pa.RecordBatch)):
        return _of_table(application, frame)
    if hasattr(frame, "scanner"):
        frame = frame.scanner().to_reader()
    if not isinstance(frame, pa.RecordBatchReader):
        raise RequestValueError(f"`pyarrow.{type(frame).__name__}` is not a table", column="frame", hint=_HINT)
    application.check_columns(frame.schema.names)
    return pa.RecordBatchReader.from_batches(frame.schema, (_of_table(application, batch) for batch in frame))


def _of_table(application: Application, table: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    columns = dict(zip(table.column_names, table.columns, strict=True))
    application.check_columns(table.column_names)
    if application.template is not None:
        parts = [
            pc.cast(columns[part.name], pa.string()) if isinstance(part, Column) else pa.scalar(part)
            for part in application.template
        ]
        columns[_RESOURCE] = pc.binary_join_element_wise(*parts, "")
    return table.filter(pa.array(application.allowed(columns, table.num_rows)))


def _of_python(application: Application, frame: Any) -> Any:
    """A list of mappings, or a mapping of columns, as such."""
    if isinstance(frame, Mapping):
        columns = {name: list(values) for name, values in frame.items()}
        rows = len(next(iter(columns.values()), ()))
    elif isinstance(frame, Sequence) and not isinstance(frame, (str, bytes)):
        names = dict.fromkeys(name for row in frame for name in row)
        columns, rows = {name: [row.get(name) for row in frame] for name in names}, len(frame)
    else:
        raise RequestValueError(f"`{type(frame).__name__}` is not a frame", column="frame", hint=_HINT)
    application.check_columns(list(columns))
    if application.template is not None:
        columns[_RESOURCE] = [_text_of_row(application.template, columns, row) for row in range(rows)]
    allowed = application.allowed(columns, rows)
    if isinstance(frame, Mapping):
        return {name: [value for value, is_allowed in zip(columns[name], allowed, strict=True) if is_allowed] for name in frame}
    return [row for row, is_allowed in zip(frame, allowed, strict=True) if is_allowed]


def _text_of_row(template: Text, columns: Mapping[str, Sequence[Any]], row: int) -> str | None:
    parts = [columns[part.name][row] if isinstance(part, Column) else part for part in template]
    return None if None in parts else "".join(canonical_text(part, _RESOURCE) for part in parts)
