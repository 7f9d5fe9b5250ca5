"""Operations whose requests do not follow from their name: several keys, tables or statements in one call.

Parameters are read in the form of CloudTrail (`bucketName`, `delete`) and of SDKs (`Bucket`, `Delete`). Sources: the pages of the
API references, and the "actions" pages of the services in AWS's service authorization reference.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from fastiam.aws_data.catalog import actions_of
from fastiam.aws_data.rest_paths import rest_method, rest_paths
from fastiam.sources.sdk_calls.arn_templates import ec2_type
from fastiam.sources.sdk_calls.event_actions import actions_of_event

if TYPE_CHECKING:
    from fastiam.sources.sdk_calls.arn_templates import Names, RequestOrigin

Need = tuple[str, str | None]  # an action and its resource; None if the parameters do not determine the resource
Reader = Callable[[Mapping[str, Any], "RequestOrigin"], "list[Need]"]

_ACCOUNT = re.compile(r"\d{12}").fullmatch
_FUNCTION = re.compile(r"(?:(\d{12}):)?(?:function:)?(.+)").fullmatch
_ACCESS_POINT = re.compile(r"arn:[\w-]+:s3:[\w-]+:\d{12}:accesspoint[/:]([\w-]+)").fullmatch
# names that stand for something else: aliases of access points, directory buckets
_OTHER_BUCKETS = ("-s3alias", "--ol-s3", "--x-s3", "--xa-s3", "--op-s3")
_PATH_VARIABLE = re.compile(r"\{(\w+)\}")
_RULES = "DeleteRule DescribeRule DisableRule EnableRule ListTargetsByRule PutRule PutTargets RemoveTargets".split()
# inference profiles across Regions begin with a geography, models with their provider
_GEOGRAPHY = re.compile(r"[a-z]{2}|us-gov|apac|global").fullmatch
_TRANSACTIONS = {
    "put": "dynamodb:PutItem",
    "update": "dynamodb:UpdateItem",
    "delete": "dynamodb:DeleteItem",
    "conditionCheck": "dynamodb:ConditionCheckItem",
    "get": "dynamodb:GetItem",
}
_LOAD_BALANCERS = {"application": "app", "network": "net", "gateway": "gwy"}
_TABLE = r"""(?:"(?P<table>[\w.-]+)"|(?P<plain>[\w-]+))(?:\."(?P<index>[\w.-]+)")?(?=\s|$)"""
_PARTIQL = (
    ("dynamodb:PartiQLSelect", re.compile(r"\s*SELECT\s+(?:\"[^\"\s]+\"|[\w*.,\[\]\s])+?\s+FROM\s+" + _TABLE, re.I)),
    ("dynamodb:PartiQLInsert", re.compile(r"\s*INSERT\s+INTO\s+" + _TABLE, re.I)),
    ("dynamodb:PartiQLUpdate", re.compile(r"\s*UPDATE\s+" + _TABLE, re.I)),
    ("dynamodb:PartiQLDelete", re.compile(r"\s*DELETE\s+FROM\s+" + _TABLE, re.I)),
)


def reader_of(prefix: str, operation: str) -> Reader | None:
    """Return what reads the requests of an operation from its parameters, None for operations that follow the rule.

    An empty list of the reader: the parameters cannot be read.
    """
    if prefix == "apigateway" and rest_method(operation):
        return _rest_call_of(operation)
    if prefix == "ec2" and operation in ("CreateTags", "DeleteTags"):
        return _tags_of(f"ec2:{operation}")
    return _READERS.get((prefix, operation))


def member(parameters: Any, *names: str) -> Any:
    """Return the first parameter with one of these names in lower camel case, or in that of SDKs."""
    if isinstance(parameters, Mapping):
        for name in names:
            for spelled in (name, name[0].upper() + name[1:]):
                if parameters.get(spelled) is not None:
                    return parameters[spelled]
    return None


def add_arns(prefix: str, names: Names, origin: RequestOrigin) -> None:
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
    elif prefix == "dynamodb" and "tablename" in names:
        tables = [table_arn(name, origin) for name in names["tablename"]]
        indexes = names.get("indexname", ()) if len(tables) == 1 else ()
        names.setdefault("", []).extend([f"{tables[0]}/index/{index}" for index in indexes] or tables)


def queue_arn(url: str, origin: RequestOrigin) -> str | None:
    """Return the ARN of a queue from its URL; its path has the account. None if it has no account."""
    parts = urlsplit(url).path.strip("/").split("/")
    if len(parts) < 2 or not _ACCOUNT(parts[-2]):
        return None
    return f"arn:{origin.partition}:sqs:{origin.region}:{parts[-2]}:{parts[-1]}"


def function_arn(name: str, qualifier: str, origin: RequestOrigin) -> str:
    """Return the ARN of a function from its name, `name:qualifier`, partial ARN or ARN, and the parameter `Qualifier`."""
    if name.startswith("arn:"):
        arn = name
    else:
        partial = _FUNCTION(name)
        account, rest = (partial[1] or origin.account, partial[2]) if partial else (origin.account, name)
        arn = f"arn:{origin.partition}:lambda:{origin.region}:{account}:function:{rest}"
    return f"{arn}:{qualifier}" if qualifier and arn.count(":") == 6 else arn


def table_arn(name: str, origin: RequestOrigin) -> str:
    """Return the ARN of a table from its name or ARN."""
    if name.startswith("arn:"):
        return name
    return f"arn:{origin.partition}:dynamodb:{origin.region}:{origin.account}:table/{name}"


def bucket_arn(bucket: str, origin: RequestOrigin) -> str | None:
    """Return the ARN of a bucket from its name, or of an access point in place of one; None if it stands for another."""
    if bucket.startswith("arn:"):
        return bucket.replace(":accesspoint:", ":accesspoint/") if _ACCESS_POINT(bucket) else None
    return None if not bucket or bucket.endswith(_OTHER_BUCKETS) else f"arn:{origin.partition}:s3:::{bucket}"


def object_arn(bucket: str, key: str, origin: RequestOrigin) -> str | None:
    """Return the ARN of an object; None if the bucket stands for another one."""
    arn = bucket_arn(bucket, origin)
    if arn is None or not key:
        return None
    return f"{arn}/object/{key}" if ":accesspoint/" in arn else f"{arn}/{key}"


def objects_to_delete(parameters: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the entries of `DeleteObjects`, each with a key and perhaps a version."""
    found = member(member(parameters, "delete"), "objects", "object")
    found = found if isinstance(found, list) else [found] if isinstance(found, Mapping) else []
    return [entry for entry in found if isinstance(entry, Mapping)]


