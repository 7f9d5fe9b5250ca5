"""Plain `re`: what an evening of Python gives (`engines.Plain`), not a product."""

from __future__ import annotations

from typing import Any

from engines import Plain
from workloads import Workload

from fastiam import Directory, Outcome

PACKAGE = None


class Peer:
    def __init__(self, job: dict[str, Any]) -> None:
        self.plain = Plain(Workload("", Directory(), None, job["policies"]))

    def takes(self, principal: str) -> bool:
        return True

    def request(self, principal: str, action: str, resource: str, context: dict[str, str]) -> Any:
        return principal, action, resource, context

    def decide(self, request: Any) -> bool:
        return self.plain.one(*request) == Outcome.ALLOW
