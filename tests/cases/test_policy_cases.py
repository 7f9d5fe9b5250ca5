"""Every load case of `cases/validation.json` is rejected, accepted and read as expected.

A case is `{"id", "rule", "source", "kind", "statement" or "document" or "text", "expect", "why"}`. A `statement` means
a document of version 2012-10-17 with this statement alone. `expect` holds the verdicts of a strict and a lenient reading,
the codes of all findings in order, and of the `model` what the case is about: a field of the first statement, or of the
policy (`variables`, `n_statements`).
"""

from __future__ import annotations

import json
from dataclasses import astuple

import pytest
from validation_cases import CASES, document_of

from fastiam.errors import PolicyError, Severity
from fastiam.model.policy import PolicyKind
from fastiam.model.source_map import Source
from fastiam.policy.document import read_policy, validate_policy
from fastiam.policy.json_text import parse_json
from fastiam.policy.validation_rules import RULES


def verdict(document, case, mode):
    try:
        return "OK", read_policy(document, PolicyKind(case["kind"]), mode=mode)
    except PolicyError:
        return "ERR", None


def plain(value):
    """A value of the model as JSON has it."""
    if isinstance(value, tuple):
        value = [astuple(item) if hasattr(item, "__dataclass_fields__") else item for item in value]
    return json.loads(json.dumps(value))


def field_of(policy, name):
    if name == "n_statements":
        return len(policy.statements)
    return getattr(policy if name == "variables" else policy.statements[0], name)


def assert_findings_are_the_expected_ones(case):
    found = validate_policy(document_of(case), PolicyKind(case["kind"]))
    errors = [finding.code for finding in found if finding.severity is Severity.ERROR]
    warnings = [finding.code for finding in found if finding.severity is Severity.WARN]
    assert (errors, warnings) == (case["expect"]["errors"], case["expect"]["warnings"]), case["why"]


def assert_text_and_mapping_have_the_same_findings(case):
    document = document_of(case)
    text = document if isinstance(document, str) else json.dumps(document)
    here = validate_policy(text, PolicyKind(case["kind"]))
    try:
        value = parse_json(text, Source("policy", text))
    except PolicyError as error:
        assert list(error.findings) == here
        return
    if isinstance(value, str):  # would be text again
        return
    there = validate_policy(value, PolicyKind(case["kind"]))
    assert [(f.code, f.path, f.message) for f in here] == [(f.code, f.path, f.message) for f in there]


def assert_lenient_model_is_the_expected_one(case):
    expected = case["expect"].get("model", {})
    if expected:
        _, policy = verdict(document_of(case), case, "lenient")
        assert {name: plain(field_of(policy, name)) for name in expected} == expected, case["why"]
    assert not expected or case["expect"]["lenient"] == "OK"


def assert_every_finding_has_a_position(case):
    document = document_of(case)
    text = document if isinstance(document, str) else json.dumps(document, indent=1)
    for finding in validate_policy(text, PolicyKind(case["kind"])):
        assert finding.line >= 1
        assert finding.column >= 1
        assert finding.snippet == text.split("\n")[finding.line - 1].replace("\t", " ").rstrip()[:160]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_document_has_the_expected_findings_and_verdicts(case):
    """Rule: the one that the case names."""
    assert_findings_are_the_expected_ones(case)
    for mode in ("strict", "lenient"):
        assert verdict(document_of(case), case, mode)[0] == case["expect"][mode], (mode, case["why"])
    assert_lenient_model_is_the_expected_one(case)
    assert_text_and_mapping_have_the_same_findings(case)
    assert_every_finding_has_a_position(case)


def test_every_rule_of_the_table_has_a_case():
    broken = {code for case in CASES for code in case["expect"]["errors"] + case["expect"]["warnings"]}
    assert broken == RULES.keys()


def test_only_fatal_rules_reject_in_lenient_mode():
    for case in CASES:
        fatal = any(RULES[code].fatal for code in case["expect"]["errors"])
        assert (case["expect"]["lenient"] == "ERR") == fatal, case["id"]
        assert (case["expect"]["strict"] == "ERR") == bool(case["expect"]["errors"]), case["id"]


def test_ids_are_unique():
    ids = [case["id"] for case in CASES]
    assert len(ids) == len(set(ids))
