"""Proofs for policies that name principals: resource policies, trust policies and RCPs (H60, H74, H76).

What a resource policy gives is judged for principals whose own policies allow everything, and for those whose own policies allow
nothing: new access is a change in either. In the account of the resource, the class of the match decides which of the two (6.5).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from fastiam.analysis.proof.candidate_requests import (
    ACCOUNT,
    ALLOW_ALL,
    ALLOW_EVERYONE,
    OTHER_ACCOUNT,
    SETTINGS,
    Probe,
    Verified,
    make_request,
    newly_allowed,
)
from fastiam.analysis.proof.cells import Symbols
from fastiam.analysis.proof.formula import Formula, every, negation, some
from fastiam.analysis.proof.names import arn_symbols
from fastiam.analysis.proof.principal_classes import representatives
from fastiam.analysis.proof.search import ALWAYS_PRESENT, Applied, Candidate, Case, Gain, Scope, rcp_gain
from fastiam.analysis.proof.statement_formulas import BoundStatement
from fastiam.errors import RequestValueError
from fastiam.model.arn import is_account, split_arn
from fastiam.model.decision import Layer, StatementRef
from fastiam.model.explanation import Explanation
from fastiam.model.policy import Effect, PolicyKind
from fastiam.model.profile import (
    NEED_SESSION_POLICIES,
    PROVIDERS,
    RCP_SERVICES,
    ROLES,
    ROOTS,
    WITH_BOUNDARY,
    WITH_IDENTITY_POLICIES,
    WITHOUT_ACCOUNT,
    Policies,
    PrincipalKind,
    PrincipalProfile,
    ResourceProfile,
)
from fastiam.model.request import ContextValue
from fastiam.simulation.profiles import profiles_from_documents
from fastiam.spec.actions import split_action
from fastiam.spec.principal_elements import PrincipalMatch, check_principals
from fastiam.spec.principal_entries import make_request_principal
from fastiam.spec.service_rules import credential_forbids, is_always_allowed, needs_resource_policy
from fastiam.spec.statement_keys import StatementKeys
from fastiam.spec.three_valued import F, T

_TRUST_ACTIONS = ("assumerole", "assumerolewithsaml", "assumerolewithwebidentity", "tagsession", "setsourceidentity")
_NOT_NEEDED, _OF_ACCOUNT, _BY_ROLE, _DIRECT = 0, 1, 2, 3  # strengths of a grant in the account of the resource (6.5)
_STRENGTH = {"D": _DIRECT, "*": _DIRECT, "R": _BY_ROLE, "P": _BY_ROLE, "A": _OF_ACCOUNT}
# actions to which rules apply that are not those of policies (6.3, 7.4)
SPECIAL_ACTIONS = tuple(
    (text,)
    for text in (
        *(f"sts:{name}" for name in _TRUST_ACTIONS),
        "sts:assumeroot",
        "sts:getcalleridentity",
        "sts:getsessiontoken",
        "sts:getfederationtoken",
        "sts:getscopedcredentials",
        "sts:getdelegatedaccesstoken",
        "sts:getwebidentitytoken",
        "sts:*",
        "iam:*",
        "iam:passrole",
    )
)
_BUILT_IN_PROVIDERS = ("cognito-identity.amazonaws.com", "www.amazon.com", "graph.facebook.com", "accounts.google.com")


def scope_of(kind: PolicyKind, partitions: Collection[str], known_actions: bool) -> Scope:
    """Return the requests that a proof of a kind covers."""
    scope = Scope(tuple(partitions), ALWAYS_PRESENT, known_actions=known_actions)
    if kind is PolicyKind.TRUST:
        roles = tuple(arn_symbols(partition, "iam", "", "*", "role/?*") for partition in partitions)
        calls = tuple((f"sts:{name}",) for name in _TRUST_ACTIONS)
        return replace(scope, action_elements=calls, resources=roles, covers_action=_is_trust, has_star=False)
    if kind is PolicyKind.RCP:
        services = tuple(f"{service}:*" for service in sorted(RCP_SERVICES))
        return replace(
            scope, action_elements=(services, *SPECIAL_ACTIONS, ("kms:retiregrant",)), covers_action=_is_limited_by_rcps
        )
    anonymous = tuple(f"{service}:*" for service in sorted(SETTINGS.anonymous_services))
    keys = (arn_symbols("*", "kms", "*", "*", "key/*"), arn_symbols("*", "iam", "*", "*", "role/*"))
    return replace(scope, action_elements=(*SPECIAL_ACTIONS, anonymous), resource_patterns=keys, covers_action=_reads_policies)


def _is_trust(action: tuple[str, str]) -> bool:
    return action[0] == "sts" and action[1] in _TRUST_ACTIONS


def _is_limited_by_rcps(action: tuple[str, str]) -> bool:
    """D15 and D14."""
    return action[0] in RCP_SERVICES and action not in (("kms", "retiregrant"), ("sts", "getcalleridentity"))


def _reads_policies(action: tuple[str, str]) -> bool:
    return action != ("iam", "passrole")  # 6.3


@dataclass(frozen=True, slots=True)
class Principal:
    """A principal with its profile, and the context keys that principal elements read."""

    probe: Probe
    profile: PrincipalProfile
    given: Mapping[str, ContextValue]


def principals(statements: Sequence[BoundStatement], partitions: Collection[str]) -> list[Principal]:
    """Return principals that match the statements in each way that some principal does."""
    found = []
    for probe in representatives(statements, partitions):
        action = "sts:AssumeRoleWithWebIdentity" if probe.name in _BUILT_IN_PROVIDERS else "s3:GetObject"  # N3
        try:
            made, _, _, request = profiles_from_documents(probe.principal, action, "*", context=probe.context, mode="lenient")
        except RequestValueError:
            continue  # a text that is not a principal makes no request
        profile = replace(made, canonical_id=probe.canonical_id, bounded=probe.is_bounded)
        found.append(Principal(probe, profile, request.context))
    return found


def resource_patterns(found: Sequence[Principal]) -> tuple[Symbols, ...]:
    """Return patterns that separate the resources of each account."""
    accounts = dict.fromkeys(one.profile.account for one in found if one.profile.account)
    return tuple(arn_symbols("*", "*", "*", account, "*") for account in accounts)


def cases(
    kind: PolicyKind,
    policies: tuple[Policies, Policies],
    statements: tuple[Sequence[BoundStatement], Sequence[BoundStatement]],
    found: Sequence[Principal],
    *,
    granted: bool = False,
) -> Iterator[Case[Verified]]:
    """Yield a case for each way in which a principal matches the statements, new requests before stronger grants.

    `granted`: only requests that an Allow of the new statements applies to.
    """
    made: dict[object, tuple[Comparison, tuple[BoundStatement, ...], tuple[BoundStatement, ...]]] = {}
    for principal in found:
        one = Comparison(kind, policies, principal, granted=granted)
        old, new = (tuple(each for each in side if one.may_match(each)) for side in statements)
        name = (one.name, *((id(each), one.classes(each, "")) for each in (*old, *new)))
        made.setdefault(name, (one, old, new))
    strengths = ((_OF_ACCOUNT,),) if granted or kind is PolicyKind.RCP else ((_OF_ACCOUNT,), (_BY_ROLE, _DIRECT))
    for levels in strengths:
        for compared, before, after in made.values():
            for is_owner in (False, True):
                yield Case(before, after, compared.gain(levels, is_owner), compared.verifier(is_owner))


class Comparison:
    """Both sides for one principal. `granted` is that of `cases`."""

    def __init__(
        self, kind: PolicyKind, policies: tuple[Policies, Policies], principal: Principal, *, granted: bool = False
    ) -> None:
        self._granted = granted
        self._kind, self._policies, self._principal, self._profile = kind, policies, principal, principal.profile
        self._is_provider = self._profile.kind in PROVIDERS

    @property
    def name(self) -> object:
        """The attributes of a principal that matter apart from its matches."""
        return self._profile.kind, self._profile.account, self._profile.bounded, self._is_provider and self._profile.name

    def may_match(self, one: BoundStatement) -> bool:
        """Whether a statement can apply to requests of the principal."""
        result = self._match(one, "").result
        return result is T if one.is_allow else result is not F

    def classes(self, one: BoundStatement, action: str) -> str:
        """Return the classes of a certain match (3.3)."""
        return self._match(one, action).classes

    def _match(self, one: BoundStatement, action: str) -> PrincipalMatch:
        call = split_action(action) if action and self._is_provider else None
        request = make_request_principal(self._profile, self._profile.partition or "aws", self._principal.given, call)
        return check_principals(one.statement, one.policy, request, False, StatementKeys({}, (), T))

    # -- new access ---------------------------------------------------------------------------------------------------

    def gain(self, levels: Sequence[int], is_owner: bool) -> Gain:
        """Return when new statements apply and old ones do not, or do so with less strength (H76).

        `is_owner`: the account of the principal owns the resource.
        """

        def gain(old: Applied, new: Applied, action: str, resource: str) -> Sequence[Formula]:
            if not self._is_decided(action, resource, is_owner):
                return ()
            if self._kind is PolicyKind.RCP:
                return rcp_gain(old, new, action, resource)
            sides = [[(one, formula) for one, formula in side if self._applies(one, action)] for side in (old, new)]
            found = []
            for level in self._levels(levels, action, resource, is_owner):
                before, after = (self._allowed(side, action, level, is_owner) for side in sides)
                found.append(every((after, negation(before))))
            return found

        return gain

    def _is_decided(self, action: str, resource: str, is_owner: bool) -> bool:
        """Whether policies decide the action for this principal, and the resource can have this owner."""
        call = split_action(action)
        if is_always_allowed(self._profile, call) or credential_forbids(self._profile, call):
            return False
        if self._profile.kind is PrincipalKind.ANON and call[0] not in SETTINGS.anonymous_services:
            return False
        arn = split_arn(resource)
        return arn is None or not is_account(arn.account) or is_owner is (arn.account == self._profile.account)

    def _applies(self, one: BoundStatement, action: str) -> bool:
        if not self._is_provider:
            return True  # `may_match` is exact
        result = self._match(one, action).result
        return result is T if one.is_allow else result is not F

    def _counts(self, action: str, is_owner: bool) -> bool:
        """Whether the class of the match counts: in the account of the resource (D25), except for chained calls (D30)."""
        chained = split_action(action) == ("sts", "setsourceidentity") and self._profile.kind in ROLES
        return is_owner and not chained and self._profile.kind not in WITHOUT_ACCOUNT

    def _levels(self, levels: Sequence[int], action: str, resource: str, is_owner: bool) -> Sequence[int]:
        """Return the strengths that decide differently (6.4)."""
        if not self._counts(action, is_owner):
            return [level for level in levels if level == _OF_ACCOUNT]
        stronger = [level for level in levels if level > _OF_ACCOUNT and self._profile.kind not in ROOTS]
        if self._granted:
            return [_OF_ACCOUNT]
        if _OF_ACCOUNT not in levels:
            return stronger
        if not resource:
            return [_NOT_NEEDED, _OF_ACCOUNT, *stronger]  # the resource is not known yet
        # with a policy of its own, a principal needs a grant only where the resource policy is required (6.3)
        is_required = needs_resource_policy(ResourceProfile(resource), split_action(action), SETTINGS)
        return [_OF_ACCOUNT if is_required else _NOT_NEEDED, *stronger]

    def _allowed(self, applied: Applied, action: str, level: int, is_owner: bool) -> Formula:
        allowed = negation(some(formula for one, formula in applied if not one.is_allow))
        if level == _NOT_NEEDED:
            return allowed
        strong = (formula for one, formula in applied if one.is_allow and self._strength(one, action, is_owner) >= level)
        return every((some(strong), allowed))

    def _strength(self, one: BoundStatement, action: str, is_owner: bool) -> int:
        classes = self.classes(one, action)
        if not self._counts(action, is_owner):
            return _OF_ACCOUNT if classes else 0
        if self._profile.kind is PrincipalKind.FED:
            classes = classes.replace("*", "A")  # 6.5
        return max((_STRENGTH[letter] for letter in classes), default=0)

    # -- verification -------------------------------------------------------------------------------------------------

    def verifier(self, is_owner: bool) -> Callable[[Candidate], Verified | None]:
        """Return the check of a candidate by both evaluators."""
        return lambda candidate: self._verify(candidate, is_owner)

    def _verify(self, candidate: Candidate, is_owner: bool) -> Verified | None:
        account = self._profile.account
        owner = account if is_owner else OTHER_ACCOUNT if account == ACCOUNT else ACCOUNT
        arn = split_arn(candidate.resource)
        if arn is not None and is_account(arn.account):
            owner = None
        for with_region in (False, True):
            made = make_request(candidate, self._principal.probe, owner=owner, with_region=with_region)
            if made is None:
                continue
            shown, profile, target, request = made
            for number, own in enumerate(_own_policies(profile)):
                old, new = ((own, self._with_policies(target, side)) for side in self._policies)
                found = newly_allowed(old, new, request)
                if found is None or self._granted and not _refs(found[1], Effect.ALLOW):
                    continue
                return Verified(shown, self._statement(*found), stronger=number > 0 and not self._granted)
        return None

    def _with_policies(self, target: ResourceProfile, policies: Policies) -> ResourceProfile:
        if self._kind is PolicyKind.RCP:
            return replace(target, policies=ALLOW_EVERYONE, rcps=(policies,), rcp_note="")
        return replace(target, policies=policies)

    def _statement(self, old: Explanation, new: Explanation) -> StatementRef | None:
        if self._kind is PolicyKind.RCP:
            return next(iter(_refs(old, Effect.DENY, Layer.RCP)), None)
        return next(iter([*_refs(new, Effect.ALLOW), *_refs(old, Effect.DENY)]), None)  # the Deny is one that is removed


def _refs(explanation: Explanation, effect: Effect, layer: Layer = Layer.RESOURCE) -> list[StatementRef]:
    return [one.ref for one in explanation.statements if one.effect is effect and one.ref.layer is layer]


def _own_policies(profile: PrincipalProfile) -> Iterator[PrincipalProfile]:
    """Yield the profile with own policies that allow everything, then with such that allow less and less."""
    can_have = profile.kind in WITH_IDENTITY_POLICIES
    sessions = profile.kind in NEED_SESSION_POLICIES
    yield replace(profile, identity_policies=ALLOW_ALL if can_have else (), session_policies=ALLOW_ALL if sessions else None)
    if can_have:
        yield replace(profile, identity_policies=(), session_policies=ALLOW_ALL if sessions else None)
        if profile.kind in ROLES or sessions:
            yield replace(profile, identity_policies=(), session_policies=())
        if profile.kind in WITH_BOUNDARY:
            yield replace(profile, identity_policies=(), boundary=(), bounded=True)
