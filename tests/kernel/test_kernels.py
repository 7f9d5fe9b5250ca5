"""The inline functions of the kernels, against plain definitions: `re`, `base64`, `ipaddress`, exact arithmetic.

Where the reference has a parser of its own, that is the definition; it shares no line with the kernels.
"""

from __future__ import annotations

import base64
import binascii
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fastiam.compile.keys import Keys
from fastiam.compile.pattern_text import globbed, utf8
from fastiam.kernel import testing
from fastiam.kernel.plan.names import Names
from fastiam.kernel.plan.tables import Tables, glob_matches, is_base64, parse_address, parse_instant
from fastiam.model.key_registry import fold
from fastiam.spec import values
from fastiam.spec import wildcards as globs

INT64 = 2**63
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# few letters, so that patterns match; one character each of one to four bytes; a byte of one is part of no other
LETTERS = "ab:é€😀"
texts = st.text(LETTERS, max_size=12)
patterns = st.text(LETTERS + "**??", max_size=10)
byte_strings = st.binary(max_size=70)


# -- numbers ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [8, 16, 32])
def test_narrowed_number_that_fits_is_kept(bits):
    assert testing.narrow(bits, 2**bits - 1) == 2**bits - 1


@pytest.mark.skipif(not testing.has_checks(), reason="a build without checks trusts its invariants")
@pytest.mark.parametrize(("bits", "number"), [(8, 256), (16, 65_536), (16, -1), (32, 2**32)])
def test_narrowed_number_that_loses_bits_ends_a_checked_build(bits, number):
    code = f"from fastiam.kernel import testing; testing.narrow({bits}, {number})"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode < 0 and "Assertion" in ended.stderr


# -- bytes and characters -----------------------------------------------------------------------------------------------

MASK = 2**64 - 1


def folded_product(x: int, y: int) -> int:
    product = x * y
    return (product ^ product >> 64) & MASK


def hash_by_definition(data: bytes, seed: int) -> int:
    """Folded products of little-endian words; a saved engine must find its names again in any process."""
    k1, k2, k3, k4 = 0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53
    word = lambda at: int.from_bytes(data[at : at + 8], "little")  # noqa: E731
    h, at, size = seed ^ (len(data) * k1 & MASK), 0, len(data)
    while size > 64:
        h = folded_product(word(at) ^ h, word(at + 8) ^ k2) ^ folded_product(word(at + 16) ^ k3, word(at + 24) ^ h ^ MASK)
        at, size = at + 32, size - 32
    if size < 8:
        return folded_product(word(at) ^ h, k2)
    if size < 16:
        return folded_product(word(at) ^ h, word(at + size - 8) ^ k2)
    places = [at + min(step, size - 16) for step in (0, 16, 32, 48)]
    keys = (h, k1), (k2, h), (h ^ MASK, k3), (k4, h ^ MASK)
    parts = [folded_product(word(place) ^ one, word(place + 8) ^ two) for place, (one, two) in zip(places, keys, strict=True)]
    return parts[0] ^ parts[1] ^ parts[2] ^ parts[3]


@given(byte_strings, st.integers(0, MASK))
@example(b"", 0)
@example(b"x" * 16, 1)
@example(b"x" * 17, 1)
@example(bytes(range(65)), 1)
@example(bytes(range(200)), 1)
def test_hash_is_equal_in_every_process(data: bytes, seed: int) -> None:
    assert testing.hash_bytes(data, seed) == hash_by_definition(data, seed)


@given(st.text(max_size=20))
@example("é€😀")
def test_character_step_advances_one_character(text: str) -> None:  # P1
    assert testing.characters(text.encode()) == [character.encode() for character in text]


