"""How many operations of AWS's SDKs map to requests with a full ARN: `python tests/tools/sdk_operations.py [--list]`.

Each operation gets its required parameters, made from botocore's models, and one that names a resource. `--list` prints the
operations without an action, those with a pattern, and those whose resource stays unknown.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import botocore.session

from fastiam.sources.sdk_calls.arn_templates import RequestOrigin
from fastiam.sources.sdk_calls.call_requests import operation_of
from fastiam.sources.sdk_calls.event_actions import actions_of_event

A, REGION = "111111111111", "eu-west-1"
ORIGIN = RequestOrigin("aws", REGION, A, f"arn:aws:iam::{A}:user/ana")
TWELVE = "s3 iam sts lambda dynamodb sqs sns kms secretsmanager stepfunctions ecr cognito-idp".split()
THIRTY = (
    TWELVE
    + "ec2 ssm logs cloudwatch events ecs eks rds cloudformation apigateway route53 elbv2 autoscaling kinesis"
    " firehose glue athena sagemaker".split()
)
KINDS = ("no action", "no resource type", "full ARN", "created", "pattern", "unknown")
_CREATES = re.compile("Create|Run|Allocate|Register|Copy|Import|Export|Request|Purchase|Start|Associate").match
_TEXTS = {  # parameters whose form matters
    "queueurl": f"https://sqs.{REGION}.amazonaws.com/{A}/q",
    "copysource": "b/k",
    "statement": 'SELECT * FROM "t"',
    "secretid": "db",
    "keyid": "11111111-2222-3333-4444-555555555555",
    "aliasname": "alias/x1",
    "groups": "sg-1",
    "resources": "i-1",
    "target": "i-1",
    "taskdefinition": "f:1",
    "taskdefinitions": "f:1",
    "url": "https://example.com",
}
_STRUCTURES = {  # structures with alternatives
    "SchemaId": {"SchemaName": "x1", "RegistryName": "x1"},
    "RegistryId": {"RegistryName": "x1"},
}
_NAMES_RESOURCE = re.compile(r"(Names?|Ids?|Identifiers?|Arns?|ARNs?|Url)$").search
_NAMES_OTHER = re.compile(r"token|kms|role|marker|request|vpc|account|owner", re.I).search
_TAKES_ARN = re.compile(r"\(ARN\)|Amazon Resource Name|<code>arn:")
_TAKES_NAME = re.compile(r"(name|ID|id|identifier|alias)(</code>)? or |or (the )?(\w+ )?(name|ID|id|alias)\b|, or ", re.I)


def parameters_of(shape: Any, arn: str, name: str = "", depth: int = 0) -> Any:
    """Return a value with the required members of a shape, and the first member that names a resource if none of them does."""
    kind = shape.type_name
    if kind == "structure":
        if name in _STRUCTURES:
            return _STRUCTURES[name]
        wanted = list(shape.required_members)
        if depth == 0 and not any(_names_resource(shape, each) for each in wanted):
            wanted += [each for each in shape.members if _names_resource(shape, each)][:1]
        return {each: parameters_of(shape.members[each], arn, each, depth + 1) for each in wanted if depth < 6}
    if kind == "list":
        return [parameters_of(shape.member, arn, name, depth + 1)] if depth < 6 else []
    if kind == "map":
        return {"x": parameters_of(shape.value, arn, name, depth + 1)} if depth < 6 else {}
    if kind == "string":
        lower = name.lower()
        if getattr(shape, "enum", None):
            return shape.enum[0]
        about = shape.documentation or ""
        is_arn = lower.endswith(("arn", "arns", "arnlist")) or (_TAKES_ARN.search(about) and not _TAKES_NAME.search(about))
        if is_arn or lower == "serialnumber":
            return f"arn:aws:iam::{A}:role/x1" if "role" in lower else arn
        return _TEXTS.get(lower, "x1")
    if kind == "timestamp":
        return datetime(2026, 1, 1, tzinfo=UTC)
    return {"boolean": True, "blob": b"x", "float": 1.0, "double": 1.0}.get(kind, 1)


def _names_resource(shape: Any, member: str) -> bool:
    if member in _STRUCTURES:
        return True
    found = shape.members[member]
    of_texts = found.type_name == "string" or (found.type_name == "list" and found.member.type_name == "string")
    return of_texts and bool(_NAMES_RESOURCE(member)) and not _NAMES_OTHER(member)


def arn_of(service: Any, operation: str) -> str:
    """Return the ARN of a resource of the first required type of an operation's action, else of its first type."""
    types = sorted(_types_of(service, operation), key=lambda kind: not kind.required)
    template = types[0].arn if types else "arn:${Partition}:service:${Region}:${Account}:thing/x1"
    place = {"Partition": "aws", "Region": REGION, "Account": A}
    return re.sub(r"\$\{(\w+)\}", lambda match: place.get(match[1], "x1"), template)


def _types_of(service: Any, operation: str) -> list[Any]:
    actions = actions_of_event(service.endpoint_prefix, operation) or actions_of_event(service.signing_name, operation)
    return [kind for action in actions for kind in action.types]


def kind_of(service: Any, operation: str, model: Any) -> str:
    """Return what the call of an operation becomes."""
    mapped = operation_of(service.endpoint_prefix, service.signing_name, operation)
    shape = model.input_shape
    parameters = parameters_of(shape, arn_of(service, operation)) if shape is not None else {}
    found = mapped.requests(parameters, ORIGIN, shape)
    own = [each for each in found if each.action != "iam:PassRole"]
    if not own:
        return "no action"
    if any(each.resource is None for each in own):
        return "unknown"
    resources = {each.resource for each in own}
    if resources == {"*"}:
        # `*` of an action that has types is a guess, if the call names something
        is_right = not _types_of(service, operation) or not any(map(_NAMES_RESOURCE, parameters))
        return "no resource type" if is_right else "unknown"
    if any("*" in str(resource).removesuffix(":*") for resource in resources):
        return "created" if _CREATES(operation) else "pattern"  # a resource that a call creates has no id yet
    return "full ARN"


def kinds(names: list[str]) -> Iterator[tuple[str, str, str]]:
    """Yield service, operation and kind."""
    loader = botocore.session.Session()
    for name in names:
        service = loader.get_service_model(name)
        for operation in service.operation_names:
            yield name, operation, kind_of(service, operation, service.operation_model(operation))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--list", action="store_true")
    given = options.parse_args()
    rows = list(kinds(THIRTY))
    for title, names in (("30 services", THIRTY), ("12 of them", TWELVE)):
        counts = Counter(kind for service, _, kind in rows if service in names)
        total = sum(counts.values())
        shares = ", ".join(f"{counts[kind]} {kind}" for kind in KINDS)
        named = total - counts["no action"]
        exact = counts["full ARN"] + counts["no resource type"]
        right = exact + counts["created"]
        print(f"{title}: {total} operations: {shares}")
        print(
            f"  {100 * named / total:.1f} % have an action, {100 * exact / total:.1f} % of all a full ARN or rightly `*`,"
            f" {100 * right / total:.1f} % with the patterns of created resources"
        )
    if given.list:
        for service, operation, kind in rows:
            if kind in ("no action", "pattern", "unknown"):
                print(f"{service}:{operation} {kind}")


if __name__ == "__main__":
    main()