def delete_request(bucket: str, entry: Mapping[str, Any], origin: RequestOrigin) -> Need:
    """Return the request of one entry of `DeleteObjects`: an entry with a version needs another action."""
    action = "s3:DeleteObjectVersion" if member(entry, "versionId") else "s3:DeleteObject"
    return action, object_arn(bucket, str(member(entry, "key") or ""), origin)


def _delete_objects(parameters: Mapping[str, Any], origin: RequestOrigin) -> list[Need]:
    bucket = str(member(parameters, "bucketName", "bucket") or "")
    return [delete_request(bucket, entry, origin) for entry in objects_to_delete(parameters)]


def _tables_of(action: str) -> Reader:
    def read(parameters: Mapping[str, Any], origin: RequestOrigin) -> list[Need]:
        tables = member(parameters, "requestItems")
        return [(action, table_arn(str(name), origin)) for name in tables] if isinstance(tables, Mapping) else []

    return read


def _transaction(parameters: Mapping[str, Any], origin: RequestOrigin) -> list[Need]:
    items = member(parameters, "transactItems")
    found: list[Need] = []
    for item in items if isinstance(items, list) else ():
        entries = [(action, entry) for name, action in _TRANSACTIONS.items() if (entry := member(item, name)) is not None]
        if not entries:
            return []
        for action, entry in entries:
            name = member(entry, "tableName")
            found.append((action, table_arn(name, origin) if isinstance(name, str) else None))
    return found


def _statements(parameters: Mapping[str, Any]) -> Iterator[Any]:
    several = member(parameters, "statements", "transactStatements")
    for entry in several if isinstance(several, list) else [parameters]:
        yield member(entry, "statement")


def _partiql(parameters: Mapping[str, Any], origin: RequestOrigin) -> list[Need]:
    found: list[Need] = []
    for text in _statements(parameters):
        read = next(
            ((action, match) for action, pattern in _PARTIQL if isinstance(text, str) and (match := pattern.match(text))), None
        )
        if read is None:
            return []
        action, match = read
        table = table_arn(match["table"] or match["plain"], origin)
        found.append((action, f"{table}/index/{match['index']}" if match["index"] else table))
    return found


