"""What a principal can in effect: its grants, cut by the layers that limit them, with the Denies that reach into them.

A grant is a rectangle of actions and resources. Law: a request of the principal that is allowed lies in the rectangle of some
row; and a request in a row's rectangle is allowed if the row's conditions hold, one statement of each of its limits applies, none
of its Denies does, and the rules that no policy changes let it (spec 6.3, 7.4).
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fastiam.analysis.grants import Grant, GrantStatement, Limit
from fastiam.analysis.pattern_sets import PatternSet, action_pattern_set, resource_pattern_set
from fastiam.model.arn import split_arn
from fastiam.model.decision import Layer, StatementRef
from fastiam.model.policy import ConditionEntry, Effect, Policy, PrincipalEntry, Statement
from fastiam.model.profile import Levels, PrincipalKind, PrincipalProfile, Settings
from fastiam.model.request import ContextValue
from fastiam.policy.wildcards import matches_everything
from fastiam.resolve.snapshot import Snapshot
from fastiam.spec.conditions import check_entry
from fastiam.spec.layers import WITH_IDENTITY, WITHOUT_ACCOUNT
from fastiam.spec.principal_elements import check_principals
from fastiam.spec.principals import make_asker
from fastiam.spec.statement_trace import View
from fastiam.spec.three_valued import F, T

if TYPE_CHECKING:
    from fastiam.model.profile import Policies

_Terms = tuple[tuple[ConditionEntry, ...], tuple["Limit", ...], tuple["GrantStatement", ...], bool]
_MAX_PIECES = 64  # a grant that limits would cut into more stays whole, with the limits beside it
_TRUST = "sts:assumerole sts:assumerolewithsaml sts:assumerolewithwebidentity sts:tagsession sts:setsourceidentity".split()
_ALL = PatternSet("*", ())


@dataclass(frozen=True)
class _ParsedStatement:
    """A statement as this principal meets it: regions, and what is open of its conditions."""

    ref: StatementRef
    actions: tuple[PatternSet, ...]
    resources: tuple[PatternSet, ...]
    not_actions: bool
    not_resources: bool
    conditions: tuple[ConditionEntry, ...]
    is_certain: bool  # no doubt of rules (`U`) beside its conditions
    classes: str = ""

    def intersects(self, action: PatternSet, resource: PatternSet) -> bool:
        """Whether it may apply to some request of a rectangle."""
        return _intersect(self.actions, self.not_actions, action) and _intersect(self.resources, self.not_resources, resource)

    def covers(self, action: PatternSet, resource: PatternSet) -> bool:
        """Whether it applies to every request of a rectangle."""
        if self.conditions or not self.is_certain:
            return False
        return _covers(self.actions, self.not_actions, action) and _covers(self.resources, self.not_resources, resource)

    def as_grant_statement(self) -> GrantStatement:
        texts = tuple(pattern_set.text for pattern_set in self.actions), tuple(pattern_set.text for pattern_set in self.resources)
        return GrantStatement(self.ref, *texts, self.not_actions, self.not_resources, self.conditions)


def _intersect(pattern_sets: tuple[PatternSet, ...], inverted: bool, pattern_set: PatternSet) -> bool:
    if inverted:
        return not any(pattern_set.is_subset_of(one) for one in pattern_sets)
    return any(pattern_set.intersects(one) for one in pattern_sets)


def _covers(pattern_sets: tuple[PatternSet, ...], inverted: bool, pattern_set: PatternSet) -> bool:
    if inverted:
        return not any(pattern_set.intersects(one) for one in pattern_sets)
    return any(pattern_set.is_subset_of(one) for one in pattern_sets)


@dataclass(frozen=True)
class _Layer:
    """The statements of one layer or level, Allows and Denies apart."""

    layer: Layer
    level: int
    allows: tuple[_ParsedStatement, ...]


@dataclass
class _GrantPiece:
    """A rectangle on its way through the layers."""

    action: PatternSet
    resource: PatternSet
    conditions: tuple[ConditionEntry, ...]
    limits: tuple[Limit, ...] = ()


class _UnknownKeys(Container[str]):
    """Every key that neither the principal nor the caller tells."""

    def __init__(self, keys: Mapping[str, ContextValue], absent: frozenset[str]) -> None:
        self._keys, self._absent = keys, absent
        self._prefixes = tuple(key for key in absent if key.endswith("/"))

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and not (key in self._keys or key in self._absent or key.startswith(self._prefixes))

    def __bool__(self) -> bool:
        return True


class EffectivePermissions:
    """The layers of one principal, read once."""

    def __init__(
        self,
        snapshot: Snapshot,
        profile: PrincipalProfile,
        settings: Settings,
        given: Mapping[str, ContextValue],
        absent: frozenset[str],
    ) -> None:
        self._snapshot, self._profile, self._settings = snapshot, profile, settings
        self._keys = {**{k: v for k, v in profile.keys.items() if k not in profile.open_keys}, **given}
        self._absent = profile.absent_keys | absent
        self._unknown = _UnknownKeys(self._keys, self._absent)
        self._request_principal = make_asker(profile, profile.partition or "aws", given)
        self._denies: list[_ParsedStatement] = []
        self._rcps: dict[str, list[_ParsedStatement]] = {}
        kind = profile.kind
        self._identity = self._read_layer(Layer.IDENTITY, 0, profile.identity_policies, grants=kind in WITH_IDENTITY)
        self._boundary = self._limit(Layer.BOUNDARY, profile.boundary, mandatory=False)
        session_needed = kind in (PrincipalKind.FED, PrincipalKind.AROOT)
        self._session = self._limit(Layer.SESSION, profile.session_policies, mandatory=session_needed)
        if kind is PrincipalKind.AROOT and profile.session_policies:
            self._session = ()  # the Denies of its task policy limit it, no Allow is needed (6.1)
        self._scps = self._levels(profile.scps)
        self._needs_identity = kind in WITH_IDENTITY and not profile.issuer_root

    # -- rows -----------------------------------------------------------------------------------------------------------

    def grants(self) -> Iterator[Grant]:
        """All rows."""
        profile = self._profile
        if not profile.known:
            return
        resources, rcps = list(self._resource_policies()), self._rcps_of(profile.account)
        if profile.kind not in WITHOUT_ACCOUNT:
            denies = [
                *self._denies,
                *rcps,
                *(_as_uncertain_deny(arn, one) for arn, own, _, denying in resources if own for one in denying),
            ]
            limits = (*self._scps, *self._boundary, *self._session)
            if self._needs_identity:
                for read in self._identity.allows:
                    yield from self._grants_of(read, limits, denies, Layer.IDENTITY)
            else:
                everything = _ParsedStatement(_NO_STATEMENT, (_ALL,), (_ALL,), False, False, (), True)
                yield from (replace(row, statement=None) for row in self._grants_of(everything, limits, denies, Layer.IDENTITY))
        for arn, own, allows, denying in resources:
            against = [*self._denies, *(rcps if own else ()), *denying]
            for read in allows:
                for limited in self._limits_by_call(read, arn, own):
                    yield from (replace(row, holder=arn) for row in self._grants_of(read, limited, against, Layer.RESOURCE))

    def _limits_by_call(self, read: _ParsedStatement, arn: str, own: bool) -> Iterator[tuple[_Layer, ...]]:
        """The layers that limit the grant of a resource policy, once for each of the ways that its actions are decided."""
        is_trust = self._snapshot.facts(arn).governs == "trust"
        chained = is_trust and own and self._profile.kind in (PrincipalKind.ROLE, PrincipalKind.SLR)  # D30
        ways = ((_TRUST_CALLS, own), (_CHAINED_CALLS, False)) if chained else ((_ALL_TRUST_CALLS, own),)
        if "*" not in read.classes and self._profile.kind in _PROVIDER_CALLS:  # V36
            ways = ((_PROVIDER_CALLS[self._profile.kind], own),)
        for calls, alike in ways:
            found = self._limits_of(read, arn, alike)
            if found is not None:
                yield (calls, *found) if is_trust else found

    def _limits_of(self, read: _ParsedStatement, arn: str, own: bool) -> tuple[_Layer, ...] | None:
        """The layers that have to allow beside the grant of a resource policy (6.4, 6.5); None where it adds nothing."""
        kind, identity = self._profile.kind, (self._identity,) if self._needs_identity else ()
        if kind in WITHOUT_ACCOUNT:
            service = arn.split(":")[2]
            return None if kind is PrincipalKind.ANON and service not in self._settings.anonymous_services else ()
        both = (*self._scps, *self._boundary, *self._session)
        if not own:
            return (*both, *identity)
        if kind in (PrincipalKind.ROOT, PrincipalKind.AROOT):
            return both
        if "D" in read.classes or "*" in read.classes and kind is not PrincipalKind.FED:
            return self._scps
        if "R" in read.classes or "P" in read.classes:
            return both
        return (*both, *identity) if _is_required(arn, self._settings) else None

    def _grants_of(
        self, read: _ParsedStatement, limits: Iterable[_Layer], denies: list[_ParsedStatement], layer: Layer
    ) -> Iterator[Grant]:
        """The rows of one grant: its rectangles cut by the limits, those that meet the same put together again."""
        if read.not_actions or read.not_resources:
            yield from self._inverted_grant(read, tuple(limits), denies, layer)
            return
        pieces = [_GrantPiece(a, r, read.conditions) for a in read.actions for r in read.resources]
        for limit in limits:
            cut = [piece for one in pieces for piece in _restrict(one, limit)]
            if len(cut) > _MAX_PIECES + len(pieces):
                cut = [piece for one in pieces for piece in _with_limit(one, limit)]
            pieces = cut
        found: dict[_Terms, dict[str, dict[str, None]]] = {}
        for piece in pieces:
            if any(deny.covers(piece.action, piece.resource) for deny in denies):
                continue
            denied = tuple(deny.as_grant_statement() for deny in denies if deny.intersects(piece.action, piece.resource))
            needs = layer is Layer.IDENTITY and self._is_needed(piece.action, piece.resource)
            terms = piece.conditions, piece.limits, denied, needs
            found.setdefault(terms, {}).setdefault(piece.action.text, {})[piece.resource.text] = None
        for terms, by_action in found.items():
            by_resources: dict[tuple[str, ...], list[str]] = {}
            for action, resources in by_action.items():
                by_resources.setdefault(tuple(resources), []).append(action)
            for told, actions in by_resources.items():
                yield Grant(tuple(actions), told, layer, read.ref, False, False, *terms)

    def _inverted_grant(
        self, read: _ParsedStatement, limits: tuple[_Layer, ...], denies: list[_ParsedStatement], layer: Layer
    ) -> Iterator[Grant]:
        """A grant of everything but some: one row, with what meets it beside it."""
        whole = [
            (action, resource)
            for action in ((_ALL,) if read.not_actions else read.actions)
            for resource in ((_ALL,) if read.not_resources else read.resources)
        ]
        beside: list[Limit] = []
        for limit in limits:
            meeting = tuple(one for one in limit.allows if any(one.intersects(*rectangle) for rectangle in whole))
            if not meeting:
                return
            if not any(all(one.covers(*rectangle) for rectangle in whole) for one in meeting):
                beside.append(Limit(limit.layer, limit.level, tuple(one.as_grant_statement() for one in meeting)))
        denied = tuple(deny.as_grant_statement() for deny in denies if any(deny.intersects(*rectangle) for rectangle in whole))
        if any(all(deny.covers(*rectangle) for rectangle in whole) for deny in denies):
            return
        told = read.as_grant_statement()
        yield Grant(
            told.actions, told.resources, layer, read.ref, read.not_actions, read.not_resources, read.conditions, tuple(beside),
            denied, layer is Layer.IDENTITY and any(self._is_needed(*rectangle) for rectangle in whole),
        )  # fmt: skip

    def _is_needed(self, action: PatternSet, resource: PatternSet) -> bool:
        """Whether some of a rectangle needs the policy of the resource in the same account too (6.3)."""
        services = [
            pattern_set for name in self._settings.resource_policy_services if (pattern_set := action_pattern_set(f"{name}:*"))
        ]
        return (
            any(action.intersects(pattern_set) for pattern_set in services)
            or (resource.intersects(_KEYS) and (action.intersects(_KMS) or resource.is_subset_of(_KEYS)))
            or (resource.intersects(_ROLES) and any(action.intersects(pattern_set) for pattern_set in _TRUST_REGIONS))
        )

    # -- layers ---------------------------------------------------------------------------------------------------------

    def _limit(self, layer: Layer, policies: Policies | None, *, mandatory: bool) -> tuple[_Layer, ...]:
        """A limiting layer, where the kind has it or it is there (D6)."""
        if policies is None and not mandatory:
            return ()
        return (self._read_layer(layer, 0, policies or ()),)

    def _levels(self, levels: Levels | None) -> tuple[_Layer, ...]:
        if levels is None or self._profile.kind is PrincipalKind.SLR:
            return ()
        if not levels:
            return (_Layer(Layer.SCP, 0, ()),)
        return tuple(self._read_layer(Layer.SCP, level, policies) for level, policies in enumerate(levels))

    def _read_layer(self, layer: Layer, level: int, policies: Policies, *, grants: bool = True) -> _Layer:
        """A layer of the principal's own; its Denies are kept for all rows."""
        allows = []
        for policy in policies:
            for statement in policy.statements:
                read = self._read(statement, policy, layer, level)
                if read is not None and statement.effect is Effect.DENY:
                    self._denies.append(read)
                elif read is not None and grants:
                    allows.append(read)
        return _Layer(layer, level, tuple(allows))

    def _rcps_of(self, account: str | None) -> list[_ParsedStatement]:
        """The Denies of RCPs on an account's resources; which services they reach is left open."""
        if account is None or self._profile.kind is PrincipalKind.SLR:
            return []
        found = self._rcps.get(account)
        if found is None:
            found = self._rcps[account] = []
            for level, policies in enumerate(self._snapshot.account_facts(account).rcps or ()):
                read = self._read_all(policies, Layer.RCP, level, Effect.DENY)
                found += (replace(one, is_certain=False) for one in read)
        return found

    def _resource_policies(self) -> Iterator[tuple[str, bool, list[_ParsedStatement], list[_ParsedStatement]]]:
        """Resources with policies: ARN, whether the principal's account owns them, Allows and Denies that reach the principal."""
        for arn in (*(arn for arn, _ in self._snapshot.resources()), *self._snapshot.entity_resources()):
            facts = self._snapshot.facts(arn)
            if not facts.policies or (facts.governs == "service" and self._profile.kind is not PrincipalKind.SVC):
                continue
            field = arn.split(":", 5)[4]
            own = (facts.account or field or self._profile.account) == self._profile.account is not None
            shut = facts.blocks_public and not own and self._profile.kind is not PrincipalKind.SVC  # D33
            denies = [self._governed_part(read, arn) for read in self._read_all(facts.policies, Layer.RESOURCE, 0, Effect.DENY)]
            allows = [] if shut else self._read_all(facts.policies, Layer.RESOURCE, 0, Effect.ALLOW)
            owner = facts.account or field
            if not own and owner:
                denies += self._rcps_of(owner)
            yield arn, own, [self._governed_part(read, arn) for read in allows], denies

    def _governed_part(self, read: _ParsedStatement, arn: str) -> _ParsedStatement:
        """A statement of a resource policy: of its resources those that the policy can govern (D62)."""
        if read.not_resources:
            return read
        held = []
        for pattern_set in read.resources:
            below = [small for small in _governed_patterns(arn) if small.is_subset_of(pattern_set)]
            held += (
                below
                if not pattern_set.parts or below
                else [pattern_set]
                if any(map(pattern_set.intersects, _governed_patterns(arn)))
                else []
            )
        return replace(read, resources=tuple(held))

    def _read_all(self, policies: Policies, layer: Layer, level: int, effect: Effect) -> list[_ParsedStatement]:
        found = []
        for policy in policies:
            for statement in policy.statements:
                if statement.effect is effect:
                    read = self._read(statement, policy, layer, level)
                    if read is not None:
                        found.append(read)
        return found

    def _read(self, statement: Statement, policy: Policy, layer: Layer, level: int) -> _ParsedStatement | None:
        """A statement as the principal meets it; None where it never applies to one of its requests."""
        is_deny = statement.effect is Effect.DENY
        if statement.undetermined and not is_deny:
            return None
        classes = ""
        is_certain = not statement.undetermined
        if layer in (Layer.RESOURCE, Layer.RCP):
            if (
                statement.principals is not None
                and not statement.not_principal
                and not any(map(self._may_name_principal, statement.principals))
            ):
                return None
            match = check_principals(statement, policy, self._request_principal, False, View(self._keys, self._unknown, True))
            classes = match.classes
            if match.result is F or not is_deny and match.result is not T:
                return None
            sure = check_principals(statement, policy, self._request_principal, False, View(self._keys, self._unknown, False))
            is_certain = is_certain and sure.result is match.result
        conditions = self._residual_conditions(statement, policy.variables, is_deny)
        if conditions is None:
            return None
        pattern_sets = [action_pattern_set(pattern) for pattern in statement.actions or ()]
        if None in pattern_sets and not is_deny:
            if statement.not_action:
                return None  # A5
        elif None in pattern_sets:
            pattern_sets, is_certain = [_ALL], False
            statement = replace(statement, not_action=False)
        actions = (
            tuple(pattern_set for pattern_set in pattern_sets if pattern_set is not None)
            if statement.actions is not None
            else (_ALL,)
        )
        resources = self._resources(statement, policy.variables, is_deny)
        if resources is None or not (actions and resources) and not (statement.not_action or statement.not_resource):
            return None
        ref = StatementRef.of(policy, statement, layer, level)
        return _ParsedStatement(
            ref, actions, resources, statement.not_action, statement.not_resource, conditions, is_certain, classes
        )

    def _may_name_principal(self, entry: PrincipalEntry) -> bool:
        """Whether a principal entry may name the principal, by its text alone: most of an organization's name somebody else."""
        account = self._profile.account
        if account is None or entry.type not in ("AWS", "Service"):
            return True
        if entry.type == "Service":
            return _SERVICE_NAME.fullmatch(entry.value) is None
        return account in entry.value or _OF_AN_ACCOUNT.fullmatch(entry.value) is None

    def _resources(self, statement: Statement, variables: bool, is_deny: bool) -> tuple[PatternSet, ...] | None:
        if statement.resources is None:
            return (_ALL,)
        strictly = not is_deny and not statement.not_resource
        pattern_sets = [
            resource_pattern_set(one, variables, self._keys, self._absent, grants=strictly) for one in statement.resources
        ]
        if statement.not_resource and None in pattern_sets and not is_deny:
            return None  # VR8: undetermined, so that an Allow does not apply
        if is_deny and not statement.not_resource and not all(map(_is_pattern, statement.resources)):
            return (_ALL,)  # V25: undetermined, so that a Deny applies
        return tuple(pattern_set for pattern_set in pattern_sets if pattern_set is not None)

    def _residual_conditions(self, statement: Statement, variables: bool, is_deny: bool) -> tuple[ConditionEntry, ...] | None:
        """The conditions that may come out either way; None where one never lets the statement apply."""
        found = []
        for entry in statement.conditions:
            best = check_entry(entry, variables, View(self._keys, self._unknown, True))
            worst = check_entry(entry, variables, View(self._keys, self._unknown, False))
            if best is F or not is_deny and best is not T:
                return None
            if worst is F or not is_deny and worst is not T:
                found.append(entry)
        return tuple(found)


