"""The answer of AWS to a call that is denied: code, status and message, as botocore would have parsed them.

Sources: "Troubleshoot access denied error messages" of the IAM User Guide, and the error pages of the services.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastiam.analysis.access.call_decisions import CallDecision
from fastiam.model.decision import Layer, Outcome

_TYPES = {
    Layer.IDENTITY: "identity-based policy",
    Layer.RESOURCE: "resource-based policy",
    Layer.BOUNDARY: "permissions boundary",
    Layer.SESSION: "session policy",
    Layer.SCP: "service control policy",
    Layer.RCP: "resource control policy",
    Layer.VPCE: "VPC endpoint policy",
}
# code and status by protocol
_BY_PROTOCOL = {
    "query": ("AccessDenied", 403),
    "rest-xml": ("AccessDenied", 403),
    "ec2": ("UnauthorizedOperation", 403),
    "json": ("AccessDeniedException", 400),
    "smithy-rpc-v2-cbor": ("AccessDeniedException", 400),
    "rest-json": ("AccessDeniedException", 403),
}
_BY_SERVICE = {"sns": ("AuthorizationError", 403), "sqs": ("AccessDenied", 403)}


def refusal_message(principal: str, action: str, resource: str, decision: CallDecision) -> str:
    """Return the message of a denied request, in AWS's words."""
    user = "anonymous" if principal == "*" else principal
    text = f"User: {user} is not authorized to perform: {action} on resource: {resource}"
    kind = _TYPES.get(decision.layer) if decision.layer is not None else None
    if kind is None:
        return text
    article = "an" if kind[0] in "aeiou" else "a"
    if decision.outcome is Outcome.EXPLICIT_DENY:
        text += f" with an explicit deny in {article} {kind}"
        arn = decision.statement.arn if decision.statement else None
        return f"{text}: {arn}" if arn else text
    return f"{text} because no {kind} allows the {action} action"


def refusal(protocols: Sequence[str], service: str, method: str, message: str) -> tuple[int, dict[str, Any]]:
    """Return the status and the parsed answer of a denied call."""
    if method == "HEAD":
        code, status, message = "403", 403, "Forbidden"
    elif service in _BY_SERVICE:
        code, status = _BY_SERVICE[service]
    else:
        known = next((protocol for protocol in protocols if protocol in _BY_PROTOCOL), "query")
        code, status = _BY_PROTOCOL[known]
    return status, {"Error": {"Code": code, "Message": message}, "ResponseMetadata": _metadata(status)}


def answer_of_deletion(errors: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the parsed answer of `DeleteObjects` when all keys are denied: S3 answers 200."""
    return {"Errors": list(errors), "ResponseMetadata": _metadata(200)}


def error_of_deletion(entry: Mapping[str, Any], message: str) -> dict[str, Any]:
    """Return the error of one key of `DeleteObjects`."""
    version = {"VersionId": entry["VersionId"]} if entry.get("VersionId") else {}
    return {"Key": entry.get("Key"), **version, "Code": "AccessDenied", "Message": message}


def _metadata(status: int) -> dict[str, Any]:
    return {"HTTPStatusCode": status, "HTTPHeaders": {}, "RetryAttempts": 0}
