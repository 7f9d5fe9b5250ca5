"""Corrupted plans and templates: each is an error with its file, or is compared; none crashes."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any

import pytest
from terraform_plans import UNKNOWN, change, plan

import fastiam

ANA = "arn:aws:iam::111111111111:user/ana"
DOCUMENT = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
TEXT = json.dumps(DOCUMENT)
PLAN = json.loads(
    plan(
        change("aws_iam_policy.p", {"name": "p", "path": "/", "policy": TEXT}, {"name": "p", "path": "/", "policy": UNKNOWN}),
        change("aws_iam_user.u", None, {"name": "ana", "path": "/", "tags_all": {"a": "b"}, "permissions_boundary": UNKNOWN}),
        change(
            "aws_iam_role.r", None, {"name": "r", "assume_role_policy": TEXT, "inline_policy": [{"name": "i", "policy": TEXT}]}
        ),
        change("aws_iam_policy_attachment.a", None, {"policy_arn": UNKNOWN, "users": ["ana"], "roles": ["r"], "groups": []}),
        change("aws_iam_group_membership.g", None, {"group": "g", "users": ["ana"]}),
        change("aws_s3_bucket_policy.b", {"bucket": "b", "policy": TEXT}, None),
        change("aws_sqs_queue_policy.q", None, {"queue_url": "https://sqs.x.amazonaws.com/111111111111/q", "policy": TEXT}),
        references={"aws_iam_policy_attachment.a.policy_arn": ["aws_iam_policy.p.arn", "aws_iam_policy.p"]},
    )
)
TEMPLATE = {
    "Resources": {
        "P": {
            "Type": "AWS::IAM::ManagedPolicy",
            "Properties": {"ManagedPolicyName": "p", "PolicyDocument": DOCUMENT, "Users": ["ana"], "Roles": [{"Ref": "R"}]},
        },
        "R": {
            "Type": "AWS::IAM::Role",
            "Properties": {
                "AssumeRolePolicyDocument": DOCUMENT,
                "Policies": [{"PolicyName": {"Fn::Sub": "${AWS::Region}-x"}, "PolicyDocument": DOCUMENT}],
                "ManagedPolicyArns": [{"Ref": "P"}, {"Fn::Join": ["", ["arn:", {"Ref": "X"}]]}],
                "Tags": [{"Key": "k", "Value": {"Fn::GetAtt": ["P", "Arn"]}}],
            },
        },
        "B": {"Type": "AWS::S3::BucketPolicy", "Properties": {"Bucket": {"Ref": "N"}, "PolicyDocument": DOCUMENT}},
        "M": {"Type": "AWS::IAM::UserToGroupAddition", "Properties": {"GroupName": "g", "Users": ["ana"]}},
    }
}
VALUES: list[Any] = [None, 0, 1.5, True, "", "x", "]", "arn:", "arn:aws:iam::1:role/x", "\ud800", [], {}, ["a"], [[]]]
VALUES += [{"Ref": "R"}, {"Fn::Sub": ["${a}", {"a": {"Ref": "P"}}]}, {"Fn::Join": ["", ["a", 1]]}]


def corrupted(value: Any, seed: int) -> Any:
    """A copy with one to three members that are removed or have another value."""
    rnd, found = random.Random(seed), copy.deepcopy(value)
    for _ in range(rnd.randint(1, 3)):
        node = found
        while node:
            key = rnd.choice(list(node) if isinstance(node, dict) else range(len(node)))
            if isinstance(node[key], (dict, list)) and node[key] and rnd.random() < 0.85:
                node = node[key]
                continue
            if isinstance(node, dict) and rnd.random() < 0.2:
                del node[key]
            else:
                node[key] = copy.deepcopy(rnd.choice(VALUES))
            break
    return found


@pytest.mark.parametrize(("option", "content"), [("terraform", PLAN), ("cloudformation", TEMPLATE)], ids=["plan", "template"])
def test_corrupted_change_is_an_error_or_is_compared(option: str, content: Any, tmp_path: Path) -> None:
    path, compared, errors = tmp_path / "change.json", 0, 0
    for seed in range(60):
        directory = fastiam.Directory("lenient")
        directory.add_principal(ANA)
        path.write_text(json.dumps(corrupted(content, seed)))
        given: Any = {option: [path] if option == "terraform" else path, "assume_references": seed % 2 == 0}
        try:
            found = fastiam.read_change(directory, **given)
        except (fastiam.SourceError, fastiam.PolicyError) as error:
            assert "change.json" in str(error)
            errors += 1
        else:
            assert found.old.snapshot and found.new.snapshot
            compared += 1
    assert compared > 5 and errors > 5  # both happen
