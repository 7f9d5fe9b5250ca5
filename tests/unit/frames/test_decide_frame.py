"""`decide_frame` over every kind of frame. Numbers H... are those of docs/frames-spec.md."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pytest
from frame_world import BUCKET, READER, WRITER, engine, expected, requests

import fastiam
from fastiam import RequestValueError, Session, ShapeError, lit

ASKED = engine()
ROWS = requests(60)
ANSWERS = expected(ASKED, ROWS)
ADDED = ("outcome", "allowed", "layer", "policy", "sid")


class Stream:
    """A table that has an Arrow stream and nothing else, in chunks."""

    def __init__(self, columns: dict[str, Any], chunk: int = 7) -> None:
        self._table = pa.table(columns)
        self._chunk = chunk

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        batches = self._table.to_batches(max_chunksize=self._chunk)
        return pa.RecordBatchReader.from_batches(self._table.schema, batches).__arrow_c_stream__()


def _python(frame: Any) -> dict[str, list[Any]]:
    """A result as columns of Python values."""
    if isinstance(frame, pl.LazyFrame):
        frame = frame.collect()
    if isinstance(frame, pl.DataFrame):
        return frame.to_dict(as_series=False)
    if isinstance(frame, pd.DataFrame):
        return {name: [None if pd.isna(value) else value for value in frame[name].astype(object)] for name in frame}
    if isinstance(frame, pa.RecordBatchReader):
        frame = frame.read_all()
    if hasattr(frame, "to_arrow_table"):
        frame = frame.to_arrow_table()
    return {name: list(values) for name, values in pa.table(frame).to_pydict().items()}


KINDS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "polars": pl.DataFrame,
    "polars lazy": pl.LazyFrame,
    "pandas": pd.DataFrame,
    "pyarrow table": pa.table,
    "pyarrow batch": pa.RecordBatch.from_pydict,
    "pyarrow reader": lambda columns: pa.table(columns).to_reader(max_chunksize=7),
    "pyarrow dataset": lambda columns: ds.dataset(pa.table(columns)),
    "arrow stream": Stream,
    "mapping": dict,
    "rows": lambda columns: [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)],
}
OUT = {
    "polars": pl.DataFrame,
    "polars lazy": pl.LazyFrame,
    "pandas": pd.DataFrame,
    "pyarrow table": pa.Table,
    "pyarrow batch": pa.RecordBatch,
    "pyarrow reader": pa.RecordBatchReader,
    "pyarrow dataset": pa.RecordBatchReader,
    "arrow stream": fastiam.Table,
    "mapping": fastiam.Table,
    "rows": fastiam.Table,
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """The name of a kind of frame."""
    return str(request.param)


def test_frame_of_each_kind_has_the_decisions_of_the_batch(kind: str) -> None:
    decided = ASKED.decide_frame(KINDS[kind](ROWS))
    assert isinstance(decided, OUT[kind])
    assert _python(decided) == {**ROWS, **ANSWERS}
    assert set(ANSWERS["outcome"]) == {"ALLOW", "IMPLICIT_DENY", "EXPLICIT_DENY"}


def test_duckdb_relation_has_the_decisions_of_the_batch() -> None:
    con = duckdb.connect()
    con.register("requests", pa.table(ROWS))
    for options in ({}, {"connection": con}):
        decided = ASKED.decide_frame(con.sql("from requests"), **options)
        assert _python(decided) == {**ROWS, **ANSWERS}
        assert _python(decided) == {**ROWS, **ANSWERS}, "H6: the result can be read twice"


def test_h2_empty_frame_has_all_columns_of_their_types(kind: str) -> None:
    empty = pa.table(ROWS).schema.empty_table()
    frame = {
        "polars": pl.DataFrame(empty),
        "polars lazy": pl.DataFrame(empty).lazy(),
        "pandas": pd.DataFrame(ROWS)[:0],
        "pyarrow table": empty,
        "pyarrow batch": pa.RecordBatch.from_pydict(ROWS)[:0],
        "pyarrow reader": empty.to_reader(),
        "pyarrow dataset": ds.dataset(empty),
        "arrow stream": Stream(empty.to_pydict()),
        "mapping": dict.fromkeys(ROWS, []),
        "rows": [],
    }[kind]
    if kind == "rows":
        with pytest.raises(RequestValueError, match="no column `principal`"):
            ASKED.decide_frame(frame)
        return
    decided = ASKED.decide_frame(frame)
    assert _python(decided) == {name: [] for name in (*ROWS, *ADDED)}


def test_h2_empty_frame_keeps_types_of_added_columns() -> None:
    full, empty = (ASKED.decide_frame(frame) for frame in (pl.DataFrame(ROWS), pl.DataFrame(ROWS).clear()))
    assert empty.schema == full.schema == ASKED.decide_frame(pl.LazyFrame(ROWS)).collect_schema()
    assert full.schema["outcome"] == pl.Enum(["IMPLICIT_DENY", "ALLOW", "EXPLICIT_DENY", "DEPENDS", "ERROR"])
    assert full.schema["layer"] == pl.Enum([str(layer) for layer in fastiam.Layer])
    assert full.schema["allowed"] == pl.Boolean


def test_h1_null_column_of_polars_is_absent() -> None:
    frame = pl.DataFrame(ROWS).with_columns(pl.Series("aws:SourceIp", [None] * 60))
    without = pl.DataFrame(ROWS).drop("aws:SourceIp")
    assert frame.schema["aws:SourceIp"] == pl.Null
    assert ASKED.decide_frame(frame, keep=False).equals(ASKED.decide_frame(without, keep=False))
    assert ASKED.decide_frame(frame.clear(), keep=False).height == 0


def test_h3_error_names_column_and_row_of_the_frame(kind: str) -> None:
    broken = {**ROWS, "who": [*ROWS["principal"][:33], None, *ROWS["principal"][34:]]}
    place = "at `who`\n" if kind == "polars lazy" else "at `who`, row 33"  # Polars does not say where a batch lies in its frame
    with pytest.raises((RequestValueError, pl.exceptions.ComputeError), match=place):
        _python(ASKED.decide_frame(KINDS[kind](broken), principal="who"))


def test_h3_denied_error_row_names_the_frame_in_its_text(kind: str) -> None:
    broken = {**ROWS, "thing": [*ROWS["resource"][:33], "nonsense", *ROWS["resource"][34:]]}
    decided = _python(ASKED.decide_frame(KINDS[kind](broken), resource="thing", on_error="deny", keep=["id"]))
    assert list(decided) == ["id", *ADDED, "error_code", "error"]
    assert decided["outcome"][33] == "ERROR"
    assert decided["allowed"][33] is False
    assert decided["error"][33] == "`nonsense` is not a resource - at `thing`"
    assert decided["error_code"][33] == "bad_resource"
    assert decided["error"].count(None) == decided["error_code"].count(None) == 59


@pytest.mark.parametrize(
    "query",
    [
        "from requests order by random()",
        "from requests using sample 30",
        "select principal, action, resource, count(*) n from requests group by all",
        "select a.* from requests a join requests b on a.id = b.id",
    ],
)
def test_h4_duckdb_relation_is_executed_once(query: str) -> None:
    con = duckdb.connect()
    con.register("requests", pa.table(ROWS))
    decided = ASKED.decide_frame(con.sql(query)).to_arrow_table()
    context = {name: decided[name] for name in decided.column_names if ":" in name}
    again = ASKED.decide_many(decided["principal"], decided["action"], decided["resource"], context)
    assert decided["allowed"].to_pylist() == again.allowed.tolist()


def test_h5_duckdb_connection_answers_after_the_call() -> None:
    con = duckdb.connect()
    con.register("requests", pa.table(ROWS))
    ASKED.decide_frame(con.sql("from requests"))
    assert con.sql("select count(*) from requests").fetchall() == [(60,)]


def test_h7_duckdb_result_joins_its_input() -> None:
    con = duckdb.connect()
    con.register("requests", pa.table(ROWS))
    decided = ASKED.decide_frame(con.sql("from requests"), keep=["id"])  # noqa: F841 - the query reads it
    joined = con.sql("select count(*) from decided join requests using (id) where allowed")
    assert joined.fetchall() == [(sum(ANSWERS["allowed"]),)]


def test_h8_added_column_that_exists_is_refused(kind: str) -> None:
    columns = {**ROWS, "allowed": [None] * 59 + ["mine"]}
    with pytest.raises(RequestValueError, match='column `allowed` already.*\n.*prefix="iam_"'):
        ASKED.decide_frame(KINDS[kind](columns))
    assert _python(ASKED.decide_frame(KINDS[kind](columns), prefix="iam_"))["iam_allowed"] == ANSWERS["allowed"]
    assert _python(ASKED.decide_frame(KINDS[kind](columns), keep=False))["allowed"] == ANSWERS["allowed"]


@pytest.mark.parametrize("index", [[5, 5, 7], pd.MultiIndex.from_tuples([(1, "a"), (1, "a"), (0, "b")])])
def test_h9_pandas_result_has_the_index_of_the_frame(index: Any) -> None:
    frame = pd.DataFrame(requests(3), index=index)
    decided = ASKED.decide_frame(frame)
    assert decided.index is frame.index or decided.index.equals(frame.index)
    assert decided["allowed"].tolist() == ANSWERS["allowed"][:3]


def test_h10_pandas_texts_are_categories() -> None:
    decided = ASKED.decide_frame(pd.DataFrame(ROWS))
    for name in ("outcome", "layer", "policy", "sid"):
        assert isinstance(decided[name].dtype, pd.CategoricalDtype)
    assert decided["allowed"].dtype == bool


def test_h11_pandas_labels_that_are_not_read_may_be_odd() -> None:
    frame = pd.DataFrame(ROWS)
    frame[7] = 1
    twice = pd.concat([frame, frame[["id"]]], axis=1)
    assert ASKED.decide_frame(twice)["allowed"].tolist() == ANSWERS["allowed"]
    with pytest.raises(RequestValueError, match="the frame has 2 columns `id`"):
        ASKED.decide_frame(twice, principal="id")


def test_h12_missing_column_names_the_nearest(kind: str) -> None:
    with pytest.raises(RequestValueError, match="no column `principals`.*\n.*did you mean `principal`"):
        ASKED.decide_frame(KINDS[kind](ROWS), principal="principals")
    with pytest.raises(RequestValueError, match=r"for a value write `fastiam.lit\(\"arn:"):
        ASKED.decide_frame(KINDS[kind](ROWS), principal=READER)


def test_h13_two_spellings_of_one_key_are_refused(kind: str) -> None:
    with pytest.raises(RequestValueError, match="`aws:SourceIp` and `AWS:sourceip` are one key"):
        ASKED.decide_frame(KINDS[kind]({**ROWS, "AWS:sourceip": ROWS["aws:SourceIp"]}))


def _nested(kind_of_column: str) -> pa.Table:
    keys = [name for name in ROWS if ":" in name]
    rows = [{key: ROWS[key][i] for key in keys} for i in range(60)]
    rows[5] = None  # type: ignore[call-overload]
    if kind_of_column == "struct":
        column = pa.array(rows, pa.struct([(key, pa.string()) for key in keys]))
    else:
        entries = [None if row is None else [(key, value) for key, value in row.items() if value is not None] for row in rows]
        column = pa.array(entries, pa.map_(pa.string(), pa.string()))
    plain = pa.table({name: values for name, values in ROWS.items() if ":" not in name})
    return pa.concat_tables([plain.append_column("context", column)[:20], plain.append_column("context", column)[20:]])


@pytest.mark.parametrize("nested", ["struct", "map"])
@pytest.mark.parametrize("out_of", ["pyarrow", "polars", "stream", "duckdb", "pandas"])
def test_h14_struct_and_map_columns_hold_keys(nested: str, out_of: str) -> None:
    table = _nested(nested)
    if (nested, out_of) == ("map", "polars"):
        pytest.skip("Polars has no maps")
    without = {name: [None if i == 5 and ":" in name else v for i, v in enumerate(values)] for name, values in ROWS.items()}
    frame = {
        "pyarrow": lambda: table,
        "polars": lambda: pl.DataFrame(table),
        "stream": lambda: table.to_reader(max_chunksize=9),
        "duckdb": lambda: duckdb.connect().from_arrow(table),
        "pandas": lambda: pd.DataFrame(
            {
                **table.drop_columns("context").to_pydict(),
                "context": [None if row is None else dict(row) for row in table["context"].to_pylist()],
            }
        ),
    }[out_of]()
    assert _python(ASKED.decide_frame(frame, context="context", keep=False)) == expected(ASKED, without)


TAGS = {"aws:RequestTag/*": "request_tags"}
TAGGED = {  # of one row each, with the tag `env=prod`
    "struct": pa.array([{"env": "prod", "team": None}]),
    "map": pa.array([[("Env", "prod")]], pa.map_(pa.string(), pa.string())),
    "list of pairs": pa.array([[{"value": "prod", "key": "env"}]]),
    "large list of pairs": pa.array(
        [[{"Key": "env", "Value": "prod"}]], pa.large_list(pa.struct([("Key", pa.string()), ("Value", pa.string())]))
    ),
}


def tagged_engine() -> fastiam.Engine:
    """An engine that denies what has the tag `env` with the value `prod`."""
    statements = [
        {"Effect": "Allow", "Action": "*", "Resource": "*"},
        {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"StringEquals": {"aws:RequestTag/env": "prod"}}},
    ]
    directory = fastiam.Directory()
    directory.add_principal(ROLE_OF_TAGS, identity_policies=[{"Version": "2012-10-17", "Statement": statements}])
    return directory.compile()


ROLE_OF_TAGS = "arn:aws:iam::111111111111:role/tags"
TAGS_REQUEST = {"principal": [ROLE_OF_TAGS], "action": ["ec2:RunInstances"], "resource": ["*"]}


@pytest.mark.parametrize("kind", TAGGED)
@pytest.mark.parametrize(
    "frame_of", [pa.table, pl.DataFrame, lambda columns: pa.table(columns).to_pandas(), lambda columns: columns]
)
def test_column_of_tags_has_a_key_for_each_tag(kind: str, frame_of: Any) -> None:
    engine = tagged_engine()
    frame = frame_of(TAGS_REQUEST | {"request_tags": TAGGED[kind]})
    decided = engine.decide_frame(frame, context=TAGS, keep=False, add=("outcome",))
    assert pl.DataFrame(decided)["outcome"].to_list() == ["EXPLICIT_DENY"]
    renamed = frame_of(TAGS_REQUEST | {"aws:RequestTag/*": TAGGED[kind]})
    decided = engine.decide_frame(renamed, keep=False, add=("outcome",))
    assert pl.DataFrame(decided)["outcome"].to_list() == ["EXPLICIT_DENY"]


def test_column_of_owners_is_read_as_on_the_command_line() -> None:
    """An owner that is not the principal's account has to allow the request, too."""
    frame = pl.DataFrame({**TAGS_REQUEST, "resource": ["arn:aws:s3:::b/k"], "action": ["s3:GetObject"]})
    foreign = frame.with_columns(resource_account=pl.lit("222222222222"))
    engine = tagged_engine()
    assert engine.decide_frame(frame)["outcome"].to_list() == ["ALLOW"]
    assert engine.decide_frame(foreign)["outcome"].to_list() == ["IMPLICIT_DENY"]
    assert engine.decide_frame(foreign.lazy()).collect()["outcome"].to_list() == ["IMPLICIT_DENY"]
    assert engine.decide_frame(foreign, resource_account=None)["outcome"].to_list() == ["ALLOW"]
    assert engine.decide_frame_with_summary(foreign)[1].ignored_columns == ()


