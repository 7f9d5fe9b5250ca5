"""The answer of CreateSession (6.6), for a server of the HTTP protocol."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any

from fastiam.credentials.results import AssumedRole
from fastiam.credentials.sts_errors import AccessDeniedError, StsError
from fastiam.errors import FastiamError, PolicyError

_STATUS = {"ValidationException": 400, "AccessDeniedException": 403, "ResourceNotFoundException": 404}
_NOTE = "some attributes failed"


@dataclass(frozen=True, slots=True)
class Response:
    """Status, headers and body of an HTTP answer. The body of a success holds the credentials."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class CreatedSession(AssumedRole):
    """A session of Roles Anywhere. `subject_arn` is the record of the certificate's subject, `role_arn` the role."""

    subject_arn: str = ""
    role_arn: str = ""

    def answer(self) -> dict[str, Any]:
        """The JSON object of the answer, secrets included."""
        credentials, expiration = self.credentials, self.credentials.expiration
        assert expiration is not None
        content = {
            "assumedRoleUser": {"arn": self.arn, "assumedRoleId": self.role_id},
            "credentials": {
                "accessKeyId": credentials.access_key_id,
                "secretAccessKey": str(credentials.secret_access_key),
                "sessionToken": str(credentials.session_token),
                "expiration": expiration.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            },
            "packedPolicySize": self.packed_policy_size,
            "roleArn": self.role_arn,
            "sourceIdentity": self.source_identity,
        }
        return {"credentialSet": [content], "subjectArn": self.subject_arn}


def success_response(session: CreatedSession) -> Response:
    """The answer with a session."""
    return _response(201, session.answer(), {})


def error_response(error: FastiamError) -> Response:
    """The answer to a refused call: AWS's code and a message. It contains neither policies nor a rule id (FD4)."""
    if isinstance(error, PolicyError):
        return _failed("ValidationException", "the session policy of the profile is rejected")
    if not isinstance(error, StsError):
        return _failed("InternalFailure", "the request cannot be answered")
    if isinstance(error, AccessDeniedError):
        note = f" - {error.hint}" if error.hint.startswith(_NOTE) else ""
        return _failed("AccessDeniedException", f"Unable to assume role {error.resource}{note}")
    return _failed(error.code, error.message)


def _failed(code: str, message: str) -> Response:
    return _response(_STATUS.get(code, 500), {"message": message}, {"x-amzn-ErrorType": code})


def _response(status: int, content: Mapping[str, Any], headers: Mapping[str, str]) -> Response:
    return Response(status, {"content-type": "application/json", **headers}, json.dumps(content).encode())
