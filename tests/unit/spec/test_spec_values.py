"""Values of conditions (spec 4.4, 4.5): each grammar is read exactly, and no other text."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastiam.spec import values

DAY = 86_400


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10", Decimal(10)),
        ("10.0", Decimal(10)),
        ("-0", Decimal(0)),
        ("007", Decimal(7)),
        ("0.1", Decimal("0.1")),
        ("9" * 60 + ".5", Decimal("9" * 60 + ".5")),
        *((text, None) for text in ("", "-", "+1", "1.", ".5", "1e3", " 1", "1 ", "5abc", "0x10", "१", "1,0", "1\n")),
    ],
)
def test_number_is_an_exact_plain_decimal(text: str, expected: Decimal | None) -> None:  # C30
    assert values.read_number(text) == expected


def test_numbers_equal_as_floats_are_distinct() -> None:  # C30
    low, high = values.read_number("9007199254740992"), values.read_number("9007199254740992.0000000000000000001")
    assert low is not None and high is not None and low < high


@pytest.mark.parametrize(
    ("text", "expected"),
    [("true", True), ("TRUE", True), ("False", False), ("1", None), ("yes", None), (" true", None), ("", None)],
)
def test_boolean_is_true_or_false_in_any_case(text: str, expected: bool | None) -> None:  # C31
    assert values.read_bool(text) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("QUJD", b"ABC"), ("QUI=", b"AB"), ("QQ==", b"A"), ("", b""), ("QUJ", None), ("QUJD=", None), ("QQ=", None), ("Q_JD", None)],
)
def test_binary_values_are_padded_standard_base64(text: str, expected: bytes | None) -> None:  # C32
    assert values.read_binary(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01", (0, 0)),
        ("1970-01-02", (DAY, 0)),
        ("2024-05-06", (1_714_953_600, 0)),
        ("2024-05-06T00:00Z", (1_714_953_600, 0)),
        ("2024-05-06T10:00:00+02:00", (1_714_953_600 + 8 * 3600, 0)),
        ("2024-05-06T10:00:00-02:30", (1_714_953_600 + 12 * 3600 + 1800, 0)),
        ("2024-05-06T10:00:00.25Z", (1_714_953_600 + 10 * 3600, 250_000_000)),
        ("1970-01-01T00:00:00.1234567899Z", (0, 123_456_789)),
        ("1969-12-31T23:59:59.5Z", (-1, 500_000_000)),
        ("2000-02-29", (951_782_400, 0)),
        ("9999-12-31", (253_402_214_400, 0)),
        ("0001-01-01", (-62_135_596_800, 0)),
        ("0000-03-01", (-62_135_596_800 - 306 * DAY, 0)),
        ("1714953600", (1_714_953_600, 0)),
        ("+2024", (2024, 0)),
        ("-2024", (-2024, 0)),
        ("02024", (2024, 0)),
        ("0", (0, 0)),
        (str(2**63 - 1), (2**63 - 1, 0)),
        (str(-(2**63)), (-(2**63), 0)),
        ("0" * 5000 + "7", (7, 0)),
        (str(2**63), None),
        ("9" * 5000, None),
        *(
            (text, None)
            for text in (
                "2024",
                "2024-5-6",
                "2024-13",
                "2024-00",
                "2024-02-30",
                "2023-02-29",
                "1900-02-29",
                "2024-05-06T10:00:00",
                "2024-05-06T10Z",
                "2024-05-06t10:00:00z",
                "2024-05-06T24:00:00Z",
                "2024-05-06T23:59:60Z",
                "2024-05-06T10:60Z",
                "2024-05-06T10:00:00+0200",
                "2024-05-06T10:00:00.Z",
                "2024-05-06T10:00:00+24:00",
                "2024-05-06 10:00:00Z",
                "20240506T100000Z",
                "1.5",
                "",
                " 0",
                "tomorrow",
            )
        ),
    ],
)
def test_date_is_an_instant_in_nanoseconds(text: str, expected: tuple[int, int] | None) -> None:  # C40 to C43
    assert values.read_date(text) == expected


@given(st.datetimes(timezones=st.none()))
def test_dates_agree_with_the_calendar_of_the_standard_library(moment) -> None:  # C40
    from datetime import UTC, datetime, timedelta

    utc = moment.replace(tzinfo=UTC)
    read = values.read_date(utc.isoformat(timespec="microseconds").replace("+00:00", "Z"))
    since = utc - datetime(1970, 1, 1, tzinfo=UTC)
    assert read == (since // timedelta(seconds=1), moment.microsecond * 1000)


@pytest.mark.parametrize(
    ("context", "policy", "expected"),
    [
        ("203.0.113.1", "203.0.113.77/24", True),  # E170: host bits do not count
        ("203.0.114.1", "203.0.113.0/24", False),
        ("203.0.113.7", "203.0.113.7", True),
        ("203.0.113.7", "0.0.0.0/0", True),
        ("2001:db8::1", "203.0.113.0/24", False),  # E171
        ("2001:db8::1", "0.0.0.0/0", False),
        ("2001:db8:1::1", "2001:DB8::/32", True),  # E172
        ("2001:DB8:0:0:0:0:0:1", "2001:db8::1", True),  # C53
        ("::ffff:203.0.113.7", "203.0.113.7", True),  # E173
        ("::ffff:cb00:7107", "203.0.113.7", True),
        ("203.0.113.7", "::ffff:203.0.113.0/120", True),  # E353
        ("::ffff:203.0.113.7", "::/0", False),  # E353
        ("203.0.113.7", "::ffff:203.0.113.0/95", False),
        ("::ffff:203.0.113.7", "::ffff:0:0/96", True),
    ],
)
def test_address_range_compares_by_value(context: str, policy: str, expected: bool) -> None:  # C50, C52, C53
    address, network = values.read_address(context), values.read_network(policy)
    assert address is not None and network is not None and network.contains(address) is expected


@pytest.mark.parametrize(
    "text",
    ["", "10.0.0", "10.1", "010.0.0.1", "10.0.0.256", "10.0.0.1/24", "fe80::1%eth0", "::1%0", " 10.0.0.1", "1::2::3", "ten"],
)
def test_context_address_has_no_prefix(text: str) -> None:  # C51
    assert values.read_address(text) is None


@pytest.mark.parametrize(
    "text", ["10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/08", "10.0.0.0/255.0.0.0", "10.0.0.0/8/8", "*"]
)
def test_network_requires_a_valid_prefix_length(text: str) -> None:  # C50, E174
    assert values.read_network(text) is None