def _re_encrypt(parameters: Mapping[str, Any], origin: RequestOrigin) -> list[Need]:
    source, destination = member(parameters, "sourceKeyId"), member(parameters, "destinationKeyId")
    return [("kms:ReEncryptFrom", key_arn(source, origin)), ("kms:ReEncryptTo", key_arn(destination, origin))]


def key_arn(key: Any, origin: RequestOrigin) -> str | None:
    """Return the ARN of a key from its id or ARN; None for an alias, whose key only KMS knows."""
    if not isinstance(key, str) or not key or "alias/" in key:
        return None
    return key if key.startswith("arn:") else f"arn:{origin.partition}:kms:{origin.region}:{origin.account}:key/{key}"


def _publish(parameters: Mapping[str, Any], origin: RequestOrigin) -> list[Need]:
    target = member(parameters, "topicArn", "targetArn")
    if isinstance(target, str):
        return [("sns:Publish", target)]
    return [("sns:Publish", "*")] if member(parameters, "phoneNumber") is not None else []


def _batch_get_secrets(parameters: Mapping[str, Any], origin: RequestOrigin) -> list[Need]:
    ids = member(parameters, "secretIdList")
    secrets = [_secret_arn(str(id_), origin) for id_ in ids] if isinstance(ids, list) and ids else [None]
    read: list[Need] = [("secretsmanager:GetSecretValue", secret) for secret in secrets]
    return [("secretsmanager:BatchGetSecretValue", "*"), *read]


def _parameters_by_path(parameters: Mapping[str, Any], origin: RequestOrigin) -> list[Need]:
    """The resource is the path as given, with the slash at its end (Systems Manager User Guide, "restrict access")."""
    path = member(parameters, "path")
    if not isinstance(path, str):
        return [("ssm:GetParametersByPath", None)]
    resource = f"arn:{origin.partition}:ssm:{origin.region}:{origin.account}:parameter/{path.removeprefix('/')}"
    return [("ssm:GetParametersByPath", resource)]


def _task_of(action: str) -> Reader:
    """Task definitions by family and revision, or by ARN; of a family alone, the call does not contain the revision."""

    def read(parameters: Mapping[str, Any], origin: RequestOrigin) -> list[Need]:
        given = member(parameters, "taskDefinition", "taskDefinitions")
        found: list[Need] = []
        for task in given if isinstance(given, list) and given else [given]:
            if not isinstance(task, str) or ":" not in task.rpartition("/")[2]:
                found.append((action, None))
            else:
                arn = task if task.startswith("arn:") else f"{_place('ecs', origin)}:task-definition/{task}"
                found.append((action, arn))
        return found

    return read


def _model_of(action: str) -> Reader:
    """The requests of an operation of Bedrock that invokes a model.

    An inference profile needs the models behind it as well, which the call does not contain; a guardrail has its own action.
    """

    def read(parameters: Mapping[str, Any], origin: RequestOrigin) -> list[Need]:
        needs: list[Need] = [(action, arn) for arn in _model_arns(member(parameters, "modelId"), origin)]
        guardrail = member(parameters, "guardrailIdentifier") or member(
            member(parameters, "guardrailConfig"), "guardrailIdentifier"
        )
        if isinstance(guardrail, str) and guardrail:
            place = f"arn:{origin.partition}:bedrock:{origin.region}:{origin.account}"
            arn = guardrail if guardrail.startswith("arn:") else f"{place}:guardrail/{guardrail}"
            needs.append(("bedrock:ApplyGuardrail", arn))
        return needs

    return read


def _model_arns(model: Any, origin: RequestOrigin) -> list[str | None]:
    """Return the ARNs of a model from its id or ARN; None for what the id does not determine."""
    if not isinstance(model, str) or not model:
        return [None]
    if model.startswith("arn:"):
        kind = model.split(":", 5)[-1].partition("/")[0]
        return [None] if kind == "prompt" else [model, None] if kind.endswith("inference-profile") else [model]
    provider, dot, _ = model.partition(".")
    if not dot:
        return [None]  # the id of a provisioned, custom or imported model
    if _GEOGRAPHY(provider):
        return [f"arn:{origin.partition}:bedrock:{origin.region}:{origin.account}:inference-profile/{model}", None]
    return [f"arn:{origin.partition}:bedrock:{origin.region}::foundation-model/{model}"]


