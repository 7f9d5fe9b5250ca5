"""JSON lines of one form are read as columns, with the same answers as lines of any form (G34, G160)."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import orjson
import pytest
from bulk_fixture import ALICE, BOB, OBJECT, World, json_lines, row

from fastiam.server._json_lines import read_texts
from fastiam.server.identity import TRUST_SCOPES
from fastiam.server.protocols.bulk import json_rows
from fastiam.server.protocols.bulk.text_columns import TextColumn

PLAIN = [row(), row(BOB), row(resource="arn:aws:s3:::data/b")]
IP, TIME = "aws:SourceIp", "aws:CurrentTime"


def _columns(lines: list[bytes]) -> dict[str, list[str]] | None:
    found = read_texts(lines)
    return None if found is None else {name: TextColumn(*parts).to_pylist() for name, parts in found.items()}


def _general(monkeypatch: pytest.MonkeyPatch, world: World, body: bytes, query: str = "") -> bytes:
    """The answer without the way for lines of one form."""
    with monkeypatch.context() as patch:
        patch.setattr(json_rows, "read_texts", lambda lines: None)
        return world.stream(body, query).body


def test_lines_of_one_form_are_columns() -> None:
    rows = [row(made, resource=f"arn:aws:s3:::data/{i % 7}") for i, made in enumerate([ALICE, BOB, ""] * 50)]
    spaced = [b' \t{ "principal" :"%b","x": "" } \r' % each["principal"].encode() for each in rows]
    for lines in ([orjson.dumps(each) for each in rows], spaced):
        expected = [orjson.loads(line) for line in lines]
        assert _columns(lines) == {name: [each[name] for each in expected] for name in expected[0]}


@pytest.mark.parametrize(
    "other",
    [
        b'{"a":"1","b":"2","c":"3"}',
        b'{"a":"1"}',
        b'{"b":"1","a":"2"}',
        b'{"a":"1","b":"2"} ',
        b'{"a":"1","b": "2"}',
        b'{"a":"1","b":"2"',
        b'{"a":"1","b":"2',
        b'{"a":"1","b":"2"}}',
        b'{"a":"1","b":2}',
        b'{"a":"1","b":null}',
        b'{"a":"1","b":"\\u0031"}',
        b'{"a":"1","b":"12345678\\""}',
        b'{"a":"1","b":"\x7f"}',
        b'{"a":"1","b":"1234567\x7f90"}',
        b'{"a":"1","b":"1234567\x1f90"}',
        b'{"a":"1","b":"\xc3\xa9"}',
        b'{"a":"1","b":"1234567\xff"}',
        b'{"a":"1\x00","b":"2"}',
        b"",
        b"[]",
        None,
    ],
)
def test_line_of_another_form_is_left_to_the_caller(other: bytes | None) -> None:
    plain = b'{"a":"1","b":"2"}'
    assert _columns([plain, plain]) == {"a": ["1", "1"], "b": ["2", "2"]}
    assert read_texts([plain, other]) is None
    assert other == b'{"a":"1","b":"2"} ' or read_texts([other, plain]) is None


@pytest.mark.parametrize(
    "line",
    [
        b'{"a":"1","a":"2"}',
        b"{}",
        b'{"a":{"b":"1"}}',
        b'{"a":["1"]}',
        b'{"a\\n":"1"}',
        b'{"a" "1"}',
        b'{"a":"1";"b":"2"}',
        b'{"a":"1",}',
        b'"a"',
        b"{" + b",".join(b'"%d":"x"' % i for i in range(17)) + b"}",
    ],
)
def test_line_without_plain_texts_gives_no_form(line: bytes) -> None:
    assert read_texts([line]) is None


def test_no_lines_have_no_form() -> None:
    assert read_texts([]) is None


def _texts_of_one_hash() -> list[bytes]:
    """Texts of 16 bytes: the second half of each one takes the state of the hash to the same value."""
    first = np.random.default_rng(36).integers(35, 92, (1 << 20, 8), np.uint8)
    state = (np.uint64(16) * np.uint64(0x9E3779B97F4A7C15) ^ first.view(np.uint64).ravel()) * np.uint64(0xFF51AFD7ED558CCD)
    second = (state ^ (state >> np.uint64(32)) ^ np.uint64(0x4040404040404040)).view(np.uint8).reshape(-1, 8)
    is_plain = ((second >= 32) & (second < 127) & (second != 34) & (second != 92)).all(axis=1)
    return [bytes(text) for text in np.hstack([first[is_plain], second[is_plain]])]


@pytest.mark.filterwarnings("ignore:overflow")
def test_texts_that_were_chosen_for_their_hash_have_no_columns() -> None:
    """Each new one of them is compared with all others: 4,096 lines of them took 100 times as long."""
    lines = [b'{"a":"%b"}' % text for text in _texts_of_one_hash()]
    assert len(set(lines)) == len(lines) > 128
    assert _columns(lines[:128]) is not None and _columns(lines) is None
    others = [b'{"a":"%016d"}' % i for i in range(4_096)]
    assert _columns(others) is not None


def test_equal_texts_are_one_value() -> None:
    made = random.Random(4)
    texts = ["".join(made.choices("ab", k=made.randrange(12))) for _ in range(4_096)]
    found = read_texts([b'{"a":"%b"}' % text.encode() for text in texts])
    assert found is not None
    column = TextColumn(*found["a"])
    assert column.to_pylist() == texts and sorted(column.values) == sorted(set(texts))
    assert column.sizes.tolist() == list(map(len, column.values)) and column.codes.dtype == np.int32


@pytest.mark.parametrize(
    ("rows", "query"),
    [
        (PLAIN, ""),
        ([*PLAIN, row("alice")], ""),
        ([*PLAIN, row("alice")], "on_error=stop"),
        ([*PLAIN, row("")], ""),
        ([*PLAIN, row(action="")], ""),
        ([*PLAIN, row(resource="x" * 5_000)], ""),
        ([*PLAIN, row(action="nothing")], ""),
        ([{**each, IP: "198.51.100.1"} for each in PLAIN] + [{**row(), IP: "203.0.113.9"}], ""),
        ([{**each, IP: "198.51.100.1"} for each in PLAIN] + [{**row(), IP: "nowhere"}], ""),
        ([{**each, TIME: "2020-01-01T00:00:00Z"} for each in PLAIN] + [{**row(), TIME: "soon"}], ""),
        ([{**each, IP: "198.51.100.1", "AWS:sourceip": "198.51.100.1"} for each in PLAIN], ""),
        ([{**each, IP: "198.51.100.1"} for each in PLAIN], f"unknown={IP}"),
        ([{**each, "x:keys": "a"} for each in PLAIN], "unknown=aws:SourceIp"),
        ([{**each, "aws:PrincipalTag/team": "red"} for each in PLAIN], ""),
        ([{**each, "context": "a"} for each in PLAIN], ""),
        ([{**each, "resource_account": "111111111111"} for each in PLAIN], ""),
        ([{**each, "session": "s"} for each in PLAIN], ""),
        ([{**each, "bad key": "s"} for each in PLAIN], ""),
        ([{"action": "s3:GetObject", "resource": OBJECT}] * 3, ""),
    ],
)
@pytest.mark.parametrize("scopes", [("assert:context",), tuple(TRUST_SCOPES)])
def test_lines_of_one_form_are_answered_as_others(
    monkeypatch: pytest.MonkeyPatch, rows: list[dict[str, Any]], query: str, scopes: tuple[str, ...]
) -> None:
    world = World(scopes)
    assert world.stream(json_lines(rows), query).body == _general(monkeypatch, world, json_lines(rows), query)


def test_changed_bytes_are_answered_as_lines_of_any_form(monkeypatch: pytest.MonkeyPatch) -> None:
    body, made, world = json_lines([{**each, IP: "198.51.100.1"} for each in PLAIN]), random.Random(36), World()
    plain = 0
    for _ in range(400):
        changed = bytearray(body)
        for _ in range(made.choice((1, 1, 2))):
            changed[made.randrange(len(changed))] = made.choice(b'"\\,:{} \t\r\x00\x1fa1\x7f\x80\xff')
        plain += read_texts(bytes(changed).split(b"\n")[:-1]) is not None
        assert world.stream(bytes(changed)).body == _general(monkeypatch, world, bytes(changed)), bytes(changed)
    assert plain > 50


def test_plain_lines_are_read_as_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an object for each line: the general way is not used."""
    monkeypatch.setattr(json_rows, "_objects", None)
    assert [each["allowed"] for each in World().decide(PLAIN)] == [True, False, True]
