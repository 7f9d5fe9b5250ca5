"""`fastiam.polars`, `fastiam.pandas` and `fastiam.duckdb`. Numbers H... are those of docs/frames-spec.md."""

from __future__ import annotations

import pickle
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from frame_world import BUCKET, READER, engine, expected, requests

import fastiam
import fastiam.duckdb
import fastiam.pandas
import fastiam.polars
from fastiam import RequestValueError, lit

ASKED = engine()
ROWS = requests(60)
ANSWERS = expected(ASKED, ROWS)
ALLOWED = ANSWERS["allowed"]
KEYS = [name for name in ROWS if ":" in name]
STRUCT = "{" + ", ".join(f"'{key}': \"{key}\"" for key in KEYS) + "}"


def _ids(allowed: list[bool]) -> list[int]:
    return [row for row, is_allowed in enumerate(allowed) if is_allowed]


def _broken(rows: int = 60) -> dict[str, list[Any]]:
    """Requests. Every fourth has a resource that is not an ARN and `ok` false."""
    columns = requests(rows)
    ok = [row % 4 != 0 for row in range(rows)]
    resources = [resource if good else "nonsense" for resource, good in zip(columns["resource"], ok, strict=True)]
    return {**columns, "resource": resources, "ok": ok}


# -- Polars -----------------------------------------------------------------------------------------------------------------


def test_star_is_not_read_as_all_columns() -> None:
    frame = pl.DataFrame(ROWS)
    asks = [
        lambda: fastiam.polars.allowed("principal", ASKED, "action", "*"),
        lambda: fastiam.polars.allowed("principal", ASKED, context={KEYS[0]: "*"}),
        lambda: ASKED.decide_frame(frame, resource="*"),
        lambda: frame.lazy().iam.decide(ASKED, resource="*"),
        lambda: pd.DataFrame(ROWS).iam.allowed(ASKED, resource="*"),
    ]
    for ask in asks:
        with pytest.raises(RequestValueError, match=r"column `\*`|`\*` is not the name of a column") as raised:
            ask()
        assert 'write `fastiam.lit("*")`' in raised.value.hint
    allowed = frame.select(fastiam.polars.allowed("principal", ASKED, "action", lit("*"), context=KEYS))
    assert allowed.to_series().to_list() == ASKED.decide_frame(frame, resource=lit("*"))["allowed"].to_list()


def test_polars_namespaces_give_the_decisions_of_the_batch() -> None:
    frame = pl.DataFrame(ROWS)
    assert frame.iam.decide(ASKED).to_dict(as_series=False) == {**ROWS, **ANSWERS}
    lazy = frame.lazy().iam.decide(ASKED).collect().to_dict(as_series=False)
    assert lazy == {**ROWS, **ANSWERS, "error_code": [None] * 60, "error": [None] * 60}
    for authorized in (frame.iam.authorized(ASKED), frame.lazy().iam.authorized(ASKED).collect()):
        assert authorized.equals(frame[_ids(ALLOWED)])


def test_polars_expressions_give_the_decisions_of_the_batch() -> None:
    frame = pl.DataFrame(ROWS)
    allowed = pl.col("principal").iam.allowed(ASKED, context=KEYS)
    by_names = pl.col("principal").iam.allowed(ASKED, "action", pl.col("resource"), context={key: pl.col(key) for key in KEYS})
    assert frame.select(allowed).to_series().to_list() == ALLOWED
    assert frame.select(by_names).to_series().to_list() == ALLOWED
    decision = pl.col("principal").iam.decision(ASKED, context=KEYS).alias("d")
    found = frame.select(decision).unnest("d").drop("error_code", "error")
    assert found.to_dict(as_series=False) == ANSWERS
    constant = pl.col("principal").iam.allowed(ASKED, lit("s3:GetObject"), lit(f"{BUCKET}/x"), context={KEYS[0]: lit("10.0.0.1")})
    assert frame.select(constant).to_series().to_list() == [name == READER for name in ROWS["principal"]]


