"""regorus: one Rego module over the statements of all principals as data. Action patterns are written out over the actions that
there are, the resources of a statement are one regular expression."""

from __future__ import annotations

from typing import Any

import regorus
from policies import PRINCIPAL_ARN, Statement, meant, regex, statements

PACKAGE = "celine-regorus"
MODULE = """
package iam
import rego.v1

default allow := false
allow if { some s in data.statements[input.principal]; s.effect == "Allow"; hits(s); not denied }
denied if { some s in data.statements[input.principal]; s.effect == "Deny"; hits(s) }

hits(s) if { input.action in s.actions; lies_in(s); every c in s.conditions { holds(c) } }
lies_in(s) if s.resources == ""
lies_in(s) if { s.resources != ""; regex.match(s.resources, input.resource) }

holds(c) if { c.operator == "equals"; input.context[c.key] in c.values }
holds(c) if { c.operator == "differs"; not input.context[c.key] in c.values }
holds(c) if { c.operator == "like"; regex.match(c.pattern, input.context[c.key]) }
holds(c) if { c.operator == "address"; some range in c.values; net.cidr_contains(range, input.context[c.key]) }
"""
OPERATORS = {
    "StringEquals": "equals",
    "Bool": "equals",
    "StringNotEquals": "differs",
    "IpAddress": "address",
    "StringLike": "like",
    "ArnLike": "like",
}


class Peer:
    def __init__(self, job: dict[str, Any]) -> None:
        self.engine = regorus.Engine()
        self.engine.add_policy("iam.rego", MODULE)
        held = {arn: [_data(one, job["actions"]) for one in statements(held)] for arn, held in job["policies"].items()}
        self.engine.add_data({"statements": held})

    def takes(self, principal: str) -> bool:
        return True

    def request(self, principal: str, action: str, resource: str, context: dict[str, str]) -> Any:
        keys = {**context, PRINCIPAL_ARN: principal}
        return {"principal": principal, "action": action, "resource": resource, "context": keys}

    def decide(self, request: Any) -> bool:
        self.engine.set_input(request)
        return self.engine.eval_rule("data.iam.allow")


def _data(one: Statement, actions: list[str]) -> dict[str, Any]:
    conditions = [
        {"operator": OPERATORS[operator], "key": key, "values": values, "pattern": regex(values)}
        for operator, key, values in one.conditions
    ]
    return {
        "effect": "Allow" if one.is_allow else "Deny",  # as words: it reads Python's bools as numbers
        "actions": meant(one, actions),
        "resources": "" if "*" in one.resources else regex(one.resources),
        "conditions": conditions,
    }