def _is_pattern(text: str) -> bool:
    return text.startswith("arn:") or matches_everything(text)


def _governed_patterns(arn: str) -> tuple[PatternSet, ...]:
    """What the policies stored under an ARN can govern (6.10), and more where no single pattern says it."""
    parts = split_arn(arn)
    texts = [arn]
    if parts is not None and parts.service in _GOVERNED_SUFFIXES:
        texts.append(arn + _GOVERNED_SUFFIXES[parts.service])
    elif parts is not None and parts.service in ("apigateway", "execute-api", "glue", "codeartifact"):
        texts.append(f"arn:{parts.partition}:*:{parts.region}:*:*")
    return tuple(pattern_set for text in texts if (pattern_set := resource_pattern_set(text, False, {}, frozenset())) is not None)


def _as_uncertain_deny(arn: str, deny: _ParsedStatement) -> _ParsedStatement:
    """A Deny of a resource's policy beside grants on all resources: it reaches what the policy governs, and covers nothing."""
    resources = _governed_patterns(arn) if deny.not_resources else deny.resources
    return replace(deny, resources=resources, not_resources=False, is_certain=False)


def _is_required(arn: str, settings: Settings) -> bool:
    parts = split_arn(arn)
    is_role = parts is not None and parts.service == "iam" and parts.rest.startswith("role/")
    is_key = parts is not None and parts.service == "kms" and parts.rest.startswith("key/")
    return is_role or is_key or (parts is not None and parts.service in settings.resource_policy_services)