def test_polars_expression_refuses_auto_context() -> None:
    with pytest.raises(RequestValueError, match="an expression does not see the columns"):
        pl.col("principal").iam.allowed(ASKED, context="auto")


@pytest.mark.parametrize("engine_name", ["in-memory", "streaming"])
def test_h19_pushed_down_expression_decides_each_row(tmp_path: Any, engine_name: Any) -> None:
    path = tmp_path / "requests.parquet"
    pl.DataFrame(ROWS).write_parquet(path, row_group_size=7)
    lazy = pl.scan_parquet(path)
    allowed = pl.col("principal").iam.allowed(ASKED, context=KEYS)
    found = lazy.filter(allowed, pl.col("id") > 10).select("id").collect(engine=engine_name)
    assert sorted(found["id"].to_list()) == [row for row in _ids(ALLOWED) if row > 10]
    head = lazy.iam.decide(ASKED).filter(pl.col("action") == "s3:PutObject").select("id", "allowed").head(3)
    puts = [row for row in range(60) if ROWS["action"][row] == "s3:PutObject"][:3]
    assert head.collect(engine=engine_name).rows() == [(row, ALLOWED[row]) for row in puts]


def test_h19_expression_decides_a_single_row_and_no_row() -> None:
    frame = pl.DataFrame(ROWS)
    allowed = pl.col("principal").iam.allowed(ASKED, context=KEYS)
    assert [frame[row : row + 1].select(allowed).item() for row in range(60)] == ALLOWED
    assert frame[:0].select(allowed).to_series().to_list() == []


def test_h20_lazy_frame_is_one_elementwise_expression() -> None:
    plan = ASKED.decide_frame(pl.LazyFrame(ROWS)).filter(pl.col("id") == 3).explain()
    assert plan.index("FILTER") > plan.index("UNNEST"), "the filter runs before the rows are decided"


def test_h21_error_of_lazy_row_has_message_and_hint() -> None:
    frame = pl.DataFrame(ROWS).with_columns(pl.lit(None).alias("resource"))
    with pytest.raises((RequestValueError, pl.exceptions.ComputeError)) as caught:
        ASKED.decide_frame(frame.lazy()).collect()
    with pytest.raises(RequestValueError) as eager:
        ASKED.decide_frame(frame)
    assert eager.value.message in str(caught.value) and str(eager.value.hint) in str(caught.value)


def _live(policies: list[dict[str, Any]]) -> fastiam.LiveEngine:
    def source() -> fastiam.Directory:
        directory = fastiam.Directory()
        directory.add_principal(READER, identity_policies=list(policies))
        return directory

    return fastiam.LiveEngine(source)


ALLOW = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


def test_h22_lazy_query_takes_the_engine_of_its_collection() -> None:
    policies: list[dict[str, Any]] = []
    live = _live(policies)
    frame = pl.LazyFrame({**ROWS, "principal": [READER] * 60})
    query, pinned = frame.iam.authorized(live), frame.iam.authorized(live.engine)
    assert query.collect().height == pinned.collect().height == 0
    policies.append(ALLOW)
    live.refresh()
    assert (query.collect().height, pinned.collect().height) == (60, 0)


def test_h22_clock_is_read_when_the_expression_is_made() -> None:
    directory = fastiam.Directory()
    until = {"DateLessThan": {"aws:CurrentTime": "2026-01-01T00:00:00Z"}}
    directory.add_principal(READER, identity_policies=[{"Version": "2012-10-17", "Statement": [ALLOW["Statement"][0] | {"Condition": until}]}])  # type: ignore[index, operator]  # fmt: skip  # noqa: E501
    asked = directory.compile()
    from datetime import UTC, datetime

    frame = pl.LazyFrame({"principal": [READER], "action": ["s3:GetObject"], "resource": [f"{BUCKET}/x"]})
    before = frame.iam.authorized(asked, now=datetime(2025, 12, 31, tzinfo=UTC))
    after = frame.iam.authorized(asked, now=datetime(2026, 1, 1, tzinfo=UTC))
    assert (before.collect().height, after.collect().height) == (1, 0)


