"""What a filter is in each library: case, collation, quotes and types (H44 to H46, H69, H70), and databases that run it."""

from __future__ import annotations

import sqlite3
import string
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import filter_worlds
import pytest
from filter_forms import FORMS, Rows, decisions, sqlite_form

import fastiam
from fastiam.analysis.filter import patterns
from fastiam.analysis.filter.formula import Column
from fastiam.analysis.filter.polars_form import PolarsTarget
from fastiam.analysis.filter.row_conditions import check_entry_of_rows
from fastiam.analysis.filter.sql_form import DIALECTS
from fastiam.model.key_registry import fold_char
from fastiam.model.policy import ConditionEntry
from fastiam.policy.conditions.operators import BASE_OPERATORS, BaseOperator, Comparison
from fastiam.spec.operators import OPERATORS

A, B = "111111111111", "222222222222"
ROLE, BUCKET = f"arn:aws:iam::{A}:role/etl", "arn:aws:s3:::data"
INJECTION = "'; -- \\' \" ` \\"
ARNS = [
    f"{BUCKET}/ä/x",
    f"{BUCKET}/Ä/x",
    f"{BUCKET}/a/x",
    "arn:aws:s3:::DATA/ä/x",
    f"{BUCKET}/ä",
    f"{BUCKET}/ä/x\n",
    f"{BUCKET}/\n",
    f"{BUCKET}/a\nb/end",
    f"{BUCKET}/a\nb/end\n",
    f"{BUCKET}/100%/x",
    f"{BUCKET}/100x/x",
    f"{BUCKET}/a_b",
    f"{BUCKET}/aXb",
    f"{BUCKET}/[ab]c",
    f"{BUCKET}/ac",
    f"{BUCKET}/{INJECTION}/x",
    f"{BUCKET}/{INJECTION}",
    f"arn:aws:s3:us-east-1:{B}:data/ä/x",
    None,
    "",
    f"{BUCKET}/𝄞/x",
    f"{BUCKET}/é/x",
]
TAGS = ["red", "RED", "red ", "Red", "", None, INJECTION, "\u212a", "k", "K", "r%", "rd", "red\n"]


class Columns:
    """Keys of rows, each of which a column gives."""

    def values_of(self, name: str) -> list[tuple[bool, tuple[Column, ...]]]:
        return [(True, (Column(name),))]


