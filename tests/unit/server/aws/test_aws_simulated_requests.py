"""What simulated requests are decided over, and what their results may show, through boto3."""

from __future__ import annotations

import json
import threading

import pytest
from aws_world import ADMIN, BO, A, AwsWorld, refused
from sts_fixture import ALL, document, trusting

import fastiam
from fastiam.server.protocols.aws import simulation
from fastiam.spec import decide

OBJECT = "arn:aws:s3:::b/k"
READ = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"}
STORED = "IAM Policy"  # the type of a stored policy
PRETTY = json.dumps(document({**READ, "Sid": "a"}, {**READ, "Sid": "b"}, {**READ, "Action": "s3:Put*"}), indent=2)


@pytest.fixture
def iam(world):
    return world.client("iam")


def text(*statements: dict) -> str:
    return json.dumps(document(*statements))


def of(iam, source: str, *actions: str, **more) -> list[dict]:
    """The results for a stored principal."""
    return iam.simulate_principal_policy(PolicySourceArn=source, ActionNames=list(actions), **more)["EvaluationResults"]


def custom(iam, *policies: str, action: str = "s3:GetObject", **more) -> dict:
    """The one result for the documents of the call."""
    found = iam.simulate_custom_policy(PolicyInputList=list(policies), ActionNames=[action], **more)["EvaluationResults"]
    assert len(found) == 1
    return found[0]


def test_decisions_have_the_three_words_of_aws(world, iam):
    """GC201."""
    deny = {"Effect": "Deny", "Action": "s3:DeleteObject", "Resource": "*"}
    with_key = {**READ, "Action": "s3:List*", "Resource": "*", "Condition": {"StringEquals": {"s3:Prefix": "x"}}}
    world.directory.put_inline_policy(BO, "p", document(READ, deny, with_key))
    allowed, denied, missing = of(iam, BO, "s3:GetObject", "s3:DeleteObject", "s3:ListBucket", ResourceArns=[OBJECT])
    assert (allowed["EvalDecision"], allowed["EvalResourceName"]) == ("allowed", OBJECT)
    assert (denied["EvalDecision"], denied["EvalActionName"]) == ("explicitDeny", "s3:DeleteObject")
    assert denied["MatchedStatements"][0]["SourcePolicyId"] == "user_bo_p"
    assert denied["MatchedStatements"][0]["SourcePolicyType"] == "IAM Policy"
    assert (missing["EvalDecision"], missing["MatchedStatements"]) == ("implicitDeny", [])
    assert missing["MissingContextValues"] == ["s3:Prefix"] and allowed["MissingContextValues"] == []
    entry = {"ContextKeyName": "s3:prefix", "ContextKeyValues": ["x"], "ContextKeyType": "string"}
    assert of(iam, BO, "s3:ListBucket", ContextEntries=[entry])[0]["EvalDecision"] == "allowed"


def test_resources_are_every_one_by_default(world, iam):
    world.directory.put_inline_policy(BO, "p", document(READ))
    (result,) = of(iam, BO, "s3:GetObject")
    assert (result["EvalResourceName"], result["EvalDecision"]) == ("*", "implicitDeny")


def test_several_resources_have_results_of_their_own(world, iam):
    """The result of the action is the strictest one (G153)."""
    deny = {"Effect": "Deny", "Action": "s3:*", "Resource": "arn:aws:s3:::b/secret"}
    world.directory.put_inline_policy(BO, "p", document(READ, deny))
    (result,) = of(iam, BO, "s3:GetObject", ResourceArns=[OBJECT, "arn:aws:s3:::b/secret", "arn:aws:s3:::c/k"])
    words = [each["EvalResourceDecision"] for each in result["ResourceSpecificResults"]]
    assert (result["EvalDecision"], words) == ("explicitDeny", ["allowed", "explicitDeny", "implicitDeny"])
    assert [each["EvalResourceName"] for each in result["ResourceSpecificResults"]][0] == OBJECT


