"""Roles that calls pass to services: each is a request of `iam:PassRole` (R12, 6.7)."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cloudtrail_records import ACCOUNT, ANA, OPS, assume_role, record, session, user, write_log

import fastiam
from fastiam import Outcome
from fastiam.analysis.access.replay import Verdict
from fastiam.cli.main import run
from fastiam.model.logged_calls import PASS_ROLE
from fastiam.sources.cloudtrail import passed_roles as passing

ROOT = Path(__file__).resolve().parents[3]
PROFILE = f"arn:aws:iam::{ACCOUNT}:instance-profile/p"
HIDDEN = "HIDDEN_DUE_TO_SECURITY_REASONS"
CREATED = f"arn:aws:iam::{ACCOUNT}:role/service-role/made"


def passed(tmp_path: Path, *records: dict[str, Any]) -> list[str | None]:
    """The resources of the requests of `iam:PassRole`; None for an unknown role."""
    (calls,) = fastiam.read_cloudtrail(write_log(tmp_path / "log.json", *records))
    rows = zip(calls.row_action, calls.resources, strict=True)
    return [resource for action, resource in rows if calls.actions[action] == PASS_ROLE]


PASSING = [
    # event, requestParameters as CloudTrail writes them, the roles; None where only an instance profile is named
    ("iam:AddRoleToInstanceProfile", {"roleName": "ops", "instanceProfileName": "p"}, [OPS]),
    ("ec2:RunInstances", {"iamInstanceProfile": {"name": "p"}, "instancesSet": {"items": [{"imageId": "ami-1"}]}}, [None]),
    ("ec2:RunInstances", {"iamInstanceProfile": {"arn": PROFILE}}, [None]),
    ("ec2:AssociateIamInstanceProfile", {"AssociateIamInstanceProfileRequest": {"IamInstanceProfile": {"Name": "p"}}}, [None]),
    ("ec2:ReplaceIamInstanceProfileAssociation", {"IamInstanceProfile": {"Arn": PROFILE}}, [None]),
    ("ec2:CreateFlowLogs", {"CreateFlowLogsRequest": {"DeliverLogsPermissionArn": OPS, "ResourceId": ["vpc-1"]}}, [OPS]),
    ("ec2:RequestSpotFleet", {"spotFleetRequestConfig": {"iamFleetRole": OPS}}, [OPS]),
    ("autoscaling:CreateLaunchConfiguration", {"launchConfigurationName": "l", "iamInstanceProfile": "p"}, [None]),
    ("autoscaling:CreateAutoScalingGroup", {"autoScalingGroupName": "g", "serviceLinkedRoleARN": OPS}, [OPS]),
    ("cloudtrail:CreateTrail", {"name": "t", "cloudWatchLogsRoleArn": OPS}, [OPS]),
    ("eks:CreateCluster", {"name": "c", "roleArn": OPS}, [OPS]),
    ("eks:CreateNodegroup", {"clusterName": "c", "nodeRole": OPS}, [OPS]),
    ("codebuild:CreateProject", {"name": "p", "serviceRole": OPS}, [OPS]),
    ("codebuild:StartBuild", {"projectName": "p", "serviceRoleOverride": "ops"}, [OPS]),
    ("codepipeline:CreatePipeline", {"pipeline": {"roleArn": OPS, "stages": [{"actions": [{"roleArn": CREATED}]}]}},
     [OPS, CREATED]),
    ("batch:CreateComputeEnvironment", {"serviceRole": OPS, "computeResources": {"instanceRole": "p"}}, [OPS, None]),
    ("batch:RegisterJobDefinition", {"containerProperties": {"jobRoleArn": OPS}}, [OPS]),
    ("elasticmapreduce:RunJobFlow", {"serviceRole": "ops", "jobFlowRole": "EMR_EC2_DefaultRole"}, [OPS, None]),
    ("apprunner:CreateService", {"instanceConfiguration": {"instanceRoleArn": OPS}}, [OPS]),
    ("rds:CreateDBInstance", {"dBInstanceIdentifier": "d", "monitoringRoleArn": OPS}, [OPS]),
    ("rds:AddRoleToDBCluster", {"dBClusterIdentifier": "d", "roleArn": OPS}, [OPS]),
    ("rds:StartExportTask", {"iamRoleArn": OPS}, [OPS]),
    ("dms:CreateEndpoint", {"serviceAccessRoleArn": OPS}, [OPS]),
    ("redshift:CreateCluster", {"clusterIdentifier": "c", "iamRoles": [OPS, CREATED]}, [OPS, CREATED]),
    ("redshift:ModifyClusterIamRoles", {"addIamRoles": [OPS], "removeIamRoles": [CREATED]}, [OPS]),
    ("bedrock:CreateAgent", {"agentResourceRoleArn": OPS}, [OPS]),
    ("cognito-idp:CreateUserPool", {"smsConfiguration": {"snsCallerArn": OPS}}, [OPS]),
    ("cognito-identity:SetIdentityPoolRoles", {"roles": {"authenticated": OPS, "unauthenticated": CREATED}}, [OPS, CREATED]),
    ("ssm:StartAutomationExecution", {"parameters": {"AutomationAssumeRole": [OPS]}}, [OPS]),
    ("ssm:RegisterTaskWithMaintenanceWindow", {"serviceRoleArn": OPS}, [OPS]),
    ("ssm:CreateActivation", {"iamRole": "service-role/made"}, [CREATED]),
    ("glue:CreateJob", {"name": "j", "role": "ops"}, [OPS]),
    ("glue:CreateCrawler", {"name": "c", "role": "service-role/made"}, [CREATED]),
    ("glue:CreateDevEndpoint", {"endpointName": "e", "roleArn": OPS}, [OPS]),
    ("lambda:CreateFunction20150331", {"functionName": "f", "role": OPS}, [OPS]),
    ("lambda:UpdateFunctionConfiguration20150331v2", {"functionName": "f", "role": OPS}, [OPS]),
    ("ecs:RegisterTaskDefinition", {"taskRoleArn": "ops", "executionRoleArn": CREATED}, [OPS, CREATED]),
    ("ecs:RunTask", {"overrides": {"taskRoleArn": OPS}}, [OPS]),
    ("events:PutTargets", {"targets": [{"id": "1", "roleArn": OPS}]}, [OPS]),
    ("scheduler:CreateSchedule", {"name": "s", "target": {"roleArn": OPS}}, [OPS]),
    ("states:CreateStateMachine", {"name": "s", "roleArn": OPS}, [OPS]),
    ("cloudformation:CreateStack", {"stackName": "s", "roleARN": OPS}, [OPS]),
    ("sagemaker:CreateNotebookInstance", {"notebookInstanceName": "n", "roleArn": OPS}, [OPS]),
    ("s3:PutBucketReplication", {"bucketName": "b", "ReplicationConfiguration": {"Role": OPS}}, [OPS]),
    ("sns:SetTopicAttributes", {"attributeName": "HTTPSuccessFeedbackRoleArn", "attributeValue": OPS}, [OPS]),
    ("apigateway:PutIntegration", {"putIntegrationInput": {"credentials": OPS}}, [OPS]),
    ("opsworks:CreateStack", {"name": "s", "serviceRoleArn": OPS}, [OPS]),  # which botocore has no model of
    ("glue:CreateJob", {"name": "j", "role": HIDDEN}, [None]),
    ("lambda:CreateFunction20150331", {"functionName": "f", "role": HIDDEN}, [None]),
]  # fmt: skip
NOT_PASSING = [
    ("ec2:RunInstances", {"instancesSet": {"items": [{"imageId": "ami-1"}]}}),
    ("ec2:CreateLaunchTemplate", {"LaunchTemplateData": {"IamInstanceProfile": {"Name": "p"}}}),  # passed at the launch
    ("ec2:DescribeInstances", {"filterSet": {"items": [{"name": "iam-instance-profile.arn", "value": PROFILE}]}}),
    ("ec2:CreateFlowLogs", {"CreateFlowLogsRequest": {"DeliverCrossAccountRole": "arn:aws:iam::222222222222:role/r"}}),
    ("sts:AssumeRole", {"roleArn": OPS}),
    ("iam:AttachRolePolicy", {"roleName": "ops", "policyArn": "arn:aws:iam::aws:policy/X"}),
    ("eks:CreateAccessEntry", {"clusterName": "c", "principalArn": OPS}),
    ("kms:CreateGrant", {"keyId": "k", "granteePrincipal": OPS}),
    ("lambda:AddPermission20150331v2", {"functionName": "f", "principal": OPS}),
    ("s3:PutBucketPolicy", {"bucketName": "b", "bucketPolicy": {"Statement": [{"Principal": {"AWS": OPS}}]}}),
    ("securityhub:BatchImportFindings", {"findings": [{"resources": [{"details": {"awsLambdaFunction": {"role": OPS}}}]}]}),
    ("batch:DeleteComputeEnvironment", {"serviceRole": OPS}),
    ("budgets:CreateBudgetAction", {"definition": {"iamActionDefinition": {"roles": ["ops"]}}}),
    ("cloudformation:CreateStackSet", {"stackSetName": "s", "executionRoleName": "ops"}),  # of the target accounts
    ("mq:CreateBroker", {"ldapServerMetadata": {"roleName": "cn", "roleBase": "ou=x"}}),
    ("glue:CreateJob", {"name": "j", "role": ""}),
    ("lambda:CreateFunction20150331", {"functionName": "f", "role": 7}),
]


@pytest.mark.parametrize(("event", "parameters", "expected"), PASSING, ids=[f"{e} {p}"[:70] for e, p, _ in PASSING])
def test_passed_roles_of_a_call_are_requests_of_pass_role(tmp_path, event, parameters, expected):
    assert sorted(passed(tmp_path, record(event, parameters=parameters)), key=str) == sorted(expected, key=str)


@pytest.mark.parametrize(("event", "parameters"), NOT_PASSING, ids=[f"{e} {p}"[:70] for e, p in NOT_PASSING])
def test_passed_roles_of_other_references_are_none(tmp_path, event, parameters):
    assert passed(tmp_path, record(event, parameters=parameters)) == []


def test_passed_roles_with_listed_resources_are_found(tmp_path):
    listed = [{"ARN": "arn:aws:s3:::b", "accountId": ACCOUNT}]
    parameters = {"bucketName": "b", "ReplicationConfiguration": {"Role": OPS}}
    assert passed(tmp_path, record("s3:PutBucketReplication", parameters=parameters, resources=listed)) == [OPS]


def test_passed_roles_of_omitted_parameters_are_unknown(tmp_path):
    left_out = {"omitted": True, "originalSize": 200_000, "reason": "too large"}
    events = ("lambda:CreateFunction20150331", "codepipeline:CreatePipeline")
    assert passed(tmp_path, *(record(event, parameters=left_out) for event in events)) == [None, None]


def test_role_table_is_loaded_on_first_use(tmp_path):
    log = write_log(tmp_path / "log.json", record("s3:PutObject"))
    code = f"""
