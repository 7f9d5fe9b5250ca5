"""Invented records of CloudTrail, and files of them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

ACCOUNT = "111111111111"
ANA = f"arn:aws:iam::{ACCOUNT}:user/ana"
OPS = f"arn:aws:iam::{ACCOUNT}:role/ops"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/ops/s1"


def user(arn: str = ANA, **more: Any) -> dict[str, Any]:
    """A user with a long-term key."""
    name = arn.rpartition("/")[2]
    return {"type": "IAMUser", "arn": arn, "accountId": ACCOUNT, "accessKeyId": "AKIAANA", "userName": name, **more}


def temporary(mfa: str = "false", key: str = "ASIA1") -> dict[str, Any]:
    """What `userIdentity` has besides, if the credentials are temporary."""
    attributes = {"creationDate": "2026-03-01T08:00:00Z", "mfaAuthenticated": mfa}
    return {"accessKeyId": key, "sessionContext": {"attributes": attributes}}


def session(arn: str = SESSION, role: str = OPS, key: str = "ASIA2", mfa: str = "false", **context: Any) -> dict[str, Any]:
    """A session of a role."""
    identity = {"type": "AssumedRole", "arn": arn, "accountId": ACCOUNT, "principalId": "AROAOPS:s1"} | temporary(mfa, key)
    identity["sessionContext"] |= {"sessionIssuer": {"type": "Role", "arn": role}, "webIdFederationData": {}, **context}
    return identity


def record(event: str, identity: dict[str, Any] | None = None, parameters: Any = None, **more: Any) -> dict[str, Any]:
    """A record of `service:Operation`."""
    source, _, name = event.partition(":")
    return {
        "eventVersion": "1.09",
        "userIdentity": user() if identity is None else identity,
        "eventTime": "2026-03-01T09:00:00Z",
        "eventSource": f"{source}.amazonaws.com",
        "eventName": name,
        "awsRegion": "eu-west-1",
        "sourceIPAddress": "198.51.100.7",
        "userAgent": "aws-cli/2.15",
        "requestParameters": parameters,
        "responseElements": None,
        "eventID": f"{event} {parameters}",
        "eventType": "AwsApiCall",
        "recipientAccountId": ACCOUNT,
        **more,
    }


def assume_role(key: str = "ASIA2", caller: dict[str, Any] | None = None, role: str = OPS, **parameters: Any) -> dict[str, Any]:
    """The call that issued the credentials of `session`."""
    request = {"roleArn": role, "roleSessionName": "s1", **parameters}
    return record("sts:AssumeRole", caller, request, responseElements={"credentials": {"accessKeyId": key}})


def write_log(path: Path, *records: dict[str, Any]) -> Path:
    """The file that CloudTrail would write."""
    data = json.dumps({"Records": records}).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path