def is_utf8_by_definition(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


@given(st.one_of(byte_strings, st.text(max_size=40).map(str.encode)), st.binary(max_size=4))
@pytest.mark.parametrize("prefix", [b"", b"a" * 31, b"a" * 32])
def test_utf8_check_equals_python(prefix: bytes, data: bytes, end: bytes) -> None:
    whole = prefix + data + end
    assert testing.is_utf8(whole) == is_utf8_by_definition(whole)
    assert testing.is_ascii(whole) == whole.isascii()


NOT_UTF8 = "80 BF C080 C1BF E09FBF EDA080 EDBFBF F08FBFBF F4908080 F5808080 FF C3 E282 F09F98 C328 E28228"


@pytest.mark.parametrize("text", NOT_UTF8.split())
def test_overlong_surrogate_and_cut_sequences_are_invalid_utf8(text: str) -> None:
    assert not testing.is_utf8(bytes.fromhex(text))


@given(st.integers(0, 0x110010))
@example(0x7F)
@example(0x80)
@example(0x7FF)
@example(0x800)
@example(0xD7FF)
@example(0xD800)
@example(0xDFFF)
@example(0xE000)
@example(0xFFFF)
@example(0x10000)
@example(0x10FFFF)
@example(0x110000)
def test_code_point_encoding_equals_python(point: int) -> None:
    is_character = point <= 0x10FFFF and not 0xD800 <= point <= 0xDFFF
    assert testing.write_utf8(point) == (chr(point).encode() if is_character else b"")


# -- tables of names ------------------------------------------------------------------------------------------------------


@given(st.sets(byte_strings, max_size=200), st.sets(byte_strings, max_size=20), st.integers(0, MASK))
def test_hash_table_finds_only_its_names(names: set[bytes], others: set[bytes], seed: int) -> None:
    table = Names(Tables(seed=seed))
    numbers = {name: number for number, name in enumerate(sorted(names))}
    for name, number in numbers.items():
        table.principal(name, number)
    assert {name: table.find_principal(name) for name in names | others} == {name: numbers.get(name) for name in names | others}


# -- folding -----------------------------------------------------------------------------------------------------------


@cache
def tables_with_folds() -> Tables:
    tables = Tables()
    Keys(tables)
    return tables


def test_case_folding_of_each_character_equals_definition() -> None:  # 4.2, O14
    points = [point for point in range(0x20000) if not 0xD800 <= point <= 0xDFFF]
    for start in range(0, len(points), 4096):
        text = "".join(map(chr, points[start : start + 4096]))
        assert testing.fold_text(tables_with_folds(), text.encode()) == fold(text).encode()


@given(st.text(st.characters(codec=None), max_size=30))
@example("ABC\ud800")
@example("\udfff")
@example("İıſKßẞΩ")
def test_folded_texts_are_equal_iff_definitions_are(text: str) -> None:  # 4.2; V39: a lone surrogate is itself alone
    assert testing.fold_text(tables_with_folds(), utf8(text)) == utf8(fold(text))


# -- wildcards ---------------------------------------------------------------------------------------------------------


def matches(pattern: str, text: str) -> bool:
    """P1, P2 with backtracking, in `re`."""
    parts = {"*": ".*", "?": "."}
    return re.fullmatch("".join(parts.get(c) or re.escape(c) for c in pattern), text, re.DOTALL) is not None


@given(patterns, texts)
@example("*", "")
@example("?", "")
@example("?", "😀")
@example("*é", "é€é")
@example("a*b*a", "aba")
@example("a*a", "a")
@example("**??", "é")
def test_glob_match_equals_regular_expression(pattern: str, text: str) -> None:  # P1, P2
    assert glob_matches(globbed(pattern), text.encode()) == matches(pattern, text)
    assert globs.glob_matches(globs.read_glob(pattern), text) == matches(pattern, text)


@st.composite
def hostile_globs(draw: st.DrawFn) -> tuple[str, str]:
    """Long pieces of a text, some of them changed, with `?` and stars between them: a mismatch is found late."""
    alphabet = draw(st.sampled_from(["a", "ab", "a\u00e9", "aaaaab", "a\U0001f600"]))
    text = "".join(draw(st.lists(st.sampled_from(alphabet), min_size=100, max_size=1200)))
    sizes = draw(st.lists(st.sampled_from([1, 2, 7, 40, 70, 150]), min_size=1, max_size=12))
    rate, at, pattern = draw(st.sampled_from([1, 2, 3, 9])), 0, draw(st.sampled_from(["", "*"]))
    for size in sizes:
        piece = text[at : at + size]
        pattern += "".join("?" if draw(st.booleans()) and i % rate == 0 else c for i, c in enumerate(piece[:9])) + piece[9:] + "*"
        at += size + draw(st.sampled_from([0, 1, 50]))
    changed = draw(st.integers(0, len(pattern) - 1))
    return pattern[:changed] + draw(st.sampled_from("a?b\u00e9")) + pattern[changed + 1 :], text


@given(hostile_globs(), st.sampled_from(["", "b", "*b", "*?\u00e9"]))
@settings(deadline=None)
def test_glob_with_long_backtracking_matches(case: tuple[str, str], end: str) -> None:  # P1, P2
    pattern, text = case[0] + end, case[1]
    expected = globs.glob_matches(globs.read_glob(pattern), text)
    assert glob_matches(globbed(pattern), text.encode()) == expected
    assert testing.glob_crossing(globbed(pattern), 0, text.encode()) == expected


@given(st.text("ab\u00e9", max_size=400), st.integers(0, 400), st.integers(1, 150), st.sampled_from([b"", b"a", b"b", b"\xc3"]))
@example("a" * 400, 0, 100, b"b")
@example("a" * 400 + "b", 300, 101, b"b")
def test_literal_search_returns_first_occurrence(text: str, at: int, size: int, end: bytes) -> None:
    data = text.encode()
    piece = data[at : at + size] + end or b"a"
    assert testing.find_literal(data, piece) == data.find(piece)


def test_glob_match_is_not_exponential() -> None:  # 2.1
    assert not glob_matches(globbed("a*" * 5000 + "b"), b"a" * 10_000)


@given(st.text(":abé", max_size=60), st.integers(0, 20))
@example(":::::", 0)
@example("::::", 0)
@example("a" * 70_000 + ":::::", 0)
@example("::::" + "a" * 65_531 + ":", 0)
@example("::::" + "a" * 65_532 + ":", 0)
def test_arn_split_finds_first_five_colons(text: str, padding: int) -> None:  # R3
    data = b"x" * padding + text.encode()
    places = tuple(at for at, byte in enumerate(data) if byte == ord(":"))[:5]
    expected = places if len(places) == 5 and places[4] <= 0xFFFF else None
    assert testing.cut(data) == expected
    assert testing.five_colons(data) == expected


fields = st.lists(patterns.map(lambda text: text.replace(":", "")), min_size=4, max_size=4)
field_texts = st.lists(texts.map(lambda text: text.replace(":", "")), min_size=4, max_size=4)


@given(fields, field_texts)
@example(["aws", "s3", "*", ""], ["aws", "s3", "", ""])
@example(["aws", "s3", "?", ""], ["aws", "s3", "é", ""])
def test_arn_fields_match_one_by_one(pattern: list[str], text: list[str]) -> None:  # R3, C60
    literal = sum(1 << i for i, field in enumerate(pattern) if "*" not in field and "?" not in field)
    whole = globbed(":".join(["arn", *pattern, "tail"]))
    expected = all(map(matches, pattern, text))
    for flags in {literal, 0}:
        assert testing.glob_fields(whole, ":".join(["arn", *text, "other"]).encode(), flags) == expected


def crosses(pattern: str, tail: int, text: str) -> bool:
    """R5: before field 6 a star that ends a field matches anything, other wildcards match no colon."""
    source = ""
    for at, character in enumerate(pattern):
        is_free = at >= tail or (character == "*" and pattern[at + 1 : at + 2] in ("", ":"))
        wild = "." if is_free else "[^:]"
        source += wild + "*" if character == "*" else wild if character == "?" else re.escape(character)
    return re.fullmatch(source, text, re.DOTALL) is not None


def starting_at_field_six(pattern: str) -> int:
    at = -1
    for _ in range(5):
        at = pattern.find(":", at + 1)
        if at < 0:
            return len(pattern)
    return at + 1


@given(st.text("aé::**?", max_size=14).map(lambda text: re.sub(r"\*+", "*", text)), st.text("aé::", max_size=14))
@example("a:*:a", "a:a:a:a")
@example("a:*a:a", "a:a:a:a")
@example("*", "::::::")
@example("a?", "a:")
@example("*" + "a" * 300, "b" + "a" * 300)  # longer than the room on the stack
@example("*" + "a" * 254, "b" + "a" * 254)
@example("*" + "a" * 255, "b" + "a" * 255)
def test_crossing_pattern_matches_across_colons(pattern: str, text: str) -> None:  # R4, R5
    tail = starting_at_field_six(pattern)
    encoded = globbed(pattern)
    at = len(globbed(pattern[:tail]))
    assert testing.glob_crossing(encoded, at, text.encode()) == crosses(pattern, tail, text)


# -- numbers -------------------------------------------------------------------------------------------------------------

numbers = st.one_of(
    st.from_regex(r"-?[0-9]{1,4}(\.[0-9]{1,4})?", fullmatch=True),
    st.from_regex(r"-?0{0,3}[1-9]?0{0,2}(\.0{0,3}[1-9]?0{0,3})?", fullmatch=True),
    st.text("-+.e09", max_size=5),
    st.decimals(allow_nan=False, allow_infinity=False).map(lambda number: format(number, "f")),
)


@given(numbers, numbers)
@example("-0", "0")
@example("0.0", "-0.00")
@example("10", "9")
@example("-10", "-9")
@example("1.10", "1.1")
@example("1.", "1")
@example("9007199254740993", "9007199254740992.9999999999999999999")
def test_numbers_compare_exactly(one: str, two: str) -> None:  # C30
    a, b = values.read_number(one), values.read_number(two)
    order = testing.compare_decimals(one.encode(), two.encode())
    assert (order is None) == (a is None or b is None)
    if order is not None and a is not None and b is not None:
        assert (order < 0, order == 0) == (a < b, a == b)


# -- dates -----------------------------------------------------------------------------------------------------------------

YEARS = "0000 0001 0004 0100 0400 1900 1969 1970 2000 2023 2024 2100 9999"
dates = st.builds(
    "{}-{:02}{}{}".format,
    st.sampled_from(YEARS.split()),
    st.integers(0, 13),
    st.one_of(st.just(""), st.integers(0, 32).map("-{:02}".format)),
    st.one_of(
        st.just(""),
        st.builds(
            "T{:02}:{:02}{}{}".format,
            st.integers(0, 24),
            st.integers(0, 60),
            st.one_of(st.just(""), st.from_regex(r":[0-6][0-9](\.[0-9]{0,12})?", fullmatch=True)),
            st.one_of(st.sampled_from(["Z", "z", "", "+0000"]), st.from_regex(r"[+-][0-2][0-9]:[0-6][0-9]", fullmatch=True)),
        ),
    ),
)
epochs = st.one_of(
    st.integers(-INT64 - 2, INT64 + 2).map(str), st.integers(-INT64 - 2, -INT64 + 2).map(str), st.from_regex(r"[+-]?[0-9]{0,21}")
)


def replaced(text: str, at: int, character: str) -> str:
    at %= len(text) + 1
    return text[:at] + character + text[at + 1 :]


broken = st.builds(replaced, dates, st.integers(0, 40), st.sampled_from("0T:-+Z. é\n\0"))


@given(st.one_of(dates, epochs, broken))
@example("2024")
@example("+2024")
@example("2024-02-30")
@example("2023-02-29")
@example("2024-02-29T23:59:59.999999999999Z")
@example("2024-01-01T00:00")
@example(str(INT64))
@example(str(INT64 - 1))
@example(str(-INT64))
@example(str(-INT64 - 1))
@example("00000000000000000000000000012345")
def test_date_parsing_equals_spec(text: str) -> None:  # C40 to C43
    assert parse_instant(text.encode()) == values.read_date(text)


@given(st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC)), st.integers(-23 * 60, 23 * 60))
def test_zoned_date_equals_datetime_instant(when: datetime, minutes: int) -> None:  # C42
    local = when.replace(microsecond=0) + timedelta(minutes=minutes)
    sign, hours, rest = "-" if minutes < 0 else "+", abs(minutes) // 60, abs(minutes) % 60
    text = local.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0") + f"{sign}{hours:02}:{rest:02}"
    seconds = (when.replace(microsecond=0) - EPOCH) // timedelta(seconds=1)
    assert parse_instant(text.encode()) == (seconds, 0)