import fastiam
from fastiam.sources.cloudtrail import passed_roles as passing
assert passing._table.cache_info().currsize == 0
list(fastiam.read_cloudtrail({str(log)!r}))
assert passing._table.cache_info().currsize == 1
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stderr == ""


def test_role_table_matches_the_models():
    """Compares a few services. A later botocore may have more parameters."""
    spec = importlib.util.spec_from_file_location("passed_roles", ROOT / "tools/passed_roles.py")
    assert spec is not None and spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    table = json.loads(tool.TABLE.read_bytes())
    made = tool.parameters_of(["batch", "glue", "lambda", "events", "cognito-idp"], set(table["documented"]))
    stored = {name: kinds for name, kinds in table["parameters"].items() if name in made}
    assert len(stored) > 35
    assert {name: kinds for name, kinds in stored.items() if not kinds.items() <= made[name].items()} == {}


def test_role_table_has_known_kinds_only():
    kinds = {kind for entry in passing._table().values() if entry for kind in entry.kinds.values()}
    assert kinds == {"arn", "name", "profile", "none"}


# -- answers ----------------------------------------------------------------------------------------------------------


def engine_of(*actions: str, resource: str = "*") -> fastiam.Engine:
    directory = fastiam.Directory()
    statements = [{"Effect": "Allow", "Action": ["ec2:*", "glue:*", "rds:*"], "Resource": "*"}]
    statements += [{"Effect": "Allow", "Action": list(actions), "Resource": resource}] * bool(actions)
    directory.add_principal(ANA, identity_policies=[{"Version": "2012-10-17", "Statement": statements}])
    directory.add_principal(CREATED)
    return directory.compile()


