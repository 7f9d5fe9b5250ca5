"""Our reference: the executable specification, over the same policies."""

from __future__ import annotations

from typing import Any

from engines import Reference
from workloads import Workload

from fastiam import Directory, Outcome

PACKAGE = None


class Peer:
    def __init__(self, job: dict[str, Any]) -> None:
        directory = Directory(quotas=None)
        for arn, documents in job["policies"].items():
            directory.add_principal(arn, identity_policies=documents)
        self.reference = Reference(Workload("", directory, None))

    def takes(self, principal: str) -> bool:
        return True

    def request(self, principal: str, action: str, resource: str, context: dict[str, str]) -> Any:
        return principal, action, resource, context

    def decide(self, request: Any) -> bool:
        return self.reference.one(*request) == Outcome.ALLOW
