"""Policy documents of requests and of records."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from fastiam.directory.aws_policies import aws_policy
from fastiam.directory.stored_policies import StoredPolicy
from fastiam.server.protocols.aws.aws_errors import ApiError
from fastiam.server.protocols.aws.calls import Call

UNKNOWN_DATE: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""`CreateDate` of a record that was loaded from a source without dates: clients require the member."""


_OLDEST: Final = "2008-10-17"
_OF_SERVICES = re.compile("arn:[^:]+:iam::aws:policy/aws-service-role/")


def document(call: Call, parameter: str = "PolicyDocument") -> str:
    """The text of a document that a call sends. The form reader has decoded it, and it is not decoded twice (G126).

    Raises
    ------
    ApiError
        `MalformedPolicyDocument`: it is not a JSON object.
    """
    text: str = call.parameters[parameter]
    if not text.lstrip(" \t\r\n").startswith("{"):
        raise ApiError("MalformedPolicyDocument", "Syntax errors in policy.")
    return text


def managed_document(call: Call) -> str:
    """The same, for a version of a managed policy.

    Raises
    ------
    ApiError
        `MalformedPolicyDocument`, also for a policy without `Version` or of 2008-10-17.
    """
    text = document(call)
    try:
        version = orjson.loads(text).get("Version", _OLDEST)
    except orjson.JSONDecodeError:
        return text  # the directory says what is wrong with it
    if version == _OLDEST:
        raise ApiError("MalformedPolicyDocument", "Policy document must be version 2012-10-17 or greater.")
    return text


def boundary_arn(boundary: tuple[StoredPolicy | str, ...] | None) -> str | None:
    """The ARN of the permissions boundary of a user or role, if it is one managed policy and nothing else."""
    if boundary is None or len(boundary) != 1 or not isinstance(boundary[0], str):
        return None
    return boundary[0]


def boundary_of(boundary: tuple[StoredPolicy | str, ...] | None) -> dict[str, str] | None:
    """The permissions boundary of a user or role as the output shape, if it is one managed policy."""
    arn = boundary_arn(boundary)
    return None if arn is None else {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": arn}


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags as members of the output shapes."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def require_policy(call: Call, arn: str) -> None:
    """Check that a managed policy of the account or of AWS can be attached: those of other accounts do not exist for the caller.

    Raises
    ------
    ApiError
        `NoSuchEntity`; `ValidationError` for a text that is not an ARN; `PolicyNotAttachable` for one of linked roles.
    """
    if not arn.startswith("arn:"):
        raise ApiError("ValidationError", f"ARN {arn} is not valid.")
    is_known = arn in call.tables.managed and arn.split(":")[4] in (call.account, "aws")
    if not is_known and aws_policy(arn) is None:
        raise ApiError("NoSuchEntity", f"Policy {arn} does not exist or is not attachable.")
    if _OF_SERVICES.match(arn):
        raise ApiError("PolicyNotAttachable", "Cannot attach a Service Role Policy to a Customer Role.")


def without_nones(members: Mapping[str, Any]) -> dict[str, Any]:
    """Members that have a value."""
    return {name: value for name, value in members.items() if value is not None}
