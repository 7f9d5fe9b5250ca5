"""moto: the evaluator that its servers use, policies parsed once. A condition that does not hold denies there, whatever the
effect, so only principals without conditions are asked about."""

from __future__ import annotations

import json
from typing import Any

from moto.iam.access_control import IAMPolicy, PermissionResult
from policies import is_unconditional

PACKAGE = "moto"


class Peer:
    def __init__(self, job: dict[str, Any]) -> None:
        self.policies = {
            arn: [IAMPolicy(json.dumps(document)) for document in documents]
            for arn, documents in job["policies"].items()
            if is_unconditional(documents)
        }

    def takes(self, principal: str) -> bool:
        return principal in self.policies

    def request(self, principal: str, action: str, resource: str, context: dict[str, str]) -> Any:
        return self.policies[principal], action, resource

    def decide(self, request: Any) -> bool:
        policies, action, resource = request
        found = [policy.is_action_permitted(action, resource) for policy in policies]
        return PermissionResult.PERMITTED in found and PermissionResult.DENIED not in found
