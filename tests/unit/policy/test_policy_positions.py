"""Findings have the position of the value: in a text, in a larger file, in encoded text."""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastiam.errors import Finding, Severity
from fastiam.model.decision import Layer, StatementRef
from fastiam.model.policy import PolicyKind
from fastiam.model.source_map import Origin, Source, SourceMap, json_path, locate, locate_key
from fastiam.policy.document import read_policy, validate_policy
from fastiam.policy.json_text import parse_json

TEXT = """{
  "Version": "2012-10-17",
  "Statement": [
    {"Effect": "Allow", "Action": ["s3:Get*", "bad"],
     "Resource": "*", "Condition": {"StringEqual": {"aws:username": "ana"}},
     "Note": 1, "Effect": "Allow"}
  ]
}
"""
BAD = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "bad", "Resource": "*"}}


def places(text, kind=PolicyKind.IDENTITY, **kwargs):
    return {f.code: (f.line, f.column, f.width, f.path) for f in validate_policy(text, kind, **kwargs)}


def test_finding_points_at_value_or_name():
    assert places(TEXT) == {
        "V2": (6, 17, 8, "$.Statement[0].Effect"),  # the second one
        "V4": (6, 6, 6, "$.Statement[0].Note"),
        "V24": (4, 47, 5, "$.Statement[0].Action[1]"),
        "V15": (5, 37, 13, "$.Statement[0].Condition.StringEqual"),
    }


def test_finding_text_shows_line_and_caret():
    (finding,) = [f for f in validate_policy(TEXT, PolicyKind.IDENTITY, name="p.json") if f.code == "V15"]
    assert finding.render() == (
        "p.json:5:37: error: unknown condition operator `StringEqual` - at `$.Statement[0].Condition.StringEqual` [V15]\n"
        '5 |      "Resource": "*", "Condition": {"StringEqual": {"aws:username": "ana"}},\n'
        "  |                                     ^^^^^^^^^^^^^\n"
        "help: did you mean `StringEquals`?"
    )


def test_document_in_a_larger_file_has_positions_of_the_file():
    text = json.dumps({"Roles": [{"Doc": None}, {"Doc": BAD}]}, indent=1)
    value = parse_json(text, Source("gaad.json", text))
    origin = Origin(Source("gaad.json", text), ("Roles", 1, "Doc"))
    (finding,) = validate_policy(value["Roles"][1]["Doc"], PolicyKind.IDENTITY, origin=origin)
    line = text.split("\n").index('     "Action": "bad",') + 1
    assert (finding.source, finding.line, finding.column) == ("gaad.json", line, 16)
    assert finding.path == "$.Roles[1].Doc.Statement.Action"


@pytest.mark.parametrize("encode", [lambda t: t, lambda t: quote(t, safe="")], ids=["JSON in JSON", "URL-encoded"])
@pytest.mark.parametrize("document", [json.dumps(BAD), '{"Version": }'], ids=["bad policy", "broken JSON"])
def test_document_in_a_string_has_the_position_of_the_string(document, encode):
    text = json.dumps({"Roles": [{"Doc": encode(document)}]}, indent=1)
    origin = Origin(Source("gaad.json", text), ("Roles", 0, "Doc"))
    (finding,) = validate_policy(encode(document), PolicyKind.IDENTITY, origin=origin)
    assert (finding.line, finding.column) == (4, 11)
    assert finding.severity is Severity.ERROR
    if finding.code == "V1":
        assert "(line 1, column 13 of the document)" in finding.message


def test_statement_in_a_string_has_the_position_of_the_string():
    text = json.dumps({"Doc": quote(json.dumps(BAD))}, indent=1)
    policy = read_policy(json.loads(text)["Doc"], PolicyKind.IDENTITY, mode="lenient", origin=Origin(Source("g", text), ("Doc",)))
    ref = StatementRef.of(policy, policy.statements[0], Layer.IDENTITY, 0)
    assert (ref.file, ref.line, ref.column, ref.path) == ("g", 2, 9, "$.Doc.Statement[0]")