def test_h23_lazy_frame_pickles_with_its_engine() -> None:
    query = ASKED.decide_frame(pl.LazyFrame(ROWS), keep=False)
    again = pickle.loads(pickle.dumps(query))
    assert again.collect().to_dict(as_series=False) == ANSWERS


def test_h24_types_are_the_same_lazy_eager_and_empty() -> None:
    frame = pl.DataFrame(ROWS)
    arguments: dict[str, Any] = {
        "add": fastiam.frames.arguments.ADDABLE,
        "on_error": "deny",
        "unknown": ("app:x",),
        "prefix": "p_",
    }
    lazy = ASKED.decide_frame(frame.lazy(), **arguments)
    eager = ASKED.decide_frame(frame, **arguments)
    assert lazy.collect_schema() == lazy.collect().schema == eager.schema
    assert ASKED.decide_frame(frame.clear(), **arguments).schema == ASKED.decide_frame(frame.clear().lazy(), **arguments).collect().schema == eager.schema  # noqa: E501  # fmt: skip


@pytest.mark.parametrize("engine_name", ["in-memory", "streaming"])
def test_h65_rows_that_a_query_excludes_end_no_query(engine_name: Any) -> None:
    columns = _broken()
    lazy = pl.LazyFrame(columns)
    allowed = pl.col("principal").iam.allowed(ASKED, context=KEYS)
    expected_ids = [row for row in _ids(ALLOWED) if columns["ok"][row]]
    queries = [
        lazy.filter(pl.col("ok") & allowed),
        lazy.filter("ok").filter(allowed),
        lazy.filter(allowed).filter("ok"),
        lazy.filter(pl.when("ok").then(allowed).otherwise(False)),
        lazy.filter("ok").iam.authorized(ASKED),
        lazy.iam.authorized(ASKED).filter("ok"),
        lazy.iam.decide(ASKED).filter("ok").filter("allowed"),
    ]
    for query in queries:
        assert query.collect(engine=engine_name)["id"].to_list() == expected_ids


def test_h65_row_with_an_error_is_false_and_has_its_text() -> None:
    columns = _broken()
    decided = pl.LazyFrame(columns).iam.decide(ASKED).collect()
    for row, ok in enumerate(columns["ok"]):
        assert (decided["outcome"][row] == "ERROR") is not ok
        assert ok or (decided["allowed"][row] is False and "`resource`" in decided["error"][row])
    with pytest.raises(RequestValueError):
        pl.DataFrame(columns).iam.decide(ASKED)


# -- pandas -----------------------------------------------------------------------------------------------------------------


def test_pandas_accessor_gives_the_decisions_of_the_batch() -> None:
    frame = pd.DataFrame(ROWS, index=[9] * 60)
    allowed = frame.iam.allowed(ASKED)
    assert allowed.tolist() == ALLOWED and allowed.index.equals(frame.index) and allowed.dtype == bool
    assert frame.iam.authorized(ASKED)["id"].tolist() == _ids(ALLOWED)
    assert list(frame.iam.authorized(ASKED).columns) == list(ROWS)
    assert (
        frame.iam.decide(ASKED, add=("sid",))["sid"].astype(object).where(lambda sid: sid.notna(), None).tolist()
        == ANSWERS["sid"]
    )


# -- DuckDB -----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def con() -> Any:
    """A connection with the table `requests`."""
    connection = duckdb.connect()
    connection.register("source", pa.table(ROWS))
    connection.execute("create table requests as from source order by id")
    return connection


