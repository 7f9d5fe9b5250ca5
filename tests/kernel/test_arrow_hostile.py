"""A producer whose memory is broken gets an error that names the column, and the row where one is known; nothing is read.

The C interface carries no lengths of plain buffers, so data that is cut short cannot be detected and is not tested; where lengths
come along (views, children, dictionaries) they are. Every producer must also be released exactly once, whatever happens.
"""

from __future__ import annotations

import gc
import struct
from collections.abc import Callable

import pytest
from arrow_builders import HandMade, HandMadeStream, inline_view, large_offsets, offsets, texts, view

import fastiam
from fastiam.errors import RequestValueError
from fastiam.kernel.columns.read import read_column
from fastiam.kernel.testing import column_texts

ROOMY = b"abcdefghijklmnopqrstuvwxyz"


def coded(format: str, codes: bytes, n_codes: int, *values: str, null_count: int = 0, valid: bytes | None = None) -> HandMade:
    return HandMade(format, [valid, codes], n_codes, null_count=null_count, dictionary=texts(*values))


def listed(format: str, ends: bytes, n_rows: int, child: HandMade) -> HandMade:
    return HandMade(format, [None, ends], n_rows, children=[child])


# name -> (producer, words in the message, row)
BROKEN: dict[str, tuple[Callable[[], HandMade], str, int | None]] = {
    "offsets go back": (lambda: HandMade("u", [None, offsets(0, 4, 2, 6), ROOMY], 3), "offset", 1),
    "large offsets go back": (lambda: HandMade("U", [None, large_offsets(0, 4, 2, 6), ROOMY], 3), "offset", 1),
    "first offset negative": (lambda: HandMade("u", [None, offsets(-4, 0, 2), ROOMY], 2), "first offset", None),
    "last offset negative": (lambda: HandMade("u", [None, offsets(0, 2, -1), ROOMY], 2), "last offset", None),
    "inner offset beyond the last": (lambda: HandMade("u", [None, offsets(0, 1 << 30, 3), ROOMY], 2), "offset", 1),
    "no offsets": (lambda: HandMade("u", [None, None, ROOMY], 2), "buffer", None),
    "no data": (lambda: HandMade("u", [None, offsets(0, 2, 4), None], 2), "buffer", None),
    "no validity, but nulls": (lambda: HandMade("u", [None, offsets(0, 2), ROOMY], 1, null_count=1), "buffer", None),
    "two buffers of three": (lambda: HandMade("u", [None, offsets(0, 2)], 1), "2 buffers", None),
    "no buffers": (lambda: HandMade("u", [], 1), "0 buffers", None),
    "negative count of buffers": (lambda: HandMade("u", [None, offsets(0, 2), ROOMY], 1, n_buffers=-1), "buffers", None),
    "negative length": (lambda: HandMade("u", [None, offsets(0, 2), ROOMY], -1), "length -1", None),
    "negative offset": (lambda: HandMade("u", [None, offsets(0, 2), ROOMY], 1, offset=-1), "offset -1", None),
    "absurd length": (lambda: HandMade("u", [None, offsets(0, 2), ROOMY], 1 << 62), "length", None),
    "absurd offset": (lambda: HandMade("u", [None, offsets(0, 2), ROOMY], 1, offset=(1 << 63) - 1), "length", None),
    "released before": (lambda: HandMade("u", [None, offsets(0, 2), ROOMY], 1, released=True), "released", None),
    "child without a type": (lambda: HandMade("u", [None, offsets(0, 2), ROOMY], 1, n_children=1), "children", None),
    "unknown format": (lambda: HandMade("?", [None], 1), "format", None),
    "empty format": (lambda: HandMade("", [None], 1), "format", None),
    "code beyond the values": (lambda: coded("c", b"\0\1\2", 3, "a", "b"), "code", 2),
    "negative code": (lambda: coded("c", b"\0\xff", 2, *map(str, range(300))), "code", 1),
    "negative wide code": (lambda: coded("l", struct.pack("<2q", 0, -1), 2, "a"), "code", 1),
    "code above int64": (lambda: coded("L", struct.pack("<2Q", 0, 1 << 63), 2, "a"), "code", 1),
    "code into nothing": (lambda: coded("I", struct.pack("<I", 0), 1), "code", 0),
    "dictionary offsets go back": (
        lambda: HandMade("c", [None, b"\0"], 1, dictionary=HandMade("u", [None, offsets(0, 4, 2, 4), ROOMY], 3)),
        "offset",
        None,
    ),
    "dictionary missing": (lambda: _without_dictionary(), "dictionary", None),
    "dictionary released": (
        lambda: HandMade("c", [None, b"\0"], 1, dictionary=HandMade("u", [None, offsets(0, 1), ROOMY], 1, released=True)),
        "released",
        None,
    ),
    "view into no buffer": (lambda: _views(view(20, 1, 0)), "view", 0),
    "view into buffer -1": (lambda: _views(view(20, -1, 0)), "view", 0),
    "view behind the end": (lambda: _views(inline_view(b"ok"), view(20, 0, 7)), "view", 1),
    "view before the start": (lambda: _views(view(20, 0, -1)), "view", 0),
    "view of negative size": (lambda: _views(inline_view(b"ok", -1)), "view", 0),
    "view of overflowing size": (lambda: _views(view((1 << 31) - 1, 0, (1 << 31) - 1)), "view", 0),
    "views without sizes": (lambda: HandMade("vu", [None, view(20, 0, 0), ROOMY, None], 1), "sizes", None),
    "views with two buffers": (lambda: HandMade("vu", [None, view(20, 0, 0)], 1), "2 buffers", None),
    "views with a missing buffer": (
        lambda: HandMade("vu", [None, view(20, 0, 0), None, struct.pack("<q", 26)], 1),
        "view",
        0,
    ),
    "list beyond its child": (lambda: listed("+l", offsets(0, 3), 1, texts("a", "b")), "child", None),
    "list offsets go back": (lambda: listed("+l", offsets(0, 2, 1, 2), 3, texts("a", "b")), "offset", 1),
    "large list offsets go back": (lambda: listed("+L", large_offsets(0, 2, 1, 2), 3, texts("a", "b")), "offset", 1),
    "list of released items": (
        lambda: listed("+l", offsets(0, 1), 1, HandMade("u", [None, offsets(0, 1), ROOMY], 1, released=True)),
        "released",
        None,
    ),
    "list items with offsets that go back": (
        lambda: listed("+l", offsets(0, 3), 1, HandMade("u", [None, offsets(0, 4, 2, 4), ROOMY], 3)),
        "offset",
        None,
    ),
    "number without data": (lambda: HandMade("l", [None, None], 2), "buffer", None),
    "table shorter than it says": (lambda: HandMade("+s", [None], 3, children=[texts("a")]), "child", None),
    "table with a null row": (lambda: HandMade("+s", [b"\2"], 2, null_count=1, children=[texts("a", "b")]), "null", None),
}


