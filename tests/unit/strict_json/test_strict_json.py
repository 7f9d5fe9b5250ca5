"""Strict JSON (G34): texts that orjson accepts and the server refuses."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fastiam.strict_json import IDENTITY_LIMITS, JsonError, JsonLimits, find_fault, is_exact, read_object, read_value
from fastiam.strict_json._checker import JsonChecker

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


def test_read_value_accepts_other_values_than_objects() -> None:
    assert read_value(b"[1]") == [1]


@pytest.mark.parametrize("text", ["9007199254740993", "-9007199254740993", "9007199254740993.0", "1e300", "99999999999999999999"])
def test_number_beyond_2_to_53_is_not_exact(text: str) -> None:
    assert not is_exact(read_object(b'{"a": %s}' % text.encode())["a"])


@pytest.mark.parametrize("text", ["9007199254740992", "-9007199254740992", "0", "1.5", "-1e10"])
def test_number_up_to_2_to_53_is_exact(text: str) -> None:
    assert is_exact(read_object(b'{"a": %s}' % text.encode())["a"])


# -- the fast form --------------------------------------------------------------------------------------------------------

SMALL = JsonLimits(depth=4, members=4, arrays={"a": 2, "ab": 6})
NAMES = st.sampled_from(["a", "b", "ab", "é", "😀", "", '"', "\\", "a" * 8, "a" * 9, "a" * 16, "a" * 17, "\n"])


@st.composite
def written_names(draw: st.DrawFn) -> str:
    """A name as JSON text: each character as it is, or escaped in one of its ways."""
    parts = []
    for character in draw(NAMES):
        units = character.encode("utf-16-be")
        escaped = "".join(f"\\u{units[i] << 8 | units[i + 1]:04x}" for i in range(0, len(units), 2))
        parts.append(draw(st.sampled_from([json.dumps(character, ensure_ascii=False)[1:-1], escaped, escaped.replace("d", "D")])))
    return f'"{"".join(parts)}"'


def joined(items: list[str], brackets: str) -> str:
    return brackets[0] + ", ".join(items) + brackets[1]


TEXTS = st.recursive(
    st.sampled_from(["1", "-2.5e3", "true", "null", '"x"', '"{[,:\\"\\\\"', '"\\\\"', "[]", "{}", " [ ] "]) | written_names(),
    lambda inner: (
        st.lists(inner, max_size=7).map(lambda items: joined(items, "[]"))
        | st.lists(st.tuples(written_names(), inner), max_size=6).map(lambda pairs: joined([f"{k}: {v}" for k, v in pairs], "{}"))
    ),
    max_leaves=12,
)


@given(TEXTS)
@example('{"a": [1, 2, 3]}')
@example('{"ab": [1, 2, 3, 4, 5, 6]}')
@example('{"\\u0061": [1, 2, 3]}')
@example('{"b": [1, 2, 3, 4, 5]}')
@example('{"a": {"a": [1, 2, 3]}}')
@example('{"ab": [[1, 2, 3, 4, 5]]}')
@example('{"a": 1, "b": [1, 2, 3]}')
def test_fast_check_equals_the_definition(text: str) -> None:
    body = text.encode()
    orjson.loads(body)
    is_sound = SMALL.checker.is_sound(body)
    fault = find_fault(body, SMALL)
    escaped_array_name = "\\u" in text and not is_sound and fault is None
    assert is_sound == (fault is None) or escaped_array_name, fault


@given(st.integers(1, 200), st.integers(0, 199), st.booleans())
def test_fast_check_finds_one_duplicate_of_many_names(count: int, twice: int, is_longer: bool) -> None:
    names = [f"{i}{'x' * 20 if is_longer else ''}" for i in range(count)]
    checker = JsonChecker(32, 1000, {})
    assert checker.is_sound(orjson.dumps(dict.fromkeys(names)))
    pairs = [f'"{name}": 0' for name in [*names, names[twice % count]]]
    assert not checker.is_sound(joined(pairs, "{}").encode())


@given(st.binary(max_size=60) | st.text(alphabet='{}[],:"\\u0d8', max_size=60).map(str.encode))
def test_fast_check_survives_text_that_is_not_json(body: bytes) -> None:
    assert SMALL.checker.is_sound(body) in (True, False)
    with pytest.raises(JsonError):
        read_object(body + b"!", SMALL)


@pytest.mark.parametrize("limits", [(0, 1, {}), (1025, 1, {}), (1, 0, {}), (1, 1, {"a": 0})])
def test_limits_out_of_range_are_refused(limits: tuple[int, int, dict[str, int]]) -> None:
    with pytest.raises(ValueError):
        JsonLimits(*limits)


# -- limits of identity providers (WI11) ------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [2**63, -(2**200), 10**300])
def test_integer_of_a_token_is_exact(number: int) -> None:
    assert read_object(b'{"id": %d}' % number, IDENTITY_LIMITS) == {"id": number}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"id": 1%s}' % (b"0" * 400), "bad_json"),
        (b'{"exp": 1e999}', "bad_json"),
        (b'{"sub": "a", "s\\u0075b": "b"}', "duplicate_key"),
        (b'{"a":' * 17 + b"1" + b"}" * 17, "too_deep"),
        (b'{"a": "\\ud800"}', "bad_json"),
    ],
)
def test_object_of_an_identity_provider_is_refused(body: bytes, code: str) -> None:
    with pytest.raises(JsonError) as caught:
        read_object(body, IDENTITY_LIMITS)
    assert caught.value.code == code


def test_object_of_an_identity_provider_has_16_levels() -> None:
    assert read_object(b'{"a":' * 16 + b"1" + b"}" * 16, IDENTITY_LIMITS)
