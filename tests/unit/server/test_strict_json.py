"""Strict JSON (G34): texts that orjson accepts and the server refuses."""

from __future__ import annotations

import pytest

from fastiam.server.strict_json import JsonError, JsonLimits, is_exact, read_object, read_value

DEEP = 33
REFUSED = {
    "duplicate": (b'{"a": 1, "a": 2}', "duplicate_key", "$"),
    "duplicate-escaped": (b'{"a": 1, "\\u0061": 2}', "duplicate_key", "$"),
    "duplicate-surrogates": ('{"😀": 1, "\\ud83d\\ude00": 2}'.encode(), "duplicate_key", "$"),
    "duplicate-nested": (b'{"a": {"b": [1, {"c": 1, "c": 2}]}}', "duplicate_key", "$.a.b[1]"),
    "duplicate-of-many": (b'{%s, "k7": 0}' % b", ".join(b'"k%d": 0' % i for i in range(100)), "duplicate_key", "$"),
    "deep-arrays": (b'{"a":' + b"[" * DEEP + b"]" * DEEP + b"}", "too_deep", "$.a" + "[0]" * (DEEP - 2)),
    "deep-objects": (b'{"a":' * DEEP + b"1" + b"}" * DEEP, "too_deep", "$" + ".a" * (DEEP - 1)),
    "deep-beyond-orjson": (b'{"a":' * 5000 + b"1" + b"}" * 5000, "too_deep", "$"),
    "members": (b"{%s}" % b", ".join(b'"%d": 0' % i for i in range(1001)), "too_many", "$"),
    "items": (b'{"a": [%s]}' % b",".join([b"0"] * 1001), "too_many", "$.a"),
    "empty": (b"", "bad_json", "character 0"),
    "array": (b"[]", "not_object", "$"),
    "two-values": (b"{} {}", "bad_json", "character 3"),
    "byte-order-mark": (b"\xef\xbb\xbf{}", "bad_json", "character 0"),
    "not-utf-8": (b'{"a": "\xff"}', "bad_json", "character 0"),
    "lone-surrogate": (b'{"a": "\\ud800"}', "bad_json", "character 7"),
    "nan": (b'{"a": NaN}', "bad_json", "character 6"),
    "infinite": (b'{"a": 1e999}', "bad_json", "character 6"),
}


@pytest.mark.parametrize("body, code, at", REFUSED.values(), ids=REFUSED)
def test_read_object_refuses_text(body: bytes, code: str, at: str) -> None:
    with pytest.raises(JsonError) as caught:
        read_object(body)
    assert (caught.value.code, caught.value.at) == (code, at)


def test_read_object_accepts_text_at_each_limit() -> None:
    members = b", ".join(b'"%d": 0' % i for i in range(1000))
    assert len(read_object(b"{%s}" % members)) == 1000
    assert read_object(b'{"a":' * 32 + b"1" + b"}" * 32)
    assert read_object(b'{"a": [%s]}' % b",".join([b"0"] * 1000))


def test_same_name_in_two_objects_is_accepted() -> None:
    assert read_object(b'{"a": {"a": 1}, "b": [{"a": 1}, {"a": 2}]}') == {"a": {"a": 1}, "b": [{"a": 1}, {"a": 2}]}


def test_array_limit_applies_to_the_named_member_only() -> None:
    limits = JsonLimits(arrays={"rows": 2000, "few": 1})
    long = b"[%s]" % b",".join([b"0"] * 1001)
    assert len(read_object(b'{"rows": %s}' % long, limits)["rows"]) == 1001
    for body in (b'{"other": %s}' % long, b'{"rows": [%s]}' % long, b'{"few": [1, 2]}'):
        with pytest.raises(JsonError, match="more than"):
            read_object(body, limits)


def test_read_value_accepts_values_that_are_no_object() -> None:
    assert read_value(b"[1]") == [1]


@pytest.mark.parametrize("text", ["9007199254740993", "-9007199254740993", "9007199254740993.0", "1e300", "99999999999999999999"])
def test_number_beyond_2_to_53_is_not_exact(text: str) -> None:
    assert not is_exact(read_object(b'{"a": %s}' % text.encode())["a"])


@pytest.mark.parametrize("text", ["9007199254740992", "-9007199254740992", "0", "1.5", "-1e10"])
def test_number_up_to_2_to_53_is_exact(text: str) -> None:
    assert is_exact(read_object(b'{"a": %s}' % text.encode())["a"])
