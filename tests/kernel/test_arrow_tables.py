"""Tables of the Arrow C stream interface: split into columns and exported again, against pyarrow, and from broken producers."""

from __future__ import annotations

import gc
import random
from collections.abc import Callable
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from arrow_builders import HandMade, HandMadeStream, offsets, texts
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from seeds import few_or_all

from fastiam.errors import RequestValueError
from fastiam.frames import Table
from fastiam.frames.nested import context_columns, tag_columns
from fastiam.kernel.columns.table import ArrowColumn, TableReader, column_chunks
from fastiam.model.key_registry import fold

LEAVES: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.string(): st.text(max_size=20),
    pa.large_string(): st.text(max_size=5),
    pa.string_view(): st.text(max_size=20),
    pa.binary(): st.binary(max_size=5),
    pa.bool_(): st.booleans(),
    pa.int8(): st.integers(-128, 127),
    pa.uint64(): st.integers(0, 2**64 - 1),
    pa.float64(): st.floats(allow_nan=False),
    pa.timestamp("us", "UTC"): st.integers(0, 2**40),
    pa.decimal128(10, 2): st.integers(-999, 999),
    pa.null(): st.none(),
    pa.dictionary(pa.int8(), pa.string()): st.sampled_from(["a", "b", "longer than twelve bytes"]),
}


def _values(kind: pa.DataType) -> st.SearchStrategy[Any]:
    """Values of a type, null in some rows."""
    if pa.types.is_struct(kind):
        fields = {kind.field(i).name: _values(kind.field(i).type) for i in range(kind.num_fields)}
        return st.none() | st.fixed_dictionaries(fields)
    if pa.types.is_map(kind):
        return st.none() | st.dictionaries(st.text(max_size=3), _values(kind.item_type), max_size=3).map(
            lambda d: list(d.items())
        )
    if pa.types.is_fixed_size_list(kind):
        return st.none() | st.lists(_values(kind.value_type), min_size=kind.list_size, max_size=kind.list_size)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return st.none() | st.lists(_values(kind.value_type), max_size=3)
    return st.none() | LEAVES[kind]


def _nested(kinds: st.SearchStrategy[pa.DataType]) -> st.SearchStrategy[pa.DataType]:
    fields = st.lists(kinds, min_size=1, max_size=3).map(lambda kinds: pa.struct([(f"f{i}", k) for i, k in enumerate(kinds)]))
    lists = st.tuples(st.sampled_from([pa.list_, pa.large_list, lambda k: pa.list_(k, 2)]), kinds).map(lambda t: t[0](t[1]))
    return fields | lists | kinds.map(lambda kind: pa.map_(pa.string(), kind))


KINDS = st.recursive(st.sampled_from(list(LEAVES)), _nested, max_leaves=4)


@st.composite
def tables(draw: st.DrawFn, kinds: st.SearchStrategy[pa.DataType] = KINDS) -> pa.Table:
    """A table of random types in chunks, each a slice of a longer array."""
    types = draw(st.lists(kinds, min_size=1, max_size=4))
    schema = pa.schema([(f"c{i}", kind) for i, kind in enumerate(types)])
    batches = []
    for _ in range(draw(st.integers(1, 3))):
        rows = draw(st.integers(0, 12))
        arrays = [pa.array(draw(st.lists(_values(kind), min_size=rows, max_size=rows)), kind) for kind in types]
        start = draw(st.integers(0, rows))
        batch = pa.RecordBatch.from_arrays(arrays, schema=schema)
        batches.append(batch.slice(start, draw(st.integers(0, rows - start))))
    return pa.Table.from_batches(batches, schema)


def _split(obj: Any) -> tuple[list[str], list[list[ArrowColumn]]]:
    reader = TableReader(obj)
    return reader.names, list(reader) or [reader.empty()]