def test_duckdb_query_gives_a_relation_with_the_decisions(con: Any) -> None:
    decided = fastiam.duckdb.decide(con, "from requests order by id", ASKED)
    assert decided.filter("allowed").order("id").project("id").fetchall() == [(row,) for row in _ids(ALLOWED)]
    types = dict(zip(decided.columns, map(str, decided.types), strict=True))
    assert types["outcome"] == "ENUM('IMPLICIT_DENY', 'ALLOW', 'EXPLICIT_DENY', 'DEPENDS', 'ERROR')"
    assert types["allowed"] == "BOOLEAN" and types["sid"] == "VARCHAR"


def test_duckdb_decide_leaves_nothing_in_the_database(con: Any) -> None:
    con.execute("create table decided as select 1 as mine")
    for options in ({}, {"connection": con}):
        decided = ASKED.decide_frame(con.sql("from requests order by id"), **options)
        assert [row[0] for row in decided.project("allowed").fetchall()] == ALLOWED
    assert con.sql("select table_name from duckdb_tables() order by 1").fetchall() == [("decided",), ("requests",)]
    assert con.sql("select view_name from duckdb_views() where not internal").fetchall() == [("source",)]


def test_duckdb_repeated_names_keep_their_columns() -> None:
    table = pa.table([*ROWS.values(), list(range(60, 120))], names=[*ROWS, "id"])

    class Stream:
        def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
            return table.__arrow_c_stream__()

    for frame in (table, Stream(), table.to_reader()):
        decided = ASKED.decide_frame(frame, add=("allowed",))
        read = decided.read_all() if hasattr(decided, "read_all") else pa.table(decided)
        assert read.column(0).to_pylist() == list(range(60)) and read.column(len(ROWS)).to_pylist() == list(range(60, 120))


def test_duckdb_functions_give_the_decisions_of_the_batch(con: Any) -> None:
    fastiam.duckdb.register(con, ASKED)
    call = f"iam_allowed(principal, action, resource, {STRUCT})"
    assert con.sql(f"select {call} from requests order by id").fetchall() == [(a,) for a in ALLOWED]
    assert con.sql(f"select id from requests where {call} order by id").fetchall() == [(row,) for row in _ids(ALLOWED)]
    without = expected(ASKED, {name: values for name, values in ROWS.items() if ":" not in name})["allowed"]
    assert con.sql("select iam_allowed(principal, action, resource) from requests order by id").fetchall() == [
        (a,) for a in without
    ]
    decision = f"iam_decision(principal, action, resource, {STRUCT})"
    rows = con.sql(f"select unnest({decision}) from requests order by id").fetchall()
    assert rows == list(zip(*(ANSWERS[name] for name in ANSWERS), strict=True))


def test_duckdb_functions_take_keys_as_arguments_and_maps(con: Any) -> None:
    fastiam.duckdb.register(con, ASKED, name="by_keys", decision=None, keys=KEYS)
    names = ", ".join(f'"{key}"' for key in KEYS)
    assert con.sql(f"select by_keys(principal, action, resource, {names}) from requests order by id").fetchall() == [
        (a,) for a in ALLOWED
    ]
    fastiam.duckdb.register(con, ASKED, decision=None)
    entries = ", ".join(f"'{key}': \"{key}\"" for key in KEYS)
    maps = f"select iam_allowed(principal, action, resource, map {{{entries}}}) from requests order by id"
    assert con.sql(maps).fetchall() == [(a,) for a in ALLOWED]


@pytest.mark.parametrize("null", ["principal", "action", "resource"])
def test_h25_null_argument_of_a_function_is_false_not_null(con: Any, null: str) -> None:
    fastiam.duckdb.register(con, ASKED)
    arguments = ", ".join("null" if name == null else name for name in ("principal", "action", "resource"))
    assert con.sql(f"select distinct iam_allowed({arguments}) from requests").fetchall() == [(False,)]
    assert con.sql(f"select count(*) from requests where not iam_allowed({arguments})").fetchall() == [(60,)]
    assert con.sql(f"select distinct iam_decision({arguments}).outcome from requests").fetchall() == [("ERROR",)]