def _rest_call_of(operation: str) -> Reader:
    """The resource of a call of API Gateway is its path, the same for both versions of the API.

    Private domain names have an id and an account in their ARN, which the path does not contain.
    """
    paths = rest_paths(operation)

    def read(parameters: Mapping[str, Any], origin: RequestOrigin) -> list[Need]:
        given = {name.lower(): value for name, value in parameters.items() if isinstance(value, str) and value}
        values = {name: quote(value, safe="") if "arn" in name else value for name, value in given.items()}
        found: dict[str, None] = {}
        for path in paths:
            if all(name.lower() in given for name in _PATH_VARIABLE.findall(path)):
                found[_PATH_VARIABLE.sub(lambda match: values[match[1].lower()], path)] = None
        is_private = "domainnameid" in given or any(path.startswith("/domainnameaccessassociations") for path in found)
        arns = [f"arn:{origin.partition}:apigateway:{origin.region}::{path}" for path in found]
        (action,) = actions_of_event("apigateway", operation)
        return [(action.name, arns[0] if len(arns) == 1 and not is_private else None)]

    return read


def _rule_of(action: str) -> Reader:
    """A rule of EventBridge is below its event bus, except for one of the default bus."""

    def read(parameters: Mapping[str, Any], origin: RequestOrigin) -> list[Need]:
        rule, bus = member(parameters, "name", "rule"), member(parameters, "eventBusName") or "default"
        if not isinstance(rule, str) or not isinstance(bus, str):
            return [(action, None)]
        place = bus.rpartition(":event-bus/")[0] if bus.startswith("arn:") else _place("events", origin)
        name = bus.rpartition("/")[2] if bus.startswith("arn:") else bus
        return [(action, f"{place}:rule/{rule}" if name == "default" else f"{place}:rule/{name}/{rule}")]

    return read


def _put_events(parameters: Mapping[str, Any], origin: RequestOrigin) -> list[Need]:
    entries = member(parameters, "entries")
    found = []
    for entry in entries if isinstance(entries, list) else ():
        bus = member(entry, "eventBusName") or "default"
        found.append(bus if str(bus).startswith("arn:") else f"{_place('events', origin)}:event-bus/{bus}")
    return [("events:PutEvents", bus) for bus in found] or [("events:PutEvents", None)]


def _tags_of(action: str) -> Reader:
    """The resources of EC2 that get or lose tags, by the prefixes of their ids."""
    forms = {kind.name: kind.arn for kind in actions_of("ec2")[action.partition(":")[2].lower()].types}

    def read(parameters: Mapping[str, Any], origin: RequestOrigin) -> list[Need]:
        ids = member(parameters, "resources", "resourcesSet")
        if isinstance(ids, Mapping):  # in a log
            items = member(ids, "items")
            ids = [member(item, "resourceId") for item in items] if isinstance(items, list) else None
        found: list[Need] = []
        for id_ in ids if isinstance(ids, list) and ids else [None]:
            form = forms.get(ec2_type(id_)) if isinstance(id_, str) else None
            found.append((action, _filled(form, str(id_), origin) if form else None))
        return found

    return read


def _filled(form: str, id_: str, origin: RequestOrigin) -> str:
    place = {"Partition": origin.partition, "Region": origin.region, "Account": origin.account}
    return re.sub(r"\$\{(\w+)\}", lambda match: place.get(match[1], id_), form)


def _place(service: str, origin: RequestOrigin) -> str:
    return f"arn:{origin.partition}:{service}:{origin.region}:{origin.account}"


def _assume_root(parameters: Mapping[str, Any], origin: RequestOrigin) -> list[Need]:
    """The member account as an id or as the ARN of its root user."""
    target = member(parameters, "targetPrincipal")
    if not isinstance(target, str):
        return [("sts:AssumeRoot", None)]
    return [("sts:AssumeRoot", f"arn:{origin.partition}:iam::{target}:root" if _ACCOUNT(target) else target)]


def _open_id_provider(parameters: Mapping[str, Any], origin: RequestOrigin) -> list[Need]:
    """The name of a provider is its URL without the scheme."""
    url = member(parameters, "url")
    if not isinstance(url, str):
        return [("iam:CreateOpenIDConnectProvider", None)]
    name = url.removeprefix("https://")
    return [("iam:CreateOpenIDConnectProvider", f"arn:{origin.partition}:iam::{origin.account}:oidc-provider/{name}")]


