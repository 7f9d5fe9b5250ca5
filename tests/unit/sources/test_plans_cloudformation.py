"""CloudFormation templates as both sides of a comparison (frames specification 5.2, H63)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import fastiam
from fastiam.api.planned_changes import PlannedChange

A, REGION = "111111111111", "eu-west-1"
APP, ANA = f"arn:aws:iam::{A}:role/app", f"arn:aws:iam::{A}:user/ana"
KEY = "arn:aws:s3:::data/k"
Resources = dict[str, Any]


def statement(action: Any, resource: Any = "*", effect: str = "Allow", **more: Any) -> dict[str, Any]:
    return {"Effect": effect, "Action": action, "Resource": resource, **more}


def document(*statements: Any) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def resource(kind: str, **properties: Any) -> dict[str, Any]:
    return {"Type": f"AWS::{kind}", "Properties": properties}


TRUST = document({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}})


def role(*statements: Any, name: Any = "app", **more: Any) -> dict[str, Any]:
    named = {} if name is None else {"RoleName": name}
    policies = [{"PolicyName": "own", "PolicyDocument": document(*statements)}] if statements else []
    return resource("IAM::Role", **named, AssumeRolePolicyDocument=TRUST, Policies=policies, **more)


class Planned:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, new: Resources, deployed: Resources | None = None, **options: Any) -> PlannedChange:
        directory = fastiam.Directory("lenient")
        directory.add_principal(ANA, identity_policies=[("own", document(statement("s3:ListBucket")))])
        paths = {"cloudformation": new} if deployed is None else {"cloudformation": new, "deployed": deployed}
        for name, resources in paths.items():
            (self.folder / name).write_text(json.dumps({"Resources": resources}))
        files = {name: self.folder / name for name in paths}
        return fastiam.read_change(directory, **files, **{"region": REGION, **options})


@pytest.fixture
def planned(tmp_path: Path) -> Planned:
    return Planned(tmp_path)


def outcomes(found: PlannedChange, principal: str, action: str, asked: str = KEY) -> tuple[str, str]:
    one, two = (side.decide(principal, action, asked, unknown=found.unknown).outcome.name for side in (found.old, found.new))
    return one, two


# -- known values ---------------------------------------------------------------------------------------------------------


def test_template_adds_and_removes_records_of_a_stack(planned: Planned) -> None:
    stack = {"App": role(statement("s3:GetObject"))}
    added, removed = planned(stack, {}), planned({}, stack)
    assert outcomes(added, APP, "s3:GetObject") == ("IMPLICIT_DENY", "ALLOW") and added.undecided == ()
    assert outcomes(removed, APP, "s3:GetObject") == ("ALLOW", "IMPLICIT_DENY") and removed.undecided == ()


def test_template_without_a_deployed_one_removes_nothing(planned: Planned) -> None:
    found = planned({"App": role(statement("s3:GetObject"))})
    assert outcomes(found, ANA, "s3:ListBucket", "arn:aws:s3:::data") == ("ALLOW", "ALLOW")


def test_template_keeps_resources_that_are_retained(planned: Planned) -> None:
    found = planned({}, {"App": {**role(statement("s3:GetObject")), "DeletionPolicy": "Retain"}})
    assert outcomes(found, APP, "s3:GetObject") == ("ALLOW", "ALLOW")


MANAGED = resource("IAM::ManagedPolicy", ManagedPolicyName="m", PolicyDocument=document(statement("s3:PutObject")))
INLINE = {"PolicyName": "i", "PolicyDocument": document(statement("s3:*"))}
PUBLIC = document({**statement("s3:*"), "Principal": "*"})
KINDS: list[tuple[Resources, str]] = [
    ({"P": {**MANAGED, "Properties": {**MANAGED["Properties"], "Roles": ["app"]}}, "App": role()}, APP),
    ({"P": MANAGED, "App": role(ManagedPolicyArns=[{"Ref": "P"}])}, APP),
    ({"P": resource("IAM::Policy", PolicyName="i", PolicyDocument=document(statement("s3:*")), Users=["ana"])}, ANA),
    ({"P": resource("IAM::UserPolicy", PolicyName="i", PolicyDocument=document(statement("s3:*")), UserName="ana")}, ANA),
    (
        {
            "G": resource(
                "IAM::Group", GroupName="g", Policies=[{"PolicyName": "i", "PolicyDocument": document(statement("s3:*"))}]
            ),
            "M": resource("IAM::UserToGroupAddition", GroupName={"Ref": "G"}, Users=["ana"]),
        },
        ANA,
    ),
    ({"U": resource("IAM::User", UserName="eve", ManagedPolicyArns=[{"Ref": "P"}]), "P": MANAGED}, f"arn:aws:iam::{A}:user/eve"),
    (
        {
            "B": resource("S3::Bucket", BucketName="data"),
            "P": resource(
                "S3::BucketPolicy", Bucket={"Ref": "B"}, PolicyDocument=document({**statement("s3:*"), "Principal": "*"})
            ),
        },
        ANA,
    ),
]


@pytest.mark.parametrize(("resources", "principal"), KINDS, ids=range(len(KINDS)))
def test_template_resources_give_access(resources: Resources, principal: str, planned: Planned) -> None:
    found = planned(resources, {"App": role()} if "App" in resources else {})
    assert outcomes(found, principal, "s3:PutObject") == ("IMPLICIT_DENY", "ALLOW") and found.undecided == ()


QUEUE = f"arn:aws:sqs:{REGION}:{A}:q"
OWN = document({**statement("*"), "Principal": {"AWS": ANA}})
TOPIC, REPOSITORY = f"arn:aws:sns:{REGION}:{A}:t", f"arn:aws:ecr:{REGION}:{A}:repository/r"
NAMED = {"Fn::Sub": "arn:${AWS::Partition}:sns:${AWS::Region}:${AWS::AccountId}:t"}
QUEUES = {
    "Q": resource("SQS::Queue", QueueName="q"),
    "P": resource("SQS::QueuePolicy", Queues=[{"Ref": "Q"}], PolicyDocument=OWN),
}
GOVERNED: list[tuple[Resources, str, str]] = [
    (QUEUES, "sqs:SendMessage", QUEUE),
    ({"P": resource("SNS::TopicPolicy", Topics=[NAMED], PolicyDocument=OWN)}, "sns:Publish", TOPIC),
    ({"R": resource("ECR::Repository", RepositoryName="r", RepositoryPolicyText=OWN)}, "ecr:BatchGetImage", REPOSITORY),
    ({"K": resource("KMS::Key", KeyPolicy=OWN)}, "kms:Decrypt", f"arn:aws:kms:{REGION}:{A}:key/0-1"),
]


@pytest.mark.parametrize(("resources", "action", "asked"), GOVERNED, ids=range(len(GOVERNED)))
def test_template_resources_set_resource_policies(resources: Resources, action: str, asked: str, planned: Planned) -> None:
    ids = {"StackResourceSummaries": [{"LogicalResourceId": "K", "PhysicalResourceId": "0-1"}]}
    (planned.folder / "ids").write_text(json.dumps(ids))
    found = planned(resources, {}, stack_resources=planned.folder / "ids")
    assert outcomes(found, ANA, action, asked) == ("IMPLICIT_DENY", "ALLOW") and found.undecided == ()


@pytest.mark.parametrize(
    "value",
    [
        {"Fn::Sub": "arn:${AWS::Partition}:s3:::${B}/*"},
        {"Fn::Sub": ["arn:aws:s3:::${Name}/*", {"Name": {"Ref": "B"}}]},
        {"Fn::Join": ["", [{"Fn::GetAtt": ["B", "Arn"]}, "/*"]]},
        {"Fn::Sub": "arn:aws:s3:::${Bucket}/*"},
    ],
)
def test_template_functions_with_known_values_are_replaced(value: Any, planned: Planned) -> None:
    stack = {"B": resource("S3::Bucket", BucketName="data"), "App": role(statement("s3:GetObject", value))}
    found = planned(stack, {}, parameters={"Bucket": "data"})
    assert outcomes(found, APP, "s3:GetObject")[1] == "ALLOW" and found.undecided == ()
    assert outcomes(found, APP, "s3:GetObject", "arn:aws:s3:::other/k")[1] == "IMPLICIT_DENY"


def test_template_sub_keeps_policy_variables(planned: Planned) -> None:
    value = {"Fn::Sub": "arn:aws:s3:::data/${!aws:username}"}
    policy = {"PolicyName": "i", "PolicyDocument": document(statement("s3:*", value))}
    found = planned({"U": resource("IAM::User", UserName="eve", Policies=[policy])}, {})
    eve = f"arn:aws:iam::{A}:user/eve"
    assert outcomes(found, eve, "s3:GetObject", "arn:aws:s3:::data/eve")[1] == "ALLOW"
    assert outcomes(found, eve, "s3:GetObject")[1] == "IMPLICIT_DENY"


YAML = """
Resources:
  App:
    Type: AWS::IAM::Role
    Properties:
      RoleName: app
      AssumeRolePolicyDocument: {Version: 2012-10-17, Statement: []}
      Policies:
        - PolicyName: own
          PolicyDocument:
            Version: 2012-10-17
            Statement:
              Effect: Allow
              Action: s3:GetObject
              Resource: !Sub "arn:${AWS::Partition}:s3:::data/*"
  Key:
    Type: AWS::IAM::RolePolicy
    Properties:
      RoleName: !Ref App
      PolicyName: key
      PolicyDocument: {Version: 2012-10-17, Statement: {Effect: Allow, Action: s3:PutObject, Resource: !GetAtt Secret.Arn}}
