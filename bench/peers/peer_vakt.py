"""vakt: a guard for each principal, its patterns as regular expressions compiled once, its conditions as rules."""

from __future__ import annotations

import logging
from typing import Any

from policies import PRINCIPAL_ARN, Statement, is_literal, regex, statements
from vakt import ALLOW_ACCESS, DENY_ACCESS, Guard, Inquiry, MemoryStorage, Policy, RulesChecker
from vakt.rules import CIDR, And, Eq, In, Not, NotIn, Or, RegexMatch
from vakt.rules import Any as Anything

PACKAGE = "vakt"
logging.disable(logging.CRITICAL)  # it logs every decision


class Peer:
    def __init__(self, job: dict[str, Any]) -> None:
        self.keys = {PRINCIPAL_ARN: "", **dict.fromkeys(job["keys"], "")}  # an absent key would let no policy match
        self.guards = {arn: _guard(documents) for arn, documents in job["policies"].items()}

    def takes(self, principal: str) -> bool:
        return True

    def request(self, principal: str, action: str, resource: str, context: dict[str, str]) -> Any:
        keys = self.keys | context | {PRINCIPAL_ARN: principal}
        return self.guards[principal], Inquiry(subject=principal, action=action, resource=resource, context=keys)

    def decide(self, request: Any) -> bool:
        guard, inquiry = request
        return guard.is_allowed(inquiry)


def _guard(documents: list[dict[str, Any]]) -> Guard:
    storage = MemoryStorage()
    for i, one in enumerate(statements(documents)):
        effect = ALLOW_ACCESS if one.is_allow else DENY_ACCESS
        actions = [Not(Or(*map(_pattern, one.actions)))] if one.is_not_action else list(map(_pattern, one.actions))
        resources = list(map(_pattern, one.resources))
        storage.add(
            Policy(i, effect=effect, subjects=[Anything()], actions=actions, resources=resources, context=_conditions(one))
        )
    return Guard(storage, RulesChecker())


def _pattern(pattern: str) -> Any:
    if pattern == "*":
        return Anything()
    return Eq(pattern) if is_literal(pattern) else RegexMatch(regex([pattern]))


def _conditions(one: Statement) -> dict[str, Any]:
    rules: dict[str, Any] = {}
    for operator, key, values in one.conditions:
        rule = _rule(operator, values)
        rules[key] = And(rules[key], rule) if key in rules else rule
    return rules


def _rule(operator: str, values: list[str]) -> Any:
    if operator in ("StringEquals", "Bool"):
        return In(*values)
    if operator == "StringNotEquals":
        return NotIn(*values)
    if operator == "IpAddress":
        return Or(*map(CIDR, values))
    if operator in ("StringLike", "ArnLike"):
        return RegexMatch(regex(values))
    raise NotImplementedError(operator)
