"""Operations whose requests do not follow from their name: several keys, tables or statements in one call.

Parameters are read in the form of CloudTrail (`bucketName`, `delete`) and of SDKs (`Bucket`, `Delete`). Sources: the pages of the
API references, and the "actions" pages of the services in AWS's service authorization reference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastiam.aws_data.rest_paths import rest_method
from fastiam.sources.sdk_calls import data_operations, resource_operations
from fastiam.sources.sdk_calls.data_operations import Reader
from fastiam.sources.sdk_calls.parameter_arns import function_arn, member, queue_arn, table_arn
from fastiam.sources.sdk_calls.resource_operations import rest_call_of, tags_of

if TYPE_CHECKING:
    from fastiam.sources.sdk_calls.arn_templates import Names, RequestOrigin


def reader_of(prefix: str, operation: str) -> Reader | None:
    """Return what reads the requests of an operation from its parameters, None for operations that follow the rule.

    An empty list of the reader: the parameters cannot be read.
    """
    if prefix == "apigateway" and rest_method(operation):
        return rest_call_of(operation)
    if prefix == "ec2" and operation in ("CreateTags", "DeleteTags"):
        return tags_of(f"ec2:{operation}")
    return data_operations.READERS.get((prefix, operation)) or resource_operations.READERS.get((prefix, operation))


def add_arns(prefix: str, names: Names, parameters: Any, origin: RequestOrigin) -> None:
    """Add the ARNs that parameters determine together: account and name of a queue URL, qualifiers, tables with an index."""
    if prefix == "sqs" and "queueurl" in names:
        names.setdefault("", []).extend(arn for url in names["queueurl"] if (arn := queue_arn(url, origin)))
    elif prefix == "lambda" and "functionname" in names:
        qualifier = names.get("qualifier", [""])[0]
        if len(names["functionname"]) == 1:
            arn = function_arn(names["functionname"][0], qualifier, origin)
            names[""] = [each for each in names.get("", ()) if ":function:" not in each] + [arn]
    elif prefix == "ec2" and "groups" in names:
        names.setdefault("groupid", []).extend(group for group in names["groups"] if group.startswith("sg-"))
    elif prefix == "autoscaling" and "autoscalinggroupname" not in names:  # tags name their group
        tags = member(parameters, "tags")
        groups = [member(tag, "resourceId") for tag in tags] if isinstance(tags, list) else []
        if found := [group for group in groups if isinstance(group, str)]:
            names["autoscalinggroupname"] = list(dict.fromkeys(found))
    elif prefix == "dynamodb" and "tablename" in names:
        tables = [table_arn(name, origin) for name in names["tablename"]]
        indexes = names.get("indexname", ()) if len(tables) == 1 else ()
        names.setdefault("", []).extend([f"{tables[0]}/index/{index}" for index in indexes] or tables)
