"""Columns in: whatever a producer hands over reads as the texts that single requests would have (C24)."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from collections import UserList
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from fastiam.errors import RequestValueError, ShapeError
from fastiam.kernel.columns.read import check_lengths, read_column
from fastiam.kernel.testing import column_texts

TEXTS = ["arn:aws:iam::111122223333:role/a", "", None, "é" * 9, "x" * 40, "", "\U0001f512 nul \0 inside"]
PLAIN = ["b", "a", "b"]


def read(obj: object, kind: str = "context", **options: Any) -> list[Any]:
    return column_texts(read_column(obj, "c", kind=kind, **options))


def relation(values: Sequence[object], type_: str) -> pa.Table:
    """The result of a query, one column in this order, that came through DuckDB's own storage."""
    connection = duckdb.connect()
    connection.execute(f"create table t (i integer, v {type_})")
    connection.executemany("insert into t values (?, ?)", list(enumerate(values)))
    return connection.sql("select v from t order by i").to_arrow_table()


TEXT_PRODUCERS = {
    "list": TEXTS,
    "tuple": tuple(TEXTS),
    "other sequence": UserList(TEXTS),
    "NumPy objects": np.array(TEXTS, object),
    "NumPy objects, strided": np.array([t for t in TEXTS for _ in (0, 1)], object)[::2],
    "NumPy StringDType": np.array(TEXTS, np.dtypes.StringDType(na_object=None)),
    "NumPy StringDType, NaN": np.array([np.nan if t is None else t for t in TEXTS], np.dtypes.StringDType(na_object=np.nan)),
    "Arrow string": pa.array(TEXTS),
    "Arrow large_string": pa.array(TEXTS, pa.large_string()),
    "Arrow string_view": pa.array(TEXTS, pa.string_view()),
    "Arrow slice": pa.array(["zz", None, *TEXTS, "zz"]).slice(2, len(TEXTS)),
    "Arrow view slice": pa.array(["zz" * 20, None, *TEXTS, "zz"], pa.string_view()).slice(2, len(TEXTS)),
    "Arrow chunks": pa.chunked_array([TEXTS[:1], [], TEXTS[1:4], TEXTS[4:]], pa.string()),
    "Arrow dictionary": pa.array(TEXTS).dictionary_encode(),
    "Arrow dictionary slice": pa.array(["zz", *TEXTS]).dictionary_encode().slice(1),
    "Arrow dictionary chunks": pa.chunked_array([pa.array(TEXTS[:3]), pa.array(TEXTS[3:])]).dictionary_encode(),
    "Arrow batch column": pa.record_batch({"a": TEXTS}).column(0),
    "Arrow batch of one column": pa.record_batch({"a": TEXTS}),
    "Arrow table of one column": pa.table({"a": pa.chunked_array([TEXTS[:2], TEXTS[2:]])}),
    "Arrow table slice": pa.table({"a": ["zz", *TEXTS, "zz"]}).slice(1, len(TEXTS)),
    "Polars": pl.Series(TEXTS),
    "Polars slice": pl.Series(["zz", *TEXTS, "zz"])[1:-1],
    "Polars chunks": pl.concat([pl.Series(TEXTS[:3]), pl.Series(TEXTS[3:])], rechunk=False),
    "Polars Categorical": pl.Series(TEXTS, dtype=pl.Categorical),
    "Polars Enum": pl.Series(TEXTS, dtype=pl.Enum([t for t in dict.fromkeys(TEXTS[::-1]) if t is not None])),
    "Polars frame of one column": pl.DataFrame({"a": TEXTS}),
    "pandas": pd.Series(TEXTS),
    "pandas objects": pd.Series(TEXTS, dtype=object),
    "pandas on pyarrow": pd.Series(TEXTS, dtype=pd.ArrowDtype(pa.string())),
    "pandas Categorical": pd.Series(TEXTS, dtype="category"),
    "DuckDB": relation(TEXTS, "varchar"),
}
TEXT_PRODUCERS |= {
    f"Arrow dictionary by {code}": pa.DictionaryArray.from_arrays(
        pa.array([None if t is None else TEXTS.index(t) for t in TEXTS], code), pa.array(TEXTS)
    )
    for code in (pa.int8(), pa.uint8(), pa.int16(), pa.uint16(), pa.int32(), pa.uint32(), pa.int64(), pa.uint64())
}
TEXT_PRODUCERS |= {
    f"Arrow dictionary of {values}": pa.DictionaryArray.from_arrays(
        pa.array([0, 1, 2, 3, 4, 1, 6], pa.int8()), pa.array(TEXTS, values)
    )
    for values in (pa.string(), pa.large_string(), pa.string_view())
}


