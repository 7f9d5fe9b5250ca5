"""The requests of Terraform's provider in their order: it reads after every write, and asks for a lot before it deletes (G124).

They are signed as the SDK for Go does it: with the length and its own headers among the signed ones.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote, urlencode
from xml.etree import ElementTree

import pytest
from aws_world import A, AwsWorld, sign
from sts_fixture import document

VERSIONS = {"iam": "2010-05-08", "sts": "2011-06-15"}
HEADERS = {
    "amz-sdk-invocation-id": "5b7c1c5e-2b5f-4c0a-9a52-3a9d0a1f2b6c",
    "amz-sdk-request": "attempt=1; max=25",
    "accept-encoding": "gzip",
}
TRUST = document({"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"})
READ = document({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::app/${aws:username}/*"})
WRITE = document({"Effect": "Allow", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::app/*"})
GONE = document({"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{A}:user/gone"}, "Action": "sts:AssumeRole"})
POLICY = f"arn:aws:iam::{A}:policy/app/app"
APP, RUNNER, PROFILE = {"RoleName": "app"}, {"UserName": "runner"}, {"InstanceProfileName": "app"}
ATTACHED = {"PolicyArn": POLICY}
TAGS = {"Tags.member.1.Key": "env", "Tags.member.1.Value": "prod"}

Step = tuple[str, dict[str, Any], dict[str, Any] | str]
"""Operation, parameters, and texts of the answer by path, or the code of an error. A list is of all texts of that path."""

APPLY: list[Step] = [
    ("sts:GetCallerIdentity", {}, {"Account": A, "Arn": f"arn:aws:iam::{A}:user/admin"}),
    (
        "CreatePolicy",
        {"PolicyName": "app", "Path": "/app/", "Description": "of the app", "PolicyDocument": READ, **TAGS},
        {"Policy/Arn": POLICY, "Policy/DefaultVersionId": "v1"},
    ),
    (
        "GetPolicy",
        ATTACHED,
        {"Policy/DefaultVersionId": "v1", "Policy/Description": "of the app", "Policy/Tags/member/Key": "env"},
    ),
    ("GetPolicyVersion", {**ATTACHED, "VersionId": "v1"}, {"PolicyVersion/Document": READ}),
    (
        "CreateRole",
        {**APP, "Path": "/", "MaxSessionDuration": 7200, "AssumeRolePolicyDocument": TRUST, **TAGS},
        {"Role/Arn": f"arn:aws:iam::{A}:role/app"},
    ),
    (
        "GetRole",
        APP,
        {"Role/AssumeRolePolicyDocument": TRUST, "Role/MaxSessionDuration": "7200", "Role/Tags/member/Value": "prod"},
    ),
    ("ListRolePolicies", APP, {"PolicyNames/member": []}),
    ("PutRolePolicy", {**APP, "PolicyName": "write", "PolicyDocument": WRITE}, {}),
    ("GetRolePolicy", {**APP, "PolicyName": "write"}, {"PolicyDocument": WRITE}),
    ("AttachRolePolicy", {**APP, **ATTACHED}, {}),
    ("ListAttachedRolePolicies", APP, {"AttachedPolicies/member/PolicyArn": [POLICY]}),
    ("CreateInstanceProfile", {**PROFILE, "Path": "/"}, {"InstanceProfile/Roles/member": []}),
    ("AddRoleToInstanceProfile", {**PROFILE, **APP}, {}),
    ("GetInstanceProfile", PROFILE, {"InstanceProfile/Roles/member/RoleName": ["app"]}),
    ("CreateUser", {**RUNNER, "Path": "/", **TAGS}, {"User/UserName": "runner"}),
    ("GetUser", RUNNER, {"User/Tags/member/Key": "env"}),
    ("CreateGroup", {"GroupName": "runners", "Path": "/"}, {"Group/GroupName": "runners"}),
    ("GetGroup", {"GroupName": "runners"}, {"Users/member": []}),
    ("AddUserToGroup", {"GroupName": "runners", **RUNNER}, {}),
    ("GetGroup", {"GroupName": "runners"}, {"Users/member/UserName": ["runner"]}),
    ("AttachUserPolicy", {**RUNNER, **ATTACHED}, {}),
    ("ListAttachedUserPolicies", RUNNER, {"AttachedPolicies/member/PolicyName": ["app"]}),
    ("CreateAccessKey", RUNNER, {"AccessKey/Status": "Active"}),
    ("ListAccessKeys", RUNNER, {"AccessKeyMetadata/member/Status": ["Active"]}),
]
CHANGE: list[Step] = [
    ("ListPolicyVersions", ATTACHED, {"Versions/member/VersionId": ["v1"]}),
    ("CreatePolicyVersion", {**ATTACHED, "SetAsDefault": "true", "PolicyDocument": WRITE}, {"PolicyVersion/VersionId": "v2"}),
    ("GetPolicy", ATTACHED, {"Policy/DefaultVersionId": "v2"}),
    ("GetPolicyVersion", {**ATTACHED, "VersionId": "v2"}, {"PolicyVersion/Document": WRITE}),
    ("UpdateRole", {**APP, "MaxSessionDuration": 3600, "Description": "changed"}, {}),
    ("TagRole", {**APP, "Tags.member.1.Key": "env", "Tags.member.1.Value": "test"}, {}),
    ("UntagRole", {**APP, "TagKeys.member.1": "none"}, {}),
    ("GetRole", APP, {"Role/Description": "changed", "Role/MaxSessionDuration": "3600", "Role/Tags/member/Value": "test"}),
    ("UpdateAssumeRolePolicy", {**APP, "PolicyDocument": GONE}, "MalformedPolicyDocument"),
]
DESTROY: list[Step] = [
    ("DeleteUser", RUNNER, "DeleteConflict"),
    ("ListGroupsForUser", RUNNER, {"Groups/member/GroupName": ["runners"]}),
    ("RemoveUserFromGroup", {"GroupName": "runners", **RUNNER}, {}),
    ("ListAccessKeys", RUNNER, {"AccessKeyMetadata/member/UserName": ["runner"]}),
    ("DeleteAccessKey", {**RUNNER, "AccessKeyId": "KEY"}, {}),
    ("ListSSHPublicKeys", RUNNER, {"SSHPublicKeys/member": []}),
    ("ListVirtualMFADevices", {"AssignmentStatus": "Assigned"}, {"VirtualMFADevices/member": []}),
    ("ListMFADevices", RUNNER, {"MFADevices/member": []}),
    ("GetLoginProfile", RUNNER, "NoSuchEntity"),
    ("DeleteLoginProfile", RUNNER, "NoSuchEntity"),
    ("ListSigningCertificates", RUNNER, {"Certificates/member": []}),
    ("ListServiceSpecificCredentials", RUNNER, {"ServiceSpecificCredentials/member": []}),
    ("DetachUserPolicy", {**RUNNER, **ATTACHED}, {}),
    ("DeleteUser", RUNNER, {}),
    ("GetUser", RUNNER, "NoSuchEntity"),
    ("DeleteGroup", {"GroupName": "runners"}, {}),
    ("DeleteRole", APP, "DeleteConflict"),
    ("ListInstanceProfilesForRole", APP, {"InstanceProfiles/member/InstanceProfileName": ["app"]}),
    ("RemoveRoleFromInstanceProfile", {**PROFILE, **APP}, {}),
    ("DeleteInstanceProfile", PROFILE, {}),
    ("ListAttachedRolePolicies", APP, {"AttachedPolicies/member/PolicyArn": [POLICY]}),
    ("DetachRolePolicy", {**APP, **ATTACHED}, {}),
    ("ListRolePolicies", APP, {"PolicyNames/member": ["write"]}),
    ("DeleteRolePolicy", {**APP, "PolicyName": "write"}, {}),
    ("DeleteRole", APP, {}),
    ("GetRole", APP, "NoSuchEntity"),
    ("ListEntitiesForPolicy", ATTACHED, {"PolicyRoles/member": [], "PolicyUsers/member": []}),
    ("DeletePolicy", ATTACHED, "DeleteConflict"),
    ("ListPolicyVersions", ATTACHED, {"Versions/member/VersionId": ["v2", "v1"]}),
    ("DeletePolicyVersion", {**ATTACHED, "VersionId": "v1"}, {}),
    ("DeletePolicy", ATTACHED, {}),
    ("GetPolicy", ATTACHED, "NoSuchEntity"),
]


class Terraform:
    """Sends the steps; it knows the id of the access key that it made."""

    def __init__(self, world: AwsWorld) -> None:
        self._world, self._key = world, ""

    def run(self, steps: list[Step]) -> None:
        """Send the steps, and compare what comes back."""
        for name, given, expected in steps:
            answer = self.send(name, given)
            got = (
                {path: self._read(answer, path, value) for path, value in expected.items()} if isinstance(expected, dict) else ""
            )
            error = answer.find("Error/Code")
            assert (got or {} if error is None else error.text) == expected, (name, given, ElementTree.tostring(answer))

    def send(self, name: str, given: dict[str, Any]) -> ElementTree.Element:
        """The answer to one request, without namespaces."""
        service, _, operation = name.rpartition(":")
        service = service or "iam"
        fields = {"Action": operation, "Version": VERSIONS[service]}
        for key, value in given.items():
            fields[key] = json.dumps(value) if isinstance(value, dict) else self._key if value == "KEY" else value
        body = urlencode(sorted(fields.items()))
        headers = {**HEADERS, "content-length": str(len(body))}
        response = self._world.handle(sign(self._world, body, service=service, headers=headers, region="us-east-1"))
        assert isinstance(response.body, bytes)
        answer = ElementTree.fromstring(response.body)
        for element in answer.iter():
            element.tag = element.tag.rpartition("}")[2]
        key = answer.find(".//AccessKey/AccessKeyId")
        if key is not None:
            self._key = key.text or ""
        return answer

    def _read(self, answer: ElementTree.Element, path: str, expected: Any) -> Any:
        texts = [element.text or "" for element in answer.findall(f"*/{path}")]
        if isinstance(expected, list):
            return texts
        if isinstance(expected, dict):  # the provider compares documents as JSON, and shows any difference as a change
            return json.loads(unquote(texts[0]))
        return texts[0] if len(texts) == 1 else texts


@pytest.fixture
def terraform(world: AwsWorld) -> Terraform:
    """A provider of the administrator's keys."""
    return Terraform(world)


def test_terraform_applies_changes_and_destroys(world: AwsWorld, terraform: Terraform) -> None:
    before = world.directory.to_json()
    for steps in (APPLY, CHANGE, DESTROY):
        terraform.run(steps)
    assert world.directory.to_json() == before


def test_terraform_second_plan_finds_no_change(world: AwsWorld, terraform: Terraform) -> None:
    """Reads give what was written, and write nothing."""
    terraform.run(APPLY)
    before = world.directory.to_json()
    reads = {
        (name, str(given)): (name, given, expected)  # the last one of each
        for name, given, expected in APPLY
        if name.startswith(("Get", "List", "sts:")) and name != "ListRolePolicies"  # that was before there was one
    }
    assert len(reads) == 11
    terraform.run(list(reads.values()))
    assert world.directory.to_json() == before
