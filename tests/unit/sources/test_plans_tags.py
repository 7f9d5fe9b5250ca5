"""Changes of tags and of unique ids in a plan, which are undecided if a policy reads them (frames specification, H80)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from terraform_plans import UNKNOWN, change, plan

import fastiam
from fastiam.api.planned_changes import read_change

A = "111111111111"
ANA, QUEUE = f"arn:aws:iam::{A}:user/ana", f"arn:aws:sqs:us-east-1:{A}:q"
RED, BLUE = {"team": "red"}, {"team": "blue"}


def directory(condition: dict[str, Any]) -> fastiam.Directory:
    made = fastiam.Directory()
    statement = {"Effect": "Allow", "Action": "sqs:*", "Resource": "*", "Condition": condition}
    made.add_principal(ANA, identity_policies=[{"Version": "2012-10-17", "Statement": [statement]}], unique_id=None)
    return made


def equals(key: str, value: str = "red") -> dict[str, Any]:
    return {"StringEquals": {key: value}}


def queue(tags: Any) -> dict[str, Any]:
    return {"arn": QUEUE, "name": "q", "policy": "", "tags": tags, "tags_all": tags}


def updated(before: Any, after: Any) -> dict[str, Any]:
    return change("aws_sqs_queue.q", before and queue(before), after and queue(after))


TEAM = "aws:ResourceTag/team"
ROLE = {"name": "r", "path": "/", "arn": f"arn:aws:iam::{A}:role/r"}
PLANS: dict[str, tuple[dict[str, Any], dict[str, Any], bool]] = {
    "tag that a policy reads": (equals(TEAM), updated(BLUE, RED), True),
    "key in another case": (equals("AWS:resourcetag/TEAM"), updated(BLUE, RED), True),
    "key of a service": (equals("ec2:ResourceTag/team"), updated(BLUE, RED), True),
    "variable": (equals("aws:RequestTag/x", "${aws:ResourceTag/team}"), updated(BLUE, RED), True),
    "tag is added": (equals(TEAM), updated({"a": "b"}, {"a": "b", **RED}), True),
    "resource is created": (equals(TEAM), updated(None, RED), True),
    "tags are known after apply": (equals(TEAM), change("aws_sqs_queue.q", queue(RED), queue(RED) | {"tags": UNKNOWN}), True),
    "type that is not compared": (equals(TEAM), change("aws_instance.i", {"tags": BLUE}, {"tags": RED}), True),
    "resource that is a tag": (equals(TEAM), change("aws_ec2_tag.t", None, {"key": "team", "value": "red"}), True),
    "list of tags": (
        equals(TEAM),
        change("awscc_sqs_queue.q", {"tags": [{"key": "team", "value": "blue"}]}, {"tags": [{"key": "team", "value": "red"}]}),
        True,
    ),
    "role is made anew": (
        {"StringLike": {"aws:userid": "AROA1*"}},
        change("aws_iam_role.r", ROLE, {**ROLE, "unique_id": UNKNOWN}, ["delete", "create"]),
        True,
    ),
    "other tag": (equals(TEAM), updated({"a": "b", **RED}, {"a": "c", **RED}), False),
    "tag that stays": (equals(TEAM), updated(RED, RED), False),
    "no policy reads tags": ({}, updated(BLUE, RED), False),
    "tag of the principal": (equals("aws:PrincipalTag/team"), updated(BLUE, RED), False),
    "tag of the request": (equals("aws:RequestTag/team"), updated(BLUE, RED), False),
    "resource is deleted": (equals(TEAM), updated(RED, None), False),
    "role is made anew, no policy reads its id": ({}, change("aws_iam_role.r", ROLE, ROLE, ["delete", "create"]), False),
}


@pytest.mark.parametrize("name", PLANS)
def test_h80_change_of_a_key_is_undecided_if_a_policy_reads_it(name: str, tmp_path: Path) -> None:
    condition, changed, is_undecided = PLANS[name]
    (tmp_path / "plan.json").write_text(plan(changed))
    found = read_change(directory(condition), terraform=[tmp_path / "plan.json"], account=A)
    assert [item.address for item in found.undecided] == [changed["address"]] * is_undecided
    assert all("which a policy reads" in item.reason for item in found.undecided)
    assert found.no_new_access().proved is not is_undecided


def template(**tags: Any) -> dict[str, Any]:
    listed = [{"Key": key, "Value": value} for key, value in tags.items()]
    return {"Resources": {"Q": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "q", "Tags": listed}}}}


@pytest.mark.parametrize(
    ("old", "new", "is_undecided"),
    [
        (template(team="blue"), template(team="red"), True),
        (template(), template(team="red"), True),
        (None, template(team="red"), True),
        (template(team="blue"), template(team={"Ref": "Team"}), True),
        (template(team="red", a="b"), template(team="red", a="c"), False),
        (template(team="red"), template(team="red"), False),
    ],
)
def test_h80_change_of_a_tag_in_a_template_is_undecided(old: Any, new: Any, is_undecided: bool, tmp_path: Path) -> None:
    paths = {"cloudformation": new} if old is None else {"cloudformation": new, "deployed": old}
    for name, value in paths.items():
        (tmp_path / name).write_text(json.dumps(value))
    files = {name: tmp_path / name for name in paths}
    found = read_change(directory(equals(TEAM)), **files, account=A, region="us-east-1")
    assert [item.address for item in found.undecided] == ["Q"] * is_undecided