TEXT_PRODUCERS |= {
    f"Arrow dictionary of {values} in batches": pa.chunked_array(
        [coded.slice(at, n) for coded in [TEXT_PRODUCERS[f"Arrow dictionary of {values}"]] for at, n in ((0, 2), (2, 1), (3, 4))]
    )
    for values in (pa.string(), pa.large_string(), pa.string_view())
}


@pytest.mark.parametrize("kind", ["text", "context"])
@pytest.mark.parametrize("name", TEXT_PRODUCERS)
def test_text_reads_equally_from_every_producer(name: str, kind: str) -> None:
    assert read(TEXT_PRODUCERS[name], kind) == TEXTS


@pytest.mark.parametrize("array", [np.array(PLAIN), np.array(PLAIN, ">U9"), np.array(["b", "", "a", "", "b"])[::2]])
def test_numpy_fixed_width_text_reads_equally(array: Any) -> None:
    assert read(array, "text") == PLAIN


def coded_batches(*dictionaries: pa.Array, codes: Sequence[int] = (0, 1)) -> pa.ChunkedArray:
    """A batch with the same codes for each dictionary."""
    return pa.chunked_array([pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), one) for one in dictionaries])


def test_dictionaries_sharing_memory_are_distinguished() -> None:
    values = pa.array(["a", "b", "c", None])
    batches = coded_batches(values, values[1:], values[2:], values[:2], values)
    assert read(batches) == ["a", "b", "b", "c", "c", None, "a", "b", "a", "b"]
    numbers = pa.array([1, 2, 3])
    assert read(coded_batches(numbers, numbers[1:], numbers, numbers)) == ["1", "2", "2", "3", "1", "2", "1", "2"]


def test_bad_dictionary_value_is_reported_for_each_batch() -> None:
    broken = pa.array([b"a", b"\xff", b"c"]).view(pa.string())
    errors: dict[int, Exception] = {}
    assert read(coded_batches(broken, broken, codes=[0, 1, 2]), errors=errors) == ["a", None, "c"] * 2
    assert set(errors) == {1, 4}


@pytest.mark.parametrize("n_batches", [1, 2, 3])
def test_large_dictionary_unused_bad_values_are_ignored(n_batches: int) -> None:
    values = [b"%d" % i for i in range(1000)]
    values[7] = values[500] = b"\xff"
    broken = pa.array(values).view(pa.string())
    errors: dict[int, Exception] = {}
    assert read(coded_batches(*[broken] * n_batches, codes=[3, 7, 999]), errors=errors) == ["3", None, "999"] * n_batches
    assert set(errors) == {1 + 3 * i for i in range(n_batches)}
    assert read(coded_batches(*[broken] * n_batches, codes=[3, 999])) == ["3", "999"] * n_batches


@pytest.mark.parametrize("type_", [pa.int8(), pa.uint16(), pa.int32(), pa.int64()], ids=str)
@pytest.mark.parametrize("code", [-1, 127])
def test_large_dictionary_code_out_of_range_is_reported(type_: pa.DataType, code: int) -> None:
    codes = pa.array([1, code], pa.int64()).cast(type_, safe=False)
    column = pa.DictionaryArray.from_arrays(codes, pa.array([str(i) for i in range(100)]), safe=False)
    with pytest.raises(RequestValueError, match="row 1"):
        read(column)


def test_duckdb_enum_reads_as_text() -> None:
    assert read(relation(PLAIN, "enum('a', 'b')"), "text") == PLAIN


def test_duckdb_stream_keeps_chunks_in_order() -> None:
    column = read_column(duckdb.sql("select 'user-' || range from range(300000)").to_arrow_reader(), "c", kind="text")
    assert (column.length, column.n_chunks > 1) == (300_000, True)
    assert column_texts(column) == [f"user-{i}" for i in range(300_000)]