"""


def test_template_in_yaml_has_short_functions(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text(YAML)
    directory = fastiam.Directory("lenient")
    found = fastiam.read_change(directory, cloudformation=tmp_path / "t.yaml", account=A)
    assert outcomes(found, APP, "s3:GetObject")[1] == "ALLOW" and outcomes(found, APP, "s3:PutObject")[1] == "DEPENDS"
    assert [(item.address, item.position.rpartition("t.yaml:")[2]) for item in found.undecided] == [("Key", "17:5")]


@pytest.mark.parametrize("body", [YAML, {"Resources": {"App": role(statement("s3:GetObject"))}}])
def test_template_in_the_output_of_a_call_is_read(body: Any, tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text(json.dumps({"TemplateBody": body, "StagesAvailable": ["Original"]}))
    found = fastiam.read_change(fastiam.Directory("lenient"), cloudformation=tmp_path / "t.json", account=A)
    assert outcomes(found, APP, "s3:GetObject")[1] == "ALLOW"


# -- H63: values that the template does not determine ---------------------------------------------------------------------

UNKNOWN_VALUES: list[Any] = [
    {"Ref": "Parameter"},
    {"Fn::If": ["IsProd", "a", "b"]},
    {"Fn::ImportValue": "x"},
    {"Fn::GetAtt": ["Missing", "Arn"]},
    {"Fn::Sub": "arn:aws:s3:::${Parameter}/*"},
    {"Fn::Join": ["", ["arn:aws:s3:::", {"Ref": "Parameter"}]]},
    "{{resolve:ssm:name}}",
]


@pytest.mark.parametrize("value", UNKNOWN_VALUES, ids=str)
def test_h63_statement_with_an_unknown_part_may_apply(value: Any, planned: Planned) -> None:
    found = planned({"App": role(statement("s3:GetObject", value), statement("s3:PutObject"))}, {})
    assert outcomes(found, APP, "s3:GetObject")[1] == "DEPENDS"
    assert outcomes(found, APP, "s3:PutObject")[1] == "ALLOW" and outcomes(found, APP, "s3:DeleteObject")[1] == "IMPLICIT_DENY"
    (item,) = found.undecided
    assert (item.address, item.principals, item.about) == ("App", (APP,), (APP,))


@pytest.mark.parametrize(
    ("unknown", "outcome"),
    [
        (statement("s3:PutObject", effect={"Ref": "P"}), "DEPENDS"),
        (statement("s3:PutObject", effect="Deny", Condition={"Ref": "P"}), "DEPENDS"),
        ({"Fn::If": ["IsProd", statement("s3:*"), {"Ref": "AWS::NoValue"}]}, "DEPENDS"),
        (statement("s3:PutObject", effect="Deny", Condition={"Null": {"aws:TokenIssueTime": {"Ref": "P"}}}), "DEPENDS"),
        (statement({"Ref": "P"}, effect="Deny"), "DEPENDS"),
        (statement(["ec2:*", {"Ref": "P"}], effect="Deny"), "DEPENDS"),
        ({**statement("s3:PutObject", {"Ref": "P"}, "Deny")}, "DEPENDS"),
    ],
)
def test_h63_unknown_deny_or_effect_leaves_an_allow_open(unknown: Any, outcome: str, planned: Planned) -> None:
    found = planned({"App": role(statement("s3:*"), unknown)}, {})
    assert outcomes(found, APP, "s3:PutObject")[1] == outcome and found.undecided


@pytest.mark.parametrize(
    ("resources", "reason"),
    [
        ({"App": role(name=None)}, "CloudFormation generates its name"),
        ({"App": role(name={"Ref": "P"})}, "its name is not known"),
        ({"App": role(Tags=[{"Key": "k", "Value": {"Ref": "P"}}])}, "its tags are not known"),
        ({"App": role(PermissionsBoundary={"Ref": "P"})}, "its permissions boundary is not known"),
        ({"App": role(ManagedPolicyArns=[{"Ref": "P"}])}, "a managed policy that it has is not known"),
        ({"App": role(ManagedPolicyArns={"Ref": "P"})}, "a managed policy that it has is not known"),
        ({"P": resource("IAM::Policy", PolicyName="i", PolicyDocument=document(), Roles=[{"Ref": "X"}])}, "a role that it names"),
        ({"App": {**role(), "Condition": "IsProd"}}, "depending on a condition"),
        ({"L": resource("Lambda::Permission", FunctionName="f")}, "`AWS::Lambda::Permission` are not compared"),
        ({"N": resource("New::Thing", ResourcePolicy={})}, "`AWS::New::Thing` are not compared"),
        ({"S": resource("CloudFormation::Stack", TemplateURL="u")}, "`AWS::CloudFormation::Stack` are not compared"),
        ({"C": {"Type": "Custom::Anything"}}, "`Custom::Anything` are not compared"),
        ({"B": resource("S3::BucketPolicy", Bucket={"Ref": "X"}, PolicyDocument=OWN)}, "the resource with the policy"),
        ({"K": resource("KMS::Key", KeyPolicy=OWN)}, "the resource with the policy"),
        ({"I": resource("EC2::Instance", ImageId="i")}, ""),
    ],
)
def test_h63_unknown_values_of_a_template_are_reported(resources: Resources, reason: str, planned: Planned) -> None:
    found = planned(resources, {})
    assert bool(reason) is bool(found.undecided) and all(reason in item.reason for item in found.undecided[:1])
    assert planned(resources, resources).undecided == ()  # unchanged


def test_h63_two_policies_of_one_name_are_undecided(planned: Planned) -> None:
    wide, narrow = (
        resource("IAM::Policy", PolicyName="i", PolicyDocument=document(statement(action)), Users=["ana"])
        for action in ("s3:*", "s3:GetObject")
    )
    (item,) = planned({"A": wide, "B": narrow}, {}).undecided
    assert item.address == "B" and item.about == (ANA,) and "their order is not known" in item.reason


def test_h63_policy_of_a_generated_name_is_reported(planned: Planned) -> None:
    policy = resource("IAM::Policy", PolicyName="i", PolicyDocument=document(statement("s3:*")), Roles=[{"Ref": "App"}])
    unnamed = {"App": role(name=None)}
    found = planned({**unnamed, "P": policy}, unnamed)
    (item,) = found.undecided
    reason = "CloudFormation generates the name of `App`: pass `{}`"
    assert (item.address, item.reason) == ("P", reason.format("stack_resources"))
    assert item.reason.cli == reason.format("--stack-resources")
    (planned.folder / "ids").write_text(
        json.dumps({"StackResources": [{"LogicalResourceId": "App", "PhysicalResourceId": "stack-App-X1"}]})
    )
    found = planned({**unnamed, "P": policy}, unnamed, stack_resources=planned.folder / "ids")
    assert outcomes(found, f"arn:aws:iam::{A}:role/stack-App-X1", "s3:PutObject") == ("IMPLICIT_DENY", "ALLOW")
    assert found.undecided == ()


# -- errors ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"Resources": []}, "not a CloudFormation template"),
        ({"AWSTemplateFormatVersion": "2010-09-09"}, "not a CloudFormation template"),
        ({"Transform": "AWS::Serverless-2016-10-31", "Resources": {}}, "has a `Transform`"),
    ],
)
def test_file_that_is_not_a_template_is_an_error(content: Any, message: str, tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text(json.dumps(content))
    with pytest.raises(fastiam.SourceError, match=message):
        fastiam.read_change(fastiam.Directory("lenient"), cloudformation=tmp_path / "t.json")


def test_template_with_a_repeated_name_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text('{"Resources": {"App": {"Type": "AWS::IAM::User", "Properties": {}, "Properties": {}}}}')
    with pytest.raises(fastiam.SourceError, match="`Properties` occurs twice"):
        fastiam.read_change(fastiam.Directory("lenient"), cloudformation=tmp_path / "t.json")


def test_template_numbers_keep_their_text(tmp_path: Path) -> None:
    condition = "Condition: {NumericLessThan: {'s3:max-keys': 10.0}}"
    text = YAML.replace("Resource: !Sub", f"{condition}\n              Resource: !Sub")
    (tmp_path / "t.yaml").write_text(text)
    found = fastiam.read_change(fastiam.Directory("lenient"), cloudformation=tmp_path / "t.yaml", account=A)
    assert found.new.is_allowed(APP, "s3:GetObject", KEY, {"s3:max-keys": 9})
    assert not found.new.is_allowed(APP, "s3:GetObject", KEY, {"s3:max-keys": 10})


def test_template_document_that_aws_refuses_is_an_error(planned: Planned) -> None:
    broken = resource("IAM::Policy", PolicyName="i", PolicyDocument={"Version": "2012-10-17", "Statements": []}, Users=["ana"])
    with pytest.raises(fastiam.PolicyError):
        planned({"P": broken}, {})


@pytest.mark.parametrize("value", [True, []])
def test_template_document_of_another_type_is_an_error(value: Any, planned: Planned) -> None:
    with pytest.raises(fastiam.SourceError, match="policy document that is not an object"):
        planned({"P": resource("IAM::ManagedPolicy", ManagedPolicyName="m", PolicyDocument=value)}, {})


def test_template_resources_that_refer_to_each_other_end(planned: Planned) -> None:
    first, second = (role(Path={"Fn::GetAtt": [other, "Arn"]}) for other in ("Second", "First"))
    assert planned({"First": first, "Second": second}, {}).undecided