@pytest.mark.parametrize("operator, is_known", [("StringLike", True), ("StringStartsWith", False)])
def test_operator_that_filters_do_not_know_is_unknown(operator: str, is_known: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new operator of the specification is not taken as `StringLike` until filters express it."""
    monkeypatch.setitem(OPERATORS, "StringStartsWith", replace(OPERATORS["StringEquals"], holds=str.startswith))
    monkeypatch.setitem(BASE_OPERATORS, "StringStartsWith", BaseOperator("string", Comparison.NULL, variables=True))
    entry = ConditionEntry(operator, "", False, "acme:k", ("red",))
    found = check_entry_of_rows(entry, True, Columns())  # type: ignore[arg-type]
    assert ("Unknown" not in f"{found}") is is_known


def engine_of(*statements: dict[str, Any]) -> fastiam.Engine:
    directory = fastiam.Directory(mode="lenient")
    directory.add_account(A)
    allowed = [{"Effect": "Allow", "Action": "*", "Resource": "*"} | statement for statement in statements]
    directory.add_principal(ROLE, identity_policies=[{"Version": "2012-10-17", "Statement": allowed}])
    return directory.compile()


def engines() -> dict[str, fastiam.Engine]:
    """Prefixes, patterns and comparisons whose texts libraries read in different ways."""
    everything: dict[str, Any] = {}
    resources = {
        "prefix": f"{BUCKET}/ä/*",
        "long prefix": f"{BUCKET}/𝄞/*",
        "equal": f"{BUCKET}/ä",
        "glob": f"{BUCKET}/*/end",
        "one": f"{BUCKET}/?/x",
        "percent": f"{BUCKET}/100%*",
        "underscore": f"{BUCKET}/a_*",
        "bracket": f"{BUCKET}/[ab]*",
        "quotes": f"{BUCKET}/{INJECTION}*",
        "quoted pattern": f"{BUCKET}/*{INJECTION}",
        "field": "arn:aws:s3:*:*:data/ä/*",
    }
    conditions = {
        "equals": {"StringEquals": {"aws:RequestTag/t": ["red", INJECTION]}},
        "not equals": {"StringNotEquals": {"aws:RequestTag/t": "red"}},
        "without case": {"StringEqualsIgnoreCase": {"aws:RequestTag/t": ["red", "k"]}},
        "like": {"StringLike": {"aws:RequestTag/t": ["r*d", "r%"]}},
        "like with quotes": {"StringLike": {"aws:RequestTag/t": f"*{INJECTION}"}},
    }
    found = {name: engine_of({"Resource": resource}) for name, resource in resources.items()}
    found |= {
        f"deny {name}": engine_of(everything, {"Effect": "Deny", "Resource": resource}) for name, resource in resources.items()
    }
    found |= {name: engine_of({"Condition": condition}) for name, condition in conditions.items()}
    found |= {
        f"deny {name}": engine_of(everything, {"Effect": "Deny", "Condition": condition})
        for name, condition in conditions.items()
    }
    return found


ENGINES = engines()
ROWS: dict[str, list[str | None]] = {
    "resource": [arn for arn in ARNS for _ in TAGS],
    "tag": TAGS * len(ARNS),
}
GIVEN: dict[str, Any] = {"columns": {"aws:RequestTag/t": "tag"}}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ENGINES)
def test_texts_are_compared_by_code_points(name: str, form: str) -> None:
    """H44, H46: case, `%` and `_`, letters beyond ASCII, newlines, quotes and backslashes."""
    engine = ENGINES[name]
    asked = engine.filter(ROLE, "s3:GetObject", **GIVEN)
    assert FORMS[form](asked, ROWS) == decisions(engine, ROLE, "s3:GetObject", ROWS, ROWS["resource"], **GIVEN)


# -- databases and libraries ---------------------------------------------------------------------------------------------------


def by_datafusion(asked: fastiam.Filter, rows: Rows) -> list[Any]:
    datafusion = pytest.importorskip("datafusion", reason="the dialect is run by DataFusion")
    context = datafusion.SessionContext()
    context.from_pydict({name: list(values) for name, values in rows.items()}, name="t")
    return list(context.sql(f"SELECT {asked.sql('datafusion')} AS found FROM t").to_pydict()["found"])


def by_polars_sql(asked: fastiam.Filter, rows: Rows) -> list[Any]:
    pl = pytest.importorskip("polars", reason="the dialect is that of Polars")
    frame = pl.DataFrame(rows, schema=dict.fromkeys(rows, pl.String))
    return list(pl.SQLContext(t=frame).execute(f"SELECT {asked.sql('polars')} AS found FROM t", eager=True)["found"])


def by_narwhals(asked: fastiam.Filter, rows: Rows, library: str = "polars") -> list[Any]:
    nw = pytest.importorskip("narwhals", reason="the expression is one of narwhals")
    pl = pytest.importorskip("polars", reason="it makes the frames")
    frame = pl.DataFrame(rows, schema=dict.fromkeys(rows, pl.String))
    native = {"polars": lambda: frame, "pandas": frame.to_pandas, "pyarrow": frame.to_arrow}[library]()
    return list(nw.from_native(native).with_columns(found=asked.narwhals())["found"].to_list())


def by_ibis(asked: fastiam.Filter, rows: Rows) -> list[Any]:
    pytest.importorskip("pyarrow_hotfix", reason="Ibis runs on DuckDB")
    ibis = pytest.importorskip("ibis", reason="the expression is one of Ibis")
    table = ibis.memtable({name: list(values) for name, values in rows.items()}, schema=dict.fromkeys(rows, "string"))
    return [
        bool(found) if found is not None else None
        for found in table.mutate(found=asked.ibis(table)).to_pyarrow()["found"].to_pylist()
    ]


LIBRARIES: dict[str, Callable[[fastiam.Filter, Rows], list[Any]]] = {
    "datafusion": by_datafusion,
    "polars_sql": by_polars_sql,
    "narwhals": by_narwhals,
    "narwhals_pandas": lambda asked, rows: by_narwhals(asked, rows, "pandas"),
    "narwhals_pyarrow": lambda asked, rows: by_narwhals(asked, rows, "pyarrow"),
    "ibis": by_ibis,
}


def cases_of(names: Sequence[str]) -> list[tuple[fastiam.Filter, Rows, list[bool]]]:
    """Filters with their rows and decisions: those of the texts above, and random ones."""
    found: list[tuple[fastiam.Filter, Rows, list[bool]]] = []
    for name in names:
        engine = ENGINES[name]
        allowed = decisions(engine, ROLE, "s3:GetObject", ROWS, ROWS["resource"], **GIVEN)
        found.append((engine.filter(ROLE, "s3:GetObject", **GIVEN), ROWS, allowed))
    for seed in (1_009, 1_016):
        found += [(case.filter, case.rows, case.allowed()) for case in filter_worlds.cases(seed, rows=80)]
    return [one for one in found if one[0].exact and one[0].kind == "conditional"]


@pytest.fixture(scope="module")
def cases() -> list[tuple[fastiam.Filter, Rows, list[bool]]]:
    return cases_of(
        ("prefix", "glob", "one", "deny quotes", "deny quoted pattern", "field", "equals", "without case", "deny like")
    )


@pytest.mark.parametrize("library", LIBRARIES)
def test_library_evaluates_the_filter_as_decisions(cases: list[tuple[fastiam.Filter, Rows, list[bool]]], library: str) -> None:
    """H45: what is written runs, and is exact or refused."""
    refused = 0
    for asked, rows, allowed in cases:
        try:
            found = LIBRARIES[library](asked, rows)
        except fastiam.NotExpressible:
            refused += 1
            continue
        assert found == allowed
    assert refused <= len(cases) // 4


@pytest.mark.slow
def test_spark_evaluates_the_filter_as_decisions(cases: list[tuple[fastiam.Filter, Rows, list[bool]]]) -> None:
    """H45: one local Spark runs all filters."""
    sql = pytest.importorskip("pyspark.sql", reason="the dialect is run by Spark")
    try:
        session = sql.SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
    except Exception as error:  # no Java
        pytest.skip(f"Spark does not start: {error}")
    try:
        for asked, rows, allowed in cases[:12]:
            try:
                expression = asked.sql("spark")
            except fastiam.NotExpressible:
                continue
            values = [(at, *row) for at, row in enumerate(zip(*rows.values(), strict=True))]
            schema = ", ".join(["at int", *(f"`{name}` string" for name in rows)])
            frame = session.createDataFrame(values, schema).selectExpr("at", f"{expression} AS found")
            assert [row.found for row in sorted(frame.collect())] == allowed
    finally:
        session.stop()


@pytest.mark.parametrize("dialect", [name for name in DIALECTS if name not in ("polars",)])
def test_sql_parses_in_its_dialect(cases: list[tuple[fastiam.Filter, Rows, list[bool]]], dialect: str) -> None:
    """H45: sqlglot only parses; it does not vouch for functions."""
    sqlglot = pytest.importorskip("sqlglot", reason="its parsers check what is written")
    read = {"datafusion": "postgres"}.get(dialect, dialect)
    for asked, _, _ in cases[::3]:
        try:
            expression = asked.sql(dialect, alias="t")
        except fastiam.NotExpressible:
            continue
        parsed = sqlglot.parse_one(f"SELECT * FROM t WHERE {expression}", read=read)
        names = {column.name for column in parsed.find_all(sqlglot.exp.Column)}
        assert names == set(asked.columns) or dialect in ("snowflake",)


# -- H69, H70 -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["deny equal", "deny not equals", "equals", "prefix", "deny prefix", "glob"])
def test_collation_of_a_column_changes_nothing(name: str) -> None:
    """H69: `=` and `IN` follow the collation of a column, and of the database."""
    duckdb = pytest.importorskip("duckdb", reason="collations of DuckDB")
    engine = ENGINES[name]
    asked = engine.filter(ROLE, "s3:GetObject", **GIVEN)
    allowed = decisions(engine, ROLE, "s3:GetObject", ROWS, ROWS["resource"], **GIVEN)
    assert sqlite_form(asked, ROWS, "NOCASE") == allowed
    assert sqlite_form(asked, ROWS, "RTRIM") == allowed
    with duckdb.connect() as con:
        con.execute("SET default_collation = 'NOCASE'")
        con.execute("CREATE TABLE t (n INTEGER, resource VARCHAR COLLATE NOCASE, tag VARCHAR)")
        con.executemany("INSERT INTO t VALUES (?, ?, ?)", [*zip(range(len(ROWS["tag"])), *ROWS.values(), strict=True)][:150])
        assert [row[0] for row in con.execute(f"SELECT {asked.sql()} FROM t ORDER BY n").fetchall()] == allowed[:150]


def test_many_prefixes_are_one_test_of_the_first_part() -> None:
    """H50, H69: `IN` over the text up to the first `/`, whatever the collation of the database is."""
    duckdb = pytest.importorskip("duckdb", reason="collations of DuckDB")
    engine = engine_of({"Resource": [f"{BUCKET}{at}/*" for at in range(20)]})
    asked = engine.filter(ROLE, "s3:GetObject")
    assert "strpos" in asked.sql()
    arns = [
        f"{BUCKET}7/x",
        f"{BUCKET}7/",
        f"{BUCKET}7",
        f"{BUCKET}7x/y",
        "arn:aws:s3:::DATA7/x",
        f"{BUCKET}20/x",
        None,
        "*",
        "/",
        "",
    ]
    rows = {"resource": arns}
    expected = [True, True] + [False] * 8
    assert decisions(engine, ROLE, "s3:GetObject", rows, arns) == expected
    for form in FORMS.values():
        assert form(asked, rows) == expected
    assert by_datafusion(asked, rows) == expected
    with duckdb.connect() as con:
        con.execute("SET default_collation = 'NOCASE'")
        con.execute("CREATE TABLE t (n INTEGER, resource VARCHAR)")
        con.executemany("INSERT INTO t VALUES (?, ?)", list(enumerate(arns)))
        assert [row[0] for row in con.execute(f"SELECT {asked.sql()} FROM t ORDER BY n").fetchall()] == expected


@pytest.mark.parametrize("end", ["/", "-x"])
def test_thousands_of_prefixes_fit_the_limits_of_polars(end: str) -> None:
    """H50: a regular expression of all of them would be too large."""
    pl = pytest.importorskip("polars", reason="its regular expressions have a limit")
    target, column = PolarsTarget({}), Column("resource")
    prefixes = tuple(f"arn:aws:s3:::some-longer-name-of-a-bucket-{at}{end}" for at in range(5_000))
    frame = pl.DataFrame({"resource": [f"{prefixes[4_999]}y", f"{prefixes[0]}", prefixes[7][:-1], "x", None]})
    assert frame.with_columns(found=target.starts_with((column,), prefixes))["found"].to_list() == [
        True,
        True,
        False,
        False,
        False,
    ]


@pytest.mark.parametrize("dialect", ["mysql", "sqlserver", "oracle"])
def test_dialect_without_binary_comparison_is_refused(dialect: str) -> None:
    """H69."""
    with pytest.raises(fastiam.NotExpressible, match="compare text by bytes"):
        ENGINES["equal"].filter(ROLE, "s3:GetObject").sql(dialect)
    with pytest.raises(fastiam.RequestValueError, match="did you mean `duckdb`"):
        ENGINES["equal"].filter(ROLE, "s3:GetObject").sql("duckbd")


def typed() -> fastiam.Engine:
    """A Deny unless the account, the flag and the price have certain texts."""
    tests = [
        {"StringNotEquals": {"app:account": "012345678901"}},
        {"StringNotEquals": {"app:flag": "true"}},
        {"StringNotEquals": {"app:price": "1"}},
    ]
    denies = [{"Effect": "Deny", "Resource": f"{BUCKET}/{at}", "Condition": test} for at, test in enumerate(tests)]
    return engine_of({}, *denies)


TYPED: dict[str, list[Any]] = {
    "resource": [f"{BUCKET}/{at}" for at in (0, 0, 1, 1, 2, 2)],
    "account": [12345678901, None, None, None, None, None],
    "flag": [None, None, True, False, None, None],
    "price": [None, None, None, None, 1.0, 1.5],
}
TYPED_COLUMNS = {"app:account": "account", "app:flag": "flag", "app:price": "price"}


def test_apply_reads_typed_columns_as_decide_many() -> None:
    """H70: a number has no leading zero, a bool is `true`, and a float has its canonical text, in the prefilter too."""
    pl = pytest.importorskip("polars", reason="frames with types")
    duckdb = pytest.importorskip("duckdb", reason="relations with types")
    pa = pytest.importorskip("pyarrow", reason="tables with types")
    asked = typed().filter(ROLE, "s3:GetObject", columns=TYPED_COLUMNS)
    expected = [f"{BUCKET}/1", f"{BUCKET}/2"]
    assert [
        row["resource"] for row in asked.apply([dict(zip(TYPED, row, strict=True)) for row in zip(*TYPED.values(), strict=True)])
    ] == expected
    assert asked.apply(TYPED)["resource"] == expected
    frame = pl.DataFrame(TYPED)
    assert asked.apply(frame)["resource"].to_list() == expected
    assert asked.apply(frame.lazy()).collect()["resource"].to_list() == expected
    assert asked.apply(frame.to_pandas())["resource"].tolist() == expected
    assert asked.apply(pa.table(TYPED))["resource"].to_pylist() == expected
    assert asked.apply(pa.table(TYPED).to_reader()).read_all()["resource"].to_pylist() == expected
    with duckdb.connect() as con:
        relation = con.from_arrow(pa.table(TYPED))
        assert [row[0] for row in asked.apply(relation, connection=con).fetchall()] == expected
        assert asked.apply(relation, connection=con).columns == list(TYPED)
    with pytest.raises(fastiam.RequestValueError, match="is not a frame"):
        asked.apply(7)


def test_expression_over_a_column_of_another_type_is_an_error() -> None:
    """H70: it is cast where `types` has it, and raises otherwise: no comparison is silently false."""
    pl = pytest.importorskip("polars", reason="frames with types")
    duckdb = pytest.importorskip("duckdb", reason="tables with types")
    pa = pytest.importorskip("pyarrow", reason="tables with types")
    asked = typed().filter(ROLE, "s3:GetObject", columns={"app:account": "account", "app:flag": "flag"})
    frame, table = pl.DataFrame(TYPED), duckdb.from_arrow(pa.table(TYPED))
    with pytest.raises(pl.exceptions.PolarsError):
        frame.filter(asked.polars())
    with pytest.raises(duckdb.BinderException, match="collations are only supported for type varchar"):
        table.filter(asked.sql())
    types = {"account": "integer", "flag": "bool"}
    expected = [f"{BUCKET}/1"]  # a price has no column, so that the third Deny applies
    assert frame.filter(asked.polars(types=types))["resource"].to_list() == expected
    assert [row[0] for row in table.filter(asked.sql(types=types)).fetchall()] == expected
    with pytest.raises(fastiam.RequestValueError, match="`float` is not a type of column"):
        asked.sql(types={"account": "float"})
    with sqlite3.connect(":memory:") as con:
        con.execute("CREATE TABLE t (resource TEXT, account INTEGER, flag INTEGER)")
        con.executemany("INSERT INTO t VALUES (?, ?, ?)", zip(TYPED["resource"], TYPED["account"], TYPED["flag"], strict=True))
        assert [row[0] for row in con.execute(f"SELECT resource FROM t WHERE {asked.sql('sqlite', types=types)}")] == expected
    con.close()


def test_categories_are_cast_to_text() -> None:
    """H70."""
    pl = pytest.importorskip("polars", reason="frames with categories")
    asked = ENGINES["equals"].filter(ROLE, "s3:GetObject", **GIVEN)
    frame = pl.DataFrame(
        {"resource": [BUCKET] * 3, "tag": ["red", "RED", None]},
        schema={"resource": pl.Categorical, "tag": pl.Enum(["red", "RED"])},
    )
    assert asked.apply(frame)["tag"].to_list() == ["red"]
    assert frame.filter(asked.polars(types={"resource": "text", "tag": "text"}))["tag"].to_list() == ["red"]


def test_many_prefixes_are_a_shallow_expression() -> None:
    """SQLite has a depth of 1,000 expressions; other libraries recurse over theirs."""
    engine = engine_of({"Resource": [f"{BUCKET}/{i}-*" for i in range(2_500)]})
    asked = engine.filter(ROLE, "s3:GetObject")
    rows = {"resource": [f"{BUCKET}/0-x", f"{BUCKET}/2499-x", f"{BUCKET}/2500-x", None]}
    for name, form in {**FORMS, **LIBRARIES}.items():
        if name not in ("ibis", "datafusion"):
            assert form(asked, rows) == [True, True, False, False], name


@pytest.mark.parametrize("library", ["polars", "lazy", "pandas", "pyarrow", "duckdb"])
def test_filter_of_no_rows_is_a_predicate_of_narwhals(library: str) -> None:
    nw = pytest.importorskip("narwhals", reason="the expression is one of narwhals")
    pl = pytest.importorskip("polars", reason="it makes the frames")
    duckdb = pytest.importorskip("duckdb", reason="one of the libraries")
    asked = engine_of({"Action": "iam:*"}).filter(ROLE, "s3:GetObject")
    assert asked.kind == "never"
    frame = pl.DataFrame({"key": [1, None], "resource": [f"{BUCKET}/1", f"{BUCKET}/2"]})
    native = {
        "polars": lambda: frame,
        "lazy": frame.lazy,
        "pandas": frame.to_pandas,
        "pyarrow": frame.to_arrow,
        "duckdb": lambda: duckdb.from_arrow(frame.to_arrow()),
    }[library]()
    found = nw.from_native(native).filter(asked.narwhals())
    found = found.collect() if isinstance(found, nw.LazyFrame) else found
    assert found["resource"].to_list() == []


def test_sqlite_does_not_allow_a_text_with_a_null_character() -> None:
    """A glob of SQLite ends at it: `arn:aws:s3:::data/\\0` followed by anything would match what comes before it."""
    rows = {"resource": [f"{BUCKET}/x/end", f"{BUCKET}/x/end\0y", f"{BUCKET}/x\0/end"]}
    asked = ENGINES["glob"].filter(ROLE, "s3:GetObject")
    assert sqlite_form(asked, rows) == [True, False, False]
    denied = ENGINES["deny glob"].filter(ROLE, "s3:GetObject")
    assert sqlite_form(denied, rows) == [False, False, False]


# -- apply ---------------------------------------------------------------------------------------------------------------------


def frames() -> dict[str, tuple[Any, Callable[[Any], list[Any]]]]:
    """A table of buckets and keys in each library, and the keys of a frame."""
    pl = pytest.importorskip("polars", reason="frames of Polars")
    nw = pytest.importorskip("narwhals", reason="frames of narwhals")
    pa = pytest.importorskip("pyarrow", reason="tables of pyarrow")
    columns: dict[str, list[Any]] = {"bucket": ["data", "data", "other", None, "data"], "key": ["ä/1", "b/2", "ä/3", "ä/4", None]}
    frame, table = pl.DataFrame(columns), pa.table(columns)
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return {
        "polars": (frame, lambda found: found["key"].to_list()),
        "lazy": (frame.lazy(), lambda found: found.collect()["key"].to_list()),
        "narwhals": (nw.from_native(frame), lambda found: found["key"].to_list()),
        "pandas": (frame.to_pandas(), lambda found: found["key"].tolist()),
        "pyarrow": (table, lambda found: found["key"].to_pylist()),
        "batch": (table.to_batches()[0], lambda found: found["key"].to_pylist()),
        "reader": (table.to_reader(), lambda found: found.read_all()["key"].to_pylist()),
        "mapping": (columns, lambda found: found["key"]),
        "list": (rows, lambda found: [row["key"] for row in found]),
    }


@pytest.mark.parametrize("library", ["polars", "lazy", "narwhals", "pandas", "pyarrow", "batch", "reader", "mapping", "list"])
def test_apply_to_a_template_keeps_the_columns_of_the_frame(library: str) -> None:
    """H71: the ARN is made for the decisions, and the result does not have it."""
    asked = ENGINES["prefix"].filter(ROLE, "s3:GetObject", resource="arn:aws:s3:::{bucket}/{key}")
    frame, keys = frames()[library]
    assert keys(asked.apply(frame)) == ["ä/1"]
    with pytest.raises(fastiam.RequestValueError, match="nothing"):
        ENGINES["prefix"].filter(ROLE, "s3:GetObject", resource="arn:aws:s3:::{nothing}").apply(frames()[library][0])


def test_apply_to_a_relation_keeps_its_columns() -> None:
    duckdb = pytest.importorskip("duckdb", reason="relations of DuckDB")
    asked = ENGINES["prefix"].filter(ROLE, "s3:GetObject", resource="arn:aws:s3:::{bucket}/{the key}")
    with duckdb.connect() as con:
        con.execute(
            """CREATE TABLE t AS FROM (VALUES ('data', 'ä/1', 1), ('data', 'b', 2), (NULL, 'x', 3)) AS t(bucket, "the key", n)"""
        )
        found = asked.apply(con.table("t"), connection=con)
        assert (found.columns, found.fetchall()) == (["bucket", "the key", "n"], [("data", "ä/1", 1)])
        with pytest.raises(fastiam.RequestValueError, match="the frame has no column `the key`"):
            asked.apply(con.sql("SELECT bucket FROM t"), connection=con)
    with pytest.raises(fastiam.RequestValueError, match="only relations of DuckDB"):
        asked.apply([], connection=con)


def test_apply_passes_sessions_constants_and_owners() -> None:
    """Everything that the filter was made with decides the rows."""
    inside = {"StringEquals": {"app:x": ["a", "b"], "aws:PrincipalTag/team": "red"}, "BinaryEquals": {"app:y": "QUI="}}
    condition = {"ForAnyValue:StringEquals": {"aws:CalledVia": "x"}, **inside}
    session = fastiam.Session(f"arn:aws:sts::{A}:assumed-role/etl/run", kind="ROLE", issuer=ROLE, tags={"team": "red"})
    context = {"app:x": "b", "app:y": b"AB", "aws:CalledVia": ["w", "x"], "app:none": None, "app:number": 3}
    engine = engine_of({"Condition": condition})
    asked = engine.filter(session, "s3:GetObject", context=context, resource_account="owner")
    rows = [{"resource": BUCKET, "owner": owner} for owner in (A, B, None, "12")]
    assert asked.apply(rows) == [rows[0], rows[2]]
    assert engine.filter(ROLE, "s3:GetObject", context=context).apply([{"resource": BUCKET}]) == []


def test_letters_that_fold_to_ascii_are_known() -> None:
    """H43: a comparison without case is a set of characters per letter, also of those beyond ASCII that fold to it."""
    expected: dict[str, set[str]] = {}
    for letter in map(chr, range(0x80, sys.maxunicode + 1)):
        if not 0xD800 <= ord(letter) <= 0xDFFF and fold_char(letter).isascii():
            expected.setdefault(fold_char(letter), set()).add(letter)
    found = {
        letter: {one for one in patterns.ignoring_case(letter)[0].characters if not one.isascii()}
        for letter in string.ascii_lowercase
    }
    assert {letter: beyond for letter, beyond in found.items() if beyond} == expected