MOMENT = datetime(2026, 5, 31, 23, 59, 59, tzinfo=UTC)
# values -> the texts of C24, with producers of each
CONTEXT_PRODUCERS: dict[str, tuple[object, list[object]]] = {
    "list of everything": (
        ["a", True, 5, 2.50, Decimal("1.20"), MOMENT, b"ab", None],
        ["a", "true", "5", "2.5", "1.2", "2026-05-31T23:59:59Z", "YWI=", None],
    ),
    "list of NumPy scalars": ([np.int8(5), np.float32(0.5), np.bool_(True), np.str_("a")], ["5", "0.5", "true", "a"]),
    "lists": ([["a", "b"], None, [], (1, True)], [["a", "b"], [], [], ["1", "true"]]),
    "NumPy lists": (np.array([["a"], None], object), [["a"], []]),
    "NumPy bool": (np.array([True, False]), ["true", "false"]),
    "NumPy int16": (np.array([-5, 300], np.int16), ["-5", "300"]),
    "NumPy big-endian": (np.array([-5, 300], ">i4"), ["-5", "300"]),
    "NumPy uint64": (np.array([2**64 - 1], np.uint64), ["18446744073709551615"]),
    "NumPy float32": (np.array([0.5, -2], np.float32), ["0.5", "-2"]),
    "NumPy float32, shortest": (np.array([0.1, 1 / 3, 1e20, -0.0, 16777216], np.float32),
                                ["0.1", "0.33333334", "100000000000000000000", "-0", "16777216"]),
    "NumPy float16, shortest": (np.array([0.1], np.float16), ["0.1"]),
    "NumPy scalar float32": (np.float32(0.1), ["0.1"]),
    "list of NumPy float32": ([np.float32(0.1), "a"], ["0.1", "a"]),
    "NumPy bytes": (np.array([b"ab"]), ["YWI="]),
    "NumPy masked": (np.ma.masked_array([1, 2, 1], [False, True, False]), ["1", None, "1"]),
    "NumPy masked text": (np.ma.masked_array(["a", "b"], [False, True]), ["a", None]),
    "NumPy scalar array": (np.array(5), ["5"]),
    "Arrow null": (pa.nulls(2), [None, None]),
    "Arrow bool": (pa.array([True, None, False, True]).slice(1), [None, "false", "true"]),
    "Arrow int64": (pa.array([-(2**63), None, 0, 5]).slice(1), [None, "0", "5"]),
    "Arrow lowest": (pa.array([-(2**63)]), ["-9223372036854775808"]),
    "Arrow float": (pa.array([0.1, 1e21, None, 5.0]), ["0.1", "1000000000000000000000", None, "5"]),
    "Arrow float32": (pa.array([9.0, 0.1, None, 0.1], pa.float32()).slice(1), ["0.1", None, "0.1"]),
    "Arrow list of float32": (pa.array([[0.5], [0.1, 0.7]], pa.list_(pa.float32())).slice(1), [["0.1", "0.7"]]),
    "Arrow dictionary of float32": (pa.array([0.1, None], pa.float32()).dictionary_encode(), ["0.1", None]),
    "Arrow float16": (pa.array([1.5], pa.float16()), ["1.5"]),
    "Arrow decimal": (pa.array([Decimal("12345678901234567890123456789012345.670"), None], pa.decimal128(38, 3)),
                      ["12345678901234567890123456789012345.67", None]),
    "Arrow decimal256": (pa.array([Decimal("-1.5")], pa.decimal256(60, 2)), ["-1.5"]),
    "Arrow decimal64": (pa.array([Decimal("-1.5")], pa.decimal64(10, 2)), ["-1.5"]),
    "Arrow decimal of negative scale": (pa.array([Decimal("1200")], pa.decimal128(5, -2)), ["1200"]),
    "Arrow binary": (pa.array([b"ab", None]), ["YWI=", None]),
    "Arrow binary_view": (pa.array([b"a" * 15, None], pa.binary_view()), ["YWFhYWFhYWFhYWFhYWFh", None]),
    "Arrow seconds": (pa.array([1_780_271_999], pa.timestamp("s", "UTC")), ["2026-05-31T23:59:59Z"]),
    "Arrow zone": (pa.array([MOMENT], pa.timestamp("ms", "Asia/Tokyo")), ["2026-05-31T23:59:59Z"]),
    "Arrow microseconds": (pa.array([MOMENT + timedelta(microseconds=5)], pa.timestamp("us", "UTC")),
                           ["2026-05-31T23:59:59.000005Z"]),
    "Arrow nanoseconds": (pa.array([1_780_271_999_000_000_005], pa.timestamp("ns", "UTC")), ["2026-05-31T23:59:59.000000005Z"]),
    "Arrow dictionary of ints": (pa.array([7, None, 7]).dictionary_encode(), ["7", None, "7"]),
    "Arrow dictionary of bool": (pa.array([True, False, True]).dictionary_encode(), ["true", "false", "true"]),
    "Arrow dictionary of binary": (pa.array([b"ab", None, b"ab"]).dictionary_encode(), ["YWI=", None, "YWI="]),
    "Arrow list": (pa.array([["a", "b"], None, [], ["c"]]), [["a", "b"], [], [], ["c"]]),
    "Arrow list slice": (pa.array([["a", "b"], None, [], ["c", "d"]]).slice(1), [[], [], ["c", "d"]]),
    "Arrow large list": (pa.array([["a"], ["b", "c"]], pa.large_list(pa.large_string())), [["a"], ["b", "c"]]),
    "Arrow list of dictionary": (pa.array([["a", "b"], ["a"]], pa.list_(pa.dictionary(pa.int8(), pa.string()))),
                                 [["a", "b"], ["a"]]),
    "Arrow list of ints, slice": (pa.array([[1, 2], [3], [4, 3]]).slice(1), [["3"], ["4", "3"]]),
    "Arrow list of bool, slice": (pa.array([[True], [False, True]]).slice(1), [["false", "true"]]),
    "Arrow list of binary, slice": (pa.array([[b"x"], [b"ab"]]).slice(1), [["YWI="]]),
    "Arrow list of decimals, slice": (pa.array([[Decimal("1.0")], [Decimal("2.5")]]).slice(1), [["2.5"]]),
    "Arrow list of nothing": (pa.array([[], None, []], pa.list_(pa.null())), [[], [], []]),
    "Arrow list of nothing, slice": (pa.array([[], None, []], pa.list_(pa.null())).slice(1), [[], []]),
    "Polars Null": (pl.Series([None, None]), [None, None]),
    "Polars Null, frame": (pl.DataFrame({"a": [None, None]}), [None, None]),
    "Polars list of Null": (pl.Series([[], []]), [[], []]),
    "Polars list of Null, and a null": (pl.Series([[], None]), [[], []]),
    "Polars list of Null, frame": (pl.DataFrame({"a": [[], None]})[1:], [[]]),
    "Polars Float32": (pl.Series([0.1, None], dtype=pl.Float32), ["0.1", None]),
    "Polars list": (pl.Series([["a"], None, ["b", "c"]])[1:], [[], ["b", "c"]]),
    "Polars Decimal": (pl.Series(["1.20", None]).cast(pl.Decimal(20, 2)), ["1.2", None]),
    "Polars Datetime": (pl.Series([MOMENT]).dt.convert_time_zone("America/New_York"), ["2026-05-31T23:59:59Z"]),
    "Polars Boolean": (pl.Series([True, None]), ["true", None]),
    "pandas Int64": (pd.Series([1, None], dtype="Int64"), ["1", None]),
    "pandas float, NaN is a null": (pd.Series([1.5, None]), ["1.5", None]),
    "pandas time": (pd.Series([MOMENT]), ["2026-05-31T23:59:59Z"]),
    "DuckDB integer": (relation([5, None], "bigint"), ["5", None]),
    "DuckDB hugeint": (relation([5, None], "decimal(38, 2)"), ["5", None]),
    "DuckDB boolean": (relation([True, None], "boolean"), ["true", None]),
    "DuckDB timestamptz": (relation([MOMENT], "timestamptz"), ["2026-05-31T23:59:59Z"]),
    "DuckDB list": (relation([["a", "b"], None], "varchar[]"), [["a", "b"], []]),
}  # fmt: skip


