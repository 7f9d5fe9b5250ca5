"""Columns of numbers and instants are written as `canonical_text` writes single values (C24), on every path."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fastiam.errors import RequestValueError
from fastiam.kernel.columns.read import distinct, read_column
from fastiam.kernel.testing import column_texts
from fastiam.model.request import canonical_text

MOMENT = datetime(2026, 5, 31, 23, 59, 59, tzinfo=UTC)


def read(obj: object) -> list[Any]:
    return column_texts(read_column(obj, "c", kind="context"))


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
@example([0, -1, 9, 10, -(2**63), 2**63 - 1])
def test_canonical_integers_equal_single_requests(values: list[int]) -> None:
    assert read(np.array(values, np.int64)) == [canonical_text(value, "c") for value in values]


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False)))
@example([0.0, -0.0, 2.0**53, 2.0**53 - 1, -(2.0**53), 5e-324, 1.7976931348623157e308, 1e16, 0.1])
def test_canonical_floats_equal_single_requests(values: list[float]) -> None:
    assert read(pa.array(values, pa.float64())) == [canonical_text(value, "c") for value in values]


@given(st.lists(st.datetimes(timezones=st.just(UTC))))
@example([datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC), datetime(1969, 12, 31, tzinfo=UTC)])
@example([datetime(2000, 2, 29, tzinfo=UTC), datetime(1900, 3, 1, tzinfo=UTC), datetime(1600, 12, 31, tzinfo=UTC)])
def test_canonical_instants_equal_single_requests(values: list[datetime]) -> None:
    assert read(pa.array(values, pa.timestamp("us", "UTC"))) == [canonical_text(value, "c") for value in values]


@pytest.mark.parametrize(
    ("unit", "first", "last"),
    [("s", -62_135_596_800, 253_402_300_799), ("ms", -62_135_596_800_000, 253_402_300_799_999)],
)
def test_instant_outside_years_1_to_9999_is_an_error(unit: str, first: int, last: int) -> None:
    kind = pa.timestamp(unit, "UTC")
    assert [text[:4] for text in read(pa.array([first, last]).cast(kind))] == ["0001", "9999"]
    for value in (first - 1, last + 1, -(2**63) + 1, 2**63 - 1):
        with pytest.raises(RequestValueError, match="outside the years 1 to 9999"):
            read(pa.array([value]).cast(kind))


@given(st.lists(st.integers(0, 2**64 - 1), max_size=50).flatmap(lambda pool: st.lists(st.sampled_from(pool or [0]))))
def test_distinct_values_get_one_code_each(values: list[int]) -> None:
    array = np.array(values, np.uint64)
    codes, firsts = distinct(array)
    assert len(firsts) == len(set(values))
    assert (array[firsts][codes] == array).all()


def test_distinct_value_table_grows() -> None:
    array = np.arange(50_000, dtype=np.uint64) << np.uint64(40)
    codes, firsts = distinct(array)
    assert (codes == np.arange(50_000)).all() and (firsts == np.arange(50_000)).all()


MANY = [MOMENT + timedelta(microseconds=i * i) for i in range(3_000)]  # too many for a table of distinct values


@pytest.mark.parametrize("name", ["plain", "nulls", "slice", "lists", "a slice of lists", "NumPy"])
def test_many_distinct_values_are_written_row_by_row(name: str) -> None:
    values: list[Any] = [None if i % 5 == 0 else value for i, value in enumerate(MANY)] if name == "nulls" else list(MANY)
    column: Any = pa.array(values, pa.timestamp("us", "UTC"))
    if name == "slice":
        column, values = column.slice(7), values[7:]
    if "lists" in name:
        column = pa.ListArray.from_arrays(list(range(0, 3_001, 3)), column)
        values = [values[i : i + 3] for i in range(0, 3_000, 3)]
    if name == "a slice of lists":
        column, values = column.slice(7), values[7:]
    if name == "NumPy":
        values = [int(value.timestamp()) for value in MANY]
        column = np.array([value - 2**60 * (i % 2) for i, value in enumerate(values)])
        values = column.tolist()
    expected = [
        [canonical_text(item, "c") for item in value] if isinstance(value, list) else value and canonical_text(value, "c")
        for value in values
    ]
    assert read(column) == expected


@pytest.mark.parametrize("start", [0, 7])
def test_bad_instant_error_names_its_row(start: int) -> None:
    values = [int(value.timestamp() * 1e6) for value in MANY]
    values[2_500] = 2**63 - 1
    lists = pa.ListArray.from_arrays(list(range(3_001)), pa.array(values).cast(pa.timestamp("us", "UTC")))
    for column in (pa.array(values).cast(pa.timestamp("us", "UTC")), lists):
        errors: dict[int, Exception] = {}
        read_column(column.slice(start), "c", kind="context", errors=errors)
        assert list(errors) == [2_500 - start]


@pytest.mark.parametrize(
    "values",
    [
        [True, None, False],
        [7, None, -(2**63)],
        [7, 2**63, None],
        [7, True],
        [0.5, -0.0, None, 1e22],
        [0.5, 1],
        [None, None],
        [None, "a", 3],
        [MOMENT, None, MOMENT.replace(microsecond=7)],
    ],
    ids=str,
)
def test_python_lists_equal_single_requests(values: list[Any]) -> None:
    assert read(values) == [value if value is None else canonical_text(value, "c") for value in values]


def test_floats_with_exponent_are_written_among_others() -> None:
    values = [1e300, 0.5, -1e-7, 3.0, 1e22, 7.25, 5e-324]
    assert read(np.array(values)) == [canonical_text(value, "c") for value in values]
