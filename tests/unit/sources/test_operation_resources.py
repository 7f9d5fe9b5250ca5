"""Operations of AWS's SDKs and the resources that AWS documents for them, in calls of clients and in records of CloudTrail.

Sources: the pages of the services in AWS's service authorization reference (the forms of ARNs, and the types of each action), and
the API references (what a parameter takes, and its default).
"""

from __future__ import annotations

from functools import cache
from typing import Any

import botocore.session
import orjson
import pytest
from botocore.validate import ParamValidator

from fastiam.sources.cloudtrail.requests import RequestPlan
from fastiam.sources.sdk_calls.arn_templates import RequestOrigin
from fastiam.sources.sdk_calls.call_requests import operation_of

A = "111111111111"
ORIGIN = RequestOrigin("aws", "eu-west-1", A)
SESSION = botocore.session.Session()


def arn(service: str, resource: str) -> str:
    return f"arn:aws:{service}:eu-west-1:{A}:{resource}"


ROLE = f"arn:aws:iam::{A}:role/svc"
LISTENER, RULE = "listener/app/web/1a/2b", "listener-rule/app/web/1a/2b/3c"
RECORD = {"Name": "a.example", "Type": "A"}
KEY = "11111111-2222-3333-4444-555555555555"
# service, operation, parameters, and resources without `arn:aws:SERVICE:REGION:ACCOUNT:`, None if the call does not determine it
CASES: list[tuple[str, str, dict[str, Any], list[str | None]]] = [
    # one variable, by its name, as a list, by a part of its name
    ("dynamodb", "DescribeTable", {"TableName": "t"}, ["table/t"]),
    ("dynamodb", "CreateBackup", {"TableName": "t", "BackupName": "nightly"}, ["table/t"]),
    ("dynamodb", "UpdateTimeToLive", {"TableName": "t", "TimeToLiveSpecification": {"Enabled": True, "AttributeName": "a"}},
     ["table/t"]),
    ("kinesis", "PutRecord", {"StreamName": "s", "Data": b"x", "PartitionKey": "k"}, ["stream/s"]),
    ("kinesis", "MergeShards", {"StreamARN": arn("kinesis", "stream/s"), "ShardToMerge": "1", "AdjacentShardToMerge": "2"},
     ["stream/s"]),
    ("kinesis", "DescribeStreamSummary", {"StreamName": "s"}, ["stream/s"]),
    ("firehose", "PutRecord", {"DeliveryStreamName": "d", "Record": {"Data": b"x"}}, ["deliverystream/d"]),
    ("firehose", "DescribeDeliveryStream", {"DeliveryStreamName": "d"}, ["deliverystream/d"]),
    ("ecr", "PutImage", {"repositoryName": "team/app", "imageManifest": "{}"}, ["repository/team/app"]),
    ("ecr", "BatchGetImage", {"repositoryName": "app", "imageIds": [{"imageTag": "v1"}]}, ["repository/app"]),
    ("lambda", "GetFunction", {"FunctionName": "f"}, ["function:f"]),
    ("lambda", "GetFunction", {"FunctionName": arn("lambda", "function:f")}, ["function:f"]),
    ("lambda", "PublishVersion", {"FunctionName": "f"}, ["function:f"]),
    ("lambda", "AddPermission", {"FunctionName": "f", "StatementId": "s", "Action": "lambda:InvokeFunction", "Principal": "*"},
     ["function:f"]),
    ("lambda", "TagResource", {"Resource": arn("lambda", "function:f"), "Tags": {"a": "b"}}, ["function:f"]),
    ("lambda", "GetResourcePolicy", {"ResourceArn": arn("lambda", "function:f")}, ["function:f"]),
    ("cloudwatch", "PutMetricAlarm", {"AlarmName": "a", "EvaluationPeriods": 1, "ComparisonOperator": "LessThanThreshold"},
     ["alarm:a"]),
    ("cloudwatch", "DeleteAlarms", {"AlarmNames": ["a", "b"]}, ["alarm:a", "alarm:b"]),
    ("cloudwatch", "SetAlarmState", {"AlarmName": "a", "StateValue": "OK", "StateReason": "r"}, ["alarm:a"]),
    ("cloudwatch", "DeleteInsightRules", {"RuleNames": ["r", "s"]}, ["insight-rule/r", "insight-rule/s"]),
    ("cloudwatch", "StopMetricStreams", {"Names": ["m"]}, ["metric-stream/m"]),
    ("logs", "CreateLogStream", {"logGroupName": "/app", "logStreamName": "s"}, ["log-group:/app:log-stream:s"]),
    ("logs", "PutRetentionPolicy", {"logGroupName": "/app", "retentionInDays": 7}, ["log-group:/app:log-stream:"]),
    ("logs", "PutLogEvents", {"logGroupName": "/app", "logStreamName": "s", "logEvents": [{"timestamp": 1, "message": "m"}]},
     ["log-group:/app:log-stream:s"]),
    ("logs", "GetLogEvents", {"logGroupName": "/app", "logStreamName": "s"}, ["log-group:/app:log-stream:s"]),
    ("logs", "PutDataProtectionPolicy", {"logGroupIdentifier": "/app", "policyDocument": "{}"}, ["log-group:/app:log-stream:"]),
    ("logs", "ListTagsForResource", {"resourceArn": arn("logs", "log-group:/app")}, ["log-group:/app"]),
    ("logs", "DescribeLogStreams", {"logGroupIdentifier": arn("logs", "log-group:/app:*")}, ["log-group:/app:log-stream:"]),
    ("logs", "StartLiveTail", {"logGroupIdentifiers": [arn("logs", "log-group:/app")]}, ["log-group:/app:log-stream:"]),
    ("logs", "DeleteLogGroup", {"logGroupName": "/app"}, ["log-group:/app:log-stream:"]),
    ("logs", "DescribeLogGroups", {"logGroupNamePrefix": "/app"}, ["log-group::log-stream:"]),
    ("logs", "DeleteDeliverySource", {"name": "d"}, [None]),
    ("sqs", "GetQueueAttributes", {"QueueUrl": f"https://sqs.eu-west-1.amazonaws.com/{A}/q"}, ["q"]),
    ("sqs", "PurgeQueue", {"QueueUrl": f"https://sqs.eu-west-1.amazonaws.com/{A}/q.fifo"}, ["q.fifo"]),
    ("sns", "CreateTopic", {"Name": "t"}, ["t"]),
    ("sns", "Subscribe", {"TopicArn": arn("sns", "t"), "Protocol": "sqs"}, ["t"]),
    ("kms", "DescribeKey", {"KeyId": KEY}, [f"key/{KEY}"]),
    ("kms", "CreateAlias", {"AliasName": "alias/a", "TargetKeyId": KEY}, ["alias/a", f"key/{KEY}"]),
    ("kms", "DeleteAlias", {"AliasName": "alias/a"}, ["alias/a", None]),
    ("secretsmanager", "CreateSecret", {"Name": "db"}, ["secret:db"]),
    ("secretsmanager", "DeleteSecret", {"SecretId": "db"}, ["secret:db"]),
    ("ssm", "PutParameter", {"Name": "/app/a", "Value": "v"}, ["parameter/app/a"]),
    ("ssm", "GetParameterHistory", {"Name": "a"}, ["parameter/a"]),
    ("ssm", "GetDocument", {"Name": "d"}, ["document/d"]),
    ("ssm", "DeletePatchBaseline", {"BaselineId": "pb-0123456789abcdef0"}, ["patchbaseline/pb-0123456789abcdef0"]),
    ("ssm", "UpdatePatchBaseline", {"BaselineId": "pb-0123456789abcdef0", "Name": "name"},
     ["patchbaseline/pb-0123456789abcdef0"]),
    ("ssm", "DescribeInstancePatches", {"InstanceId": "mi-1"}, ["managed-instance/mi-1"]),
    ("ssm", "UpdateMaintenanceWindow", {"WindowId": "mw-0123456789abcdef0"}, ["maintenancewindow/mw-0123456789abcdef0"]),
    ("ssm", "GetOpsItem", {"OpsItemId": "oi-1"}, ["opsitem/oi-1"]),
    # the name or id of the type that the action is about
    ("glue", "GetCrawler", {"Name": "c"}, ["crawler/c"]),
    ("glue", "StartJobRun", {"JobName": "j"}, ["job/j"]),
    ("glue", "CreateSession", {"Id": "s", "Role": ROLE, "Command": {"Name": "glueetl"}}, ["session/s"]),
    ("glue", "DeleteDevEndpoint", {"EndpointName": "e"}, ["devEndpoint/e"]),
    ("glue", "GetDatabase", {"Name": "d"}, ["database/d", "catalog"]),
    ("glue", "GetTable", {"DatabaseName": "d", "Name": "t"}, ["database/d", "catalog", "table/d/t"]),
    ("glue", "CreateTable", {"DatabaseName": "d", "TableInput": {"Name": "t", "StorageDescriptor": {"Columns": [{"Name": "c"}]}}},
     ["database/d", "catalog", "table/d/t"]),
    ("glue", "GetUserDefinedFunction", {"DatabaseName": "d", "FunctionName": "f"},
     ["database/d", "catalog", "userDefinedFunction/d/f"]),
    ("glue", "GetConnection", {"Name": "c"}, ["connection/c", "catalog"]),
    ("glue", "GetSchema", {"SchemaId": {"SchemaName": "s", "RegistryName": "r"}}, ["registry/r", "schema/s"]),
    ("glue", "DeleteIntegration", {"IntegrationIdentifier": "i"}, ["integration:i"]),
    ("athena", "GetWorkGroup", {"WorkGroup": "w"}, ["workgroup/w"]),
    ("athena", "CreateWorkGroup", {"Name": "w"}, ["workgroup/w"]),
    ("athena", "StartQueryExecution", {"QueryString": "x"}, ["workgroup/primary"]),
    ("athena", "UpdateNamedQuery", {"NamedQueryId": "q", "Name": "n", "QueryString": "x"}, [None]),
    ("athena", "TagResource", {"ResourceARN": arn("athena", "workgroup/w"), "Tags": []}, ["workgroup/w"]),
    ("athena", "GetDataCatalog", {"Name": "c"}, ["datacatalog/c"]),
    ("events", "DescribeEventBus", {"Name": "b"}, ["event-bus/b"]),
    ("events", "PutRule", {"Name": "r"}, ["rule/r"]),
    ("events", "PutRule", {"Name": "r", "EventBusName": "default"}, ["rule/r"]),
    ("events", "PutTargets", {"Rule": "r", "EventBusName": "b", "Targets": [{"Id": "1", "Arn": ROLE}]}, ["rule/b/r"]),
    ("events", "DeleteRule", {"Name": "r", "EventBusName": "arn:aws:events:eu-west-1:222222222222:event-bus/b"},
     ["arn:aws:events:eu-west-1:222222222222:rule/b/r"]),
    ("events", "PutEvents", {"Entries": [{"EventBusName": "b"}, {}]}, ["event-bus/b", "event-bus/default"]),
    ("events", "UpdateConnection", {"Name": "c"}, ["connection/c"]),
    ("stepfunctions", "CreateActivity", {"name": "a"}, ["arn:aws:states:eu-west-1:111111111111:activity:a"]),
    ("stepfunctions", "StartExecution", {"stateMachineArn": arn("states", "stateMachine:m"), "name": "run"},
     [arn("states", "stateMachine:m")]),
    ("stepfunctions", "DescribeExecution", {"executionArn": arn("states", "execution:m:run")},
     [arn("states", "execution:m:run")]),
    # several variables, a default, an ARN of the parent
    ("ecs", "UpdateService", {"cluster": "c", "service": "s"}, ["service/c/s"]),
    ("ecs", "UpdateService", {"cluster": arn("ecs", "cluster/c"), "service": "s"}, ["service/c/s"]),
    ("ecs", "DescribeServices", {"services": ["s", "t"]}, ["service/default/s", "service/default/t"]),
    ("ecs", "StopTask", {"cluster": "c", "task": "1a"}, ["task/c/1a"]),
    ("ecs", "ExecuteCommand", {"cluster": "c", "task": "1a", "command": "sh", "interactive": True}, ["cluster/c", "task/c/1a"]),
    ("ecs", "DeleteTaskSet", {"cluster": "c", "service": "s", "taskSet": "ts"}, ["task-set/c/s/ts"]),
    ("ecs", "UpdateContainerAgent", {"containerInstance": "1a"}, ["container-instance/default/1a"]),
    ("ecs", "RegisterTaskDefinition", {"family": "f", "containerDefinitions": [{"name": "web"}]}, ["task-definition/f:*"]),
    ("ecs", "TagResource", {"resourceArn": arn("ecs", "service/c/s"), "tags": []}, ["service/c/s"]),
    ("ecs", "StopServiceDeployment", {"serviceDeploymentArn": arn("ecs", "service-deployment/c/s/1a")},
     ["service/c/s", "service-deployment/c/s/1a"]),
    ("eks", "DescribeCluster", {"name": "c"}, ["cluster/c"]),
    ("eks", "CreateNodegroup", {"clusterName": "c", "nodegroupName": "n", "subnets": [], "nodeRole": ROLE}, ["cluster/c"]),
    ("eks", "UpdateNodegroupVersion", {"clusterName": "c", "nodegroupName": "n", "launchTemplate": {"name": "lt"}}, [None]),
    ("elbv2", "DeleteListener", {"ListenerArn": arn("elasticloadbalancing", LISTENER)}, [arn("elasticloadbalancing", LISTENER)]),
    ("elbv2", "ModifyRule", {"RuleArn": arn("elasticloadbalancing", RULE)}, [arn("elasticloadbalancing", RULE)]),
    ("elbv2", "CreateTargetGroup", {"Name": "t"}, [arn("elasticloadbalancing", "targetgroup/t/*")]),
    # a resource that the call creates has no id yet
    ("autoscaling", "CreateAutoScalingGroup", {"AutoScalingGroupName": "g", "MinSize": 1, "MaxSize": 1},
     ["autoScalingGroup:*:autoScalingGroupName/g"]),
    ("autoscaling", "SetDesiredCapacity", {"AutoScalingGroupName": "g", "DesiredCapacity": 1}, [None]),
    ("cloudformation", "CreateStack", {"StackName": "s"}, ["stack/s/*"]),
    ("cloudformation", "DeleteStack", {"StackName": "s"}, [None]),
    ("cloudformation", "DeleteStack", {"StackName": arn("cloudformation", "stack/s/1a")}, ["stack/s/1a"]),
    ("rds", "DeleteDBInstance", {"DBInstanceIdentifier": "d"}, ["db:d"]),
    ("rds", "StopDBCluster", {"DBClusterIdentifier": "c"}, ["cluster:c"]),
    ("rds", "CreateDBSnapshot", {"DBSnapshotIdentifier": "s", "DBInstanceIdentifier": "d"}, ["db:d", "snapshot:s"]),
    ("rds", "AddTagsToResource", {"ResourceName": arn("rds", "db:d"), "Tags": []}, ["db:d"]),
    ("rds", "DeleteGlobalCluster", {"GlobalClusterIdentifier": "g"}, [f"arn:aws:rds::{A}:global-cluster:g"]),
    ("rds", "ModifyDBClusterEndpoint", {"DBClusterEndpointIdentifier": "e"}, ["cluster-endpoint:e"]),
    ("rds", "DeleteDBProxy", {"DBProxyName": "p"}, [None]),
    ("route53", "ChangeResourceRecordSets",
     {"HostedZoneId": "Z1", "ChangeBatch": {"Changes": [{"Action": "DELETE", "ResourceRecordSet": RECORD}]}},
     ["arn:aws:route53:::hostedzone/Z1"]),
    ("route53", "ChangeTagsForResource", {"ResourceType": "hostedzone", "ResourceId": "Z1"}, ["arn:aws:route53:::hostedzone/Z1"]),
    ("route53", "DeleteHealthCheck", {"HealthCheckId": "h"}, ["arn:aws:route53:::healthcheck/h"]),
    ("sagemaker", "DescribeTrainingJob", {"TrainingJobName": "j"}, ["training-job/j"]),
    ("sagemaker", "DeleteModelBiasJobDefinition", {"JobDefinitionName": "j"}, ["model-bias-job-definition/j"]),
    ("sagemaker", "DescribeCluster", {"ClusterName": "c"}, [None]),
    ("cognito-idp", "AdminGetUser", {"UserPoolId": "eu-west-1_a", "Username": "u"}, ["userpool/eu-west-1_a"]),
    ("cognito-idp", "DeleteUserPoolClient", {"UserPoolId": "eu-west-1_a", "ClientId": "c"}, ["userpool/eu-west-1_a"]),
    # IAM and STS have no Region
    ("iam", "GetRole", {"RoleName": "r"}, [f"arn:aws:iam::{A}:role/r"]),
    ("iam", "CreateUser", {"UserName": "u", "Path": "/team/"}, [f"arn:aws:iam::{A}:user/team/u"]),
    ("iam", "DeleteServerCertificate", {"ServerCertificateName": "c"}, [f"arn:aws:iam::{A}:server-certificate/c"]),
    ("iam", "CreateOpenIDConnectProvider", {"Url": "https://token.actions.githubusercontent.com"},
     [f"arn:aws:iam::{A}:oidc-provider/token.actions.githubusercontent.com"]),
    ("iam", "GenerateServiceLastAccessedDetails", {"Arn": ROLE}, [ROLE]),
    ("sts", "AssumeRoot", {"TargetPrincipal": "222222222222", "TaskPolicyArn": {"arn": "arn:aws:iam::aws:policy/root-task/X"}},
     ["arn:aws:iam::222222222222:root"]),
    # EC2 has the type in the id
    ("ec2", "StartInstances", {"InstanceIds": ["i-1", "i-2"]}, ["instance/i-1", "instance/i-2"]),
    ("ec2", "DeleteFlowLogs", {"FlowLogIds": ["fl-1"]}, ["vpc-flow-log/fl-1"]),
    ("ec2", "AssociateRouteTable", {"RouteTableId": "rtb-1", "GatewayId": "igw-1"},
     ["internet-gateway/igw-1", "route-table/rtb-1"]),
    ("ec2", "AssociateRouteTable", {"RouteTableId": "rtb-1", "GatewayId": "vgw-1"}, ["route-table/rtb-1", "vpn-gateway/vgw-1"]),
    ("ec2", "EnableVgwRoutePropagation", {"RouteTableId": "rtb-1", "GatewayId": "vgw-1"},
     ["route-table/rtb-1", "vpn-gateway/vgw-1"]),
    ("ec2", "CreateTags", {"Resources": ["i-1", "ami-1"], "Tags": []}, ["instance/i-1", "arn:aws:ec2:eu-west-1::image/ami-1"]),
    ("ec2", "DeleteTags", {"Resources": ["i-1", "unheard-1"]}, ["instance/i-1", None]),
    ("ec2", "CreateVolume", {"AvailabilityZone": "eu-west-1a"}, ["volume/*"]),
    ("ec2", "DeletePlacementGroup", {"GroupName": "g"}, ["placement-group/g"]),
    ("ec2", "DeleteVpcEndpointServiceConfigurations", {"ServiceIds": ["vpce-svc-1"]}, ["vpc-endpoint-service/vpce-svc-1"]),
    ("ec2", "DeleteLaunchTemplateVersions", {"LaunchTemplateId": "lt-1", "Versions": ["1"]}, ["launch-template/lt-1"]),
    # API Gateway has paths
    ("apigateway", "GetResource", {"restApiId": "a", "resourceId": "r"}, ["/restapis/a/resources/r"]),
    ("apigateway", "CreateDeployment", {"restApiId": "a"}, ["/restapis/a/deployments"]),
    ("apigateway", "CreateRestApi", {"name": "n"}, ["/restapis"]),
    ("apigateway", "FlushStageCache", {"restApiId": "a", "stageName": "s"}, ["/restapis/a/stages/s/cache/data"]),
    ("apigateway", "TagResource", {"resourceArn": "arn:aws:apigateway:eu-west-1::/restapis/a", "tags": {"a": "b"}},
     ["/tags/arn%3Aaws%3Aapigateway%3Aeu-west-1%3A%3A%2Frestapis%2Fa"]),
    ("apigatewayv2", "GetStage", {"ApiId": "a", "StageName": "s"}, ["/apis/a/stages/s"]),
    ("apigatewayv2", "CreateVpcLink", {"Name": "n", "SubnetIds": []}, ["/vpclinks"]),
    ("apigateway", "GetDomainName", {"domainName": "d.example", "domainNameId": "1a"}, [None]),
    # a queue of another account
    ("sqs", "GetQueueUrl", {"QueueName": "q", "QueueOwnerAWSAccountId": "222222222222"},
     ["arn:aws:sqs:eu-west-1:222222222222:q"]),
    ("ecr", "BatchGetImage", {"repositoryName": "app", "registryId": "222222222222", "imageIds": [{"imageTag": "v1"}]},
     ["arn:aws:ecr:eu-west-1:222222222222:repository/app"]),
    ("glue", "GetDatabase", {"Name": "d", "CatalogId": "222222222222"},
     ["arn:aws:glue:eu-west-1:222222222222:database/d", "arn:aws:glue:eu-west-1:222222222222:catalog"]),
    ("glue", "GetDatabase", {"Name": "d", "CatalogId": A}, ["database/d", "catalog"]),
    # the zone of a call, not that of the target of an alias; as Route 53 returns it
    ("route53", "ChangeResourceRecordSets", {"HostedZoneId": "/hostedzone/Z1", "ChangeBatch": {"Changes": [{
        "Action": "CREATE", "ResourceRecordSet": {**RECORD, "AliasTarget": {
            "HostedZoneId": "Z2", "DNSName": "d", "EvaluateTargetHealth": False}}}]}}, ["arn:aws:route53:::hostedzone/Z1"]),
    # the type of a load balancer is in its ARN
    ("elbv2", "CreateLoadBalancer", {"Name": "web", "Type": "network"},
     [arn("elasticloadbalancing", "loadbalancer/net/web/*")]),
    ("elbv2", "CreateLoadBalancer", {"Name": "web"}, [arn("elasticloadbalancing", "loadbalancer/app/web/*")]),
    ("cloudformation", "DescribeStacks", {"StackName": "s"}, ["stack/s/*"]),
    # the version or label of a parameter is not a part of its ARN
    ("ssm", "GetParameter", {"Name": "/a/b:3"}, ["parameter/a/b"]),
    ("ssm", "GetParameter", {"Name": arn("ssm", "parameter/a:live")}, ["parameter/a"]),
    ("ssm", "GetParameters", {"Names": ["a:3", "/b"]}, ["parameter/a", "parameter/b"]),
    # the instances that targets determine; all of them for a tag
    ("ssm", "SendCommand", {"DocumentName": "d", "Targets": [{"Key": "InstanceIds", "Values": ["i-1", "mi-2"]}]},
     ["document/d", arn("ec2", "instance/i-1"), "managed-instance/mi-2"]),
    ("ssm", "SendCommand", {"DocumentName": "d", "Targets": [{"Key": "tag:env", "Values": ["test"]}]},
     ["document/d", arn("ec2", "instance/*")]),
    ("ssm", "SendCommand", {"DocumentName": arn("ssm", "document/d"), "InstanceIds": ["i-1"]},
     ["document/d", arn("ec2", "instance/i-1")]),
    # the group that gets a rule, not those that the rule names
    ("ec2", "AuthorizeSecurityGroupIngress",
     {"GroupId": "sg-1", "IpPermissions": [{"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": "sg-2"}]}]},
     ["security-group/sg-1"]),
    ("ec2", "RevokeSecurityGroupIngress",
     {"GroupName": "web", "IpPermissions": [{"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": "sg-2"}]}]}, [None]),
    # what a call creates, besides the ARN of what it copies
    ("rds", "CreateDBCluster", {"DBClusterIdentifier": "c", "Engine": "e", "DBClusterParameterGroupName": "g",
     "OptionGroupName": "o", "DBSubnetGroupName": "s", "ReplicationSourceIdentifier": arn("rds", "cluster:source")},
     ["cluster:source", "cluster:c", "cluster-pg:g", "og:o", "subgrp:s"]),
    ("dynamodb", "RestoreTableFromBackup", {"BackupArn": arn("dynamodb", "table/t/backup/01"), "TargetTableName": "new"},
     ["table/t/backup/01", "table/new"]),
    ("dynamodb", "ImportTable",
     {"S3BucketSource": {"S3Bucket": "b"}, "InputFormat": "CSV", "TableCreationParameters": {
         "TableName": "new", "AttributeDefinitions": [], "KeySchema": [{"AttributeName": "a", "KeyType": "HASH"}]}},
     ["table/new"]),
    # a role of a service is below the path of the service
    ("iam", "CreateServiceLinkedRole", {"AWSServiceName": "ecs.amazonaws.com"},
     [f"arn:aws:iam::{A}:role/aws-service-role/ecs.amazonaws.com/*"]),
    # IAM asks for both names of what is renamed
    ("iam", "UpdateUser", {"UserName": "u", "NewUserName": "v", "NewPath": "/x/"},
     [f"arn:aws:iam::{A}:user/u", f"arn:aws:iam::{A}:user/x/v"]),
    ("iam", "UpdateGroup", {"GroupName": "g", "NewGroupName": "h"}, [f"arn:aws:iam::{A}:group/g", f"arn:aws:iam::{A}:group/h"]),
    ("iam", "CreateVirtualMFADevice", {"VirtualMFADeviceName": "m", "Path": "/x/"}, [f"arn:aws:iam::{A}:mfa/x/m"]),
    ("iam", "UploadServerCertificate",
     {"ServerCertificateName": "c", "Path": "/cloudfront/", "CertificateBody": "b", "PrivateKey": "k"},
     [f"arn:aws:iam::{A}:server-certificate/cloudfront/c"]),
    ("rds", "CopyDBSnapshot", {"SourceDBSnapshotIdentifier": "a", "TargetDBSnapshotIdentifier": "b"},
     ["snapshot:a", "snapshot:b"]),
    ("rds", "CopyDBClusterSnapshot",
     {"SourceDBClusterSnapshotIdentifier": arn("rds", "cluster-snapshot:a"), "TargetDBClusterSnapshotIdentifier": "b"},
     ["cluster-snapshot:a", "cluster-snapshot:b"]),
    # what is restored or replicated, and the new one
    ("rds", "RestoreDBInstanceToPointInTime", {"SourceDBInstanceIdentifier": "a", "TargetDBInstanceIdentifier": "b",
     "DBSubnetGroupName": "s", "OptionGroupName": "o", "DBParameterGroupName": "p"},
     ["db:a", "db:b", "og:o", "pg:p", "subgrp:s"]),
    ("rds", "RestoreDBInstanceToPointInTime", {"SourceDbiResourceId": "db-1", "TargetDBInstanceIdentifier": "b",
     "SourceDBInstanceAutomatedBackupsArn": arn("rds", "auto-backup:ab-1"), "DBSubnetGroupName": "s", "OptionGroupName": "o",
     "DBParameterGroupName": "p"}, ["auto-backup:ab-1", "db:b", "og:o", "pg:p", "subgrp:s"]),
    ("rds", "RestoreDBClusterToPointInTime", {"DBClusterIdentifier": "b", "SourceDBClusterIdentifier": "a", "DBSubnetGroupName":
     "s", "OptionGroupName": "o", "DBClusterParameterGroupName": "p"},
     ["cluster:a", "cluster:b", "cluster-pg:p", "og:o", "subgrp:s"]),
    ("rds", "RestoreDBClusterToPointInTime", {"DBClusterIdentifier": "b", "SourceDBClusterIdentifier":
     "arn:aws:rds:us-east-1:111111111111:cluster:a", "DBSubnetGroupName": "s", "OptionGroupName": "o",
     "DBClusterParameterGroupName": "p"},
     ["arn:aws:rds:us-east-1:111111111111:cluster:a", "cluster:b", "cluster-pg:p", "og:o", "subgrp:s"]),
    ("rds", "RestoreDBClusterFromSnapshot", {"DBClusterIdentifier": "b", "SnapshotIdentifier": "a", "Engine": "e",
     "DBSubnetGroupName": "s", "OptionGroupName": "o", "DBClusterParameterGroupName": "p"},
     ["cluster:b", "cluster-pg:p", "cluster-snapshot:a", "og:o", "subgrp:s"]),
    ("rds", "CreateDBInstanceReadReplica", {"DBInstanceIdentifier": "b", "SourceDBInstanceIdentifier": "a", "DBSubnetGroupName":
     "s", "OptionGroupName": "o", "DBParameterGroupName": "p"}, [None, "db:a", "db:b", "og:o", "pg:p", "subgrp:s"]),
    ("rds", "DeleteDBCluster", {"DBClusterIdentifier": "a", "FinalDBSnapshotIdentifier": "b"},
     ["cluster:a", "cluster-snapshot:b"]),
    ("rds", "FailoverDBCluster", {"DBClusterIdentifier": "a", "TargetDBInstanceIdentifier": "b"}, ["cluster:a", "db:b"]),
    ("rds", "CreateDBProxyEndpoint", {"DBProxyName": "p", "DBProxyEndpointName": "e", "VpcSubnetIds": []},
     [None, "db-proxy-endpoint:*"]),
    # snapshots and images of another Region, and the copy
    ("ec2", "CopySnapshot", {"SourceRegion": "us-east-1", "SourceSnapshotId": "snap-1"},
     ["arn:aws:ec2:us-east-1::snapshot/snap-1", "arn:aws:ec2:eu-west-1::snapshot/*"]),
    ("ec2", "CopyImage", {"Name": "new", "SourceRegion": "us-east-1", "SourceImageId": "ami-1"},
     ["arn:aws:ec2:us-east-1::image/ami-1", "arn:aws:ec2:eu-west-1::image/*", None]),
    # an id of EC2 has its type, whatever the parameter is called
    ("ec2", "ModifyVpcEndpoint", {"VpcEndpointId": "vpce-1", "AddSubnetIds": ["subnet-1"], "RemoveSecurityGroupIds": ["sg-1"],
     "SubnetConfigurations": [{"SubnetId": "subnet-2"}]},
     ["security-group/sg-1", "subnet/subnet-2", "subnet/subnet-1", "vpc-endpoint/vpce-1"]),
    ("ec2", "CreateFlowLogs", {"ResourceIds": ["vpc-1"], "ResourceType": "VPC"}, ["vpc/vpc-1", "vpc-flow-log/*"]),
    ("ec2", "CreateClientVpnRoute", {"ClientVpnEndpointId": "cvpn-endpoint-1", "DestinationCidrBlock": "0.0.0.0/0",
     "TargetVpcSubnetId": "subnet-1"}, ["client-vpn-endpoint/cvpn-endpoint-1", "subnet/subnet-1"]),
    ("ec2", "CreateNetworkInsightsPath", {"Source": "igw-1", "Destination": "eni-1", "Protocol": "tcp", "ClientToken": "t"},
     ["internet-gateway/igw-1", "network-insights-path/*", "network-interface/eni-1"]),
    ("ec2", "CancelExportTask", {"ExportTaskId": "export-ami-1"}, ["export-image-task/export-ami-1"]),
    ("ec2", "CancelImportTask", {"ImportTaskId": "import-snap-1"}, ["import-snapshot-task/import-snap-1"]),
    ("ec2", "MoveCapacityReservationInstances", {"SourceCapacityReservationId": "cr-1",
     "DestinationCapacityReservationId": "cr-2", "InstanceCount": 1}, ["capacity-reservation/cr-1", "capacity-reservation/cr-2"]),
    ("ec2", "CreateSubnet", {"VpcId": "vpc-1", "Ipv4IpamPoolId": "ipam-pool-1"},
     [f"arn:aws:ec2::{A}:ipam-pool/ipam-pool-1", "subnet/*", "vpc/vpc-1"]),
    # ids that an operation is not about
    ("ec2", "CreateVpcPeeringConnection", {"VpcId": "vpc-1", "PeerVpcId": "vpc-2"}, ["vpc/vpc-1", "vpc-peering-connection/*"]),
    ("ec2", "CreateTransitGatewayPeeringAttachment", {"TransitGatewayId": "tgw-1", "PeerTransitGatewayId": "tgw-2",
     "PeerAccountId": "222222222222", "PeerRegion": "us-east-1"}, ["transit-gateway/tgw-1", "transit-gateway-attachment/*"]),
    ("ec2", "DetachNetworkInterface", {"AttachmentId": "eni-attach-1"}, [None]),
    ("ec2", "AssociateDhcpOptions", {"DhcpOptionsId": "default", "VpcId": "vpc-1"}, [None, "vpc/vpc-1"]),
    # the ARN has a name, which the id does not determine
    ("ec2", "DeleteKeyPair", {"KeyPairId": "key-1"}, [None]),
    ("ec2", "CreateTags", {"Resources": ["key-1"], "Tags": []}, [None]),
    ("ec2", "ModifyInstancePlacement", {"InstanceId": "i-1", "GroupId": "pg-1"}, ["instance/i-1", None]),
    # what exists is not created with something below it
    ("ec2", "CreateLaunchTemplateVersion", {"LaunchTemplateName": "new", "LaunchTemplateData": {}}, [None]),
    ("cloudformation", "CreateStackInstances", {"StackSetName": "s", "Regions": ["eu-west-1"]}, [None]),
    # a placement group belongs to EC2, not to Resource Groups
    ("ec2", "RunInstances", {"ImageId": "ami-1", "MinCount": 1, "MaxCount": 1, "Placement": {"GroupName": "g"}, "SubnetId":
     "subnet-1", "SecurityGroupIds": ["sg-1"]},
     ["arn:aws:ec2:eu-west-1::image/ami-1", "instance/*", "network-interface/*", "placement-group/g", "security-group/sg-1",
      "subnet/subnet-1", "volume/*"]),
    # the tags of an Auto Scaling group have its name, and the ARN an id as well
    ("autoscaling", "CreateOrUpdateTags", {"Tags": [{"ResourceId": "g", "ResourceType": "auto-scaling-group", "Key": "a"}]},
     [None]),
    ("autoscaling", "DeleteTags", {"Tags": [{"ResourceId": "g", "ResourceType": "auto-scaling-group", "Key": "a"}]}, [None]),
    # the owner of a key is in no parameter
    ("iam", "GetAccessKeyLastUsed", {"AccessKeyId": "AKIAIOSFODNN7EXAMPLE"}, [None]),
]  # fmt: skip
IDS = [f"{service}:{operation}-{number}" for number, (service, operation, _, _) in enumerate(CASES)]