def _create_linked_role(parameters: Mapping[str, Any], origin: RequestOrigin) -> list[Need]:
    """The role is below the path of its service; its name is that which the service chooses."""
    service = member(parameters, "aWSServiceName")
    place = f"arn:{origin.partition}:iam::{origin.account}:role/aws-service-role"
    return [("iam:CreateServiceLinkedRole", f"{place}/{service}/*" if isinstance(service, str) else None)]


def _create_load_balancer(parameters: Mapping[str, Any], origin: RequestOrigin) -> list[Need]:
    """A load balancer of the second version has its type in its ARN, and `Name` in place of `LoadBalancerName`."""
    classic, name = member(parameters, "loadBalancerName"), member(parameters, "name")
    kind = _LOAD_BALANCERS.get(str(member(parameters, "type") or "application"))
    place = f"{_place('elasticloadbalancing', origin)}:loadbalancer"
    resource = f"{place}/{classic}" if isinstance(classic, str) else None
    if isinstance(name, str) and kind:
        resource = f"{place}/{kind}/{name}/*"
    return [("elasticloadbalancing:CreateLoadBalancer", resource)]


def _renamed(action: str, kind: str, *names: str) -> Reader:
    """What gets a new name or path, and what it is called then: IAM asks for both (API reference)."""

    def read(parameters: Mapping[str, Any], origin: RequestOrigin) -> list[Need]:
        place = f"arn:{origin.partition}:iam::{origin.account}:{kind}"
        name, new_name, new_path = (member(parameters, each) for each in (*names, "newPath"))
        if not isinstance(name, str):
            return [(action, None)]
        path = str(new_path or "/").removeprefix("/")
        is_new = new_name is not None or new_path is not None
        return [(action, f"{place}/{name}"), *([(action, f"{place}/{path}{new_name or name}")] if is_new else [])]

    return read


def _copied_snapshot(action: str, kind: str, *names: str) -> Reader:
    def read(parameters: Mapping[str, Any], origin: RequestOrigin) -> list[Need]:
        given = [member(parameters, name) for name in names]
        place, group = _place("rds", origin), member(parameters, "optionGroupName")
        found = [each if str(each).startswith("arn:") else f"{place}:{kind}:{each}" if each else None for each in given]
        return [(action, each) for each in (*found, *([f"{place}:og:{group}"] if group else ()))]

    return read


def _import_table(parameters: Mapping[str, Any], origin: RequestOrigin) -> list[Need]:
    name = member(member(parameters, "tableCreationParameters"), "tableName")
    return [("dynamodb:ImportTable", table_arn(name, origin) if isinstance(name, str) else None)]


def _restore_backup(parameters: Mapping[str, Any], origin: RequestOrigin) -> list[Need]:
    backup, table = member(parameters, "backupArn"), member(parameters, "targetTableName")
    given = [backup if isinstance(backup, str) else None, table_arn(table, origin) if isinstance(table, str) else None]
    return [("dynamodb:RestoreTableFromBackup", resource) for resource in given]


def _send_command(parameters: Mapping[str, Any], origin: RequestOrigin) -> list[Need]:
    """The document, and the instances by id, or all of them: the call contains no ids where targets are tags."""
    document = member(parameters, "documentName")
    if isinstance(document, str) and not document.startswith("arn:"):
        document = f"{_place('ssm', origin)}:document/{document}"
    targets = member(parameters, "targets")
    ids = list(found) if isinstance(found := member(parameters, "instanceIds"), list) else []
    for target in targets if isinstance(targets, list) else ():
        values = member(target, "values")
        is_of_ids = member(target, "key") == "InstanceIds" and isinstance(values, list) and values
        ids += values if is_of_ids else ["*"]
    found = [
        f"{_place('ssm', origin)}:managed-instance/{id_}"
        if str(id_).startswith("mi-")
        else f"{_place('ec2', origin)}:instance/{id_}"
        for id_ in ids
    ]
    return [("ssm:SendCommand", each) for each in (document if isinstance(document, str) else None, *(found or [None]))]


def _parameters_named(action: str) -> Reader:
    """Parameters of Systems Manager by name or ARN. The version or label behind a colon is not a part of the ARN."""

    def read(parameters: Mapping[str, Any], origin: RequestOrigin) -> list[Need]:
        given = member(parameters, "name", "names")
        found: list[Need] = []
        for text in given if isinstance(given, list) and given else [given]:
            if not isinstance(text, str) or not text:
                found.append((action, None))
                continue
            place, _, name = text.rpartition(":parameter/") if text.startswith("arn:") else (_place("ssm", origin), "", text)
            found.append((action, f"{place}:parameter/{name.removeprefix('/').partition(':')[0]}" if place else None))
        return found

    return read