@given(st.one_of(dates, epochs), st.one_of(dates, epochs))
def test_instants_compare_by_seconds_then_nanoseconds(one: str, two: str) -> None:  # C43
    a, b = values.read_date(one), values.read_date(two)
    order = testing.compare_instants(one.encode(), two.encode())
    assert order == (None if a is None or b is None else (a > b) - (a < b))


YEAR_0, YEAR_1, YEAR_10000 = -62_167_219_200, -62_135_596_800, 253_402_300_800


@given(st.integers(YEAR_0, YEAR_10000 - 1))
@example(YEAR_0)
@example(YEAR_0 + 60 * 86_400)
@example(YEAR_1 - 1)
@example(YEAR_1)
@example(YEAR_10000 - 1)
@example(-1)
@example(951_782_400)  # 2000-02-29
def test_instant_is_written_as_its_date(seconds: int) -> None:  # K5
    text = testing.write_time(seconds)
    assert text.decode() == values.date_text(seconds)
    assert parse_instant(text) == (seconds, 0)


@pytest.mark.parametrize("seconds", [YEAR_10000, YEAR_0 - 1, INT64 - 1, -INT64])
def test_instant_outside_four_digit_years_has_no_date(seconds: int) -> None:  # C43
    assert testing.write_time(seconds) == b""


