"""The schema of test files agrees with the reader, on drawn files that are right and on the same files with a fault (T29)."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastiam
from fastiam.errors import SourceError
from fastiam.testing.test_file import read_test_file

jsonschema = pytest.importorskip("jsonschema")
SCHEMA = json.loads((Path(fastiam.__file__).parent / "schema/test-v1.json").read_text())
CHECK = jsonschema.Draft202012Validator(SCHEMA)

principals = st.one_of(
    st.sampled_from(["lea", "role/app", "*"]), st.just({"role": "app", "name": "s", "tags": {"a": "b"}, "mfa": True})
)
contexts = st.dictionaries(
    st.sampled_from(["aws:SourceIp", "aws:UserAgent"]), st.one_of(st.just("x"), st.booleans(), st.just(["a"]))
)
details = st.fixed_dictionaries({}, optional={"layer": st.sampled_from(["identity", "scp"]), "sid": st.just("S")})


@st.composite
def drawn_tests(draw: st.DrawFn) -> dict[str, Any]:
    test: dict[str, Any] = {
        "name": draw(st.uuids()).hex,
        "principal": draw(principals),
        "resource": draw(st.sampled_from(["*", "arn:aws:s3:::b"])),
    }
    if draw(st.booleans()):
        return test | {"allowed": ["s3:GetObject"], "denied": "s3:PutObject"}
    context = draw(st.one_of(contexts, st.lists(contexts, min_size=1, max_size=2)))
    test |= {
        "action": "s3:GetObject",
        "expect": draw(st.sampled_from(["allowed", "implicit_deny"])),
        "context": context,
        **draw(details),
    }
    return test | ({"cases": [{"expect": "allowed"}, {"now": "2026-01-01T00:00:00Z"}]} if draw(st.booleans()) else {})


files = st.fixed_dictionaries(
    {
        "version": st.just(1),
        "policies": st.sampled_from(["a.json", ["a.json", "b"]]),
        "tests": st.lists(drawn_tests(), min_size=1, max_size=3),
    },
    optional={
        "change": st.sampled_from(
            [
                {"terraform": "p.json", "account": "1", "assume_references": True},
                {"terraform": ["p.json"]},
                {"replace": {"a": "b"}},
            ]
        ),
        "sets": st.sampled_from([{"actions": {"a": ["s3:GetObject"]}}, {"principals": {"p": "lea"}, "resources": {}}]),
        "variables": st.just({"a": "b", "n": 1}),
        "unknown_owner": st.just("deny"),
        "context": contexts,
    },
)
FAULTS = [
    lambda file, test: file.update(version=2),
    lambda file, test: file.pop("version"),
    lambda file, test: file.update(tests=[]),
    lambda file, test: file.update(polices="x"),
    lambda file, test: file.update(sets={"actions": {"a": []}}),
    lambda file, test: file.update(sets={"actons": {"a": ["b"]}}),
    lambda file, test: file.update(change={"account": "1"}),
    lambda file, test: file.update(change={"teraform": "p.json"}),
    lambda file, test: file.update(change={"terraform": "p.json", "deployed": "p.json"}),
    lambda file, test: test.pop("name"),
    lambda file, test: test.update(expects="allowed"),
    lambda file, test: test.update(expect="alowed", allowed=None, denied=None, action="s3:GetObject"),
    lambda file, test: test.update(principal={"rol": "app"}),
    lambda file, test: test.update(layer="identiy"),
    lambda file, test: test.update(actions_known="yes"),
]


def is_read(path: Path, file: dict[str, Any]) -> bool:
    path.write_text(json.dumps(file))
    try:
        read_test_file(path, path.name, {})
    except SourceError:
        return False
    return True


@settings(max_examples=200, deadline=None)
@given(file=files, seed=st.integers(0, 2**32))
def test_schema_and_reader_agree(tmp_path_factory: pytest.TempPathFactory, file: dict[str, Any], seed: int) -> None:
    path = tmp_path_factory.getbasetemp() / "a.iamtest.json"
    assert is_read(path, file) and CHECK.is_valid(file)
    broken = copy.deepcopy(file)
    chosen = random.Random(seed)
    chosen.choice(FAULTS)(broken, chosen.choice(broken["tests"]) if broken["tests"] else {})
    assert not is_read(path, broken) and not CHECK.is_valid(broken), broken


def test_each_key_has_a_description() -> None:
    def described(part: Any) -> None:
        for name, value in part.get("properties", {}).items():
            assert value.get("description") or "$ref" in value or name in ("documents",), name
            described(value)

    described(SCHEMA)
    for name, part in SCHEMA["$defs"].items():
        assert part["description"], name
        described(part)