BESIDE = {"AssociateIamInstanceProfileRequest": {"IamInstanceProfile": {"Name": "p"}, "InstanceId": "i-1"}}
LAUNCH = record("ec2:AssociateIamInstanceProfile", parameters=BESIDE)
JOB = record("glue:CreateJob", parameters={"name": "j", "role": "made"})
ANSWERS = [
    # more allowed actions, on which resource, the call, outcome, deciding action and resource
    ((), "*", LAUNCH, Outcome.IMPLICIT_DENY, PASS_ROLE, ""),
    (("iam:Get*", "s3:*"), "*", LAUNCH, Outcome.IMPLICIT_DENY, PASS_ROLE, ""),
    (("iam:PassRole",), OPS, LAUNCH, Outcome.DEPENDS, PASS_ROLE, ""),
    (("*",), "*", LAUNCH, Outcome.DEPENDS, PASS_ROLE, ""),
    ((), "*", JOB, Outcome.IMPLICIT_DENY, PASS_ROLE, CREATED),
    (("iam:PassRole",), OPS, JOB, Outcome.IMPLICIT_DENY, PASS_ROLE, CREATED),
    (("iam:PassRole",), CREATED, JOB, Outcome.ALLOW, "glue:CreateJob", f"arn:aws:glue:eu-west-1:{ACCOUNT}:job/j"),
]  # fmt: skip


