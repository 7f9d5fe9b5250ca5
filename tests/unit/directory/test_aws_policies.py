"""AWS managed policies that come with the package: a directory records the version that decides."""

from __future__ import annotations

import pytest

import fastiam
from fastiam import DirectoryError
from fastiam.aws_data import managed_policies

ANA = "arn:aws:iam::111111111111:user/ana"
READ_ONLY = "arn:aws:iam::aws:policy/ReadOnlyAccess"
NEW = "arn:aws:iam::aws:policy/NewAccess"


def test_attached_policy_gets_a_record_with_its_version():
    directory = fastiam.Directory()
    directory.add_principal(ANA, identity_policies=READ_ONLY)
    (finding,) = directory.findings
    version = managed_policies.find(READ_ONLY).version
    assert (finding.code, finding.severity) == ("POLICY-OF-AWS", "note") and f"version {version} of" in finding.message
    assert directory.policy(READ_ONLY).default == version
    assert directory.compile().is_allowed(ANA, "ec2:DescribeInstances", "*")


def test_record_that_is_there_decides():
    directory = fastiam.Directory()
    deny = {"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "*", "Resource": "*"}}
    directory.add_managed_policy(READ_ONLY, deny)
    directory.add_principal(ANA, identity_policies=READ_ONLY, permissions_boundary=READ_ONLY)
    assert directory.findings == () and not directory.compile().is_allowed(ANA, "ec2:DescribeInstances", "*")


def test_unknown_policy_of_aws_stays_an_error():
    with pytest.raises(DirectoryError, match="document is unknown"):
        fastiam.Directory().add_principal(ANA, identity_policies=NEW)
    lenient = fastiam.Directory("lenient")
    lenient.add_principal(ANA, identity_policies=["arn:aws:iam::aws:policy/AdministratorAccess", NEW])
    assert [finding.code for finding in lenient.findings] == ["POLICY-OF-AWS", "DIR-NO-POLICY"]
    assert not lenient.compile().is_allowed(ANA, "s3:GetObject", "arn:aws:s3:::b/k")


def test_write_that_fails_leaves_no_record():
    directory = fastiam.Directory()
    with pytest.raises(DirectoryError):
        directory.add_principal(ANA, identity_policies=[READ_ONLY, NEW])
    assert directory.policies() == () and directory.findings == ()


def test_dumped_directory_contains_the_document(tmp_path):
    directory = fastiam.Directory()
    directory.add_principal(ANA, identity_policies=READ_ONLY)
    directory.dump(tmp_path / "directory.json")
    again = fastiam.load(tmp_path / "directory.json", mode="strict")
    assert again.findings == () and again.policy(READ_ONLY) == directory.policy(READ_ONLY)


def test_each_shipped_policy_can_be_read():
    read = [managed_policies.find(arn) for arn in managed_policies.arns()]
    assert len(read) == 1_569 and all(policy.version.startswith("v") for policy in read)