def tagged_on_creation(parameters: Any, origin: RequestOrigin) -> Iterator[tuple[str, list[Mapping[str, Any]]]]:
    """Yield each resource that a call of EC2 creates with tags, as `ec2:CreateTags` has it, and its tags."""
    given = member(parameters, "tagSpecifications", "tagSpecification", "tagSpecificationSet")
    given = member(given, "items") if isinstance(given, Mapping) else given
    for entry in given if isinstance(given, list) else ():
        kind, tags = member(entry, "resourceType"), member(entry, "tags")
        if isinstance(kind, str) and tags:
            yield f"arn:{origin.partition}:ec2:{origin.region}:{origin.account}:{kind}/*", tags


def _secret_arn(secret: str, origin: RequestOrigin) -> str:
    if secret.startswith("arn:"):
        return secret
    return f"arn:{origin.partition}:secretsmanager:{origin.region}:{origin.account}:secret:{secret}"


_READERS: dict[tuple[str, str], Reader] = {
    ("s3", "DeleteObjects"): _delete_objects,
    ("s3", "DeleteMultipleObjects"): _delete_objects,
    ("dynamodb", "BatchGetItem"): _tables_of("dynamodb:BatchGetItem"),
    ("dynamodb", "BatchWriteItem"): _tables_of("dynamodb:BatchWriteItem"),
    ("dynamodb", "TransactGetItems"): _transaction,
    ("dynamodb", "TransactWriteItems"): _transaction,
    ("dynamodb", "ExecuteStatement"): _partiql,
    ("dynamodb", "BatchExecuteStatement"): _partiql,
    ("dynamodb", "ExecuteTransaction"): _partiql,
    ("kms", "ReEncrypt"): _re_encrypt,
    ("sns", "Publish"): _publish,
    ("secretsmanager", "BatchGetSecretValue"): _batch_get_secrets,
    ("elasticloadbalancing", "CreateLoadBalancer"): _create_load_balancer,
    ("iam", "UpdateUser"): _renamed("iam:UpdateUser", "user", "userName", "newUserName"),
    ("iam", "UpdateGroup"): _renamed("iam:UpdateGroup", "group", "groupName", "newGroupName"),
    ("rds", "CopyDBSnapshot"): _copied_snapshot(
        "rds:CopyDBSnapshot", "snapshot", "sourceDBSnapshotIdentifier", "targetDBSnapshotIdentifier"
    ),
    ("rds", "CopyDBClusterSnapshot"): _copied_snapshot(
        "rds:CopyDBClusterSnapshot", "cluster-snapshot", "sourceDBClusterSnapshotIdentifier", "targetDBClusterSnapshotIdentifier"
    ),
    ("dynamodb", "ImportTable"): _import_table,
    ("dynamodb", "RestoreTableFromBackup"): _restore_backup,
    ("ssm", "GetParametersByPath"): _parameters_by_path,
    ("ssm", "GetParameter"): _parameters_named("ssm:GetParameter"),
    ("ssm", "SendCommand"): _send_command,
    ("ssm", "GetParameters"): _parameters_named("ssm:GetParameters"),
    ("sts", "AssumeRoot"): _assume_root,
    ("iam", "CreateOpenIDConnectProvider"): _open_id_provider,
    ("iam", "CreateServiceLinkedRole"): _create_linked_role,
    ("events", "PutEvents"): _put_events,
    **{("events", name): _rule_of(f"events:{name}") for name in _RULES},
    ("ecs", "DeleteTaskDefinitions"): _task_of("ecs:DeleteTaskDefinitions"),
    ("ecs", "RunTask"): _task_of("ecs:RunTask"),
    ("ecs", "StartTask"): _task_of("ecs:StartTask"),
    ("bedrock", "InvokeModel"): _model_of("bedrock:InvokeModel"),
    ("bedrock", "Converse"): _model_of("bedrock:InvokeModel"),
    ("bedrock", "InvokeModelWithResponseStream"): _model_of("bedrock:InvokeModelWithResponseStream"),
    ("bedrock", "ConverseStream"): _model_of("bedrock:InvokeModelWithResponseStream"),
}