@pytest.mark.parametrize("is_list", [True, False])
def test_mappings_keep_values_of_any_type(is_list: bool) -> None:
    """What `decide_many` takes: lists of texts, mappings of tags, instants."""
    columns = {name: values * 3 for name, values in TAGS_REQUEST.items()} | {
        "aws:TagKeys": [["env"], None, ["a", "b"]],
        "request_tags": [{"env": "prod"}, None, {"env": "dev"}],
        "at": [datetime(2026, 1, 1), None, datetime(2026, 1, 2)],
        "prices": [[1.5], [], None],
    }
    frame = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)] if is_list else columns
    decided = pa.table(tagged_engine().decide_frame(frame, context={**TAGS, "aws:TagKeys": "aws:TagKeys"}))
    assert decided["outcome"].to_pylist() == ["EXPLICIT_DENY", "ALLOW", "ALLOW"]
    assert {name: decided[name].to_pylist() for name in columns} == columns
    with pytest.raises(RequestValueError, match="a column of values `int, list` cannot be kept"):
        tagged_engine().decide_frame(
            {**TAGS_REQUEST, "x": [[1]]} | {name: v * 2 for name, v in TAGS_REQUEST.items()} | {"x": [[1], 2]}
        )


def test_table_of_ibis_gives_a_table_of_ibis() -> None:
    ibis = pytest.importorskip("ibis", reason="tables of Ibis")
    table = ibis.memtable(pa.table(ROWS))
    decided, summary = ASKED.decide_frame_with_summary(table)
    assert isinstance(decided, ibis.Table) and summary.rows == 60
    found = decided.order_by("id").to_pyarrow()
    assert found["allowed"].to_pylist() == ANSWERS["allowed"]
    assert decided.filter(decided.allowed).count().to_pyarrow().as_py() == sum(ANSWERS["allowed"])
    with pytest.raises(RequestValueError, match="is not a table"):
        ASKED.decide_frame(table.id)


