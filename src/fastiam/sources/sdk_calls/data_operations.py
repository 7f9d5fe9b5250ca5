"""Operations on objects, items, messages, keys, secrets and parameters whose requests do not follow from their name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from fastiam.sources.sdk_calls.parameter_arns import key_arn, member, object_arn, place_of, secret_arn, table_arn

if TYPE_CHECKING:
    from fastiam.sources.sdk_calls.arn_templates import RequestOrigin

Need = tuple[str, str | None]  # an action and its resource; None if the parameters do not determine the resource
Reader = Callable[[Mapping[str, Any], "RequestOrigin"], "list[Need]"]

_TRANSACTIONS = {
    "put": "dynamodb:PutItem",
    "update": "dynamodb:UpdateItem",
    "delete": "dynamodb:DeleteItem",
    "conditionCheck": "dynamodb:ConditionCheckItem",
    "get": "dynamodb:GetItem",
}
_TABLE = r"""(?:"(?P<table>[\w.-]+)"|(?P<plain>[\w-]+))(?:\."(?P<index>[\w.-]+)")?(?=\s|$)"""
_PARTIQL = (
    ("dynamodb:PartiQLSelect", re.compile(r"\s*SELECT\s+(?:\"[^\"\s]+\"|[\w*.,\[\]\s])+?\s+FROM\s+" + _TABLE, re.I)),
    ("dynamodb:PartiQLInsert", re.compile(r"\s*INSERT\s+INTO\s+" + _TABLE, re.I)),
    ("dynamodb:PartiQLUpdate", re.compile(r"\s*UPDATE\s+" + _TABLE, re.I)),
    ("dynamodb:PartiQLDelete", re.compile(r"\s*DELETE\s+FROM\s+" + _TABLE, re.I)),
)


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


def _publish(parameters: Mapping[str, Any], origin: RequestOrigin) -> list[Need]:
    target = member(parameters, "topicArn", "targetArn")
    if isinstance(target, str):
        return [("sns:Publish", target)]
    return [("sns:Publish", "*")] if member(parameters, "phoneNumber") is not None else []


def _batch_get_secrets(parameters: Mapping[str, Any], origin: RequestOrigin) -> list[Need]:
    ids = member(parameters, "secretIdList")
    secrets = [secret_arn(str(id_), origin) for id_ in ids] if isinstance(ids, list) and ids else [None]
    read: list[Need] = [("secretsmanager:GetSecretValue", secret) for secret in secrets]
    return [("secretsmanager:BatchGetSecretValue", "*"), *read]


def _parameters_by_path(parameters: Mapping[str, Any], origin: RequestOrigin) -> list[Need]:
    """The resource is the path as given, with the slash at its end (Systems Manager User Guide, "restrict access")."""
    path = member(parameters, "path")
    if not isinstance(path, str):
        return [("ssm:GetParametersByPath", None)]
    resource = f"arn:{origin.partition}:ssm:{origin.region}:{origin.account}:parameter/{path.removeprefix('/')}"
    return [("ssm:GetParametersByPath", resource)]


def _parameters_named(action: str) -> Reader:
    """Parameters of Systems Manager by name or ARN. The version or label behind a colon is not a part of the ARN."""

    def read(parameters: Mapping[str, Any], origin: RequestOrigin) -> list[Need]:
        given = member(parameters, "name", "names")
        found: list[Need] = []
        for text in given if isinstance(given, list) and given else [given]:
            if not isinstance(text, str) or not text:
                found.append((action, None))
                continue
            place, _, name = text.rpartition(":parameter/") if text.startswith("arn:") else (place_of("ssm", origin), "", text)
            found.append((action, f"{place}:parameter/{name.removeprefix('/').partition(':')[0]}" if place else None))
        return found

    return read


def _import_table(parameters: Mapping[str, Any], origin: RequestOrigin) -> list[Need]:
    name = member(member(parameters, "tableCreationParameters"), "tableName")
    return [("dynamodb:ImportTable", table_arn(name, origin) if isinstance(name, str) else None)]


def _restore_backup(parameters: Mapping[str, Any], origin: RequestOrigin) -> list[Need]:
    backup, table = member(parameters, "backupArn"), member(parameters, "targetTableName")
    given = [backup if isinstance(backup, str) else None, table_arn(table, origin) if isinstance(table, str) else None]
    return [("dynamodb:RestoreTableFromBackup", resource) for resource in given]


READERS: dict[tuple[str, str], Reader] = {
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
    ("dynamodb", "ImportTable"): _import_table,
    ("dynamodb", "RestoreTableFromBackup"): _restore_backup,
    ("ssm", "GetParametersByPath"): _parameters_by_path,
    ("ssm", "GetParameter"): _parameters_named("ssm:GetParameter"),
    ("ssm", "GetParameters"): _parameters_named("ssm:GetParameters"),
}