@pytest.mark.slow
@settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=few_or_all(150, 300))
@given(tables())
def test_table_of_any_types_comes_back_twice(table: pa.Table) -> None:
    names, chunks = _split(table)
    ours = Table(names, chunks, table.num_rows)
    first, second = pa.table(ours), pa.table(ours)
    assert first.to_pylist() == second.to_pylist() == table.to_pylist()
    assert first.schema.types == table.schema.types
    del ours, chunks
    assert second.to_pylist() == table.to_pylist(), "the copy keeps the memory"


@pytest.mark.slow
@settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=few_or_all(100, 200))
@given(tables(), st.randoms(use_true_random=False))
def test_columns_are_released_in_any_order(table: pa.Table, order: random.Random) -> None:
    names, chunks = _split(table)
    columns = [column for chunk in chunks if len(chunk[0]) for column in chunk]
    expected = [batch.column(i).to_pylist() for batch in table.to_batches() if len(batch) for i in range(len(names))]
    taken = [(at, pa.array(column)) for _ in range(2) for at, column in enumerate(columns)]
    capsules = [column.__arrow_c_array__() for chunk in chunks for column in chunk]  # never imported
    del columns, chunks, table
    order.shuffle(taken)
    order.shuffle(capsules)
    while taken:
        at, array = taken.pop()
        if capsules:
            capsules.pop()
        assert array.to_pylist() == expected[at]


@pytest.mark.slow
@settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=few_or_all(100, 200))
@given(tables(KINDS.map(lambda kind: pa.struct([("inner", kind), ("text", pa.string())]))))
def test_fields_of_structs_are_null_where_the_struct_is(table: pa.Table) -> None:
    for name in table.column_names:
        fields = [chunk.fields() for chunk in column_chunks(table[name])]
        found = [[pa.array(field).to_pylist() for field in chunk] for chunk in fields]
        expected = [[field.to_pylist() for field in chunk.flatten()] for chunk in table[name].chunks]
        assert [chunk for chunk in found if chunk[0]] == [chunk for chunk in expected if chunk[0]]


@settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=few_or_all(50, 100))
@given(tables(st.just(pa.map_(pa.string(), pa.string()))))
def test_maps_become_one_column_for_each_key(table: pa.Table) -> None:
    column = table["c0"]
    rows = [{fold(key): value for key, value in row or ()} for row in column.to_pylist()]
    if any(len(row) < len(given or ()) for row, given in zip(rows, column.to_pylist(), strict=True)):
        with pytest.raises(RequestValueError, match="are one key|twice"):
            tag_columns(column, "c0", "app:x/*")
        return
    found = {fold(key): values for key, values in tag_columns(column, "c0", "app:x/*").items()}
    assert found == {f"app:x/{key}": [row.get(key) for row in rows] for key in dict.fromkeys(key for row in rows for key in row)}


def test_columns_of_other_producers_keep_their_names() -> None:
    """The stream has names of its own, and those of the producer are freed by the producer."""
    columns = [pa.array(values) for values in (["a", None], [["a"], None], [{"x": "y"}, None], [1, 2])]
    for _ in range(100):
        table = pa.table(Table(["w", "x", "y", "z"], [columns], 2))
        assert table.to_pydict() == {name: column.to_pylist() for name, column in zip("wxyz", columns, strict=True)}


def test_tables_leave_no_memory_behind() -> None:
    def once() -> None:
        columns = {"text": ["a" * 100] * 500, "nested": [{"x": ["y"]}, None] * 250}
        names, chunks = _split(pa.table(columns))
        ours = Table(names, chunks, 500)
        kept = [column.__arrow_c_array__() for chunk in chunks for column in (*chunk, *chunk[1].fields())]
        assert len(kept) == 3 and pa.table(ours).num_rows == pl.DataFrame(ours).height == 500
        streams = [ours.__arrow_c_stream__() for _ in range(3)]
        assert len(streams) == 3

    once()
    gc.collect()
    before = pa.total_allocated_bytes()
    for _ in range(20):
        once()
    gc.collect()
    assert pa.total_allocated_bytes() == before


