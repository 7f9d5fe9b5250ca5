"""cedarpy: a parsed policy set for each principal. Action patterns are written out over the actions that there are, ARNs and
condition keys are attributes of the context. Its batch call takes one policy set, so requests go by principal."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from cedarpy import Entities, PolicySet, is_authorized, is_authorized_batch
from policies import PRINCIPAL_ARN, Statement, is_literal, meant, statements

PACKAGE = "cedarpy"
ARN = "arn"


class Peer:
    def __init__(self, job: dict[str, Any]) -> None:
        self.actions = job["actions"]
        self.entities = Entities.from_json_str("[]")
        self.sets = {arn: PolicySet.from_str("\n".join(self._policies(held))) for arn, held in job["policies"].items()}

    def takes(self, principal: str) -> bool:
        return True

    def request(self, principal: str, action: str, resource: str, context: dict[str, str]) -> Any:
        asked = {
            "principal": {"type": "Role", "id": principal},
            "action": {"type": "Action", "id": action},
            "resource": {"type": "Resource", "id": resource},
            "context": {**context, PRINCIPAL_ARN: principal, ARN: resource},
        }
        return principal, self.sets[principal], asked

    def decide(self, request: Any) -> bool:
        return is_authorized(request[2], request[1], self.entities).allowed

    def arranged(self, requests: Sequence[Any]) -> list[Any]:
        """Those of one principal, about a hundred, side by side."""
        return sorted(requests, key=lambda request: request[0])

    def batch(self, requests: Sequence[Any]) -> list[bool]:
        """Neighbours of one principal are one call."""
        answers = []
        for _, group in groupby(requests, key=lambda request: request[0]):
            part = list(group)
            found = is_authorized_batch([request[2] for request in part], part[0][1], self.entities)
            answers += [one.allowed for one in found]
        return answers

    def _policies(self, documents: list[dict[str, Any]]) -> Iterator[str]:
        for one in statements(documents):
            actions = ", ".join(f"Action::{_text(action)}" for action in meant(one, self.actions))
            if actions:
                effect = "permit" if one.is_allow else "forbid"
                yield f"{effect}(principal, action in [{actions}], resource) when {{ {_when(one)} }};"


def _when(one: Statement) -> str:
    tests = []
    if "*" not in one.resources:
        tests.append("(" + " || ".join(f"context.{ARN} {_like(pattern)}" for pattern in one.resources) + ")")
    tests += [_test(*condition) for condition in one.conditions]
    return " && ".join(tests) or "true"


def _test(operator: str, key: str, values: list[str]) -> str:
    name = f"context[{_text(key)}]"
    has = f"context has {_text(key)}"
    if operator in ("StringEquals", "Bool"):
        return f"({has} && {json.dumps(values)}.contains({name}))"
    if operator == "StringNotEquals":
        return f"!({has} && {json.dumps(values)}.contains({name}))"
    if operator == "IpAddress":
        tests = [f"ip({name}).isInRange(ip({_text(value)}))" for value in values]
    elif operator in ("StringLike", "ArnLike"):
        tests = [f"{name} {_like(value)}" for value in values]
    else:
        raise NotImplementedError(operator)
    return f"({has} && ({' || '.join(tests)}))"


def _like(pattern: str) -> str:
    return f"{'==' if is_literal(pattern) else 'like'} {_text(pattern)}"


_text = json.dumps