def _without_dictionary() -> HandMade:
    made = coded("c", b"\0", 1, "a")
    made.array.dictionary = None
    return made


def _views(*views: bytes) -> HandMade:
    return HandMade("vu", [None, b"".join(views), ROOMY, struct.pack("<q", len(ROOMY))], len(views))


@pytest.mark.parametrize("name", BROKEN)
def test_arrow_broken_memory_is_an_error_and_released_once(name: str) -> None:
    make, words, row = BROKEN[name]
    producer = make()
    with pytest.raises(RequestValueError, match=words) as caught:
        read_column(producer, "aws:UserAgent", kind="context")
    assert (caught.value.column, caught.value.row) == ("aws:UserAgent", row)
    del caught
    gc.collect()
    times = 0 if name == "released before" else 1
    assert producer.released == {"schema": times, "array": times}


SOUND: dict[str, tuple[Callable[[], HandMade], list[object]]] = {
    "text": (lambda: texts("ab", "", "é"), ["ab", "", "é"]),
    "offset into the array": (lambda: HandMade("u", [None, offsets(0, 1, 2, 3), ROOMY], 2, offset=1), ["b", "c"]),
    "nulls not counted": (lambda: HandMade("u", [b"\5", offsets(0, 1, 2, 3), ROOMY], 3, null_count=-1), ["a", None, "c"]),
    "nulls not counted, no bitmap": (lambda: HandMade("u", [None, offsets(0, 1), ROOMY], 1, null_count=-1), ["a"]),
    "nulls denied, but in the bitmap": (lambda: HandMade("u", [b"\1", offsets(0, 1, 2), ROOMY], 2), ["a", None]),
    "rubbish under a null view": (
        lambda: HandMade("vu", [b"\1", inline_view(b"ok") + view(20, 9, 9), struct.pack("<q", 0)], 2, null_count=1),
        ["ok", None],
    ),
    "rubbish under a null code": (lambda: coded("c", b"\0\x7f", 2, "a", null_count=1, valid=b"\1"), ["a", None]),
    "no rows, no buffers": (lambda: HandMade("u", [None, None, None], 0), []),
    "equal dictionary values": (lambda: coded("C", b"\0\1", 2, "a", "a"), ["a", "a"]),
    "null dictionary value": (
        lambda: HandMade(
            "s", [None, struct.pack("<2h", 0, 1)], 2, dictionary=HandMade("u", [b"\1", offsets(0, 1, 1), ROOMY], 2, null_count=1)
        ),
        ["a", None],
    ),
    "unused code 128 of a byte": (lambda: coded("C", b"\xc8", 1, *map(str, range(300))), ["200"]),
    "table of one column": (lambda: HandMade("+s", [None], 2, offset=1, children=[texts("a", "b", "c")]), ["b", "c"]),
    "nulls with a bitmap": (lambda: HandMade("n", [b"\xff"], 3, null_count=3), [None] * 3),
    "nulls with a buffer at NULL": (lambda: HandMade("n", [None], 2, null_count=2), [None] * 2),
    "nulls with three buffers": (lambda: HandMade("n", [None, offsets(9, 1), ROOMY], 2, null_count=0), [None] * 2),
    "nulls not counted, offset": (lambda: HandMade("n", [], 2, offset=3, null_count=-1), [None] * 2),
    "nulls with an absurd count of buffers": (lambda: HandMade("n", [], 2, n_buffers=1 << 60), [None] * 2),
    "nulls with a negative count of buffers": (lambda: HandMade("n", [], 2, n_buffers=-1), [None] * 2),
    "table of nulls with a bitmap": (lambda: HandMade("+s", [None], 2, children=[HandMade("n", [b"\3"], 2)]), [None] * 2),
    "empty lists of nulls with a bitmap": (lambda: listed("+L", large_offsets(0, 0, 0), 2, HandMade("n", [b"\0"], 0)), [[], []]),
    "null lists of nulls with a bitmap": (
        lambda: HandMade("+l", [b"\1", offsets(0, 0, 2)], 2, null_count=1, children=[HandMade("n", [None], 2)]),
        [[], []],
    ),
    "dictionary of nulls with a bitmap": (
        lambda: HandMade("c", [None, b"\0\1"], 2, dictionary=HandMade("n", [None], 2, null_count=2)),
        [None] * 2,
    ),
    "list with an offset": (lambda: listed("+l", offsets(1, 3), 1, texts("a", "b", "c")), [["b", "c"]]),
}


