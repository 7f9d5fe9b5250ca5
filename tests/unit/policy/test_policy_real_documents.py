"""Real documents load: whatever AWS has accepted reads leniently, and a strict reading rejects only what the table lists (F5)."""

from __future__ import annotations

import gzip
import json
from collections import Counter

import pytest

from fastiam.errors import Finding, PolicyError
from fastiam.model.policy import PolicyKind
from fastiam.model.source_map import Origin, Source
from fastiam.policy.document import read_policy
from fastiam.policy.json_text import parse_json
from fastiam.policy.validation_rules import RULES


@pytest.fixture(scope="module")
def managed(shared):
    with gzip.open(shared / "aws-managed-policies.jsonl.gz", "rt") as lines:
        return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def account(shared):
    return gzip.decompress((shared / "gaad-lab-account.json.gz").read_bytes()).decode()


def test_all_managed_policies_load_with_every_finding_listed(managed):
    found: list[Finding] = []
    read = [
        read_policy(policy["document"], PolicyKind.IDENTITY, mode="lenient", name=policy["name"], findings=found)
        for policy in managed
    ]
    assert len(read) == 1643
    assert sum(len(policy.statements) for policy in read) == 9030
    assert Counter(finding.code for finding in found) == {"V28": 1}
    assert "arn:*:kms:*:${aws:PrincipalAccount}:key/*" in found[0].message
    assert not any(statement.undetermined for policy in read for statement in policy.statements)


def test_strict_rejects_managed_policies_with_listed_codes_only(managed):
    rejected = {}
    for policy in managed:
        try:
            read_policy(policy["document"], PolicyKind.IDENTITY)
        except PolicyError as error:
            rejected[policy["name"]] = [finding.code for finding in error.findings]
    assert rejected == {"AmazonTimestreamInfluxDBServiceRolePolicy": ["V28"]}
    assert {code for codes in rejected.values() for code in codes} <= RULES.keys()


def documents(value, path=()):
    """Every policy document of an account's authorization details, with its place and kind."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == "AssumeRolePolicyDocument":
                yield inner, (*path, name), PolicyKind.TRUST
            elif name in ("PolicyDocument", "Document"):
                yield inner, (*path, name), PolicyKind.IDENTITY
            else:
                yield from documents(inner, (*path, name))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from documents(inner, (*path, i))


def test_documents_of_a_real_account_load_with_positions(account):
    source = Source("gaad.json", account)
    found: list[Finding] = []
    read = [
        read_policy(document, kind, mode="lenient", origin=Origin(source, path), findings=found)
        for document, path, kind in documents(parse_json(account, source))
    ]
    assert len(read) == 204
    assert all(policy.origin.position() is not None for policy in read)
    assert all(finding.line >= 1 and finding.source == "gaad.json" for finding in found)
    assert Counter(finding.code for finding in found) == {"G23": 48}