def _restrict(piece: _GrantPiece, limit: _Layer) -> Iterator[_GrantPiece]:
    """What a limiting layer leaves of a piece: the narrower of two patterns wherever one lies within the other."""
    meeting = [one for one in limit.allows if one.intersects(piece.action, piece.resource)]
    if any(one.covers(piece.action, piece.resource) for one in meeting):
        yield piece
        return
    smaller: list[_GrantPiece] = []
    for one in meeting:
        cut = _intersection(piece, one)
        if cut is None:
            yield from _with_limit(piece, limit)
            return
        smaller += cut
    yield from smaller


def _with_limit(piece: _GrantPiece, limit: _Layer) -> Iterator[_GrantPiece]:
    """The piece whole, with the layer as a limit beside it, where it does not lie within it."""
    meeting = [one for one in limit.allows if one.intersects(piece.action, piece.resource)]
    if any(one.covers(piece.action, piece.resource) for one in meeting):
        yield piece
    elif meeting:
        told = Limit(limit.layer, limit.level, tuple(one.as_grant_statement() for one in meeting))
        yield replace(piece, limits=(*piece.limits, told))


def _intersection(piece: _GrantPiece, one: _ParsedStatement) -> list[_GrantPiece] | None:
    """The rectangles that a piece shares with a statement; None where they are no single patterns."""
    if one.not_actions or one.not_resources or not one.is_certain:
        return None
    actions = _common_patterns(piece.action, one.actions)
    resources = _common_patterns(piece.resource, one.resources)
    if actions is None or resources is None:
        return None
    conditions = (*piece.conditions, *(entry for entry in one.conditions if entry not in piece.conditions))
    return [_GrantPiece(action, resource, conditions, piece.limits) for action in actions for resource in resources]


