"""Files of requests and results: complete, in order, row by row.

What a reader cannot read it names (file, line, row, column); it never drops a row, and never guesses one.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from arro3.core import Array
from hypothesis import example, given
from hypothesis import strategies as st

from fastiam.cli.files import csv_file, json_lines
from fastiam.cli.files.batches import Batch
from fastiam.cli.files.columns import as_text
from fastiam.cli.files.csv_file import open_csv
from fastiam.cli.files.formats import Format, of_content, of_name
from fastiam.cli.files.json_lines import read_json_lines
from fastiam.cli.files.readers import open_requests
from fastiam.cli.files.writers import write_results
from fastiam.errors import SourceError

NAMES = ["principal", "action", "resource", "aws:SourceIp"]
ROWS = [
    ("arn:aws:iam::111111111111:role/a", "s3:GetObject", "arn:aws:s3:::b/k", "10.0.0.1"),
    ("arn:aws:iam::111111111111:role/ü", "s3:GetObject", "*", None),
    ("*", "sqs:SendMessage", "arn:aws:sqs:eu-west-1:111111111111:q", "::1"),
]


def texts(column: Any) -> list[Any]:
    return list(column) if isinstance(column, list) else Array.from_arrow(column).to_pylist()


def rows_of(batches: list[Batch]) -> list[tuple[Any, ...]]:
    """All rows of some batches, over the names that occur."""
    names = list(dict.fromkeys(name for batch in batches for name in batch.columns))
    return [
        row
        for batch in batches
        if batch.length
        for row in zip(
            *(texts(batch.columns[name]) if name in batch.columns else [None] * batch.length for name in names), strict=True
        )
    ]


def table() -> pa.Table:
    return pa.table([pa.array(column) for column in zip(*ROWS, strict=True)], names=NAMES)


def as_csv() -> bytes:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([NAMES, *ROWS])
    return out.getvalue().encode()


def as_json() -> bytes:
    return b"".join(json.dumps(dict(zip(NAMES, row, strict=True))).encode() + b"\n" for row in ROWS)


def write_parquet(path: Path) -> None:
    duckdb.from_arrow(table()).write_parquet(str(path))


def write_arrow_file(path: Path) -> None:
    with pa.OSFile(str(path), "wb") as out, pa.ipc.new_file(out, table().schema) as writer:
        writer.write_table(table())


def write_arrow_stream(path: Path) -> None:
    with pa.OSFile(str(path), "wb") as out, pa.ipc.new_stream(out, table().schema) as writer:
        writer.write_table(table())


def write_compressed_arrow(path: Path) -> None:
    pa.feather.write_feather(table(), str(path), compression="lz4")


def write_polars_ipc(path: Path) -> None:
    pl.DataFrame(table()).write_ipc(path)


FORMS = {
    "parquet": write_parquet,
    "arrow file": write_arrow_file,
    "arrow stream": write_arrow_stream,
    "feather, lz4": write_compressed_arrow,
    "polars ipc": write_polars_ipc,
    "csv": lambda path: path.write_bytes(as_csv()),
    "csv with a byte order mark": lambda path: path.write_bytes(b"\xef\xbb\xbf" + as_csv()),
    "csv, gzip": lambda path: path.write_bytes(gzip.compress(as_csv())),
    "csv, dos lines": lambda path: path.write_bytes(as_csv().replace(b"\n", b"\r\n")),
    "csv without a last line end": lambda path: path.write_bytes(as_csv().rstrip(b"\n")),
    "json lines": lambda path: path.write_bytes(as_json()),
    "json lines, gzip": lambda path: path.write_bytes(gzip.compress(as_json())),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_format_is_detected_by_content(form: str, tmp_path: Path) -> None:
    import pyarrow.feather  # noqa: F401

    path = tmp_path / "requests"
    FORMS[form](path)
    with ExitStack() as stack:
        source = open_requests(str(path), None, stack)
        batches = list(source.batches)
    assert rows_of(batches) == ROWS
    assert [batch.first for batch in batches] == [sum(b.length for b in batches[:i]) for i in range(len(batches))]


@pytest.mark.parametrize("form", [form for form in FORMS if "gzip" in form or not form.startswith(("csv", "json"))])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_truncated_file_is_named_and_adds_no_rows(form: str, share: float, tmp_path: Path) -> None:
    import pyarrow.feather  # noqa: F401

    path = tmp_path / "requests"
    FORMS[form](path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with ExitStack() as stack, pytest.raises(SourceError, match=f"^{path}: "):
        list(open_requests(str(path), None, stack).batches)


def test_files_of_equal_size_and_time_are_read_afresh(tmp_path: Path) -> None:
    """Their descriptors have one number, and DuckDB gets its path."""
    seen = []
    for value in ("a", "b"):
        path = tmp_path / f"{value}.parquet"
        pq.write_table(pa.table({"x": [value] * 1000}), path)
        os.utime(path, ns=(10**18, 10**18))
        with ExitStack() as stack:
            (batch,) = open_requests(str(path), None, stack).batches
        seen.append((path.stat().st_size, set(batch.columns["x"].to_pylist())))
    assert seen == [(seen[0][0], {"a"}), (seen[0][0], {"b"})]


def test_parquet_reports_progress_by_rows(tmp_path: Path) -> None:
    duckdb.sql("SELECT i::VARCHAR AS principal FROM range(300000) t(i)").write_parquet(str(tmp_path / "r.parquet"))
    with ExitStack() as stack:
        source = open_requests(str(tmp_path / "r.parquet"), None, stack)
        seen = [(batch.first, batch.length, source.progress()) for batch in source.batches]
        assert source.progress() == 1.0
    assert sum(length for _, length, _ in seen) == 300_000
    assert [first for first, _, _ in seen] == [sum(n for _, n, _ in seen[:i]) for i in range(len(seen))]
    assert all(length <= 65_536 for _, length, _ in seen)
    shares = [share for _, _, share in seen]
    assert shares == sorted(shares) and shares[0] == 0.0


# -- CSV ---------------------------------------------------------------------------------------------------------------

BROKEN_CSV = {
    "a field too few": (b"a,b\n1,2\n3\n5,6\n", 1, 3, "1 fields where the header has 2"),
    "a field too many": (b"a,b\n1,2\n3,4,5\n5,6\n", 1, 3, "3 fields where the header has 2"),
    "not UTF-8": (b"a,b\n1,2\n3,\xff\n5,6\n", 1, 3, "the value is not UTF-8"),
    "text after a quote": (b'a,b\n1,2\n"3"x,4\n5,6\n', 1, 3, "',' expected after '\"'"),
    "after blank lines": (b"a,b\n\n1,2\n\n\n3\n5,6\n", 1, 6, "1 fields where the header has 2"),
    "after a line end in quotes": (b'a,b\n1,"2\n2"\n3\n5,6\n', 1, 4, "1 fields where the header has 2"),
}


@pytest.mark.parametrize("case", BROKEN_CSV)
def test_broken_csv_row_keeps_its_position_and_names_its_line(case: str) -> None:
    text, row, line, message = BROKEN_CSV[case]
    (batch,) = open_csv(io.BytesIO(text), "r.csv")[1]
    assert batch.length == 3
    assert batch.broken[row].message == message
    assert batch.line_of(row) == line
    assert rows_of([batch])[row] == (None, None)
    assert rows_of([batch])[2] == ("5", "6")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b'a,b\n1,2\n"3,4\n5,6\n', "r.csv:3:1: a quote is never closed"),
        (b"", "there is no header"),
        (b"a,a\n1,2\n", "two columns are named `a`"),
    ],
)
def test_csv_file_with_an_unclosed_quote_is_refused(text: bytes, message: str) -> None:
    with pytest.raises(SourceError) as refused:
        list(open_csv(io.BytesIO(text), "r.csv")[1])
    assert message in str(refused.value)


def test_empty_csv_field_has_no_value() -> None:
    (batch,) = open_csv(io.BytesIO(b'a,b,c\n1,,""\n'), "r.csv")[1]
    assert rows_of([batch]) == [("1", None, None)]


CELLS = st.text(st.sampled_from('ab,"\n é\x00'), max_size=4)


@given(st.lists(st.lists(CELLS, min_size=3, max_size=3), max_size=30), st.integers(1, 40), st.sampled_from(["\n", "\r\n"]))
def test_csv_blocks_of_any_size_read_what_was_written(cells: list[list[str]], block: int, line_end: str) -> None:
    out = io.StringIO()
    csv.writer(out, lineterminator=line_end).writerows([["a", "b", "c"], *cells])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_file, "BLOCK", block)
        patch.setattr(csv_file, "ROWS", 3)
        batches = list(open_csv(io.BytesIO(out.getvalue().encode()), "r.csv")[1])
    assert rows_of(batches) == [tuple(cell or None for cell in row) for row in cells]
    assert not any(batch.broken for batch in batches)


@given(st.binary(max_size=60).map(lambda tail: b"a,b\n" + tail), st.integers(1, 20))
@example(b"a,b\n\xef\xbb\xbf", 1)
@example(b"a,b\n1,2\n\xef\xbb\xbf3,4\n", 4)
def test_both_csv_readers_agree_on_any_bytes(text: bytes, block: int) -> None:
    """The fast reader of clean blocks and the strict one agree on rows, complaints and lines (the first on none)."""

    def outcome(*, fast: bool) -> object:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(csv_file, "BLOCK", block)
            if not fast:
                patch.setattr(csv_file, "_clean_block", lambda *_: None)
            try:
                batches = list(open_csv(io.BytesIO(text), "r.csv")[1])
            except SourceError as error:
                return str(error)
        lines = [batch.line_of(row) for batch in batches for row in range(batch.length)]
        return rows_of(batches), [sorted(batch.broken.items()) for batch in batches if batch.broken], lines

    assert outcome(fast=True) == outcome(fast=False)


# -- JSON lines --------------------------------------------------------------------------------------------------------


def test_json_lines_keep_types_and_need_no_common_names() -> None:
    lines = b'{"a": "x", "n": 1}\n\n{"a": null, "b": [true, "y"]}\n{"n": 2.5}\n'
    (batch,) = read_json_lines(io.BytesIO(lines))
    assert rows_of([batch]) == [("x", 1, None), (None, None, [True, "y"]), (None, 2.5, None)]
    assert [batch.line_of(row) for row in range(3)] == [1, 3, 4]


@pytest.mark.parametrize(
    ("line", "message"), [(b"{oops\n", "not JSON"), (b"[1]\n", "must be an object"), (b'{"a": "\xff"}\n', "not JSON")]
)
def test_broken_json_line_keeps_its_position_and_names_its_line(line: bytes, message: str) -> None:
    (batch,) = read_json_lines(io.BytesIO(b'{"a": "1"}\n\n' + line + b'{"a": "3"}\n'))
    assert rows_of([batch]) == [("1",), (None,), ("3",)]
    assert message in batch.broken[1].message
    assert batch.line_of(1) == 3


def test_a_key_that_first_occurs_late_in_json_lines_is_not_lost() -> None:
    lines = b'{"a": "1"}\n' * 200_000 + b'{"a": "1", "late": "x"}\n'
    batches = list(read_json_lines(io.BytesIO(lines)))
    assert sum(batch.length for batch in batches) == 200_001
    assert texts(batches[-1].columns["late"])[-1] == "x"
    assert len(batches) == -(-200_001 // json_lines.ROWS)


def test_a_json_array_is_refused_with_a_hint() -> None:
    with pytest.raises(SourceError, match="one JSON object a line"):
        of_content(b' [{"principal": "*"}]', "r.json")


# -- results -----------------------------------------------------------------------------------------------------------


def batches_of(n: int) -> list[Any]:
    from arro3.core import RecordBatch

    one = [as_text([f"row {i}" for i in range(n)]), as_text(["x", None] * (n // 2))]
    return [RecordBatch.from_arrays(one, names=["name", "maybe"])] * 3


READ = {
    "r.parquet": lambda path: pa.table(duckdb.read_parquet(path)),
    "r.csv": lambda path: pa.table(duckdb.read_csv(path)),
    "r.jsonl": lambda path: pa.table(duckdb.read_json(path)),
    "r.arrow": lambda path: pa.ipc.open_file(path).read_all(),
    "r.arrows": lambda path: pa.ipc.open_stream(path).read_all(),
}


@pytest.mark.parametrize("name", READ)
def test_results_are_written_in_order_in_every_format(name: str, tmp_path: Path) -> None:
    batches = batches_of(1000)
    path = str(tmp_path / name)
    write_results(iter(batches), batches[0].schema, path, of_name(path))
    found = READ[name](path).to_pydict()
    assert found["name"] == [f"row {i}" for i in range(1000)] * 3
    assert found["maybe"] == ["x", None] * 1500
    assert os.listdir(tmp_path) == [name], "nothing is left beside it"


@pytest.mark.parametrize("name", READ)
def test_a_job_that_fails_leaves_the_old_file_and_no_other(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text("the old one")
    batches = batches_of(10)

    def failing() -> Any:
        yield batches[0]
        raise SourceError("the middle is missing", source="r")

    with pytest.raises(SourceError, match="the middle is missing"):
        write_results(failing(), batches[0].schema, str(path), of_name(str(path)))
    assert path.read_text() == "the old one"
    assert os.listdir(tmp_path) == [name]


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    batches = batches_of(2)
    with pytest.raises(SourceError, match="absent/r.csv"):
        write_results(iter(batches), batches[0].schema, str(tmp_path / "absent" / "r.csv"), Format.CSV)


def test_unknown_suffix_is_refused_with_the_known_ones() -> None:
    with pytest.raises(SourceError, match=r"\.parquet"):
        of_name("out.xlsx")