def test_table_of_fastiam_is_read_by_several_libraries_at_once() -> None:
    names, chunks = _split(pa.table({"id": list(range(100))}).to_reader(max_chunksize=9))
    ours = Table(names, chunks, 100)
    readers = [pa.RecordBatchReader.from_stream(ours) for _ in range(3)]
    read = [[batch["id"].to_pylist() for batch in zipped] for zipped in zip(*readers, strict=True)]
    assert all(a == b == c for a, b, c in read)
    assert [i for a, _, _ in read for i in a] == list(range(100))


def test_null_column_of_polars_reaches_pyarrow() -> None:
    names, chunks = _split(pl.DataFrame({"a": [1, 2], "n": [None, None]}))
    assert pa.table(Table(names, chunks, 2)).to_pydict() == {"a": [1, 2], "n": [None, None]}


# -- broken producers -------------------------------------------------------------------------------------------------------

SOUND = HandMade("u", [None, offsets(0, 1, 2), b"ab"], 2)


def table(*children: HandMade, length: int = 2, **given: Any) -> HandMade:
    return HandMade("+s", [given.pop("valid", None)], length, children=children, **given)


# name -> (makes a producer, text in the message)
BROKEN: dict[str, tuple[Callable[[], HandMade], str]] = {
    "not a table": (lambda: texts("a"), "one column, not a table"),
    "null row": (lambda: table(texts("a", "b"), valid=b"\2", null_count=1), "row of the table is null"),
    "null row, not counted": (lambda: table(texts("a", "b"), valid=b"\2", null_count=0), "row of the table is null"),
    "child too short": (lambda: table(texts("a")), "1 values where 2 are needed"),
    "child too short for the offset": (lambda: table(texts("a", "b"), offset=1), "2 values where 3 are needed"),
    "absurd length": (lambda: table(texts("a"), length=1 << 62), "length"),
    "negative length": (lambda: table(texts("a"), length=-1), "length -1"),
    "negative offset": (lambda: table(texts("a"), offset=-1), "offset -1"),
    "absurd offset of a child": (lambda: table(HandMade("u", [None, None, None], 2, offset=(1 << 63) - 1)), "offset"),
    "fewer children than types": (lambda: table(texts("a", "b"), n_children=0), "0 children where the type has 1"),
    "more children than types": (lambda: table(texts("a", "b"), n_children=2), "2 children where the type has 1"),
    "child with wrong buffers": (lambda: table(HandMade("u", [None, offsets(0, 1)], 2)), "2 buffers"),
    "grandchild with wrong buffers": (lambda: table(table(HandMade("u", [None, offsets(0, 1)], 2))), "2 buffers"),
    "child released": (lambda: table(HandMade("u", [None, offsets(0, 1), b"a"], 2, released=True)), "released"),
    "unknown type": (lambda: table(HandMade("?", [None], 2)), "format"),
    "empty type": (lambda: table(HandMade("", [None], 2)), "format"),
    "list without items": (lambda: table(HandMade("+l", [None, offsets(0, 0, 0)], 2)), "child"),
    "no children at the pointer": (lambda: _without_children(), "child"),
    "missing type of a child": (lambda: _without_child_type(), "child"),
}


def _without_children() -> HandMade:
    made = table(texts("a", "b"))
    made.schema.children = None
    return made


def _without_child_type() -> HandMade:
    made = table(texts("a", "b"))
    made._schemas[0] = type(made._schemas[0])()
    return made


@pytest.mark.parametrize("name", BROKEN)
def test_broken_table_is_an_error_and_released_once(name: str) -> None:
    make, message = BROKEN[name]
    made = make()
    stream = HandMadeStream(made, [made])
    with pytest.raises(RequestValueError, match=message):
        list(TableReader(stream))
    gc.collect()
    assert stream.released == 1
    assert made.released["schema"] == 1
    assert made.released["array"] <= 1


@pytest.mark.parametrize("fail_at", [-1, 0, 1])
def test_failed_table_stream_raises_its_message(fail_at: int) -> None:
    parts = [table(texts("a", "b")), table(texts("a", "b"))]
    stream = HandMadeStream(table(texts("a", "b")), parts, fail_at=fail_at)
    with pytest.raises(RequestValueError, match="the disk is on fire"):
        list(TableReader(stream))
    gc.collect()
    assert stream.released == 1
    assert sum(part.released["array"] for part in parts) == max(fail_at, 0)


