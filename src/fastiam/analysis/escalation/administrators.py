"""Administrators of accounts: principals that can manage the users of their account and do what no policy names.

INVARIANT: a principal is unlimited only if no statement of its own policies or of its boundary takes a permission from it,
whatever the unknown keys are. The policies of the organization and of resources limit all principals of the account alike.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product

from fastiam.analysis.escalation.catalog import Permission, filled
from fastiam.analysis.escalation.permission_decisions import NO, SURE, Asked, Requests
from fastiam.analysis.representatives import UNMENTIONED, actions_of, resources_in, statements_of
from fastiam.directory.account_records import Entity
from fastiam.errors import PolicyError, RequestValueError
from fastiam.model.decision import Layer, Outcome
from fastiam.model.policy import Effect, Policy, PolicyKind, Statement
from fastiam.model.profile import ROLES, PrincipalKind, PrincipalProfile
from fastiam.model.protocols import AnalysisEngine

_ACTION = f"{UNMENTIONED}:{UNMENTIONED}"
PROBES = (  # a principal that can do both is an administrator
    Permission("iam:PutUserPolicy", "arn:{partition}:iam::{account}:user/{any}"),
    Permission(_ACTION, "*"),
)
_ALL = Policy(PolicyKind.IDENTITY, True, (Statement(0, None, Effect.ALLOW, ("*",), resources=("*",)),), "AdministratorAccess")
_OF_PRINCIPAL = (Layer.IDENTITY, Layer.BOUNDARY, Layer.SESSION)
_DENIED = (Outcome.IMPLICIT_DENY, Outcome.EXPLICIT_DENY)


def entities_of(engine: AnalysisEngine) -> list[Entity]:
    """The users and roles of a directory."""
    return [entity for entity in engine.snapshot.tables.entities.values() if entity.kind is not PrincipalKind.ROOT]


class Administrators:
    """The administrators of a directory.

    Attributes
    ----------
    strengths
        the strength of the weaker probe of each administrator.
    unlimited
        those that have no permission to gain: the policies of the principal allow everything.
    """

    def __init__(self, requests: Requests, entities: Sequence[Entity]) -> None:
        self._requests = requests
        self._with_all: dict[object, tuple[int, bool]] = {}
        self.strengths = self._strengths(entities)
        self.unlimited = frozenset(e.arn for e in entities if e.arn in self.strengths and self._is_unlimited(e))

    def _strengths(self, entities: Sequence[Entity]) -> dict[str, int]:
        found: dict[str, int] = {}
        by_account: dict[str, list[Entity]] = defaultdict(list)
        for entity in entities:
            by_account[entity.account].append(entity)
        for members in by_account.values():
            names = [entity.arn for entity in members]
            weakest = [SURE] * len(names)
            for probe in PROBES:
                decided = self._requests.strengths(names, probe, filled(probe.resource, members[0]))
                weakest = [min(one, int(two)) for one, two in zip(weakest, decided, strict=True)]
            found |= {name: strength for name, strength in zip(names, weakest, strict=True) if strength != NO}
        return found

    def probes(self, arn: str) -> list[Asked]:
        """The requests that show that a principal is an administrator."""
        entity = self._requests.engine.snapshot.tables.entities[arn]
        return [Asked(arn, probe.action, filled(probe.resource, entity)) for probe in PROBES]

    def with_all(
        self, requests: Requests, entity: Entity, *, policies: tuple[Policy, ...] = (_ALL,), is_new: bool = False
    ) -> tuple[int, bool]:
        """Whether a principal with more policies is an administrator, and whether its other policies still deny it something.

        A new principal has no other policies and no boundary.
        """
        key = (entity.account if is_new else entity.arn, entity.groups, policies)
        if key not in self._with_all:
            profile = requests.profile(entity.arn)
            own = () if is_new else profile.identity_policies
            profile = replace(profile, identity_policies=own + policies)
            if is_new:
                profile = replace(profile, boundary=None, bounded=False)
            strength = min(requests.strength_of_profile(profile, each.action, filled(each.resource, entity)) for each in PROBES)
            self._with_all[key] = strength, strength != NO and not _allows_everything(requests, profile, entity)
        return self._with_all[key]

    # -- limits -------------------------------------------------------------------------------------------------------

    def _is_unlimited(self, entity: Entity) -> bool:
        requests = self._requests
        names = [entity.arn]
        if entity.kind in ROLES:  # the name of the session may be the only unknown value
            names.append(requests.session_of(entity.arn))
        return any(_allows_everything(requests, requests.engine.snapshot.principal(name), entity) for name in names)


def _allows_everything(requests: Requests, profile: PrincipalProfile, entity: Entity) -> bool:
    probes = [(probe.action, filled(probe.resource, entity)) for probe in PROBES]
    return all(_is_free(requests, profile, *pair) for pair in dict.fromkeys((*probes, *_limits(profile))))


def _is_free(requests: Requests, profile: PrincipalProfile, action: str, resource: str) -> bool:
    """Whether no policy of the principal keeps it from a request."""
    try:
        explained = requests.explained(profile, action, resource)
    except (RequestValueError, PolicyError):
        return True  # no principal can make the request
    if explained.decision.outcome in _DENIED:
        return explained.decision.layer not in _OF_PRINCIPAL
    return all(each.ref.layer not in _OF_PRINCIPAL for each in explained.residual_statements)


def _limits(profile: PrincipalProfile) -> Iterator[tuple[str, str]]:
    """Requests that represent what the policies of a principal deny or leave out."""
    for statement in statements_of((*profile.identity_policies, *(profile.boundary or ()))):
        if statement.effect is Effect.ALLOW and not statement.not_action and not statement.not_resource:
            continue  # without it, a probe is not allowed
        is_deny = statement.effect is Effect.DENY
        actions = [_ACTION] if is_deny and statement.not_action else list(actions_of(statement))
        resources = ["*"] if is_deny and statement.not_resource else list(resources_in([statement], profile.keys))
        if not is_deny and statement.not_action and statement.not_resource:
            yield from ((action, "*") for action in actions)
            yield from ((_ACTION, resource) for resource in resources)
        else:
            yield from product(actions, resources)