@pytest.mark.parametrize("name", SOUND)
def test_arrow_unusual_valid_memory_is_read_and_released_once(name: str) -> None:
    make, expected = SOUND[name]
    producer = make()
    column = read_column(producer, "c", kind="context")
    assert column_texts(column) == expected
    assert producer.released["schema"] == 1
    if expected:
        assert producer.released["array"] == 0, "the column still needs the memory"
    del column
    gc.collect()
    assert producer.released == {"schema": 1, "array": 1}


def test_arrow_consumed_producer_is_an_error() -> None:
    producer = texts("a")
    read_column(producer, "c", kind="text")
    with pytest.raises(RequestValueError, match="released already"):
        read_column(producer, "c", kind="text")


def test_arrow_stream_is_read_to_end_and_released_once() -> None:
    parts = [texts("a", "b"), texts(), texts("c")]
    stream = HandMadeStream(texts(), parts)
    column = read_column(stream, "c", kind="text")
    assert column_texts(column) == ["a", "b", "c"]
    assert stream.released == 1
    del column
    gc.collect()
    assert [part.released["array"] for part in parts] == [1, 1, 1]


@pytest.mark.parametrize("fail_at", [-1, 0, 1])
def test_arrow_failed_stream_raises_its_message_and_is_released(fail_at: int) -> None:
    parts = [texts("a"), texts("b")]
    stream = HandMadeStream(texts(), parts, fail_at=fail_at)
    with pytest.raises(RequestValueError, match="the disk is on fire - at `c`"):
        read_column(stream, "c", kind="text")
    gc.collect()
    assert stream.released == 1
    assert sum(part.released["array"] for part in parts) == max(fail_at, 0)


def test_arrow_bad_chunk_error_names_row_of_whole_column() -> None:
    stream = HandMadeStream(texts(), [texts("a", "b"), HandMade("u", [None, offsets(0, 4, 2, 6), ROOMY], 3)])
    with pytest.raises(RequestValueError) as caught:
        read_column(stream, "c", kind="text")
    assert caught.value.row == 3


