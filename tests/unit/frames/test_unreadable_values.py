"""Values that tests of statements cannot read (C22): the summary and the column `unreadable` of a frame name them."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from arro3.core import Array, DataType
from hypothesis import example, given
from hypothesis import strategies as st

import fastiam
from fastiam import Engine, UnreadableValues
from fastiam.engine.unreadable_values import UnreadableReport
from fastiam.frames.arguments import FrameArguments
from fastiam.frames.batch import decide_batch
from fastiam.spec.operators import OPERATORS

ANA = "arn:aws:iam::111111111111:user/ana"
TESTS = {  # key: operator, a value of a policy, and what the operator reads
    "app:level": ("NumericLessThan", "5", "number"),
    "app:until": ("DateLessThanIfExists", "2030-01-01", "date"),
    "app:open": ("Bool", "true", "boolean"),
    "app:digest": ("ForAnyValue:BinaryEquals", "YQ==", "base64 text"),
    "aws:SourceIp": ("NotIpAddress", "10.0.0.0/8", "IP address"),
    "aws:SourceArn": ("ArnLike", "arn:aws:s3:::*", "ARN"),
    "app:name": ("StringLike", "a*", ""),
}
WORDS = ["", "5", "05", "1e3", "5 ", "2026", "2026-11-25T09:00:00Z", "2026-02-30", "TRUE", "yes", "YQ==", "YQ=", "10.0.0.1"]
WORDS += ["999.1.2.3", "10.0.0.0/8", "::1", "arn:aws:s3:::a", "arn:aws:s3", "*", "é", "0", "1", "true", "192.0.2.1", "a,b"]


def _engine(tests: dict[str, tuple[str, str, str]] = TESTS) -> Engine:
    directory = fastiam.Directory("lenient")
    statements = [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]
    for key, (operator, value, _) in tests.items():
        statements.append({"Effect": "Deny", "Action": "s3:Put*", "Resource": "*", "Condition": {operator: {key: value}}})
    directory.add_principal(ANA, identity_policies=[{"Version": "2012-10-17", "Statement": statements}])
    return directory.compile()


ENGINE = _engine()
PUT: dict[str, Any] = {"principal": fastiam.lit(ANA), "action": fastiam.lit("s3:PutObject"), "resource": fastiam.lit("*")}


def _marks(columns: dict[str, Any], engine: Engine = ENGINE) -> list[str | None]:
    decided = pa.table(engine.decide_frame(pa.table(columns), **PUT, add=["unreadable"], keep=False, on_error="deny"))
    return decided.column("unreadable").to_pylist()


@given(st.lists(st.sampled_from(WORDS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=12), min_size=1, max_size=20))
@example(WORDS)
def test_rows_are_marked_where_the_specification_cannot_read(values: list[str]) -> None:
    for key, (operator, _, kind) in TESTS.items():
        base = operator.removesuffix("IfExists").rpartition(":")[2]
        expected = [key if kind and OPERATORS[base].read_context(value) is None else None for value in values]
        assert _marks({key: values}) == expected, key


@given(st.lists(st.none() | st.sampled_from(WORDS), min_size=1, max_size=30))
@example([None, None])
def test_coded_columns_have_the_marks_of_their_rows(values: list[str | None]) -> None:
    arrays = {key: Array(values, type=DataType.utf8()) for key in TESTS}
    found = UnreadableReport(ENGINE, arrays, len(values))
    by_rows = UnreadableReport(ENGINE, dict.fromkeys(TESTS, values), len(values))
    assert list(found.column()) == list(by_rows.column()) and found.counts() == by_rows.counts()


def test_lists_are_marked_by_their_items() -> None:
    rows = [["YQ==", "?"], ["YQ=="], [], None, ["Yg==", "YQ=="], ["?", "!"]]
    marks = _marks({"app:digest": pa.array(rows, pa.list_(pa.string()))})
    assert marks == ["app:digest", None, None, None, None, "app:digest"]


def test_summary_counts_rows_and_values_of_each_key() -> None:
    frame = pl.DataFrame(
        {"aws:SourceIp": ["999.1.2.3", "10.0.0.1", None, "999.1.2.3", "host"], "app:level": ["high", "1", "2", "3", ""]}
    )
    decided, summary = ENGINE.decide_frame_with_summary(frame, **PUT, add=["unreadable"])
    assert decided["unreadable"].to_list() == ["aws:SourceIp, app:level", None, None, "aws:SourceIp", "aws:SourceIp, app:level"]
    assert summary.unreadable == (
        UnreadableValues("aws:SourceIp", "IP address", 3, ("999.1.2.3", "host")),
        UnreadableValues("app:level", "number", 2, ("high", "")),
    )
    assert "           3   60.0%  `aws:SourceIp`: 2 values cannot be read as an IP address, such as `999.1.2.3`" in str(summary)
    both = summary + summary
    assert [(one.rows, one.values) for one in both.unreadable] == [(6, ("999.1.2.3", "host")), (4, ("high", ""))]


def test_rows_with_an_indeterminate_denial_are_marked() -> None:  # F6
    engine = _engine({"aws:SourceIp": TESTS["aws:SourceIp"]})
    decisions = [engine.decide(ANA, "s3:PutObject", "*", {"aws:SourceIp": value}) for value in WORDS]
    marks = _marks({"aws:SourceIp": WORDS}, engine)
    assert [decision.indeterminate for decision in decisions] == [mark is not None for mark in marks]
    assert 0 < sum(decision.indeterminate for decision in decisions) < len(WORDS)


LIBRARIES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "polars": pl.DataFrame,
    "polars lazy": pl.LazyFrame,
    "pandas": pd.DataFrame,
    "pyarrow": pa.table,
    "duckdb": lambda columns: duckdb.from_arrow(pa.table(columns)),
    "mapping": dict,
}


@pytest.mark.parametrize("library", LIBRARIES)
def test_frame_of_each_library_has_the_marks(library: str) -> None:
    frame = LIBRARIES[library]({"aws:SourceIp": ["999.1.2.3", "10.0.0.1"]})
    decided = ENGINE.decide_frame(frame, **PUT, add=["unreadable"], keep=False)
    if isinstance(decided, pl.LazyFrame):
        decided = decided.collect()
    if isinstance(decided, pd.DataFrame):
        decided = pa.Table.from_pandas(decided)
    if isinstance(decided, duckdb.DuckDBPyRelation):
        decided = decided.to_arrow_table()
    assert pa.table(decided).column("unreadable").to_pylist() == ["aws:SourceIp", None]


def test_row_that_is_allowed_is_not_marked() -> None:
    actions = ["s3:GetObject", "s3:PutObject", "s3:GetObject"]
    columns = {"action": actions, "aws:SourceIp": ["host"] * 3, "app:digest": [["?"], ["?", "YQ=="], ["?"]]}
    for frame in (pa.table(columns), {**columns, "aws:SourceIp": Array(["host"] * 3, type=DataType.utf8())}):
        found = ENGINE.decide_frame(frame, **{**PUT, "action": "action"}, add=["allowed", "unreadable"], keep=False)
        decided = pa.table(found).to_pydict()
        assert decided == {"allowed": [True, False, True], "unreadable": [None, "aws:SourceIp, app:digest", None]}


def test_constant_marks_all_rows() -> None:
    given = {**PUT, "context": {"aws:SourceIp": fastiam.lit("host")}}
    decided, summary = ENGINE.decide_frame_with_summary(pl.DataFrame({"id": [1, 2, 3]}), **given, add=["unreadable"])
    assert decided["unreadable"].to_list() == ["aws:SourceIp"] * 3
    assert [(one.rows, one.values) for one in summary.unreadable] == [(3, ("host",))]


@pytest.mark.parametrize("read", ["aws:ResourceTag/level", "iam:ResourceTag/level"])
@pytest.mark.parametrize("given", ["aws:ResourceTag/level", "iam:ResourceTag/level"])
def test_tag_is_marked_where_a_decision_rests_on_it(given: str, read: str) -> None:
    directory = fastiam.Directory("lenient")
    deny = {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"NumericLessThan": {read: "5"}}}
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}, deny]}
    directory.add_principal(ANA, identity_policies=[policy])
    engine, role = directory.compile(), "arn:aws:iam::111111111111:role/x"
    options = {**PUT, "action": fastiam.lit("iam:GetRole"), "resource": fastiam.lit(role)}
    decided = engine.decide_frame({given: ["high", "1"]}, **options, add=["unreadable"], keep=False)
    marks = pa.table(decided).column("unreadable").to_pylist()
    assert [mark is not None for mark in marks] == [
        engine.decide(ANA, "iam:GetRole", role, {given: value}).indeterminate for value in ("high", "1")
    ]


def test_engine_from_a_file_reports_the_same(tmp_path: Path) -> None:
    ENGINE.save(tmp_path / "e.fastiam")
    assert _marks({"app:level": ["high", "1"]}, Engine.load(tmp_path / "e.fastiam")) == ["app:level", None]


def test_key_that_no_typed_operator_tests_is_not_reported() -> None:
    _, summary = ENGINE.decide_frame_with_summary(pl.DataFrame({"app:name": ["a"], "app:other": ["x"]}), **PUT)
    assert summary.unreadable == () and "cannot read" not in str(summary)


@pytest.mark.parametrize("options", [{}, {"with_summary": True}, {"add": ("unreadable",)}], ids=str)
def test_columns_are_kept_for_a_report_that_is_asked_for(options: dict[str, Any]) -> None:
    class Column(list[str]):
        """A list that can have a weak reference."""

    column = Column(["host"])
    kept = weakref.ref(column)
    arguments = FrameArguments(**PUT, **options)
    decisions = decide_batch(ENGINE, arguments, arguments.read(["aws:SourceIp"]), {"aws:SourceIp": column}.__getitem__, 1)
    del column
    gc.collect()
    assert (kept() is not None) == bool(options) and len(decisions) == 1