@pytest.mark.parametrize("tags", [{"env": "prod"}, [("env", "prod")], [{"Key": "env", "Value": "prod"}]])
def test_tags_may_be_constant(tags: Any) -> None:
    frame = pl.DataFrame(TAGS_REQUEST)
    assert tagged_engine().decide_frame(frame, context={"aws:RequestTag/*": tags})["outcome"].to_list() == ["EXPLICIT_DENY"]


@pytest.mark.parametrize(
    ("context", "message", "hint"),
    [
        ("auto", "is like a condition key", "rename it to `aws:RequestTag/*`"),
        ("request_tags", "its entry `env` is not a context key", '{"aws:RequestTag/*": "request_tags"}'),
        (["request_tags"], "`request_tags` is not a context key", '{"aws:RequestTag/*": "request_tags"}'),
        ({"RequestTag/env": fastiam.lit("x")}, "`RequestTag/env` is not a context key", "aws:RequestTag/env"),
        ({"env": "action"}, "`env` is not a context key", "aws:SourceIp"),
        ({"aws:RequestTag/*": "action"}, "the column is not one of tags", "list of pairs"),
        (TAGS | {"aws:RequestTag/env": "action"}, "comes from two columns", "leave one out"),
    ],
)
def test_tags_that_would_not_be_read_are_refused(context: Any, message: str, hint: str) -> None:
    frame = pl.DataFrame(TAGS_REQUEST).with_columns(request_tags=pl.struct(env=pl.lit("prod")))
    for given in (frame, frame.to_arrow()):
        with pytest.raises(RequestValueError, match=re.escape(message)) as error:
            tagged_engine().decide_frame(given, context=context)
        assert hint in error.value.hint