def test_h25_some_null_principals_are_false_in_their_rows(con: Any) -> None:
    fastiam.duckdb.register(con, ASKED)
    call = f"iam_allowed(case when id % 2 = 0 then principal end, action, resource, {STRUCT})"
    found = [row[0] for row in con.sql(f"select {call} from requests order by id").fetchall()]
    assert found == [is_allowed and row % 2 == 0 for row, is_allowed in enumerate(ALLOWED)]


def test_h25_function_that_raises_ends_the_query(con: Any) -> None:
    fastiam.duckdb.register(con, ASKED, on_error="raise")
    with pytest.raises(duckdb.Error, match="principal"):
        con.sql("select iam_allowed(null, action, resource) from requests").fetchall()


def test_duckdb_functions_take_tags(con: Any) -> None:
    fastiam.duckdb.register(con, ASKED, decision=None)
    fastiam.duckdb.register(con, ASKED, name="by_key", decision=None, keys=[*KEYS[:-1], "aws:RequestTag/*"])
    first = ", ".join(f'"{key}"' for key in KEYS[:-1])
    assert KEYS[-1] == "aws:RequestTag/team"
    tags = {"struct": "{'team': \"aws:RequestTag/team\"}", "map": "map {'Team': \"aws:RequestTag/team\"}"}
    tags["list"] = "[{'key': 'team', 'value': \"aws:RequestTag/team\"}]"
    for each in tags.values():
        struct = "{" + ", ".join(f"'{key}': \"{key}\"" for key in KEYS[:-1]) + f", 'aws:RequestTag/*': {each}}}"
        for call in (
            f"iam_allowed(principal, action, resource, {struct})",
            f"by_key(principal, action, resource, {first}, {each})",
        ):
            assert [row[0] for row in con.sql(f"select {call} from requests").fetchall()] == ALLOWED


def test_h26_struct_that_is_null_has_no_key(con: Any) -> None:
    fastiam.duckdb.register(con, ASKED)
    call = f"iam_allowed(principal, action, resource, case when id % 2 = 1 then {STRUCT} end)"
    columns = {name: [v if ":" not in name or row % 2 else None for row, v in enumerate(ROWS[name])] for name in ROWS}
    found = [row[0] for row in con.sql(f"select {call} from requests order by id").fetchall()]
    assert found == expected(ASKED, columns)["allowed"] and found != ALLOWED
    assert con.sql("select iam_allowed(principal, action, resource, null) from requests").fetchall()


def test_h26_function_takes_arrays_and_chunked_arrays() -> None:
    from fastiam.frames.arguments import REQUEST, FrameArguments
    from fastiam.frames.pyarrow_function import ArrowFunction

    function = ArrowFunction(ASKED, FrameArguments(context=KEYS), (*REQUEST, *KEYS), takes_keys=False, columns=("allowed",))
    table = pa.table(ROWS).select(["principal", "action", "resource", *KEYS])
    arrays = [column.combine_chunks() for column in table.columns]
    chunked = [pa.chunked_array([array[:7], array[7:7], array[7:]]) for array in arrays]
    assert function(*arrays).to_pylist() == function(*chunked).to_pylist() == ALLOWED


def test_h65_function_of_excluded_rows_ends_no_query() -> None:
    connection = duckdb.connect()
    connection.register("broken", pa.table(_broken()))
    fastiam.duckdb.register(connection, ASKED)
    found = connection.sql(f"select id from broken where iam_allowed(principal, action, resource, {STRUCT}) and ok order by id")
    assert found.fetchall() == [(row,) for row in _ids(ALLOWED) if row % 4]


def test_duckdb_function_with_too_few_arguments_is_an_error(con: Any) -> None:
    fastiam.duckdb.register(con, ASKED)
    with pytest.raises(duckdb.Error, match="2 arguments where 3 are needed"):
        con.sql("select iam_allowed(principal, action) from requests").fetchall()