# -- addresses -------------------------------------------------------------------------------------------------------------

address_texts = st.one_of(
    st.ip_addresses().map(str),
    st.ip_addresses(v=6).map(lambda address: address.exploded),
    st.ip_addresses(v=4).map("::ffff:{}".format),
    st.ip_addresses(v=4).map("64:ff9b::{}".format),
    st.text("0123456789af:.%/", max_size=20),
    st.lists(st.integers(0, 300), min_size=3, max_size=5).map(lambda parts: ".".join(map(str, parts))),
)


def sixteen(network: values.Network | None) -> bytes | None:
    if network is None:
        return None
    address = IPv6Address(network.bits) if network.version == 6 else IPv6Address(f"::ffff:{IPv4Address(network.bits)}")
    return address.packed


@given(address_texts)
@example("1.2.3.04")
@example("1.2.3.00")
@example("256.0.0.1")
@example("0.255.0.256")
@example("1.2.3")
@example("::")
@example("::1%eth0")
@example("fe80::1%1")
@example("1::2::3")
@example("::ffff:1.2.3.4")
@example("::ffff:0102:0304")
@example("0000:0000:0000:0000:0000:ffff:255.255.255.255")  # the longest one, 45 characters
@example("0000:0000:0000:0000:0000:ffff:255.255.255.2555")
@example("1.2.3.4\0")
@example("")
def test_address_parsing_equals_spec(text: str) -> None:  # C50 to C52
    assert parse_address(text.encode()) == sixteen(values.read_address(text))


