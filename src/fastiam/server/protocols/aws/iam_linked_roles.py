"""IAM operations on service-linked roles. A role is deleted at once, since no service uses it here."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from typing import Any, Final

from fastiam.aws_data.catalog import AwsData
from fastiam.directory.aws_policies import aws_policy
from fastiam.model.profile import PrincipalKind
from fastiam.server.protocols.aws import permissions as p
from fastiam.server.protocols.aws.aws_errors import ApiError
from fastiam.server.protocols.aws.calls import Call, Result
from fastiam.server.protocols.aws.iam_roles import role_of
from fastiam.server.protocols.aws.operations import Operation
from fastiam.sts.signed_calls import Permission

_PREFIX: Final = "AWSServiceRoleFor"
_DOMAIN: Final = ".amazonaws.com"
_TASK = re.compile(r"task/aws-service-role/[\w.-]+/[\w+=,.@-]+/[0-9a-f-]{36}", re.ASCII)
_SCALING: Final = "application-autoscaling"

# The name of the role behind the prefix, and its policy, by the documentation of each service. Roles of other services get a name
# that follows from theirs, and no policy.
KNOWN: Final[Mapping[str, tuple[str, str]]] = {
    "access-analyzer": ("AccessAnalyzer", "AccessAnalyzerServiceRolePolicy"),
    "autoscaling": ("AutoScaling", "AutoScalingServiceRolePolicy"),
    "backup": ("Backup", "AWSBackupServiceLinkedRolePolicyForBackup"),
    "batch": ("Batch", "BatchServiceRolePolicy"),
    "config": ("Config", "AWSConfigServiceRolePolicy"),
    "ecs": ("ECS", "AmazonECSServiceRolePolicy"),
    "eks": ("AmazonEKS", "AmazonEKSServiceRolePolicy"),
    "eks-nodegroup": ("AmazonEKSNodegroup", "AWSServiceRoleForAmazonEKSNodegroup"),
    "elasticache": ("ElastiCache", "ElastiCacheServiceRolePolicy"),
    "elasticfilesystem": ("AmazonElasticFileSystem", "AmazonElasticFileSystemServiceRolePolicy"),
    "elasticloadbalancing": ("ElasticLoadBalancing", "AWSElasticLoadBalancingServiceRolePolicy"),
    "es": ("AmazonElasticsearchService", "AmazonElasticsearchServiceRolePolicy"),
    "guardduty": ("AmazonGuardDuty", "AmazonGuardDutyServiceRolePolicy"),
    "kafka": ("Kafka", "KafkaServiceRolePolicy"),
    "opensearchservice": ("AmazonOpenSearchService", "AmazonOpenSearchServiceRolePolicy"),
    "ops.apigateway": ("APIGateway", "APIGatewayServiceRolePolicy"),
    "organizations": ("Organizations", "AWSOrganizationsServiceTrustPolicy"),
    "ram": ("ResourceAccessManager", "AWSResourceAccessManagerServiceRolePolicy"),
    "rds": ("RDS", "AmazonRDSServiceRolePolicy"),
    "redshift": ("Redshift", "AmazonRedshiftServiceLinkedRolePolicy"),
    "replication.dynamodb": ("DynamoDBReplication", "DynamoDBReplicationServiceRolePolicy"),
    "securityhub": ("SecurityHub", "AWSSecurityHubServiceRolePolicy"),
    "spot": ("EC2Spot", "AWSEC2SpotServiceRolePolicy"),
    "spotfleet": ("EC2SpotFleet", "AWSEC2SpotFleetServiceRolePolicy"),
    "ssm": ("AmazonSSM", "AmazonSSMServiceRolePolicy"),
    "sso": ("SSO", "AWSSSOServiceRolePolicy"),
    "support": ("Support", "AWSSupportServiceRolePolicy"),
    "transitgateway": ("VPCTransitGateway", "AWSVPCTransitGatewayServiceRolePolicy"),
    "trustedadvisor": ("TrustedAdvisor", "AWSTrustedAdvisorServiceRolePolicy"),
    f"dynamodb.{_SCALING}": ("ApplicationAutoScaling_DynamoDBTable", "AWSApplicationAutoscalingDynamoDBTablePolicy"),
    f"ecs.{_SCALING}": ("ApplicationAutoScaling_ECSService", "AWSApplicationAutoscalingECSServicePolicy"),
    f"lambda.{_SCALING}": ("ApplicationAutoScaling_LambdaConcurrency", "AWSApplicationAutoscalingLambdaConcurrencyPolicy"),
    f"rds.{_SCALING}": ("ApplicationAutoScaling_RDSCluster", "AWSApplicationAutoscalingRDSClusterPolicy"),
}


# -- names ------------------------------------------------------------------------------------------------------------------


def _role_name(call: Call) -> str:
    """The name of the role of `AWSServiceName` and `CustomSuffix`."""
    service, suffix = call.parameters["AWSServiceName"].removesuffix(_DOMAIN), call.parameters.get("CustomSuffix")
    words = [word.capitalize() for word in re.split(r"[^A-Za-z0-9]+", service)]
    name = KNOWN[service][0] if service in KNOWN else "".join(words)
    return f"{_PREFIX}{name}" + (f"_{suffix}" if suffix else "")


def _path(call: Call) -> str:
    return f"/aws-service-role/{call.parameters['AWSServiceName']}/"


def _is_service(name: str) -> bool:
    """Whether there is such a service: a part of its name is a prefix of actions."""
    service = name.removesuffix(_DOMAIN)
    if service == name or service in KNOWN:
        return service != name
    try:
        return not AwsData.installed().prefixes.isdisjoint(service.split("."))
    except ModuleNotFoundError:
        raise ApiError("NotImplemented", "The services of AWS are not known here: the package for it is not installed.") from None


# -- operations -------------------------------------------------------------------------------------------------------------


def create_service_linked_role(call: Call) -> Result:
    """CreateServiceLinkedRole, with the policy of the service where its name is known."""
    given, name = call.parameters, _role_name(call)
    service = given["AWSServiceName"]
    if not _is_service(service):
        raise ApiError("InvalidInput", f"{service} is not the name of an AWS service.")
    if call.directory.find("role", name, call.account, call.partition, ignore_case=True) is not None:
        message = f"Service role name {name} has been taken in this account, please try a different suffix."
        raise ApiError("InvalidInput", message)
    arn = call.new_arn("role", name, _path(call))
    _, policy = KNOWN.get(service.removesuffix(_DOMAIN), ("", ""))
    of_service = f"arn:{call.partition}:iam::aws:policy/aws-service-role/{policy}"
    trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    call.directory.add_principal(
        arn,
        identity_policies=[of_service] if policy and aws_policy(of_service) is not None else [],
        trust_policy={"Version": "2012-10-17", "Statement": [trust]},
        created=call.now,
        description=given.get("Description", ""),
    )
    made = role_of(call.tables.entities[arn], is_complete=True)
    del made["MaxSessionDuration"]  # as of CreateRole
    return {"Role": made}


def delete_service_linked_role(call: Call) -> Result:
    """DeleteServiceLinkedRole, done when it answers."""
    role = call.role()
    if role.kind is not PrincipalKind.SLR:
        raise ApiError("InvalidInput", f"{role.name} is not a service-linked role.")
    call.directory.delete_principal(role.arn)
    return {"DeletionTaskId": f"task{role.path}{role.name}/{uuid.uuid4()}"}


def get_service_linked_role_deletion_status(call: Call) -> Result:
    """GetServiceLinkedRoleDeletionStatus: a deletion that was accepted is done."""
    task: str = call.parameters["DeletionTaskId"]
    if not _TASK.fullmatch(task):
        raise ApiError("NoSuchEntity", f"Deletion task id {task} cannot be found.")
    return {"Status": "SUCCEEDED"}


# -- the table --------------------------------------------------------------------------------------------------------------


def _new_role(call: Call) -> str:
    return call.new_arn("role", _role_name(call), _path(call))


def _deleted_role(call: Call) -> str:
    """The role of a deletion task, which exists no more."""
    task: str = call.parameters["DeletionTaskId"]
    role = task.removeprefix("task/").rpartition("/")[0]
    return f"arn:{call.partition}:iam::{call.account}:role/{role}"


def _service_name(_: Call, resource: str) -> Mapping[str, Any]:
    """`iam:AWSServiceName`, from the path of the role."""
    service = resource.partition(":role/aws-service-role/")[2].partition("/")[0]
    return {"iam:AWSServiceName": service} if service else {}


OPERATIONS = {
    "CreateServiceLinkedRole": Operation(create_service_linked_role, (Permission(_new_role, (_service_name,)),), writes=True),
    "DeleteServiceLinkedRole": Operation(delete_service_linked_role, (Permission(p.role, (_service_name,)),), writes=True),
    "GetServiceLinkedRoleDeletionStatus": Operation(
        get_service_linked_role_deletion_status, (Permission(_deleted_role),), is_short=True
    ),
}
