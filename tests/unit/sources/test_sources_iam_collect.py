"""Folders of iam-collect: one folder for each thing, read as one directory, and what in them is not understood."""

from __future__ import annotations

import pytest
from account_exports import A, codes, names
from iam_collect_files import ALLOW, DEP, HERE, TRUST, collected, write

import fastiam

ANA = f"arn:aws:iam::{A}:user/ana"
IAM = f"{HERE}/iam/global"
STRUCTURE = "aws/aws/organizations/o-abcdefghij/structure.json"


def test_iam_collect_folders_become_a_directory(tmp_path):
    write(tmp_path, collected())
    directory = fastiam.load(tmp_path)
    assert directory.findings == ()
    assert names(directory, DEP) == ["own", f"arn:aws:iam::{A}:policy/P"]
    assert names(directory, ANA) == ["own"]
    tables, snapshot = directory.tables, directory.snapshot()
    role = tables.entities[DEP]
    assert (role.unique_id, dict(role.tags), role.boundary) == ("AROADEP", {"team": "red"}, (f"arn:aws:iam::{A}:policy/P",))
    assert role.trust is not None and tables.managed[f"arn:aws:iam::{A}:policy/P"].default == "v2"
    assert tables.resources["arn:aws:s3:::b"].account == A
    assert snapshot.account_facts(A).org_path == "o-abcdefghij/r-abcd/ou-abcd-prod0001/"
    assert tables.organization.management_account == "9" * 12


def test_element_with_missing_facts_allows_nothing(tmp_path):
    """D10: an empty list of SCPs at the root allows nothing, and a list that is missing neither."""
    asked = ANA, "s3:GetObject", "arn:aws:s3:::b/k"
    write(tmp_path, collected())
    assert fastiam.load(tmp_path).compile().is_allowed(*asked)
    for root, found in (({"scps": []}, []), ({}, ["ORG-NO-POLICIES"])):
        files = collected()
        files[STRUCTURE]["r-abcd"] = {"rcps": [], "children": files[STRUCTURE]["r-abcd"]["children"]} | root
        write(tmp_path, files)
        directory = fastiam.load(tmp_path)
        assert not directory.compile().is_allowed(*asked) and codes(directory) == found


ODDITIES = [
    # a file, its content (None: there is no such file), the code, what the finding names
    (f"{IAM}/role/dep/trust-policy.json", None, "COLLECT-NO-TRUST", DEP),
    (f"{IAM}/policy/p/current-policy.json", None, "COLLECT-NO-DOCUMENT", "policy/P"),
    (f"{IAM}/role/dep/metadata.json", None, "COLLECT-NO-METADATA", "role/dep"),
    (f"{IAM}/role/dep/metadata.json", {"name": "Dep"}, "COLLECT-NO-ARN", "role/dep"),
    (f"{IAM}/role/dep/more.json", {}, "COLLECT-NOT-READ", "`more`"),
    (f"{IAM}/role/dep/managed-policies.json", [f"arn:aws:iam::{A}:policy/Q"], "COLLECT-NO-POLICY", "policy/Q"),
    ("aws/aws/organizations/o-abcdefghij/else.json", {}, "COLLECT-NOT-READ", "else.json"),
    (f"{IAM}/user/ana/groups.json", [f"arn:aws:iam::{A}:group/None"], "COLLECT-NO-GROUP", "group/None"),
]


@pytest.mark.parametrize(("file", "content", "code", "named"), ODDITIES, ids=[f"{row[2]} {row[3]}" for row in ODDITIES])
def test_iam_collect_problem_is_a_finding(tmp_path, file, content, code, named):
    files = {**collected(), file: content}
    write(tmp_path, {name: content for name, content in files.items() if content is not None})
    found = [f for f in fastiam.load(tmp_path).findings if f.code == code]
    assert any(named in f.message for f in found), found


def test_documents_are_read_from_lists_and_objects(tmp_path):
    files = collected() | {f"{IAM}/role/dep/inline-policies.json": {"a": ALLOW, "b": ALLOW}}
    files |= {f"{IAM}/role/dep/tags.json": [{"Key": "k", "Value": "v"}], f"{IAM}/role/dep/trust-policy.json": TRUST}
    write(tmp_path, files)
    directory = fastiam.load(tmp_path)
    assert names(directory, DEP)[:2] == ["a", "b"] and dict(directory.tables.entities[DEP].tags) == {"k": "v"}
    assert codes(directory) == []
