"""Lines of the decision log: the compiled form of the usual ones, beside the form that is defined in Python."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seeds import few_or_all

from fastiam.model.decision import Decision, Layer, Outcome, StatementRef
from fastiam.server.config_sections import DecisionLogSection
from fastiam.server.decision_log import DecisionLog
from fastiam.server.decision_records import DecisionRecord
from fastiam.server.http import Peer, Request
from fastiam.server.identity import Identity
from fastiam.server.log_writer import LogWriter

_STATEMENT = StatementRef(Layer.IDENTITY, 0, "Jobs", 3, "Sid\u202e")
_ALLOW = Decision(Outcome.ALLOW, Layer.IDENTITY, _STATEMENT)
_DENY = Decision(Outcome.IMPLICIT_DENY, Layer.SCP, None)
_DEPENDS = Decision(Outcome.DEPENDS, Layer.IDENTITY, None, depends_on=("aws:sourceip",))
_TEXTS = st.one_of(
    st.text(max_size=40),
    st.sampled_from(["arn:aws:iam::111111111111:role/a", '"', "\\", "\x7f", "\x1f", "é", "\u2028", "x" * 2_048, "x" * 2_049]),
)
_SCALARS = st.one_of(_TEXTS, st.booleans(), st.none(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False))
_NAMES = st.one_of(_TEXTS, st.sampled_from(["aws:SourceIp", "authzen:context/token", "Cookie", "aws:UserAgent"]))
_CONTEXTS = st.dictionaries(_NAMES, st.one_of(_SCALARS, st.lists(_SCALARS, max_size=2)), max_size=4)
_RECORDS = st.builds(
    DecisionRecord,
    st.just("authzen/evaluation"),
    st.integers(1, 10**12),
    st.none() | _TEXTS,
    st.none() | _TEXTS,
    st.none() | _TEXTS,
    _CONTEXTS,
    st.sampled_from([_ALLOW, _DENY, _DEPENDS, None]),
    st.sampled_from([True, False, {"allow": True}]),
    st.sampled_from([None, None, "unmapped_subject"]),
    st.none() | _TEXTS,
)
_HEADERS = st.lists(
    st.sampled_from(
        [
            (b"host", b"localhost"),
            (b"x-request-id", b"abc"),
            (b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ]
    ),
    max_size=3,
).map(tuple)


class _Lines(LogWriter):
    """Keeps lines in memory."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.error = None

    def put(self, line: bytes) -> bool:
        self.lines.append(line)
        return True


def _log(now: datetime, **changes: Any) -> tuple[DecisionLog, list[bytes]]:
    writer = _Lines()
    section = DecisionLogSection(mode="all", labels={"team": "é\u202e"}, **changes)
    return DecisionLog(section, writer, lambda: now, "host:1"), writer.lines


@settings(max_examples=few_or_all(75, 300))
@given(
    record=_RECORDS,
    headers=_HEADERS,
    now=st.datetimes(min_value=datetime(1970, 1, 1), timezones=st.just(UTC)),
    elapsed=st.integers(0, 2**62),
    name=st.none() | _TEXTS,
)
def test_line_has_the_same_bytes_with_and_without_erasure(record, headers, now, elapsed, name):
    """A log that erases members makes a tree of each line; another one writes the usual lines at once."""
    identity = None if name is None else Identity(name, frozenset())
    request = Request("POST", b"/", headers=headers, identity=identity, peer=Peer(address="10.0.0.1"), request_id="0193a-7")
    plain, lines = _log(now)
    erasing, expected = _log(now, erase=["/input/nothing"])
    for _ in range(2):
        assert plain.write(record, request, elapsed) and erasing.write(record, request, elapsed)
    assert lines == expected


def test_line_of_the_longest_texts_is_complete():
    text = "x" * 2_048
    record = DecisionRecord("a", 1, text, text, text, {f"k{i}": text for i in range(100)}, _ALLOW, True)
    log, lines = _log(datetime(2026, 11, 29, tzinfo=UTC))
    log.write(record, Request("POST", b"/"), 1)
    assert json.loads(lines[0])["input"] == {"principal": text, "action": text, "resource": text, "context": record.context}


@pytest.mark.parametrize("name", ["authzen:context/token", "Authorization", "x-password"])
def test_line_never_contains_a_secret(name):
    log, lines = _log(datetime(2026, 11, 29, tzinfo=UTC))
    for _ in range(2):
        log.write(DecisionRecord("a", 1, "p", "a", "r", {name: "hidden"}, _ALLOW, True), Request("POST", b"/"), 1)
    assert all(b"hidden" not in line and json.loads(line)["erased"] for line in lines)


def test_reason_is_that_of_the_decision_of_each_line():
    log, lines = _log(datetime(2026, 11, 29, tzinfo=UTC))
    for i in range(3_000):  # more than are kept: a new decision may get the address of one before
        statement = StatementRef(Layer.IDENTITY, 0, f"policy{i}", i, None)
        record = DecisionRecord("a", 1, "p", "a", "r", {}, Decision(Outcome.ALLOW, Layer.IDENTITY, statement), True)
        log.write(record, Request("POST", b"/"), 1)
    assert [json.loads(line)["policy"] for line in lines] == [f"policy{i}" for i in range(3_000)]