@given(st.ip_addresses(), st.ip_addresses(), st.integers(0, 128), st.booleans())
@example(IPv4Address("10.0.0.1"), IPv4Address("10.0.0.0"), 8, False)
@example(IPv4Address("10.0.0.1"), IPv6Address("::"), 0, False)
@example(IPv6Address("::1"), IPv4Address("0.0.0.0"), 0, False)
@example(IPv4Address("0.0.0.1"), IPv6Address("::ffff:0:0"), 90, False)
def test_network_contains_addresses_of_its_prefix_and_version(
    one: IPv4Address | IPv6Address, two: IPv4Address | IPv6Address, prefix: int, near: bool
) -> None:  # C50, C52
    base = f"{one if near else two}/{min(prefix, two.max_prefixlen, one.max_prefixlen)}"
    address, network = values.read_address(str(one)), values.read_network(base)
    assert address is not None and network is not None
    a, b = sixteen(address), sixteen(network)
    assert a is not None and b is not None
    bits = network.prefix + 96 if network.version == 4 else network.prefix
    assert testing.in_range(a, b, bits) == network.contains(address)


# -- binary and boolean ------------------------------------------------------------------------------------------------------


def decoded(text: bytes) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True) if len(text) % 4 == 0 else None
    except binascii.Error:
        return None


base64_texts = st.one_of(byte_strings.map(base64.b64encode), st.text("AQz09+/=-_ ", max_size=9).map(str.encode))


@given(base64_texts)
@example(b"")
@example(b"=")
@example(b"====")
@example(b"A===")
@example(b"AA=A")
@example(b"QQ==QQ==")
@example(b"QUJD\n")
def test_base64_decoding_equals_standard(text: bytes) -> None:  # C32
    assert testing.decode_base64(text) == values.read_binary(text.decode())
    assert is_base64(text) == (values.read_binary(text.decode()) is not None)
    if values.read_binary(text.decode()) is not None:
        assert testing.decode_base64(text) == decoded(text)


@given(byte_strings, byte_strings)
def test_base64_order_is_by_decoded_size_then_bytes(one: bytes, two: bytes) -> None:  # C32
    order = testing.compare_base64(base64.b64encode(one), base64.b64encode(two))
    ranks = (len(one), one), (len(two), two)
    assert (order > 0) - (order < 0) == (ranks[0] > ranks[1]) - (ranks[0] < ranks[1])


def test_base64_unused_bits_of_last_group_are_ignored() -> None:  # C32
    assert (testing.compare_base64(b"QQ==", b"QR==") == 0) == (values.read_binary("QQ==") == values.read_binary("QR=="))


@given(st.one_of(st.from_regex(r"(?i)true|false", fullmatch=True), st.text("truefalsTRUEFALS01 ", max_size=6)))
@example("true\0")
@example("ſalse")
def test_boolean_parsing_equals_spec(text: str) -> None:  # C31
    assert {1: True, 0: False, -1: None}[testing.read_bool(text.encode())] is values.read_bool(text)