@pytest.mark.parametrize("name", CONTEXT_PRODUCERS)
def test_context_values_read_as_canonical_text(name: str) -> None:
    producer, expected = CONTEXT_PRODUCERS[name]
    column = read_column(producer, "c", kind="context")
    assert column_texts(column) == expected
    assert column.is_list == isinstance(expected[0], list)


@pytest.mark.parametrize(
    "array",
    [
        pa.array([0, 5]).cast(kind)
        for kind in (pa.int8(), pa.uint8(), pa.int16(), pa.uint16(), pa.int32(), pa.uint32(), pa.uint64())
    ]
    + [pa.array([0, 5]).cast(pa.float32()), pa.array([0.0, 5.0])],
    ids=lambda array: str(array.type),
)
def test_numbers_of_every_width_are_read(array: Any) -> None:
    assert read(array) == ["0", "5"]


# -- one value for all rows -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [("a", "a"), (5, "5"), (True, "true"), (2.5, "2.5"), (MOMENT, "2026-05-31T23:59:59Z"), (b"ab", "YWI="), (None, None)],
)
def test_single_value_applies_to_all_rows(value: object, text: str | None) -> None:
    column = read_column(value, "c", kind="context")
    assert (column.length, column_texts(column)) == (-1, [text])


def test_columns_of_equal_length_combine_with_single_values() -> None:
    three, one = read_column(PLAIN, "actions", kind="text"), read_column("*", "resources", kind="text")
    assert check_lengths({"resources": one, "actions": three}) == 3
    assert check_lengths({"resources": one}) == 1
    assert check_lengths({"actions": read_column([], "actions", kind="text")}) == 0


