"""The condition keys that the parameters of a call determine, and those that stay unknown.

INVARIANT: a key that AWS documents for an action is known, absent because its parameter was not given, or unknown. Nothing
else of the parameters is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

from fastiam.aws_data.catalog import Action
from fastiam.sources.sdk_calls.parameter_arns import member

Value = str | bool | list[str] | None  # None: the key is absent
Keys = dict[str, Value]

CALLED_VIA = "aws:CalledVia"
_NETWORK = (
    "aws:sourceip",
    "aws:vpcsourceip",
    "aws:sourcevpc",
    "aws:sourcevpce",
    "aws:sourcevpcarn",
    "aws:vpceaccount",
    "aws:vpceorgid",
    "aws:vpceorgpaths",
)
# keys that differ between a call and the requests that a service makes for the caller
OF_CALL_ALONE = frozenset((*_NETWORK, "aws:useragent", "aws:calledvia", "aws:viaawsservice"))
# keys of the network and of tags of resources, which each request may have and no call contains
_ALWAYS_UNKNOWN = (*_NETWORK, "aws:resourcetag/*")
# parameters whose value is that of a key (API references; the "condition keys" pages of the services)
_SINGLE: dict[str, dict[str, str]] = {
    "s3": {
        "Prefix": "s3:prefix",
        "Delimiter": "s3:delimiter",
        "MaxKeys": "s3:max-keys",
        "ACL": "s3:x-amz-acl",
        "ServerSideEncryption": "s3:x-amz-server-side-encryption",
        "SSEKMSKeyId": "s3:x-amz-server-side-encryption-aws-kms-key-id",
        "SSECustomerAlgorithm": "s3:x-amz-server-side-encryption-customer-algorithm",
        "CopySource": "s3:x-amz-copy-source",
        "MetadataDirective": "s3:x-amz-metadata-directive",
        "StorageClass": "s3:x-amz-storage-class",
        "WebsiteRedirectLocation": "s3:x-amz-website-redirect-location",
        "GrantFullControl": "s3:x-amz-grant-full-control",
        "GrantRead": "s3:x-amz-grant-read",
        "GrantReadACP": "s3:x-amz-grant-read-acp",
        "GrantWrite": "s3:x-amz-grant-write",
        "GrantWriteACP": "s3:x-amz-grant-write-acp",
        "IfMatch": "s3:if-match",
        "IfNoneMatch": "s3:if-none-match",
        "VersionId": "s3:VersionId",
    },
    "dynamodb": {"Select": "dynamodb:Select"},
    "iam": {"PolicyArn": "iam:PolicyARN", "PermissionsBoundary": "iam:PermissionsBoundary"},
    "sns": {"Protocol": "sns:Protocol", "Endpoint": "sns:Endpoint"},
    "secretsmanager": {"Name": "secretsmanager:Name"},
    "ec2": {"InstanceType": "ec2:InstanceType"},
    "sts": {
        "ExternalId": "sts:ExternalId",
        "RoleSessionName": "sts:RoleSessionName",
        "SourceIdentity": "sts:SourceIdentity",
    },
}
_TAG_LISTS = ("Tags", "TagList", "tags")
_CONTEXT = "kms:EncryptionContext:"


def keys_of(prefix: str, parameters: Mapping[str, Any]) -> tuple[Keys, frozenset[str]]:
    """Return the keys that the parameters determine, and folded keys and prefixes whose other keys are absent with them."""
    keys: Keys = {}
    for name, key in _SINGLE.get(prefix, {}).items():
        value = parameters.get(name)
        keys[key] = str(value) if isinstance(value, (str, int)) and value != "" else None
    closed = set()
    tags = _tags_in(parameters)
    if tags is not None:
        closed |= {"aws:requesttag/*", "aws:tagkeys"}
        keys |= {f"aws:RequestTag/{name}": value for name, value in tags.items()}
    read = _OF_SERVICE.get(prefix)
    return keys, frozenset(closed | read(keys, parameters)) if read else frozenset(closed)


def _tags_in(parameters: Mapping[str, Any]) -> dict[str, str] | None:
    """Return the tags of a call, {} without any, None if they cannot be read."""
    if parameters.get("TagKeys") or parameters.get("tagKeys") or parameters.get("TagSpecifications"):
        return None  # keys without values; tags of some of the resources of the call
    found: dict[str, str] = {}
    lists = [parameters[name] for name in _TAG_LISTS if parameters.get(name)]
    for given in lists:
        if isinstance(given, Mapping):
            found |= {str(name): str(value) for name, value in given.items()}
            continue
        for entry in given if isinstance(given, (list, tuple)) else ():
            name, value = member(entry, "key", "tagKey"), member(entry, "value", "tagValue")
            if not isinstance(name, str):
                return None
            found[name] = "" if value is None else str(value)
    return found


def _of_s3(keys: Keys, parameters: Mapping[str, Any]) -> set[str]:
    tagging = parameters.get("Tagging")
    tags = dict(parse_qsl(tagging, keep_blank_values=True)) if isinstance(tagging, str) else _tag_set(tagging)
    if tags is None:
        return set()
    keys |= {f"s3:RequestObjectTag/{name}": value for name, value in tags.items()}
    keys["s3:RequestObjectTagKeys"] = list(tags) or None
    place = member(parameters.get("CreateBucketConfiguration"), "locationConstraint")
    keys["s3:LocationConstraint"] = place if isinstance(place, str) else None
    return {"s3:requestobjecttag/*"}


def _tag_set(tagging: Any) -> dict[str, str] | None:
    if tagging is None:
        return {}
    entries = member(tagging, "tagSet")
    if not isinstance(entries, list):
        return None
    return {str(member(entry, "key")): str(member(entry, "value") or "") for entry in entries}


def _of_kms(keys: Keys, parameters: Mapping[str, Any]) -> set[str]:
    keys["kms:ViaService"] = None  # the client calls KMS itself
    key = parameters.get("KeyId")
    alias = key[key.index("alias/") :] if isinstance(key, str) and "alias/" in key else None
    keys["kms:RequestAlias"] = alias
    given = parameters.get("EncryptionContext") or {}
    keys |= {_CONTEXT + str(name): str(value) for name, value in given.items()}
    keys["kms:EncryptionContextKeys"] = list(given) or None
    return {"kms:encryptioncontext:*"}


def _of_lambda(keys: Keys, parameters: Mapping[str, Any]) -> set[str]:
    layers = parameters.get("Layers")
    keys["lambda:Layer"] = [str(layer) for layer in layers] if layers else None
    return set()


def _of_secrets(keys: Keys, parameters: Mapping[str, Any]) -> set[str]:
    secret = parameters.get("SecretId")
    if isinstance(secret, str) and secret.startswith("arn:"):
        keys["secretsmanager:SecretId"] = secret
    return set()


def _of_dynamodb(keys: Keys, parameters: Mapping[str, Any]) -> set[str]:
    key = parameters.get("Key")
    if isinstance(key, Mapping) and len(key) == 1:
        (value,) = key.values()
        if isinstance(value, Mapping) and isinstance(text := value.get("S", value.get("N")), str):
            keys["dynamodb:LeadingKeys"] = [text]
    return set()


def _of_sts(keys: Keys, parameters: Mapping[str, Any]) -> set[str]:
    transitive = parameters.get("TransitiveTagKeys")
    keys["sts:TransitiveTagKeys"] = [str(name) for name in transitive] if transitive else None
    return set()


_OF_SERVICE: dict[str, Callable[[Keys, Mapping[str, Any]], set[str]]] = {
    "s3": _of_s3,
    "kms": _of_kms,
    "lambda": _of_lambda,
    "secretsmanager": _of_secrets,
    "dynamodb": _of_dynamodb,
    "sts": _of_sts,
}


@lru_cache(maxsize=4096)
def unknown_keys(action: Action | None, known: frozenset[str], closed: frozenset[str]) -> tuple[str, ...]:
    """Return the keys, and prefixes that end in `*`, that a request may have and that are not known, all folded."""
    wanted = [*_ALWAYS_UNKNOWN, *(_pattern(key) for key in (action.keys if action else ()))]
    return tuple(sorted(key for key in set(wanted) if key not in known and key not in closed and not _by_engine(key)))


def _pattern(key: str) -> str:
    """Return a key of AWS's data, with `*` in place of a variable at its end."""
    for mark in ("${", "<key>", "tag-key"):
        if mark in key:
            return key[: key.index(mark)] + "*"
    return key


def _by_engine(key: str) -> bool:
    """Whether the session determines the key: claims of identity providers and SAML."""
    return key.startswith(("saml:", "accounts.google.com:", "cognito-identity.", "graph.facebook.com:", "www.amazon.com:"))