@pytest.mark.parametrize("key", ["RequestTag/env", "SecureTransport", "env", "aws:RequestTag/*"])
def test_key_without_a_colon_is_refused_in_each_call(key: str) -> None:
    engine = tagged_engine()
    request = (ROLE_OF_TAGS, "ec2:RunInstances", "*")
    calls = [
        lambda: engine.decide(*request, {key: "x"}),
        lambda: engine.decide_many(*([each] for each in request), {key: ["x"]}),
        lambda: engine.explain(*request, {key: "x"}),
        lambda: engine.decide(*request, unknown=[key]) if "*" not in key else engine.decide(*request, {key: "x"}),
    ]
    for call in calls:
        with pytest.raises(RequestValueError) as error:
            call()
        assert key in str(error.value)
    assert "`aws:RequestTag/env`" in str(pytest.raises(RequestValueError, engine.decide, *request, {"RequestTag/env": "x"}).value)


def test_columns_without_a_colon_are_ignored_and_counted() -> None:
    frame = pl.DataFrame(TAGS_REQUEST | {"id": [1], "at": [datetime(2026, 1, 1)], "more": [{"a": 1}]})
    decided, summary = tagged_engine().decide_frame_with_summary(frame)
    assert decided["outcome"].to_list() == ["ALLOW"] and summary.ignored_columns == ("id", "at", "more")
    assert "`id`, `at`, `more`" in str(summary)


