"""The ARNs that parameters of calls determine, each from a name, an id, a URL or an ARN, and the parameters of a call by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from fastiam.sources.sdk_calls.arn_templates import RequestOrigin

_ACCOUNT = re.compile(r"\d{12}").fullmatch
_FUNCTION = re.compile(r"(?:(\d{12}):)?(?:function:)?(.+)").fullmatch
_ACCESS_POINT = re.compile(r"arn:[\w-]+:s3:[\w-]+:\d{12}:accesspoint[/:]([\w-]+)").fullmatch
# names that stand for something else: aliases of access points, directory buckets
_OTHER_BUCKETS = ("-s3alias", "--ol-s3", "--x-s3", "--xa-s3", "--op-s3")


def member(parameters: Any, *names: str) -> Any:
    """Return the first parameter with one of these names in lower camel case, or in that of SDKs."""
    if isinstance(parameters, Mapping):
        for name in names:
            for spelled in (name, name[0].upper() + name[1:]):
                if parameters.get(spelled) is not None:
                    return parameters[spelled]
    return None


def place_of(service: str, origin: RequestOrigin) -> str:
    """Return the start of the ARNs of a service, up to the account."""
    return f"arn:{origin.partition}:{service}:{origin.region}:{origin.account}"


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


def key_arn(key: Any, origin: RequestOrigin) -> str | None:
    """Return the ARN of a key from its id or ARN; None for an alias, whose key only KMS knows."""
    if not isinstance(key, str) or not key or "alias/" in key:
        return None
    return key if key.startswith("arn:") else f"arn:{origin.partition}:kms:{origin.region}:{origin.account}:key/{key}"


def secret_arn(secret: str, origin: RequestOrigin) -> str:
    """Return the ARN of a secret, or the partial one of a name."""
    if secret.startswith("arn:"):
        return secret
    return f"arn:{origin.partition}:secretsmanager:{origin.region}:{origin.account}:secret:{secret}"


def secret_forms(parameters: Any, arn: str | None) -> tuple[str, ...]:
    """Return the pattern of the full ARNs of a secret that a call names without its last six characters; () with them."""
    if arn is None or arn == "*":
        return ()
    several = member(parameters, "secretIdList")
    given = (member(parameters, "secretId"), *(several if isinstance(several, list) else ()))
    is_full = arn in given and arn[-7:-6] == "-"  # a name may end like it
    return () if is_full else (f"{arn}-??????",)
