"""pycasbin: an enforcer for each principal, deny overriding, both patterns as regular expressions. Conditions are left out, so
only principals without any are asked about (its `eval()` could say some, at the price of parsing Python for each)."""

from __future__ import annotations

import logging
from typing import Any

import casbin
from policies import is_unconditional, regex, statements

PACKAGE = "pycasbin"
MODEL = """
[request_definition]
r = act, obj
[policy_definition]
p = act, obj, eft
[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))
[matchers]
m = regexMatch(r.act, p.act) && regexMatch(r.obj, p.obj)
"""
logging.disable(logging.CRITICAL)


class Peer:
    def __init__(self, job: dict[str, Any]) -> None:
        self.enforcers = {arn: _enforcer(held) for arn, held in job["policies"].items() if is_unconditional(held)}

    def takes(self, principal: str) -> bool:
        return principal in self.enforcers

    def request(self, principal: str, action: str, resource: str, context: dict[str, str]) -> Any:
        return self.enforcers[principal], action, resource

    def decide(self, request: Any) -> bool:
        return request[0].enforce(request[1], request[2])


def _enforcer(documents: list[dict[str, Any]]) -> casbin.Enforcer:
    model = casbin.Enforcer.new_model(text=MODEL)
    enforcer = casbin.Enforcer(model)
    for one in statements(documents):
        actions = regex(one.actions)
        named = f"^(?!{actions[1:]})" if one.is_not_action else actions
        enforcer.add_policy(named, regex(one.resources), "allow" if one.is_allow else "deny")
    return enforcer
