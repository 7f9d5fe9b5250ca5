"""Decisions for escalation paths: one permission for many principals, with unknown keys, and the explanation of one step."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from fastiam.analysis.escalation.catalog import Permission
from fastiam.analysis.representatives import UNMENTIONED, may_match, resource_of, statements_of
from fastiam.directory.account_records import Entity, Tables
from fastiam.directory.stored_policies import StoredPolicy
from fastiam.errors import PolicyError, RequestValueError
from fastiam.model.decision import Decision, Outcome
from fastiam.model.explanation import Explanation
from fastiam.model.policy import Effect, Policy, PolicyKind
from fastiam.model.profile import ROLES, PrincipalKind, PrincipalProfile
from fastiam.model.protocols import AnalysisEngine
from fastiam.resolve.snapshot import Snapshot
from fastiam.runtime.forking import cached_property

_USER_ID = "aws:userid"
_ASSUME = "sts:AssumeRole"
_WRITE_TRUST = ("iam:UpdateAssumeRolePolicy", "iam:CreateRole")
NO, POSSIBLE, SURE = 0, 1, 2  # strength of a permission
_STRENGTH = np.zeros(256, np.uint8)  # by outcome
_STRENGTH[Outcome.ALLOW], _STRENGTH[Outcome.DEPENDS] = SURE, POSSIBLE
_UNLESS_DENIED = _STRENGTH.copy()
_UNLESS_DENIED[Outcome.IMPLICIT_DENY] = POSSIBLE
Strengths: TypeAlias = npt.NDArray[np.uint8]


class Asked(NamedTuple):
    """One request of a path. `context` is a pair of key and value, or empty."""

    principal: str
    action: str
    resource: str
    context: tuple[str, ...] = ()

    def by(self, principal: str) -> Asked:
        """The same request by another principal."""
        return Asked(principal, *self[1:])


class Requests:
    """Decides permissions over one state of the directory. A permission is as strong as the weakest one that it needs."""

    def __init__(self, engine: AnalysisEngine, unknown: Collection[str], now: datetime | None) -> None:
        self.engine, self._unknown, self._now = engine, unknown, now
        self.kinds: dict[str, PrincipalKind] = dict(engine.snapshot.names())
        self._allows: dict[int, tuple[Policy, dict[str, bool]]] = {}
        self._profiles: dict[str, PrincipalProfile] = {}

    def over(self, tables: Tables) -> Requests:
        """The same requests over other records."""
        return Requests(self.engine.over(Snapshot(tables)), self._unknown, self._now)

    @cached_property
    def trusted(self) -> Requests:
        """The same requests where the trust policy of each role names the principals that can write one, or make a role."""
        tables = self.engine.snapshot.tables
        names: dict[str, list[str]] = defaultdict(list)
        for entity in tables.entities.values():
            if any(self.may_have(entity.arn, action) for action in _WRITE_TRUST):
                names[entity.account] += [entity.arn, *([self.session_of(entity.arn)] if entity.kind in ROLES else ())]
        policies = {account: _trust_policy(trusted) for account, trusted in names.items()}
        entities = dict(tables.entities)
        for entity in tables.entities.values():
            if entity.kind is PrincipalKind.ROLE and entity.account in policies:
                entities[entity.arn] = replace(entity, trust=policies[entity.account])
        roles = dict(tables.roles)
        for account in policies.keys() & tables.accounts.keys():
            partition = tables.accounts[account].partition
            made = f"arn:{partition}:iam::{account}:role/{UNMENTIONED}"
            entities[made] = Entity(made, PrincipalKind.ROLE, partition, account, "/", UNMENTIONED, trust=policies[account])
            roles[partition, account, UNMENTIONED] = made
        resources = {arn: replace(each, policies=()) if arn in entities else each for arn, each in tables.resources.items()}
        return self.over(replace(tables, entities=entities, roles=roles, resources=resources))

    # -- columns ------------------------------------------------------------------------------------------------------

    def strengths(
        self, principals: Sequence[str], permission: Permission, resource: str, context: tuple[str, ...] = ()
    ) -> Strengths:
        """The strength of a permission on a resource for each principal."""
        if not principals:
            return np.zeros(0, np.uint8)
        if permission.unless_denied and permission.action == _ASSUME:
            callers = [self._caller(name) for name in principals]
            return self.trusted.strengths(callers, Permission(_ASSUME, permission.resource), resource, context)
        strength_of, action = _UNLESS_DENIED if permission.unless_denied else _STRENGTH, permission.action
        decisions = self._decide_many(list(principals), action, resource, context)
        found: Strengths = strength_of[decisions.outcome]
        rows = [row for row in np.flatnonzero(found == POSSIBLE).tolist() if self._is_open(principals[row], decisions[row])]
        if rows:  # the id of a role is known, only the name of its session is not (see `who_can`)
            sessions = [self.session_of(principals[row]) for row in rows]
            decided = self._decide_many(sessions, action, resource, context)
            found[rows] = np.maximum(found[rows], strength_of[decided.outcome])
        return found

    def strengths_of_service(self, service: str, roles: Sequence[str], account: str) -> Strengths:
        """The strength of `sts:AssumeRole` by a service that works for the account, for each role."""
        if not roles:
            return np.zeros(0, np.uint8)
        decisions = self.engine.decide_many(
            service, "sts:AssumeRole", list(roles), {"aws:SourceAccount": account},
            unknown=self._unknown, now=self._now, reasons=True, on_error="deny",
        )  # fmt: skip
        found: Strengths = _STRENGTH[decisions.outcome]
        return found

    def _decide_many(self, principals: list[str], action: str, resource: str, context: tuple[str, ...]) -> Any:
        return self.engine.decide_many(
            principals, action, resource, self._context(context),
            unknown=self._unknown, now=self._now, reasons=True, on_error="deny",
        )  # fmt: skip

    def _is_open(self, principal: str, decision: Any) -> bool:
        return self.kinds.get(principal) in ROLES and _USER_ID in decision.depends_on

    def _caller(self, principal: str) -> str:
        """The principal that a trust policy can name with the most effect: of a role, a session."""
        return self.session_of(principal) if self.kinds.get(principal) in ROLES else principal

    @staticmethod
    def session_of(role: str) -> str:
        """A session of a role, with a name that no policy contains."""
        _, partition, _, _, account, rest = role.split(":", 5)
        return f"arn:{partition}:sts::{account}:assumed-role/{rest.rpartition('/')[2]}/{UNMENTIONED}"

    @staticmethod
    def _context(context: tuple[str, ...]) -> Mapping[str, str]:
        return {context[0]: context[1]} if context else {}

    # -- single requests ----------------------------------------------------------------------------------------------

    def decide(self, asked: Asked) -> Decision:
        """Decide one step, for a session of a role if only the name of the session is unknown."""
        decision = self._decide(asked)
        if decision.outcome is Outcome.DEPENDS and self._is_open(asked.principal, decision):
            by_session = self._decide(asked.by(self.session_of(asked.principal)))
            return by_session if by_session.outcome is Outcome.ALLOW else decision
        return decision

    def _decide(self, asked: Asked) -> Decision:
        return self.engine.decide(
            asked.principal, asked.action, asked.resource, self._context(asked.context), unknown=self._unknown, now=self._now
        )

    def strength(self, asked: Asked, *, unless_denied: bool = False) -> int:
        """The strength of one request; NO if the principal cannot make it."""
        if unless_denied and asked.action == _ASSUME:
            return self.trusted.strength(asked.by(self._caller(asked.principal)))
        try:
            return int((_UNLESS_DENIED if unless_denied else _STRENGTH)[self.decide(asked).outcome])
        except (RequestValueError, PolicyError):
            return NO

    def strength_of_profile(self, profile: PrincipalProfile, action: str, resource: str) -> int:
        """The strength of a permission for a principal that does not exist in this form."""
        return int(_STRENGTH[self.explained(profile, action, resource).decision.outcome])

    def explained(self, profile: PrincipalProfile, action: str, resource: str) -> Explanation:
        """The explanation of a request by a principal that may not exist in this form."""
        request = self.engine.read_request(action, None, unknown=self._unknown, now=self._now)
        return self.engine.explain_request(profile, resource, request)

    # -- policies -----------------------------------------------------------------------------------------------------

    def profile(self, principal: str) -> PrincipalProfile:
        """The profile of a user or role."""
        found = self._profiles.get(principal)
        if found is None:
            found = self._profiles[principal] = self.engine.snapshot.principal(principal)
        return found

    def may_have(self, principal: str, action: str) -> bool:
        """Whether an Allow of the identity policies can match an action. Only trust policies allow without one."""
        return any(self.allows(policy, action) for policy in self.profile(principal).identity_policies)

    def allows(self, policy: Policy, action: str) -> bool:
        """Whether an Allow of a policy can match an action."""
        known = self._allows.get(id(policy))
        if known is None or known[0] is not policy:
            known = self._allows[id(policy)] = (policy, {})
        found = known[1].get(action)
        if found is None:
            found = known[1][action] = any(_allows(statement, action) for statement in statements_of([policy]))
        return found

    def resources_for(self, principal: str, action: str, generic: str) -> list[str]:
        """The resources that represent those on which a principal may have an action: a generic one, and one of each pattern."""
        found = [generic]
        service = generic.split(":", 3)[2] if generic.startswith("arn:") else ""
        for statement in statements_of(self.profile(principal).identity_policies):
            if service and _allows(statement, action):
                made = (resource_of(pattern, self.profile(principal).keys) for pattern in statement.resources or ())
                found += (arn for arn in made if arn is not None and arn.startswith("arn:") and arn.split(":")[2] == service)
        return list(dict.fromkeys(found))


def _trust_policy(principals: Sequence[str]) -> StoredPolicy:
    statement = {"Effect": "Allow", "Principal": {"AWS": list(principals)}, "Action": _ASSUME}
    text = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    return StoredPolicy.unparsed(text, PolicyKind.TRUST, "trust policy")


def _allows(statement: Any, action: str) -> bool:
    if statement.effect is not Effect.ALLOW or statement.actions is None:
        return False
    matches = any(may_match(pattern)(action) for pattern in statement.actions)
    return statement.not_action or matches
