"""The policy simulator through boto3 (G152, G153)."""

from __future__ import annotations

import json

import pytest
from aws_world import BO, A, refused
from sts_fixture import ALL, document, trusting

SCP = document(ALL, {"Effect": "Deny", "Action": "ec2:*", "Resource": "*"})
PRETTY = """{
  "Version": "2012-10-17",
  "Statement": [
    {"Sid": "one", "Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"},
    {"Sid": "two", "Effect": "Deny", "Action": "s3:DeleteObject", "Resource": "*"},
    {
      "Sid": "three", "Effect": "Allow", "Action": "s3:PutObject", "Resource": "*",
      "Condition": {"StringEquals": {"aws:PrincipalTag/Team": "red", "s3:x-amz-acl": "private"}}
    }
  ]
}"""


@pytest.fixture
def iam(world):
    return world.client("iam")


@pytest.fixture
def simulate(world, iam):
    """The simulation of `bo` with the pretty policy, an SCP and a boundary."""
    boundary = f"arn:aws:iam::{A}:policy/edge"
    world.directory.add_managed_policy(boundary, document({"Effect": "Allow", "Action": ["s3:*", "ec2:*"], "Resource": "*"}))
    world.directory.set_scps(A, [[("p-scp", SCP)]])
    world.directory.put_inline_policy(BO, "pretty", PRETTY)
    world.directory.put_inline_policy(BO, "more", document({"Effect": "Allow", "Action": ["ec2:*", "sqs:*"], "Resource": "*"}))
    world.directory.set_permissions_boundary(BO, boundary)

    def one(action, **parameters):
        found = iam.simulate_principal_policy(PolicySourceArn=BO, ActionNames=[action], **parameters)["EvaluationResults"]
        assert len(found) == 1 and found[0]["EvalActionName"] == action
        return found[0]

    return one


def test_simulation_has_the_three_words(simulate):
    """GC201."""
    allowed = simulate("s3:GetObject")
    assert (allowed["EvalDecision"], allowed["EvalResourceName"]) == ("allowed", "*")
    assert allowed["OrganizationsDecisionDetail"] == {"AllowedByOrganizations": True}
    assert allowed["PermissionsBoundaryDecisionDetail"] == {"AllowedByPermissionsBoundary": True}
    assert simulate("s3:DeleteObject")["EvalDecision"] == "explicitDeny"
    missing = simulate("s3:PutObject")
    assert missing["EvalDecision"] == "implicitDeny"
    assert [key.lower() for key in missing["MissingContextValues"]] == ["aws:principaltag/team", "s3:x-amz-acl"]
    by_scp = simulate("ec2:RunInstances")
    assert by_scp["EvalDecision"] == "explicitDeny" and not by_scp["OrganizationsDecisionDetail"]["AllowedByOrganizations"]
    by_boundary = simulate("sqs:SendMessage")
    assert by_boundary["EvalDecision"] == "implicitDeny"
    assert by_boundary["PermissionsBoundaryDecisionDetail"] == {"AllowedByPermissionsBoundary": False}


def test_matched_statement_has_the_place_behind_its_braces(simulate):
    """GC202."""
    entries = [
        {"ContextKeyName": "aws:PrincipalTag/Team", "ContextKeyValues": ["red"], "ContextKeyType": "string"},
        {"ContextKeyName": "s3:x-amz-acl", "ContextKeyValues": ["private"], "ContextKeyType": "string"},
    ]
    result = simulate("s3:PutObject", ContextEntries=entries)
    assert result["EvalDecision"] == "allowed"
    own = next(each for each in result["MatchedStatements"] if each["SourcePolicyId"] == "user_bo_pretty")
    assert own["SourcePolicyType"] == "IAM Policy"
    assert own["StartPosition"] == {"Line": 6, "Column": 6} and own["EndPosition"] == {"Line": 9, "Column": 6}
    types = {each["SourcePolicyId"]: each["SourcePolicyType"] for each in result["MatchedStatements"]}
    assert types["edge"] == "IAM Policy"
    (of_resource,) = result["ResourceSpecificResults"]
    assert of_resource["EvalResourceDecision"] == "allowed" and result["EvalDecisionDetails"] == {}