def test_scps_and_boundary_are_named_when_they_deny(world, iam):
    """GC201. The statements of SCPs are not shown."""
    world.directory.put_inline_policy(BO, "p", document(ALL))
    assert "OrganizationsDecisionDetail" not in of(iam, BO, "s3:GetObject")[0]
    world.directory.set_scps(A, [[("full", document(ALL))], [("some", document({**ALL, "Action": ["iam:*", "sqs:*"]}))]])
    (result,) = of(iam, BO, "s3:GetObject")
    assert (result["EvalDecision"], result["MatchedStatements"]) == ("implicitDeny", [])
    assert result["OrganizationsDecisionDetail"] == {"AllowedByOrganizations": False}
    assert of(iam, BO, "sqs:SendMessage")[0]["OrganizationsDecisionDetail"] == {"AllowedByOrganizations": True}
    hidden = {"Effect": "Deny", "Action": "sqs:*", "Resource": "*", "Condition": {"Null": {"aws:SourceVpc": "true"}}}
    world.directory.set_scps(A, [[("full", document(ALL, hidden))]])
    (result,) = of(iam, BO, "sqs:SendMessage")
    assert (result["EvalDecision"], result["MatchedStatements"]) == ("explicitDeny", [])
    assert result["MissingContextValues"] == []
    world.directory.set_scps(A, None)
    boundary = f"arn:aws:iam::{A}:policy/edge"
    world.directory.add_managed_policy(boundary, document(READ))
    world.directory.set_permissions_boundary(BO, boundary)
    inside, outside = of(iam, BO, "s3:GetObject", "sqs:SendMessage", ResourceArns=[OBJECT])
    assert inside["PermissionsBoundaryDecisionDetail"] == {"AllowedByPermissionsBoundary": True}
    assert outside["PermissionsBoundaryDecisionDetail"] == {"AllowedByPermissionsBoundary": False}
    assert (inside["EvalDecision"], outside["EvalDecision"]) == ("allowed", "implicitDeny")
    wider = of(iam, BO, "sqs:SendMessage", PermissionsBoundaryPolicyInputList=[text(ALL)])
    assert wider[0]["EvalDecision"] == "allowed"


def test_statements_are_found_by_their_braces(iam):
    """GC202: of the third statement of a pretty-printed document."""
    (statement,) = custom(iam, PRETTY, action="s3:PutObject", ResourceArns=[OBJECT])["MatchedStatements"]
    assert (statement["SourcePolicyId"], statement["SourcePolicyType"]) == ("PolicyInputList.1", "none")
    lines = PRETTY.split("\n")
    start, end = statement["StartPosition"], statement["EndPosition"]
    assert lines[start["Line"] - 1][start["Column"] - 2] == "{" and lines[end["Line"] - 1][end["Column"] - 2] == "}"
    assert '"s3:Put*"' in "\n".join(lines[start["Line"] - 1 : end["Line"]]) and end["Line"] - start["Line"] == 4
    assert len(custom(iam, PRETTY, ResourceArns=[OBJECT])["MatchedStatements"]) == 2


@pytest.mark.parametrize(
    ("type_", "values"),
    [
        ("ip", ["x"]),
        ("numeric", ["1e3"]),
        ("numericList", ["1", "x"]),
        ("boolean", ["yes"]),
        ("binary", ["%"]),
        ("date", ["tomorrow"]),
        ("string", ["a", "b"]),
        ("string", []),
    ],
)
def test_value_that_is_not_of_its_type_is_refused(iam, type_, values):
    """GC202."""
    entry = {"ContextKeyName": "my:key", "ContextKeyValues": values, "ContextKeyType": type_}
    given = {"PolicyInputList": [text(READ)], "ActionNames": ["s3:GetObject"], "ContextEntries": [entry]}
    assert refused(iam.simulate_custom_policy, **given)["Code"] in ("InvalidInput", "InvalidInputException")


@pytest.mark.parametrize(
    ("type_", "values", "condition"),
    [
        ("ip", ["203.0.113.9"], {"IpAddress": {"my:key": "203.0.113.0/24"}}),
        ("numeric", ["7"], {"NumericLessThan": {"my:key": "8"}}),
        ("boolean", ["true"], {"Bool": {"my:key": "true"}}),
        ("date", ["2026-01-01T00:00:00Z"], {"DateLessThan": {"my:key": "2027-01-01T00:00:00Z"}}),
        ("stringList", ["a", "b"], {"ForAllValues:StringEquals": {"my:key": ["a", "b", "c"]}}),
    ],
)
def test_values_decide_conditions_of_their_type(iam, type_, values, condition):
    policy = text({**READ, "Condition": condition})
    entry = {"ContextKeyName": "MY:key", "ContextKeyValues": values, "ContextKeyType": type_}
    assert custom(iam, policy, ResourceArns=[OBJECT], ContextEntries=[entry])["EvalDecision"] == "allowed"