def test_h14_more_than_256_keys_of_maps_are_refused() -> None:
    maps = pa.array([[(f"app:k{i}", "x")] for i in range(60 * 5)], pa.map_(pa.string(), pa.string()))
    table = pa.table({name: values * 5 for name, values in ROWS.items()}).append_column("context", maps)
    with pytest.raises(RequestValueError, match="more than 256 distinct keys"):
        ASKED.decide_frame(table, context="context")


@pytest.mark.parametrize(
    ("column", "hint"),
    [
        (pl.Series([datetime(2026, 1, 1)] * 60), "replace_time_zone"),
        (pl.Series([datetime(2026, 1, 1).date()] * 60), "cast the column"),
    ],
)
def test_h15_naive_instants_are_refused_with_a_cure(column: pl.Series, hint: str) -> None:
    with pytest.raises(RequestValueError, match=hint):
        ASKED.decide_frame(pl.DataFrame(ROWS).with_columns(column.alias("app:when")))


def test_h16_sliced_and_chunked_frames_decide_their_rows() -> None:
    table = pa.table(ROWS)
    chunked = pa.concat_tables([table[:1], table[1:40], table[40:40], table[40:]])
    encoded = pa.table({name: table[name].dictionary_encode() if name != "id" else table[name] for name in table.column_names})
    large = table.cast(pa.schema([(f.name, pa.large_string() if f.type == pa.string() else f.type) for f in table.schema]))
    views = table.cast(pa.schema([(f.name, pa.string_view() if f.type == pa.string() else f.type) for f in table.schema]))
    for frame in (chunked, encoded, large, views, Stream(chunked.to_pydict(), 1), Stream(views.to_pydict(), 3)):
        assert _python(ASKED.decide_frame(frame, keep=False)) == ANSWERS
    for start, end in ((0, 60), (9, 41), (59, 60)):
        sliced = {name: values[start:end] for name, values in ANSWERS.items()}
        assert _python(ASKED.decide_frame(table[start:end], keep=False)) == sliced
        assert _python(ASKED.decide_frame(fastiam_table(table[start:end]), keep=False)) == sliced
        assert _python(ASKED.decide_frame(pl.DataFrame(ROWS)[start:end], keep=False)) == sliced


