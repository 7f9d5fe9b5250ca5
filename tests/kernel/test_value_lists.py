"""Conditions with many values, found by binary search where possible, equal the specification evaluator for each value.

Lists hold texts of one size and of others, twice the same, and networks that lie within others, of both families (C50 to C53).
"""

from __future__ import annotations

import ipaddress
from typing import Any

import hypothesis.strategies as st
import pyarrow as pa
import pytest
from hypothesis import given, settings
from seeds import few_or_all
from specification import decision

import fastiam
from fastiam import Outcome
from fastiam.compile.conditions import Value, in_search_order, read_value
from fastiam.model.request import Request, read_context
from fastiam.policy.conditions.operators import BASE_OPERATORS

ANN = "arn:aws:iam::111111111111:user/ann"
TEXTS = st.text("ab\0\u00e9\U0001f511", max_size=5)
EXACT = ["StringEquals", "StringNotEquals", "ForAnyValue:StringEquals", "ForAllValues:StringNotEqualsIfExists"]
V4 = st.integers(0, 2**32 - 1)
EDGES = [0, 1 << 31, 10 << 24, (10 << 24) + (1 << 16), 2**32 - 1]
NEAR_V4 = st.one_of(V4, st.sampled_from(EDGES))


@st.composite
def networks(draw: st.DrawFn) -> str:
    """Host bits need not be zero; some are of IPv6, written with the IPv4 block, around it, or far from it."""
    number, size = draw(NEAR_V4), draw(st.sampled_from([0, 1, 7, 8, 9, 15, 16, 24, 31, 32]))
    form = draw(st.sampled_from(["v4", "v4", "v4", "mapped", "v6", "around"]))
    if form == "v4":
        return f"{ipaddress.IPv4Address(number)}/{size}"
    if form == "mapped":
        return f"::ffff:{ipaddress.IPv4Address(number)}/{96 + size}"
    if form == "around":
        return draw(st.sampled_from(["::/0", "::/64", "::ffff:0:0/95", "::/8"]))
    return f"2001:db8::{number & 0xFFFF:x}/{96 + size}"


def addresses(networks: list[str]) -> list[str]:
    """Both ends of each network, the addresses just outside, and more."""
    found = {
        "0.0.0.0",
        "255.255.255.255",
        "::",
        "::ffff:0:0",
        "::1:0:0:0",
        "2001:db8::1",
        "10.0.0.1",
        "010.0.0.1",
        "no address",
        "",
    }
    for text in networks:
        one = ipaddress.ip_network(text, strict=False)
        for number in (int(one[0]) - 1, int(one[0]), int(one[-1]), int(one[-1]) + 1):
            if 0 <= number < 2**one.max_prefixlen:
                found.add(str(type(one[0])(number)))
    return sorted(found)


def agree(operator: str, values: list[str], given: list[Any]) -> set[Outcome]:
    """Outcomes of the reference where this allows, and where it denies: a batch of plain text and single calls have the same."""
    key = "aws:SourceIp" if operator.endswith("IpAddress") else "app:name"
    seen: set[Outcome] = set()
    for effect, action in (("Allow", "sqs:Get"), ("Deny", "sqs:Set")):
        made: list[dict[str, Any]] = [
            {"Effect": effect, "Action": "sqs:*", "Resource": "*", "Condition": {operator: {key: values}}},
            {"Effect": "Allow", "Action": "sqs:Set", "Resource": "*"},
        ]
        directory = fastiam.Directory(quotas=None, mode="lenient")
        directory.add_principal(ANN, identity_policies=[{"Version": "2012-10-17", "Statement": made}])
        snapshot, engine, expected = directory.snapshot(), directory.compile(), []
        for text in given:
            context = read_context({key: text})
            subject, target, endpoint = snapshot.profiles(ANN, action, "*", context)
            answer = decision(subject, target, Request(action, context, 0), endpoint=endpoint, sources=snapshot.account_facts)
            expected.append(answer.outcome)
        found = engine.decide_many(ANN, action, "*", {key: pa.array(given)}).outcome
        assert found.tolist() == list(map(int, expected)), (
            effect,
            [text for text, one, other in zip(given, found, expected, strict=True) if one != other],
        )
        assert [engine.decide(ANN, action, "*", {key: text}).outcome for text in given] == expected, effect
        seen.update(expected)
    return seen