class Fake:
    def __init__(self, given: object) -> None:
        self.given = given

    def __arrow_c_array__(self, requested_schema: object = None) -> object:
        return self.given


@pytest.mark.parametrize("given", [None, 5, ("a", "b"), (texts("a").__arrow_c_array__()[1],) * 2])
def test_arrow_non_capsule_is_an_error(given: object) -> None:
    with pytest.raises(RequestValueError, match="the Arrow data is broken"):
        read_column(Fake(given), "c", kind="text")


# RFC 3629; each in a text of its own between two sound ones
NOT_UTF8 = [
    b"\x80", b"\xc0\xaf", b"\xc1\x81", b"\xc3", b"\xe0\x80\xaf", b"\xe2\x82", b"\xed\xa0\x80", b"\xed\xbf\xbf",
    b"\xf0\x80\x80\x80", b"\xf0\x9f\x98", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xfe", b"\xff", b"a" * 40 + b"\xe9",
]  # fmt: skip


def _in_layouts(bad: bytes) -> list[HandMade]:
    data = b"ok" + bad + "é".encode()
    ends = (0, 2, 2 + len(bad), len(data))
    long = len(bad) > 12
    views = inline_view(b"ok") + (view(len(bad), 0, 2, bad[:4]) if long else inline_view(bad)) + inline_view("é".encode())
    plain = HandMade("u", [None, offsets(*ends), data], 3)
    values = HandMade("u", [None, offsets(*ends), data], 3)
    return [
        plain,
        HandMade("U", [None, large_offsets(*ends), data], 3),
        HandMade("vu", [None, views, data, struct.pack("<q", len(data))], 3),
        HandMade("C", [None, b"\0\1\2"], 3, dictionary=values),
    ]


@pytest.mark.parametrize("row", [0, 1, 300, 511, 512, 598, 599])
@pytest.mark.parametrize("gap", [0, 1], ids=["one behind the other", "with gaps"])
def test_arrow_consecutive_string_views_are_all_verified(row: int, gap: int) -> None:
    """A batch reads them as one text; the invalid row is reported, and the others are decided."""
    arns = [f"arn:aws:s3:::bucket/{i:04d}".encode() for i in range(600)]
    arns[row] = arns[row][:-1] + b"\xff"
    size = len(arns[0])
    views = b"".join(view(size, 0, i * (size + gap), arn[:4]) for i, arn in enumerate(arns))
    data = b"".join(arn + b" " * gap for arn in arns)
    user = "arn:aws:iam::111111111111:user/ana"
    directory = fastiam.Directory()
    allowed = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    directory.add_principal(user, identity_policies=[{"Version": "2012-10-17", "Statement": allowed}])
    engine = directory.compile()
    for _ in range(2):
        resources = HandMade("vu", [None, views, data, struct.pack("<q", len(data))], 600)
        found = engine.decide_many([user] * 600, "s3:GetObject", resources, on_error="deny")
        assert list(found.errors) == [row] and found.allowed.sum() == 599


@pytest.mark.parametrize("bad", NOT_UTF8, ids=repr)
def test_arrow_invalid_utf8_is_an_error_of_its_row(bad: bytes) -> None:
    for producer in _in_layouts(bad):
        with pytest.raises(RequestValueError, match="not valid UTF-8") as caught:
            read_column(producer, "c", kind="text")
        assert caught.value.row == 1
    for producer in _in_layouts(bad):
        errors: dict[int, Exception] = {}
        assert column_texts(read_column(producer, "c", kind="text", errors=errors)) == ["ok", None, "é"]
        assert list(errors) == [1]


def test_arrow_character_cut_by_offset_is_invalid_utf8() -> None:
    with pytest.raises(RequestValueError, match="not valid UTF-8"):
        read_column(HandMade("u", [None, offsets(0, 1, 2), "é".encode()], 2), "c", kind="text")


def test_arrow_unused_invalid_text_is_accepted() -> None:
    values = HandMade("u", [None, offsets(0, 1, 2), b"a\xff"], 2)
    column = read_column(HandMade("C", [None, b"\0\0"], 2, dictionary=values), "c", kind="text")
    assert column_texts(column) == ["a", "a"]
    under_null = HandMade("u", [b"\1", offsets(0, 1, 2), b"a\xff"], 2, null_count=1)
    assert column_texts(read_column(under_null, "c", kind="text")) == ["a", None]