def fastiam_table(table: pa.Table) -> fastiam.Table:
    """The table of fastiam that holds the columns of a table of pyarrow."""
    kept = ASKED.decide_frame(Stream(table.to_pydict(), 11), add=())
    assert isinstance(kept, fastiam.Table)
    return kept


def test_h17_threads_change_no_decision(kind: str) -> None:
    assert _python(ASKED.decide_frame(KINDS[kind](ROWS), threads=2, keep=False)) == ANSWERS


def test_h18_keep_gives_these_columns_in_this_order(kind: str) -> None:
    decided = _python(ASKED.decide_frame(KINDS[kind](ROWS), keep=["resource", "id"], add=["sid"]))
    assert list(decided) == ["resource", "id", "sid"]
    with pytest.raises(RequestValueError, match="no column `idd`.*\n.*did you mean `id`"):
        ASKED.decide_frame(KINDS[kind](ROWS), keep=["idd"])


def test_constants_decide_each_row(kind: str) -> None:
    frame = KINDS[kind](ROWS)
    fixed = ASKED.decide_frame(
        frame, principal=lit(READER), action=lit("s3:GetObject"), context={"aws:SourceIp": lit("10.0.0.1")}
    )
    assert _python(fixed)["allowed"] == ["secret" not in resource for resource in ROWS["resource"]]