def test_url_encoded_text_has_the_position_of_the_text():
    (finding,) = validate_policy("\n " + quote(json.dumps(BAD)), PolicyKind.IDENTITY)
    assert (finding.line, finding.column) == (2, 2)


def test_mapping_has_a_path_without_position():
    (finding,) = validate_policy(BAD, PolicyKind.IDENTITY, name="arg")
    assert (finding.line, finding.column, finding.snippet) == (0, 0, "")
    assert str(finding).startswith("arg: error:")


def test_named_source_without_text_has_the_document_text():
    origin = Origin(Source("identity_policies[0]"))
    (finding,) = validate_policy(json.dumps(BAD), PolicyKind.IDENTITY, origin=origin)
    assert (finding.source, finding.line) == ("identity_policies[0]", 1)


def test_single_statement_is_found_under_index_zero():
    """Rule G10."""
    text = json.dumps(BAD, indent=1)
    assert locate(text, ("Statement", 0, "Action", 0)) == locate(text, ("Statement", "Action"))


def test_long_line_is_cut_around_the_value():
    text = json.dumps(BAD | {"Id": "x" * 5000, "Statement": [BAD["Statement"]]}) + " " * 5000
    (finding,) = [f for f in validate_policy(text, PolicyKind.IDENTITY) if f.code == "V24"]
    assert len(finding.snippet) <= 160
    line, caret = finding.render().split("\n")[1:3]
    assert line[caret.index("^") : caret.rindex("^") + 1] == '"bad"'


def test_snippet_escapes_terminal_controls():
    (finding,) = validate_policy('{"a": "\x1b[31m"}', PolicyKind.IDENTITY)
    assert finding.snippet == '{"a": "\ufffd[31m"}'


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


def walk(value, path=()):
    yield path, value
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, item in inner:
        yield from walk(item, (*path, step))


@given(JSON, st.sampled_from([None, 1]), st.booleans())
def test_located_text_is_the_value(value, indent, ascii_only):
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    seen = SourceMap(text)
    for path, inner in walk(value):
        start, end = seen.value(path)
        assert json.loads(text[start:end]) == inner, json_path(path)
        if path and isinstance(path[-1], str):
            start, end = locate_key(text, path)
            assert json.loads(text[start:end]) == path[-1]


@given(st.text(alphabet='{}[]",:\\ 1a', max_size=12), st.lists(st.sampled_from(["a", "", 0, 1]), max_size=3))
def test_locating_in_invalid_json_never_fails(text, path):
    span = locate(text, tuple(path))
    assert span is None or 0 <= span[0] <= span[1] <= len(text)
    assert locate_key(text, tuple(path) or ("a",)) is None or text


def count_calls(function: Callable[[], object]) -> int:
    """The number of calls and returns while a function runs: a measure of work that no other process disturbs."""
    events = itertools.count()
    sys.setprofile(lambda *event: next(events))
    try:
        function()
    finally:
        sys.setprofile(None)
    return next(events)


@pytest.mark.parametrize("indent", [None, 1], ids=["one line", "lines"])
def test_many_findings_cost_one_more_reading(indent):
    """Four times as many findings take about four times as many calls."""
    counts = []
    for n in (500, 2_000):
        statement = {"Effect": "Allow", "Action": "bad", "Resource": "arn:aws:s3"}
        text = json.dumps({"Version": "2012-10-17", "Statement": [statement] * n}, indent=indent)
        found: list[Finding] = []
        counts.append(count_calls(lambda: found.extend(validate_policy(text, PolicyKind.IDENTITY))))  # noqa: B023  (called at once)
        assert len(found) == 2 * n
    assert counts[1] < 5 * counts[0]


def test_hostile_unknown_operators_are_read_in_time():
    operators = {f"StringEqual{i}": {"a:k": "x"} for i in range(20_000)}
    document = {"Version": "2012-10-17", "Statement": {**BAD["Statement"], "Action": "*", "Condition": operators}}
    began = time.perf_counter()
    found = validate_policy(document, PolicyKind.IDENTITY)
    assert len(found) == 20_000
    assert found[0].hint == "did you mean `StringEquals`?"
    assert time.perf_counter() - began < 10