@pytest.mark.parametrize(
    "more",
    [
        {"ActionNames": ["s3:*"]},
        {"ActionNames": ["GetObject"]},
        {"PolicyInputList": ["{"]},
        {"PolicyInputList": ["%7B%7D"]},
        {"PolicyInputList": [text({**READ, "Principal": "*"})]},
        {"ResourceArns": ["b/k"]},
        {"ResourceOwner": "me"},
        {"CallerArn": f"arn:aws:iam::{A}:role/r"},
        {"ResourcePolicy": text({**READ, "Principal": "*"})},
        {"PermissionsBoundaryPolicyInputList": [text(READ), text(READ)]},
        {"ContextEntries": [{"ContextKeyName": "a:key", "ContextKeyValues": ["1"]}] * 2},
    ],
)
def test_input_that_cannot_be_simulated_is_refused(iam, more):
    """GC202."""
    given = {"PolicyInputList": [text(READ)], "ActionNames": ["s3:GetObject"]} | more
    error = refused(iam.simulate_custom_policy, **given)
    assert (error["Code"], error["Status"]) == ("InvalidInput", 400)


def test_options_without_a_meaning_here_are_refused(iam):
    given = {"PolicyInputList": [text(READ)], "ActionNames": ["s3:GetObject"], "ResourceHandlingOption": "EC2-VPC"}
    assert refused(iam.simulate_custom_policy, **given)["Code"] == "InvalidInput"


def test_source_is_a_principal_or_group_of_the_account(world, iam):
    def code(arn: str) -> str:
        return refused(iam.simulate_principal_policy, PolicySourceArn=arn, ActionNames=["s3:GetObject"])["Code"]

    assert code(f"arn:aws:iam::{A}:user/none") == "NoSuchEntity"
    assert code(f"arn:aws:iam::{A}:policy/p") == "InvalidInput" and code(f"arn:aws:iam::{A}:root") == "InvalidInput"
    world.directory.add_principal("arn:aws:iam::222222222222:user/foreign")
    assert code("arn:aws:iam::222222222222:user/foreign") == "AccessDenied"
    keys = refused(iam.get_context_keys_for_principal_policy, PolicySourceArn=f"arn:aws:iam::{A}:user/none")
    assert keys["Code"] == "NoSuchEntity"


def test_groups_and_managed_policies_take_part(world, iam):
    managed, aws = f"arn:aws:iam::{A}:policy/x/m", "arn:aws:iam::aws:policy/ReadOnly"
    world.directory.add_managed_policy(managed, text({**ALL, "Action": "sqs:*"}))
    world.directory.add_managed_policy(aws, text({**ALL, "Action": "sns:*"}))
    group = f"arn:aws:iam::{A}:group/devs"
    world.directory.add_group(group, [("in", text({**ALL, "Action": "ec2:*"})), managed])
    world.directory.attach_policy(BO, aws)
    world.directory.add_user_to_group(BO, group)
    results = of(iam, BO, "sns:Publish", "ec2:RunInstances", "sqs:SendMessage", "s3:GetObject")
    named = [[(each["SourcePolicyId"], each["SourcePolicyType"]) for each in result["MatchedStatements"]] for result in results]
    assert named == [[("ReadOnly", STORED)], [("group_devs_in", STORED)], [("m", STORED)], []]
    (result,) = of(iam, group, "ec2:RunInstances")
    assert result["EvalDecision"] == "allowed"
    more = of(iam, group, "s3:GetObject", PolicyInputList=[text(ALL)])
    assert more[0]["MatchedStatements"][0]["SourcePolicyId"] == "PolicyInputList.1"


def test_stored_principal_has_its_own_keys(world, iam):
    own = {**READ, "Resource": "arn:aws:s3:::b/${aws:username}/${aws:PrincipalTag/team}"}
    world.directory.tag(BO, {"team": "red"})
    world.directory.put_inline_policy(BO, "p", document(own))
    assert of(iam, BO, "s3:GetObject", ResourceArns=["arn:aws:s3:::b/bo/red"])[0]["EvalDecision"] == "allowed"
    group = f"arn:aws:iam::{A}:group/devs"
    world.directory.add_group(group, [("own", document(own))])
    unnamed = of(iam, group, "s3:GetObject", ResourceArns=["arn:aws:s3:::b/bo/red"])[0]
    assert (unnamed["EvalDecision"], unnamed["MissingContextValues"]) == ("implicitDeny", ["aws:username"])