def test_frame_of_constants_alone_has_its_rows(kind: str) -> None:
    constants = {"principal": lit(WRITER), "action": lit("s3:GetObject"), "resource": lit(f"{BUCKET}/x")}
    decided = ASKED.decide_frame(KINDS[kind](ROWS), **constants, context={"aws:RequestTag/team": lit("data")}, keep=False)
    assert _python(decided)["allowed"] == [True] * 60


def test_session_decides_each_row(kind: str) -> None:
    session = Session(READER.replace(":iam:", ":sts:").replace("role/", "assumed-role/") + "/s", kind="ROLE", issuer=READER)
    decided = ASKED.decide_frame(KINDS[kind](ROWS), principal=session, context={"aws:SourceIp": "aws:SourceIp"}, keep=False)
    alone = ASKED.decide_many(session.arn, ROWS["action"], ROWS["resource"], {"aws:SourceIp": ROWS["aws:SourceIp"]})
    assert _python(decided)["allowed"] == alone.allowed.tolist()


def test_constant_list_is_one_value_of_every_row() -> None:
    frame = pl.DataFrame(ROWS)
    decided = ASKED.decide_frame(frame, context={"aws:SourceIp": lit("10.0.0.1"), "aws:TagKeys": ["a", "b"]}, keep=False)
    plain = ASKED.decide_frame(frame, context={"aws:SourceIp": lit("10.0.0.1")}, keep=False)
    assert decided.equals(plain)


def test_unknown_keys_add_depends_on(kind: str) -> None:
    columns = {name: values for name, values in ROWS.items() if name != "aws:SourceIp"}
    decided = _python(ASKED.decide_frame(KINDS[kind](columns), unknown=["aws:SourceIp"], keep=False))
    depends = [i for i, outcome in enumerate(decided["outcome"]) if outcome == "DEPENDS"]
    assert depends
    assert {decided["depends_on"][i] for i in depends} == {"aws:SourceIp"}
    assert not any(decided["allowed"][i] for i in depends)


def test_summary_of_lazy_frame_is_refused() -> None:
    with pytest.raises(RequestValueError, match="`LazyFrame` is lazy"):
        ASKED.decide_frame_with_summary(pl.LazyFrame(ROWS))


