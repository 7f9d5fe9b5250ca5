"""The IAM actions of a record.

A record names an API operation. In 19 of 20 records the action has the same name in the service of `eventSource`. The tables
here have the others. Sources: the "actions" pages of the services in AWS's service authorization reference, the table
"Amazon S3 API operations and permissions" of the S3 User Guide, and the names that CloudTrail itself writes.
"""

from __future__ import annotations

import re
from functools import lru_cache

from fastiam.aws_data.catalog import Action, actions_of
from fastiam.aws_data.rest_paths import rest_method

# `eventSource` without its domain, where actions have another prefix
_PREFIXES = {
    "monitoring": "cloudwatch",
    "email": "ses",
    "tagging": "tag",
    "servicecatalog-appregistry": "servicecatalog",
    "application-insights": "applicationinsights",
    "cloudcontrolapi": "cloudformation",
    "catalog.marketplace": "aws-marketplace",
    "entitlement.marketplace": "aws-marketplace",
    "metering.marketplace": "aws-marketplace",
    "mturk-requester": "mechanicalturk",
    "migrationhub": "mgh",
    "cloudhsmv2": "cloudhsm",
    "runtime.lex": "lex",
    "models.lex": "lex",
    "api.ecr": "ecr",
    "runtime.sagemaker": "sagemaker",
    "data.iot": "iot",
    "billingconsole": "aws-portal",
}

_PARTIQL = "PartiQLSelect PartiQLInsert PartiQLUpdate PartiQLDelete"  # the statement determines which of them

# operation to actions, by prefix; all of them must be allowed
_RENAMED: dict[str, dict[str, str]] = {
    "s3": {
        "CompleteMultipartUpload": "PutObject",
        "CopyObject": "PutObject",
        "CreateMultipartUpload": "PutObject",
        "InitiateMultipartUpload": "PutObject",
        "DeleteAccountPublicAccessBlock": "PutAccountPublicAccessBlock",
        "DeleteBucketAnalyticsConfiguration": "PutAnalyticsConfiguration",
        "DeleteBucketCors": "PutBucketCORS",
        "DeleteBucketEncryption": "PutEncryptionConfiguration",
        "DeleteBucketIntelligentTieringConfiguration": "PutIntelligentTieringConfiguration",
        "DeleteBucketInventoryConfiguration": "PutInventoryConfiguration",
        "DeleteBucketLifecycle": "PutLifecycleConfiguration",
        "DeleteBucketMetricsConfiguration": "PutMetricsConfiguration",
        "DeleteBucketOwnershipControls": "PutBucketOwnershipControls",
        "DeleteBucketPublicAccessBlock": "PutBucketPublicAccessBlock",
        "DeleteBucketReplication": "PutReplicationConfiguration",
        "DeleteBucketTagging": "PutBucketTagging",
        "DeleteMultipleObjects": "DeleteObject",
        "DeleteObjects": "DeleteObject",
        "DeletePublicAccessBlock": "PutBucketPublicAccessBlock",
        "GetBucketAccelerateConfiguration": "GetAccelerateConfiguration",
        "GetBucketAnalyticsConfiguration": "GetAnalyticsConfiguration",
        "GetBucketEncryption": "GetEncryptionConfiguration",
        "GetBucketIntelligentTieringConfiguration": "GetIntelligentTieringConfiguration",
        "GetBucketInventoryConfiguration": "GetInventoryConfiguration",
        "GetBucketLifecycle": "GetLifecycleConfiguration",
        "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration",
        "GetBucketMetricsConfiguration": "GetMetricsConfiguration",
        "GetBucketNotificationConfiguration": "GetBucketNotification",
        "GetBucketReplication": "GetReplicationConfiguration",
        "GetObjectLockConfiguration": "GetBucketObjectLockConfiguration",
        "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
        "HeadBucket": "ListBucket",
        "HeadObject": "GetObject",
        "ListBucketAnalyticsConfigurations": "GetAnalyticsConfiguration",
        "ListBucketIntelligentTieringConfigurations": "GetIntelligentTieringConfiguration",
        "ListBucketInventoryConfigurations": "GetInventoryConfiguration",
        "ListBucketMetricsConfigurations": "GetMetricsConfiguration",
        "ListBuckets": "ListAllMyBuckets",
        "ListMultipartUploads": "ListBucketMultipartUploads",
        "ListObjectVersions": "ListBucketVersions",
        "ListObjects": "ListBucket",
        "ListObjectsV2": "ListBucket",
        "ListParts": "ListMultipartUploadParts",
        "PostObject": "PutObject",
        "PutBucketAccelerateConfiguration": "PutAccelerateConfiguration",
        "PutBucketAnalyticsConfiguration": "PutAnalyticsConfiguration",
        "PutBucketEncryption": "PutEncryptionConfiguration",
        "PutBucketIntelligentTieringConfiguration": "PutIntelligentTieringConfiguration",
        "PutBucketInventoryConfiguration": "PutInventoryConfiguration",
        "PutBucketLifecycle": "PutLifecycleConfiguration",
        "PutBucketLifecycleConfiguration": "PutLifecycleConfiguration",
        "PutBucketMetricsConfiguration": "PutMetricsConfiguration",
        "PutBucketNotificationConfiguration": "PutBucketNotification",
        "PutBucketReplication": "PutReplicationConfiguration",
        "PutObjectLockConfiguration": "PutBucketObjectLockConfiguration",
        "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
        "SelectObjectContent": "GetObject",
        "UploadPart": "PutObject",
        "UploadPartCopy": "PutObject",
    },
    "lambda": {"Invoke": "InvokeFunction", "InvokeWithResponseStream": "InvokeFunction"},
    "bedrock": {"Converse": "InvokeModel", "ConverseStream": "InvokeModelWithResponseStream"},
    "kms": {"ReEncrypt": "ReEncryptFrom ReEncryptTo"},
    "dynamodb": {
        "TransactGetItems": "GetItem",
        "TransactWriteItems": "PutItem UpdateItem DeleteItem ConditionCheckItem",
        "ExecuteStatement": _PARTIQL,
        "BatchExecuteStatement": _PARTIQL,
        "ExecuteTransaction": _PARTIQL,
    },
    "sqs": {
        "ChangeMessageVisibilityBatch": "ChangeMessageVisibility",
        "DeleteMessageBatch": "DeleteMessage",
        "SendMessageBatch": "SendMessage",
    },
    "sns": {"PublishBatch": "Publish"},
}