def test_record_of_the_caller_is_not_read(world, iam):
    """The permission is for the policy source: `CallerArn` names any user, also of another account."""
    foreign = "arn:aws:iam::222222222222:user/eve"
    world.directory.add_principal(foreign, tags={"team": "red"})
    world.directory.set_scps("222222222222", [[("none", document({**ALL, "Effect": "Deny"}))]])
    world.directory.tag(ADMIN, {"team": "red"})
    policy = text({**ALL, "Condition": {"StringEquals": {"aws:PrincipalTag/team": "red"}}})
    for caller in (ADMIN, foreign):
        for result in (
            custom(iam, policy, CallerArn=caller),
            of(iam, BO, "s3:GetObject", PolicyInputList=[policy], CallerArn=caller)[0],
        ):
            assert (result["EvalDecision"], result["MissingContextValues"]) == ("implicitDeny", ["aws:PrincipalTag/team"])
            assert "OrganizationsDecisionDetail" not in result


def test_policy_that_is_missing_denies_as_in_the_engine():
    """A record that is not known may hold a Deny."""
    other = AwsWorld(fastiam.Directory("lenient"))
    other.directory.attach_policy(BO, f"arn:aws:iam::{A}:policy/missing")
    decision = other.sts.engine.decide(BO, "s3:GetObject", OBJECT, now=other.clock())
    (result,) = of(other.client("iam"), BO, "s3:GetObject", PolicyInputList=[text(ALL)])
    assert (decision.outcome.name, result["EvalDecision"]) == ("EXPLICIT_DENY", "explicitDeny")


def test_simulations_do_not_hold_the_lock_of_the_directory(world, iam, monkeypatch):
    """Writers go on while many requests are decided."""
    lock, seen = world.directory.transaction_manager.lock, []

    def acquire() -> None:
        seen.append(lock.acquire(timeout=5))
        lock.release()

    def observed(*arguments, **options):
        other = threading.Thread(target=acquire)
        other.start()
        other.join()
        return decide(*arguments, **options)

    monkeypatch.setattr(simulation, "decide", observed)
    custom(iam, text(READ))
    of(iam, BO, "s3:GetObject")
    assert seen == [True, True]


def test_caller_from_elsewhere_needs_both_sides(world, iam):
    """The details of a request to another account name both kinds of policy."""
    queue, foreign = "arn:aws:sqs:eu-west-1:222222222222:q", "222222222222"
    policy = text({"Effect": "Allow", "Principal": {"AWS": BO}, "Action": "sqs:*", "Resource": queue})
    given = {"ResourceArns": [queue], "CallerArn": BO}
    no_policy = custom(iam, text(ALL), action="sqs:SendMessage", **given)
    assert no_policy["EvalDecision"] == "implicitDeny"
    assert no_policy["EvalDecisionDetails"] == {"IAM Policy": "allowed", "Resource Policy": "implicitDeny"}
    both = custom(iam, text(ALL), action="sqs:SendMessage", ResourcePolicy=policy, **given)
    assert both["EvalDecision"] == "allowed"
    assert ("ResourcePolicy", "resource") in {(e["SourcePolicyId"], e["SourcePolicyType"]) for e in both["MatchedStatements"]}
    owned = custom(iam, text(READ), ResourceArns=[OBJECT], ResourceOwner=foreign, CallerArn=BO)
    assert owned["EvalDecisionDetails"]["Resource Policy"] == "implicitDeny"
    assert "EvalDecisionDetails" not in custom(iam, text(READ), ResourceArns=[OBJECT], ResourceOwner=A)


def test_role_is_simulated_with_its_policies(world, iam):
    role = f"arn:aws:iam::{A}:role/dep"
    world.directory.add_principal(role, trust_policy=trusting(BO), identity_policies=[("p", document(READ))])
    (result,) = of(iam, role, "s3:GetObject", ResourceArns=[OBJECT])
    assert (result["EvalDecision"], result["MatchedStatements"][0]["SourcePolicyId"]) == ("allowed", "role_dep_p")