def test_column_length_mismatch_error_names_the_lengths() -> None:
    three, two = read_column(PLAIN, "actions", kind="text"), read_column(PLAIN[:2], "aws:SourceIp", kind="context")
    with pytest.raises(ShapeError, match="`actions` has 3 rows, `aws:SourceIp` has 2 rows"):
        check_lengths({"actions": three, "aws:SourceIp": two})
    with pytest.raises(ShapeError, match="has 0 rows"):
        check_lengths({"actions": three, "resources": read_column([], "resources", kind="text")})


# -- what is refused --------------------------------------------------------------------------------------------

NAIVE = datetime(2026, 5, 31)
# name -> (producer, kind, words in the message, words in the hint, row)
REFUSED: dict[str, tuple[object, str, str, str, int | None]] = {
    "ints as text": (pa.array([1]), "text", "type `int64` is not text", "pass text", None),
    "coded ints as text": (pa.array([1]).dictionary_encode(), "text", "type `dictionary(int32)<int64>` is", "pass text", None),
    "lists as text": (pa.array([["a"]]), "text", "type `list<item: string>` is not text", "pass text", None),
    "binary as text": (pa.array([b"a"]), "text", "type `binary` is not text", "pass text", None),
    "a table as a column": (pa.table({"a": ["x"], "b": ["y"]}), "text", "type `struct<a: string, b: string>`", "pass text", None),
    "structs of one field": (pa.array([{"a": "x"}]), "text", "type `struct<a: string>` is not text", "pass text", None),
    "Polars structs": (pl.Series([{"a": "x"}]), "context", "type `struct<a: string_view>` is not a context value", "", None),
    "chunks of structs": (pa.chunked_array([[{"a": 1}]]), "context", "type `struct<a: int64>` is not a context value", "", None),
    "an int in a list of text": (["a", 5], "text", "must be text, not `int`", "", 1),
    "NaN in a list of text": (["a", float("nan")], "text", "must be text, not `float`", "", 1),
    "an int in an object array": (np.array(["a", 5], object), "text", "must be text, not `int`", "", 1),
    "a NumPy column of ints as text": (np.array([1]), "text", "`int64` is not text", "astype", None),
    "one int as text": (5, "text", "must be text, not `int`", "", None),
    "None as text": (None, "text", "must be text, not None", "", None),
    "a set": ({"a"}, "text", "`set` has no order", "list", None),
    "a mapping": ({"a": "b"}, "context", "`dict` has no order", "list", None),
    "a generator": ((c for c in "ab"), "text", "`generator` is not a column", "list", None),
    "a bytearray": (bytearray(b"ab"), "context", "`bytearray` is not a column", "list", None),
    "a matrix": (np.zeros((2, 2)), "context", "2 dimensions", "column", None),
    "a lone surrogate": (["a", "\ud800"], "text", "lone surrogate", "", 1),
    "a lone surrogate in context": (["a", 1, "\ud800"], "context", "lone surrogate", "", 2),
    "a lone surrogate for all rows": ("\ud800", "text", "lone surrogate", "", None),
    "a lone surrogate in a NumPy array": (np.array(["a", "\udfff"]), "text", "lone surrogate", "", 1),
    "a naive datetime": ([MOMENT, NAIVE], "context", "needs a time zone", "timezone", 1),
    "a naive datetime for all rows": (NAIVE, "context", "needs a time zone", "timezone", None),
    "naive timestamps": (pa.array([NAIVE]), "context", "`timestamp('us', '')` is a timestamp without a time zone", "UTC", None),
    "naive Polars": (pl.Series([NAIVE]), "context", "without a time zone", "UTC", None),
    "naive pandas": (pd.Series([NAIVE]), "context", "without a time zone", "UTC", None),
    "naive lists": (pa.array([[NAIVE]]), "context", "without a time zone", "UTC", None),
    "datetime64": (np.array(["2026-05-31"], "M8[s]"), "context", "has no time zone", "datetime_as_string", None),
    "one datetime64": (np.datetime64("2026-05-31"), "context", "has no time zone", "datetime_as_string", None),
    "datetime64 in a list": ([np.datetime64("2026-05-31", "ns")], "context", "has no time zone", "datetime_as_string", 0),
    "dates": (pa.array([date(2026, 5, 31)]), "context", "type `date32` is no", "or to `pa.timestamp('s', 'UTC')`", None),
    "dates in milliseconds": (pa.array([date(2026, 5, 31)], pa.date64()), "context", "type `date64`", "to text", None),
    "lists of dates": (pa.array([[date(2026, 5, 31)]]), "context", "type `list<item: date32>`", "cast the column to text", None),
    "a date in a list": ([date(2026, 5, 31)], "context", "`date` is not a type", "text", 0),
    "durations": (pa.array([timedelta(1)]), "context", "type `duration('us')`", "pass text", None),
    "fixed lists": (pl.Series([["a"]], dtype=pl.Array(pl.String, 1)), "context", "`fixed_size_list(1)<item: ", "pa.list_(", None),
    "list views": (pa.array([["a"]], pa.list_view(pa.string())), "context", "type `list_view<item: string>`", "pa.list_(", None),
    "coded lists": (pa.DictionaryArray.from_arrays([0], pa.array([["a"]])), "context", "(int64)<list<", "_decode()", None),
    "a long type": (pa.array([{"a\n" * 99: 1, "b": 2}]), "context", "type `struct<a\\na\\na", "pass text", None),
    "lists of lists": (pa.array([[["a"]]]), "context", "type `list<item: list<item: string>>`", "pass text", None),
    "maps": (pa.array([[("a", "b")]], pa.map_(pa.string(), pa.string())), "context", "type `map<", "pass text", None),
    "runs": (pa.RunEndEncodedArray.from_arrays([1], ["a"]), "text", "type `run_end_encoded<", "run_end_decode(column)", None),
    "NaN": (pa.array([1.0, float("nan")]), "context", "`nan` is not a number", "the key is absent", 1),
    "infinity, under a slice": (pa.array([1.0, 1.0, float("-inf")]).slice(1), "context", "`-inf` is not", "the key is absent", 1),
    "NaN of NumPy": (np.array([1.0, np.nan]), "context", "`nan` is not a number", "masked", 1),
    "NaN of a dictionary": (pa.array([1.0, float("nan")]).dictionary_encode(), "context", "`nan` is not", "the key is absent", 1),
    "NaN in a list": (pa.array([[1.0], [], [2.0, float("nan")]]), "context", "`nan` is not", "the key is absent", 2),
    "a null in an Arrow list": (pa.array([["a"], ["b", None]]), "context", "holds a null", "", 1),
    "a null in an Arrow list of nulls": (pa.array([[], [None]]), "context", "holds a null", "", 1),
    "a null in a Polars list of nulls": (pl.Series([[], [None]]), "context", "holds a null", "", 1),
    "a null value of a dictionary in a list": (
        pa.ListArray.from_arrays([0, 1, 3], pa.DictionaryArray.from_arrays([0, 0, 1], pa.array(["a", None]))),
        "context", "holds a null", "", 1,
    ),
    "a DuckDB relation": (duckdb.sql("select 'a' as v"), "text", "`DuckDBPyRelation` is a query", "to_arrow_table()", None),
    "a DuckDB relation as context": (duckdb.sql("select 5 as v"), "context", "another order", "to_arrow_table()", None),
    "a lazy frame": (pl.LazyFrame({"a": ["x"]}), "text", "`LazyFrame` is a query", "run it once", None),
    "a null in a list": ([["a"], ["b", None]], "context", "`NoneType` is not a type", "", 1),
    "a value among lists": ([["a"], "b"], "context", "single value", "wrap", 1),
    "complex numbers": (np.array([1j]), "context", "`complex128`", "column", None),
    "an object": ([object()], "context", "`object` is not a type", "text", 0),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", REFUSED)
def test_unreadable_value_error_names_column_and_row(name: str) -> None:
    producer, kind, words, hint, row = REFUSED[name]
    with pytest.raises(RequestValueError) as caught:
        read_column(producer, "aws:UserAgent", kind=kind)
    assert words in caught.value.message
    assert hint in caught.value.hint
    assert (caught.value.column, caught.value.row) == ("aws:UserAgent", row)


@pytest.mark.parametrize(
    ("producer", "expected"),
    [
        (["a", "\ud800", None, NAIVE, 5], ["a", None, None, None, "5"]),
        (pa.chunked_array([[1.0], [float("nan"), None], [2.0, float("inf")]]), ["1", None, None, "2", None]),
        (np.array([1.0, np.nan, 2.0, np.inf]), ["1", None, "2", None]),
        (np.array(["a", "\udfff", "b"]), ["a", None, "b"]),
    ],
    ids=lambda value: str(type(value).__name__),
)
def test_collected_row_errors_make_values_null(producer: object, expected: list[str | None]) -> None:
    errors: dict[int, Exception] = {}
    assert read(producer, errors=errors) == expected
    nulls = [row for row, value in enumerate(expected) if value is None]
    assert set(errors) <= set(nulls) and len(errors) >= len(nulls) - 1
    assert all(isinstance(error, RequestValueError) and error.row == row for row, error in errors.items())


def test_column_error_is_raised_even_with_collected_errors() -> None:
    with pytest.raises(RequestValueError):
        read_column(NAIVE, "c", kind="context", errors={})
    with pytest.raises(RequestValueError):
        read_column(pa.array([1]), "c", kind="text", errors={})


# -- memory -----------------------------------------------------------------------------------------------------


def test_column_keeps_producer_memory_until_released() -> None:
    buffer = np.frombuffer(b"abcd", np.uint8).copy()
    gone = weakref.ref(buffer)
    ends = pa.py_buffer(np.array([0, 2, 4], np.int32))
    array = pa.Array.from_buffers(pa.string(), 2, [None, ends, pa.py_buffer(buffer)])
    column = read_column(array, "c", kind="text")
    del array, buffer
    gc.collect()
    assert gone() is not None and column_texts(column) == ["ab", "cd"]
    del column
    gc.collect()
    assert gone() is None


def test_arrow_text_is_not_copied() -> None:
    data = bytearray(b"abcd")
    array = pa.Array.from_buffers(pa.string(), 2, [None, pa.py_buffer(np.array([0, 2, 4], np.int32)), pa.py_buffer(data)])
    column = read_column(array, "c", kind="text")
    data[0:2] = b"zz"
    assert column_texts(column) == ["zz", "cd"]


def test_list_changed_after_read_keeps_column() -> None:
    values = ["".join(("a", str(i))) for i in range(3)]
    column = read_column(values, "c", kind="text")
    values[:] = []
    gc.collect()
    assert column_texts(column) == ["a0", "a1", "a2"]


WITHOUT_PYARROW = """
import sys
sys.modules["pyarrow"] = None
import pandas as pd
from datetime import datetime, timezone
from fastiam.kernel.testing import column_texts
from fastiam.kernel.columns.read import read_column
read = lambda obj, kind: column_texts(read_column(obj, "c", kind=kind))
assert read(pd.Series(["a", None, "é"]), "text") == ["a", None, "é"]
assert read(pd.Series(["a", None, "a"], dtype="category"), "text") == ["a", None, "a"]
assert read(pd.Series(["a", None], dtype=object), "text") == ["a", None]
assert read(pd.Series([1.5, None]), "context") == ["1.5", None]
assert read(pd.Series([1, None], dtype="Int64"), "context") == ["1", None]
assert read(pd.Series([True, False]), "context") == ["true", "false"]
moment = datetime(2026, 5, 31, tzinfo=timezone.utc)
assert read(pd.Series([moment, None]), "context") == ["2026-05-31T00:00:00Z", None]
"""


def test_pandas_is_read_without_pyarrow() -> None:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", WITHOUT_PYARROW], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_zoned_timestamps_are_instants() -> None:
    moment = datetime(2026, 6, 1, 8, tzinfo=timezone(timedelta(hours=9)))
    assert read([moment]) == read(pa.array([moment])) == ["2026-05-31T23:00:00Z"]