def _common_patterns(pattern_set: PatternSet, others: tuple[PatternSet, ...]) -> list[PatternSet] | None:
    shared = []
    for other in others:
        if pattern_set.is_subset_of(other):
            return [pattern_set]
        if not pattern_set.intersects(other):
            continue
        if not other.is_subset_of(pattern_set):
            return None
        shared.append(other)
    return shared


_GOVERNED_SUFFIXES = {
    "s3": "/*", "lambda": ":*", "dynamodb": "/*", "sns": ":*", "logs": ":*", "kinesis": "/*", "es": "/*", "acm-pca": "/*",
}  # fmt: skip
# entries that name one account, or a service, and nothing that is undetermined
_OF_AN_ACCOUNT = re.compile(r"[0-9]{12}|arn:aws[a-z-]*:iam::[0-9]{12}:(?:root|(?:user|role)/[\w+=,.@/-]+)")
_SERVICE_NAME = re.compile(r"[a-z0-9.-]+\.amazonaws\.com")
_NO_STATEMENT = StatementRef(Layer.IDENTITY, 0, "", 0)
_TRUST_REGIONS = tuple(pattern_set for name in _TRUST if (pattern_set := action_pattern_set(name)) is not None)


def _actions_only_layer(*patterns: str) -> _Layer:
    """A layer that allows some actions and nothing else."""
    actions = tuple(pattern_set for pattern in patterns if (pattern_set := action_pattern_set(pattern)) is not None)
    return _Layer(Layer.RESOURCE, 0, (_ParsedStatement(_NO_STATEMENT, actions, (_ALL,), False, False, (), True),))


_ALL_TRUST_CALLS = _actions_only_layer("sts:Assume*", "sts:TagSession", "sts:SetSourceIdentity")
_TRUST_CALLS, _CHAINED_CALLS = _actions_only_layer("sts:Assume*", "sts:TagSession"), _actions_only_layer("sts:SetSourceIdentity")
_PROVIDER_CALLS = {
    kind: _actions_only_layer(call, "sts:TagSession", "sts:SetSourceIdentity")
    for kind, call in ((PrincipalKind.SAML, "sts:AssumeRoleWithSAML"), (PrincipalKind.OIDC, "sts:AssumeRoleWithWebIdentity"))
}
_KMS = action_pattern_set("kms:*") or _ALL
_KEYS = resource_pattern_set("arn:*:kms:*:*:key/*", False, {}, frozenset()) or _ALL
_ROLES = resource_pattern_set("arn:*:iam::*:role/*", False, {}, frozenset()) or _ALL