@given(st.lists(networks(), min_size=2, max_size=14), st.booleans())
@settings(max_examples=few_or_all(30, 60))
def test_address_matches_one_of_many_networks(values: list[str], inverted: bool) -> None:
    agree("NotIpAddress" if inverted else "IpAddress", values, addresses(values))


@given(st.lists(TEXTS, min_size=2, max_size=14), st.lists(TEXTS, min_size=1, max_size=6), st.sampled_from(EXACT))
@settings(max_examples=few_or_all(20, 40))
def test_text_equals_one_of_many_values(values: list[str], others: list[str], operator: str) -> None:
    agree(operator, values, [*values, *others])


@given(
    st.lists(st.text("ab?*\u00e9", max_size=4), min_size=2, max_size=10), st.lists(TEXTS, min_size=4, max_size=9), st.booleans()
)
@settings(max_examples=few_or_all(20, 40))
def test_text_matches_one_of_many_patterns(values: list[str], others: list[str], inverted: bool) -> None:
    agree("StringNotLike" if inverted else "StringLike", [*values, "a${aws:username}"], [*others, "aann", "ann"])


@pytest.mark.parametrize(
    ("values", "inside"),
    [
        (["10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "11.0.0.0/8", "10.1.2.3/32", "10.0.0.0/8"], "10.200.0.1"),
        (["2001:db8::/32", "::/0", "10.0.0.0/8", "11.0.0.0/8", "12.0.0.0/8", "13.0.0.0/8"], "2001:db9::1"),
        (["::ffff:10.0.0.0/104", "10.0.0.0/16", "20.0.0.0/8", "21.0.0.0/8", "22.0.0.0/8", "0.0.0.0/0"], "203.0.113.9"),
        (["10.0.0.7/8", "20.0.0.7/8", "30.0.0.7/8", "40.0.0.7/8", "50.0.0.7/8", "60.0.0.7/8"], "60.0.0.1"),
    ],
    ids=["one within the other", "IPv6 around IPv4 (C52)", "all of IPv4, written in two ways", "host bits are not zero"],
)
def test_nested_networks_match(values: list[str], inside: str) -> None:
    assert agree("IpAddress", values, [inside, *addresses(values)]) >= {Outcome.ALLOW, Outcome.EXPLICIT_DENY}


@pytest.mark.parametrize("broken", ["no network", "10.0.0.0/33", "${aws:username}"])
def test_invalid_network_leaves_the_others_matching(broken: str) -> None:
    """V18: undetermined where no other one holds."""
    values = ["10.0.0.0/8", "11.0.0.0/8", broken, "12.0.0.0/8", "13.0.0.0/8", "14.0.0.0/8", "15.0.0.0/8"]
    assert Outcome.ALLOW in agree("IpAddress", values, ["10.0.0.1", "15.0.0.1", "16.0.0.1"])


def test_values_with_variables_mix_with_literal_values() -> None:
    values = ["a", "b", "${aws:username}", "d", "e", "f", "g", "${*}"]
    assert agree("StringEquals", values, ["a", "ann", "bob", "g", "*", "h"]) >= {Outcome.ALLOW, Outcome.IMPLICIT_DENY}


@pytest.mark.parametrize(
    ("operator", "texts", "kept", "ordered"),
    [
        ("StringEquals", ["b", "aa", "", "b", "a"], ["", "a", "b", "aa"], True),
        ("StringEquals", ["a"], ["a"], False),
        ("StringEqualsIgnoreCase", ["B", "aA", "b", "\u00c9"], ["b", "aa", "\u00e9"], True),
        ("StringLike", ["b", "a", "b"], ["b", "a"], False),
        ("NumericEquals", ["10", "9.5", "-3", "9.50", "x", "y"], ["-3", "9.50", "10", "x"], True),
        ("NumericEquals", ["9" * 6000, "8"], ["8", "9" * 6000], True),
        ("NumericLessThan", ["10", "9.5", "x", "-3"], ["10", "x"], False),
        ("NumericGreaterThanEquals", ["10", "9.5", "-3"], ["-3"], False),
        (
            "DateEquals",
            ["2030-01-01T00:00:00.5Z", "20000", "2030-01-01"],
            ["20000", "2030-01-01", "2030-01-01T00:00:00.5Z"],
            True,
        ),
        ("DateLessThanEquals", ["2030-01-01", "2031-01-01"], ["2031-01-01"], False),
        ("Bool", ["true", "TRUE", "x", "false", "y"], ["TRUE", "false", "x"], False),
        ("BinaryEquals", ["QUJD", "QQ==", "QR==", "QVE="], ["QR==", "QVE=", "QUJD"], True),
        ("IpAddress", ["10.1.0.0/16", "9.9.9.9", "10.0.0.7/8", "::1"], ["::1", "9.9.9.9", "10.0.0.0/8"], True),
        ("IpAddress", ["10.0.0.0/8", "11.0.0.0/33", "11.0.0.0/8"], ["10.0.0.0/8", "11.0.0.0/8", "11.0.0.0/33"], True),
        ("IpAddress", ["::ffff:0:0/95", "10.0.0.0/8"], ["::fffe:0:0/96", "10.0.0.0/8"], True),
    ],
    ids=repr,
)
def test_policy_values_are_stored_in_search_order(operator: str, texts: list[str], kept: list[str], ordered: bool) -> None:
    def value(text: str) -> Value:
        read = read_value(text, BASE_OPERATORS[operator], variables=True)
        return Value(b"".join(map(bytes, read.text)), read.number, read.nanos, read.is_u, False, False, read.address)

    assert in_search_order(BASE_OPERATORS[operator], list(map(value, texts))) == (list(map(value, kept)), ordered)


TYPED = {
    "Numeric": (
        ["-1", "0", "-0", "1", "1.0", "1.50", "1.5", "10", "9" * 40, "x", ""],
        "Equals NotEquals LessThan GreaterThanEquals",
    ),
    "Date": (
        ["2030-01-01", "2030-01-01T00:00:00Z", "2030-01-01T00:00:00.25Z", "20000", "+20000", "2030", "x"],
        "Equals NotEquals LessThanEquals",
    ),
    "Bool": (["true", "FALSE", "True", "x", ""], ""),
    "Binary": (["", "QQ==", "QR==", "QUJD", "QUJE", "QVE=", "Q", "x"], "Equals"),
}


@pytest.mark.parametrize("family", TYPED)
@given(data=st.data())
@settings(max_examples=few_or_all(15, 30))
def test_parsed_value_equals_one_of_many(family: str, data: st.DataObject) -> None:
    texts, forms = TYPED[family]
    operator = family + data.draw(st.sampled_from(forms.split() or [""]))
    values = data.draw(st.lists(st.sampled_from(texts), min_size=1, max_size=9))
    agree(data.draw(st.sampled_from(["", "ForAnyValue:", "ForAllValues:"])) + operator, values, texts)


PIECES = st.lists(st.sampled_from(["a", "b", "ab", "\u00e9", "*", "*", "?", "A", "\u00c9", ":"]), max_size=6).map("".join)
FIELDS = st.lists(st.sampled_from(["arn:", "aws:", "s3:", ":", "a", "b*", "*", "?", "*:"]), min_size=5, max_size=9).map("".join)


@pytest.mark.slow
@pytest.mark.parametrize(
    "form", ["StringLike", "StringEqualsIgnoreCase", "StringEquals", "ArnLike", "ArnNotEquals", "StringNotLike"]
)
@given(data=st.data())
@settings(max_examples=few_or_all(2, 6), deadline=None)
def test_many_texts_match_some_of_many_patterns(form: str, data: st.DataObject) -> None:
    """Enough of both that one pass finds all patterns: fillers that match nothing, and variables, are among them."""
    parts = FIELDS if form.startswith("Arn") else PIECES
    filler = "arn:aws:sqs:r:1:q{}" if form.startswith("Arn") else "q{}"
    drawn = data.draw(st.lists(parts, min_size=1, max_size=8))
    values = [filler.format(i) + "*" * (i % 3 == 0) for i in range(150)] + drawn + ["a${aws:username}*", "${none}"]
    values = data.draw(st.permutations(values[-12:])) + values[:-12]
    texts = data.draw(st.lists(parts.map(lambda text: text.replace("*", "b").replace("?", "\u00e9")), min_size=1, max_size=5))
    padding = [filler.format(f"z{i}") for i in range(45)]
    for qualifier in ("ForAnyValue:", "ForAllValues:"):
        agree(qualifier + form, values, [[*padding, *texts], [*texts, *padding], [*padding, "aann"]])