@pytest.mark.parametrize(
    "name", [name for name in KINDS if "lazy" not in name and name not in ("pyarrow reader", "pyarrow dataset")]
)
def test_summary_counts_the_rows(name: str) -> None:
    _, summary = ASKED.decide_frame_with_summary(KINDS[name](ROWS))
    assert summary.rows == 60
    assert {outcome.name: n for outcome, n in summary.outcomes.items()} == {
        outcome: ANSWERS["outcome"].count(outcome) for outcome in set(ANSWERS["outcome"])
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"add": "outcome"}, "`add` is text"),
        ({"add": ("outcom",)}, "did you mean `outcome`"),
        ({"keep": "id"}, "`keep` is text"),
        ({"action": 5}, "`int` cannot be read"),
        ({"context": {"aws:SourceIp": object()}}, "`object` is not a value of a key"),
        ({"context": {5: "id"}}, "`int` is not the name of a context key"),
        ({"on_error": "skip"}, "on_error"),
    ],
)
def test_argument_that_cannot_be_read_is_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestValueError, match=message):
        ASKED.decide_frame(pl.DataFrame(ROWS), **arguments)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (5, "`int` is not a frame"),
        ("text", "`str` is not a frame"),
        (pl.Series([1]), r"`polars.Series` is not a frame"),
        (pa.array(["x"]), "is not a table"),
        ([1], "`int` is not a mapping"),
        ({5: ["x"]}, "the name of a column is `int`"),
    ],
)
def test_object_that_is_not_a_frame_is_refused(frame: Any, message: str) -> None:
    with pytest.raises(RequestValueError, match=message):
        ASKED.decide_frame(frame)


def test_mapping_of_unequal_columns_is_refused() -> None:
    with pytest.raises(ShapeError, match="`id` has 60 rows, `principal` has 1 rows"):
        ASKED.decide_frame({**ROWS, "principal": [READER]})


def test_cluster_frame_is_refused_with_the_right_call() -> None:
    kind = type("DataFrame", (), {"__module__": "pyspark.sql.dataframe"})
    with pytest.raises(RequestValueError, match="fastiam.spark.decide"):
        ASKED.decide_frame(kind())


def test_live_engine_decides_frames_with_its_current_engine() -> None:
    policies: list[dict[str, Any]] = []

    def source() -> fastiam.Directory:
        directory = fastiam.Directory()
        directory.add_principal(READER, identity_policies=policies)
        return directory

    live = fastiam.LiveEngine(source)
    lazy = live.decide_frame(pl.LazyFrame(ROWS), keep=False)
    assert not any(_python(lazy)["allowed"])
    allow = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    policies.append(allow)
    live.refresh()
    assert any(_python(lazy)["allowed"]), "H22: one engine for each collection"
    assert any(_python(live.decide_frame(pl.DataFrame(ROWS), keep=False))["allowed"])


def test_decide_frame_imports_no_library_that_the_caller_has_not() -> None:
    import subprocess

    code = (
        "import sys, fastiam\n"
        "e = fastiam.Directory().compile()\n"
        "e.decide_frame({'principal': ['*'], 'action': ['s3:GetObject'], 'resource': ['*']})\n"
        "print(sorted(set(sys.modules) & {'polars', 'pandas', 'pyarrow', 'duckdb', 'narwhals'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_h16_run_end_encoded_column_is_refused_with_a_cure() -> None:
    table = pa.table({**ROWS, "action": pc.run_end_encode(pa.array(ROWS["action"]))})
    for frame in (table, table.to_reader()):
        with pytest.raises(RequestValueError, match="run_end_decode"):
            _python(ASKED.decide_frame(frame))


def test_exported_decisions_have_the_columns_of_decide_frame() -> None:
    context = {name: ROWS[name] for name in ROWS if ":" in name}
    arguments: dict[str, Any] = {"on_error": "deny", "unknown": ("app:x",)}
    decisions = ASKED.decide_many(ROWS["principal"], ROWS["action"], ROWS["resource"], context, reasons=True, **arguments)
    exported = pa.table(decisions)
    decided = ASKED.decide_frame(Stream(ROWS, 60), add=exported.column_names, keep=False, **arguments)
    assert pa.table(decided).schema.names == exported.schema.names
    for name in exported.column_names:
        assert pa.table(decided)[name].to_pylist() == exported[name].to_pylist()
        assert pa.table(decided).schema.field(name).type == exported.schema.field(name).type
