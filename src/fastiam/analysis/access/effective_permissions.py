"""The effective permissions of a principal: grants, limited by the other layers, with the Denies that intersect them.

A grant is a set of actions and a set of resources. INVARIANT: each allowed request of the principal is in some grant. A request
in a grant is allowed if the conditions of the grant hold, one statement of each of its limits applies, none of its Denies
applies, and the rules that no policy changes allow it (spec 6.3, 7.4).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from fastiam.analysis.access.applicable_statements import (
    EVERYTHING,
    ApplicableStatement,
    StatementReader,
    as_possible_deny,
    restricted_to_governed,
)
from fastiam.analysis.access.grant_pieces import GrantPiece, LimitLevel, limited_pieces
from fastiam.analysis.access.grants import Grant, GrantStatement, Limit
from fastiam.analysis.pattern_sets import PatternSet, action_pattern_set, resource_pattern_set
from fastiam.model.arn import split_arn
from fastiam.model.decision import Layer, StatementRef
from fastiam.model.policy import ConditionEntry, Effect
from fastiam.model.principal_layers import principal_layers
from fastiam.model.profile import (
    NEED_SESSION_POLICIES,
    PROVIDER_CALLS,
    ROLES,
    ROOTS,
    Levels,
    PrincipalKind,
    PrincipalProfile,
    Settings,
)
from fastiam.model.request import ContextValue
from fastiam.resolve.snapshot import Snapshot
from fastiam.spec.layers import WITH_IDENTITY, WITHOUT_ACCOUNT

_Terms = tuple[tuple[ConditionEntry, ...], tuple[Limit, ...], tuple[GrantStatement, ...], bool]
_NO_STATEMENT = StatementRef(Layer.IDENTITY, 0, "", 0)


def _action_set(*patterns: str) -> tuple[PatternSet, ...]:
    return tuple(found for pattern in patterns if (found := action_pattern_set(pattern)) is not None)


def _level_of_actions(*patterns: str) -> LimitLevel:
    """Return a level that allows some actions and nothing else."""
    statement = ApplicableStatement(_NO_STATEMENT, _action_set(*patterns), (EVERYTHING,), False, False, (), True)
    return LimitLevel(Layer.RESOURCE, 0, (statement,))


_TRUST_ACTIONS = _action_set(
    "sts:assumerole", "sts:assumerolewithsaml", "sts:assumerolewithwebidentity", "sts:tagsession", "sts:setsourceidentity"
)
_ALL_TRUST_CALLS = _level_of_actions("sts:Assume*", "sts:TagSession", "sts:SetSourceIdentity")
_ASSUME_AND_TAG, _SET_SOURCE_IDENTITY = (
    _level_of_actions("sts:Assume*", "sts:TagSession"),
    _level_of_actions("sts:SetSourceIdentity"),
)
_PROVIDER_CALLS = {
    kind: _level_of_actions(call, "sts:TagSession", "sts:SetSourceIdentity") for call, kind in PROVIDER_CALLS.items()
}
_KMS_ACTIONS = action_pattern_set("kms:*") or EVERYTHING
_KMS_KEYS = resource_pattern_set("arn:*:kms:*:*:key/*", False, {}, frozenset()) or EVERYTHING
_ROLES = resource_pattern_set("arn:*:iam::*:role/*", False, {}, frozenset()) or EVERYTHING


@dataclass(frozen=True)
class _ResourcePolicy:
    """The policies of one resource, as far as they can apply to the principal."""

    arn: str
    is_own: bool  # the account of the principal owns the resource
    allows: list[ApplicableStatement]
    denies: list[ApplicableStatement]


class EffectivePermissions:
    """The layers of one principal, combined into grants. `given` and `absent` are keys that the program passes."""

    def __init__(
        self,
        snapshot: Snapshot,
        profile: PrincipalProfile,
        settings: Settings,
        given: Mapping[str, ContextValue],
        absent: frozenset[str],
    ) -> None:
        self._snapshot, self._profile, self._settings = snapshot, profile, settings
        self._reader = StatementReader(profile, given, absent)
        self._denies: list[ApplicableStatement] = []  # of the principal policies
        self._rcp_denies: dict[str, list[ApplicableStatement]] = {}  # by account
        kind, layers = profile.kind, principal_layers(profile)
        (self._identity,) = self._read_layer(Layer.IDENTITY, layers[Layer.IDENTITY])
        self._boundary = self._read_layer(Layer.BOUNDARY, layers.get(Layer.BOUNDARY, ()))
        needs_session_policy = kind in NEED_SESSION_POLICIES
        self._session = self._read_layer(Layer.SESSION, layers.get(Layer.SESSION, ((),) if needs_session_policy else ()))
        if kind is PrincipalKind.AROOT and profile.session_policies:
            self._session = ()  # the Denies of its task policy limit it, no Allow is needed (6.1)
        scps = None if kind is PrincipalKind.SLR else layers.get(Layer.SCP)
        self._scps = () if scps is None else self._read_layer(Layer.SCP, scps or ((),))
        self._needs_identity = kind in WITH_IDENTITY and not profile.issuer_root

    def grants(self) -> Iterator[Grant]:
        """Yield all grants: those of the principal's identity policies first, then those of resource policies."""
        profile = self._profile
        if not profile.known:
            return
        resources, rcp_denies = list(self._resource_policies()), self._denies_of_rcps(profile.account)
        if profile.kind not in WITHOUT_ACCOUNT:
            own = [resource for resource in resources if resource.is_own]
            possible = [as_possible_deny(deny, resource.arn) for resource in own for deny in resource.denies]
            denies = [*self._denies, *rcp_denies, *possible]
            limits = (*self._scps, *self._boundary, *self._session)
            if self._needs_identity:
                for statement in self._identity.allows:
                    yield from self._grants_of(statement, limits, denies, Layer.IDENTITY)
            else:
                everything = ApplicableStatement(_NO_STATEMENT, (EVERYTHING,), (EVERYTHING,), False, False, (), True)
                for grant in self._grants_of(everything, limits, denies, Layer.IDENTITY):
                    yield replace(grant, statement=None)
        for resource in resources:
            denies = [*self._denies, *(rcp_denies if resource.is_own else ()), *resource.denies]
            for statement in resource.allows:
                for limits in self._limits_by_call(statement, resource):
                    for grant in self._grants_of(statement, limits, denies, Layer.RESOURCE):
                        yield replace(grant, holder=resource.arn)

    # -- the layers that limit a grant ------------------------------------------------------------------------------------

    def _limits_by_call(self, statement: ApplicableStatement, resource: _ResourcePolicy) -> Iterator[tuple[LimitLevel, ...]]:
        """Yield the levels that limit an Allow of a resource policy. A trust policy decides its STS calls by separate rules."""
        kind, own = self._profile.kind, resource.is_own
        is_trust = self._snapshot.facts(resource.arn).governs == "trust"
        calls = [(_ALL_TRUST_CALLS, own)]
        if is_trust and own and kind in ROLES:  # D30
            calls = [(_ASSUME_AND_TAG, own), (_SET_SOURCE_IDENTITY, False)]
        if "*" not in statement.classes and kind in _PROVIDER_CALLS:  # V36
            calls = [(_PROVIDER_CALLS[kind], own)]
        for level, is_same_account in calls:
            found = self._limits_of(statement, resource.arn, is_same_account)
            if found is not None:
                yield (level, *found) if is_trust else found

    def _limits_of(self, statement: ApplicableStatement, arn: str, is_same_account: bool) -> tuple[LimitLevel, ...] | None:
        """Return the levels that must allow in addition to a resource policy (6.4, 6.5); None if its Allow has no effect."""
        kind, identity = self._profile.kind, (self._identity,) if self._needs_identity else ()
        if kind in WITHOUT_ACCOUNT:
            service = arn.split(":")[2]
            return None if kind is PrincipalKind.ANON and service not in self._settings.anonymous_services else ()
        limits = (*self._scps, *self._boundary, *self._session)
        if not is_same_account:
            return (*limits, *identity)
        if kind in ROOTS:
            return limits
        if "D" in statement.classes or "*" in statement.classes and kind is not PrincipalKind.FED:
            return self._scps
        if "R" in statement.classes or "P" in statement.classes:
            return limits
        return (*limits, *identity) if _needs_resource_policy(arn, self._settings) else None

    # -- grants -------------------------------------------------------------------------------------------------------------

    def _grants_of(
        self, statement: ApplicableStatement, limits: Iterable[LimitLevel], denies: list[ApplicableStatement], layer: Layer
    ) -> Iterator[Grant]:
        """Yield the grants of one Allow. Pieces with the same conditions, limits and Denies form one grant."""
        if statement.not_actions or statement.not_resources:
            yield from self._inverted_grant(statement, tuple(limits), denies, layer)
            return
        pieces = [GrantPiece(a, r, statement.conditions) for a in statement.actions for r in statement.resources]
        found: dict[_Terms, dict[str, dict[str, None]]] = {}
        for piece in limited_pieces(pieces, limits):
            if any(deny.covers(piece.action, piece.resource) for deny in denies):
                continue
            denied = tuple(deny.as_grant_statement() for deny in denies if deny.intersects(piece.action, piece.resource))
            is_needed = layer is Layer.IDENTITY and self._may_need_resource_policy(piece.action, piece.resource)
            terms = piece.conditions, piece.limits, denied, is_needed
            found.setdefault(terms, {}).setdefault(piece.action.text, {})[piece.resource.text] = None
        for terms, by_action in found.items():
            by_resources: dict[tuple[str, ...], list[str]] = {}
            for action, resources in by_action.items():
                by_resources.setdefault(tuple(resources), []).append(action)
            for texts, actions in by_resources.items():
                yield Grant(tuple(actions), texts, layer, statement.ref, False, False, *terms)

    def _inverted_grant(
        self, statement: ApplicableStatement, limits: tuple[LimitLevel, ...], denies: list[ApplicableStatement], layer: Layer
    ) -> Iterator[Grant]:
        """Yield the grant of an Allow with `NotAction` or `NotResource`: one grant, whose limits are not inserted into it."""
        pairs = [
            (action, resource)
            for action in ((EVERYTHING,) if statement.not_actions else statement.actions)
            for resource in ((EVERYTHING,) if statement.not_resources else statement.resources)
        ]
        limited_by: list[Limit] = []
        for level in limits:
            relevant = [one for one in level.allows if any(one.intersects(*pair) for pair in pairs)]
            if not relevant:
                return
            if not any(all(one.covers(*pair) for pair in pairs) for one in relevant):
                limited_by.append(level.as_limit(relevant))
        if any(all(deny.covers(*pair) for pair in pairs) for deny in denies):
            return
        denied_by = tuple(deny.as_grant_statement() for deny in denies if any(deny.intersects(*pair) for pair in pairs))
        is_needed = layer is Layer.IDENTITY and any(self._may_need_resource_policy(*pair) for pair in pairs)
        form = statement.as_grant_statement()
        yield Grant(
            form.actions, form.resources, layer, statement.ref, statement.not_actions, statement.not_resources,
            statement.conditions, tuple(limited_by), denied_by, is_needed,
        )  # fmt: skip

    def _may_need_resource_policy(self, action: PatternSet, resource: PatternSet) -> bool:
        """Whether some request of these sets also needs the policy of the resource in the same account (6.3)."""
        services = _action_set(*(f"{name}:*" for name in self._settings.resource_policy_services))
        return (
            any(map(action.intersects, services))
            or (resource.intersects(_KMS_KEYS) and (action.intersects(_KMS_ACTIONS) or resource.is_subset_of(_KMS_KEYS)))
            or (resource.intersects(_ROLES) and any(map(action.intersects, _TRUST_ACTIONS)))
        )

    # -- policies -----------------------------------------------------------------------------------------------------------

    def _read_layer(self, layer: Layer, levels: Levels) -> tuple[LimitLevel, ...]:
        """Read the levels of a layer of the principal, and add its Denies to those of all grants."""
        found = []
        for number, policies in enumerate(levels):
            allows: list[ApplicableStatement] = []
            for effect, statement in self._reader.read_all(policies, layer, number):
                (self._denies if effect is Effect.DENY else allows).append(statement)
            found.append(LimitLevel(layer, number, tuple(allows)))
        return tuple(found)

    def _denies_of_rcps(self, account: str | None) -> list[ApplicableStatement]:
        """Return the Denies of RCPs on the resources of an account. None is certain: RCPs apply to some services only."""
        if account is None or self._profile.kind is PrincipalKind.SLR:
            return []
        found = self._rcp_denies.get(account)
        if found is None:
            found = self._rcp_denies[account] = []
            for level, policies in enumerate(self._snapshot.account_facts(account).rcps or ()):
                statements = self._reader.read_all(policies, Layer.RCP, level, Effect.DENY)
                found += (replace(statement, is_certain=False) for _, statement in statements)
        return found

    def _resource_policies(self) -> Iterator[_ResourcePolicy]:
        """Yield the resources whose policies can apply to the principal."""
        kind, account = self._profile.kind, self._profile.account
        for arn in (*(arn for arn, _ in self._snapshot.resources()), *self._snapshot.entity_resources()):
            facts = self._snapshot.facts(arn)
            if not facts.policies or (facts.governs == "service" and kind is not PrincipalKind.SVC):
                continue
            owner = facts.account or arn.split(":", 5)[4]
            is_own = (owner or account) == account is not None
            allows: list[ApplicableStatement] = []
            denies: list[ApplicableStatement] = []
            for effect, statement in self._reader.read_all(facts.policies, Layer.RESOURCE, 0):
                (denies if effect is Effect.DENY else allows).append(restricted_to_governed(statement, arn))
            if facts.blocks_public and not is_own and kind is not PrincipalKind.SVC:  # D33
                allows = []
            if not is_own and owner:
                denies += self._denies_of_rcps(owner)
            yield _ResourcePolicy(arn, is_own, allows, denies)


def _needs_resource_policy(arn: str, settings: Settings) -> bool:
    """Whether requests on a resource need its policy even in the same account (6.3)."""
    parts = split_arn(arn)
    if parts is None:
        return False
    is_role = parts.service == "iam" and parts.rest.startswith("role/")
    is_key = parts.service == "kms" and parts.rest.startswith("key/")
    return is_role or is_key or parts.service in settings.resource_policy_services
