"""Columns of Arrow whose text or codes are checked as they are read, in a late row as in the first."""

from __future__ import annotations

import sys

import numpy as np
import pyarrow as pa
import pytest

import fastiam
from fastiam import Outcome
from fastiam.errors import RequestValueError

A = "111111111111"
ANA = f"arn:aws:iam::{A}:user/ana"
OK, NO = Outcome.ALLOW, Outcome.IMPLICIT_DENY
LIVE = {"Effect": "Allow", "Action": "sqs:*", "Resource": "*", "Condition": {"StringEquals": {"app:stage": "live"}}}


@pytest.fixture(scope="module")
def engine():
    directory = fastiam.Directory()
    directory.add_principal(ANA, identity_policies=[{"Version": "2012-10-17", "Statement": LIVE}])
    return directory.compile()


# -- plain Arrow text, which is checked on the way -----------------------------------------------------------------------------

MANY, LATE = 9_000, 8_500  # rows, of which two threads take parts; a row of the second part
QUEUE = f"arn:aws:sqs:eu-west-1:{A}:q"


def plain(value, late, type):
    """A column of one text, and another text in a late row; `bytes` may be no text at all."""
    values = [value.encode()] * MANY
    if late is not None:
        values[LATE] = late if isinstance(late, bytes) else late.encode()
    binary = pa.array(values, {pa.large_string(): pa.large_binary(), pa.string_view(): pa.binary_view()}.get(type, pa.binary()))
    return pa.Array.from_buffers(type, MANY, binary.buffers())


def plain_columns(type="utf8", **late):
    values = {"principals": ANA, "actions": "sqs:SendMessage", "resources": QUEUE, "stage": "live", "other": "x"}
    columns = {name: plain(value, late.get(name), pa.type_for_alias(type)) for name, value in values.items()}
    context = {"app:stage": columns.pop("stage"), "app:unheard": columns.pop("other")}
    return columns, context


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("type", ["utf8", "large_utf8", "string_view"])
@pytest.mark.parametrize("late", [{}, {"stage": "lîve"}, {"resources": QUEUE + "é"}, {"other": "é"}], ids=repr)
def test_late_non_ascii_text_is_decoded(engine, late, type, threads):
    columns, context = plain_columns(type, **late)
    expected = np.full(MANY, OK)
    expected[LATE] = NO if "stage" in late else OK
    found = engine.decide_many(**columns, context=context, threads=threads)
    assert np.array_equal(found.outcome, expected)
    lists = {key: column.to_pylist() for key, column in context.items()}
    assert engine.decide_many(**columns, context=lists).missing_keys == found.missing_keys


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("type", ["utf8", "string_view"])
@pytest.mark.parametrize("bad", [b"\xff", b"\xff" * 30])
@pytest.mark.parametrize("column", ["principals", "actions", "resources", "stage", "other"])
def test_late_invalid_text_is_an_error_of_its_row(engine, column, bad, type, threads):
    columns, context = plain_columns(type, **{column: bad})
    with pytest.raises(RequestValueError, match="not valid UTF-8") as caught:
        engine.decide_many(**columns, context=context, threads=threads)
    assert caught.value.row == LATE
    found = engine.decide_many(**columns, context=context, threads=threads, on_error="deny")
    assert list(found.errors) == np.flatnonzero(found.outcome != OK).tolist() == [LATE]
    assert "not valid UTF-8" in str(found.errors[LATE])


def test_invalid_text_is_reported_before_other_errors(engine):
    columns, context = plain_columns(stage=b"\xff")
    columns["resources"] = ["no ARN"] * MANY
    with pytest.raises(RequestValueError, match="not valid UTF-8"):
        engine.decide_many(**columns, context=context)


@pytest.mark.parametrize(
    "view", [(-1, 0, 0, 0), (13, 0, 1, 0), (13, 0, -1, 0), (13, 0, 0, 4), (13, 0, 0, -1), (2**31 - 1, 0, 0, 2**31 - 1)], ids=repr
)
@pytest.mark.parametrize("threads", [1, 2])
def test_late_broken_string_view_is_refused(engine, view, threads):
    columns, context = plain_columns("string_view")
    views = np.full((MANY, 4), (4, int.from_bytes(b"live", sys.byteorder), 0, 0), np.int32)
    views[LATE] = view
    buffers = [None, pa.py_buffer(views), pa.py_buffer(b"live and longer!")]
    context["app:stage"] = pa.Array.from_buffers(pa.string_view(), MANY, buffers)
    with pytest.raises(RequestValueError, match="a string view is outside its buffer") as caught:
        engine.decide_many(**columns, context=context, threads=threads, on_error="deny")
    assert caught.value.row == LATE


# -- codes of a dictionary, which are checked on the way ----------------------------------------------------------------------


def coded_columns(late, code, nulls):
    """Columns of codes, of which one has another code in a late row."""
    values = {"principals": ANA, "actions": "sqs:SendMessage", "resources": QUEUE, "stage": "live", "other": "x"}
    columns = {}
    for name, value in values.items():
        codes = np.zeros(MANY, np.int32)
        if name == late:
            codes[LATE] = code
        valid = pa.py_buffer(np.packbits(np.arange(MANY) != LATE - nulls, bitorder="little")) if nulls else None
        indices = pa.Array.from_buffers(pa.int32(), MANY, [valid, pa.py_buffer(codes)])
        columns[name] = pa.DictionaryArray.from_arrays(indices, pa.array([value]), safe=False)
    context = {"app:stage": columns.pop("stage"), "app:unheard": columns.pop("other")}
    return columns, context


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("nulls", [0, 1])
@pytest.mark.parametrize("code", [1, -1, 2**31 - 1, -(2**31)])
@pytest.mark.parametrize("column", ["principals", "actions", "resources", "stage", "other"])
def test_late_out_of_range_code_is_refused(engine, column, code, nulls, threads):
    columns, context = coded_columns(column, code, nulls)
    with pytest.raises(RequestValueError, match="a dictionary code is beyond the 1 values") as caught:
        engine.decide_many(**columns, context=context, threads=threads, on_error="deny")
    assert caught.value.row == LATE


def test_code_under_a_null_is_ignored(engine):
    columns, context = coded_columns("stage", 2**30, nulls=0)
    codes = context["app:stage"].indices
    valid = pa.py_buffer(np.packbits(np.arange(MANY) != LATE, bitorder="little"))
    under = pa.Array.from_buffers(pa.int32(), MANY, [valid, codes.buffers()[1]])
    context["app:stage"] = pa.DictionaryArray.from_arrays(under, pa.array(["live"]), safe=False)
    assert np.flatnonzero(engine.decide_many(**columns, context=context).outcome != OK).tolist() == [LATE]


@pytest.mark.parametrize("width", [np.int32, np.int64])
@pytest.mark.parametrize(("row", "offset"), [(LATE, 5), (LATE, 1 << 30), (1, 1 << 30), (MANY - 1, 1 << 30)])
@pytest.mark.parametrize("on_error", ["raise", "deny"])
def test_late_broken_offsets_are_refused(engine, row, offset, width, on_error):
    columns, context = plain_columns()
    ends = np.arange(MANY + 1, dtype=width) * 4
    ends[row] = offset
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(b"live" * MANY)]
    context["app:stage"] = pa.Array.from_buffers(pa.string() if width is np.int32 else pa.large_string(), MANY, buffers)
    with pytest.raises(RequestValueError, match="an offset is smaller"):
        engine.decide_many(**columns, context=context, on_error=on_error)