@pytest.mark.parametrize(
    "entry",
    [
        {"ContextKeyName": "aws:SourceIp", "ContextKeyValues": ["x"], "ContextKeyType": "ip"},
        {"ContextKeyName": "aws:x", "ContextKeyValues": ["x"], "ContextKeyType": "numeric"},
        {"ContextKeyName": "aws:x", "ContextKeyValues": ["yes"], "ContextKeyType": "boolean"},
        {"ContextKeyName": "aws:x", "ContextKeyValues": ["soon"], "ContextKeyType": "date"},
        {"ContextKeyName": "aws:x", "ContextKeyValues": ["?"], "ContextKeyType": "binary"},
        {"ContextKeyName": "aws:x", "ContextKeyValues": ["a", "b"], "ContextKeyType": "string"},
        {"ContextKeyValues": ["a"], "ContextKeyType": "string"},
    ],
)
def test_value_of_another_type_is_refused(iam, entry):
    """GC202."""
    error = refused(iam.simulate_principal_policy, PolicySourceArn=BO, ActionNames=["s3:GetObject"], ContextEntries=[entry])
    assert (error["Code"], error["Status"]) == ("InvalidInput", 400)


@pytest.mark.parametrize("name", ["s3:*", "s3x", "s3:Get?", ":Get"])
def test_action_that_is_not_exact_is_refused(iam, name):
    """GC202."""
    assert refused(iam.simulate_custom_policy, PolicyInputList=[PRETTY], ActionNames=[name])["Code"] == "InvalidInput"


def test_list_entries_are_several_values(iam):
    policy = json.dumps(
        document(
            {
                "Effect": "Allow",
                "Action": "s3:GetObject",
                "Resource": "*",
                "Condition": {"ForAllValues:StringEquals": {"aws:TagKeys": ["a", "b"]}},
            }
        )
    )
    for values, word in ((["a", "b"], "allowed"), (["a", "c"], "implicitDeny")):
        entry = {"ContextKeyName": "aws:TagKeys", "ContextKeyValues": values, "ContextKeyType": "stringList"}
        found = iam.simulate_custom_policy(PolicyInputList=[policy], ActionNames=["s3:GetObject"], ContextEntries=[entry])
        assert found["EvaluationResults"][0]["EvalDecision"] == word


def test_several_resources_have_results_of_their_own(iam):
    policy = json.dumps(document({"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::a/*"}))
    resources = ["arn:aws:s3:::a/x", "arn:aws:s3:::b/x"]
    found = iam.simulate_custom_policy(PolicyInputList=[policy], ActionNames=["s3:GetObject"], ResourceArns=resources)
    result = found["EvaluationResults"][0]
    assert result["EvalDecision"] == "implicitDeny"
    specific = [(each["EvalResourceName"], each["EvalResourceDecision"]) for each in result["ResourceSpecificResults"]]
    assert specific == [("arn:aws:s3:::a/x", "allowed"), ("arn:aws:s3:::b/x", "implicitDeny")]
    assert result["ResourceSpecificResults"][0]["MatchedStatements"][0]["SourcePolicyId"] == "PolicyInputList.1"


def test_policies_that_are_sent_add_to_the_stored_ones(world, iam):
    extra = json.dumps(document({"Effect": "Allow", "Action": "sqs:*", "Resource": "*"}))
    found = iam.simulate_principal_policy(PolicySourceArn=BO, ActionNames=["sqs:SendMessage"], PolicyInputList=[extra])
    assert found["EvaluationResults"][0]["EvalDecision"] == "allowed"
    nothing = json.dumps(document({"Effect": "Allow", "Action": "s3:*", "Resource": "*"}))
    limited = iam.simulate_principal_policy(
        PolicySourceArn=BO,
        ActionNames=["sqs:SendMessage"],
        PolicyInputList=[extra],
        PermissionsBoundaryPolicyInputList=[nothing],
    )
    result = limited["EvaluationResults"][0]
    assert result["EvalDecision"] == "implicitDeny"
    assert result["PermissionsBoundaryDecisionDetail"] == {"AllowedByPermissionsBoundary": False}