def test_consumed_table_stream_is_an_error() -> None:
    stream = HandMadeStream(table(texts()), [])
    TableReader(stream)
    with pytest.raises(RequestValueError, match="released already"):
        TableReader(stream)


@pytest.mark.parametrize("capsule", [None, 5, texts("a").__arrow_c_array__()[0]])
def test_other_object_than_a_stream_capsule_is_an_error(capsule: object) -> None:
    class Fake:
        def __arrow_c_stream__(self, requested_schema: object = None) -> object:
            return capsule

    with pytest.raises(RequestValueError, match="the Arrow data is broken: no capsule `arrow_array_stream`"):
        TableReader(Fake())


@pytest.mark.parametrize("given", [None, 5, ("a", "b"), ("a",), (texts("a").__arrow_c_array__()[1],) * 2])
def test_other_objects_than_array_capsules_are_an_error(given: object) -> None:
    class Fake:
        def __arrow_c_array__(self, requested_schema: object = None) -> object:
            return given

    with pytest.raises(RequestValueError, match="the Arrow data is broken"):
        column_chunks(Fake())


def test_column_without_a_name_has_the_empty_name() -> None:
    made = texts("a", "b")
    made.schema.name = None
    made_table = table(made)
    assert TableReader(HandMadeStream(made_table, [made_table])).names == [""]


def _maps(ends: bytes | None, n_pairs: int = 2, keys: HandMade | None = None) -> HandMade:
    keys = keys or texts("a", "b")
    keys.schema.flags = 0  # not nullable
    pairs = HandMade("+s", [None], n_pairs, children=[keys, texts("x", "y")])
    return HandMade("+m", [None, ends], 2, children=[pairs])


@pytest.mark.parametrize(
    ("ends", "message"),
    [
        (None, "no offsets"),
        (offsets(0, 3, 2), "beyond"),
        (offsets(-1, 1, 2), "beyond"),
        (offsets(0, 1, 3), "beyond"),
        (offsets(0, 1 << 30, 2), "beyond"),
    ],
)
def test_broken_map_is_an_error(ends: bytes | None, message: str) -> None:
    with pytest.raises(RequestValueError, match=message):
        context_columns(_maps(ends), "context")


def test_map_with_fewer_items_than_entries_is_an_error() -> None:
    with pytest.raises(RequestValueError, match="2 values where 3 are needed"):
        context_columns(_maps(offsets(0, 1, 3), n_pairs=3), "context")


def test_map_with_a_null_key_is_an_error() -> None:
    keys = HandMade("u", [b"\1", offsets(0, 1, 2), b"ab"], 2, null_count=1)
    with pytest.raises(RequestValueError, match="a key of the map is null"):
        context_columns(_maps(offsets(0, 1, 2), keys=keys), "context")


def test_null_struct_counts_whatever_its_null_count() -> None:
    made = HandMade("+s", [b"\2"], 2, null_count=0, children=[texts("a", "b")])
    (field,) = column_chunks(made)[0].fields()
    assert pa.array(field).to_pylist() == [None, "b"]


@pytest.mark.parametrize("count", [-1, 1 << 60, 1 << 61])
def test_null_type_under_a_null_struct_ignores_its_buffers(count: int) -> None:
    made = HandMade("+s", [b"\2"], 2, null_count=1, children=[HandMade("n", [], 2, n_buffers=count)])
    (field,) = column_chunks(made)[0].fields()
    assert pa.array(field).to_pylist() == [None, None]


def test_union_under_a_null_struct_is_refused() -> None:
    union = pa.UnionArray.from_sparse(pa.array([0, 0], pa.int8()), [pa.array(["a", "b"])])
    made = pa.StructArray.from_arrays([union], names=["u"], mask=pa.array([True, False]))
    with pytest.raises(RequestValueError, match="union"):
        column_chunks(made)[0].fields()
