"""Managed policies from other files than an export: missing texts are found, and each problem is a finding."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from account_exports import ANA, A, attached, codes, export, managed, names, write

import fastiam
from fastiam import SourceError

AWS, OLD, BOUND = (f"arn:aws:iam::aws:policy/{name}" for name in ("ReadOnlyAccess", "OldAccess", "BoundaryOnly"))
READ = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}]}


def record(arn: str | None, document: object = READ, **more: object) -> dict:
    return {"arn": arn, "name": (arn or "x/OldAccess").rsplit("/", 1)[1], "version": "v7", "document": document} | {
        "deprecated": False, "malformed": False} | more  # fmt: skip


def lines(folder: Path, *records: dict) -> Path:
    path = folder / "policies.jsonl"
    path.write_text("\n".join(map(json.dumps, records)))
    return path


def account(folder: Path, *arns: str, boundary: str | None = None, policies: list[dict] = []) -> Path:  # noqa: B006
    """An export of one user with policies; only `policies` have a text in the export."""
    user = export()["UserDetailList"][0] | {"AttachedManagedPolicies": attached(*arns), "GroupList": []}
    user.pop("PermissionsBoundary")
    if boundary is not None:
        user["PermissionsBoundary"] = {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": boundary}
    return write(folder, "export.json", {"UserDetailList": [user], "Policies": policies})


def allowed(directory: fastiam.Directory, action: str = "s3:GetObject") -> bool:
    return directory.compile().is_allowed(ANA, action, "arn:aws:s3:::b/k", resource_account=A)


@pytest.mark.parametrize("order", [1, -1])
def test_text_missing_in_an_export_comes_from_a_policy_file(tmp_path, order):
    own = export()["UserDetailList"][0]["UserPolicyList"][0]["PolicyName"]
    paths = [account(tmp_path, AWS), lines(tmp_path, record(AWS))]
    directory = fastiam.load(*paths[::order], mode="strict")
    assert directory.findings == ()
    assert names(directory, ANA) == [own, AWS]
    assert directory.tables.managed[AWS].default == "v7"


ODDITIES = [
    # what the user has, what else there is, its code, what the finding names, whether the user may still read
    ("missing document", {"arns": [OLD]}, [], "GAAD-NO-POLICY", OLD, False),
    ("shipped document", {"arns": [AWS]}, [], "POLICY-OF-AWS", AWS, True),
    ("not in the file", {"arns": [AWS], "policies": [managed(AWS, READ)]}, [record(BOUND)], "POLICY-NOT-LISTED", AWS, True),
    ("deprecated in the file", {"arns": [OLD]}, [record(OLD, deprecated=True)], "POLICY-DEPRECATED", OLD, True),
    ("deprecated, without ARN", {"arns": [OLD]}, [record(None, deprecated=True)], "POLICY-DEPRECATED", OLD, True),
    ("deprecated in the export", {"arns": [OLD], "policies": [managed(OLD, READ, IsAttachable=False)]}, [],
     "POLICY-DEPRECATED", OLD, True),
    ("dangling boundary", {"arns": [AWS], "boundary": BOUND}, [record(AWS)], "GAAD-NO-BOUNDARY", BOUND, False),
    ("malformed", {"arns": [OLD]}, [record(OLD, "{", malformed=True)], "POLICY-NOT-READ", "OldAccess", False),
    ("another version", {"arns": [AWS], "policies": [managed(AWS, READ)]}, [record(AWS, READ | {"Statement": []})],
     "POLICY-OTHER-VERSION", AWS, True),
    ("the same ARN twice", {"arns": [AWS]}, [record(AWS), record(AWS, READ | {"Statement": []})], "POLICY-EXISTS", AWS, True),
]  # fmt: skip


@pytest.mark.parametrize(
    ("has", "records", "code", "named", "reads"), [row[1:] for row in ODDITIES], ids=[r[0] for r in ODDITIES]
)
def test_managed_policy_problem_is_a_finding_without_allow(tmp_path, has, records, code, named, reads):
    path = account(tmp_path, *has["arns"], boundary=has.get("boundary"), policies=has.get("policies", []))
    user = json.loads(path.read_text())
    user["UserDetailList"][0]["UserPolicyList"] = []
    directory = fastiam.load(write(tmp_path, "export.json", user), *([lines(tmp_path, *records)] if records else []))
    found = [finding for finding in directory.findings if finding.code == code]
    assert len(found) == 1, codes(directory)
    assert named in found[0].message and found[0].line > 0
    assert allowed(directory) is reads


def test_boundary_text_comes_from_the_policy_file(tmp_path):
    """An export can omit AWS managed policies that no identity has attached."""
    path = account(tmp_path, boundary=BOUND)
    directory = fastiam.load(path, lines(tmp_path, record(BOUND)), mode="strict")
    assert directory.findings == ()
    assert allowed(directory, "s3:GetObject") and not allowed(directory, "s3:PutObject")


def test_single_outputs_define_a_policy(tmp_path):
    name = AWS.rsplit("/", 1)[1]
    write(tmp_path, "get-policy.json", {"Policy": {"Arn": AWS, "PolicyName": name, "DefaultVersionId": "v3"}})
    version = {"VersionId": "v3", "IsDefaultVersion": True, "Document": READ}
    write(tmp_path, f"get-policy-version-{name}.json", {"PolicyVersion": version})
    account(tmp_path, AWS)
    directory = fastiam.load(tmp_path)
    assert codes(directory) == [] and allowed(directory)
    assert directory.tables.managed[AWS].default == "v3"


def test_output_without_its_policy_is_an_error(tmp_path):
    version = {"VersionId": "v3", "IsDefaultVersion": True, "Document": READ}
    with pytest.raises(SourceError, match="does not have the ARN of its policy"):
        fastiam.load(write(tmp_path, "version.json", {"PolicyVersion": version}))


def test_each_aws_managed_policy_can_be_attached(shared):
    path = shared / "aws-managed-policies.jsonl.gz"
    records = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    directory = fastiam.load(path)
    arns = {record["arn"] for record in records if record["arn"] is not None}
    assert directory.tables.managed.keys() == arns and len(arns) == 1_569
    assert {f.code for f in directory.findings} == {"V28", "POLICY-NO-ARN"}


def test_lab_account_finds_its_policies_in_the_policy_file(shared, tmp_path):
    """Its export without the texts of AWS, which the file has, allows what it allows with them."""
    raw = json.loads(gzip.decompress((shared / "gaad-lab-account.json.gz").read_bytes()))
    raw["Policies"] = [policy for policy in raw["Policies"] if ":iam::aws:" not in policy["Arn"]]
    path = write(tmp_path, "lab.json", raw)
    without = fastiam.load(path)
    missing = [f.message for f in without.findings if f.code == "GAAD-NO-POLICY"]
    assert len(missing) == 1, "a policy that AWS has withdrawn, which no ARN of the data names"
    assert len([f for f in without.findings if f.code == "POLICY-OF-AWS"]) == 13
    directory = fastiam.load(path, shared / "aws-managed-policies.jsonl.gz")
    assert not [f for f in directory.findings if f.code == "GAAD-NO-POLICY"]
    assert [f for f in directory.findings if f.code == "POLICY-DEPRECATED"]