@pytest.mark.parametrize(("actions", "on", "call", "outcome", "action", "resource"), ANSWERS)
def test_replay_of_a_passed_role_needs_a_grant(tmp_path, actions, on, call, outcome, action, resource):
    log = fastiam.read_cloudtrail(write_log(tmp_path / "log.json", call))
    (group,) = engine_of(*actions, resource=on).replay(log).groups
    assert (group.outcome, group.action, group.resource) == (outcome, action, resource)
    if outcome is Outcome.IMPLICIT_DENY:
        assert group.verdict is Verdict.DISAGREES
    if outcome is Outcome.DEPENDS:
        assert group.depends_on == ("resource",)


def test_replay_with_not_action_may_pass_a_role(tmp_path):
    directory = fastiam.Directory()
    statement = {"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"}
    directory.add_principal(ANA, identity_policies=[{"Version": "2012-10-17", "Statement": statement}])
    log = fastiam.read_cloudtrail(write_log(tmp_path / "log.json", LAUNCH))
    (group,) = directory.compile().replay(log).groups
    assert group.outcome is Outcome.DEPENDS


def test_replay_of_an_unknown_caller_stays_undecided(tmp_path):
    stranger = {**LAUNCH, "userIdentity": user(f"arn:aws:iam::{ACCOUNT}:user/bob")}
    log = fastiam.read_cloudtrail(write_log(tmp_path / "log.json", stranger))
    (group,) = engine_of().replay(log).groups
    assert group.verdict is Verdict.UNDECIDED


def test_replay_of_a_broken_session_that_passes_a_role_depends(tmp_path):
    issue = assume_role(policy="{")
    call = {**LAUNCH, "userIdentity": session()}
    directory = fastiam.Directory()
    directory.add_principal(OPS)
    found = directory.compile().replay(fastiam.read_cloudtrail(write_log(tmp_path / "log.json", issue, call)))
    assert {group.outcome for group in found.groups if group.number == 2} <= {Outcome.ERROR, Outcome.DEPENDS}


# -- what is not covered ----------------------------------------------------------------------------------------------

PLAIN = record("ec2:RunInstances", parameters={"instancesSet": {"items": [{"imageId": "ami-1"}]}})
TASK = record("ecs:RunTask", parameters={"taskDefinition": "t:1", "cluster": "c"})


def test_replay_without_a_named_role_is_counted(tmp_path):
    log = fastiam.read_cloudtrail(write_log(tmp_path / "log.json", PLAIN, TASK, LAUNCH, PLAIN, record("s3:ListBuckets")))
    found = engine_of("iam:PassRole").replay(log)
    assert found.without_role == {"ec2:RunInstances": 2, "ecs:RunTask": 1}
    assert sum(map(len, log)) == 5 and dict(log.without_role) == found.without_role


def test_replay_summary_lists_calls_without_role(tmp_path, capsys):
    directory = fastiam.Directory()
    directory.add_principal(ANA)
    directory.dump(tmp_path / "policies.json")
    log = str(write_log(tmp_path / "log.json", PLAIN, TASK))
    run(["replay", "--policies", str(tmp_path / "policies.json"), log])
    err = capsys.readouterr().err
    assert "2 calls may pass a role that their records do not name" in err and "1  ecs:RunTask" in err