@cache
def model_of(service: str) -> Any:
    return SESSION.get_service_model(service)


def full(service: str, resources: list[str | None]) -> list[str | None]:
    place = "arn:aws:apigateway:eu-west-1::" if service.startswith("apigateway") else arn(service, "")
    return [each if each is None or each.startswith("arn:") else f"{place}{each}" for each in resources]


@pytest.mark.parametrize(("service", "operation", "parameters", "expected"), CASES, ids=IDS)
def test_call_of_a_client_has_the_documented_resources(service, operation, parameters, expected):
    """T107."""
    model = model_of(service)
    shape = model.operation_model(operation).input_shape
    assert not ParamValidator().validate(parameters, shape).has_errors()
    found = operation_of(model.endpoint_prefix, model.signing_name, operation).requests(parameters, ORIGIN, shape)
    assert [each.resource for each in found if each.action != "iam:PassRole"] == full(service, expected)


def logged(value: Any) -> Any:
    """Return parameters as CloudTrail writes them."""
    if isinstance(value, dict):
        return {name[0].lower() + name[1:]: logged(item) for name, item in value.items() if not isinstance(item, bytes)}
    return [logged(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize(("service", "operation", "parameters", "expected"), CASES, ids=IDS)
def test_record_of_a_call_has_the_documented_resources(service, operation, parameters, expected):
    """T107."""
    model = model_of(service)
    plan = RequestPlan(f"{model.endpoint_prefix}.amazonaws.com", operation, "AwsApiCall")
    if not plan.actions:
        plan = RequestPlan(f"{model.signing_name}.amazonaws.com", operation, "AwsApiCall")
    found = plan.requests_of(orjson.dumps(logged(parameters)), [], ORIGIN).rows
    assert [row.resource for row in found if row.action != "iam:PassRole"] == full(service, expected)


def test_owner_of_an_access_key_is_not_the_caller():
    """T107."""
    origin = RequestOrigin("aws", "eu-west-1", A, f"arn:aws:iam::{A}:user/ana")
    shape = model_of("iam").operation_model("GetAccessKeyLastUsed").input_shape
    operation = operation_of("iam", "iam", "GetAccessKeyLastUsed")
    (request,) = operation.requests({"AccessKeyId": "AKIAIOSFODNN7EXAMPLE"}, origin, shape)
    assert (request.resource, request.forms) == (None, (f"arn:aws:iam::{A}:user/*",))


def test_cases_are_of_many_services_and_operations():
    assert len({(service, operation) for service, operation, _, _ in CASES}) > 100
    assert len({service for service, _, _, _ in CASES}) >= 28


def test_hidden_value_of_a_record_names_nothing():
    hidden = {"roleName": "HIDDEN_DUE_TO_SECURITY_REASONS"}
    found = RequestPlan("iam.amazonaws.com", "GetRole", "AwsApiCall").requests_of(orjson.dumps(hidden), [], ORIGIN).rows
    assert [row.resource for row in found] == [None]