def test_trust_policy_decides_who_assumes_a_role(iam):
    role = f"arn:aws:iam::{A}:role/dep"
    given = {"action": "sts:AssumeRole", "ResourceArns": [role], "CallerArn": BO}
    assert custom(iam, text(READ), ResourcePolicy=json.dumps(trusting(BO)), **given)["EvalDecision"] == "allowed"
    assert custom(iam, text(READ), ResourcePolicy=json.dumps(trusting(ADMIN)), **given)["EvalDecision"] == "implicitDeny"
    more = {"ResourcePolicy": text({**READ, "Principal": "*"}), "ResourceArns": [role], "CallerArn": BO}
    error = refused(iam.simulate_custom_policy, PolicyInputList=[text(READ)], ActionNames=["sts:AssumeRole"], **more)
    assert error["Code"] == "InvalidInput" and f"cannot be a policy of {role}" in error["Message"]


def test_simulations_agree_with_the_engine(world, iam):
    """And they grant nothing."""
    world.directory.put_inline_policy(BO, "p", document(READ, {**ALL, "Action": "iam:Get*"}))
    for action, resource in (("s3:GetObject", OBJECT), ("iam:GetUser", ADMIN), ("s3:PutObject", OBJECT), ("iam:ListUsers", "*")):
        is_allowed = world.sts.engine.decide(BO, action, resource, now=world.clock()).allowed
        assert (of(iam, BO, action, ResourceArns=[resource])[0]["EvalDecision"] == "allowed") is is_allowed
    assert refused(world.client("iam", world.bo).list_users)["Code"] == "AccessDenied"


def test_work_of_an_answer_is_bounded(iam):
    """A page becomes shorter; what no page could hold is refused."""
    large = text({**READ, "Resource": [f"arn:aws:s3:::b/{number}*" for number in range(3_000)]})
    given = {"PolicyInputList": [large], "ActionNames": ["s3:GetObject"] * 50, "ResourceArns": ["arn:aws:s3:::" + "k" * 1_000]}
    found = iam.simulate_custom_policy(**given)
    assert 0 < len(found["EvaluationResults"]) < 50 and found["IsTruncated"]
    error = refused(iam.simulate_custom_policy, **{**given, "ResourceArns": given["ResourceArns"] * 1_000})
    assert error["Code"] == "InvalidInput" and "too large" in error["Message"]


def test_context_keys_are_named_in_order_and_once(world, iam):
    """G153."""
    conditions = {
        "StringEquals": {"s3:prefix": "${aws:PrincipalTag/team}", "AWS:username": "x"},
        "Bool": {"aws:SecureTransport": "true"},
    }
    one = text({**READ, "Resource": "arn:aws:s3:::b/${aws:username}/*", "Condition": conditions})
    old = json.dumps({"Version": "2008-10-17", "Statement": [{**READ, "Resource": "arn:aws:s3:::b/${aws:userid}"}]})
    wanted = ["aws:username", "s3:prefix", "aws:PrincipalTag/team", "aws:SecureTransport"]
    assert iam.get_context_keys_for_custom_policy(PolicyInputList=[one, old])["ContextKeyNames"] == wanted
    world.directory.add_group("devs", [("p", one)], account=A)
    world.directory.add_user_to_group(BO, f"arn:aws:iam::{A}:group/devs")
    more = text({**READ, "Condition": {"Null": {"aws:SourceIp": "false"}}})
    found = iam.get_context_keys_for_principal_policy(PolicySourceArn=BO, PolicyInputList=[more])
    assert found["ContextKeyNames"] == [*wanted, "aws:SourceIp"]
    assert refused(iam.get_context_keys_for_custom_policy, PolicyInputList=["{"])["Code"] == "InvalidInput"


def test_simulation_is_decided_on_the_source(world, iam):
    bo = world.client("iam", world.bo)
    world.allow("iam:SimulatePrincipalPolicy", "iam:GetContextKeysForPrincipalPolicy", resource=BO)
    assert of(bo, BO, "s3:GetObject")[0]["EvalDecision"] == "implicitDeny"
    assert bo.get_context_keys_for_principal_policy(PolicySourceArn=BO)["ContextKeyNames"] == []
    error = refused(bo.simulate_principal_policy, PolicySourceArn=ADMIN, ActionNames=["s3:GetObject"])
    assert error["Code"] == "AccessDenied" and f"resource: {ADMIN}" in error["Message"]
    given = {"PolicyInputList": [text(READ)], "ActionNames": ["s3:GetObject"]}
    assert refused(bo.simulate_custom_policy, **given)["Code"] == "AccessDenied"