# object versions have separate actions (S3 User Guide, "actions for versioned buckets")
VERSIONED = {
    "s3:GetObject": "s3:GetObjectVersion",
    "s3:GetObjectAcl": "s3:GetObjectVersionAcl",
    "s3:GetObjectTagging": "s3:GetObjectVersionTagging",
    "s3:GetObjectAttributes": "s3:GetObjectVersionAttributes",
    "s3:DeleteObject": "s3:DeleteObjectVersion",
    "s3:DeleteObjectTagging": "s3:DeleteObjectVersionTagging",
    "s3:PutObjectAcl": "s3:PutObjectVersionAcl",
    "s3:PutObjectTagging": "s3:PutObjectVersionTagging",
}

_CALLS = frozenset(("", "AwsApiCall", "AwsConsoleAction"))  # other event types are not evaluated against policies
_DOMAIN = re.compile(r"\.(?:amazonaws\.com(?:\.cn)?|aws\.internal|c2s\.ic\.gov)$")
_DATE = re.compile(r"(?:20\d{6}|20\d\d_\d\d_\d\d)(?:v\d+)?$")  # Lambda and CloudFront name the version of their API


@lru_cache(maxsize=65536)
def actions_of_event(source: str, name: str, kind: str = "AwsApiCall") -> tuple[Action, ...]:
    """Return the actions of a call from `eventSource`, `eventName` and `eventType`; empty if no policy is evaluated."""
    if kind not in _CALLS:
        return ()
    service = _DOMAIN.sub("", source)
    prefix = _PREFIXES.get(service, service)
    known = actions_of(prefix)
    for spelled in (name, _DATE.sub("", name)):
        renamed = _RENAMED.get(prefix, {}).get(spelled, spelled)
        if prefix == "apigateway" and spelled.lower() not in known:
            renamed = rest_method(spelled)
        found = [known.get(part.lower()) for part in renamed.split()]
        if found and all(found):
            return tuple(action for action in found if action is not None)
    return ()


def renames() -> list[tuple[str, str]]:
    """Return each prefix and action name in the tables. For tests."""
    named = [(prefix, part) for prefix, table in _RENAMED.items() for names in table.values() for part in names.split()]
    named += [(prefix, "") for prefix in _PREFIXES.values()]
    return named + [("s3", name.partition(":")[2]) for pair in VERSIONED.items() for name in pair]