def test_policies_of_groups_and_roles_are_simulated(world, iam):
    group, role = f"arn:aws:iam::{A}:group/devs", f"arn:aws:iam::{A}:role/dep"
    world.directory.add_group("devs", [("s3", document({"Effect": "Allow", "Action": "s3:*", "Resource": "*"}))], account=A)
    world.directory.add_user_to_group(BO, group)
    world.directory.add_principal(role, trust_policy=trusting(BO), identity_policies=[("all", document(ALL))])
    for source, action, word in (
        (BO, "s3:GetObject", "allowed"),
        (group, "s3:GetObject", "allowed"),
        (group, "sqs:SendMessage", "implicitDeny"),
        (role, "sqs:SendMessage", "allowed"),
    ):
        found = iam.simulate_principal_policy(PolicySourceArn=source, ActionNames=[action])["EvaluationResults"][0]
        assert (source, found["EvalDecision"]) == (source, word)


def test_resource_policy_needs_a_caller(world, iam):
    role = f"arn:aws:iam::{A}:role/dep"
    world.directory.add_principal(role, trust_policy=trusting(BO))
    statement = {"Effect": "Allow", "Principal": {"AWS": BO}, "Action": "s3:GetObject", "Resource": "*"}
    given = {
        "ActionNames": ["s3:GetObject"],
        "ResourceArns": ["arn:aws:s3:::b/x"],
        "ResourcePolicy": json.dumps(document(statement)),
    }
    assert refused(iam.simulate_principal_policy, PolicySourceArn=role, **given)["Code"] == "InvalidInput"
    assert refused(iam.simulate_principal_policy, PolicySourceArn=role, CallerArn=role, **given)["Code"] == "InvalidInput"
    found = iam.simulate_principal_policy(PolicySourceArn=BO, ResourceOwner=A, **given)["EvaluationResults"][0]
    assert found["EvalDecision"] == "allowed"
    assert found["MatchedStatements"][0]["SourcePolicyType"] == "resource"


def test_results_are_given_in_pages(iam):
    actions = [f"s3:Get{name}" for name in ("A", "B", "C")]
    pages = list(
        iam.get_paginator("simulate_custom_policy").paginate(
            PolicyInputList=[PRETTY], ActionNames=actions, PaginationConfig={"PageSize": 2}
        )
    )
    assert [[each["EvalActionName"] for each in page["EvaluationResults"]] for page in pages] == [actions[:2], actions[2:]]


def test_organization_policies_that_are_sent_are_levels(iam):
    given = [
        {"ServiceControlPolicyInputList": [json.dumps(document(ALL))]},
        {"ServiceControlPolicyInputList": [json.dumps(document({"Effect": "Allow", "Action": "s3:*", "Resource": "*"}))]},
    ]
    for action, is_allowed in (("s3:GetObject", True), ("sqs:SendMessage", False)):
        found = iam.simulate_custom_policy(
            PolicyInputList=[json.dumps(document(ALL))], ActionNames=[action], OrderedOrganizationPolicyInputList=given
        )
        assert found["EvaluationResults"][0]["OrganizationsDecisionDetail"] == {"AllowedByOrganizations": is_allowed}


def test_context_keys_are_those_of_conditions_and_variables(world, iam):
    policy = json.dumps(
        document(
            {
                "Effect": "Allow",
                "Action": "s3:*",
                "Resource": ["arn:aws:s3:::${aws:username}/${*}", "arn:aws:s3:::x/${aws:PrincipalTag/Team, 'none'}"],
                "Condition": {"StringEquals": {"AWS:UserName": "x", "s3:prefix": "${aws:userid}"}},
            }
        )
    )
    expected = ["aws:username", "aws:PrincipalTag/Team", "s3:prefix", "aws:userid"]
    assert iam.get_context_keys_for_custom_policy(PolicyInputList=[policy])["ContextKeyNames"] == expected
    world.directory.put_inline_policy(BO, "p", policy)
    found = iam.get_context_keys_for_principal_policy(PolicySourceArn=BO, PolicyInputList=[PRETTY])["ContextKeyNames"]
    assert found == [*expected, "s3:x-amz-acl"]
    assert refused(iam.get_context_keys_for_custom_policy, PolicyInputList=["{"])["Code"] == "InvalidInput"


def test_simulation_of_another_account_is_out_of_reach(world, iam):
    other = "arn:aws:iam::222222222222:user/x"
    world.directory.add_principal(other)
    call = iam.simulate_principal_policy
    assert refused(call, PolicySourceArn=other, ActionNames=["s3:GetObject"])["Code"] == "AccessDenied"
    assert refused(call, PolicySourceArn=BO + "x", ActionNames=["s3:GetObject"])["Code"] == "NoSuchEntity"
