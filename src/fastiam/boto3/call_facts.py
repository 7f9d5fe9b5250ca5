"""What all requests of a call have in common."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from fastiam.analysis.access.call_decisions import CallDecision
from fastiam.boto3.recorded import CheckedRequest
from fastiam.model.session import Session
from fastiam.sources.sdk_calls.arn_templates import RequestOrigin


class CallFacts:
    """What all requests of a call have in common."""

    __slots__ = ("operation", "name", "service", "origin", "principal", "keys", "now")

    def __init__(
        self,
        operation: Any,
        name: str,
        service: str,
        origin: RequestOrigin,
        principal: str | Session | None,
        keys: Mapping[str, Any],
        now: datetime,
    ) -> None:
        self.operation, self.name, self.service, self.origin = operation, name, service, origin
        self.principal, self.keys, self.now = principal, keys, now

    def request(
        self, action: str, resource: str | None, keys: Mapping[str, Any], decision: CallDecision | None, note: str = ""
    ) -> CheckedRequest:
        return CheckedRequest(
            call=0,
            service=self.service,
            operation=self.name,
            principal=self.principal,
            action=action,
            resource=resource,
            context=keys,
            decision=decision,
            note=note,
        )

    def numbered(self, request: CheckedRequest, call: int) -> CheckedRequest:
        object.__setattr__(request, "call", call)  # PERF: the request is new and no one else has it
        return request
